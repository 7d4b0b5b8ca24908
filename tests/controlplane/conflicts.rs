//! Failed writes: a conflict, or a rejection by the API server. Other writes still succeed, a failed one is retried with a
//! backoff until it succeeds.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{self, Cluster, Operator, Options, condition, entries, eventually, fixtures, has_condition};

/// Changes the status all the time, until it is stopped.
async fn hammer(cluster: &Cluster, mut stop: tokio::sync::oneshot::Receiver<()>) {
    let mut rhythm = tokio::time::interval(Duration::from_millis(8));
    let mut blow = 0;
    while matches!(stop.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Empty)) {
        rhythm.tick().await;
        blow += 1;
        cluster.patch_status("hammer", json!({"versionHash": blow.to_string()})).await;
    }
}

#[tokio::test]
async fn each_kind_of_write_succeeds_once_after_a_conflict() {
    let mut cluster_version = fixtures::cluster_with_override();
    let patches: Vec<_> = (2..100).map(|patch| fixtures::release(&format!("4.21.{patch}"))).collect();
    cluster_version["status"]["availableUpdates"] = json!(patches);
    let cluster = support::cluster(cluster_version).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;

    let (stop, stopped) = tokio::sync::oneshot::channel();
    let mut last = 1;
    let work = async {
        // Until each kind of write has had its conflict.
        let since = Instant::now();
        loop {
            last += 1;
            let version = format!("4.21.{last}");
            cluster.request_accepted(&version).await;
            let writes = cluster.operator_writes().await;
            let met_by =
                |wanted: fn(&support::Write) -> bool| writes.iter().any(|write| write.code == 409 && wanted(write));
            if met_by(support::Write::is_record) && met_by(support::Write::is_conditions) {
                break;
            }
            assert!(since.elapsed() < support::DEADLINE, "no conflict on each kind of write after {last} requests");
        }
        stop.send(()).expect("the hammer");
    };
    tokio::join!(hammer(&cluster, stopped), work);

    let seen = cluster.cluster_version().await;
    for patch in 2..=last {
        let version = format!("4.21.{patch}");
        assert_eq!(entries(&seen, &version).len(), 1);
        assert!(entries(&seen, &version)[0]["acceptedRisks"].as_str().unwrap().contains("ClusterVersionOverridesSet"));
    }
    let records = cluster.operator_writes().await.iter().filter(|write| write.is_record() && write.code == 200).count();
    assert_eq!(records, last - 1);
}

#[tokio::test]
async fn a_failed_json_patch_test_is_a_422_and_a_stale_resource_version_a_409() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let seen = cluster.cluster_version().await;
    let patch = |version: &Value, front: &Value| {
        let steps = json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "test", "path": "/status/history/0", "value": front},
            {"op": "add", "path": "/status/history/0/acceptedRisks", "value": "none"},
        ]);
        Patch::Json::<()>(serde_json::from_value(steps).unwrap())
    };
    let api = cluster.cluster_versions();
    let params = PatchParams::default();
    let (version, front) = (&seen["metadata"]["resourceVersion"], &seen["status"]["history"][0]);
    let refused =
        async |version: &Value, front: &Value| match api.patch_status("version", &params, &patch(version, front)).await
        {
            Err(kube::Error::Api(status)) => status.code,
            other => panic!("{other:?}"),
        };
    assert_eq!(refused(version, &fixtures::completed("4.21.0")).await, 422);
    assert_eq!(refused(&json!("1"), front).await, 409);
    api.patch_status("version", &params, &patch(version, front)).await.unwrap();
    assert_eq!(refused(version, front).await, 422, "the entry is tested before the version is compared");
}

/// Refused with 403 (another admission policy), or with 422, which is also what a failed `test` gives.
async fn a_record_that_is_refused(reason: &str) {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let denial = cluster.deny("history", reason).await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;

    // It can't go ahead without its record, which is no reason to leave `Upgradeable` as it was.
    let waits =
        cluster.wait_for("the request to wait", |cv| condition(cv, "ReleaseAccepted")["status"] == "Unknown").await;
    assert!(condition(&waits, "ReleaseAccepted")["message"].as_str().unwrap().contains("4.21.2"));
    cluster.put_cluster_operator("dns", json!([fixtures::condition("Upgradeable", "False", "No", "no")])).await;
    cluster.upgradeable("False", "MultipleReasons").await;
    cluster.delete_cluster_operator("dns").await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;

    denial.lift().await;
    let seen = cluster.accepted("4.21.2").await;
    assert_eq!(entries(&seen, "4.21.2").len(), 1);
    let attempts = cluster.operator_writes().await.len();
    assert!(attempts < 40, "{attempts} writes is no back-off");
}

#[tokio::test]
async fn a_forbidden_record_delays_the_request_until_it_is_allowed() {
    a_record_that_is_refused("Forbidden").await;
}

#[tokio::test]
async fn an_invalid_record_delays_the_request_until_it_is_valid() {
    a_record_that_is_refused("Invalid").await;
}

#[tokio::test]
async fn rejected_conditions_are_retried_with_backoff_until_they_succeed() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let denial = cluster.deny("conditions", "Forbidden").await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    let failed = r#"upgrade_gate_writes_total{kind="conditions",result="refused"}"#;
    eventually("some failed tries", async || {
        let tries = operator.metric(failed).unwrap_or_default();
        if tries >= 4.0 { Ok(()) } else { Err(format!("{tries} tries")) }
    })
    .await;
    denial.lift().await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    // 100 ms doubled each time: ten tries take longer than a test waits.
    assert!(operator.metric(failed).unwrap() < 10.0);
}

#[tokio::test]
async fn a_failed_write_of_a_deleted_object_is_not_retried_in_a_loop() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let denial = cluster.deny("conditions", "Forbidden").await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    eventually("a failed try", async || {
        operator.metric(r#"upgrade_gate_writes_total{kind="conditions",result="refused"}"#).ok_or_else(String::new)
    })
    .await;
    cluster.delete().await;
    let Some(before) = operator.busy() else { return };
    tokio::time::sleep(Duration::from_secs(3)).await;
    let busy = operator.busy().unwrap().checked_sub(before).unwrap();
    assert!(busy < Duration::from_millis(500), "busy for {busy:?} of three seconds");

    cluster.create("fixture", fixtures::cluster_with_override()).await;
    denial.lift().await;
    let seen = cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert!(has_condition(&seen, "ReleaseAccepted", "True", "PayloadLoaded"));
}
