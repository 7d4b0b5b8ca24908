//! Which changes cause an event, a log line and a count, and the text of each event: pure.

use crate::{
    api::{ClusterVersion, Condition, ConditionStatus},
    gate::{Decision, Snapshot, TargetVerdict, UpdateType, Verdict, message},
    plan::conditions::{Conditions, is_update},
};

/// The reasons of our events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
pub enum Reason {
    /// A requested update goes ahead.
    UpdateAccepted,
    /// A requested update doesn't.
    UpdateBlocked,
    /// `Upgradeable` has flipped, or holds for other reasons.
    UpgradeableChanged,
    /// A failed precondition was forced past while overrides are set.
    ForcedPastOverrides,
    /// Another writer reverts what this one writes.
    GateContention,
    /// The operator acts in another mode than before.
    ModeChanged,
    /// An update that the bridge forced went ahead without a verified signature.
    ForcedUnverified,
    /// The bridge forced an update without an UpdateRecord.
    ForcedUnrecorded,
}

impl Reason {
    /// The reason of the event.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it is an event of type `Warning`.
    #[must_use]
    pub fn is_warning(self) -> bool {
        match self {
            Self::UpdateAccepted | Self::UpgradeableChanged | Self::ModeChanged => false,
            Self::UpdateBlocked
            | Self::ForcedPastOverrides
            | Self::GateContention
            | Self::ForcedUnverified
            | Self::ForcedUnrecorded => true,
        }
    }
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventContent {
    /// Its reason.
    pub reason: Reason,
    /// What happened, in sentences.
    pub note: String,
}

/// The events for a change of the conditions from `before` to `after`. A decision is reported once, not again for the
/// same text and request.
#[must_use]
pub fn of_change(
    snapshot: &Snapshot,
    verdict: &Verdict,
    before: (Option<&Condition>, Option<&Condition>),
    after: &Conditions,
) -> Vec<EventContent> {
    let same = |before: Option<&Condition>, after: &Condition| {
        before.is_some_and(|before| before.status == after.status && before.reason == after.reason)
    };
    let mut events = Vec::new();
    if !same(before.0, &after.upgradeable) {
        let Condition { status, reason, message, .. } = &after.upgradeable;
        let note = format!("Upgradeable={}: {reason}: {message}", status.as_str());
        events.push(EventContent { reason: Reason::UpgradeableChanged, note });
    }
    let accepted_before = before.1;
    let is_new_decision = !same(accepted_before, &after.release_accepted)
        || accepted_before.is_some_and(|before| before.message != after.release_accepted.message);
    let waits = after.release_accepted.status == ConditionStatus::Unknown;
    if let Some(request) = decided(snapshot, verdict).filter(|_| is_new_decision && !waits) {
        events.extend(decision(&snapshot.cluster_version, request));
    }
    events
}

/// The request that a change of `ReleaseAccepted` decides on, if it is for an update at all.
#[must_use]
pub fn decided<'a>(snapshot: &Snapshot, verdict: &'a Verdict) -> Option<&'a TargetVerdict> {
    verdict.request().filter(|request| is_update(snapshot, request))
}

/// What the bridge has done for a request.
#[must_use]
pub fn forced(cluster_version: &ClusterVersion, request: &TargetVerdict, unrecorded: bool) -> Vec<EventContent> {
    let update = requested_update(cluster_version, request);
    let overrides = message::overrides(cluster_version);
    let mut events = vec![
        EventContent {
            reason: Reason::UpdateAccepted,
            note: format!("{update} goes ahead with accepted risks: {}", message::accepted_risks(request)),
        },
        EventContent {
            reason: Reason::ForcedPastOverrides,
            note: format!(
                "{update} was forced past the cluster-version operator, which refused it for overrides alone: {overrides}"
            ),
        },
    ];
    if unrecorded {
        let note = format!(
            "{update} was forced without an UpdateRecord: for 60 seconds none could be written, or the UpdateRecords could \
             not be read. The log of upgrade-gate says why."
        );
        events.push(EventContent { reason: Reason::ForcedUnrecorded, note });
    }
    events
}

/// An update, as every note names it.
#[must_use]
pub fn update(from: &str, to: &str, update_type: UpdateType) -> String {
    format!("Update from {} to {} ({})", message::sanitize_name(from), message::sanitize_name(to), update_type.as_str())
}

/// The update that a request is for.
#[must_use]
pub fn requested_update(cluster_version: &ClusterVersion, request: &TargetVerdict) -> String {
    let name = if request.release.version.is_empty() { &request.release.image } else { &request.release.version };
    update(&cluster_version.desired().version, name, request.update_type)
}

/// That a request is blocked, and why.
#[must_use]
pub fn blocked(cluster_version: &ClusterVersion, request: &TargetVerdict) -> String {
    let failures = request.failures.iter().map(|failure| format!(" {}: {}", failure.reason, failure.message));
    format!("{} is blocked:{}", requested_update(cluster_version, request), failures.collect::<String>())
}

fn decision(cluster_version: &ClusterVersion, request: &TargetVerdict) -> Vec<EventContent> {
    match request.decision() {
        Decision::Blocked => {
            vec![EventContent { reason: Reason::UpdateBlocked, note: blocked(cluster_version, request) }]
        }
        Decision::Allowed => {
            let update = requested_update(cluster_version, request);
            let risks = message::accepted_risks(request);
            let with = if risks.is_empty() { ".".to_owned() } else { format!(" with accepted risks: {risks}") };
            let mut events =
                vec![EventContent { reason: Reason::UpdateAccepted, note: format!("{update} goes ahead{with}") }];
            if request.accepted_risks.iter().any(|risk| risk.forced)
                && cluster_version.unmanaged_overrides().next().is_some()
            {
                let note =
                    format!("{update} was forced while overrides are set: {}", message::overrides(cluster_version));
                events.push(EventContent { reason: Reason::ForcedPastOverrides, note });
            }
            events
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::{
        gate::{
            evaluate,
            testing::{TWO, requested},
        },
        plan::{conditions::conditions, record_state::RecordState},
    };

    #[rstest]
    #[case::a_condition_of_a_cvo(
        "Upgradeable",
        "ResourceDeletesInProgress",
        "Objects are deleted.",
        "Upgradeable=False: ResourceDeletesInProgress: Objects are deleted.",
        "Update from 4.21.1 to 4.22.0 (minor) is blocked: ResourceDeletesInProgress: Objects are deleted."
    )]
    #[case::without_a_message(
        "Upgradeable",
        "Why",
        "",
        "Upgradeable=False: Why: Upgradeable is False, without a message.",
        "Update from 4.21.1 to 4.22.0 (minor) is blocked: Why: Upgradeable is False, without a message."
    )]
    #[case::a_veto(
        "UpgradeableByTheDatabase",
        "Why",
        "It is being dumped.",
        "Upgradeable=False: UpgradeableByTheDatabase: Why: It is being dumped.",
        "Update from 4.21.1 to 4.22.0 (minor) is blocked: UpgradeableByTheDatabase: Why: It is being dumped."
    )]
    fn each_thing_is_said_once(
        #[case] kind: &str,
        #[case] reason: &str,
        #[case] message: &str,
        #[case] changed: &str,
        #[case] blocked: &str,
    ) {
        let release = json!({"version": "4.22.0", "image": TWO});
        let snapshot = requested(&json!({
            "spec": {"desiredUpdate": release},
            "status": {
                "desired": {"version": "4.21.1", "image": "one"},
                "availableUpdates": [release],
                "conditions": [{"type": kind, "status": "False", "reason": reason, "message": message}],
            },
        }));
        let verdict = evaluate(&snapshot);
        let after = conditions(&snapshot, &verdict, RecordState::Possible);
        let notes: Vec<String> =
            of_change(&snapshot, &verdict, (None, None), &after).into_iter().map(|event| event.note).collect();
        assert_eq!(notes, [changed, blocked]);
    }
}
