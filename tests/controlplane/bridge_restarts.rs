//! The bridge, stopped at every moment between its two writes: one update has one record, with its outcome.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{self, Cluster, Operator, Options, fixtures, is_forced, versions_of_history};

const FORCING: (&str, &str) = ("clusterversions", "patch");
const LINKING: (&str, &str) = ("updaterecords/status", "patch");

/// The access of that name, for a review.
fn access((resource, verb): (&str, &str)) -> Value {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (group, name) = match resource {
        "clusterversions" => ("config.openshift.io", "version"),
        _ => ("upgrade-gate.openshift.io", ""),
    };
    json!({"group": group, "resource": resource, "subresource": subresource, "name": name, "verb": verb})
}

async fn revoke_rules<'a>(cluster: &'a Cluster, right: (&str, &str)) -> support::RevokedAccess<'a> {
    let right_of = |resource: &str, verb: &str| (resource, verb) != right;
    cluster.revoke_rules(access(right), right_of).await
}

/// Times have whole seconds: a force of one update and the beginning of the one before it must not fall into the same.
async fn ask(cluster: &Cluster, version: &str) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.request(version, &fixtures::image(version)).await;
}

/// The one record, once its update has completed.
async fn the_record(cluster: &Cluster) -> Value {
    let record = cluster.record_is("one completed record", |record| record["status"]["outcome"] == "Completed").await;
    assert_eq!(record["metadata"]["name"], "4.21.2-000000000000");
    assert_eq!((&record["spec"]["from"], &record["spec"]["to"]), (&json!("4.21.1"), &json!("4.21.2")));
    assert_eq!(record["status"]["verified"], true);
    record
}

#[tokio::test]
async fn stopped_after_the_record_the_bridge_forces_later_without_a_second_record() {
    let (cluster, cvo) = support::locked_out().await;
    let revoked = revoke_rules(&cluster, FORCING).await;
    let operator = Operator::start(&cluster, Options::default()).await;
    ask(&cluster, "4.21.2").await;
    let degraded = cluster.own_condition("Degraded", "True", "ForceNotWritten").await;
    assert!(degraded["message"].as_str().unwrap().contains("compare the permissions with deploy/base"), "{degraded}");
    let before = cluster.record_is("a record that waits", |record| record["status"]["outcome"] == "Pending").await;
    operator.kill();
    assert!(!is_forced(&cluster.cluster_version().await));
    revoked.restore_access().await;

    let _operator = Operator::start(&cluster, Options::default()).await;
    cluster.forced().await;
    cvo.complete().await;
    let record = the_record(&cluster).await;
    assert_eq!((&record["metadata"]["uid"], &record["spec"]["by"]), (&before["metadata"]["uid"], &json!("Bridge")));
    cluster.own_condition("Degraded", "False", "AsExpected").await;
}

#[tokio::test]
async fn stopped_after_the_record_and_the_request_cleared_the_record_is_abandoned() {
    let (cluster, _cvo) = support::locked_out().await;
    let revoked = revoke_rules(&cluster, FORCING).await;
    let operator = Operator::start(&cluster, Options::default()).await;
    ask(&cluster, "4.21.2").await;
    cluster.record_is("a record", |_| true).await;
    operator.kill();
    cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    revoked.restore_access().await;
    let _operator = Operator::start(&cluster, Options::default()).await;
    let record = cluster.record_is("it is abandoned", |record| record["status"]["outcome"] == "Abandoned").await;
    assert_eq!(record["status"], json!({"outcome": "Abandoned"}));
    // Requested again, it is another update with its own record.
    ask(&cluster, "4.21.2").await;
    cluster.forced().await;
    let records = cluster.records_are("two records", |records| records.len() == 2).await;
    assert_eq!(records[0]["status"]["outcome"], "Abandoned");
    assert_eq!(records[1]["metadata"]["name"], "4.21.2-000000000000-2");
}

#[tokio::test]
async fn stopped_after_the_force_the_bridge_completes_the_record_later() {
    let (cluster, cvo) = support::locked_out().await;
    let revoked = revoke_rules(&cluster, LINKING).await;
    let operator = Operator::start(&cluster, Options::default()).await;
    ask(&cluster, "4.21.2").await;
    cluster.forced().await;
    operator.kill();
    let left = cluster.records().await;
    assert_eq!((left.len(), &left[0]["status"]), (1, &Value::Null));
    revoked.restore_access().await;
    cvo.complete().await;
    let operator = Operator::start(&cluster, Options::default()).await;
    assert_eq!(the_record(&cluster).await["spec"]["by"], "Bridge");
    operator.kill();
}

#[tokio::test]
async fn stopped_after_the_force_until_a_later_update_the_record_matches_its_own_entry() {
    let (cluster, cvo) = support::locked_out().await;
    let revoked = revoke_rules(&cluster, LINKING).await;
    let operator = Operator::start(&cluster, Options::default()).await;
    ask(&cluster, "4.21.2").await;
    cluster.forced().await;
    operator.kill();
    revoked.restore_access().await;
    cvo.complete().await;
    cluster.patch(json!({"spec": {"overrides": []}})).await;
    ask(&cluster, "4.21.3").await;
    cvo.complete().await;
    let _operator = Operator::start(&cluster, Options::default()).await;
    assert_eq!(the_record(&cluster).await["spec"]["by"], "Bridge");
}

#[tokio::test]
async fn a_deleted_record_is_created_again_with_the_same_content() {
    let (cluster, cvo) = support::locked_out().await;
    let operator = Operator::start(&cluster, Options::default()).await;
    ask(&cluster, "4.21.2").await;
    cluster.forced().await;
    cluster.record_is("a record", |record| record["status"]["outcome"] == "Pending").await;
    operator.kill();
    cluster.control_plane.kubectl(&["delete", "updaterecords", "--all"]);
    let _operator = Operator::start(&cluster, Options::default()).await;
    cvo.wait_until_idle().await;
    cluster.record_is("a record again", |record| record["spec"]["by"] == "Bridge").await;
    cvo.complete().await;
    assert_eq!(the_record(&cluster).await["spec"]["by"], "Bridge");
}

#[tokio::test]
async fn if_a_user_forces_first_the_bridge_s_record_is_abandoned() {
    let (cluster, cvo) = support::locked_out().await;
    let revoked = revoke_rules(&cluster, FORCING).await;
    let _operator = Operator::start(&cluster, Options::default()).await;
    ask(&cluster, "4.21.2").await;
    cluster.record_is("the bridge's", |record| record["spec"]["by"] == "Bridge").await;
    cluster.patch(json!({"spec": {"desiredUpdate": {"force": true}}})).await;
    let records = cluster
        .records_are("two records", |records| records.len() == 2 && records[0]["status"]["outcome"] == "Abandoned")
        .await;
    assert_eq!((&records[0]["spec"]["by"], &records[1]["spec"]["by"]), (&json!("Bridge"), &json!("Force")));
    revoked.restore_access().await;
    cvo.complete().await;
    cluster.records_are("its end", |records| records[1]["status"]["outcome"] == "Completed").await;
    assert_eq!(cluster.records().await[0]["status"]["outcome"], "Abandoned");
}

#[tokio::test]
async fn an_operator_killed_at_any_moment_leaves_one_record_for_each_update() {
    let (cluster, cvo) = support::locked_out().await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    for patch in 2..8 {
        let version = format!("4.21.{patch}");
        ask(&cluster, &version).await;
        // The moments spread over what the CVO's refusal and the two writes take.
        tokio::time::sleep(Duration::from_millis(12 * (patch - 1))).await;
        operator.kill();
        operator = Operator::start(&cluster, Options::default()).await;
        cluster.forced().await;
        // Until then, the CVO may still be in the pass that the removal of the force before cost.
        cluster.wait_for("the update begins", |cv| cv["status"]["history"][0]["version"] == *version).await;
        cvo.complete().await;
        cluster
            .records_are("a completed record", |records| {
                let about: Vec<_> = records.iter().filter(|record| record["spec"]["to"] == *version).collect();
                matches!(about[..], [record] if record["status"]["outcome"] == "Completed" && record["spec"]["by"] == "Bridge")
            })
            .await;
    }
    let seen = cluster.cluster_version().await;
    let expected = ["4.21.7", "4.21.6", "4.21.5", "4.21.4", "4.21.3", "4.21.2", "4.21.1", "4.21.0"];
    assert_eq!(versions_of_history(&seen), expected);
    // The force and its removal. Fewer where a kill took the answer, or the next request came before the removal.
    let writes = cluster.operator_writes().await.iter().filter(|write| write.code == 200).count();
    assert!(writes <= 12, "{writes} writes on ClusterVersion for six updates");
}
