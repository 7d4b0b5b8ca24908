//! What is left once the update has completed: the record is completed, the force is removed, then the policy.

use crate::{
    api::{ClusterOperator, ClusterVersion, names},
    cli::{
        records::of_completed,
        update::{
            operator::Operator,
            steps::{Ending, Evidence, Goal, Memory, OPERATOR, Step, Wait, end},
        },
    },
    gate::Source,
    plan::{
        bridge::unforce::{self, KeepReason},
        record_wait,
        role::owns_force,
        update_records,
    },
};

/// The update has completed: records its outcome, and removes the force and the policy.
pub fn finish(
    goal: &Goal,
    memory: &Memory,
    cluster_version: &ClusterVersion,
    evidence: &Evidence,
    is_asked: bool,
) -> Step {
    let is_ours = owns_force(cluster_version);
    if !evidence.operator.acts()
        && let Some(step) = accounted(memory, cluster_version, evidence)
    {
        return step;
    }
    if is_ours && !is_asked {
        return Step::End(Ending::Kept(KeepReason::RequestChanged));
    }
    if is_ours {
        let operators = others(&evidence.snapshot.cluster_operators);
        let records = if cannot_record(memory, evidence) { &Source::NotServed } else { &evidence.records };
        match unforce::decide(cluster_version, &operators, records, memory.began) {
            None => {}
            // An operator that decides itself sets and removes no force.
            Some(Ok(removal)) if evidence.operator != Operator::Forces => return Step::Unforce(removal),
            Some(Ok(_)) if memory.waited >= OPERATOR => return Step::End(Ending::OperatorIdle),
            Some(Ok(_)) => return Step::Wait(Wait::Operator),
            Some(Err(reason)) if is_final(&reason) => return Step::End(Ending::Kept(reason)),
            Some(Err(reason)) if goal.wait => return Step::Wait(Wait::Unforce(reason)),
            Some(Err(_)) => return Step::End(Ending::Left { forced: true }),
        }
    }
    end(Ending::Completed, cluster_version, Some(evidence))
}

/// Our own ClusterOperator may be left from a removed operator; the CVO does not wait for it.
fn others(operators: &Source<Vec<ClusterOperator>>) -> Source<Vec<ClusterOperator>> {
    let mut operators = operators.clone();
    if let Source::Read(operators) = &mut operators {
        operators.retain(|operator| operator.name != names::SELF);
    }
    operators
}

/// The record of the update that has completed, and how it ended: written, or printed if it cannot be.
fn accounted(memory: &Memory, cluster_version: &ClusterVersion, evidence: &Evidence) -> Option<Step> {
    let now = evidence.snapshot.now.to_string();
    match &evidence.records {
        _ if memory.shown => None,
        _ if cannot_record(memory, evidence) => {
            of_completed(cluster_version, memory.began, &now).map(Box::new).map(Step::Show)
        }
        Source::Read(records) => {
            let missing = update_records::of_history(records, cluster_version, memory.began, &now);
            missing.map(Box::new).map(Step::Record).or_else(|| (!evidence.endings.is_empty()).then_some(Step::Close))
        }
        Source::NotServed | Source::Unreadable(_) | Source::NotGiven => None,
    }
}

/// Whether the record is printed: UpdateRecords are not served, or could not be read or written for as long as a force
/// waits for its record.
fn cannot_record(memory: &Memory, evidence: &Evidence) -> bool {
    let is_given_up = memory.record_missing_for >= record_wait::LIMIT;
    match &evidence.records {
        Source::NotServed => true,
        Source::Read(_) => memory.record_fails && is_given_up,
        Source::Unreadable(_) | Source::NotGiven => is_given_up,
    }
}

/// Whether waiting doesn't change that.
fn is_final(reason: &KeepReason) -> bool {
    match reason {
        KeepReason::SharedForce(_) | KeepReason::RequestChanged => true,
        KeepReason::Invalid
        | KeepReason::NotBegun
        | KeepReason::NotCompleted
        | KeepReason::NotDesired
        | KeepReason::NotAccepted
        | KeepReason::Progressing
        | KeepReason::Failing
        | KeepReason::OperatorsUnreadable
        | KeepReason::OperatorUnhealthy(_)
        | KeepReason::RecordsUnreadable
        | KeepReason::RecordOpen => false,
    }
}
