//! The shell: watch, evaluate, plan, apply. One loop owns all state; everything that it decides is in pure
//! functions of `plan`, `history` and `events`.

mod apply;
mod bridge;
mod decisions;
#[cfg(test)]
mod decisions_tests;
mod degraded;
mod events;
mod front;
mod history;
mod leader;
mod link;
#[cfg(test)]
mod model;
mod observe;
mod operator_status;
mod ownership;
mod pace;
mod patch;
mod pending;
pub mod plan;
mod reconcile;
mod record_wait;
mod records;
#[cfg(test)]
mod records_tests;
mod refusal;
mod signals;
mod surroundings;
mod telling;
mod unforce;
mod watch;
mod withdraw;

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::MissedTickBehavior};

use self::{events::Announcer, leader::Leader, reconcile::Gate, signals::Signals};
use crate::{
    config::Config,
    metrics::Metrics,
    server::{self, Health, ServerError},
};

pub use self::{
    bridge::{Bridging, decide},
    degraded::Problem,
    front::Began,
    leader::LeaderError,
    link::Link,
    ownership::{CvoLease, Evidence, Mode, Role, owns, owns_force, role},
    records::{RecordWrite, follow},
    refusal::Refusal,
    surroundings::{cvo_lease, policy, policy_is_installed, self_lease},
    unforce::{KeepReason, decide as decide_unforce},
    watch::{cluster_operators, cluster_versions},
    withdraw::{Withdrawal, ours, withdrawal},
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
    /// A listener can't be had.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A listener has ended.
    #[error("serving {0} has ended")]
    Listener(&'static str),
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
pub async fn run(config: Config, link: Link) -> Result<(), RunError> {
    let mut signals = Signals::listen().map_err(RunError::Signal)?;

    let metrics = Arc::new(Metrics::new());
    let health = Arc::new(Health::default());
    let mut probes = server::serve_probes(config.probes, health.clone()).await?;
    let mut serving = server::serve_metrics(config.metrics, config.metrics_tls.clone(), metrics.clone()).await?;

    let (sender, mut incoming) = mpsc::channel(UNSEEN);
    let watches = watch::start(&link.client, &sender);
    drop(sender);
    let (announcer, published) = Announcer::start(link.client.clone(), config.identity.clone());
    let leader = Leader::start(&link, config.lease.clone(), config.identity.clone());
    tracing::info!(mode = ?config.mode, identity = config.identity, "starting");
    let mut gate = Gate::new(&config, &link.client, leader, metrics, announcer);

    let mut resync = tokio::time::interval(RESYNC);
    resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = signals.recv() => break,
            change = incoming.recv() => gate.take(change.ok_or(RunError::Watches)?),
            result = gate.leader.changed() => {
                result?;
                gate.due = true;
            }
            _ = resync.tick() => gate.due = true,
            () = gate.pace.due() => gate.due = true,
            _ = &mut probes => return Err(RunError::Listener("probes")),
            _ = &mut serving => return Err(RunError::Listener("metrics")),
        }
        // One look at everything that has come in, rather than one a change.
        while let Ok(change) = incoming.try_recv() {
            gate.take(change);
        }
        health.turn();
        health.set_ready(gate.is_ready());
        gate.turn().await;
    }
    tracing::info!("stopping");
    health.set_ready(false);
    drop(watches);
    gate.stop().await;
    let _ = tokio::time::timeout(FLUSH, published).await;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the shell reads the clock, and hands the time on")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
