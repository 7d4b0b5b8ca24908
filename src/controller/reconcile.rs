//! The loop around [`step`]: observes the cluster, decides and acts, until nothing is left. Every decision is made by
//! `step`; here is what reads, writes and reports.
//!
//! From an event of a watch to a write:
//!
//! 1. [`Reconciler::take`] puts the event into the cache.
//! 2. [`Reconciler::turn`] reconciles if something may have to be done.
//! 3. `step` observes the cache, decides by [`step`], and reports what was decided.
//! 4. `answer` reads what the decision lacks, or `perform` makes the writes. Either result goes into the memory of the
//!    loop, and the next step starts from there.

use std::sync::Arc;

use futures::future::join_all;
use kube::Client;
use tokio::time::Instant;

use crate::{
    controller::{
        alarm::{Alarm, Clock},
        apply::{Answer, Writer},
        cache::{ClusterCache, Sources},
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
        step::{Decided, Memory, Next, Observation, Question, Settings, Step, step},
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
            reporter: Reporter::new(metrics, publisher, config.mode),
            cache: ClusterCache::new(),
            memory: Memory::new(Settings {
                mode: config.mode,
                vacant_after: config.vacant_after,
                degraded_after: config.degraded_after,
            }),
            clock,
            alarm: Alarm::new(clock),
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

    /// Observes the cluster, decides and reports; `None` while there is no ClusterVersion to judge.
    fn step(&mut self) -> Option<Step> {
        let leads = self.leader.may_write();
        self.reporter.leads(leads);
        let Sources { snapshot, operator, records } = self.cache.observe(now(), self.memory.authority())?;
        let observation = Observation { snapshot, operator, records, leads };
        let step = step(&mut self.memory, &observation, self.clock.now());
        self.reporter.report(&step, &observation);
        Some(step)
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

    /// Makes the writes at once, and remembers the result of each. Returns whether any was made; `None` where the lease
    /// has run out while something was asked.
    async fn perform(&mut self, writes: &[Write], decided: Option<(Decided, Verdict)>) -> Option<bool> {
        let until = self.leader.writes_until().filter(|until| Instant::now() < *until)?;
        let answers = join_all(writes.iter().map(|write| self.writer.apply(write, until))).await;
        let mut any = false;
        for (write, answer) in writes.iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    any = true;
                    self.written(write, answer, decided.as_ref());
                }
                Err(error) => self.failed(write.kind(), &error),
            }
        }
        Some(any)
    }

    /// Reports a write that was made, and remembers it and the object as it is now.
    fn written(&mut self, write: &Write, answer: Answer, decided: Option<&(Decided, Verdict)>) {
        self.reporter.metrics.wrote(write.kind().as_str(), "ok");
        if let Some((decided, verdict)) = decided {
            self.reporter.report_write(write, &self.memory, self.cache.snapshot(), (decided, verdict));
        }
        self.cache.take_answer(answer);
        let after = &self.cache.snapshot().cluster_version;
        if self.memory.wrote(write, after, self.clock.now()) {
            self.reporter.report_contention(after);
        }
    }

    /// Remembers a write that has failed; the next step decides what follows.
    fn failed(&mut self, kind: Kind, error: &WriteError) {
        self.reporter.metrics.wrote(kind.as_str(), error.category());
        if self.memory.failed(kind, error, self.clock.now()).is_news {
            tracing::warn!(write = kind.as_str(), %error, "a write has failed; trying again later");
        }
    }
}
