//! From a verdict to the writes that bring the cluster to the desired state: pure, and empty when nothing differs.
//!
//! [`plan()`] computes the desired state and the writes, as data; [`patch`] turns each into JSON; [`throttle`] decides
//! which of them wait; [`step`](step::step) is the whole loop without its reads and writes.

pub mod backoff;
pub mod bridge;
pub mod cluster_operator;
pub mod conditions;
pub mod decisions;
#[cfg(test)]
mod decisions_tests;
pub mod degraded;
pub mod events;
pub mod history;
pub mod input;
pub mod ledger;
pub mod moment;
pub mod newest_entry;
pub mod patch;
pub mod pending;
pub mod record_match;
pub mod record_state;
pub mod record_wait;
pub mod recovery;
pub mod role;
pub mod step;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod update_records;
#[cfg(test)]
mod update_records_tests;
pub mod withdraw;
pub mod write;

pub use self::{
    conditions::Conditions,
    input::{Plan, PlanInput},
    record_state::RecordState,
    write::{Kind, Write},
};

use crate::{
    api::{AcceptedBy, Condition, UpdateRecord, names::condition},
    gate::{Snapshot, Source, TargetVerdict, Verdict},
    plan::{
        conditions::{conditions, rfc3339},
        record_state::accepted_by,
        role::{Role, owns},
        write::{ConditionsWrite, RecordWrite},
    },
};

/// Computes the desired state, and the writes that are missing in the order in which they have to be made: what was
/// accepted is recorded before the write that lets it through, and what only reports comes last.
#[must_use]
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let desired = conditions(input.snapshot, input.verdict, input.record_state);
    let writes = writes(input, &desired);
    Plan { desired, writes }
}

fn writes(input: &PlanInput<'_>, desired: &Conditions) -> Vec<Write> {
    let cluster_version = &input.snapshot.cluster_version;
    if matches!(input.role, Role::Undecided | Role::Observe) || cluster_version.status.is_none() {
        return Vec::new();
    }
    let now = rfc3339(input.snapshot.now);
    let records = match input.records {
        Source::Read(records) => Some(records.as_slice()),
        Source::NotServed | Source::Unreadable(_) | Source::NotGiven => None,
    };
    let gate = gate_writes(input.snapshot, input.verdict, input.role, input.record_state, desired);
    let mut writes = Vec::new();
    if let Some(records) = records {
        let missing = missing_records(input, records, &gate, &now);
        writes.extend(missing.into_iter().map(|record| Write::Record(RecordWrite::Create(Box::new(record)))));
    }
    writes.extend(gate);
    if let Some(Ok(force)) = input.force {
        writes.push(Write::Force(Box::new(force.clone())));
    }
    if let (Some(records), Role::Bridge) = (records, input.role) {
        writes.extend(history::restore(cluster_version, records, input.is_restored).map(Write::Restore));
    }
    if let Some(records) = records {
        writes.extend(update_records::follow(records, cluster_version).into_iter().map(Write::Record));
    }
    if let (Some(Ok(removal)), Role::Bridge) = (input.removal, input.role) {
        writes.push(Write::Unforce(removal.clone()));
    }
    // Last, as it reports what has failed before it.
    writes.extend(cluster_operator::write(input, &now).map(Write::Operator));
    writes
}

/// The records that have to be there before the writes of the gate and the force: that of an update which has begun
/// without one, then that of the update which these writes accept.
fn missing_records(input: &PlanInput<'_>, records: &[UpdateRecord], gate: &[Write], now: &str) -> Vec<UpdateRecord> {
    let cluster_version = &input.snapshot.cluster_version;
    let gate_accepts = gate.iter().any(|write| matches!(write, Write::History(_)));
    let accepted: Option<(&TargetVerdict, AcceptedBy)> = match (input.verdict.request(), input.force) {
        (Some(request), _) if gate_accepts => Some((request, accepted_by(request))),
        (_, Some(Ok(force))) => Some((&force.target_verdict, AcceptedBy::Bridge)),
        (_, Some(Err(_)) | None) => None,
    };
    let has_begun = accepted
        .is_some_and(|(target_verdict, _)| update_records::is_in_front(cluster_version, &target_verdict.release));
    // Once another entry is in front, nothing shows any more that this one's record is missing.
    let of_history =
        if has_begun { None } else { update_records::of_history(records, cluster_version, input.start, now) };
    let before_accepting = accepted.and_then(|(target_verdict, by)| {
        update_records::before_accepting(records, cluster_version, target_verdict, by, now)
    });
    of_history.into_iter().chain(before_accepting).collect()
}

/// The missing writes of the gate itself. An accepted risk is recorded before `ReleaseAccepted=True` starts the
/// updater.
#[must_use]
pub fn gate_writes(
    snapshot: &Snapshot,
    verdict: &Verdict,
    role: Role,
    record_state: RecordState,
    desired: &Conditions,
) -> Vec<Write> {
    let cluster_version = &snapshot.cluster_version;
    // Without a status, its required fields are missing and no write could pass.
    let Some(status) = &cluster_version.status else { return Vec::new() };
    let write = |conditions: &[&Condition]| {
        let conditions = conditions.iter().map(|&condition| condition.clone()).collect();
        let resource_version = cluster_version.metadata.resource_version.clone();
        Write::Conditions(ConditionsWrite { resource_version, conditions })
    };
    let differs = |wanted: &Condition| crate::api::find(&status.conditions, &wanted.kind) != Some(wanted);
    match role {
        Role::Replace => {
            let now = rfc3339(snapshot.now);
            let request = verdict.request().filter(|_| record_state == RecordState::Possible);
            let history = request.and_then(|request| history::record(cluster_version, request, &now));
            let conditions = (differs(&desired.upgradeable) || differs(&desired.release_accepted))
                .then(|| write(&[&desired.upgradeable, &desired.release_accepted]));
            history.map(Write::History).into_iter().chain(conditions).collect()
        }
        Role::Guard => {
            let is_missing = differs(&desired.upgradeable) || owns(cluster_version, condition::RELEASE_ACCEPTED);
            is_missing.then(|| write(&[&desired.upgradeable])).into_iter().collect()
        }
        Role::Bridge => withdraw::withdrawal(cluster_version).map(Write::Withdraw).into_iter().collect(),
        Role::Undecided | Role::Observe => Vec::new(),
    }
}
