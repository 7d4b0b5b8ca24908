//! The loop around [`step`]: observes the cluster, asks what to do, and does it, until nothing is left. Every decision is
//! made by `step`; here is what reads, writes and reports.

use std::sync::Arc;

use futures::future::join_all;
use kube::Client;
use tokio::time::Instant;

use crate::{
    controller::{
        alarm::{Alarm, Clock},
        apply::{Answer, Writer},
        cache::ClusterCache,
        config::Config,
        events::EventPublisher,
        lease::Leader,
        metrics::Metrics,
        now, probe,
        reporter::Reporter,
        watch::Change,
    },
    gate::Verdict,
    plan::{
        Kind, Write,
        recovery::WriteError,
        role::{Mode, Role},
        step::{Decided, Memory, Next, Observation, Question, RoleChange, Settings, Step, step},
    },
};

/// Everything that the loop owns.
pub struct Reconciler {
    client: Client,
    writer: Writer,
    pub(super) leader: Leader,
    reporter: Reporter,
    cache: ClusterCache,
    pub(super) memory: Memory,
    clock: Clock,
    pub(super) alarm: Alarm,
    /// The role is detected, so that a change of it is worth an event.
    detects_role: bool,
    /// Something may have to be done.
    pub due: bool,
}

impl Reconciler {
    /// A loop that has seen nothing yet.
    pub fn new(
        config: &Config,
        client: &Client,
        leader: Leader,
        metrics: Arc<Metrics>,
        publisher: EventPublisher,
    ) -> Self {
        let clock = Clock::start();
        Self {
            client: client.clone(),
            writer: Writer::new(client),
            leader,
            reporter: Reporter::new(metrics, publisher),
            cache: ClusterCache::new(),
            memory: Memory::new(Settings {
                mode: config.mode,
                vacant_after: config.vacant_after,
                degraded_after: config.degraded_after,
            }),
            clock,
            alarm: Alarm::new(clock),
            detects_role: config.mode == Mode::Auto,
            due: false,
        }
    }

    /// Adds what a watch saw to the cache.
    pub fn take(&mut self, change: Change) {
        let news = self.cache.take(change);
        if self.cache.went_back() {
            self.memory.cache_went_back();
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
        if !self.memory.is_paused(self.clock.now()) && std::mem::take(&mut self.due) {
            let started = Instant::now();
            if self.reconcile().await {
                self.reporter.metrics.reconciled(started.elapsed());
            }
        }
    }

    /// Releases the lease.
    pub async fn stop(self) {
        self.leader.release().await;
    }

    /// Steps until nothing is left to do. Returns whether anything was written.
    async fn reconcile(&mut self) -> bool {
        let mut any = false;
        self.memory.begin_turn();
        while let Some(step) = self.step() {
            self.report(&step);
            match step.next {
                Next::Rest => break,
                Next::Ask(question) => self.answer(question).await,
                Next::Write(writes) => match self.perform(&writes, step.decided.zip(step.verdict)).await {
                    Some(written) => any |= written,
                    None => break,
                },
            }
        }
        self.due |= self.memory.is_paused(self.clock.now());
        any
    }

    /// Observes the cluster and decides; `None` while there is no ClusterVersion to judge.
    fn step(&mut self) -> Option<Step> {
        let leads = self.leader.may_write();
        self.reporter.metrics.leads(leads);
        self.cache.snapshot(now(), self.memory.authority())?;
        if !leads {
            self.reporter.forget();
        }
        let (snapshot, operator, records) = self.cache.all();
        Some(step(&mut self.memory, &Observation { snapshot, operator, records, leads }, self.clock.now()))
    }

    /// Reports what was decided: metrics, events, log.
    fn report(&mut self, step: &Step) {
        let (snapshot, _, records) = self.cache.all();
        let Some(verdict) = &step.verdict else { return };
        self.reporter.metrics.evaluated(snapshot, verdict);
        let Some(change) = step.role else { return };
        self.report_role(change);
        let Some(Decided { plan, force_patch, unforcing, start }) = &step.decided else { return };
        self.reporter.report_bridge(&snapshot.cluster_version, records, force_patch.as_ref());
        self.reporter.report_kept_force(unforcing.as_ref());
        if !matches!(change.role, Role::Replace | Role::Undecided) {
            self.reporter.report_role_without_writes(snapshot, verdict, change.role, &plan.desired);
        }
        if change.role == Role::Bridge {
            self.reporter.report_decisions((snapshot, verdict), force_patch.as_ref(), records, *start);
        }
    }

    /// Answers a question of the step.
    async fn answer(&mut self, question: Question) {
        match question {
            Question::Policy => self.memory.answer_policy(probe::policy_is_installed(&self.client).await),
            Question::CvoLease => {
                let lease = probe::cvo_lease(&self.client, now()).await;
                self.memory.answer_cvo_lease(lease, self.clock.now());
            }
            Question::ClusterVersion => {
                let read = self.read_cluster_version().await;
                self.memory.answer_cluster_version(read.as_ref().copied(), self.clock.now());
            }
            // The next observation has the authority of the new role.
            Question::Snapshot => {}
        }
    }

    /// Reads the ClusterVersion into the cache, and returns whether it is there.
    async fn read_cluster_version(&mut self) -> Result<bool, WriteError> {
        let read = self.writer.read().await;
        if let Err(error) = &read {
            tracing::warn!(%error, "reading the ClusterVersion again has failed");
        }
        let object = read?;
        let is_there = object.is_some();
        if let Some(object) = object {
            self.cache.take_answer(Answer::ClusterVersion(object));
        }
        Ok(is_there)
    }

    /// Makes the writes, and remembers what became of each. Returns whether any was made; `None` where the lease has run
    /// out while something was asked.
    async fn perform(&mut self, writes: &[Write], decided: Option<(Decided, Verdict)>) -> Option<bool> {
        let until = self.leader.writes_until().filter(|until| Instant::now() < *until)?;
        let answers = join_all(writes.iter().map(|write| self.writer.apply(write, until))).await;
        let mut any = false;
        for (write, answer) in writes.iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    any = true;
                    self.reporter.metrics.wrote(write.kind().as_str(), "ok");
                    if let Some(decided) = &decided {
                        self.report_write(write, decided);
                    }
                    self.cache.take_answer(answer);
                    let (snapshot, ..) = self.cache.all();
                    if self.memory.wrote(write, &snapshot.cluster_version, self.clock.now()) {
                        self.reporter.report_contention(&snapshot.cluster_version);
                    }
                }
                Err(error) => self.recover(write.kind(), &error),
            }
        }
        Some(any)
    }

    /// Remembers a write that has failed; the next step says what follows.
    fn recover(&mut self, kind: Kind, error: &WriteError) {
        self.reporter.metrics.wrote(kind.as_str(), error.category());
        if self.memory.failed(kind, error, self.clock.now()).is_news {
            tracing::warn!(write = kind.as_str(), %error, "a write has failed; trying again later");
        }
    }

    /// Reports a write that was made, on the ClusterVersion as it was before.
    fn report_write(&mut self, write: &Write, (decided, verdict): &(Decided, Verdict)) {
        let (snapshot, ..) = self.cache.all();
        match write {
            Write::Conditions(_) if self.memory.role() == Role::Replace => {
                self.reporter.report_conditions(snapshot, verdict, &decided.plan.desired);
            }
            Write::Force(force_patch) => {
                self.reporter.report_force(snapshot, force_patch, self.memory.record_is_missing());
            }
            Write::Unforce(_) => tracing::info!("spec.desiredUpdate.force was removed, as the update has completed"),
            Write::Conditions(_)
            | Write::Withdraw(_)
            | Write::History(_)
            | Write::Restore(_)
            | Write::Record(_)
            | Write::Operator(_) => {}
        }
    }

    fn report_role(&self, change: RoleChange) {
        let (snapshot, ..) = self.cache.all();
        self.reporter.metrics.acts_as(change.role);
        if change.is_new {
            self.reporter.report_role(&snapshot.cluster_version, change.role, change.why, self.detects_role);
        } else if change.role == Role::Undecided && change.has_another_reason {
            tracing::warn!(why = change.why, "nothing is written yet");
        }
    }
}
