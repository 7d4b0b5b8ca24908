//! The conditions of ClusterVersion as they should be: pure.

use crate::{
    api::{
        Condition, ConditionStatus,
        names::{condition, reason},
    },
    gate::{Decision, Snapshot, TargetVerdict, Verdict, message, release},
    plan::record_state::RecordState,
};

/// The conditions that this gate owns, as they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// `Upgradeable`.
    pub upgradeable: Condition,
    /// `ReleaseAccepted`.
    pub release_accepted: Condition,
}

/// Both conditions as they should be, with the transition times that they have or get.
#[must_use]
pub fn conditions(snapshot: &Snapshot, verdict: &Verdict, record_state: RecordState) -> Conditions {
    let with_time = |kind: &str, status: ConditionStatus, reason: &str, message: String| {
        let before = snapshot.cluster_version.condition(kind);
        let last_transition_time = match before {
            Some(before) if before.status == status && !before.last_transition_time.is_empty() => {
                before.last_transition_time.clone()
            }
            Some(_) | None => rfc3339(snapshot.now),
        };
        Condition { kind: kind.to_owned(), status, last_transition_time, reason: reason.to_owned(), message }
    };
    let upgradeable = &verdict.upgradeable;
    let (status, reason, message) = release_accepted(snapshot, verdict.request(), record_state);
    Conditions {
        upgradeable: with_time(
            condition::UPGRADEABLE,
            upgradeable.holds().into(),
            upgradeable.reason(),
            upgradeable.message().to_owned(),
        ),
        release_accepted: with_time(condition::RELEASE_ACCEPTED, status, reason, message),
    }
}

fn release_accepted(
    snapshot: &Snapshot,
    request: Option<&TargetVerdict>,
    record_state: RecordState,
) -> (ConditionStatus, &'static str, String) {
    let cluster_version = &snapshot.cluster_version;
    let Some(request) = request else {
        // No update is requested: the release that the cluster reconciles towards was accepted earlier.
        return (ConditionStatus::True, reason::PAYLOAD_LOADED, message::payload_loaded(cluster_version.desired()));
    };
    if let Some(step) = request.failed_step {
        return (ConditionStatus::False, step.reason(), message::release_accepted(request));
    }
    if record_state == RecordState::Failing {
        return (ConditionStatus::Unknown, reason::RETRIEVE_PAYLOAD, message::not_recorded(&request.release));
    }
    (ConditionStatus::True, reason::PAYLOAD_LOADED, message::release_accepted(request))
}

/// Whether the request is for an update, rather than for what the cluster runs already.
#[must_use]
pub fn is_update(snapshot: &Snapshot, request: &TargetVerdict) -> bool {
    request.decision() == Decision::Blocked || !release::is_current(&snapshot.cluster_version, &request.release)
}

/// A time as Kubernetes writes it: whole seconds, UTC.
pub(super) fn rfc3339(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
