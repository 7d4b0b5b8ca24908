//! Who writes, where there are several: one at a time, through ends of every kind.

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, PostParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{self, Cluster, NAME, NAMESPACE, Operator, Options, eventually, fixtures};

/// A replica with a lease that runs out while a test waits.
fn replica(identity: &'static str) -> Options {
    Options::mode("replace").identity(identity).arg("--lease-duration=3s").arg("--lease-renew-interval=1s")
}

/// Waits until the Lease has this holder; null for none.
async fn held_by(cluster: &Cluster, identity: Value) -> Value {
    eventually(&format!("the lease to be held by {identity}"), async || {
        let lease = cluster.lease().await.unwrap_or_default();
        if lease["spec"]["holderIdentity"] == identity { Ok(lease) } else { Err(lease.to_string()) }
    })
    .await
}

async fn leads(operator: &Operator, leads: f64) {
    eventually(&format!("upgrade_gate_leader to be {leads}"), async || {
        let seen = operator.metric("upgrade_gate_leader");
        if seen == Some(leads) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

#[tokio::test]
async fn an_operator_that_terminates_releases_the_lease_and_another_continues() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let first = Operator::start(&cluster, replica("first")).await;
    held_by(&cluster, json!("first")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert_eq!(first.terminate().await.code(), Some(0));
    assert_eq!(cluster.lease().await.unwrap()["spec"]["holderIdentity"], json!(null));

    let _second = Operator::start(&cluster, replica("second")).await;
    cluster.set_overrides(json!([])).await;
    cluster.upgradeable("True", "AsExpected").await;
    held_by(&cluster, json!("second")).await;
}

#[tokio::test]
async fn a_waiting_replica_acquires_a_released_lease_before_it_would_expire() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let lasting = |identity| {
        Options::mode("replace").identity(identity).arg("--lease-duration=600s").arg("--lease-renew-interval=5s")
    };
    let first = Operator::start(&cluster, lasting("first")).await;
    held_by(&cluster, json!("first")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let mut second = Operator::start(&cluster, lasting("second")).await;
    second.ready().await;
    assert_eq!(first.terminate().await.code(), Some(0));
    held_by(&cluster, json!("second")).await;
    cluster.set_overrides(json!([])).await;
    cluster.upgradeable("True", "AsExpected").await;
}

#[tokio::test]
async fn a_paused_leader_writes_nothing_when_it_resumes_after_another_has_taken_over() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let first = Operator::start(&cluster, replica("first")).await;
    held_by(&cluster, json!("first")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let mut second = Operator::start(&cluster, replica("second")).await;
    second.ready().await;

    first.pause();
    held_by(&cluster, json!("second")).await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_blocked("4.22.0", &[]).await;
    second.pause(); // so that only the first one writes
    let before = cluster.operator_writes().await.len();
    cluster.set_overrides(json!([])).await; // something to write
    first.resume();
    leads(&first, 0.0).await;
    let holder = cluster.lease().await.unwrap()["spec"]["holderIdentity"].clone();
    let writes = cluster.operator_writes().await;
    assert_eq!((holder, writes.len()), (json!("second"), before), "{:#?}", writes.last());

    // Nobody renews it, so the one that is awake takes it in time, and then does what is to do.
    cluster.upgradeable("True", "AsExpected").await;
    held_by(&cluster, json!("first")).await;
    second.resume();
    leads(&second, 0.0).await;
}

#[tokio::test]
async fn a_replica_that_leads_again_does_not_count_the_other_leader_s_writes_as_contention() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let first = Operator::start(&cluster, replica("first")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let mut second = Operator::start(&cluster, replica("second")).await;
    second.ready().await;
    first.pause();
    held_by(&cluster, json!("second")).await;
    cluster.set_overrides(json!([])).await;
    cluster.upgradeable("True", "AsExpected").await;
    first.resume();
    leads(&first, 0.0).await;
    assert_eq!(second.terminate().await.code(), Some(0));
    held_by(&cluster, json!("first")).await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert_eq!(first.metric("upgrade_gate_contention_total"), Some(0.0));
}

#[tokio::test]
async fn a_waiting_replica_does_not_touch_the_lease_when_it_terminates() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let _leader = Operator::start(&cluster, replica("leader")).await;
    held_by(&cluster, json!("leader")).await;
    let mut follower = Operator::start(&cluster, replica("follower")).await;
    follower.ready().await;
    assert_eq!(follower.terminate().await.code(), Some(0));
    let lease = cluster.lease().await.unwrap();
    assert_eq!((&lease["spec"]["holderIdentity"], &lease["spec"]["leaseTransitions"]), (&json!("leader"), &json!(1)));
}

#[tokio::test]
async fn a_deleted_lease_is_created_again_by_the_leader() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let operator = Operator::start(&cluster, replica("only")).await;
    held_by(&cluster, json!("only")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let leases = Api::<Lease>::namespaced(cluster.client.clone(), NAMESPACE);
    leases.delete(NAME, &DeleteParams::default()).await.unwrap();
    held_by(&cluster, json!("only")).await;
    leads(&operator, 1.0).await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
}

#[tokio::test]
async fn without_leader_election_the_operator_works_and_creates_no_lease() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let operator = Operator::start(&cluster, Options::mode("replace").arg("--leader-elect=false")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert_eq!(operator.metric("upgrade_gate_leader"), Some(1.0));
    assert_eq!(cluster.lease().await, None);
    assert_eq!(operator.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn of_replicas_that_race_for_a_free_lease_one_acquires_and_keeps_it() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let leases = Api::<Lease>::namespaced(cluster.client.clone(), NAMESPACE);
    let held_by_a_ghost = json!({"metadata": {"name": NAME}, "spec": {"holderIdentity": "ghost",
        "leaseDurationSeconds": 600, "acquireTime": "2100-01-01T00:00:00.000000Z", "renewTime": "2100-01-01T00:00:00.000000Z"}});
    let held_by_a_ghost = serde_json::from_value(held_by_a_ghost).unwrap();
    leases.create(&PostParams::default(), &held_by_a_ghost).await.unwrap();
    let mut replicas = Vec::new();
    for name in ["one", "two", "three", "four"] {
        replicas.push(Operator::start(&cluster, replica(name)).await);
    }
    for operator in &mut replicas {
        operator.ready().await;
    }

    for _ in 0..4 {
        let before = leases.get(NAME).await.unwrap().metadata.resource_version.unwrap();
        let watch = leases.watch(&WatchParams::default(), &before).await.unwrap();
        leases.delete(NAME, &DeleteParams::default()).await.unwrap();
        // Long enough for a renewal, by the same one.
        let mut holders: Vec<String> = Vec::new();
        let collect = watch.try_for_each(|event| {
            match event {
                WatchEvent::Added(lease) | WatchEvent::Modified(lease) => {
                    holders.extend(lease.spec.and_then(|spec| spec.holder_identity));
                }
                WatchEvent::Deleted(_) => holders.clear(), // of a renewal just before
                WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
            }
            std::future::ready(Ok(()))
        });
        let _ = timeout(Duration::from_secs(2), collect).await;
        let renewals = holders.len();
        holders.dedup();
        assert_eq!(holders.len(), 1, "{holders:?}");
        assert!(renewals > 1);
        let leading = replicas.iter().filter(|operator| operator.metric("upgrade_gate_leader") == Some(1.0)).count();
        assert_eq!(leading, 1);
    }
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
}

#[tokio::test]
async fn an_operator_without_permission_for_its_lease_exits_with_an_error() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let _unbound = cluster.unbind_lease();
    let status = Operator::start(&cluster, replica("only")).await.ended().await;
    assert_eq!(status.code(), Some(1));
    assert_eq!(cluster.operator_writes().await.len(), 0);
}
