//! The stand-in for the stock cluster-version operator of 4.21 that the tests use, as a program: for the demo, and to try
//! the bridge by hand on an API server without a real one.
//!
//! ```text
//! kubectl apply --server-side -f tests/stand-in-cvo/access.yaml
//! cargo run -p stand-in-cvo -- cvo.kubeconfig 2    # one with a token of its ServiceAccount
//! ```
//!
//! It begins the updates that it accepts, and hands over and completes each after so many seconds. SIGTERM ends it.
#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a tool for tests: it ends with a message where it cannot run"
)]

use std::time::Duration;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use stand_in_cvo::{Engine, Params, Profile, cluster_versions};
use tokio::{signal::unix, sync::mpsc};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let usage =
        "usage: stand-in-cvo KUBECONFIG SECONDS, until an update is handed over, and again until it is completed";
    let mut arguments = std::env::args().skip(1);
    let kubeconfig = arguments.next().expect(usage);
    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok()).expect(usage);

    let file = Kubeconfig::read_from(kubeconfig).expect("a readable kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a sound kubeconfig");
    let client = Client::try_from(config).expect("a client");
    let now = cluster_versions(&client)
        .list(&kube::api::ListParams::default())
        .await
        .expect("the ClusterVersion")
        .items
        .pop();
    let now = serde_json::to_value(now.expect("a ClusterVersion")).expect("JSON");

    let params = Params { complete_after: Some(Duration::from_secs(seconds)), ..Params::default() };
    let (_nobody, inbox) = mpsc::unbounded_channel();
    let mut terminate = unix::signal(unix::SignalKind::terminate()).expect("SIGTERM");
    tokio::select! {
        () = Engine::new(&now, Profile::V4_21, params).run(client, inbox) => {}
        _ = terminate.recv() => {}
    }
}
