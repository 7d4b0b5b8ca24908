//! A 4.21 cluster with an override and its CVO, which refuses every update: the start of most tests of the bridge.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::{Cluster, cluster_as};
use super::cvo::{self, Cvo, Params, Profile};
use super::fixtures;
use super::operator::{Operator, Options};

/// A cluster and its CVO of 4.21, which retries every second.
pub async fn cluster_with_cvo_4_21(cluster_version: Value) -> (Cluster, Cvo) {
    let cluster = cluster_as(cvo::MANAGER, cluster_version).await;
    let params = Params { retry: Duration::from_secs(1), ..Params::default() };
    let cvo = Cvo::start(&cluster, Profile::V4_21, params).await;
    (cluster, cvo)
}

/// A cluster with an override and updates to 5.0.0, 4.22.0 and 4.21.2 to 4.21.9, its CVO of 4.21, and the policy.
pub async fn locked_out() -> (Cluster, Cvo) {
    let mut cluster_version = fixtures::cluster_with_override();
    let updates = ["5.0.0", "4.22.0"].map(str::to_owned).into_iter();
    let updates = updates.chain((2..10).rev().map(|patch| format!("4.21.{patch}")));
    let updates: Vec<Value> = updates.map(|version| fixtures::release(&version)).collect();
    cluster_version["status"]["availableUpdates"] = json!(updates);
    let (cluster, cvo) = cluster_with_cvo_4_21(cluster_version).await;
    cluster.install_policy().await;
    (cluster, cvo)
}

/// A cluster that the bridge has forced to 4.21.2, with the force removed again, its CVO and the operator.
pub async fn updated() -> (Cluster, Cvo, Operator) {
    let (cluster, cvo) = locked_out().await;
    let operator = Operator::start(&cluster, Options::default()).await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cvo.complete().await;
    cluster.record_is("a record", |record| record["status"]["outcome"] == "Completed").await;
    cluster.wait_for("no force", |cv| cv["spec"]["desiredUpdate"]["force"].is_null()).await;
    cvo.complete().await;
    (cluster, cvo, operator)
}

/// Whether the request is forced.
pub fn is_forced(cluster_version: &Value) -> bool {
    cluster_version["spec"]["desiredUpdate"]["force"] == true
}

impl Cluster {
    /// [`Cluster::wait_for`], with a [`touch`](Self::touch) every 150 ms.
    pub async fn touch_until_seen(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.touch_until(what, async || {
            let seen = self.cluster_version().await;
            if wanted(&seen) { Ok(seen) } else { Err(format!("{seen:#}")) }
        })
        .await
    }

    /// Waits until the request is forced.
    pub async fn forced(&self) -> Value {
        self.touch_until_seen("force", is_forced).await
    }

    /// Waits until the update to this version has begun.
    pub async fn begun(&self, version: &str) -> Value {
        let begun = |cv: &Value| cv["status"]["history"][0]["version"] == version;
        self.touch_until_seen(&format!("the update to {version}"), begun).await
    }

    /// Completes an accepted update in the status, as an updater does without a CVO.
    pub async fn updater_completes(&self, version: &str) {
        self.put_status("updater", |status| {
            status["desired"] = fixtures::release(version);
            status["history"][0]["state"] = json!("Completed");
            status["history"][0]["completionTime"] = json!(fixtures::LONG_AGO);
        })
        .await;
    }
}
