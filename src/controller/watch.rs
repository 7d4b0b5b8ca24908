//! The watches. Each runs in a task of its own and sends what it sees to the reconcile loop; objects are cut
//! down to what is read as they come off the wire.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use backon::ExponentialBuilder;
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::GroupVersionForDiscovery;
use kube::{
    Api, Client, Resource,
    api::{ApiResource, ObjectMeta},
    core::DynamicResourceScope,
    runtime::{
        watcher,
        watcher::{Event, ExponentialBackoff},
    },
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use crate::api::{
    ClusterOperator, Served, UpdateRecord,
    names::{ADMIN_ACKS, ADMIN_GATES, CLUSTER_VERSION, SELF},
};

/// After the first failure of a watch, and then twice as long each time, by chance up to twice that: short enough that
/// the right state follows within seconds, and long enough that six watches take some ten requests a second at most.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// ClusterOperators in one answer: a list of a thousand is held in pieces, and one of most clusters comes as a whole.
const PAGE: u32 = 100;

/// After so many seconds a watch begins anew where it left off, and a little later where not even its end has come: for
/// no longer a connection that has died silently hides what happens. It costs the server ten small requests a minute.

/// After so long without a failure, the next one is the first again: longer than any wait.
const CALM: Duration = Duration::from_secs(10);
/// For so long what was seen last stands while no list comes through. After that, a ClusterOperator may have said
/// anything.
const TRUST: Duration = Duration::from_mins(1);

/// An object off the wire: enough metadata for the watch, and what `T` keeps of the rest.
#[derive(Clone, Debug)]
pub struct Wire<T> {
    meta: ObjectMeta,
    /// What is kept.
    pub kept: T,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
}

#[derive(Deserialize)]
struct WireObject {
    metadata: WireMeta,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Wire<T> {
    /// Twice over the text, and never over all that it says: most of an object is passed over unread.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let custom = serde::de::Error::custom;
        let WireObject { metadata } = serde_json::from_str(text.get()).map_err(custom)?;
        let WireMeta { name, namespace, uid, resource_version } = metadata;
        let meta = ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() };
        Ok(Self { meta, kept: serde_json::from_str(text.get()).map_err(custom)? })
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
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let read: ClusterOperator = serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
        let own =
            if read.name == SELF { serde_json::from_str(text.get()).map_err(serde::de::Error::custom)? } else { None };
        Ok(Self { read, own })
    }
}

/// What one watch saw.
#[derive(Clone, Debug)]
pub enum WatchEvent<T> {
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
        config: config.timeout(crate::client::rate_limit::WATCH_SECONDS),
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

/// What one watch looks at.
struct Source {
    client: Client,
    resource: ApiResource,
    namespace: Option<String>,
    config: watcher::Config,
}

impl Source {
    /// Watches for as long as somebody listens. After a failure, whatever it was, it starts over with a list: one that
    /// resumed would say nothing until the next change, and might ask for ever for what the server has forgotten.
    async fn watch<T>(self, changes: mpsc::Sender<Change>, wrap: fn(WatchEvent<T>) -> Change)
    where
        T: Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    {
        let api: Api<Wire<T>> = match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &self.resource),
            None => Api::all_with(self.client.clone(), &self.resource),
        };
        let mut troubles = WatchFailures::none();
        let mut newest = StaleEventFilter::default();
        loop {
            let mut events = watcher(api.clone(), self.config.clone()).boxed();
            while let Some(event) = events.next().await {
                let (seen, failed) = match event {
                    Ok(event) if newest.has_passed(&event) => continue,
                    Ok(event) => (seen(event), false),
                    Err(error) => (WatchEvent::Failed(self.failure(&error, &mut troubles).await), true),
                };
                if matches!(seen, WatchEvent::Complete) {
                    troubles.listed();
                }
                if changes.send(wrap(seen)).await.is_err() {
                    return;
                }
                if failed {
                    break;
                }
            }
            tokio::time::sleep(troubles.wait()).await;
        }
    }

    /// What a failure says of the source. Where it can be listed, it can be read; so only a list can tell that it can't.
    async fn failure(&self, error: &watcher::Error, troubles: &mut WatchFailures) -> Failure {
        let why = error.to_string();
        let watcher::Error::InitialListFailed(error) = error else { return Failure::Passing(why) };
        let failure = match error {
            kube::Error::Api(status) if status.code == 404 => match self.is_served().await {
                Ok(false) => return Failure::NotServed,
                Ok(true) => Failure::Passing(format!("the API is there, but: {why}")),
                Err(error) => Failure::Passing(format!("whether the API is there can't be told: {error}")),
            },
            kube::Error::Api(status) if matches!(status.code, 401 | 403) => Failure::Refused(status.message.clone()),
            kube::Error::SerdeError(_) => Failure::Refused(why),
            _ => Failure::Passing(why),
        };
        match failure {
            Failure::Passing(why) if troubles.are_lasting() => Failure::Refused(why),
            failure => failure,
        }
    }

    /// Whether the API server lists the API among those that it serves. A 404 alone doesn't tell: a load balancer says the
    /// same for a moment, and without ClusterOperators the gate would stand open.
    async fn is_served(&self) -> kube::Result<bool> {
        let ApiResource { group, version, api_version, plural, .. } = &self.resource;
        if group.is_empty() {
            return Ok(true); // the core always is
        }
        let is_version = |found: &GroupVersionForDiscovery| found.version == *version;
        let groups = self.client.list_api_groups().await?.groups;
        if !groups.iter().any(|found| found.name == *group && found.versions.iter().any(is_version)) {
            return Ok(false);
        }
        let resources = self.client.list_api_group_resources(api_version).await?.resources;
        Ok(resources.iter().any(|found| found.name == *plural))
    }
}

/// The newest state that a watch has told of, by its `resourceVersion`: it tells of them in order, so one that comes later
/// and is older is out of a cache that lags, and what it says has been overtaken. A ClusterOperator that stopped minor
/// updates a moment ago would seem not to.
#[derive(Default)]
struct StaleEventFilter(u64);

impl StaleEventFilter {
    /// Whether the event tells of an older state than one before it. A list is the truth whatever its versions are.
    fn has_passed<T>(&mut self, event: &Event<Wire<T>>) -> bool {
        let object = match event {
            Event::Init => {
                *self = Self::default();
                return false;
            }
            Event::InitDone => return false,
            Event::InitApply(object) | Event::Apply(object) | Event::Delete(object) => object,
        };
        let version = object.meta.resource_version.as_ref().and_then(|version| version.parse().ok());
        let Some(version) = version else { return false };
        let has_passed = version < self.0 && !matches!(event, Event::InitApply(_));
        self.0 = self.0.max(version);
        has_passed
    }
}

/// How long a watch has been failing, and so how long it waits.
struct WatchFailures {
    waits: ExponentialBackoff,
    /// When it failed last.
    last: Option<Instant>,
    /// Since when no list has come through.
    unlisted: Option<Instant>,
}

impl WatchFailures {
    fn none() -> Self {
        Self { waits: waits(), last: None, unlisted: None }
    }

    /// A list has come through.
    fn listed(&mut self) {
        self.unlisted = None;
    }

    /// A list has failed. Whether they have for so long that what was seen last can't be trusted any more.
    fn are_lasting(&mut self) -> bool {
        self.unlisted.get_or_insert_with(Instant::now).elapsed() > TRUST
    }

    /// How long to wait after a failure: twice as long each time, until it was calm for a while.
    fn wait(&mut self) -> Duration {
        if self.last.is_none_or(|last| last.elapsed() > CALM) {
            self.waits = waits();
        }
        self.last = Some(Instant::now());
        self.waits.next().unwrap_or(LONGEST_WAIT)
    }
}

fn waits() -> ExponentialBackoff {
    let builder = ExponentialBuilder::new().with_min_delay(FIRST_WAIT).with_max_delay(LONGEST_WAIT);
    ExponentialBackoff::from(builder.with_factor(2.0).with_jitter().without_max_times())
}

fn seen<T>(event: Event<Wire<T>>) -> WatchEvent<T> {
    match event {
        Event::Init => WatchEvent::Restarted,
        Event::InitApply(object) => WatchEvent::Listed(object.kept),
        Event::InitDone => WatchEvent::Complete,
        Event::Apply(object) => WatchEvent::Changed(object.kept),
        Event::Delete(object) => WatchEvent::Gone(object.meta.name.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_watch_has_passed_it_does_not_go_back_to() {
        let object = |version: &str| {
            let text = format!(r#"{{"metadata": {{"name": "a", "resourceVersion": "{version}"}}}}"#);
            serde_json::from_str::<Wire<ConfigMap>>(&text).unwrap()
        };
        let mut newest = StaleEventFilter::default();
        let mut passed = |event| newest.has_passed(&event);
        assert!(
            !passed(Event::Init) && !passed(Event::InitApply(object("7"))) && !passed(Event::InitApply(object("5")))
        );
        assert!(!passed(Event::InitDone) && !passed(Event::Apply(object("8"))));
        assert!(passed(Event::Apply(object("6"))) && passed(Event::Delete(object("7"))));
        assert!(!passed(Event::Apply(object("8"))), "once more is no older");
        assert!(!passed(Event::Delete(object("9"))) && passed(Event::Apply(object("8"))));
        assert!(!passed(Event::Apply(object("opaque"))));
        assert!(!passed(Event::Init) && !passed(Event::InitApply(object("3"))) && !passed(Event::Apply(object("4"))));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_until_it_was_calm_for_a_while() {
        let mut troubles = WatchFailures::none();
        let mut waits = Vec::new();
        for _ in 0..9 {
            waits.push(troubles.wait());
            // What a list that comes through, and a watch that fails again, take meanwhile changes nothing.
            troubles.listed();
            tokio::time::sleep(*waits.last().unwrap()).await;
        }
        assert!(waits[0] < Duration::from_millis(500) && waits[8] >= LONGEST_WAIT, "{waits:?}");
        tokio::time::sleep(CALM + LONGEST_WAIT).await;
        assert!(troubles.wait() < Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_is_trusted_for_a_minute_of_lists_that_fail() {
        let mut troubles = WatchFailures::none();
        troubles.listed();
        tokio::time::sleep(Duration::from_hours(1)).await; // of a watch that is well
        assert!(!troubles.are_lasting());
        tokio::time::sleep(TRUST).await;
        assert!(!troubles.are_lasting());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(troubles.are_lasting());
        troubles.listed();
        assert!(!troubles.are_lasting());
    }
}
