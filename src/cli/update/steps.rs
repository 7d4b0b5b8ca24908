//! What the command does next, from the state of the cluster: pure. It remembers little and reads the rest from the
//! cluster, so a second run continues where the first one was killed.
//!
//! ```text
//! Ask -> the CVO's answer -> [ InstallPolicy -> Record -> Force ] -> Completed -> Close -> Unforce -> RemovePolicy -> End
//! ```
//!
//! Whether a request is forced, and when the force is removed, is decided by [`crate::plan::bridge`], as for the
//! operator.

mod finish;

use std::time::Duration;

use serde_json::Value;

use crate::{
    api::{AcceptedBy, ClusterVersion, Condition, ConditionStatus, HistoryState, UpdateRecord, names::condition},
    cli::update::{operator::Operator, policy::PolicyState, request::Request},
    gate::{
        Snapshot, Source, TargetVerdict,
        request::{Standing, standing, word},
    },
    plan::{
        bridge::{
            ClusterChecks, ForcePatch, candidate, confirm,
            skip_reason::SkipReason,
            unforce::{ForceRemoval, KeepReason},
        },
        newest_entry::EntryStart,
        record_wait::{self, RecordWait},
        role::{CvoLease, owns_force},
        update_records,
    },
};

/// How long to wait for the CVO's next answer while the present one may be out of date: a refusal from before this run,
/// or one that is not about this request. A CVO tries again every 15 seconds.
pub const PATIENCE: Duration = Duration::from_secs(45);
/// How long a running operator has to force the request: it waits up to a minute for its record.
pub const OPERATOR: Duration = Duration::from_mins(2);
/// How long `Failing=True` lasts before the command gives up.
pub const FAILING: Duration = Duration::from_mins(10);

/// What the arguments ask for.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The request.
    pub request: Request,
    /// Wait until the update is over, and remove the force.
    pub wait: bool,
    /// `--without-policy`.
    pub without_policy: bool,
}

/// What this run remembers.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// True once the request was seen on the cluster, written by this run or earlier.
    pub asked: bool,
    /// The refusal that ClusterVersion had before this run made the request.
    pub old_word: Option<Condition>,
    /// The record was printed, because it cannot be written.
    pub shown: bool,
    /// What is known of the newest entry of the history.
    pub began: EntryStart,
    /// How long the present wait has lasted.
    pub waited: Duration,
    /// How long `Failing` has been `True`.
    pub failing_for: Duration,
    /// How long the ClusterVersion has not changed.
    pub unchanged_for: Duration,
    /// How long the record has been missing.
    pub record_missing_for: Duration,
    /// The last try to write the record has failed.
    pub record_fails: bool,
}

/// What is read besides the ClusterVersion, all of it after that.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The sources of the verdict, with the ClusterVersion.
    pub snapshot: Snapshot,
    /// The UpdateRecords, as they will be once `endings` are written.
    pub records: Source<Vec<UpdateRecord>>,
    /// What is missing in their status: names and patches.
    pub endings: Vec<(String, Value)>,
    /// The admission policy.
    pub policy: PolicyState,
    /// The CVO's Lease.
    pub cvo: CvoLease,
    /// The operator of upgrade-gate.
    pub operator: Operator,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read everything, then decide.
    Look,
    /// Write the request.
    Ask,
    /// Create the admission policy.
    InstallPolicy,
    /// Write an UpdateRecord.
    Record(Box<UpdateRecord>),
    /// Print it, as it cannot be written.
    Show(Box<UpdateRecord>),
    /// Write how the updates of the records ended.
    Close,
    /// Set the force.
    Force(Box<ForcePatch>),
    /// Remove it.
    Unforce(ForceRemoval),
    /// Delete the admission policy that this command created.
    RemovePolicy,
    /// Read the cluster again later.
    Wait(Wait),
    /// Stop.
    End(Ending),
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The CVO's answer to the request.
    Answer,
    /// The API server to enforce the policy that was created.
    Policy,
    /// The UpdateRecord, which can't be written or read.
    Record,
    /// A CVO that runs.
    Cvo,
    /// The operator, which does the forcing.
    Operator,
    /// The update to begin.
    Begin,
    /// The update to complete.
    Complete,
    /// The moment at which the force can be removed.
    Unforce(KeepReason),
}

impl Wait {
    /// Whether a record is written after it, so that this has to be tried again.
    #[must_use]
    pub fn is_for_record(&self) -> bool {
        matches!(self, Self::Record | Self::Complete | Self::Unforce(KeepReason::RecordOpen))
    }
}

/// How it ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The update has completed, and nothing of this command is left.
    Completed,
    /// The update has completed, and the force stays.
    Kept(KeepReason),
    /// Not waited for: the update was accepted, or is forced.
    Left {
        /// The force is set.
        forced: bool,
    },
    /// The CVO refuses it.
    Refused(Condition),
    /// The CVO refuses it for overrides, and it isn't forced.
    NotForced(SkipReason),
    /// The operator hasn't forced it, or hasn't removed the force.
    OperatorIdle,
    /// No CVO runs that could answer, or go on with the update.
    NoCvo(CvoLease),
    /// Another user has requested another release.
    Overtaken,
    /// The update has been failing for long.
    Failing(String),
}

/// Decides. Without `evidence` only the ClusterVersion is known; if that is not enough, returns
/// [`Step::Look`].
#[must_use]
pub fn next(goal: &Goal, memory: &Memory, cluster_version: &ClusterVersion, evidence: Option<&Evidence>) -> Step {
    let front = cluster_version.history().first().filter(|_| goal.request.is_in_front(cluster_version));
    let is_current = goal.request.is_current(cluster_version);
    let is_asked = goal.request.is_asked(cluster_version);
    match front.map(|front| front.state) {
        Some(HistoryState::Completed) if is_current => {
            let Some(evidence) = evidence else { return Step::Look };
            finish::finish(goal, memory, cluster_version, evidence, is_asked)
        }
        Some(HistoryState::Partial)
            if is_current && (goal.request.agrees(cluster_version) || !asks_for_any(cluster_version)) =>
        {
            running(goal, memory, cluster_version, evidence)
        }
        _ if !is_asked && memory.asked => end(Ending::Overtaken, cluster_version, evidence),
        _ if !is_asked => Step::Ask,
        _ => answer(goal, memory, cluster_version, evidence),
    }
}

fn asks_for_any(cluster_version: &ClusterVersion) -> bool {
    let request = cluster_version.spec.desired_update.as_ref();
    request.is_some_and(|request| !request.version.is_empty() || !request.image.is_empty())
}

/// Ends, after it has removed this command's policy unless a force still needs it.
fn end(ending: Ending, cluster_version: &ClusterVersion, evidence: Option<&Evidence>) -> Step {
    match evidence {
        None => Step::Look,
        Some(evidence) if evidence.policy.is_created_here() && !owns_force(cluster_version) => Step::RemovePolicy,
        Some(_) => Step::End(ending),
    }
}

/// The request is there, and the update hasn't begun.
fn answer(goal: &Goal, memory: &Memory, cluster_version: &ClusterVersion, evidence: Option<&Evidence>) -> Step {
    let is_forced = cluster_version.spec.desired_update.as_ref().is_some_and(|request| request.force);
    if is_forced {
        return forced(goal, memory, cluster_version, evidence);
    }
    let wait = |wait| while_a_cvo_runs(wait, memory, cluster_version, evidence);
    let Some(word) = word(cluster_version) else { return wait(Wait::Answer) };
    match standing(word) {
        Standing::Undecided => wait(Wait::Answer),
        Standing::Accepted if goal.wait => wait(Wait::Begin),
        Standing::Accepted => end(Ending::Left { forced: false }, cluster_version, evidence),
        Standing::Refused(_) if memory.old_word.as_ref() == Some(word) && memory.waited < PATIENCE => {
            Step::Wait(Wait::Answer)
        }
        Standing::Refused(_) => end(Ending::Refused(word.clone()), cluster_version, evidence),
        Standing::RefusedForOverrides => {
            let Some(evidence) = evidence else { return Step::Look };
            refused_for_overrides(goal, memory, cluster_version, evidence)
        }
    }
}

/// The CVO has to do something. Pulling a release takes time; a CVO that stopped never does it.
fn while_a_cvo_runs(
    wait: Wait,
    memory: &Memory,
    cluster_version: &ClusterVersion,
    evidence: Option<&Evidence>,
) -> Step {
    let limit = if wait == Wait::Complete { memory.unchanged_for >= FAILING } else { memory.waited >= PATIENCE };
    match evidence {
        _ if !limit => Step::Wait(wait),
        None => Step::Look,
        Some(Evidence { cvo: cvo @ (CvoLease::Stale | CvoLease::Absent), operator, .. })
            if *operator != Operator::Decides =>
        {
            end(Ending::NoCvo(*cvo), cluster_version, evidence)
        }
        Some(_) => Step::Wait(wait),
    }
}

/// The force is set. The refusal that it is about stays until the CVO has seen it; a release that can't be retrieved isn't
/// forced.
fn forced(goal: &Goal, memory: &Memory, cluster_version: &ClusterVersion, evidence: Option<&Evidence>) -> Step {
    if !goal.wait && owns_force(cluster_version) {
        return Step::End(Ending::Left { forced: true });
    }
    match word(cluster_version).map(|word| (word, standing(word))) {
        Some((word, Standing::Refused(_))) if memory.waited >= PATIENCE => {
            end(Ending::Refused(word.clone()), cluster_version, evidence)
        }
        Some((_, Standing::Accepted)) if !goal.wait => end(Ending::Left { forced: false }, cluster_version, evidence),
        Some(_) | None => while_a_cvo_runs(Wait::Begin, memory, cluster_version, evidence),
    }
}

/// The CVO refuses the request, and its message names overrides as the only reason.
fn refused_for_overrides(goal: &Goal, memory: &Memory, cluster_version: &ClusterVersion, evidence: &Evidence) -> Step {
    let end = |reason| {
        let ending = match reason {
            SkipReason::NoCvo => Ending::NoCvo(evidence.cvo),
            reason => Ending::NotForced(reason),
        };
        end(ending, cluster_version, Some(evidence))
    };
    let is_patient = memory.waited < PATIENCE;
    let is_in_force = matches!(evidence.policy, PolicyState::InForce { .. });
    let candidate = match candidate(&evidence.snapshot) {
        Ok(candidate) => candidate,
        Err(reason) if may_be_late(reason) && is_patient => return Step::Wait(Wait::Answer),
        Err(reason) => return end(reason),
    };
    let target_verdict = candidate.target_verdict().clone();
    let record = RecordWait::of(&evidence.records, cluster_version, &target_verdict, memory.record_fails);
    let checks = ClusterChecks {
        policy_installed: is_in_force || (goal.without_policy && !evidence.operator.acts()),
        cvo: evidence.cvo,
        record,
        record_missing_for: memory.record_missing_for,
    };
    let confirmed = confirm(candidate, &checks);
    if evidence.operator.acts() {
        return match confirmed {
            Ok(_) | Err(_) if memory.waited < OPERATOR => Step::Wait(Wait::Operator),
            Err(reason) if evidence.operator == Operator::Forces => end(reason),
            Ok(_) | Err(_) => self::end(Ending::OperatorIdle, cluster_version, Some(evidence)),
        };
    }
    match confirmed {
        Ok(force) => {
            let record = recorded(memory, cluster_version, evidence, &target_verdict);
            record.unwrap_or_else(|| Step::Force(Box::new(force)))
        }
        Err(SkipReason::NoPolicy) => match evidence.policy {
            PolicyState::Missing { .. } => Step::InstallPolicy,
            PolicyState::Settling { .. } if is_patient => Step::Wait(Wait::Policy),
            PolicyState::Settling { .. }
            | PolicyState::Foreign
            | PolicyState::Unreadable(_)
            | PolicyState::InForce { .. } => end(SkipReason::NoPolicy),
        },
        Err(SkipReason::NoCvo) if is_patient => Step::Wait(Wait::Cvo),
        Err(SkipReason::NoRecords) => Step::Wait(Wait::Record),
        Err(reason) => end(reason),
    }
}

/// Whether the CVO's next try may change that.
fn may_be_late(reason: SkipReason) -> bool {
    match reason {
        SkipReason::MessageOfAnother
        | SkipReason::MessageUnreadable
        | SkipReason::NotRefused
        | SkipReason::NoOverrides
        | SkipReason::NoCvo => true,
        SkipReason::NoRequest
        | SkipReason::UnknownFields
        | SkipReason::Architecture
        | SkipReason::Forced
        | SkipReason::Invalid
        | SkipReason::OtherPrecondition
        | SkipReason::NotPatch(_)
        | SkipReason::Blocked
        | SkipReason::Unfinished
        | SkipReason::NoPolicy
        | SkipReason::NoRecords => false,
    }
}

/// The record that has to be written before the force; `None` if it exists, or cannot be written.
fn recorded(
    memory: &Memory,
    cluster_version: &ClusterVersion,
    evidence: &Evidence,
    target_verdict: &TargetVerdict,
) -> Option<Step> {
    let Source::Read(records) = &evidence.records else { return None };
    if memory.record_fails && memory.record_missing_for >= record_wait::LIMIT {
        return None;
    }
    let now = evidence.snapshot.now.to_string();
    update_records::before_accepting(records, cluster_version, target_verdict, AcceptedBy::Bridge, &now)
        .map(Box::new)
        .map(Step::Record)
}

/// The update has begun.
fn running(goal: &Goal, memory: &Memory, cluster_version: &ClusterVersion, evidence: Option<&Evidence>) -> Step {
    if !goal.wait {
        return end(Ending::Left { forced: owns_force(cluster_version) }, cluster_version, evidence);
    }
    let failing = cluster_version.condition(condition::FAILING).filter(|found| found.status == ConditionStatus::True);
    match failing {
        Some(failing) if memory.failing_for >= FAILING => {
            end(Ending::Failing(failing.message.clone()), cluster_version, evidence)
        }
        Some(_) | None => while_a_cvo_runs(Wait::Complete, memory, cluster_version, evidence),
    }
}

#[cfg(test)]
mod tests;
