//! A stand-in for the stock cluster-version operator (CVO), on a real API server. It has the behaviour of three releases of
//! the CVO as far as upgrade-gate depends on it. It shares no code with the operator under test, so that a mistake in one
//! does not hide the same mistake in the other.
//!
//! [`Engine`] needs a client and a few [`Params`]. The tests run it in a thread (`tests/support/cvo`), the demo runs the
//! program `stand-in-cvo`.
#![allow(clippy::disallowed_methods, reason = "it has a clock, as the CVO has")]
#![allow(clippy::expect_used, clippy::panic, clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod lease;
mod payload;
mod preconditions;
mod process;
mod status;
mod upgradeable;
mod worker;

use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;
use tokio::sync::mpsc;

pub use lease::write as write_lease;
pub use payload::Registry;
pub use worker::{Action, Command, Seen};

/// Its ServiceAccount, and its field manager.
pub const MANAGER: &str = "cluster-version-operator";
/// The namespace of the CVO and of its Lease.
pub const NAMESPACE: &str = "openshift-cluster-version";
/// The name of its Lease.
pub const LEASE: &str = "version";

/// The release of the CVO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Overrides block patch updates too.
    V4_21,
    /// Overrides no longer block patch updates; conditions are named as in 4.21.
    V4_22,
    /// As 4.22, with current names.
    Main,
}

/// The parameters of a test.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// How long until it retries a failed payload.
    pub retry: Duration,
    /// The least time between two computations of `Upgradeable`, up to 4.22; two minutes in a real one. An event of the
    /// ClusterVersion or a resync computes it once that time is over. A change of an admin ConfigMap computes it at
    /// once, and the next write publishes that. Main computes it at every sync, and throttles nothing.
    pub throttle: Duration,
    /// How often it computes `Upgradeable` without an event, as a real one does every two to four minutes, when its
    /// informers resync; `None`: never.
    pub resync: Option<Duration>,
    /// How long its Lease lasts, in whole seconds; `None`: no Lease.
    pub lease: Option<Duration>,
    /// How long until each step of an update (hand-over, completion) happens by itself; `None`: never.
    pub complete_after: Option<Duration>,
    /// The version in the history that it runs from; `None`: `status.desired`.
    pub release: Option<&'static str>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            retry: Duration::from_secs(15),
            throttle: Duration::from_millis(100),
            resync: Some(Duration::from_millis(100)),
            lease: Some(Duration::from_secs(137)),
            complete_after: None,
            release: None,
        }
    }
}

/// A stand-in without a client.
pub struct Engine {
    setup: worker::Setup,
}

impl Engine {
    /// Creates a stand-in for this ClusterVersion. The registry has all releases that it names.
    ///
    /// # Panics
    ///
    /// If the ClusterVersion has no release to run from.
    pub fn new(now: &Value, profile: Profile, params: Params) -> Self {
        let registry = Registry::default();
        let list = |name: &str| now["status"][name].as_array().into_iter().flatten();
        let conditional = list("conditionalUpdates").map(|update| &update["release"]);
        let known =
            list("history").chain(list("availableUpdates")).chain(conditional).chain([&now["status"]["desired"]]);
        known.map(status::Release::of).for_each(|release| registry.publish(&release.image, &release.version));
        let runs = list("history").map(status::Release::of).find(|release| Some(&*release.version) == params.release);
        let release = runs.unwrap_or_else(|| status::Release::of(&now["status"]["desired"]));
        assert!(!release.image.is_empty(), "a CVO needs a release to run from, in status.desired");
        Self { setup: worker::Setup { profile, params, registry, release } }
    }

    /// The registry of its release images.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.setup.registry.clone()
    }

    /// Runs until [`Action::Stop`], or until the sender of actions is dropped.
    pub async fn run(self, client: Client, inbox: mpsc::UnboundedReceiver<Command>) {
        worker::Worker::new(client.clone(), self.setup).run(client, inbox).await;
    }
}

/// The API of ClusterVersion.
#[must_use]
pub fn cluster_versions(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource("config.openshift.io", "ClusterVersion", "clusterversions"))
}

/// The API of ClusterOperator.
#[must_use]
pub fn cluster_operators(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource("config.openshift.io", "ClusterOperator", "clusteroperators"))
}

/// The API of ConfigMap in this namespace.
#[must_use]
pub fn config_maps(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource("", "ConfigMap", "configmaps"))
}

fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
}
