//! UpdateRecords in mode replace: one for each update with accepted risks, before the conditions that accept it. Also the
//! behaviour if records cannot be written.

use futures::future::try_join_all;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::{self, Cluster, Operator, Options, condition, entries, eventually, fixtures, has_condition};

/// The updater carries out the newest entry of the history.
async fn carry_out(cluster: &Cluster, verified: bool) {
    cluster
        .put_status("updater", |status| {
            let entry = &mut status["history"][0];
            (entry["state"], entry["completionTime"]) = (json!("Completed"), json!("2026-02-01T00:00:00Z"));
            entry["verified"] = json!(verified);
            let release = json!({"version": entry["version"], "image": entry["image"]});
            status["desired"] = release;
        })
        .await;
}

async fn gate(cluster: &Cluster) -> Operator {
    let operator = Operator::start(cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    operator
}

fn outcomes(records: &[Value]) -> Vec<(&str, &str)> {
    records
        .iter()
        .map(|record| {
            (record["metadata"]["name"].as_str().unwrap(), record["status"]["outcome"].as_str().unwrap_or("none"))
        })
        .collect()
}

#[tokio::test]
async fn an_accepted_update_is_recorded_before_it_proceeds() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = gate(&cluster).await;
    let accepted = cluster.request_accepted("4.21.2").await;
    let entry = entries(&accepted, "4.21.2")[0].clone();
    let record = cluster.record_is("it began", |record| record["status"]["startedTime"] == entry["startedTime"]).await;
    let mut spec = record["spec"].clone();
    assert_eq!(spec.as_object_mut().unwrap().remove("acceptedTime").unwrap(), entry["startedTime"]);
    assert_eq!(
        spec,
        json!({
            "from": "4.21.1", "to": "4.21.2", "type": "patch", "image": fixtures::image("4.21.2"),
            "overrides": [{"group": "config.openshift.io", "kind": "ClusterImagePolicy", "name": "openshift", "namespace": ""}],
            "acceptedRisks": entry["acceptedRisks"], "by": "Gate",
        })
    );
    let status = json!({"outcome": "Pending", "startedTime": entry["startedTime"], "inHistory": true});
    assert_eq!(record["status"], status);

    let writes = cluster.all_operator_writes().await;
    let position = |wanted: fn(&support::Write) -> bool| writes.iter().position(wanted).unwrap();
    let recorded = position(|write| write.verb == "create" && write.resource == "updaterecords");
    let history = position(|write| write.resource == "clusterversions/status" && write.is_record());
    let accepted = writes.iter().rposition(support::Write::is_conditions).unwrap();
    assert!(recorded < accepted && history < accepted, "{writes:#?}");

    carry_out(&cluster, true).await;
    let record = cluster.record_is("it ended", |record| record["status"]["outcome"] == "Completed").await;
    let expected = json!({"outcome": "Completed", "startedTime": entry["startedTime"], "inHistory": true,
        "completedTime": "2026-02-01T00:00:00Z", "verified": true});
    assert_eq!(record["status"], expected);
    let line = cluster.control_plane.kubectl(&["get", "updaterecords", "--no-headers"]);
    let columns: Vec<&str> = line.split_whitespace().take(6).collect();
    assert_eq!(columns, ["4.21.2-000000000000", "4.21.2", "4.21.1", "patch", "Gate", "true"]);
}

#[tokio::test]
async fn each_update_has_its_record_and_an_abandoned_one_is_marked() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = gate(&cluster).await;
    cluster.request_accepted("4.21.2").await;
    carry_out(&cluster, true).await;
    cluster.record_is("it ended", |record| record["status"]["outcome"] == "Completed").await;

    // Forced past the gate, by the one who asked.
    let forced = json!({"version": "4.22.0", "image": fixtures::image("4.22.0"), "force": true});
    cluster.patch(json!({"spec": {"desiredUpdate": forced}})).await;
    cluster.accepted("4.22.0").await;
    let records = cluster.records_are("two", |records| records.len() == 2).await;
    let spec = &records[1]["spec"];
    assert_eq!([&spec["by"], &spec["from"], &spec["to"], &spec["type"]], ["Force", "4.21.2", "4.22.0", "minor"]);
    assert!(spec["acceptedRisks"].as_str().unwrap().starts_with("Forced through: "));

    // Another one takes its place before it was carried out: back to where the cluster came from, without force.
    cluster.patch(json!({"spec": {"desiredUpdate": {"version": "4.21.1", "image": fixtures::image("4.21.1"), "force": false}}})).await;
    cluster.accepted("4.21.1").await;
    carry_out(&cluster, false).await;
    let records = cluster
        .records_are("three", |records| {
            outcomes(records).iter().filter(|(_, outcome)| *outcome == "Completed").count() == 2
        })
        .await;
    assert_eq!(
        outcomes(&records),
        [
            ("4.21.1-000000000000", "Completed"),
            ("4.21.2-000000000000", "Completed"),
            ("4.22.0-000000000000", "Abandoned")
        ]
    );
    assert_eq!((&records[0]["spec"]["type"], &records[0]["status"]["verified"]), (&json!("rollback"), &json!(false)));

    // The same digest again, in another second: the history distinguishes two updates no further than that.
    let before = cluster.cluster_version().await["status"]["history"][2]["startedTime"].clone();
    eventually("another second", async || {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        if before == *now { Err(now) } else { Ok(()) }
    })
    .await;
    cluster.request_accepted("4.21.2").await;
    let pending = |records: &[Value]| outcomes(records).contains(&("4.21.2-000000000000-2", "Pending"));
    let records = cluster.records_are("four", |records| records.len() == 4 && pending(records)).await;
    assert_eq!(outcomes(&records)[1], ("4.21.2-000000000000", "Completed"));
}

#[tokio::test]
async fn an_operator_stopped_between_record_and_history_leaves_one_record() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let operator = gate(&cluster).await;
    let denial = cluster.deny("history", "Forbidden").await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    let before = cluster.record_is("a record that waits", |_| true).await;
    cluster.own_condition("Degraded", "True", "HistoryNotWritten").await;
    operator.kill();
    denial.lift().await;
    assert_eq!(entries(&cluster.cluster_version().await, "4.21.2").len(), 0);

    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.accepted("4.21.2").await;
    let record = cluster.record_is("it began", |record| record["status"]["startedTime"].is_string()).await;
    assert_eq!((&record["metadata"]["uid"], &record["spec"]), (&before["metadata"]["uid"], &before["spec"]));
    operator.kill();

    // The other way round: the history was written, and its record is gone.
    cluster.control_plane.kubectl(&["delete", "updaterecords", "--all"]);
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    let again = cluster.record_is("it is there again", |record| record["status"]["startedTime"].is_string()).await;
    for field in ["from", "to", "type", "image", "overrides", "acceptedRisks", "by"] {
        assert_eq!(again["spec"][field], before["spec"][field], "{field}");
    }
    assert_eq!(entries(&cluster.cluster_version().await, "4.21.2").len(), 1);
}

#[tokio::test]
async fn a_hundred_records_are_kept_and_the_oldest_ended_one_deleted() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let records: Vec<Value> = (0..100)
        .map(|index| {
            json!({
                "apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord",
                "metadata": {"name": format!("of-long-ago-{index:03}")},
                "spec": {"from": "4.20.1", "to": "4.20.2", "type": "patch", "image": "x", "overrides": [],
                    "acceptedRisks": "", "by": "Gate", "acceptedTime": format!("2025-01-01T{:02}:{:02}:00Z", index / 60, index % 60)},
            })
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": records});
    cluster.control_plane.apply_object(&list);
    let api = cluster.record_api();
    let (params, ended) = (PatchParams::default(), Patch::Merge(json!({"status": {"outcome": "Completed"}})));
    // All but one, of which the operator finds that nothing came.
    let ends: Vec<String> = (1..100).map(|index| format!("of-long-ago-{index:03}")).collect();
    try_join_all(ends.iter().map(|name| api.patch_status(name, &params, &ended))).await.unwrap();
    let _operator = gate(&cluster).await;
    cluster.records_are("all ended", |records| outcomes(records)[0].1 == "Abandoned").await;
    cluster.request_accepted("4.21.2").await;
    let names = |records: &[Value]| -> Vec<String> {
        records.iter().map(|record| record["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let left = cluster
        .records_are("a hundred, the new one among them", |records| {
            records.len() == 100 && names(records).contains(&"4.21.2-000000000000".to_owned())
        })
        .await;
    assert_eq!(names(&left)[1], "of-long-ago-001", "the oldest went");
}

#[tokio::test]
async fn without_the_crd_the_operator_is_degraded_and_records_once_it_is_installed() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let crd =
        cluster.control_plane.kubectl(&["get", "crd", "updaterecords.upgrade-gate.openshift.io", "--output=name"]);
    cluster.control_plane.kubectl(&["delete", crd.trim()]);
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    operator.ready().await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let seen = cluster.request_accepted("4.21.2").await;
    assert!(entries(&seen, "4.21.2")[0]["acceptedRisks"].as_str().unwrap().contains("ClusterVersionOverridesSet"));
    let degraded = cluster.own_condition("Degraded", "True", "UpdateRecordsNotServed").await;
    assert!(degraded["message"].as_str().unwrap().ends_with("Apply crds/updaterecord."), "{degraded}");

    let folder = support::repository("crds/updaterecord").to_string_lossy().into_owned();
    cluster.control_plane.kubectl(&["apply", "--server-side", "--kustomize", &folder]);
    cluster.control_plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", crd.trim()]);
    cluster.own_condition("Degraded", "False", "AsExpected").await;
    let record = cluster.record_is("what had begun is recorded", |_| true).await;
    assert_eq!((&record["spec"]["by"], &record["spec"]["to"]), (&json!("Gate"), &json!("4.21.2")));
}

#[tokio::test]
async fn without_access_to_records_the_operator_is_degraded() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let access = json!({"group": "upgrade-gate.openshift.io", "resource": "updaterecords", "verb": "list"});
    let revoked = cluster.revoke_rules(access, |resource, _| !resource.starts_with("updaterecords")).await;
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    operator.ready().await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let degraded = cluster.own_condition("Degraded", "True", "UpdateRecordsUnreadable").await;
    assert!(degraded["message"].as_str().unwrap().contains("cannot list resource"), "{degraded}");
    let seen = cluster.request_accepted("4.21.2").await;
    assert!(
        has_condition(&seen, "ReleaseAccepted", "True", "PayloadLoaded"),
        "{}",
        condition(&seen, "ReleaseAccepted")
    );
    revoked.restore_access().await;
    cluster.own_condition("Degraded", "False", "AsExpected").await;
    cluster.record_is("what had begun is recorded", |record| record["spec"]["by"] == "Gate").await;
}
