//! The loop of the stand-in: watch events trigger a sync, a sync may PUT the whole status once, and a PUT that conflicts is
//! dropped.

use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::api::{Api, DynamicObject, PostParams};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Error, ResourceExt as _};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::lease::Renewal;
use crate::payload::Registry;
use crate::process::{Outcome, Process};
use crate::status::Release;
use crate::upgradeable::{Inputs, Upgradeable};
use crate::{MANAGER, Params, Profile};

/// An action that a test requests of the loop.
pub enum Action {
    /// Wait until it has seen these versions, and has nothing to write.
    Settle(Seen),
    /// Let the release that it applies take over.
    HandOver,
    /// Complete the update.
    Complete,
    /// Compute `Upgradeable`.
    RecomputeUpgradeable,
    /// Restart.
    Restart,
    /// Do nothing until `Resume`.
    Pause,
    /// Continue.
    Resume,
    /// Release the Lease, and end.
    Stop,
}

/// The newest resource versions that its watches delivered, of the ClusterVersion and of the inputs of `Upgradeable`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// The ClusterVersion.
    pub cluster_version: u64,
    /// All ClusterOperators.
    pub operators: u64,
    /// The ConfigMap admin-gates.
    pub gates: u64,
    /// The ConfigMap admin-acks.
    pub acks: u64,
}

impl Seen {
    fn covers(self, other: Self) -> bool {
        self.cluster_version >= other.cluster_version
            && self.operators >= other.operators
            && self.gates >= other.gates
            && self.acks >= other.acks
    }

    fn of(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::ClusterVersion => &mut self.cluster_version,
            Kind::Operator => &mut self.operators,
            Kind::Gates => &mut self.gates,
            Kind::Acks => &mut self.acks,
        }
    }
}

/// An action, and a sender that reports its end.
pub type Command = (Action, oneshot::Sender<()>);

/// The configuration.
pub(crate) struct Setup {
    pub(crate) profile: Profile,
    pub(crate) params: Params,
    pub(crate) registry: Registry,
    pub(crate) release: Release,
}

#[derive(Clone, Copy)]
enum Kind {
    ClusterVersion,
    Operator,
    Gates,
    Acks,
}

pub(crate) struct Worker {
    setup: Setup,
    api: Api<DynamicObject>,
    lease: Option<Renewal>,
    process: Process,
    upgradeable: Upgradeable,
    inputs: Inputs,
    seen: Option<DynamicObject>,
    newest: Seen,
    /// Number of initial lists that have not arrived yet.
    missing: usize,
    last_written: u64,
    /// Whether the ClusterVersion changed since the last sync.
    event: bool,
    /// Whether the last sync had nothing to write.
    clean: bool,
    /// When its informers resync.
    resync: Option<Instant>,
    /// The resource version of the last write that conflicted.
    dropped: Option<u64>,
    tried: Option<Instant>,
    updating_since: Option<Instant>,
    actions: Vec<Command>,
}

impl Worker {
    pub(crate) fn new(client: Client, setup: Setup) -> Self {
        let process = Process::new(setup.profile, setup.registry.clone(), setup.release.clone());
        Self {
            api: crate::cluster_versions(&client),
            lease: setup.params.lease.map(|duration| Renewal::new(client, duration)),
            process,
            upgradeable: Upgradeable::default(),
            inputs: Inputs::default(),
            seen: None,
            newest: Seen::default(),
            missing: 4,
            last_written: 0,
            event: false,
            clean: false,
            resync: setup.params.resync.map(|every| Instant::now() + every),
            dropped: None,
            tried: None,
            updating_since: None,
            actions: Vec::new(),
            setup,
        }
    }

    /// Runs until [`Action::Stop`], or until the sender of actions is dropped.
    pub(crate) async fn run(mut self, client: Client, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut watches = watches(&client);
        self.renew().await;
        let mut renewals = interval(self.lease.as_ref().map_or(Duration::from_hours(1), Renewal::interval));
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut paused = false;
        loop {
            let wake = self.wake();
            let due = tokio::select! {
                biased;
                command = commands.recv() => match command {
                    None => return,
                    Some((Action::Stop, done)) => {
                        if let Some(lease) = &self.lease {
                            lease.release().await;
                        }
                        let _ = done.send(()); // fails if the test has ended meanwhile
                        return;
                    }
                    Some((action @ (Action::Pause | Action::Resume), done)) => {
                        paused = matches!(action, Action::Pause);
                        let _ = done.send(());
                        false
                    }
                    Some(command) => {
                        self.actions.push(command);
                        false
                    }
                },
                Some((kind, event)) = watches.next(), if !paused => self.notice(kind, event),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if !paused && wake.is_some() => true,
                () = sleep_until(self.resync.unwrap_or_else(Instant::now)), if !paused && self.resync.is_some() => {
                    self.on_resync()
                }
                _ = renewals.tick(), if !paused => {
                    self.renew().await;
                    continue;
                }
            };
            if self.missing == 0 && !paused && (due || self.has_to_sync()) {
                self.sync().await;
            }
        }
    }

    /// Performs the pending actions if there is nothing to write. Returns whether a sync is due.
    fn has_to_sync(&mut self) -> bool {
        if self.clean {
            return self.perform();
        }
        // A pending action is no reason to repeat a write that was rejected.
        self.dropped.is_none() || self.dropped != self.seen.as_ref().map(resource_version)
    }

    fn on_resync(&mut self) -> bool {
        self.resync = self.setup.params.resync.map(|every| Instant::now() + every);
        let Some(seen) = &self.seen else { return false };
        let (profile, throttle) = (self.setup.profile, self.setup.params.throttle);
        self.upgradeable.resync(profile, &value(seen), &self.inputs, throttle)
    }

    async fn renew(&self) {
        if let Some(lease) = &self.lease {
            lease.renew().await;
        }
    }

    /// Handles a watch event. Returns whether a sync is due.
    fn notice(&mut self, kind: Kind, event: Event<DynamicObject>) -> bool {
        let deleted = matches!(event, Event::Delete(_));
        if let Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) = &event {
            let newest = self.newest.of(kind);
            *newest = resource_version(object).max(*newest);
        }
        match event {
            Event::Init if matches!(kind, Kind::Operator) => self.inputs.operators.clear(),
            Event::Init => {}
            Event::InitDone => self.missing = self.missing.saturating_sub(1),
            Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => match kind {
                Kind::ClusterVersion => self.seen = (!deleted).then_some(object),
                Kind::Operator if deleted => drop(self.inputs.operators.remove(&object.name_any())),
                Kind::Operator => drop(self.inputs.operators.insert(object.name_any(), value(&object))),
                Kind::Gates => self.inputs.gates = (!deleted).then(|| value(&object)),
                Kind::Acks => self.inputs.acks = (!deleted).then(|| value(&object)),
            },
        }
        if self.missing > 0 {
            return false;
        }
        let profile = self.setup.profile;
        match (kind, &self.seen) {
            (Kind::ClusterVersion, _) => {
                self.event = true;
                true
            }
            _ if profile == Profile::Main => true,
            // Up to 4.22 this computes the conditions, but does not trigger the sync that publishes them.
            (Kind::Gates | Kind::Acks, Some(seen)) => {
                self.upgradeable.compute(profile, &value(seen), &self.inputs);
                false
            }
            (Kind::Gates | Kind::Acks, None) | (Kind::Operator, _) => false,
        }
    }

    /// When to sync without an event.
    fn wake(&self) -> Option<Instant> {
        let Params { retry, complete_after, .. } = self.setup.params;
        let retry = self.tried.map(|tried| tried + retry);
        let complete = self.updating_since.zip(complete_after).map(|(since, after)| since + after);
        let complete = complete.filter(|_| self.may_advance());
        [retry, complete].into_iter().flatten().min()
    }

    async fn sync(&mut self) {
        self.clean = false;
        while let Some(seen) = &self.seen {
            if resource_version(seen) < self.last_written {
                return; // the watch has not delivered its own write yet
            }
            let object = value(seen);
            let event = std::mem::take(&mut self.event);
            let (profile, throttle) = (self.setup.profile, self.setup.params.throttle);
            let upgradeable = self.upgradeable.at_sync(profile, &object, &self.inputs, event, throttle);
            let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let Outcome { status, again } = self.process.sync(&object, upgradeable, &now);
            self.tried = self.process.is_failing().then(Instant::now);
            if status != object["status"] {
                let mut object = seen.clone();
                object.data["status"] = status;
                self.put(object).await;
                return; // the watch delivers the result
            }
            if !again && !self.perform() {
                self.clean = true;
                return;
            }
        }
    }

    async fn put(&mut self, object: DynamicObject) {
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match self.api.replace_status("version", &params, &object).await {
            Ok(written) => self.last_written = resource_version(&written),
            Err(Error::Api(status)) if status.code == 409 => self.dropped = Some(resource_version(&object)),
            Err(error) => eprintln!("the stand-in cannot PUT the status: {error}"),
        }
    }

    /// Performs the pending actions, now that there is nothing to write. Returns whether another sync is needed.
    fn perform(&mut self) -> bool {
        let due = self.updating_since.zip(self.setup.params.complete_after);
        let mut again = due.is_some_and(|(since, after)| since.elapsed() >= after) && self.advance(true);
        let seen = self.newest;
        for (action, done) in std::mem::take(&mut self.actions) {
            let settled = Action::Settle(seen);
            let next = match action {
                Action::Settle(wanted) if seen.covers(wanted) && !again => {
                    let _ = done.send(());
                    continue;
                }
                Action::Complete if self.process.is_updating() && self.may_advance() => {
                    let handed_over = self.process.to_hand_over().is_none();
                    again |= self.advance(true);
                    if handed_over { settled } else { action }
                }
                Action::HandOver if self.process.to_hand_over().is_some() => {
                    again |= self.advance(false);
                    settled
                }
                Action::RecomputeUpgradeable => {
                    self.upgradeable.forget();
                    again = true;
                    settled
                }
                Action::Restart => {
                    self.restart_process(self.process.release().clone());
                    again = true;
                    settled
                }
                other => other,
            };
            self.actions.push((next, done));
        }
        self.updating_since = match self.updating_since {
            _ if !self.process.is_updating() => None,
            None => Some(Instant::now()),
            since => since,
        };
        again
    }

    /// Hands over if that has not happened, else completes if possible. Returns whether it did either.
    fn advance(&mut self, complete: bool) -> bool {
        if let Some(release) = self.process.to_hand_over() {
            self.restart_process(release);
            return true;
        }
        if complete && self.process.is_updating() && self.may_advance() {
            self.process.complete();
            return true;
        }
        false
    }

    /// Whether the next step is possible: a hand-over, or the end of a pass that no ClusterOperator blocks.
    fn may_advance(&self) -> bool {
        self.process.to_hand_over().is_some() || !self.inputs.block_a_pass()
    }

    fn restart_process(&mut self, release: Release) {
        self.process = Process::new(self.setup.profile, self.setup.registry.clone(), release);
        self.upgradeable = Upgradeable::default();
    }
}

fn watches(client: &Client) -> SelectAll<BoxStream<'static, (Kind, Event<DynamicObject>)>> {
    futures::stream::select_all([
        watch(crate::cluster_versions(client), Some("version"), Kind::ClusterVersion),
        watch(crate::cluster_operators(client), None, Kind::Operator),
        watch(crate::config_maps(client, "openshift-config-managed"), Some("admin-gates"), Kind::Gates),
        watch(crate::config_maps(client, "openshift-config"), Some("admin-acks"), Kind::Acks),
    ])
}

fn watch(api: Api<DynamicObject>, name: Option<&str>, kind: Kind) -> BoxStream<'static, (Kind, Event<DynamicObject>)> {
    let config = watcher::Config::default();
    let config = name.map_or(config.clone(), |name| config.fields(&format!("metadata.name={name}")));
    let events = watcher(api, config).default_backoff().inspect_err(|error| eprintln!("the stand-in's watch: {error}"));
    events.filter_map(move |event| std::future::ready(event.ok().map(|event| (kind, event)))).boxed()
}

fn resource_version(object: &DynamicObject) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("JSON")
}
