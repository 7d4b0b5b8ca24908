//! One step of the loop, as a function: takes what was observed, and returns what the shell does next. All that the
//! loop remembers is in [`Memory`], so a test that calls [`step`] decides as the operator does.
//!
//! The shell repeats: observe, step, and do what the step returns, until that is [`Next::Rest`].
//!
//! - [`Next::Ask`]: read that from the API server, pass the answer to [`Memory`], and step again.
//! - [`Next::Write`]: make these writes, pass each result to [`Memory::wrote`] or [`Memory::failed`], and step again.
//! - [`Next::Rest`]: wait for a change, or for [`Memory::next_deadline`].

mod memory;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::memory::{Answered, RecordMissing};
pub use self::memory::{Failed, Memory, Settings};
use crate::{
    api::{OwnOperator, UpdateRecord},
    gate::{Snapshot, Source, Verdict, evaluate, release::is_unfinished},
    plan::{
        bridge::{ClusterChecks, ForceDecision, candidate, confirm, skip_reason::SkipReason, unforce},
        degraded::{self, Health, Problem},
        input::{Plan, PlanInput},
        moment::Moment,
        newest_entry::EntryStart,
        plan,
        record_state::{RecordTries, record_state},
        record_wait::RecordWait,
        recovery::Recovery,
        role::{self, CvoLease, Mode, Role, RoleInput},
        throttle::throttle,
        write::{Kind, Write},
    },
};

/// How many evaluations one turn may have: for the writes after one event, for conflicts in between, and for a last one
/// that finds nothing to do. Reaching it indicates a defect.
const EVALUATIONS: u8 = 16;
/// How old the CVO's Lease in memory may be if it is only reported, and nothing is decided by it.
const LEASE_AGE: Duration = Duration::from_secs(10);

/// The cluster as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The sources, with the authority of the present role.
    pub snapshot: &'a Snapshot,
    /// Our own ClusterOperator.
    pub operator: &'a Source<Option<OwnOperator>>,
    /// All UpdateRecords.
    pub records: &'a Source<Vec<UpdateRecord>>,
    /// This replica may write.
    pub leads: bool,
}

/// What the shell does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// These writes, at once.
    Write(Vec<Write>),
    /// Read something, and step again.
    Ask(Question),
    /// Nothing, until something changes.
    Rest,
}

/// What is read from the API server when it is needed, rather than watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether the admission policy and a binding that denies are installed.
    Policy,
    /// The CVO's Lease.
    CvoLease,
    /// The ClusterVersion as it is now.
    ClusterVersion,
    /// The same snapshot again, under the authority of the new role.
    Snapshot,
}

/// A step, and what is reported about it.
#[derive(Clone, Debug)]
pub struct Step {
    /// What the shell does next.
    pub next: Next,
    /// The verdict on the snapshot; `None` where the step didn't need one.
    pub verdict: Option<Verdict>,
    /// The role, where this replica leads.
    pub role: Option<RoleChange>,
    /// What was decided; `None` where something was missing for that.
    pub decided: Option<Decided>,
}

impl Step {
    fn new(next: Next) -> Self {
        Self { next, verdict: None, role: None, decided: None }
    }
}

/// The role, and how it differs from the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleChange {
    /// The role.
    pub role: Role,
    /// Why it is.
    pub why: &'static str,
    /// It is another one than before.
    pub is_new: bool,
    /// It is for another reason than before.
    pub has_another_reason: bool,
}

/// What was decided in a step.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The desired state, and all that differs from it.
    pub plan: Plan,
    /// What the bridge decided on the request; `None` in any other role.
    pub force: Option<ForceDecision>,
    /// What was decided on a force of ours in spec; `None` where there is none.
    pub removal: Option<unforce::RemovalDecision>,
    /// What was seen of the newest entry of the history.
    pub start: EntryStart,
}

/// Decides what is done next.
#[must_use]
pub fn step(memory: &mut Memory, observation: &Observation<'_>, now: Moment) -> Step {
    match memory.turn.recovery.take() {
        Some(Recovery::Await | Recovery::Stop) => Step::new(Next::Rest),
        Some(Recovery::Read) => Step::new(Next::Ask(Question::ClusterVersion)),
        Some(Recovery::Skip) | None if memory.turn.evaluations == EVALUATIONS => {
            memory.pause(now);
            Step::new(Next::Rest)
        }
        Some(Recovery::Skip) | None => memory.evaluate(observation, now),
    }
}

impl Memory {
    /// Evaluates the cluster: who gates it, what the bridge may do, what differs from the plan, and which of these
    /// writes are made now. If an answer is missing, it is asked for, and the same evaluation is made again with it.
    fn evaluate(&mut self, observation: &Observation<'_>, now: Moment) -> Step {
        let snapshot = observation.snapshot;
        let verdict = evaluate(snapshot);
        let start = self.newest_entry.observe(&snapshot.cluster_version, observation.records);
        if !observation.leads {
            self.step_down();
            return Step { verdict: Some(verdict), ..Step::new(Next::Rest) };
        }
        let role = match self.decide_role(snapshot, &verdict, now) {
            Ok(role) => role,
            Err(question) => return Step { verdict: Some(verdict), ..Step::new(Next::Ask(question)) },
        };
        let (next, decided) = if role.is_new {
            self.end_evaluation();
            (Next::Ask(Question::Snapshot), None)
        } else {
            match self.decide(observation, &verdict, start, now) {
                Ok(decided) => {
                    let next = self.choose(&decided.plan.writes, observation, now);
                    self.end_evaluation();
                    (next, Some(decided))
                }
                Err(question) => (Next::Ask(question), None),
            }
        };
        Step { next, verdict: Some(verdict), role: Some(role), decided }
    }

    fn end_evaluation(&mut self) {
        self.turn.evaluations += 1;
        self.turn.answered = Answered::default();
    }

    /// Decides who gates this cluster.
    fn decide_role(&mut self, snapshot: &Snapshot, verdict: &Verdict, now: Moment) -> Result<RoleChange, Question> {
        let cluster_version = &snapshot.cluster_version;
        self.ledger.note_ownership(cluster_version, self.role);
        let is_ungated = self.role == Role::Bridge && role::is_ungated(cluster_version, verdict);
        self.ungated_since = is_ungated.then(|| self.ungated_since.unwrap_or(now));
        let is_unknown = self.role == Role::Undecided && !role::owns_upgradeable(cluster_version);
        if self.settings.mode == Mode::Auto
            && (is_unknown || is_ungated)
            && let Some(question) = self.must_read_cvo_lease(now)
        {
            return Err(question);
        }
        let input = RoleInput {
            lease: self.cvo_lease(),
            overwritten: self.ledger.is_overwritten(),
            ungated_for: self.ungated_since.map(|since| now.since(since)),
            vacant_after: self.settings.vacant_after,
            before: self.role,
        };
        let (role, why) = role::role(self.settings.mode, cluster_version, &input);
        let is_new = role != self.role;
        let change = RoleChange { role, why, is_new, has_another_reason: why != self.why };
        if is_new || role == Role::Undecided {
            (self.role, self.why) = (role, why);
        }
        Ok(change)
    }

    /// Decides on the request and on a force of ours, and computes the desired state and what differs from it.
    fn decide(
        &mut self,
        observation: &Observation<'_>,
        verdict: &Verdict,
        start: EntryStart,
        now: Moment,
    ) -> Result<Decided, Question> {
        let Observation { snapshot, operator, records, leads: _ } = *observation;
        let cluster_version = &snapshot.cluster_version;
        let force = self.decide_force(observation, now)?;
        let cvo = self.cvo_of_request(snapshot, verdict, now)?;
        let removal = unforce::decide(cluster_version, &snapshot.cluster_operators, records, start);
        let problems = self.problems(observation, force.as_ref(), now);
        let tries = RecordTries {
            history_fails: self.backoff.is_failing(Kind::History, now),
            history_is_reverted: self.ledger.must_wait(Kind::History, now) && self.ledger.has_recorded(cluster_version),
            record_fails: self.backoff.is_failing(Kind::Record, now),
        };
        let plan = plan(&PlanInput {
            snapshot,
            verdict,
            role: self.role,
            why: self.why,
            operator,
            records,
            force: force.as_ref(),
            start,
            removal: removal.as_ref(),
            record_state: record_state(tries, self.role, (snapshot, verdict), records, start),
            problems: &problems,
            degraded_after: self.settings.degraded_after,
            cvo,
            is_restored: self.ledger.has_restored(cluster_version),
        });
        if self.role == Role::Replace {
            self.ledger.note_published(cluster_version, &plan.desired);
        }
        Ok(Decided { plan, force, removal, start })
    }

    /// Decides whether the request is forced.
    fn decide_force(&mut self, observation: &Observation<'_>, now: Moment) -> Result<Option<ForceDecision>, Question> {
        let force = match self.role {
            Role::Bridge => Some(self.confirmed(observation, now)?),
            Role::Undecided | Role::Replace | Role::Guard | Role::Observe => None,
        };
        if !matches!(force, Some(Ok(_) | Err(SkipReason::NoRecords))) {
            self.record_missing = None;
        }
        Ok(force)
    }

    /// Both stages of the bridge. Policy and Lease are read only where nothing else is missing.
    fn confirmed(&mut self, observation: &Observation<'_>, now: Moment) -> Result<ForceDecision, Question> {
        let cluster_version = &observation.snapshot.cluster_version;
        let candidate = match candidate(observation.snapshot) {
            Ok(_) if self.ledger.has_forced(cluster_version) => return Ok(Err(SkipReason::Forced)),
            Ok(candidate) => candidate,
            Err(skip_reason) => return Ok(Err(skip_reason)),
        };
        let answered = self.turn.answered;
        let policy_installed = answered.policy.ok_or(Question::Policy)?;
        if policy_installed && !answered.cvo_lease_after_policy {
            return Err(Question::CvoLease);
        }
        let is_failing = self.backoff.is_failing(Kind::Record, now);
        let record = RecordWait::of(observation.records, cluster_version, candidate.target_verdict(), is_failing);
        let metadata = &cluster_version.metadata;
        let known = self.record_missing.take();
        let known = known.filter(|known| known.uid == metadata.uid && known.generation == metadata.generation);
        let since = known.map_or(now, |known| known.since);
        if record.is_missing() {
            self.record_missing =
                Some(RecordMissing { uid: metadata.uid.clone(), generation: metadata.generation, since });
        }
        let checks =
            ClusterChecks { policy_installed, cvo: self.cvo_lease(), record, record_missing_for: now.since(since) };
        Ok(confirm(candidate, &checks))
    }

    /// The CVO's Lease, where an update waits for a CVO or runs: for what the ClusterOperator reports, it may be some
    /// seconds old.
    fn cvo_of_request(&self, snapshot: &Snapshot, verdict: &Verdict, now: Moment) -> Result<CvoLease, Question> {
        let is_asked_for =
            verdict.request().is_some_and(|request| !request.is_current || is_unfinished(&snapshot.cluster_version));
        if self.role != Role::Bridge || !is_asked_for {
            return Ok(CvoLease::Unknown);
        }
        if let Some(lease) = self.cvo_lease_within(LEASE_AGE, now) {
            return Ok(lease);
        }
        match self.must_read_cvo_lease(now) {
            Some(question) => Err(question),
            None => Ok(self.cvo_lease()),
        }
    }

    /// The problems of this operator, and how long each has lasted.
    fn problems(
        &mut self,
        observation: &Observation<'_>,
        force: Option<&ForceDecision>,
        now: Moment,
    ) -> Vec<(Problem, Duration)> {
        let failed = self.backoff.failed_last();
        let health = Health {
            snapshot: observation.snapshot,
            records: observation.records,
            failed: &failed,
            contended: self.ledger.is_contended(now),
            force,
        };
        self.lasting.observe(degraded::problems(&health), now)
    }

    /// Chooses the writes that are made now.
    fn choose(&mut self, planned: &[Write], observation: &Observation<'_>, now: Moment) -> Next {
        let cluster_version = &observation.snapshot.cluster_version;
        let chosen = throttle(planned, cluster_version, &mut self.backoff, &self.ledger, now);
        let Some(first) = chosen.writes.first() else { return Next::Rest };
        // A record's resourceVersion proves nothing about the ClusterVersion: a new leader whose watch of the latter
        // lags would call a record of its predecessor abandoned, as the request that it is about isn't there yet.
        if first.kind() == Kind::Record && !self.cache_is_fresh {
            self.turn.reads_for = Some(Kind::Record);
            return Next::Ask(Question::ClusterVersion);
        }
        self.turn.contended = chosen.reverted;
        Next::Write(chosen.writes)
    }
}
