//! `Upgradeable=False`: the cluster-version operator (CVO) names a reason that upgrade-gate doesn't evaluate itself.
//!
//! # Why this is a risk
//!
//! The CVO refuses minor and major updates while its own condition `Upgradeable` is `False`. upgrade-gate evaluates most of
//! its reasons itself; the others count under the names that the CVO gives them. These are resource deletions, which only
//! the CVO knows, and in `upgrade-gate check` the reasons from sources that the input does not hold: ClusterOperators, admin
//! gates and acks. If the condition's message does not tell several reasons apart, the whole condition is one risk.
//!
//! # What to do
//!
//! Follow the condition's message. For `upgrade-gate check`, add the ClusterOperators and both `ConfigMap`s to the input.
//! The risk ends when the CVO publishes the condition without that reason.
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
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::gate::{
        evaluate,
        testing::{cluster_version_from, risk_names, snapshot},
    };

    const BOTH: &str = "Several: ClusterVersionOverridesSet,ClusterOperatorsNotUpgradeable\n* Overrides.\n* Operators.";
    const NESTED: &str = "Several: ClusterVersionOverridesSet,ClusterOperatorsNotUpgradeable\n* Overrides.\n\
                          * Operators:\n* dns: A: b\n* etcd: C: d";
    const BY_NAME: &str = "Several risks: ClusterVersionOverrides,ClusterOperatorUpgradeable-dns,\
                           AdminAck-ack-4.21-api-in-4.22\n\n* Overrides.\n\n* The operator.\n\n* The gate.";

    /// A cluster of which only the ClusterVersion was given.
    fn alone(reason: &str, message: &str, overrides: bool, other: &Value) -> Snapshot {
        let mut conditions = vec![
            json!({"type": "Upgradeable", "status": "False", "reason": reason, "message": message}),
            json!({"type": "Progressing", "status": "False"}),
        ];
        conditions.extend(other.as_array().unwrap().iter().cloned());
        let mut snapshot = snapshot(cluster_version_from(json!({
            "spec": {"overrides": [{"kind": "Deployment", "name": "a", "unmanaged": overrides}]},
            "status": {"desired": {"version": "4.21.1"}, "conditions": conditions},
        })));
        snapshot.cluster_operators = Source::NotGiven;
        (snapshot.admin_gates, snapshot.admin_acks) = (Source::NotGiven, Source::NotGiven);
        snapshot
    }

    fn operator(name: &str, reason: &str) -> ClusterOperator {
        let condition = json!({"type": "Upgradeable", "status": "False", "reason": reason, "message": "M"});
        serde_json::from_value(json!({"metadata": {"name": name}, "status": {"conditions": [condition]}})).unwrap()
    }

    #[rstest]
    #[case::computed("ClusterVersionOverridesSet", "Overrides.", &["ClusterVersionOverrides"])]
    #[case::computed_by_name("ClusterVersionOverrides", "Overrides.", &["ClusterVersionOverrides"])]
    #[case::operators("ClusterOperatorsNotUpgradeable", "M", &["ClusterVersionOverrides", "ClusterOperatorsNotUpgradeable"])]
    #[case::the_operators_own("KubeletMinorVersion", "M", &["ClusterVersionOverrides", "KubeletMinorVersion"])]
    #[case::acks("AdminAckRequired", "M", &["ClusterVersionOverrides", "AdminAckRequired"])]
    #[case::gates("UnableToAccessAdminGatesConfigMap", "M", &["ClusterVersionOverrides", "UnableToAccessAdminGatesConfigMap"])]
    #[case::deletes("ResourceDeletesInProgress", "M", &["ClusterVersionOverrides", "ResourceDeletesInProgress"])]
    #[case::no_reason("", "M", &["ClusterVersionOverrides", "Upgradeable"])]
    #[case::hyphens(
        "RiskNameNotCompatibleWithReasonProperty",
        "M",
        &["ClusterVersionOverrides", "RiskNameNotCompatibleWithReasonProperty"]
    )]
    #[case::both("MultipleReasons", BOTH, &["ClusterVersionOverrides", "ClusterOperatorsNotUpgradeable"])]
    #[case::by_name(
        "MultipleReasons",
        BY_NAME,
        &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns", "AdminAck-ack-4.21-api-in-4.22"]
    )]
    #[case::bullets_in_a_bullet("MultipleReasons", NESTED, &["ClusterVersionOverrides", "MultipleReasons"])]
    #[case::only_computed(
        "MultipleReasons",
        "Several: ClusterVersionOverridesSet,UpdateInProgress\n* O.\n* U.",
        &["ClusterVersionOverrides"]
    )]
    #[case::no_names("MultipleReasons", "Several:\n* O.\n* M.", &["ClusterVersionOverrides", "MultipleReasons"])]
    #[case::cut_off("MultipleReasons", "Several: ClusterVersionOverridesSet,A,B\n* O.\n* M", &["ClusterVersionOverrides", "MultipleReasons"])]
    #[case::named_twice("MultipleReasons", "Several: A,A\n* O.\n* M", &["ClusterVersionOverrides", "MultipleReasons"])]
    #[case::no_name("MultipleReasons", "Several: see below\n* O.\n* M", &["ClusterVersionOverrides", "MultipleReasons"])]
    #[case::no_bullets("MultipleReasons", "Several: ClusterVersionOverridesSet,A", &["ClusterVersionOverrides", "MultipleReasons"])]
    #[case::no_message("MultipleReasons", "", &["ClusterVersionOverrides", "MultipleReasons"])]
    fn reasons_of_sources_that_were_not_given_stay(
        #[case] reason: &str,
        #[case] message: &str,
        #[case] expected: &[&str],
    ) {
        assert_eq!(risk_names(&evaluate(&alone(reason, message, true, &json!([]))).risks), expected);
        // Without the overrides the update is still blocked.
        assert!(!evaluate(&alone(reason, message, false, &json!([]))).risks.is_empty());
    }

    #[test]
    fn each_reason_keeps_its_own_text() {
        let risks = evaluate(&alone("MultipleReasons", BY_NAME, true, &json!([]))).risks;
        assert_eq!(risks[1].message, "The operator.");
        assert_eq!(risks[2].message, "The gate.");
        let risks = evaluate(&alone("MultipleReasons", NESTED, true, &json!([]))).risks;
        assert_eq!(risks[1].message, NESTED);
    }

    #[test]
    fn a_reason_that_is_also_a_condition_is_one_risk() {
        let own = json!([
            {"type": "UpgradeableClusterVersionOverrides", "status": "False", "reason": "ClusterVersionOverridesSet"},
            {"type": "UpgradeableClusterOperators", "status": "False", "reason": "ClusterOperatorsNotUpgradeable"},
        ]);
        for message in [BOTH, NESTED] {
            let risks = evaluate(&alone("MultipleReasons", message, true, &own)).risks;
            assert_eq!(risk_names(&risks), ["ClusterVersionOverrides", "UpgradeableClusterOperators"]);
        }
    }

    #[rstest]
    #[case::one_condition("UpgradeableUpgradeInProgress", "False", &["ClusterVersionOverrides", "MultipleReasons"])]
    #[case::two_conditions("UpgradeableUpgradeInProgress", "True", &["ClusterVersionOverrides"])]
    fn with_a_condition_for_each_reason_names_are_not_needed(
        #[case] kind: &str,
        #[case] status: &str,
        #[case] expected: &[&str],
    ) {
        let own = json!([
            {"type": "UpgradeableClusterVersionOverrides", "status": "False"},
            {"type": kind, "status": status},
        ]);
        assert_eq!(risk_names(&evaluate(&alone("MultipleReasons", "Several: …", true, &own)).risks), expected);
    }

    #[test]
    fn an_update_in_progress_is_computed_only_where_progressing_is_given() {
        let mut snapshot = alone("UpdateInProgress", "M", true, &json!([]));
        assert_eq!(risk_names(&evaluate(&snapshot).risks), ["ClusterVersionOverrides"]);
        snapshot.cluster_version.status.as_mut().unwrap().conditions.retain(|entry| entry.kind != "Progressing");
        assert_eq!(risk_names(&evaluate(&snapshot).risks), ["ClusterVersionOverrides", "UpdateInProgress"]);
    }

    #[rstest]
    #[case::of_the_operator("Foo", "M", &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns"])]
    #[case::of_the_operators(
        "ClusterOperatorsNotUpgradeable", "M", &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns"]
    )]
    #[case::of_another_source("Bar", "M", &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns", "Bar"])]
    #[case::by_name(
        "MultipleReasons",
        BY_NAME,
        &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns", "AdminAck-ack-4.21-api-in-4.22"]
    )]
    #[case::of_an_operator_that_was_not_given(
        "MultipleReasons",
        "Several: ClusterVersionOverrides,ClusterOperatorUpgradeable-etcd\n* O.\n* E.",
        &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns", "ClusterOperatorUpgradeable-etcd"]
    )]
    fn operators_that_were_given_explain_their_reasons(
        #[case] reason: &str,
        #[case] message: &str,
        #[case] expected: &[&str],
    ) {
        let mut snapshot = alone(reason, message, true, &json!([]));
        snapshot.cluster_operators = Source::Read(vec![operator("dns", "Foo")]);
        assert_eq!(risk_names(&evaluate(&snapshot).risks), expected);
    }

    #[test]
    fn operators_of_which_none_blocks_explain_nothing() {
        let mut snapshot = alone("ClusterOperatorsNotUpgradeable", "M", true, &json!([]));
        snapshot.cluster_operators = Source::Read(Vec::new());
        assert_eq!(
            risk_names(&evaluate(&snapshot).risks),
            ["ClusterVersionOverrides", "ClusterOperatorsNotUpgradeable"]
        );
    }

    #[rstest]
    #[case::an_unknown_reason("Why", "M", &["ClusterVersionOverrides"])]
    #[case::operators("MultipleReasons", BOTH, &["ClusterVersionOverrides"])]
    #[case::no_names("MultipleReasons", "Several:\n* O.\n* M.", &["ClusterVersionOverrides"])]
    #[case::deletes(
        "MultipleReasons",
        "Several: ClusterVersionOverrides,ResourceDeletionInProgress\n* O.\n* D.",
        &["ClusterVersionOverrides", "ResourceDeletionInProgress"]
    )]
    #[case::an_operator_that_was_not_given(
        "MultipleReasons",
        "Several: ClusterVersionOverrides,ClusterOperatorUpgradeable-etcd\n* O.\n* E.",
        &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-etcd"]
    )]
    fn with_all_sources_only_what_none_of_them_knows_is_added(
        #[case] reason: &str,
        #[case] message: &str,
        #[case] expected: &[&str],
    ) {
        let mut snapshot = alone(reason, message, true, &json!([]));
        snapshot.cluster_operators = Source::Read(Vec::new());
        (snapshot.admin_gates, snapshot.admin_acks) = (Source::Read(Some([].into())), Source::Read(Some([].into())));
        assert_eq!(risk_names(&evaluate(&snapshot).risks), expected);
    }

    #[rstest]
    #[case::somebody_elses(Authority::Shared, json!([owner("cluster-version-operator")]), &["Why"])]
    #[case::nobody_says_whose(Authority::Shared, json!([]), &["Why"])]
    #[case::ours(Authority::Shared, json!([owner("upgrade-gate")]), &[])]
    #[case::taken_over(Authority::Sole, json!([owner("cluster-version-operator")]), &[])]
    fn whose_condition_it_is(#[case] authority: Authority, #[case] fields: Value, #[case] expected: &[&str]) {
        let mut snapshot = alone("Why", "M", false, &json!([]));
        snapshot.cluster_version.metadata.managed_fields = serde_json::from_value(fields).unwrap();
        snapshot.authority = authority;
        assert_eq!(risk_names(&evaluate(&snapshot).risks), expected);
        snapshot.cluster_operators = Source::Read(Vec::new());
        (snapshot.admin_gates, snapshot.admin_acks) = (Source::Read(Some([].into())), Source::Read(Some([].into())));
        assert_eq!(risk_names(&evaluate(&snapshot).risks), expected);
    }

    fn owner(manager: &str) -> Value {
        json!({"manager": manager, "operation": "Update",
               "fieldsV1": {"f:status": {"f:conditions": {"k:{\"type\":\"Upgradeable\"}": {".": {}}}}}})
    }
}
