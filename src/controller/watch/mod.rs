//! The watches. Each runs in a task of its own and sends its events to the reconcile loop.

mod failures;
mod stale;
mod wire;

use futures::StreamExt as _;
use kube::{
    Api, Client,
    api::ApiResource,
    runtime::{watcher, watcher::Event},
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};

pub use self::wire::{ConfigMap, Operator, Wire};
use self::{failures::WatchFailures, stale::StaleEventFilter};
use crate::{
    api::{
        Served, UpdateRecord,
        names::{ADMIN_ACKS, ADMIN_GATES, CLUSTER_VERSION},
    },
    client::{discovery::is_served, rate_limit::WATCH_SECONDS},
    escape::causes,
};

/// ClusterOperators in one answer: most clusters have fewer, and of a thousand only a part is held at once.
const PAGE: u32 = 100;

/// An event of a watch.
#[derive(Clone, Debug)]
pub enum WatchEvent<T> {
    /// The watch starts over; objects follow.
    Restarted,
    /// An object of the list that a watch starts with.
    Listed(T),
    /// The list is complete.
    Complete,
    /// An object was created or changed.
    Changed(T),
    /// An object was deleted.
    Gone(String),
    /// The watch has failed.
    Failed(Failure),
}

impl<T> WatchEvent<T> {
    /// The same event, about what the object is made into.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> WatchEvent<U> {
        match self {
            Self::Restarted => WatchEvent::Restarted,
            Self::Listed(object) => WatchEvent::Listed(make(object)),
            Self::Complete => WatchEvent::Complete,
            Self::Changed(object) => WatchEvent::Changed(make(object)),
            Self::Gone(name) => WatchEvent::Gone(name),
            Self::Failed(failure) => WatchEvent::Failed(failure),
        }
    }
}

/// Why a watch has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The API isn't served (404).
    NotServed,
    /// The server refuses, or sends something that can't be parsed. Waiting doesn't help.
    Refused(String),
    /// The server can't be reached, or fails: cached data is still used.
    Passing(String),
}

/// An event of any of the watches.
#[derive(Clone, Debug)]
pub enum Change {
    /// The ClusterVersion named `version`.
    ClusterVersion(WatchEvent<Served>),
    /// A ClusterOperator.
    ClusterOperators(WatchEvent<Operator>),
    /// ConfigMap `admin-gates`.
    AdminGates(WatchEvent<ConfigMap>),
    /// ConfigMap `admin-acks`.
    AdminAcks(WatchEvent<ConfigMap>),
    /// An UpdateRecord.
    Records(WatchEvent<Box<UpdateRecord>>),
}

/// The resource that a ClusterVersion is.
#[must_use]
pub fn cluster_versions() -> ApiResource {
    config_resource("ClusterVersion", "clusterversions")
}

/// The resource that a ClusterOperator is.
#[must_use]
pub fn cluster_operators() -> ApiResource {
    config_resource("ClusterOperator", "clusteroperators")
}

fn config_maps() -> ApiResource {
    ApiResource {
        group: String::new(),
        version: "v1".into(),
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        plural: "configmaps".into(),
    }
}

fn config_resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "config.openshift.io".into(),
        version: "v1".into(),
        api_version: crate::api::names::CONFIG_API_VERSION.into(),
        kind: kind.into(),
        plural: plural.into(),
    }
}

/// Starts all watches; they end when the set is dropped or the receiver is.
pub fn start(client: &Client, changes: &mpsc::Sender<Change>) -> JoinSet<()> {
    let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
    let all = watcher::Config::default;
    let source = |resource: ApiResource, namespace: Option<&str>, config: watcher::Config| Source {
        client: client.clone(),
        resource,
        namespace: namespace.map(str::to_owned),
        config: config.timeout(WATCH_SECONDS),
    };
    let mut tasks = JoinSet::new();
    let cluster_version = source(cluster_versions(), None, named(CLUSTER_VERSION));
    tasks.spawn(cluster_version.watch(changes.clone(), Change::ClusterVersion));
    let operators = source(cluster_operators(), None, all().page_size(PAGE));
    tasks.spawn(operators.watch(changes.clone(), Change::ClusterOperators));
    let records = source(ApiResource::erase::<UpdateRecord>(&()), None, all());
    tasks.spawn(records.watch(changes.clone(), Change::Records));
    for (place, change) in [
        (ADMIN_GATES, Change::AdminGates as fn(WatchEvent<ConfigMap>) -> Change),
        (ADMIN_ACKS, Change::AdminAcks as fn(WatchEvent<ConfigMap>) -> Change),
    ] {
        let config_map = source(config_maps(), Some(place.0), named(place.1));
        tasks.spawn(config_map.watch(changes.clone(), change));
    }
    tasks
}

/// What one watch watches.
struct Source {
    client: Client,
    resource: ApiResource,
    namespace: Option<String>,
    config: watcher::Config,
}

impl Source {
    /// Watches until the receiver is dropped. After any failure it starts over with a list: a watch that resumed would not
    /// show that the source is readable again until the next change, and might ask for a version that the server has
    /// discarded.
    async fn watch<T>(self, changes: mpsc::Sender<Change>, wrap: fn(WatchEvent<T>) -> Change)
    where
        T: Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    {
        let api: Api<Wire<T>> = match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &self.resource),
            None => Api::all_with(self.client.clone(), &self.resource),
        };
        let mut failures = WatchFailures::none();
        let mut newest = StaleEventFilter::default();
        loop {
            let mut events = watcher(api.clone(), self.config.clone()).boxed();
            while let Some(event) = events.next().await {
                let (seen, failed) = match event {
                    Ok(event) if newest.has_passed(&event) => continue,
                    Ok(event) => (seen(event), false),
                    Err(error) => {
                        if failures.is_reported() {
                            let resource = &self.resource.plural;
                            tracing::warn!(
                                resource,
                                error = causes(&error),
                                "a watch fails; trying again until it succeeds"
                            );
                        }
                        (WatchEvent::Failed(self.failure(&error, &mut failures).await), true)
                    }
                };
                if matches!(seen, WatchEvent::Complete) {
                    failures.listed();
                }
                if changes.send(wrap(seen)).await.is_err() {
                    return;
                }
                if failed {
                    break;
                }
            }
            tokio::time::sleep(failures.wait()).await;
        }
    }

    /// Whether the source still counts as readable. Only a failed list can show that it doesn't.
    async fn failure(&self, error: &watcher::Error, failures: &mut WatchFailures) -> Failure {
        let why = error.to_string();
        let watcher::Error::InitialListFailed(error) = error else { return Failure::Passing(why) };
        let failure = match error {
            kube::Error::Api(status) if status.code == 404 => match is_served(&self.client, &self.resource).await {
                Ok(false) => return Failure::NotServed,
                Ok(true) => Failure::Passing(format!("the API is served, but: {why}")),
                Err(error) => Failure::Passing(format!("discovery fails: {error}")),
            },
            kube::Error::Api(status) if matches!(status.code, 401 | 403) => Failure::Refused(status.message.clone()),
            kube::Error::SerdeError(_) => Failure::Refused(why),
            _ => Failure::Passing(why),
        };
        match failure {
            Failure::Passing(why) if failures.are_lasting() => Failure::Refused(why),
            failure => failure,
        }
    }
}

fn seen<T>(event: Event<Wire<T>>) -> WatchEvent<T> {
    match event {
        Event::Init => WatchEvent::Restarted,
        Event::InitApply(object) => WatchEvent::Listed(object.kept),
        Event::InitDone => WatchEvent::Complete,
        Event::Apply(object) => WatchEvent::Changed(object.kept),
        Event::Delete(object) => WatchEvent::Gone(object.into_name()),
    }
}
