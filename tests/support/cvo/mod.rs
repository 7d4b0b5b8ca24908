//! Runs the stand-in for the stock cluster-version operator (CVO), see `tests/stand-in-cvo`, on the real API server.
//!
//! It watches, and writes the whole status with a PUT, as its own user and field manager. Its registry starts with all
//! releases that the ClusterVersion names; a test can change it. The stand-in begins an update by itself; the test decides
//! when the update continues.
//!
//! ```text
//! let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
//! let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await; // killed when dropped
//! cluster.request("4.21.2", &fixtures::image("4.21.2")).await;             // blocked
//! cluster.patch(json!({"spec": {"desiredUpdate": {"force": true}}})).await;
//! cvo.complete().await;                                                    // once it has begun
//! ```
//!
//! The CVO of the old release runs until [`Cvo::hand_over`] or [`Cvo::complete`]. A change of `force` alone, and every
//! restart while a force is in `spec`, costs one pass of `Progressing=True`, which `complete` ends as well. Without
//! `complete` nothing ends a pass, unless [`Params::complete_after`] is set. A ClusterOperator that is Degraded or not
//! Available blocks the end of each pass (not a hand-over), and `complete` waits for it:
//!
//! ```text
//! cluster.put_cluster_operator("etcd", json!([fixtures::condition("Degraded", "True", "Broken", "no")])).await;
//! cvo.restart().await;                                                     // with the force of before
//! cvo.wait_until_idle().await;                                                     // Progressing=True, and stays so
//! cluster.delete_cluster_operator("etcd").await;
//! cvo.complete().await;                                                    // Progressing=False
//! ```
//!
//! Up to 4.22 `Upgradeable` is published with a delay, see [`Params::throttle`] and [`Params::resync`]. A test that needs the
//! delay sets both to hours, and ends it with [`Cvo::recompute_upgradeable`].
//!
//! An image without a verifiable signature: `cvo.set_verifiable(&fixtures::image("4.21.2"), false)`.
//!
//! It runs in a thread of its own, so that a test that blocks does not slow it down.

mod access;
mod lease;

use std::thread::JoinHandle;

use kube::api::{Api, DynamicObject, ListParams};
use kube::config::Kubeconfig;
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::audit::Write;
use super::cluster::Cluster;
use stand_in_cvo::{Action, Command, Engine, Registry, Seen};

pub use access::USER;
pub use lease::{lease, leave_lease};
pub use stand_in_cvo::{MANAGER, NAMESPACE, Params, Profile};

/// A running stand-in. Dropped, it is killed, and its Lease stays as it was.
pub struct Cvo {
    client: Client,
    registry: Registry,
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Cvo {
    /// Starts a stand-in on a ClusterVersion that has a status, and waits until it is idle.
    pub async fn start(cluster: &Cluster, profile: Profile, params: Params) -> Self {
        let now = cluster.cluster_version().await;
        let engine = Engine::new(&now, profile, params);
        let registry = engine.registry();
        let kubeconfig = access::kubeconfig(cluster.control_plane);
        let (commands, inbox) = mpsc::unbounded_channel();
        let thread = std::thread::spawn(move || run(kubeconfig, engine, inbox));
        let client = cluster.client.clone();
        let cvo = Self { client, registry, commands: Some(commands), thread: Some(thread) };
        cvo.wait_until_idle().await;
        cvo
    }

    /// Waits until it has seen the current ClusterVersion, ClusterOperators and admin ConfigMaps, and has nothing to write.
    /// This does not wait for deletions of ClusterOperators and ConfigMaps.
    pub async fn wait_until_idle(&self) {
        let newest = async |api: Api<DynamicObject>, name: Option<&str>| {
            let only = name.map(|name| format!("metadata.name={name}"));
            let list = api.list(&ListParams { field_selector: only, ..ListParams::default() }).await.expect("a list");
            let version = |object: &DynamicObject| object.resource_version().and_then(|version| version.parse().ok());
            list.items.iter().filter_map(version).max().unwrap_or(0)
        };
        let now = Seen {
            cluster_version: newest(stand_in_cvo::cluster_versions(&self.client), None).await,
            operators: newest(stand_in_cvo::cluster_operators(&self.client), None).await,
            gates: newest(stand_in_cvo::config_maps(&self.client, "openshift-config-managed"), Some("admin-gates"))
                .await,
            acks: newest(stand_in_cvo::config_maps(&self.client, "openshift-config"), Some("admin-acks")).await,
        };
        self.ask("settle", Action::Settle(now)).await;
    }

    /// Publishes a signed release image. A tag is never verifiable.
    pub fn publish(&self, image: &str, version: &str) {
        self.registry.publish(image, version);
    }

    /// Removes a release image. This takes effect when the stand-in next loads it.
    pub fn withdraw(&self, image: &str) {
        self.registry.withdraw(image);
    }

    /// Makes the signature of a published image (un)verifiable. This takes effect when the stand-in next loads it.
    pub fn set_verifiable(&self, image: &str, verifiable: bool) {
        self.registry.set_verifiable(image, verifiable);
    }

    /// Waits until an update has begun, then lets the CVO of the new release take over. The entry stays Partial.
    pub async fn hand_over(&self) {
        self.ask("hand over", Action::HandOver).await;
    }

    /// Waits until an update has begun, hands over if that hasn't happened, and completes it.
    pub async fn complete(&self) {
        self.ask("complete an update", Action::Complete).await;
    }

    /// Computes `Upgradeable` regardless of [`Params::throttle`], and waits until it is published.
    pub async fn recompute_upgradeable(&self) {
        self.wait_until_idle().await;
        self.ask("catch up", Action::RecomputeUpgradeable).await;
        self.wait_until_idle().await;
    }

    /// Restarts its process from the same image: it loses its memory.
    pub async fn restart(&self) {
        self.ask("restart", Action::Restart).await;
        self.wait_until_idle().await;
    }

    /// Pauses it: it writes nothing and does not renew its Lease. It handles the events of that time when resumed.
    pub async fn pause(&self) {
        self.ask("pause", Action::Pause).await;
    }

    /// Resumes it after [`Self::pause`].
    pub async fn resume(&self) {
        self.ask("resume", Action::Resume).await;
    }

    /// Stops it as SIGTERM does: it releases its Lease.
    pub async fn stop(mut self) {
        self.ask("stop", Action::Stop).await;
        self.end();
    }

    /// Kills it: its Lease expires. [`leave_lease`] sets an earlier renew time.
    pub fn scale_to_zero(mut self) {
        self.end();
    }

    /// Its write requests for the ClusterVersion since the start of the test.
    pub async fn writes(&self, cluster: &Cluster) -> Vec<Write> {
        let mut writes = cluster.writes().await;
        writes.retain(|write| write.user == USER && write.resource.starts_with("clusterversions"));
        writes
    }

    async fn ask(&self, what: &str, action: Action) {
        let (done, finished) = oneshot::channel();
        let commands = self.commands.as_ref().expect("a running stand-in");
        commands.send((action, done)).unwrap_or_else(|_| panic!("the stand-in ended, and cannot {what}"));
        let finished = timeout(super::DEADLINE, finished).await;
        let finished = finished.unwrap_or_else(|_| panic!("the stand-in did not {what} within {:?}", super::DEADLINE));
        finished.unwrap_or_else(|_| panic!("the stand-in ended, and did not {what}"));
    }

    fn end(&mut self) {
        self.commands = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the stand-in panicked, see above");
        }
    }
}

impl Drop for Cvo {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(kubeconfig: Kubeconfig, engine: Engine, inbox: mpsc::UnboundedReceiver<Command>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = access::client(kubeconfig).await;
        engine.run(client, inbox).await;
    });
}
