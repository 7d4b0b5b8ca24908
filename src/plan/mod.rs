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
    conditions::{Conditions, RecordState},
    input::{Plan, PlanInput},
    write::{Kind, Write},
};

use crate::{
    api::{AcceptedBy, Condition, names::condition},
    gate::{Snapshot, Source, TargetVerdict, Verdict},
    plan::{
        conditions::{conditions, rfc3339},
        record_state::accepted_by,
        role::{Role, owns},
        write::ConditionsWrite,
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
    let PlanInput { snapshot, verdict, role, .. } = *input;
    let cluster_version = &snapshot.cluster_version;
    if matches!(role, Role::Undecided | Role::Observe) || cluster_version.status.is_none() {
        return Vec::new();
    }
    let now = rfc3339(snapshot.now);
    let gate = gate_writes(snapshot, verdict, role, (input.record_state, desired));
    let force = input.force_patch.and_then(|force_patch| force_patch.as_ref().ok());
    let records = match input.records {
        Source::Read(records) => Some(records.as_slice()),
        Source::NotServed | Source::Unreadable(_) | Source::NotGiven => None,
    };
    let mut writes = Vec::new();
    if let Some(records) = records {
        let accepted = match (verdict.request(), force) {
            (Some(request), _) if gate.iter().any(|write| matches!(write, Write::History(_))) => {
                Some((request, accepted_by(request)))
            }
            (_, force_patch) => force_patch.map(|force_patch| (&force_patch.target_verdict, AcceptedBy::Bridge)),
        };
        // Once another entry is in front, nothing shows any more that this one's record is missing.
        let is_its_own = |(target_verdict, _): (&TargetVerdict, _)| {
            update_records::is_in_front(cluster_version, &target_verdict.release)
        };
        if !accepted.is_some_and(is_its_own) {
            writes.extend(update_records::of_history(records, cluster_version, input.start, &now).map(Write::Record));
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
        writes.extend(history::restore(cluster_version, records, input.is_restored).map(Write::Restore));
    }
    if let Some(records) = records {
        writes.extend(update_records::follow(records, cluster_version).into_iter().map(Write::Record));
    }
    if let (Some(Ok(removal)), Role::Bridge) = (input.unforcing, role) {
        writes.push(Write::Unforce(removal.clone()));
    }
    // Last, as it reports what has failed before it.
    writes.extend(cluster_operator::write(input, &now).map(Write::Operator));
    writes
}

/// The missing writes of the gate itself. An accepted risk is recorded before `ReleaseAccepted=True` starts the
/// updater.
#[must_use]
pub fn gate_writes(
    snapshot: &Snapshot,
    verdict: &Verdict,
    role: Role,
    (record_state, desired): (RecordState, &Conditions),
) -> Vec<Write> {
    let cluster_version = &snapshot.cluster_version;
    // Without a status, its required fields are missing and no write could pass.
    let Some(status) = &cluster_version.status else { return Vec::new() };
    let resource_version = &cluster_version.metadata.resource_version;
    let write = |conditions: &[&Condition]| {
        let conditions = conditions.iter().map(|&condition| condition.clone()).collect();
        Write::Conditions(ConditionsWrite { resource_version: resource_version.clone(), conditions })
    };
    let differs = |wanted: &Condition| crate::api::find(&status.conditions, &wanted.kind) != Some(wanted);
    let mut writes = Vec::new();
    match role {
        Role::Replace => {
            if record_state == RecordState::Possible
                && let Some(request) = verdict.request()
                && let Some(write) = history::record(cluster_version, request, &rfc3339(snapshot.now), history::LIMIT)
            {
                writes.push(Write::History(write));
            }
            if differs(&desired.upgradeable) || differs(&desired.release_accepted) {
                writes.push(write(&[&desired.upgradeable, &desired.release_accepted]));
            }
        }
        Role::Guard => {
            if differs(&desired.upgradeable) || owns(cluster_version, condition::RELEASE_ACCEPTED) {
                writes.push(write(&[&desired.upgradeable]));
            }
        }
        Role::Bridge => {
            writes.extend(withdraw::withdrawal(cluster_version).map(Write::Withdraw));
        }
        Role::Undecided | Role::Observe => {}
    }
    writes
}
