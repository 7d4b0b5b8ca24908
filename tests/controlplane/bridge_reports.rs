//! What the bridge records and reports of what a CVO decides by itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    self, Cluster, Operator, Options,
    cvo::{self, Cvo, Params, Profile},
    entries, eventually, fixtures,
};

/// A CVO of 4.21 that computes `Upgradeable` no earlier than in ten minutes, and an operator beside it. An override is set.
async fn unpublished() -> (Cluster, Cvo, Operator) {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster()).await;
    let params = Params { throttle: Duration::from_mins(10), retry: Duration::from_millis(300), ..Params::default() };
    let cvo = Cvo::start(&cluster, Profile::V4_21, params).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    (cluster, cvo, operator)
}

async fn is_begun(cluster: &Cluster, version: &str) -> Value {
    cluster.wait_for(&format!("{version} has begun"), |cv| cv["status"]["desired"]["version"] == version).await
}

#[tokio::test]
async fn a_patch_that_the_cvo_accepts_before_it_publishes_upgradeable_is_recorded_once() {
    let (cluster, cvo, operator) = unpublished().await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    let seen = is_begun(&cluster, "4.21.2").await;
    assert_eq!(entries(&seen, "4.21.2")[0]["acceptedRisks"], Value::Null);
    let record = cluster.record_is("it runs", |record| record["status"]["startedTime"].is_string()).await;
    let spec = &record["spec"];
    assert_eq!([&spec["by"], &spec["from"], &spec["to"], &spec["type"]], ["Gate", "4.21.1", "4.21.2", "patch"]);
    assert_eq!(spec["overrides"][0]["kind"], "ClusterImagePolicy");
    assert_eq!(
        spec["acceptedRisks"],
        "Overrides were set while this update was carried out, so it left unmanaged: \
         ClusterImagePolicy.config.openshift.io openshift."
    );

    // A replica that takes over in the midst of it finds the record.
    assert!(operator.terminate().await.success());
    let operator = Operator::start(&cluster, Options::default()).await;
    cvo.complete().await;
    let after = cluster.record_is("it ended", |record| record["status"]["outcome"] == "Completed").await;
    assert_eq!((&after["metadata"]["uid"], &after["spec"]), (&record["metadata"]["uid"], spec));
    assert_eq!((&after["status"]["verified"], &after["status"]["inHistory"]), (&json!(true), &Value::Null));
    cluster.operator_settles().await;
    cluster.operator_rests_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.operator_writes().await.len(), 0, "{}", operator.log());

    // What is completed at the start was recorded by whoever saw it, or by nobody.
    assert!(operator.terminate().await.success());
    cluster.control_plane.kubectl(&["delete", "updaterecords", "--all"]);
    let _operator = Operator::start(&cluster, Options::default()).await;
    cluster.operator_settles().await;
    cluster.operator_rests_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.records().await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_override_that_is_set_while_an_update_runs_is_none_that_it_began_with() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    is_begun(&cluster, "4.21.2").await;
    eventually("the operator to see it begin", async || {
        operator.metric("upgrade_gate_risk{name=\"ClusterVersionUpdating\"}").ok_or_else(|| operator.metrics())
    })
    .await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    cvo.complete().await;
    cluster.operator_settles().await;
    cluster.operator_rests_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.records().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_record_that_could_not_be_written_while_its_update_ran_is_written_afterwards() {
    let (cluster, cvo, _operator) = unpublished().await;
    let access = json!({"group": "upgrade-gate.openshift.io", "resource": "updaterecords", "verb": "create"});
    let withheld = cluster.withhold(access, |resource, verb| !(resource == "updaterecords" && verb == "create")).await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    is_begun(&cluster, "4.21.2").await;
    cvo.complete().await;
    cluster.wait_for("it is completed", |cv| entries(cv, "4.21.2")[0]["state"] == "Completed").await;
    cluster.operator_settles().await;
    assert_eq!(cluster.records().await, Vec::<Value>::new());
    withheld.give_back().await;
    let record = cluster.record_is("it is recorded", |record| record["status"]["outcome"] == "Completed").await;
    assert_eq!((&record["spec"]["by"], &record["spec"]["to"]), (&json!("Gate"), &json!("4.21.2")));
}
