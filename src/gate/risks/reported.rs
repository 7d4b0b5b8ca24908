//! `Upgradeable=False`: the cluster-version operator (CVO) names a reason that upgrade-gate does not evaluate itself.
//!
//! # Why this is a risk
//!
//! The CVO refuses minor and major updates while its own condition `Upgradeable` is `False`. upgrade-gate evaluates most
//! reasons for that itself. Each other reason is a risk with the name that the CVO gives it. These are resource deletions,
//! which only the CVO knows, and in `upgrade-gate check` reasons from sources that are missing from the input:
//! ClusterOperators, admin gates and acks. If the condition has several reasons and its message cannot be split into them,
//! the whole condition is one risk.
//!
//! # What to do
//!
//! Follow the condition's message. For `upgrade-gate check`, add the ClusterOperators and both `ConfigMap`s to the input.
//! The risk ends when the condition no longer has that reason.
//!
//! # Example
//!
//! ```sh
//! oc get clusterversion version -o jsonpath='{.status.conditions[?(@.type=="Upgradeable")].message}'
//! ```

use crate::{
    api::{
        ClusterOperator, Condition, ConditionStatus,
        names::{ADMIN_GATES, condition, reason, reported, risk},
    },
    gate::{
        Authority, Remedy, Snapshot, Source, foreign_upgradeable, message,
        risks::{Risk, admin_acks::minor_of_gate},
    },
};

/// The risks that the published condition adds to `ours`. If upgrade-gate alone decides, the condition is our own or one that
/// we take over, and adds nothing.
pub(super) fn risks(snapshot: &Snapshot, ours: &[Risk]) -> Vec<Risk> {
    let cluster_version = &snapshot.cluster_version;
    let Some(published) = cluster_version.condition(condition::UPGRADEABLE) else { return Vec::new() };
    if snapshot.authority == Authority::Sole
        || published.status != ConditionStatus::False
        || !foreign_upgradeable(cluster_version)
    {
        return Vec::new();
    }
    let Some(reasons) = split(published) else {
        let explained = !ours.is_empty() && (is_complete(snapshot) || has_a_condition_for_each(snapshot));
        return if explained { Vec::new() } else { vec![whole(published)] };
    };
    let is_ours = |name: &str| ours.iter().any(|risk| risk.name == name) || is_computed(snapshot, name);
    let left: Vec<&Reason<'_>> = reasons.iter().filter(|reason| !is_ours(reason.name)).collect();
    match left.as_slice() {
        [] if ours.is_empty() && reasons.iter().all(|reason| is_evaluated(reason.name)) => {
            vec![stale(published, &reasons)]
        }
        [] if ours.is_empty() => vec![whole(published)],
        [] => Vec::new(),
        left => {
            left.iter().map(|reason| reason.risk()).collect::<Option<_>>().unwrap_or_else(|| vec![whole(published)])
        }
    }
}

/// The condition as one risk, named by its reason.
fn whole(published: &Condition) -> Risk {
    let name = if published.reason.is_empty() { condition::UPGRADEABLE } else { &published.reason };
    Risk::new(name, message::message_alone(published), remedy(name))
}

/// The condition as one risk, although our sources show that none of its reasons holds any more.
fn stale(published: &Condition, reasons: &[Reason<'_>]) -> Risk {
    let names = reasons.iter().map(|reason| reason.name);
    Risk::new(&whole(published).name, message::risk::no_longer_so(names), Remedy::Publish)
}

/// Whether this is a reason that our sources evaluate. An operator's own reason is not known by its name.
fn is_evaluated(name: &str) -> bool {
    reported::OVERRIDES.contains(&name)
        || reported::UPDATING.contains(&name)
        || reported::ADMIN_CONFIG_MAPS.contains(&name)
        || name == reported::CLUSTER_OPERATORS
        || [risk::ADMIN_ACK, risk::CLUSTER_OPERATOR].iter().any(|source| name.starts_with(source))
}

/// Newer releases name the operator or the key in the reason.
fn remedy(name: &str) -> Remedy {
    let of = |source: &str| name.strip_prefix(source).and_then(|rest| rest.strip_prefix('-'));
    if let Some(operator) = of(risk::CLUSTER_OPERATOR) {
        return Remedy::ReadClusterOperator(operator.to_owned());
    }
    if let Some(key) = of(risk::ADMIN_ACK).filter(|key| minor_of_gate(key).is_some()) {
        return Remedy::Acknowledge(key.to_owned());
    }
    if name.starts_with(risk::ADMIN_ACK) || reported::ADMIN_CONFIG_MAPS.contains(&name) {
        let (namespace, name) = ADMIN_GATES;
        return Remedy::ReadConfigMap(namespace, name);
    }
    if name == reported::CLUSTER_OPERATORS {
        return Remedy::ReadClusterOperators;
    }
    if reported::UPDATING.contains(&name) {
        return Remedy::ReadProgress;
    }
    Remedy::ReadClusterVersion
}

/// One reason of a condition; without a text if the message does not assign one to it.
#[derive(Debug, PartialEq, Eq)]
struct Reason<'a> {
    name: &'a str,
    text: Option<&'a str>,
}

impl Reason<'_> {
    fn risk(&self) -> Option<Risk> {
        let condition = Condition {
            kind: condition::UPGRADEABLE.to_owned(),
            status: ConditionStatus::False,
            reason: self.name.to_owned(),
            message: self.text?.to_owned(),
            ..Condition::default()
        };
        Some(whole(&condition))
    }
}

/// The reasons of a condition; `None` if its message does not name all of them.
///
/// With several, the condition's reason is `MultipleReasons`, and its message reads `…: NAME,NAME` with a bullet for each.
/// A bullet may hold bullets of its own.
fn split(published: &Condition) -> Option<Vec<Reason<'_>>> {
    if published.reason != reason::MULTIPLE_REASONS {
        return Some(vec![Reason { name: &published.reason, text: Some(&published.message) }]);
    }
    let mut bullets = published.message.split("\n* ");
    let (_, names) = bullets.next()?.trim_end().rsplit_once(": ")?;
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    let bullets: Vec<&str> = bullets.map(str::trim_end).collect();
    let is_named_twice = |(at, name): (usize, &&str)| names[..at].contains(name);
    if names.len() < 2
        || !names.iter().all(|name| is_name(name))
        || names.iter().enumerate().any(is_named_twice)
        || (1..names.len()).contains(&bullets.len())
    {
        return None;
    }
    // Each reason has at least one bullet, so with as many bullets as reasons, each has one.
    let text = |at: usize| bullets.get(at).copied().filter(|_| bullets.len() == names.len());
    Some(names.iter().enumerate().map(|(at, name)| Reason { name, text: text(at) }).collect())
}

/// Whether a text can be a reason's name: what a condition's reason may hold, hyphens and dots.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':'))
}

/// Whether no source is missing from the input.
fn is_complete(snapshot: &Snapshot) -> bool {
    !matches!(snapshot.cluster_operators, Source::NotGiven) && has_admin_acks(snapshot)
}

/// In `check`, both `ConfigMap`s count as given if one is.
fn has_admin_acks(snapshot: &Snapshot) -> bool {
    !matches!((&snapshot.admin_gates, &snapshot.admin_acks), (Source::NotGiven, Source::NotGiven))
}

/// Whether one of our sources covers that reason of the CVO.
fn is_computed(snapshot: &Snapshot, name: &str) -> bool {
    let operators = match &snapshot.cluster_operators {
        Source::Read(operators) => Some(operators.as_slice()),
        Source::NotServed | Source::Unreadable(_) | Source::NotGiven => None,
    };
    if reported::RESOURCE_DELETIONS.contains(&name) {
        return is_a_condition_of_its_own(snapshot, name);
    }
    if let Some(operator) = name.strip_prefix(risk::CLUSTER_OPERATOR).and_then(|rest| rest.strip_prefix('-'))
        && let Some(operators) = operators
    {
        // A dump may hold some ClusterOperators and not this one.
        return operators.iter().any(|given| given.name == operator);
    }
    if is_complete(snapshot) {
        return true;
    }
    if reported::OVERRIDES.contains(&name) {
        return true;
    }
    if reported::UPDATING.contains(&name) {
        return snapshot.cluster_version.condition(condition::PROGRESSING).is_some();
    }
    if name.starts_with(risk::ADMIN_ACK) || reported::ADMIN_CONFIG_MAPS.contains(&name) {
        return has_admin_acks(snapshot) || is_a_condition_of_its_own(snapshot, name);
    }
    if name == reported::CLUSTER_OPERATORS {
        return operators.is_some_and(|operators| operators.iter().any(blocks_or_is_unreadable))
            || matches!(snapshot.cluster_operators, Source::Unreadable(_))
            || is_a_condition_of_its_own(snapshot, name);
    }
    // If a single ClusterOperator blocks, a CVO up to 4.22 uses its reason.
    let is_its_reason = |given: &ClusterOperator| given.blocks().is_some_and(|blocking| blocking.reason == name);
    operators.is_some_and(|operators| operators.iter().any(is_its_reason)) || is_a_condition_of_its_own(snapshot, name)
}

fn blocks_or_is_unreadable(operator: &ClusterOperator) -> bool {
    operator.upgradeable.is_err() || operator.blocks().is_some()
}

/// Releases up to 4.22 publish all of several reasons as conditions, or none: if there are two, there are all.
fn has_a_condition_for_each(snapshot: &Snapshot) -> bool {
    let blocking = condition::UPGRADEABLE_OF_SOURCES.iter().filter(|(kind, blocking)| {
        snapshot.cluster_version.condition(kind).is_some_and(|entry| entry.status == *blocking)
    });
    blocking.count() >= 2
}

/// Such a condition counts as a veto.
fn is_a_condition_of_its_own(snapshot: &Snapshot, name: &str) -> bool {
    let conditions = snapshot.cluster_version.status.iter().flat_map(|status| &status.conditions);
    conditions
        .filter(|entry| entry.status == ConditionStatus::False && entry.kind != condition::UPGRADEABLE)
        .any(|entry| entry.kind.starts_with(condition::UPGRADEABLE) && entry.reason == name)
}

#[cfg(test)]
mod tests;
