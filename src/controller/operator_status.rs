//! Our ClusterOperator: how this operator is, and in the role of the bridge also the word that every CVO hears, so
//! that `oc adm upgrade` says what overrides really prevent.

use serde_json::{Value, json};

use super::{
    ownership::{self, Role},
    plan::{Kind, Situation},
    refusal::Refusal,
};
use crate::{
    api::{
        Condition, ConditionStatus,
        names::{self, condition, reason, risk},
    },
    gate::{Source, message},
};

/// A write to our ClusterOperator.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorWrite {
    /// Server-side apply of the object, which has no spec to speak of.
    Create(Value),
    /// Server-side apply of its status.
    Status(Value),
}

/// The write that is missing, if any. Where the API isn't served, nobody would read it.
#[must_use]
pub fn write(situation: &Situation<'_>, now: &str) -> Option<OperatorWrite> {
    let object = |metadata: Value, (part, content): (&str, Value)| json!({"apiVersion": names::CONFIG_API_VERSION, "kind": "ClusterOperator", "metadata": metadata, part: content});
    let existing = match situation.operator {
        Source::Read(Some(existing)) => existing,
        Source::Read(None) => {
            return Some(OperatorWrite::Create(object(json!({"name": names::SELF}), ("spec", json!({})))));
        }
        Source::NotServed | Source::Unreadable(_) | Source::NotGiven => return None,
    };
    let before: Vec<Condition> = serde_json::from_value(existing["status"]["conditions"].clone()).unwrap_or_default();
    let conditions = conditions(situation).map(|wanted| {
        let last_transition_time = crate::api::find(&before, &wanted.kind)
            .filter(|before| before.status == wanted.status && !before.last_transition_time.is_empty())
            .map_or_else(|| now.to_owned(), |before| before.last_transition_time.clone());
        Condition { last_transition_time, ..wanted }
    });
    let versions = json!([{"name": "operator", "version": env!("CARGO_PKG_VERSION")}]);
    let related = related_objects();
    let same = conditions.iter().all(|wanted| crate::api::find(&before, &wanted.kind) == Some(wanted))
        && existing["status"]["versions"] == versions
        && existing["status"]["relatedObjects"] == related;
    (!same).then(|| {
        let status = json!({"conditions": conditions, "versions": versions, "relatedObjects": related});
        // With the version that was read, so that what a former leader still says about itself comes to nothing.
        let version = &existing["metadata"]["resourceVersion"];
        OperatorWrite::Status(object(json!({"name": names::SELF, "resourceVersion": version}), ("status", status)))
    })
}

fn conditions(situation: &Situation<'_>) -> [Condition; 4] {
    let said = |kind: &str, status: bool, reason: &str, message: String| Condition {
        kind: kind.to_owned(),
        status: status.into(),
        reason: reason.to_owned(),
        message,
        last_transition_time: String::new(),
    };
    let troubles = troubles(situation);
    let degraded = match troubles.as_slice() {
        [] => said("Degraded", false, reason::AS_EXPECTED, "Everything that is needed can be read and written.".into()),
        [(reason, message)] => said("Degraded", true, reason, message.clone()),
        several => {
            let bullets = several.iter().map(|(reason, message)| format!("* {reason}: {message}"));
            said("Degraded", true, reason::MULTIPLE_REASONS, message::lines(bullets, message::MESSAGE_LIMIT))
        }
    };
    [
        said("Available", true, reason::AS_EXPECTED, availability(situation)),
        said("Progressing", false, reason::AS_EXPECTED, "There is nothing to roll out.".into()),
        degraded,
        upgradeable(situation),
    ]
}

fn availability(situation: &Situation<'_>) -> String {
    let role = match situation.role {
        Role::Replace => "Gates updates on ClusterVersion itself",
        Role::Guard => "Guards minor and major updates while no cluster-version operator is running",
        Role::Bridge => "Lets patch updates through that the cluster-version operator refuses for overrides alone",
        Role::Undecided | Role::Observe => "Looks on",
    };
    let mut text = format!("{role} ({}: {}).", situation.role.as_str(), situation.why);
    if ownership::owns_force(&situation.snapshot.cluster_version) {
        text.push_str(
            " A force of upgrade-gate's stands in spec.desiredUpdate: it is never cleared, since that could roll the \
             update back; `oc adm upgrade` replaces it with the next request.",
        );
    }
    // Not in Upgradeable's message, which the CVO passes on: it would change what the CVO says, and so this.
    if let Some(Err(refusal)) = situation.bridging
        && refusal.holds_back()
    {
        text.push_str(" The update that is asked for is not let through: ");
        text.push_str(refusal.message());
    }
    text
}

/// In the bridge the CVO asks every ClusterOperator, so overrides are told here in the right words. In every other
/// role ClusterVersion says it all, and a second voice would only repeat it.
fn upgradeable(situation: &Situation<'_>) -> Condition {
    let cluster_version = &situation.snapshot.cluster_version;
    let (status, reason, message) =
        if situation.role == Role::Bridge && cluster_version.unmanaged_overrides().next().is_some() {
            let text = message::overrides_in_bridge(cluster_version);
            (ConditionStatus::False, risk::OVERRIDES, text)
        } else {
            (ConditionStatus::True, reason::AS_EXPECTED, "upgrade-gate itself stands against no update.".to_owned())
        };
    Condition {
        kind: condition::UPGRADEABLE.to_owned(),
        status,
        reason: reason.to_owned(),
        message,
        last_transition_time: String::new(),
    }
}

/// What keeps this operator from its work, as reason and message.
fn troubles(situation: &Situation<'_>) -> Vec<(&'static str, String)> {
    let mut troubles = Vec::new();
    match situation.records {
        Source::Read(_) => {}
        Source::NotServed | Source::NotGiven => troubles.push((
            "UpdateRecordsNotServed",
            "The API of UpdateRecords isn't there, so what is let through is recorded in status.history alone. Apply \
             crds/updaterecord."
                .to_owned(),
        )),
        Source::Unreadable(why) => {
            troubles.push(("UpdateRecordsUnreadable", format!("UpdateRecords can't be read: {}", message::quote(why))));
        }
    }
    for (what, unreadable) in [
        ("ClusterOperators", unreadable(&situation.snapshot.cluster_operators)),
        ("ConfigMap openshift-config-managed/admin-gates", unreadable(&situation.snapshot.admin_gates)),
        ("ConfigMap openshift-config/admin-acks", unreadable(&situation.snapshot.admin_acks)),
    ] {
        troubles.extend(unreadable.map(|why| ("SourceUnreadable", format!("{what}: {}", message::quote(why)))));
    }
    for (kind, why) in situation.failing {
        let reason = match kind {
            Kind::History | Kind::Restore => "HistoryNotWritten",
            Kind::Conditions | Kind::Withdraw => "ConditionsNotWritten",
            Kind::Force => "ForceNotWritten",
            Kind::Record => "UpdateRecordNotWritten",
            Kind::Operator => "ClusterOperatorNotWritten",
        };
        troubles.push((reason, message::quote(why)));
    }
    if situation.contended {
        troubles.push(("GateContention", message::CONTENTION.to_owned()));
    }
    if let Some(Err(Refusal::NoPolicy)) = situation.bridging {
        troubles.push(("PolicyMissing", Refusal::NoPolicy.message().to_owned()));
    }
    troubles
}

fn unreadable<T>(source: &Source<T>) -> Option<&str> {
    match source {
        Source::Unreadable(why) => Some(why),
        Source::Read(_) | Source::NotServed | Source::NotGiven => None,
    }
}

/// What must-gather collects with this ClusterOperator.
fn related_objects() -> Value {
    json!([
        {"group": "", "resource": "namespaces", "name": names::NAMESPACE},
        {"group": "config.openshift.io", "resource": "clusterversions", "name": names::CLUSTER_VERSION},
        {"group": names::RECORD_GROUP, "resource": "updaterecords", "name": ""},
        {"group": "admissionregistration.k8s.io", "resource": "validatingadmissionpolicies", "name": names::SELF},
        {"group": "admissionregistration.k8s.io", "resource": "validatingadmissionpolicybindings", "name": names::SELF},
    ])
}
