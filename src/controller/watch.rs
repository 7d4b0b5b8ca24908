//! The watches. Each runs in a task of its own and sends what it sees to the reconcile loop; objects are cut
//! down to what is read as they come off the wire.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use backon::ExponentialBuilder;
use futures::StreamExt as _;
use kube::{
    Api, Client, Resource,
    api::{ApiResource, ObjectMeta},
    core::DynamicResourceScope,
    runtime::{
        WatchStreamExt as _, watcher,
        watcher::{Event, ExponentialBackoff},
    },
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet};

use crate::api::{
    ClusterOperator, UpdateRecord,
    names::{ADMIN_ACKS, ADMIN_GATES, CLUSTER_VERSION, SELF},
};

/// After the first failure of a watch, and then twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// ClusterOperators in one answer: a list of a thousand is held in pieces, and one of most clusters comes as a whole.
const PAGE: u32 = 100;

/// After so many seconds a watch begins anew where it left off, and a little later where not even its end has come: for
/// no longer a connection that has died silently hides what happens. It costs the server ten small requests a minute.
const WATCH_SECONDS: u32 = 30;

/// An object off the wire: enough metadata for the watch, and what `T` keeps of the rest.
#[derive(Clone, Debug)]
pub struct Wire<T> {
    meta: ObjectMeta,
    /// What is kept.
    pub kept: T,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Wire<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = |field: &str| value["metadata"][field].as_str().map(str::to_owned);
        let meta = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Ok(Self { meta, kept: serde_json::from_value(value).map_err(serde::de::Error::custom)? })
    }
}

impl<T> Resource for Wire<T> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }

    fn api_version(dt: &ApiResource) -> Cow<'_, str> {
        dt.api_version.as_str().into()
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// A ConfigMap's data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ConfigMap {
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

impl ConfigMap {
    /// The data; a ConfigMap without any has none.
    #[must_use]
    pub fn into_data(self) -> BTreeMap<String, String> {
        self.data.unwrap_or_default()
    }
}

/// A ClusterOperator, and all of it where it is our own.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// What the gate reads.
    pub read: ClusterOperator,
    /// The object as served, if it is ours to write.
    pub own: Option<Value>,
}

impl<'de> Deserialize<'de> for Operator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = ClusterOperator::deserialize(&value).map_err(serde::de::Error::custom)?;
        let own = (read.name == SELF).then_some(value);
        Ok(Self { read, own })
    }
}

/// What one watch saw.
#[derive(Clone, Debug)]
pub enum Seen<T> {
    /// The watch starts over; objects follow.
    Restarted,
    /// An object of the list that a watch starts with.
    Listed(T),
    /// The list is complete.
    Complete,
    /// An object came or changed.
    Changed(T),
    /// An object went.
    Gone(String),
    /// Nothing can be seen.
    Failed(Failure),
}

/// Why a watch sees nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The API isn't served (404).
    NotServed,
    /// The server refuses, or sends what can't be read. It says so each time, so waiting doesn't help.
    Refused(String),
    /// The server can't be reached, or is in trouble: what was seen last is the best there is.
    Passing(String),
}

/// What any of the watches saw.
#[derive(Clone, Debug)]
pub enum Change {
    /// The ClusterVersion named `version`, as served.
    ClusterVersion(Seen<Value>),
    /// A ClusterOperator.
    ClusterOperators(Seen<Operator>),
    /// ConfigMap `admin-gates`.
    AdminGates(Seen<ConfigMap>),
    /// ConfigMap `admin-acks`.
    AdminAcks(Seen<ConfigMap>),
    /// An UpdateRecord.
    Records(Seen<Box<UpdateRecord>>),
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
    let config_maps = ApiResource {
        group: String::new(),
        version: "v1".into(),
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        plural: "configmaps".into(),
    };
    let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
    let config_map = |namespace| Api::namespaced_with(client.clone(), namespace, &config_maps);
    let mut tasks = JoinSet::new();
    tasks.spawn(watch(
        Api::all_with(client.clone(), &cluster_versions()),
        named(CLUSTER_VERSION),
        changes.clone(),
        Change::ClusterVersion,
    ));
    tasks.spawn(watch(
        Api::all_with(client.clone(), &cluster_operators()),
        watcher::Config::default().page_size(PAGE),
        changes.clone(),
        Change::ClusterOperators,
    ));
    tasks.spawn(watch(
        Api::all_with(client.clone(), &ApiResource::erase::<UpdateRecord>(&())),
        watcher::Config::default(),
        changes.clone(),
        Change::Records,
    ));
    for (place, change) in [
        (ADMIN_GATES, Change::AdminGates as fn(Seen<ConfigMap>) -> Change),
        (ADMIN_ACKS, Change::AdminAcks as fn(Seen<ConfigMap>) -> Change),
    ] {
        tasks.spawn(watch(config_map(place.0), named(place.1), changes.clone(), change));
    }
    tasks
}

/// Watches for as long as somebody listens. After a refusal the watch starts over with a list: one that resumed
/// would say nothing until the next change, and the refusal would stand for ever.
async fn watch<T>(
    api: Api<Wire<T>>,
    config: watcher::Config,
    changes: mpsc::Sender<Change>,
    wrap: fn(Seen<T>) -> Change,
) where
    T: Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let backoff = || {
        let builder = ExponentialBuilder::new().with_min_delay(FIRST_WAIT).with_max_delay(LONGEST_WAIT);
        ExponentialBackoff::from(builder.with_factor(2.0).with_jitter().without_max_times())
    };
    let mut waits = backoff();
    loop {
        let config = config.clone().timeout(WATCH_SECONDS);
        let mut events = watcher(api.clone(), config).backoff(backoff()).boxed();
        while let Some(event) = events.next().await {
            let seen = seen(event);
            let refused = matches!(seen, Seen::Failed(Failure::NotServed | Failure::Refused(_)));
            if matches!(seen, Seen::Complete) {
                waits = backoff();
            }
            if changes.send(wrap(seen)).await.is_err() {
                return;
            }
            if refused {
                break;
            }
        }
        tokio::time::sleep(waits.next().unwrap_or(LONGEST_WAIT)).await;
    }
}

fn seen<T>(event: watcher::Result<Event<Wire<T>>>) -> Seen<T> {
    match event {
        Ok(Event::Init) => Seen::Restarted,
        Ok(Event::InitApply(object)) => Seen::Listed(object.kept),
        Ok(Event::InitDone) => Seen::Complete,
        Ok(Event::Apply(object)) => Seen::Changed(object.kept),
        Ok(Event::Delete(object)) => Seen::Gone(object.meta.name.unwrap_or_default()),
        Err(error) => Seen::Failed(failure(&error)),
    }
}

fn failure(error: &watcher::Error) -> Failure {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    let text = |error: &dyn std::error::Error| error.to_string();
    match error {
        InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status)) => {
            by_code(status.code, &status.message)
        }
        WatchError(status) => by_code(status.code, &status.message),
        InitialListFailed(error @ kube::Error::SerdeError(_)) | WatchFailed(error @ kube::Error::SerdeError(_)) => {
            Failure::Refused(text(error))
        }
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => Failure::Passing(text(error)),
        NoResourceVersion => Failure::Refused(text(error)),
    }
}

fn by_code(code: u16, message: &str) -> Failure {
    match code {
        404 => Failure::NotServed,
        401 | 403 => Failure::Refused(message.to_owned()),
        _ => Failure::Passing(message.to_owned()),
    }
}
