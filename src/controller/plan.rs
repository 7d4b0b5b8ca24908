//! From a verdict to the writes that make the cluster say it: pure, and empty when nothing differs.

use json_patch::Patch;
use serde_json::{Value, json};

use super::history;
use crate::{
    api::{
        Condition, ConditionStatus,
        names::{self, condition, reason},
    },
    gate::{Decision, Judgement, Snapshot, Verdict, message},
};

/// What the operator may do to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Mode {
    /// Write the conditions and the history: for clusters on which nothing else gates updates.
    Replace,
    /// Write nothing on ClusterVersion; say in events and metrics what would be written.
    Observe,
}

impl Mode {
    /// The word on the command line and in the metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Observe => "observe",
        }
    }
}

/// Whether an accepted risk can be recorded. Where it can't, `Upgradeable` is written all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Nothing speaks against it.
    Possible,
    /// The last try has failed: the request waits, so that no update goes ahead without its record.
    Failing,
    /// It was recorded, and somebody takes the record back each time; the update has gone ahead.
    TakenBack,
}

/// One write to ClusterVersion.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// JSON patch on the status: an accepted risk.
    History(Patch),
    /// Server-side apply on the status: both conditions, always.
    Conditions(Value),
}

impl Write {
    /// The label in metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::History(_) => "history",
            Self::Conditions(_) => "conditions",
        }
    }
}

/// The conditions that this gate owns, as they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// `Upgradeable`.
    pub upgradeable: Condition,
    /// `ReleaseAccepted`.
    pub release_accepted: Condition,
}

/// The writes that are missing, in the order in which they have to be made: an accepted risk is recorded before
/// the conditions tell the updater to go.
#[must_use]
pub fn plan(snapshot: &Snapshot, verdict: &Verdict, mode: Mode, recording: Recording) -> Vec<Write> {
    let cluster_version = &snapshot.cluster_version;
    // Without a status, its required fields are missing and no write could pass.
    let (Mode::Replace, Some(status)) = (mode, &cluster_version.status) else {
        return Vec::new();
    };
    let mut writes = Vec::new();
    if recording == Recording::Possible
        && let Some(request) = verdict.request()
        && let Some(patch) = history::record(cluster_version, request, &rfc3339(snapshot.now), history::LIMIT)
    {
        writes.push(Write::History(patch));
    }
    let should_be = conditions(snapshot, verdict, recording);
    let is = |wanted: &Condition| crate::api::find(&status.conditions, &wanted.kind) == Some(wanted);
    if !is(&should_be.upgradeable) || !is(&should_be.release_accepted) {
        writes.push(Write::Conditions(apply_configuration(snapshot, &should_be)));
    }
    writes
}

/// Both conditions as they should be, with the transition times that they have or get.
#[must_use]
pub fn conditions(snapshot: &Snapshot, verdict: &Verdict, recording: Recording) -> Conditions {
    let with_time = |kind: &str, status: ConditionStatus, reason: &str, message: String| {
        let before = snapshot.cluster_version.condition(kind);
        let last_transition_time = match before {
            Some(before) if before.status == status && !before.last_transition_time.is_empty() => {
                before.last_transition_time.clone()
            }
            _ => rfc3339(snapshot.now),
        };
        Condition { kind: kind.to_owned(), status, last_transition_time, reason: reason.to_owned(), message }
    };
    let upgradeable = &verdict.upgradeable;
    let (status, reason, message) = release_accepted(snapshot, verdict.request(), recording);
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
    request: Option<&Judgement>,
    recording: Recording,
) -> (ConditionStatus, &'static str, String) {
    let cluster_version = &snapshot.cluster_version;
    let Some(request) = request else {
        // Nothing is asked for: what the cluster runs towards was accepted when it was.
        return (ConditionStatus::True, reason::PAYLOAD_LOADED, message::payload_loaded(cluster_version.desired()));
    };
    if let Some(step) = request.failed_step {
        return (ConditionStatus::False, step.reason(), message::release_accepted(request));
    }
    let unrecorded = history::record(cluster_version, request, "", history::LIMIT).is_some();
    if recording == Recording::Failing && unrecorded {
        return (ConditionStatus::Unknown, reason::RETRIEVE_PAYLOAD, message::not_recorded(&request.release));
    }
    (ConditionStatus::True, reason::PAYLOAD_LOADED, message::release_accepted(request))
}

/// What server-side apply sends: both conditions, as it drops the one that it doesn't name, and the
/// `resourceVersion` that was read, so that a stale writer loses.
fn apply_configuration(snapshot: &Snapshot, conditions: &Conditions) -> Value {
    json!({
        "apiVersion": names::CONFIG_API_VERSION,
        "kind": "ClusterVersion",
        "metadata": {
            "name": names::CLUSTER_VERSION,
            "resourceVersion": snapshot.cluster_version.metadata.resource_version,
        },
        "status": {"conditions": [&conditions.upgradeable, &conditions.release_accepted]},
    })
}

/// Whether the request is for an update, rather than for what the cluster runs already.
#[must_use]
pub fn is_update(snapshot: &Snapshot, request: &Judgement) -> bool {
    request.decision() == Decision::Blocked || !history::is_current(&snapshot.cluster_version, &request.release)
}

/// A time as Kubernetes writes it: whole seconds, UTC.
fn rfc3339(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
