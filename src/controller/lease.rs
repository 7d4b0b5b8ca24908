//! Which replica may write. kube-lease-manager acquires and renews the Lease; its word alone isn't enough, since
//! it doesn't change when renewing fails or the process was stopped for a while. So the Lease itself is watched,
//! and a write is allowed only before a monotonic deadline: the renewal as it was seen, plus the lease's duration,
//! less a margin. The watch also tells when the Lease is free, which the manager would find out only once the
//! term that it saw last is over.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    api::names,
    client::rate_limit::{Clients, WATCH_SECONDS},
    controller::config::LeaseConfig,
};

/// Between tries while the API server can't be reached at the start, and twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long giving the lease back may take at the end.
const RELEASE: Duration = Duration::from_secs(3);
/// Where there is no lease to lose; a write is given up far earlier.
const FOR_EVER: Duration = Duration::from_hours(1);
/// Characters that the API server takes for a field manager.
const FIELD_MANAGER_LIMIT: usize = 128;

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
    election: JoinHandle<Result<(), LeaderError>>,
    deadline: watch::Receiver<Option<Instant>>,
    observer: JoinHandle<()>,
}

impl Leader {
    /// Becomes a candidate; without a lease to hold, this process always leads.
    #[must_use]
    pub fn start(link: &Clients, lease: Option<LeaseConfig>, identity: String) -> Self {
        let Some(lease) = lease else { return Self(None) };
        let election = Election { client: link.lease.clone(), lease: lease.clone(), identity: identity.clone() };
        let (deadline_sender, deadline) = watch::channel(None);
        let (elected_sender, elected) = watch::channel(false);
        let free = Arc::new(Notify::new());
        let observer = Observer {
            link: link.clone(),
            lease,
            identity,
            elected: elected.clone(),
            deadline: deadline_sender,
            free: free.clone(),
            leads: false,
        };
        let observer = tokio::spawn(observer.run());
        let election = tokio::spawn(election.run(free, elected_sender));
        Self(Some(Candidate { elected, election, deadline, observer }))
    }

    /// Whether a write may be made now.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.writes_until().is_some_and(|deadline| Instant::now() < deadline)
    }

    /// Until when a write that is made now has to be through; `None` where none may be made.
    #[must_use]
    pub fn writes_until(&self) -> Option<Instant> {
        match &self.0 {
            None => Some(Instant::now() + FOR_EVER),
            Some(candidate) if *candidate.elected.borrow() => *candidate.deadline.borrow(),
            Some(_) => None,
        }
    }

    /// Waits until something about the lead has changed.
    ///
    /// # Errors
    /// The election has ended, which it never should.
    pub async fn changed(&mut self) -> Result<(), LeaderError> {
        let Some(candidate) = &mut self.0 else { return std::future::pending().await };
        let result = tokio::select! {
            result = candidate.elected.changed() => result,
            result = candidate.deadline.changed() => result,
        };
        match result {
            Ok(()) => Ok(()),
            Err(_) if !candidate.election.is_finished() => {
                Err(LeaderError::Ended("the Lease isn't watched any more".to_owned()))
            }
            Err(_) => match (&mut candidate.election).await {
                Ok(Err(error)) => Err(error),
                Ok(Ok(())) => Err(LeaderError::Ended("its task has returned".to_owned())),
                Err(panic) => Err(LeaderError::Ended(panic.to_string())),
            },
        }
    }

    /// Gives the lease back, so that another replica needn't wait until it runs out.
    pub async fn release(self) {
        let leads = self.may_write();
        let Some(candidate) = self.0 else { return };
        candidate.observer.abort();
        drop(candidate.elected);
        match tokio::time::timeout(RELEASE, candidate.election).await {
            Ok(Ok(Ok(()))) if leads => tracing::info!("gave the lease back; this replica writes nothing any more"),
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the lease could not be released; it will run out"),
            Ok(Err(error)) => tracing::warn!(%error, "the lease could not be released; it will run out"),
            Err(_) => tracing::warn!("releasing the lease took too long; it will run out"),
        }
    }
}

/// What it takes to stand for election, again and again.
struct Election {
    client: Client,
    lease: LeaseConfig,
    identity: String,
}

impl Election {
    /// A manager that has seen nothing yet, and so looks at once. The Lease is created where it is missing.
    async fn manager(&self) -> Result<LeaseManager, LeaseManagerError> {
        LeaseManagerBuilder::new(self.client.clone(), names::SELF)
            .with_namespace(self.lease.namespace.clone())
            .with_identity(self.identity.clone())
            // Of two who apply at once, the API server turns one away only if they are two managers.
            .with_field_manager(self.identity.chars().take(FIELD_MANAGER_LIMIT).collect::<String>())
            .with_duration(self.lease.duration.as_secs())
            .with_grace(self.lease.duration.saturating_sub(self.lease.renew_interval).as_secs())
            .build()
            .await
    }

    /// The first manager. An API server that can't be reached is waited for; one that refuses won't change its mind.
    async fn first_manager(&self, elected: &watch::Sender<bool>) -> Result<Option<LeaseManager>, LeaderError> {
        let mut wait = FIRST_WAIT;
        loop {
            match self.manager().await {
                Ok(manager) => return Ok(Some(manager)),
                Err(error) if is_refusal(&error) => return Err(self.failed(error)),
                Err(error) => tracing::warn!(%error, "the Lease can't be had yet"),
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                () = elected.closed() => return Ok(None),
            }
        }
    }

    fn failed(&self, source: LeaseManagerError) -> LeaderError {
        LeaderError::Lease { namespace: self.lease.namespace.clone(), source: Box::new(source) }
    }

    /// Acquires and renews until nobody listens any more; then gives the Lease back.
    async fn run(self, free: Arc<Notify>, elected: watch::Sender<bool>) -> Result<(), LeaderError> {
        let Some(mut manager) = self.first_manager(&elected).await? else { return Ok(()) };
        loop {
            let result = tokio::select! {
                biased;
                () = elected.closed() => return manager.release().await.map_err(|error| self.failed(error)),
                () = free.notified() => {
                    elected.send_replace(false);
                    self.manager().await.map(|fresh| manager = fresh)
                }
                changed = manager.changed() => changed.map(|leads| { elected.send_replace(leads); }),
            };
            if let Err(error) = result {
                tracing::warn!(%error, "the lease can't be acquired or renewed; trying again");
                tokio::select! {
                    () = elected.closed() => {}
                    () = tokio::time::sleep(self.lease.renew_interval / 2) => {}
                }
            }
        }
    }
}

fn is_refusal(error: &LeaseManagerError) -> bool {
    matches!(error, LeaseManagerError::KubeError(kube::Error::Api(status)) if matches!(status.code, 401 | 403))
}

/// Turns what is seen of the Lease into a deadline.
struct Observer {
    link: Clients,
    lease: LeaseConfig,
    identity: String,
    elected: watch::Receiver<bool>,
    deadline: watch::Sender<Option<Instant>>,
    free: Arc<Notify>,
    /// Whether this replica could write when that was last logged.
    leads: bool,
}

/// What has become of this replica's lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeadChange {
    /// It holds the lease now.
    Taken,
    /// Another replica holds the lease, or nobody does.
    Lost,
    /// The lease wasn't renewed in time.
    Expired,
}

impl LeadChange {
    /// From whether this replica could write before, whether it is elected, and the deadline of its writes.
    fn of(led: bool, elected: bool, deadline: Option<Instant>, now: Instant) -> Option<Self> {
        let leads = elected && deadline.is_some_and(|deadline| now < deadline);
        match (led, leads) {
            (false, true) => Some(Self::Taken),
            (true, false) if elected && deadline.is_some() => Some(Self::Expired),
            (true, false) => Some(Self::Lost),
            (true, true) | (false, false) => None,
        }
    }

    fn log(self, identity: &str) {
        match self {
            Self::Taken => tracing::info!(identity, "took the lease; this replica writes"),
            Self::Lost => tracing::warn!(identity, "lost the lease; this replica writes nothing until it has it again"),
            Self::Expired => {
                tracing::warn!(identity, "the lease wasn't renewed in time; this replica writes nothing until it is");
            }
        }
    }
}

impl Observer {
    async fn run(mut self) {
        let lease_api = |client: &Client| Api::<Lease>::namespaced(client.clone(), &self.lease.namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={}", names::SELF));
        let config = config.timeout(WATCH_SECONDS);
        let mut events = watcher(lease_api(&self.link.client), config).default_backoff().boxed();
        let asked = lease_api(&self.link.lease);
        let mut last = None;
        let mut ticks = tokio::time::interval(self.lease.renew_interval / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut elected = self.elected.clone();
        loop {
            self.log_change();
            let deadline = (*self.deadline.borrow()).filter(|_| self.leads);
            let seen = tokio::select! {
                Ok(()) = elected.changed() => continue,
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => continue,
                event = events.next() => match event {
                    Some(Ok(Event::Apply(seen) | Event::InitApply(seen))) => Some(seen),
                    Some(Ok(Event::Delete(_))) => None,
                    Some(Ok(Event::Init | Event::InitDone) | Err(_)) => continue,
                    None => return,
                },
                // The watch is silent for longer than renewals take: ask, before the lead is lost for nothing.
                _ = ticks.tick() => {
                    if !self.lacks_a_renewal() {
                        continue;
                    }
                    match asked.get_opt(names::SELF).await {
                        Ok(seen) => seen,
                        // The deadline stands: a server in trouble takes no lease away.
                        Err(_) => continue,
                    }
                }
            };
            if seen.as_ref().is_none_or(is_free) {
                self.free.notify_one();
            }
            let renewed = seen.as_ref().and_then(|seen| Renewal::of(seen, &self.identity, &self.lease));
            // The same renewal, seen once more, is no later one, whatever this machine's clock says by now.
            if renewed.as_ref().map(|renewed| &renewed.time) != last.as_ref() {
                self.deadline.send_replace(renewed.as_ref().map(|renewed| renewed.deadline));
                last = renewed.map(|renewed| renewed.time);
            }
        }
    }

    /// Logs that this replica has become the one that writes, or isn't it any more.
    fn log_change(&mut self) {
        let change = LeadChange::of(self.leads, *self.elected.borrow(), *self.deadline.borrow(), Instant::now());
        if let Some(change) = change {
            self.leads = change == LeadChange::Taken;
            change.log(&self.identity);
        }
    }

    /// Whether the manager holds the lease, and what is seen of it is older than a renewal should be.
    fn lacks_a_renewal(&self) -> bool {
        let soon = Instant::now() + self.lease.renew_interval;
        *self.elected.borrow() && self.deadline.borrow().is_none_or(|deadline| deadline < soon)
    }
}

fn is_free(lease: &Lease) -> bool {
    lease.spec.as_ref().is_none_or(|spec| spec.holder_identity.as_deref().is_none_or(str::is_empty))
}

/// That this process has renewed the lease.
struct Renewal {
    /// As written.
    time: jiff::Timestamp,
    /// The moment from which on another replica might take over.
    deadline: Instant,
}

impl Renewal {
    /// `None` where somebody else holds it, or it has run out. The time is of this machine's own clock, as it was this
    /// process that renewed.
    fn of(lease: &Lease, identity: &str, config: &LeaseConfig) -> Option<Self> {
        let spec = lease.spec.as_ref()?;
        if spec.holder_identity.as_deref() != Some(identity) {
            return None;
        }
        let time = spec.renew_time.as_ref()?.0;
        let duration = spec.lease_duration_seconds.map_or(config.duration, |seconds| {
            Duration::from_secs(u64::try_from(seconds).unwrap_or_default()).min(config.duration)
        });
        let margin = duration / 5;
        let age = Duration::try_from(now().duration_since(time)).unwrap_or_default();
        Some(Self { time, deadline: Instant::now() + duration.checked_sub(margin + age)? })
    }
}

#[expect(clippy::disallowed_methods, reason = "a lease is renewed by the clock")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::elected_and_seen(false, true, Some(1), Some(LeadChange::Taken))]
    #[case::not_seen_yet(false, true, None, None)]
    #[case::not_elected_yet(false, false, Some(1), None)]
    #[case::seen_too_late(false, true, Some(0), None)]
    #[case::renewed(true, true, Some(1), None)]
    #[case::another_holds_it(true, true, None, Some(LeadChange::Lost))]
    #[case::no_longer_elected(true, false, Some(1), Some(LeadChange::Lost))]
    #[case::not_renewed(true, true, Some(0), Some(LeadChange::Expired))]
    fn each_change_of_the_lead_is_logged_once(
        #[case] led: bool,
        #[case] elected: bool,
        #[case] deadline: Option<u64>,
        #[case] expected: Option<LeadChange>,
    ) {
        let now = Instant::now();
        let deadline = deadline.map(|seconds| now + Duration::from_secs(seconds));
        assert_eq!(LeadChange::of(led, elected, deadline, now), expected);
        let leads = expected.map_or(led, |change| change == LeadChange::Taken);
        assert_eq!(LeadChange::of(leads, elected, deadline, now), None);
    }
}
