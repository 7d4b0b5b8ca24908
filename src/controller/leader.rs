//! Which replica may write. kube-lease-manager acquires and renews the Lease; its word alone isn't enough, since
//! it doesn't change when renewing fails or the process was stopped for a while. So the Lease itself is watched,
//! and a write is allowed only before a monotonic deadline: the renewal as it was seen, plus the lease's duration,
//! less a margin.

use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};
use kube_lease_manager::{LeaseManagerBuilder, LeaseManagerError};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{api::names, config::LeaseConfig};

/// Between tries while the API server can't be reached at the start, and twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long giving the lease back may take at the end.
const RELEASE: Duration = Duration::from_secs(3);

/// Leader election failed for good; the process has to end, as a Pod that is ready and leads nothing helps nobody.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The Lease can't be read or created.
    #[error("the Lease {namespace}/upgrade-gate can't be had: {source}; compare the permissions with deploy/base", namespace = .namespace)]
    Lease {
        /// Where it should be.
        namespace: String,
        /// Why not.
        source: Box<LeaseManagerError>,
    },
    /// The task that renews it has ended.
    #[error("leader election has ended: {0}")]
    Ended(String),
}

/// A candidate's state.
#[derive(Debug)]
pub struct Leader(Option<Candidate>);

#[derive(Debug)]
struct Candidate {
    elected: watch::Receiver<bool>,
    campaign: JoinHandle<Result<(), LeaderError>>,
    deadline: watch::Receiver<Option<Instant>>,
    observer: JoinHandle<()>,
}

impl Leader {
    /// Becomes a candidate; without a lease to hold, this process always leads.
    #[must_use]
    pub fn start(client: Client, lease: Option<LeaseConfig>, identity: String) -> Self {
        let Some(lease) = lease else { return Self(None) };
        let (sender, elected) = watch::channel(false);
        let campaign = tokio::spawn(campaign(client.clone(), lease.clone(), identity.clone(), sender));
        let (sender, deadline) = watch::channel(None);
        let observer = tokio::spawn(observe(client, lease, identity, sender));
        Self(Some(Candidate { elected, campaign, deadline, observer }))
    }

    /// Whether a write may be made now.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.0.as_ref().is_none_or(|candidate| {
            *candidate.elected.borrow() && candidate.deadline.borrow().is_some_and(|deadline| Instant::now() < deadline)
        })
    }

    /// Waits until something about the lead has changed.
    ///
    /// # Errors
    /// The election has ended, which it never should.
    pub async fn changed(&mut self) -> Result<(), LeaderError> {
        let Some(candidate) = &mut self.0 else { return std::future::pending().await };
        let changed = tokio::select! {
            changed = candidate.elected.changed() => changed,
            changed = candidate.deadline.changed() => changed,
        };
        if changed.is_ok() {
            return Ok(());
        }
        if !candidate.campaign.is_finished() {
            return Err(LeaderError::Ended("the Lease isn't watched any more".to_owned()));
        }
        match (&mut candidate.campaign).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) => Err(LeaderError::Ended("its task has returned".to_owned())),
            Err(panic) => Err(LeaderError::Ended(panic.to_string())),
        }
    }

    /// Gives the lease back, so that another replica needn't wait until it runs out.
    pub async fn release(self) {
        let Some(candidate) = self.0 else { return };
        candidate.observer.abort();
        drop(candidate.elected);
        match tokio::time::timeout(RELEASE, candidate.campaign).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the lease could not be released; it will run out"),
            Ok(Err(error)) => tracing::warn!(%error, "the lease could not be released; it will run out"),
            Err(_) => tracing::warn!("releasing the lease took too long; it will run out"),
        }
    }
}

/// Stands for election until nobody listens any more, and then gives the lease back. An API server that can't be
/// reached at the start is waited for; one that refuses the Lease won't change its mind.
async fn campaign(
    client: Client,
    lease: LeaseConfig,
    identity: String,
    elected: watch::Sender<bool>,
) -> Result<(), LeaderError> {
    let failed = |source| LeaderError::Lease { namespace: lease.namespace.clone(), source: Box::new(source) };
    let mut wait = FIRST_WAIT;
    let manager = loop {
        let builder = LeaseManagerBuilder::new(client.clone(), names::SELF)
            .with_namespace(lease.namespace.clone())
            .with_identity(identity.clone())
            .with_field_manager(names::SELF)
            .with_duration(lease.duration.as_secs())
            .with_grace((lease.duration.saturating_sub(lease.renew_interval)).as_secs());
        match builder.build().await {
            Ok(manager) => break manager,
            Err(error) if is_refusal(&error) => return Err(failed(error)),
            Err(error) => tracing::warn!(%error, "the Lease can't be had yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            () = elected.closed() => return Ok(()),
        }
    };
    let (mut word, manager) = manager.watch().await;
    loop {
        elected.send_replace(*word.borrow_and_update());
        tokio::select! {
            changed = word.changed() => if changed.is_err() { break },
            () = elected.closed() => break,
        }
    }
    drop(word);
    match manager.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(failed(error)),
        Err(panic) => Err(LeaderError::Ended(panic.to_string())),
    }
}

fn is_refusal(error: &LeaseManagerError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(kube::Error::Api(status)) = error.downcast_ref() {
            return matches!(status.code, 401 | 403);
        }
        cause = error.source();
    }
    false
}

/// Turns what is seen of the Lease into a deadline.
async fn observe(client: Client, lease: LeaseConfig, identity: String, deadline: watch::Sender<Option<Instant>>) {
    let api: Api<Lease> = Api::namespaced(client.clone(), &lease.namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", names::SELF));
    let mut events = watcher(api.clone(), config).default_backoff().boxed();
    loop {
        let current = *deadline.borrow();
        let seen = tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Apply(seen) | Event::InitApply(seen))) => Some(seen),
                Some(Ok(Event::Delete(_))) => {
                    deadline.send_replace(None);
                    recreate(&client, &lease).await;
                    None
                }
                Some(Ok(Event::Init | Event::InitDone) | Err(_)) => continue,
                None => return,
            },
            // The watch is silent for longer than renewals take: ask, before the lead is lost for nothing.
            () = until(current, lease.renew_interval) => api.get_opt(names::SELF).await.ok().flatten(),
        };
        let until = seen.as_ref().and_then(|seen| deadline_of(seen, &identity, &lease));
        if *deadline.borrow() != until {
            deadline.send_replace(until);
        }
    }
}

/// Until shortly before the deadline. Whoever doesn't lead has nothing to lose, and waits for the watch.
async fn until(deadline: Option<Instant>, before: Duration) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until((deadline - before / 2).max(Instant::now() + before / 2)).await,
        None => std::future::pending().await,
    }
}

/// The lease manager looks for the Lease for ever, but creates it only at its start.
async fn recreate(client: &Client, lease: &LeaseConfig) {
    let builder = LeaseManagerBuilder::new(client.clone(), names::SELF).with_namespace(lease.namespace.clone());
    if let Err(error) = builder.build().await {
        tracing::warn!(%error, "the Lease was deleted and can't be created again yet");
    }
}

/// The moment from which on another replica might take over. `renewTime` is of this machine's own clock, as it
/// was this process that renewed.
fn deadline_of(lease: &Lease, identity: &str, config: &LeaseConfig) -> Option<Instant> {
    let spec = lease.spec.as_ref()?;
    if spec.holder_identity.as_deref() != Some(identity) {
        return None;
    }
    let renewed = spec.renew_time.as_ref()?.0;
    let duration = spec.lease_duration_seconds.map_or(config.duration, |seconds| {
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default()).min(config.duration)
    });
    let margin = duration / 5;
    let age = Duration::try_from(now().duration_since(renewed)).unwrap_or_default();
    Some(Instant::now() + duration.checked_sub(margin + age)?)
}

#[expect(clippy::disallowed_methods, reason = "the shell reads the clock, and hands the time on")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
