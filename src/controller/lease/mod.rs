//! Which replica may write: the one that holds the Lease `upgrade-gate`, until a deadline. [`term`] decides; here the
//! requests are made. kube-lease-manager isn't used, for reasons and figures in docs/adr/0010.

mod term;

use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use self::term::{Next, Request, Term};
use crate::{
    api::names,
    client::rate_limit::{Clients, WATCH_SECONDS},
    controller::{config::LeaseConfig, now},
};

/// How long releasing the Lease may take at the end.
const RELEASE: Duration = Duration::from_secs(3);
/// The deadline where there is no Lease to lose; a write is given up far earlier.
const FOR_EVER: Duration = Duration::from_hours(1);

/// Leader election failed for good; the process has to end, as a Pod that is ready and never writes would go unnoticed.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The Lease may not be read or created.
    #[error("cannot acquire the Lease {namespace}/upgrade-gate: {source}; compare the permissions with deploy/base")]
    Lease {
        /// Where it should be.
        namespace: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The task that renews it has ended.
    #[error("leader election has ended: {0}")]
    Ended(String),
}

/// This replica's part in the election.
#[derive(Debug)]
pub struct Leader(Option<Candidate>);

#[derive(Debug)]
struct Candidate {
    deadline: watch::Receiver<Option<Instant>>,
    election: JoinHandle<Result<(), LeaderError>>,
}

impl Leader {
    /// Becomes a candidate; without a Lease to hold, this process always leads.
    #[must_use]
    pub fn start(clients: &Clients, lease: Option<LeaseConfig>, identity: String) -> Self {
        let Some(config) = lease else { return Self(None) };
        let (sender, deadline) = watch::channel(None);
        let api = |client: &kube::Client| Api::namespaced(client.clone(), &config.namespace);
        let election = Election {
            watched: api(&clients.client),
            api: api(&clients.lease),
            identity: identity.clone(),
            config: config.clone(),
            term: Term::new(identity, config, Instant::now()),
            deadline: sender,
            was_answered: false,
            fails: false,
            is_listed: false,
        };
        Self(Some(Candidate { deadline, election: tokio::spawn(election.run()) }))
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
            Some(candidate) => *candidate.deadline.borrow(),
        }
    }

    /// Waits until this replica has acquired the Lease, or has lost it.
    ///
    /// # Errors
    /// The election has ended, which it never should.
    pub async fn changed(&mut self) -> Result<(), LeaderError> {
        let Some(candidate) = &mut self.0 else { return std::future::pending().await };
        if candidate.deadline.changed().await.is_ok() {
            return Ok(());
        }
        match (&mut candidate.election).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) => Err(LeaderError::Ended("its task has returned".to_owned())),
            Err(panic) => Err(LeaderError::Ended(panic.to_string())),
        }
    }

    /// Releases the Lease, so that another replica need not wait until it expires.
    pub async fn release(self) {
        let Some(Candidate { deadline, election }) = self.0 else { return };
        drop(deadline);
        match timeout(RELEASE, election).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the Lease could not be released; it will expire"),
            Ok(Err(error)) => tracing::warn!(%error, "the Lease could not be released; it will expire"),
            Err(_) => tracing::warn!("releasing the Lease took too long; it will expire"),
        }
    }
}

/// The task that acquires and renews the Lease.
struct Election {
    /// Over the connection of everything else: a watch must not keep a renewal waiting.
    watched: Api<Lease>,
    api: Api<Lease>,
    identity: String,
    config: LeaseConfig,
    term: Term,
    deadline: watch::Sender<Option<Instant>>,
    /// Whether the API server has answered a request about the Lease: only before that, a refusal is final.
    was_answered: bool,
    /// Whether the last request failed, which was logged then.
    fails: bool,
    /// Whether the list that a watch begins with had the Lease.
    is_listed: bool,
}

impl Election {
    /// Acquires and renews until the receiver is dropped; then releases the Lease.
    async fn run(mut self) -> Result<(), LeaderError> {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", names::SELF));
        let mut events = watcher(self.watched.clone(), config.timeout(WATCH_SECONDS)).default_backoff().boxed();
        let listeners = self.deadline.clone();
        loop {
            let now = Instant::now();
            self.publish(now);
            match self.term.next(now) {
                Next::Wait(until) => tokio::select! {
                    biased;
                    () = listeners.closed() => break,
                    event = events.next() => match event {
                        Some(event) => self.take(event),
                        None => return Err(LeaderError::Ended("the watch of the Lease has ended".to_owned())),
                    },
                    () = sleep_until(self.term.deadline(now).map_or(until, |deadline| deadline.min(until))) => {}
                },
                // A write isn't given up for an event: whether it has landed would be unknown.
                Next::Send(request) => tokio::select! {
                    biased;
                    () = listeners.closed() => {
                        self.term.forget();
                        break;
                    }
                    result = self.request(request) => result?,
                },
            }
        }
        self.release().await.map_err(|source| self.refused(source))
    }

    fn take(&mut self, event: Result<Event<Lease>, watcher::Error>) {
        let now = Instant::now();
        match event {
            Ok(Event::Init) => self.is_listed = false,
            Ok(Event::InitApply(lease)) => {
                self.is_listed = true;
                self.term.watched(lease, false, now);
            }
            // It may have been created since.
            Ok(Event::InitDone) if !self.is_listed => self.term.forget(),
            Ok(Event::Apply(lease)) => self.term.watched(lease, false, now),
            Ok(Event::Delete(lease)) => self.term.watched(lease, true, now),
            // Without the watch, the Lease is read when the term that is known ends.
            Ok(Event::InitDone) | Err(_) => {}
        }
    }

    /// Publishes the deadline, and logs whether this replica has become the one that writes, or is no longer.
    fn publish(&mut self, now: Instant) {
        let deadline = self.term.deadline(now);
        let identity = &self.identity;
        let led = self.deadline.borrow().is_some();
        match (led, deadline.is_some()) {
            (false, true) => tracing::info!(identity, "acquired the Lease; this replica writes"),
            (true, false) if self.term.held().is_some() => {
                tracing::warn!(identity, "the Lease was not renewed in time; this replica writes nothing until it is");
            }
            (true, false) => {
                tracing::warn!(identity, "lost the Lease; this replica writes nothing until it holds it again");
            }
            (true, true) | (false, false) => {}
        }
        self.deadline.send_if_modified(|published| {
            *published = deadline;
            led != deadline.is_some()
        });
    }

    /// Makes one request, and takes in what came of it.
    async fn request(&mut self, request: Request) -> Result<(), LeaderError> {
        let sent = Instant::now();
        let creates = request == Request::Create;
        let is_read = request == Request::Read;
        let Ok(answer) = timeout(self.config.renew_interval, self.send(request)).await else {
            self.fails(&format!("no answer within {:?}", self.config.renew_interval));
            return Ok(());
        };
        let now = Instant::now();
        match answer {
            Ok(lease) => {
                (self.was_answered, self.fails) = (true, false);
                match lease {
                    Some(lease) if !is_read => self.term.written(lease, sent),
                    lease => self.term.read(lease, now),
                }
            }
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 && !creates => {
                self.term.conflicted(now);
            }
            Err(error) if !self.was_answered && is_refusal(&error) => return Err(self.refused(error)),
            Err(error) => self.fails(&error.to_string()),
        }
        Ok(())
    }

    async fn send(&self, request: Request) -> kube::Result<Option<Lease>> {
        let (seconds, time) = (self.config.duration.as_secs(), now());
        let renewed = json!({"renewTime": format!("{time:.6}"), "leaseDurationSeconds": seconds});
        let held = |transitions: i32| {
            let mut spec = renewed.clone();
            let rest = json!({"holderIdentity": self.identity, "acquireTime": renewed["renewTime"],
                "leaseTransitions": transitions});
            json_patch::merge(&mut spec, &rest);
            spec
        };
        match request {
            Request::Read => self.api.get_opt(names::SELF).await,
            Request::Create => {
                let metadata = json!({"name": names::SELF, "annotations": self.annotations()});
                let lease = json!({"metadata": metadata, "spec": held(1)});
                let lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
                let params = PostParams { field_manager: Some(names::SELF.to_owned()), ..PostParams::default() };
                self.api.create(&params, &lease).await.map(Some)
            }
            Request::Take { version, transitions } => self.patch(&version, &held(transitions)).await.map(Some),
            Request::Renew { version } => self.patch(&version, &renewed).await.map(Some),
        }
    }

    /// Patches the Lease, unless it has changed since that version.
    async fn patch(&self, version: &str, spec: &Value) -> kube::Result<Lease> {
        let params = PatchParams { field_manager: Some(names::SELF.to_owned()), ..PatchParams::default() };
        let metadata = json!({"resourceVersion": version, "annotations": self.annotations()});
        let patch = Patch::Merge(json!({"metadata": metadata, "spec": spec}));
        self.api.patch(names::SELF, &params, &patch).await
    }

    /// What the holder does, for `upgrade-gate update` and `upgrade-gate cleanup`.
    fn annotations(&self) -> Value {
        let mode: &str = self.config.mode.into();
        json!({names::MODE: mode})
    }

    /// A request has failed. Only the first failure in a row is logged.
    fn fails(&mut self, error: &str) {
        if !self.fails {
            tracing::warn!(error, "cannot acquire or renew the Lease; retrying");
        }
        self.fails = true;
        self.term.failed(Instant::now());
    }

    fn refused(&self, source: kube::Error) -> LeaderError {
        LeaderError::Lease { namespace: self.config.namespace.clone(), source: Box::new(source) }
    }

    async fn release(&mut self) -> kube::Result<()> {
        if self.term.next(Instant::now()) == Next::Send(Request::Read) {
            let lease = self.api.get_opt(names::SELF).await?;
            self.term.read(lease, Instant::now());
        }
        let Some(version) = self.term.held() else { return Ok(()) };
        let nobody = json!({"holderIdentity": null, "acquireTime": null, "renewTime": null,
            "leaseDurationSeconds": null});
        self.patch(version, &nobody).await?;
        tracing::info!("released the Lease; this replica writes nothing any more");
        Ok(())
    }
}

fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}
