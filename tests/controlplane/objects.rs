//! A ClusterVersion that isn't there, has no status yet, is created again, or can't be read.

use serde_json::json;

use crate::support::{self, Loosen, Operator, Options, entries, eventually, fixtures, has_condition};

#[tokio::test]
async fn without_a_status_the_operator_writes_nothing_until_there_is_one() {
    let mut cluster_version = fixtures::cluster_with_override();
    let status = cluster_version.as_object_mut().unwrap().remove("status").unwrap();
    let cluster = support::cluster(cluster_version).await;
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    operator.ready().await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    eventually("the operator to look", async || {
        let overrides = operator.metric("upgrade_gate_overrides_unmanaged");
        if overrides == Some(1.0) { Ok(()) } else { Err(format!("{overrides:?}")) }
    })
    .await;
    assert_eq!(cluster.operator_writes().await.len(), 0);

    cluster.put_status("updater", |current| *current = status.clone()).await;
    let seen = cluster.accepted("4.21.2").await;
    assert!(has_condition(&seen, "Upgradeable", "False", "ClusterVersionOverrides"));
    assert_eq!(entries(&seen, "4.21.2").len(), 1);
    assert_eq!(cluster.operator_writes().await.len(), 2);
}

#[tokio::test]
async fn an_object_that_is_deleted_and_created_again_is_gated_from_the_start() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_accepted("4.21.2").await;
    cluster.delete().await;
    cluster.create("fixture", fixtures::cluster()).await;
    cluster.upgradeable("True", "AsExpected").await;
    cluster.delete().await;
    // The same conditions and the same request as before, on another object: no contention, and not recorded yet.
    cluster.create("fixture", fixtures::cluster_with_override()).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let seen = cluster.request_accepted("4.21.2").await;
    assert_eq!(entries(&seen, "4.21.2").len(), 1);
    assert!(cluster.events().await.iter().all(|event| event["reason"] != "GateContention"));
    operator.ready().await;
}

#[tokio::test]
async fn an_operator_that_starts_before_the_object_waits_for_it() {
    let cluster = support::cluster(fixtures::cluster()).await;
    cluster.delete().await;
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    operator.ready().await;
    cluster.create("fixture", fixtures::cluster_with_override()).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
}

#[tokio::test]
async fn a_malformed_object_is_not_written_until_it_is_fixed() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let loose = [
        Loosen::AnyType("/properties/spec/properties/overrides"),
        Loosen::AnyType("/properties/status/properties/history"),
    ];
    let loosened = cluster.loosen("clusterversions", &loose).await;
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let before = cluster.operator_writes().await.len();

    for odd in [json!("all"), json!({"unmanaged": true}), json!(["one"]), json!([{"unmanaged": "true"}])] {
        cluster.set_overrides(odd).await;
        operator.ready().await;
        cluster.set_overrides(json!(null)).await;
    }
    cluster.set_overrides(json!("all")).await;
    cluster.patch_status("updater", json!({"history": "none"})).await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    assert_eq!(cluster.operator_writes().await.len(), before, "what can't be read isn't judged");
    assert_eq!(operator.probe("/healthz").unwrap().0, 200);

    cluster.patch_status("updater", json!({"history": [fixtures::completed("4.21.1")]})).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let seen = cluster.request_accepted("4.21.2").await;
    assert_eq!(entries(&seen, "4.21.2").len(), 1);
    operator.ready().await;
    loosened.restore().await;
}
