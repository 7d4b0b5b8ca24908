//! From a verdict to the writes that make the cluster say it: pure, and empty when nothing differs.

pub mod bridge;
pub mod cluster_operator;
pub mod conditions;
pub mod decisions;
#[cfg(test)]
mod decisions_tests;
pub mod degraded;
pub mod events;
pub mod front;
pub mod history;
pub mod moment;
mod patch;
pub mod pending;
pub mod record_wait;
pub mod role;
pub mod update_records;
#[cfg(test)]
mod update_records_tests;
pub mod withdraw;

use std::time::Duration;

use json_patch::Patch;
use serde_json::{Value, json};

use crate::{
    api::{
        AcceptedBy, Condition, UpdateRecord,
        names::{self, condition},
    },
    gate::{Snapshot, Source, TargetVerdict, Verdict, release},
    plan::{
        bridge::{
            ForcePatch,
            skip_reason::SkipReason,
            unforce::{ForceRemoval, KeepReason},
        },
        cluster_operator::OperatorWrite,
        conditions::rfc3339,
        degraded::Problem,
        front::Began,
        role::{CvoLease, Role, owns},
        update_records::RecordWrite,
        withdraw::Withdrawal,
    },
};

pub use self::conditions::{Conditions, RecordState, conditions, is_update};

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// JSON patch on the status of ClusterVersion: an accepted risk.
    History(Patch),
    /// Server-side apply on the status of ClusterVersion: the conditions that are ours, always all of them.
    Conditions(Value),
    /// Letting go of them: another role had written them.
    Withdraw(Withdrawal),
    /// JSON patch on the spec of ClusterVersion: the bridge.
    Force(Box<ForcePatch>),
    /// JSON patch on the spec of ClusterVersion: the removal of the bridge's force after the update.
    Unforce(ForceRemoval),
    /// JSON patch on the status of ClusterVersion: an accepted risk that its completed entry lost.
    Restore(Patch),
    /// An UpdateRecord.
    Record(RecordWrite),
    /// Our ClusterOperator.
    Operator(OperatorWrite),
}

impl Write {
    /// The label in metrics, and what a failure is remembered by.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::History(_) => Kind::History,
            Self::Conditions(_) => Kind::Conditions,
            Self::Withdraw(_) => Kind::Withdraw,
            Self::Force(_) => Kind::Force,
            Self::Unforce(_) => Kind::Unforce,
            Self::Restore(_) => Kind::Restore,
            Self::Record(_) => Kind::Record,
            Self::Operator(_) => Kind::Operator,
        }
    }
}

/// The kinds of write, apart from what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// See [`Write::History`].
    History,
    /// See [`Write::Conditions`].
    Conditions,
    /// See [`Write::Withdraw`].
    Withdraw,
    /// See [`Write::Force`].
    Force,
    /// See [`Write::Unforce`].
    Unforce,
    /// See [`Write::Restore`].
    Restore,
    /// See [`Write::Record`].
    Record,
    /// See [`Write::Operator`].
    Operator,
}

impl Kind {
    /// The label in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it is a write to ClusterVersion, which the watch of ClusterVersion shows.
    #[must_use]
    pub fn is_on_cluster_version(self) -> bool {
        !matches!(self, Self::Record | Self::Operator)
    }
}

/// Everything that a plan looks at.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// What was judged.
    pub snapshot: &'a Snapshot,
    /// The judgement.
    pub verdict: &'a Verdict,
    /// What is ours to do.
    pub role: Role,
    /// Why it is.
    pub why: &'a str,
    /// Our own ClusterOperator.
    pub operator: &'a Source<Option<Value>>,
    /// All UpdateRecords.
    pub records: &'a Source<Vec<UpdateRecord>>,
    /// What the bridge says of the request; `None` in any other role.
    pub force_patch: Option<&'a Result<ForcePatch, SkipReason>>,
    /// What was seen of the newest entry of the history.
    pub began: Began,
    /// How a force of ours is removed from spec, or why it stays; `None` where there is none.
    pub unforcing: Option<&'a Result<ForceRemoval, KeepReason>>,
    /// Whether an accepted risk can be recorded: see [`recording`].
    pub record_state: RecordState,
    /// Kinds of write that have failed a moment ago, and why.
    pub failing: &'a [(Kind, String)],
    /// What keeps the operator from its work, and how long it has lasted.
    pub problems: &'a [(Problem, Duration)],
    /// How long it has to last to be reported.
    pub degraded_after: Duration,
    /// The CVO's Lease, where a request waits for a CVO.
    pub cvo: CvoLease,
    /// Started times of the entries whose text was put back once.
    pub restored: &'a [String],
}

impl PlanInput<'_> {
    fn is_failing(&self, kind: Kind) -> bool {
        self.failing.iter().any(|(failing, _)| *failing == kind)
    }
}

/// Whether the accepted risk of what would go ahead now can be recorded: in the history, and in an UpdateRecord where
/// those are served. Where the last try at one has failed, the update waits for it.
#[must_use]
pub fn record_state(
    in_history: RecordState,
    (snapshot, verdict, role): (&Snapshot, &Verdict, Role),
    records: &Source<Vec<UpdateRecord>>,
    began: Began,
    failing: &[(Kind, String)],
) -> RecordState {
    let fails = |kind| failing.iter().any(|(failing, _)| *failing == kind);
    let records = match records {
        Source::Read(records) if fails(Kind::Record) => Some(records),
        _ => None,
    };
    if in_history != RecordState::Failing && records.is_none() {
        return in_history;
    }
    let cluster_version = &snapshot.cluster_version;
    let request = verdict.request().filter(|request| !release::is_current(cluster_version, &request.release));
    let is_missing = |target_verdict: &TargetVerdict, by| {
        records.is_some_and(|records| {
            update_records::before_accepting(records, cluster_version, target_verdict, by, "").is_some()
        })
    };
    let waits = match (role, request) {
        (Role::Replace, Some(request)) => {
            let in_front = update_records::is_in_front(cluster_version, &request.release);
            let unrecorded = history::record(cluster_version, request, "", history::LIMIT).is_some();
            let without_its_record = || {
                in_front
                    && records.is_some_and(|records| {
                        update_records::of_history(records, cluster_version, began, "").is_some()
                    })
            };
            (unrecorded && (in_history == RecordState::Failing || is_missing(request, accepted_by(request))))
                || without_its_record()
        }
        // The CVO records what the bridge lets through, and the UpdateRecord is made up for from that.
        _ => false,
    };
    match in_history {
        _ if waits => RecordState::Failing,
        RecordState::Failing => RecordState::Possible,
        RecordState::Possible | RecordState::TakenBack => in_history,
    }
}

fn accepted_by(request: &TargetVerdict) -> AcceptedBy {
    if request.accepted_risks.iter().any(|risk| risk.forced) { AcceptedBy::Force } else { AcceptedBy::Gate }
}

/// The first of the writes, and what is made together with it: the record of an accepted risk and its place in the
/// history. Neither lets the update through, that is the conditions' part, and each is made up for from the other.
pub fn made_at_once(writes: impl IntoIterator<Item = Write>) -> Vec<Write> {
    let mut writes = writes.into_iter();
    let first = writes.next();
    let is_record = matches!(first, Some(Write::Record(RecordWrite::Create(_))));
    let history = writes.next().filter(|second| is_record && matches!(second, Write::History(_)));
    first.into_iter().chain(history).collect()
}

/// The writes that are missing, in the order in which they have to be made: what was accepted is recorded before
/// the write that lets it through, and what only reports comes last.
#[must_use]
pub fn plan(input: &PlanInput<'_>) -> Vec<Write> {
    let PlanInput { snapshot, verdict, role, .. } = *input;
    let cluster_version = &snapshot.cluster_version;
    if matches!(role, Role::Undecided | Role::Observe) || cluster_version.status.is_none() {
        return Vec::new();
    }
    let now = rfc3339(snapshot.now);
    let gate = gate_writes(snapshot, verdict, role, input.record_state);
    let force = input.force_patch.and_then(|force_patch| force_patch.as_ref().ok());
    let records = match input.records {
        Source::Read(records) if !input.is_failing(Kind::Record) => Some(records.as_slice()),
        _ => None,
    };
    let mut writes = Vec::new();
    if let Some(records) = records {
        let accepted = match (verdict.request(), force) {
            (Some(request), _) if gate.iter().any(|write| matches!(write, Write::History(_))) => {
                Some((request, accepted_by(request)))
            }
            (_, force_patch) => force_patch.map(|force_patch| (&force_patch.target_verdict, AcceptedBy::Bridge)),
        };
        // Once another entry stands in front, nothing tells any more that this one's record is missing.
        let is_its_own = |(target_verdict, _): (&TargetVerdict, _)| {
            update_records::is_in_front(cluster_version, &target_verdict.release)
        };
        if !accepted.is_some_and(is_its_own) {
            writes.extend(update_records::of_history(records, cluster_version, input.began, &now).map(Write::Record));
        }
        let record = accepted.and_then(|(target_verdict, by)| {
            update_records::before_accepting(records, cluster_version, target_verdict, by, &now)
        });
        writes.extend(record.map(Write::Record));
    }
    writes.extend(gate);
    if let Some(force_patch) = force {
        writes.push(Write::Force(Box::new(force_patch.clone())));
    }
    if let (Some(records), Role::Bridge) = (records, role) {
        writes.extend(history::restore(cluster_version, records, input.restored).map(Write::Restore));
    }
    if let Some(records) = records {
        writes.extend(update_records::follow(records, cluster_version).into_iter().map(Write::Record));
    }
    if let (Some(Ok(removal)), Role::Bridge) = (input.unforcing, role) {
        writes.push(Write::Unforce(removal.clone()));
    }
    // Last, as it tells of what has failed before it.
    writes.extend(cluster_operator::write(input, &now).map(Write::Operator));
    writes.retain(|write| !input.is_failing(write.kind()));
    writes
}

/// What is missing of the gate itself: an accepted risk is recorded before the conditions tell the updater to go.
#[must_use]
pub fn gate_writes(snapshot: &Snapshot, verdict: &Verdict, role: Role, record_state: RecordState) -> Vec<Write> {
    let cluster_version = &snapshot.cluster_version;
    // Without a status, its required fields are missing and no write could pass.
    let Some(status) = &cluster_version.status else { return Vec::new() };
    let should_be = conditions(snapshot, verdict, record_state);
    let differs = |wanted: &Condition| crate::api::find(&status.conditions, &wanted.kind) != Some(wanted);
    let mut writes = Vec::new();
    match role {
        Role::Replace => {
            if record_state == RecordState::Possible
                && let Some(request) = verdict.request()
                && let Some(patch) = history::record(cluster_version, request, &rfc3339(snapshot.now), history::LIMIT)
            {
                writes.push(Write::History(patch));
            }
            if differs(&should_be.upgradeable) || differs(&should_be.release_accepted) {
                let both = [&should_be.upgradeable, &should_be.release_accepted];
                writes.push(Write::Conditions(apply_configuration(snapshot, &both)));
            }
        }
        Role::Guard => {
            if differs(&should_be.upgradeable) || owns(cluster_version, condition::RELEASE_ACCEPTED) {
                writes.push(Write::Conditions(apply_configuration(snapshot, &[&should_be.upgradeable])));
            }
        }
        Role::Bridge => {
            writes.extend(withdraw::withdrawal(cluster_version).map(Write::Withdraw));
        }
        Role::Undecided | Role::Observe => {}
    }
    writes
}

/// What server-side apply sends: every condition that is ours, as it drops those that it doesn't name, and the
/// `resourceVersion` that was read, so that a stale writer loses.
fn apply_configuration(snapshot: &Snapshot, conditions: &[&Condition]) -> Value {
    json!({
        "apiVersion": names::CONFIG_API_VERSION,
        "kind": "ClusterVersion",
        "metadata": {
            "name": names::CLUSTER_VERSION,
            "resourceVersion": snapshot.cluster_version.metadata.resource_version,
        },
        "status": {"conditions": conditions},
    })
}

#[cfg(test)]
mod tests;
