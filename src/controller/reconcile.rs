//! One turn of the loop: evaluate, decide on the role, plan, and make one write after the other until none is
//! missing. All state that outlives a turn is here.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use kube::Client;
use tokio::time::Instant;

use crate::{
    controller::{
        apply::{ApplyError, Writer},
        backoff::WriteBackoff,
        cache::ClusterCache,
        config::Config,
        events::EventPublisher,
        lease::Leader,
        metrics::Metrics,
        now, probe,
        reporter::Reporter,
        watch::Change,
    },
    gate::{Snapshot, Verdict, evaluate, release::is_unfinished},
    plan::{
        self, Conditions, Kind, PlanInput, Write,
        bridge::{self, Candidate, ClusterChecks, ForcePatch, skip_reason::SkipReason, unforce},
        degraded::{self, Health, Lasting, Problem},
        front::Front,
        moment::Moment,
        record_wait::{self, RecordWait},
        role::{self, CvoLease, Mode, Role, RoleInput},
    },
};

/// Looks in one turn at most: what one event calls for, what was found stale in between, and that nothing is left.
const STEPS: usize = 16;
/// How often in a row a write that was found stale is planned anew right away: whoever was faster is done by then.
const STALE: u32 = 4;
/// For how long a CVO that renews its Lease is taken to be there.
const REST: Duration = Duration::from_secs(3);
/// How old what is known of the CVO's Lease may be where nothing is decided on it.
const LEASE_AGE: Duration = Duration::from_secs(10);

/// Everything that the loop owns.
pub struct Reconciler {
    start: Instant,
    mode: Mode,
    vacant_after: Duration,
    degraded_after: Duration,
    client: Client,
    writer: Writer,
    pub(super) leader: Leader,
    reporter: Reporter,
    cache: ClusterCache,
    pub(super) backoff: WriteBackoff,
    role: Role,
    why: &'static str,
    /// What the CVO's Lease said, and when.
    lease: Option<(CvoLease, Instant)>,
    /// The object on which `Upgradeable` was ours once.
    owned_uid: Option<String>,
    overwritten: bool,
    ungated_since: Option<Instant>,
    front: Front,
    lasting: Lasting,
    /// What is seen of the ClusterVersion is no older than what a former leader has planned on.
    cache_is_fresh: bool,
    /// Since when the record of the update that is about to be forced has been missing, by uid and generation.
    record_missing: Option<(String, i64, Instant)>,
    /// The uid and generation that were forced.
    forced: Option<(String, i64)>,
    restored: Vec<String>,
    /// Something may have to be done.
    pub due: bool,
}

/// What follows a write that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The ClusterVersion is read anew, and everything is planned once more.
    Read,
    /// The watch will tell.
    Await,
    /// That kind of write waits, the others go on.
    Skip,
    /// That kind of write waits, and so do the others, now: they stand on this one.
    Stop,
}

/// What follows, `failures` in a row included; what the server refuses mustn't keep the rest back.
#[must_use]
pub fn after(error: &ApplyError, kind: Kind, failures: u32) -> Recovery {
    let again = match error {
        ApplyError::Stale(_) => failures <= STALE,
        ApplyError::Invalid(_) => failures <= 1,
        ApplyError::Owned(_)
        | ApplyError::Gone
        | ApplyError::Refused(_)
        | ApplyError::TooLarge(_)
        | ApplyError::Unanswered(_) => false,
    };
    match error {
        _ if again && kind.is_on_cluster_version() => Recovery::Read,
        ApplyError::Gone if kind.is_on_cluster_version() => Recovery::Await,
        // What stands apart from the gate mustn't hold it up.
        ApplyError::Unanswered(_) if kind.is_on_cluster_version() => Recovery::Stop,
        _ => Recovery::Skip,
    }
}

/// Whether the ClusterVersion is read anew before that write. A record's `resourceVersion` says nothing about the
/// ClusterVersion: a new leader whose watch of the latter lags would call a record of its predecessor abandoned, as
/// the request that it is about isn't there yet.
#[must_use]
pub fn needs_a_look(kind: Kind, cache_is_fresh: bool) -> bool {
    kind == Kind::Record && !cache_is_fresh
}

/// Notes that the cluster has the conditions as they should be, so that a later revert is recognised.
fn note_published(backoff: &mut WriteBackoff, snapshot: &Snapshot, conditions: &Conditions) {
    let wanted = [&conditions.upgradeable, &conditions.release_accepted];
    if wanted.iter().all(|wanted| snapshot.cluster_version.condition(&wanted.kind) == Some(*wanted)) {
        backoff.stands(snapshot, conditions);
    }
}

impl Reconciler {
    /// A gate that has seen nothing yet.
    pub fn new(
        config: &Config,
        client: &Client,
        leader: Leader,
        metrics: Arc<Metrics>,
        publisher: EventPublisher,
    ) -> Self {
        Self {
            start: Instant::now(),
            mode: config.mode,
            vacant_after: config.vacant_after,
            degraded_after: config.degraded_after,
            client: client.clone(),
            writer: Writer::new(client),
            leader,
            reporter: Reporter::new(metrics, publisher),
            cache: ClusterCache::new(),
            backoff: WriteBackoff::default(),
            role: Role::Undecided,
            why: "nothing was seen yet",
            lease: None,
            owned_uid: None,
            overwritten: false,
            ungated_since: None,
            front: Front::default(),
            lasting: Lasting::default(),
            cache_is_fresh: false,
            record_missing: None,
            forced: None,
            restored: Vec::new(),
            due: false,
        }
    }

    /// Takes in what a watch saw.
    pub fn take(&mut self, change: Change) {
        let news = self.cache.take(change);
        if self.cache.went_back() {
            self.cache_is_fresh = false;
        }
        if news {
            self.due = true;
            if let Some(why) = self.cache.unreadable() {
                tracing::error!(why, "nothing can be judged");
            }
        }
    }

    /// Whether every source has been seen.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.cache.is_complete()
    }

    /// Does what is due.
    pub async fn turn(&mut self) {
        if !self.backoff.is_paused() && std::mem::take(&mut self.due) {
            let started = Instant::now();
            if self.reconcile().await {
                self.reporter.metrics.reconciled(started.elapsed());
            }
        }
    }

    /// Gives the lease back, and lets go of the events.
    pub async fn stop(self) {
        self.leader.release().await;
    }

    /// Writes until the cluster says what the verdict says, or something speaks against it. Returns whether
    /// anything was written.
    async fn reconcile(&mut self) -> bool {
        let mut failures = 0;
        let mut any = false;
        for _ in 0..STEPS {
            let leads = self.leader.may_write();
            self.reporter.metrics.leads(leads);
            let authority = self.role.authority();
            let Some(snapshot) = self.cache.snapshot(now(), authority) else { return any };
            let verdict = evaluate(snapshot);
            self.reporter.metrics.evaluated(snapshot, &verdict);
            let (snapshot, _, records) = self.cache.all();
            let began = self.front.look(&snapshot.cluster_version, records);
            if !leads {
                self.step_down();
                return any;
            }
            if self.decide_role(&verdict).await {
                // Another role has another authority.
                continue;
            }
            let force_patch = self.force_patch().await;
            if force_patch.is_none() {
                self.record_missing = None;
            }
            let cvo = self.cvo_of_request(&verdict).await;
            let problems = self.problems(force_patch.as_ref());
            let failing = self.backoff.failing();
            let (snapshot, operator, records) = self.cache.all();
            let judged = (snapshot, &verdict, self.role);
            let unforcing = unforce::decide(&snapshot.cluster_version, &snapshot.cluster_operators, records, began);
            let in_history = self.backoff.record_state(snapshot);
            let record_state = plan::record_state(in_history, judged, records, began, &failing);
            let input = PlanInput {
                snapshot,
                verdict: &verdict,
                role: self.role,
                why: self.why,
                operator,
                records,
                force_patch: force_patch.as_ref(),
                began,
                unforcing: unforcing.as_ref(),
                record_state,
                failing: &failing,
                problems: &problems,
                degraded_after: self.degraded_after,
                cvo,
                restored: &self.restored,
            };
            let writes = plan::plan(&input);
            if self.role == Role::Replace {
                note_published(&mut self.backoff, snapshot, &plan::conditions(snapshot, &verdict, record_state));
            }
            self.reporter.bridges(&snapshot.cluster_version, records, force_patch.as_ref());
            self.reporter.keeps_force(unforcing.as_ref());
            if !matches!(self.role, Role::Replace | Role::Undecided) {
                self.reporter.report_role_without_writes(snapshot, &verdict, self.role);
            }
            if self.role == Role::Bridge {
                self.reporter.report_decisions((snapshot, &verdict), force_patch.as_ref(), records, began);
            }
            let batch = self.next(writes);
            if batch.first().is_some_and(|write| needs_a_look(write.kind(), self.cache_is_fresh)) {
                if !self.read(Kind::Record).await {
                    return any;
                }
                self.cache_is_fresh = true;
                continue;
            }
            // The lease may have run out while something was asked.
            let until = self.leader.writes_until().filter(|until| Instant::now() < *until);
            let (Some(until), false) = (until, batch.is_empty()) else { return any };
            let answers = join_all(batch.iter().map(|write| self.writer.apply(write, until))).await;
            let mut goes_on = true;
            for (write, answer) in batch.iter().zip(answers) {
                match answer {
                    Ok(answer) => {
                        any = true;
                        failures = 0;
                        self.reporter.metrics.wrote(write.kind().as_str(), "ok");
                        self.written(write, &verdict, record_state);
                        self.cache.take_answer(answer);
                        self.after_force(write);
                    }
                    Err(error) => {
                        self.reporter.metrics.wrote(write.kind().as_str(), error.category());
                        failures += 1;
                        goes_on &= self.recover(write, error, failures).await;
                    }
                }
            }
            if !goes_on {
                return any;
            }
        }
        self.backoff.pause();
        self.due = true;
        any
    }

    /// Another replica leads, or none: what it writes meanwhile takes nothing back, and it does the waiting.
    fn step_down(&mut self) {
        self.reporter.steps_down();
        self.lasting = Lasting::default();
        self.backoff = WriteBackoff::default();
        self.cache_is_fresh = false;
        self.record_missing = None;
        self.ungated_since = None;
    }

    /// What keeps this operator from its work, and how long it has lasted.
    fn problems(&mut self, force_patch: Option<&Result<ForcePatch, SkipReason>>) -> Vec<(Problem, Duration)> {
        let (snapshot, _, records) = self.cache.all();
        let failed = self.backoff.failed_last();
        let health = Health { snapshot, records, failed: &failed, contended: self.backoff.contends(), force_patch };
        self.lasting.look(degraded::problems(&health), Moment(self.start.elapsed()))
    }

    /// The writes that are made now, none where nothing may be.
    fn next(&mut self, writes: Vec<Write>) -> Vec<Write> {
        if writes.is_empty() {
            self.backoff.settled();
        }
        let (snapshot, ..) = self.cache.all();
        plan::made_at_once(writes.into_iter().filter(|write| {
            let waits = self.backoff.is_contended(write, snapshot) && self.backoff.waits(write.kind());
            !self.backoff.is_repeated(write) && !waits
        }))
    }

    /// Looks who gates here. Returns whether the role has changed.
    async fn decide_role(&mut self, verdict: &Verdict) -> bool {
        let Some(cluster_version) = self.cache.cluster_version() else { return false };
        let owned = role::owns_upgradeable(cluster_version);
        let uid = &cluster_version.metadata.uid;
        if owned {
            self.owned_uid = Some(uid.clone());
        } else if self.owned_uid.as_ref() == Some(uid) && matches!(self.role, Role::Replace | Role::Guard) {
            self.overwritten = true;
        }
        let ungated = self.role == Role::Bridge && role::is_ungated(cluster_version, verdict);
        self.ungated_since = ungated.then(|| self.ungated_since.unwrap_or_else(Instant::now));
        if self.mode == Mode::Auto && (self.role == Role::Undecided && !owned || ungated) {
            self.look_for_cvo().await;
        }
        let Some(cluster_version) = self.cache.cluster_version() else { return false };
        let evidence = RoleInput {
            lease: self.lease.map_or(CvoLease::Unknown, |(lease, _)| lease),
            overwritten: self.overwritten,
            ungated_for: self.ungated_since.map(|since| since.elapsed()),
            vacant_after: self.vacant_after,
            before: self.role,
        };
        let (role, why) = role::role(self.mode, cluster_version, &evidence);
        self.reporter.metrics.acts_as(role);
        if role == self.role {
            if role == Role::Undecided && why != self.why {
                self.why = why;
                tracing::warn!(why, "nothing is written yet");
            }
            return false;
        }
        (self.role, self.why) = (role, why);
        self.reporter.acts_as(cluster_version, role, why, self.mode == Mode::Auto);
        true
    }

    /// Whether a CVO renews its Lease, as read at most [`REST`] ago.
    async fn look_for_cvo(&mut self) -> CvoLease {
        match self.lease {
            Some((CvoLease::Fresh, at)) if at.elapsed() < REST => CvoLease::Fresh,
            _ => self.read_cvo_lease().await,
        }
    }

    /// Whether a CVO renews its Lease now.
    async fn read_cvo_lease(&mut self) -> CvoLease {
        let lease = probe::cvo_lease(&self.client, now()).await;
        self.lease = Some((lease, Instant::now()));
        lease
    }

    /// The CVO's Lease, where an update waits for a CVO or runs: for what the ClusterOperator says, it may be some seconds
    /// old.
    async fn cvo_of_request(&mut self, verdict: &Verdict) -> CvoLease {
        let Some(cluster_version) = self.cache.cluster_version() else { return CvoLease::Unknown };
        let is_asked_for =
            verdict.request().is_some_and(|request| !request.is_current || is_unfinished(cluster_version));
        if self.role != Role::Bridge || !is_asked_for {
            return CvoLease::Unknown;
        }
        match self.lease {
            Some((lease, at)) if at.elapsed() < LEASE_AGE => lease,
            _ => self.look_for_cvo().await,
        }
    }

    /// What the bridge says of the request. Policy and Lease are read only when nothing else is missing.
    async fn force_patch(&mut self) -> Option<Result<ForcePatch, SkipReason>> {
        if self.role != Role::Bridge {
            return None;
        }
        let force_patch = self.confirmed().await;
        if !matches!(force_patch, Ok(_) | Err(SkipReason::NoRecords)) {
            self.record_missing = None;
        }
        Some(force_patch)
    }

    async fn confirmed(&mut self) -> Result<ForcePatch, SkipReason> {
        let (snapshot, ..) = self.cache.all();
        let candidate = bridge::candidate(snapshot)?;
        let metadata = &snapshot.cluster_version.metadata;
        if self.forced.as_ref() == Some(&(metadata.uid.clone(), metadata.generation)) {
            return Err(SkipReason::Forced);
        }
        let policy_installed = probe::policy_is_installed(&self.client).await;
        let cvo = if policy_installed { self.read_cvo_lease().await } else { CvoLease::Unknown };
        let (record, record_missing_for) = self.record_of(&candidate);
        bridge::confirm(candidate, &ClusterChecks { policy_installed, cvo, record, record_missing_for })
    }

    /// The record of a request that may be forced, and how long it has been missing.
    fn record_of(&mut self, candidate: &Candidate) -> (RecordWait, Duration) {
        let (snapshot, _, records) = self.cache.all();
        let metadata = &snapshot.cluster_version.metadata;
        let is_failing = self.backoff.failing().iter().any(|(kind, _)| *kind == Kind::Record);
        let state = RecordWait::of(records, &snapshot.cluster_version, candidate.target_verdict(), is_failing);
        let now = Instant::now();
        let known = self.record_missing.take();
        let since = known.filter(|(uid, generation, _)| *uid == metadata.uid && *generation == metadata.generation);
        let since = since.map_or(now, |(.., since)| since);
        if state.is_missing() {
            self.record_missing = Some((metadata.uid.clone(), metadata.generation, since));
        }
        let missing_for = now.duration_since(since);
        if state.holds_back(missing_for) {
            self.backoff.wake_at(since + record_wait::LIMIT);
        }
        (state, missing_for)
    }

    /// Remembers a write, and says what it means.
    fn written(&mut self, write: &Write, verdict: &Verdict, record_state: plan::RecordState) {
        let (snapshot, ..) = self.cache.all();
        if self.backoff.is_contended(write, snapshot) {
            self.backoff.fought(write.kind());
            self.reporter.contends(&snapshot.cluster_version);
        }
        self.backoff.wrote(write, snapshot);
        match write {
            Write::Conditions(_) if self.role == Role::Replace => {
                self.reporter.decided(snapshot, verdict, record_state)
            }
            Write::Force(force_patch) => self.reporter.forced(snapshot, force_patch, self.record_missing.is_some()),
            Write::Restore(_) => {
                let front = snapshot.cluster_version.history().first();
                self.restored.extend(front.map(|entry| entry.started_time.clone()));
            }
            Write::Unforce(_) => tracing::info!("spec.desiredUpdate.force was removed, as the update has completed"),
            Write::Conditions(_) | Write::Withdraw(_) | Write::History(_) | Write::Record(_) | Write::Operator(_) => {}
        }
    }

    /// Once for each generation: the one that the write made, should somebody strip the force from it.
    fn after_force(&mut self, write: &Write) {
        if let (Write::Force(_), Some(cluster_version)) = (write, self.cache.cluster_version()) {
            self.forced = Some((cluster_version.metadata.uid.clone(), cluster_version.metadata.generation));
        }
    }

    /// Recovery a failed write: reads anew, and says whether to plan once more right away.
    async fn recover(&mut self, write: &Write, error: ApplyError, failures: u32) -> bool {
        let kind = write.kind();
        let next = after(&error, kind, failures);
        match next {
            Recovery::Read => return self.read(kind).await,
            Recovery::Await => return false,
            Recovery::Skip | Recovery::Stop => {}
        }
        if self.backoff.failed(kind, &error) {
            tracing::warn!(write = kind.as_str(), %error, "a write has failed; trying again later");
        }
        next == Recovery::Skip
    }

    /// Reads the ClusterVersion anew, and says whether to plan on it.
    async fn read(&mut self, kind: Kind) -> bool {
        match self.writer.read().await {
            Ok(Some(object)) => {
                self.cache.take_answer(crate::controller::apply::Answer::ClusterVersion(object));
                true
            }
            // The watch will tell that it is gone.
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "reading the ClusterVersion anew has failed");
                self.backoff.failed(kind, &error);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::somebody_was_faster(ApplyError::Stale(String::new()), Kind::Conditions, 4, Recovery::Read)]
    #[case::again_and_again(ApplyError::Stale(String::new()), Kind::Conditions, 5, Recovery::Skip)]
    #[case::not_what_it_is_taken_for(ApplyError::Invalid(String::new()), Kind::History, 1, Recovery::Read)]
    #[case::nor_is_it_at_the_second_look(ApplyError::Invalid(String::new()), Kind::History, 2, Recovery::Skip)]
    #[case::the_cluster_version_is_gone(ApplyError::Gone, Kind::Force, 1, Recovery::Await)]
    #[case::a_record_is_gone(ApplyError::Gone, Kind::Record, 1, Recovery::Skip)]
    #[case::a_record_is_there_already(ApplyError::Stale(String::new()), Kind::Record, 1, Recovery::Skip)]
    #[case::our_operator_has_changed(ApplyError::Stale(String::new()), Kind::Operator, 1, Recovery::Skip)]
    #[case::refused(ApplyError::Refused(String::new()), Kind::Withdraw, 1, Recovery::Skip)]
    #[case::owned(ApplyError::Owned(String::new()), Kind::Conditions, 1, Recovery::Skip)]
    #[case::no_answer(ApplyError::Unanswered(String::new()), Kind::Restore, 1, Recovery::Stop)]
    #[case::no_answer_on_a_record_holds_nothing_up(
        ApplyError::Unanswered(String::new()),
        Kind::Record,
        1,
        Recovery::Skip
    )]
    fn what_follows_a_failure(
        #[case] error: ApplyError,
        #[case] kind: Kind,
        #[case] failures: u32,
        #[case] expected: Recovery,
    ) {
        assert_eq!(after(&error, kind, failures), expected);
    }

    #[rstest]
    #[case::a_new_leader_first_looks(Kind::Record, false, true)]
    #[case::and_then_it_knows(Kind::Record, true, false)]
    #[case::other_writes_tell_by_themselves(Kind::History, false, false)]
    fn a_record_is_not_written_on_what_may_be_long_past(
        #[case] kind: Kind,
        #[case] cache_is_fresh: bool,
        #[case] expected: bool,
    ) {
        assert_eq!(needs_a_look(kind, cache_is_fresh), expected);
    }
}
