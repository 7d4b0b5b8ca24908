//! No force without a record that could be written, and none that waits for one for ever.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{self, Cluster, Operator, Options, RevokedAccess, condition, eventually, fixtures, is_forced};

/// Takes these verbs on UpdateRecords away from the operator.
async fn without<'a>(cluster: &'a Cluster, verbs: &[&str]) -> RevokedAccess<'a> {
    let access = json!({"group": "upgrade-gate.openshift.io", "resource": "updaterecords", "verb": verbs[0]});
    cluster.revoke_rules(access, |resource, verb| resource != "updaterecords" || !verbs.contains(&verb)).await
}

async fn waits_for_its_record(operator: &Operator) {
    eventually("the bridge to wait for a record", async || {
        operator.metric("upgrade_gate_bridge_refusal{reason=\"NoRecords\"}").ok_or_else(|| operator.metrics())
    })
    .await;
}

async fn available(cluster: &Cluster) -> String {
    condition(&cluster.own_operator().await, "Available")["message"].as_str().unwrap_or_default().to_owned()
}

async fn event_reasons(cluster: &Cluster) -> Vec<Value> {
    cluster.events().await.iter().map(|event| event["reason"].clone()).collect()
}

#[tokio::test]
async fn a_force_waits_for_its_record_if_that_succeeds_within_a_minute() {
    for verbs in [&["create"][..], &["list", "watch"]] {
        let (cluster, cvo) = support::locked_out().await;
        let revoked = without(&cluster, verbs).await;
        let mut operator = Operator::start(&cluster, Options::default()).await;
        operator.ready().await;
        cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
        waits_for_its_record(&operator).await;
        eventually("the ClusterOperator to say so", async || {
            let message = available(&cluster).await;
            let says = message.contains("waits for its record for up to 60 seconds");
            if says { Ok(()) } else { Err(message) }
        })
        .await;
        assert!(!is_forced(&cluster.cluster_version().await));
        assert_eq!(cluster.operator_writes().await.len(), 0);
        revoked.restore_access().await;
        cluster.forced().await;
        cvo.complete().await;
        let record = cluster.record_is("a record", |record| record["status"]["outcome"] == "Completed").await;
        assert_eq!(record["spec"]["by"], "Bridge");
        assert!(!event_reasons(&cluster).await.contains(&json!("ForcedUnrecorded")), "{verbs:?}");
    }
}

#[tokio::test]
async fn without_a_record_the_update_is_forced_after_a_minute_and_reported() {
    let (cluster, cvo) = support::locked_out().await;
    let revoked = without(&cluster, &["create"]).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    let since = Instant::now();
    waits_for_its_record(&operator).await;
    while !is_forced(&cluster.cluster_version().await) {
        assert!(since.elapsed() < Duration::from_secs(90), "it waits for ever");
        sleep(Duration::from_millis(100)).await;
    }
    let waited = since.elapsed();
    assert!(waited >= Duration::from_mins(1), "forced after {waited:?}");
    let tries = cluster.all_operator_writes().await;
    let tries = tries.iter().filter(|write| write.resource == "updaterecords").count();
    assert!(tries < 30, "{tries} tries to write a record");

    eventually("an event about it", async || {
        let events = cluster.events().await;
        let event = events.iter().find(|event| event["reason"] == "ForcedUnrecorded");
        event.map(|event| assert_eq!(event["type"], "Warning")).ok_or_else(|| format!("{events:#?}"))
    })
    .await;
    let says_so = "The requested update was forced and has no UpdateRecord";
    eventually("the ClusterOperator to say so", async || {
        let message = available(&cluster).await;
        if message.contains(says_so) { Ok(()) } else { Err(message) }
    })
    .await;

    // Once it can be written, it is, and the force doesn't go before it is complete.
    revoked.restore_access().await;
    cluster.record_is("a record", |record| record["spec"]["by"] == "Bridge").await;
    cvo.complete().await;
    cluster.record_is("its end", |record| record["status"]["outcome"] == "Completed").await;
    cluster.wait_for("no force", |cv| cv["spec"]["desiredUpdate"]["force"] != true).await;
    assert!(!available(&cluster).await.contains(says_so));
}
