//! The shell: watch, evaluate, plan, apply. One loop owns all state; everything that it decides is in pure
//! functions of [`plan`](mod@plan), [`history`] and [`events`].

mod apply;
mod events;
mod history;
mod leader;
mod observe;
mod pace;
mod plan;
mod watch;

use std::{sync::Arc, time::Duration};

use kube::{Api, Client};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

use self::{
    apply::ApplyError,
    events::{Announcement, Announcer, Reason},
    leader::Leader,
    observe::Observed,
    pace::Pace,
    plan::{Conditions, Recording, Write},
    watch::Wire,
};
use crate::{
    api::names::condition,
    config::Config,
    gate::{Authority, Snapshot, Verdict, evaluate},
    metrics::Metrics,
    server::{self, Health, ServerError},
};

pub use self::{leader::LeaderError, plan::Mode};

/// How often the loop turns at least. Nothing is written then unless something differs.
const RESYNC: Duration = Duration::from_secs(10);
/// Looks in one go at most: a record, the conditions, what was found stale in between, and that nothing is left.
const STEPS: usize = 12;
/// How often in one go a write that was found stale is planned anew right away: whoever was faster is done by then.
const STALE: u32 = 4;
/// How long events may take to leave at the end.
const FLUSH: Duration = Duration::from_secs(2);

/// Why the operator ends.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A listener can't be had.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A listener has failed.
    #[error("serving {0} has failed: {1}")]
    Listener(&'static str, std::io::Error),
    /// Leader election.
    #[error(transparent)]
    Leader(#[from] LeaderError),
    /// Signals can't be heard.
    #[error("SIGTERM can't be listened for: {0}")]
    Signal(#[source] std::io::Error),
    /// The watches have ended.
    #[error("the watches have ended; the log says more")]
    Watches,
}

/// Runs until SIGTERM or SIGINT, which finish the write in flight and give the lease back.
///
/// # Errors
/// Something without which the operator can't work has failed; the kubelet starts it anew.
pub async fn run(config: Config, client: Client) -> Result<(), RunError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signal)?;

    let metrics = Arc::new(Metrics::new(config.mode));
    let health = Arc::new(Health::default());
    let mut probes = std::pin::pin!(server::serve_probes(config.probes, health.clone()).await?);
    let mut serving = server::serve_metrics(config.metrics, config.metrics_tls.clone(), metrics.clone()).await?;

    let (sender, mut incoming) = mpsc::channel(256);
    let watches = watch::start(&client, &sender);
    drop(sender);
    let (announcer, published) = Announcer::start(client.clone(), config.identity.clone());
    let leader = Leader::start(client.clone(), config.lease.clone(), config.identity.clone()).await?;
    tracing::info!(mode = config.mode.as_str(), identity = config.identity, "gating updates");
    let mut gate = Gate::new(&config, &client, leader, metrics, announcer);

    let mut resync = tokio::time::interval(RESYNC);
    resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            change = incoming.recv() => gate.take(change.ok_or(RunError::Watches)?),
            result = gate.leader.changed() => {
                result?;
                gate.due = true;
            }
            _ = resync.tick() => gate.due = true,
            () = gate.pace.over() => gate.due = true,
            failed = &mut probes => failed.map_err(|error| RunError::Listener("probes", error))?,
            failed = &mut serving => failed.map_err(|error| RunError::Listener("metrics", error))?,
        }
        // One look at everything that has come in, rather than one a change.
        while let Ok(change) = incoming.try_recv() {
            gate.take(change);
        }
        health.turn();
        health.set_ready(gate.observed.is_complete());
        if std::mem::take(&mut gate.due) {
            gate.reconcile().await;
        }
    }
    tracing::info!("stopping");
    health.set_ready(false);
    drop(watches);
    let Gate { leader, announcer, .. } = gate;
    leader.release().await;
    drop(announcer);
    let _ = tokio::time::timeout(FLUSH, published).await;
    Ok(())
}

/// Everything that the loop owns.
struct Gate {
    mode: Mode,
    api: Api<Wire<Value>>,
    leader: Leader,
    metrics: Arc<Metrics>,
    announcer: Announcer,
    observed: Observed,
    pace: Pace,
    /// What mode `observe` would have written last.
    said: Option<Conditions>,
    due: bool,
}

impl Gate {
    fn new(config: &Config, client: &Client, leader: Leader, metrics: Arc<Metrics>, announcer: Announcer) -> Self {
        let authority = match config.mode {
            Mode::Replace => Authority::Sole,
            Mode::Observe => Authority::Shared,
        };
        Self {
            mode: config.mode,
            api: Api::all_with(client.clone(), &watch::cluster_versions()),
            leader,
            metrics,
            announcer,
            observed: Observed::new(authority),
            pace: Pace::default(),
            said: None,
            due: false,
        }
    }

    fn take(&mut self, change: watch::Change) {
        if self.observed.take(change) {
            self.due = true;
            if let Some(why) = self.observed.unreadable() {
                tracing::error!(why, "nothing can be judged");
            }
        }
    }

    /// Writes until the cluster says what the verdict says, or something speaks against it.
    async fn reconcile(&mut self) {
        let started = Instant::now();
        let mut failures = 0;
        let mut any = false;
        for _ in 0..STEPS {
            let leads = self.leader.may_write();
            self.metrics.leads(leads);
            let Some(snapshot) = self.observed.snapshot(now()) else { return };
            let verdict = evaluate(snapshot);
            self.metrics.evaluated(snapshot, &verdict);
            if !leads {
                // What another replica writes meanwhile takes nothing back.
                self.pace = Pace::default();
                return;
            }
            if self.mode == Mode::Observe {
                let conditions = plan::conditions(snapshot, &verdict, Recording::Possible);
                let before = self.said.as_ref();
                let before = (before.map(|said| &said.upgradeable), before.map(|said| &said.release_accepted));
                announce(&self.announcer, &self.metrics, snapshot, &verdict, before, &conditions);
                self.said = Some(conditions);
                return;
            }
            let recording = self.pace.recording(snapshot);
            let Some(write) = plan::plan(snapshot, &verdict, self.mode, recording).into_iter().next() else {
                self.pace.settled(recording, snapshot, &plan::conditions(snapshot, &verdict, recording));
                if any {
                    self.metrics.reconciled(started.elapsed());
                }
                return;
            };
            if self.pace.waits(&write) || (self.pace.is_contended(&write, snapshot) && !self.contend()) {
                return;
            }
            let Some(snapshot) = self.observed.snapshot(now()) else { return };
            match apply::apply(&self.api, &write).await {
                Ok(object) => {
                    any = true;
                    failures = 0;
                    self.metrics.wrote(write.kind(), "ok");
                    self.pace.wrote(&write, snapshot);
                    if let Write::Conditions(_) = write {
                        let after = plan::conditions(snapshot, &verdict, recording);
                        let cluster_version = &snapshot.cluster_version;
                        let before = (
                            cluster_version.condition(condition::UPGRADEABLE),
                            cluster_version.condition(condition::RELEASE_ACCEPTED),
                        );
                        announce(&self.announcer, &self.metrics, snapshot, &verdict, before, &after);
                    }
                    self.observed.take_answer(object);
                }
                Err(error) => {
                    self.metrics.wrote(write.kind(), error.category());
                    failures += 1;
                    if !self.recover(&write, error, failures).await {
                        return;
                    }
                }
            }
        }
    }

    /// After a failed write: reads anew, and says whether to plan once more right away.
    async fn recover(&mut self, write: &Write, error: ApplyError, failures: u32) -> bool {
        let again = match error {
            ApplyError::Stale(_) => failures <= STALE,
            ApplyError::Invalid(_) => failures <= 1,
            _ => false,
        };
        if again {
            match apply::read(&self.api).await {
                Ok(Some(object)) => {
                    self.observed.take_answer(object);
                    return true;
                }
                // The watch will tell that it is gone.
                Ok(None) => return false,
                Err(error) => {
                    self.pace.failed(write, &error);
                    tracing::warn!(%error, "reading the ClusterVersion anew has failed");
                    return false;
                }
            }
        }
        if matches!(error, ApplyError::Gone) {
            return false;
        }
        tracing::warn!(write = write.kind(), %error, "a write has failed; trying again later");
        self.pace.failed(write, &error);
        // Where the record can't be written, the rest of the gate still has to be.
        matches!(write, Write::History(_)) && !matches!(error, ApplyError::Unanswered(_))
    }

    /// Another writer has taken back what was written. Says so, and whether it may be written once more by now.
    fn contend(&mut self) -> bool {
        if !self.pace.may_contend() {
            return false;
        }
        self.metrics.contended();
        let note = "Another writer takes back what upgrade-gate writes on ClusterVersion; it is written once a minute \
                    from now on. Run with --mode=observe beside another gate, or end the other one.";
        tracing::warn!(note);
        if let Some(snapshot) = self.observed.snapshot(now()) {
            let announcement = Announcement { reason: Reason::GateContention, note: note.to_owned() };
            self.announcer.announce(&snapshot.cluster_version, announcement);
        }
        true
    }
}

/// Says what has changed: an event, a line in the log and a count for each decision.
fn announce(
    announcer: &Announcer,
    metrics: &Metrics,
    snapshot: &Snapshot,
    verdict: &Verdict,
    before: (Option<&crate::api::Condition>, Option<&crate::api::Condition>),
    after: &Conditions,
) {
    for announcement in events::announcements(snapshot, verdict, before, after) {
        tracing::info!(reason = ?announcement.reason, "{}", announcement.note.replace('\n', " | "));
        let is_decision = matches!(announcement.reason, Reason::UpdateAccepted | Reason::UpdateBlocked);
        if let Some(request) = events::decided(snapshot, verdict).filter(|_| is_decision) {
            metrics.decided(request.update_type, request.decision());
        }
        announcer.announce(&snapshot.cluster_version, announcement);
    }
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
