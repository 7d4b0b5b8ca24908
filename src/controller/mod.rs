//! The shell: watch, evaluate, plan, apply. One loop owns all state; everything that it decides is in pure
//! functions of `plan`.

mod alarm;
mod apply;
mod cache;
pub mod config;
pub(crate) mod events;
mod http;
mod lease;
pub mod metrics;
#[cfg(test)]
mod names_tests;
mod probe;
mod reconcile;
mod reporter;
mod signals;
pub mod telemetry;
mod watch;

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::MissedTickBehavior};

use self::{events::EventPublisher, lease::Leader, reconcile::Reconciler};
use crate::client::rate_limit::Clients;
use crate::controller::{
    config::Config,
    http::{Health, ServerError},
    metrics::Metrics,
};

pub use self::{
    lease::LeaderError,
    probe::{SELF_LEASE, cvo_lease, is_in_force, policies, policy, policy_is_installed, read_lease, self_lease},
    signals::Signals,
    watch::{cluster_operators, cluster_versions},
};

/// How often the loop turns at least. Nothing is written then unless something differs.
const RESYNC: Duration = Duration::from_secs(10);
/// Changes that wait for the loop. Each may hold a whole ClusterVersion, and a watch that waits costs nothing.
const UNSEEN: usize = 32;
/// How long events may take to leave at the end.
const FLUSH: Duration = Duration::from_secs(2);

/// Why the operator ends.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A listener cannot be opened.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A listener has ended.
    #[error("serving {0} has ended")]
    Listener(&'static str),
    /// Leader election.
    #[error(transparent)]
    Leader(#[from] LeaderError),
    /// Signals can't be received.
    #[error("cannot listen for SIGTERM: {0}")]
    Signal(#[source] std::io::Error),
    /// The watches have ended.
    #[error("the watches have ended; the log has the reason")]
    Watches,
}

/// Runs until SIGTERM or SIGINT, which finish the write in flight and release the Lease.
///
/// # Errors
/// Something that the operator needs has failed; the kubelet restarts it.
pub async fn run(config: Config, clients: Clients) -> Result<(), RunError> {
    let mut signals = Signals::listen().map_err(RunError::Signal)?;

    let metrics = Arc::new(Metrics::new());
    let health = Arc::new(Health::default());
    let mut probes = http::serve_probes(config.probes, health.clone()).await?;
    let mut serving = http::serve_metrics(config.metrics, config.metrics_tls.clone(), metrics.clone()).await?;

    let (sender, mut incoming) = mpsc::channel(UNSEEN);
    let watches = watch::start(&clients.client, &sender);
    drop(sender);
    let (publisher, event_task) = EventPublisher::start(clients.client.clone(), config.identity.clone());
    let leader = Leader::start(&clients, config.lease.clone(), config.identity.clone());
    tracing::info!(mode = ?config.mode, identity = config.identity, "starting");
    let mut reconciler = Reconciler::new(&config, &clients.client, leader, metrics, publisher);

    let mut resync = tokio::time::interval(RESYNC);
    resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = signals.recv() => break,
            change = incoming.recv() => reconciler.take(change.ok_or(RunError::Watches)?),
            result = reconciler.leader.changed() => {
                result?;
                reconciler.due = true;
            }
            _ = resync.tick() => reconciler.due = true,
            () = reconciler.alarm.due(&reconciler.memory) => reconciler.due = true,
            _ = &mut probes => return Err(RunError::Listener("probes")),
            _ = &mut serving => return Err(RunError::Listener("metrics")),
        }
        // One turn for all changes that have arrived, rather than one each.
        while let Ok(change) = incoming.try_recv() {
            reconciler.take(change);
        }
        health.turn();
        health.set_ready(reconciler.is_ready());
        reconciler.turn().await;
    }
    tracing::info!("stopping");
    health.set_ready(false);
    drop(watches);
    reconciler.stop().await;
    let _ = tokio::time::timeout(FLUSH, event_task).await;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the shell reads the clock, and hands the time on")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
