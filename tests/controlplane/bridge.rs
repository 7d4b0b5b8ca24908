//! Beside a stock CVO: patch updates that it refuses for overrides alone go through, and nothing else does.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    self, Cluster, Operator, Options, condition,
    cvo::{self, Cvo, Params, Profile},
    eventually, fixtures,
};

fn says(object: &Value, type_: &str, status: &str, reason: &str) -> bool {
    let condition = condition(object, type_);
    condition["status"] == status && condition["reason"] == reason
}

/// Asks for a version as `oc adm upgrade --to` does, and waits until the CVO has refused it.
async fn ask_and_be_refused(cluster: &Cluster, version: &str) {
    cluster.request(version, &fixtures::image(version)).await;
    cluster
        .wait_for("the CVO refuses", |cv| {
            says(cv, "ReleaseAccepted", "False", "PreconditionChecks")
                && condition(cv, "ReleaseAccepted")["message"].as_str().unwrap().contains(version)
        })
        .await;
}

fn records(cluster: &Cluster) -> Vec<Value> {
    let list = cluster.control_plane.kubectl(&["get", "updaterecords", "-o", "json"]);
    serde_json::from_str::<Value>(&list).unwrap()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_patch_that_a_stock_cvo_refuses_for_overrides_goes_through_and_is_recorded() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    cluster.guard_the_door().await;
    let operator = Operator::start(&cluster, Options::mode("auto")).await;

    let version = "4.21.2";
    cluster.request(version, &fixtures::image(version)).await;
    let seen = cluster.wait_for("the patch has begun", |cv| cv["status"]["history"][0]["version"] == version).await;
    assert_eq!(seen["spec"]["desiredUpdate"]["force"], true);
    assert_eq!(seen["spec"]["desiredUpdate"]["image"], fixtures::image(version));
    assert_eq!(operator.metric("upgrade_gate_bridge_force_standing"), Some(1.0));
    assert_eq!(operator.metric("upgrade_gate_mode{mode=\"bridge\"}"), Some(1.0));
    cvo.complete().await;

    let record = eventually("a record that is completed", async || {
        let records = records(&cluster);
        match records.as_slice() {
            [record] if record["status"]["outcome"] == "Completed" => Ok(record.clone()),
            other => Err(format!("{other:#?}")),
        }
    })
    .await;
    assert_eq!(record["spec"]["by"], "Bridge");
    assert_eq!(record["spec"]["from"], "4.21.1");
    assert_eq!(record["spec"]["to"], version);
    assert_eq!(record["status"]["verified"], true);
    assert_eq!(record["spec"]["overrides"][0]["kind"], "ClusterImagePolicy");
}

#[tokio::test]
async fn a_minor_whose_refusal_reads_like_a_patchs_is_not_forced() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    let mut operator = Operator::start(&cluster, Options::mode("auto")).await;
    operator.ready().await;
    ask_and_be_refused(&cluster, "4.22.0").await;
    eventually("the bridge refuses", async || {
        operator.metric("upgrade_gate_bridge_refusal{reason=\"NotPatch\"}").ok_or_else(|| operator.metrics())
    })
    .await;
    cluster
        .wait_for("the CVO hears our ClusterOperator", |cv| says(cv, "Upgradeable", "False", "MultipleReasons"))
        .await;
    cvo.settled().await;
    cluster.rests_for(Duration::from_secs(2)).await;
    assert_eq!(cluster.cluster_version().await["spec"]["desiredUpdate"]["force"], false);
    assert_eq!(records(&cluster), Vec::<Value>::new());
}

#[tokio::test]
async fn beside_a_fixed_cvo_nothing_is_written_on_cluster_version() {
    for profile in [Profile::V4_22, Profile::Main] {
        let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
        let cvo = Cvo::start(&cluster, profile, Params::default()).await;
        let mut operator = Operator::start(&cluster, Options::mode("auto")).await;
        operator.ready().await;
        cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
        cvo.complete().await;
        cluster
            .wait_for("the CVO hears our ClusterOperator", |cv| {
                condition(cv, "Upgradeable")["message"].as_str().unwrap_or_default().contains("minor and major updates")
            })
            .await;
        cluster.rests_for(Duration::from_secs(2)).await;
        assert_eq!(cluster.operator_writes().await.len(), 0, "{profile:?}");
    }
}

#[tokio::test]
async fn our_cluster_operator_says_what_overrides_prevent() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let _cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    let _operator = Operator::start(&cluster, Options::mode("auto")).await;
    let seen = cluster
        .wait_for("the CVO hears our ClusterOperator", |cv| {
            condition(cv, "Upgradeable")["message"].as_str().unwrap_or_default().contains("minor and major updates")
        })
        .await;
    let message = condition(&seen, "Upgradeable")["message"].as_str().unwrap();
    assert!(message.contains("ClusterImagePolicy.config.openshift.io openshift"), "{message}");
    cluster.set_overrides(json!([])).await;
    cluster.wait_for("it is upgradeable again", |cv| condition(cv, "Upgradeable")["status"] != "False").await;
}
