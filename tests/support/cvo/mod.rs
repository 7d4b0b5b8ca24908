//! A stand-in for the stock cluster-version operator (CVO), on the real API server: what `openshift-facts` says of it,
//! in three releases, and nothing else. It shares no code with the operator under test, as a shared mistake would hide.
//!
//! It watches, and writes the whole status with a PUT, as its own user and field manager. Release images come from a
//! registry that starts with all the releases that the ClusterVersion knows, and that a test changes. It begins an
//! update by itself; that the update goes on is up to the test.
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
//! Available holds each pass (not a hand-over), and `complete` waits for it:
//!
//! ```text
//! cluster.put_cluster_operator("etcd", json!([fixtures::condition("Degraded", "True", "Broken", "no")])).await;
//! cvo.restart().await;                                                     // with the force of before
//! cvo.wait_until_idle().await;                                                     // Progressing=True, and stays so
//! cluster.delete_cluster_operator("etcd").await;
//! cvo.complete().await;                                                    // Progressing=False
//! ```
//!
//! `Upgradeable` is late up to 4.22, see [`Params::throttle`] and [`Params::resync`]; a test that needs it late sets both
//! to hours and ends that with [`Cvo::recompute_upgradeable`].
//!
//! An image whose signature isn't verifiable: `cvo.set_verifiable(&fixtures::image("4.21.2"), false)`.
//!
//! It runs in a thread of its own, so a test that blocks doesn't slow it down.

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
    /// Starts one on a ClusterVersion that has a status, and waits until it has settled.
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

    /// Waits until it has seen the ClusterVersion, the ClusterOperators and the admin ConfigMaps as they are now, and has
    /// nothing to write. (That a ClusterOperator or a ConfigMap was deleted it may see later.)
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

    /// Puts a release image where it can be pulled, signed; a tag is never verifiable.
    pub fn publish(&self, image: &str, version: &str) {
        self.registry.publish(image, version);
    }

    /// Takes a release image away. It notices when it next tries it.
    pub fn withdraw(&self, image: &str) {
        self.registry.withdraw(image);
    }

    /// Makes the signature of a published image (un)verifiable. It notices when it next tries the image.
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

    /// Makes it compute `Upgradeable` now, whatever [`Params::throttle`] says, and waits until that is published.
    pub async fn recompute_upgradeable(&self) {
        self.wait_until_idle().await;
        self.ask("catch up", Action::RecomputeUpgradeable).await;
        self.wait_until_idle().await;
    }

    /// Restarts its process from the same image: it forgets all that it doesn't read from the cluster.
    pub async fn restart(&self) {
        self.ask("restart", Action::Restart).await;
        self.wait_until_idle().await;
    }

    /// Stops its clock: it neither works nor renews its Lease. What happens meanwhile it sees afterwards, one by one.
    pub async fn pause(&self) {
        self.ask("pause", Action::Pause).await;
    }

    /// Lets it go on after [`Self::pause`].
    pub async fn resume(&self) {
        self.ask("resume", Action::Resume).await;
    }

    /// Ends it as on SIGTERM: it releases its Lease.
    pub async fn stop(mut self) {
        self.ask("stop", Action::Stop).await;
        self.end();
    }

    /// Ends it for good, without a word: its Lease goes stale. [`leave_lease`] makes that older than it is.
    pub fn scale_to_zero(mut self) {
        self.end();
    }

    /// What it wanted to write on the ClusterVersion since the test began.
    pub async fn writes(&self, cluster: &Cluster) -> Vec<Write> {
        let mut writes = cluster.writes().await;
        writes.retain(|write| write.user == USER && write.resource.starts_with("clusterversions"));
        writes
    }

    async fn ask(&self, what: &str, action: Action) {
        let (done, heard) = oneshot::channel();
        let commands = self.commands.as_ref().expect("a running stand-in");
        commands.send((action, done)).unwrap_or_else(|_| panic!("the stand-in ended, and can't {what}"));
        let heard = timeout(super::DEADLINE, heard).await;
        let heard = heard.unwrap_or_else(|_| panic!("the stand-in didn't {what} within {:?}", super::DEADLINE));
        heard.unwrap_or_else(|_| panic!("the stand-in ended, and didn't {what}"));
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
