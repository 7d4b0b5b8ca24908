//! Events: one for each decision, on the ClusterVersion; and mode `observe`, which writes nothing else.

use serde_json::{Value, json};

use crate::support::{self, NAME, NAMESPACE, Operator, Options, condition, eventually, fixtures};

#[tokio::test]
async fn each_decision_is_one_event() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace").identity("upgrade-gate-7")).await;
    cluster.upgradeable("True", "AsExpected").await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_blocked("4.22.0", &["\"ClusterVersionOverrides\""]).await;
    // What changes no decision causes no event.
    cluster.patch(json!({"spec": {"channel": "candidate-4.21"}})).await;
    cluster.patch_status("updater", json!({"versionHash": "other"})).await;
    cluster.request("4.22.0", "").await;
    cluster.request_accepted("4.21.2").await;
    let events =
        cluster.events_are(&["UpgradeableChanged", "UpgradeableChanged", "UpdateBlocked", "UpdateAccepted"]).await;

    let uid = cluster.cluster_version().await["metadata"]["uid"].clone();
    for event in &events {
        assert_eq!(event["metadata"]["namespace"], "default");
        let regarding =
            json!({"apiVersion": "config.openshift.io/v1", "kind": "ClusterVersion", "name": "version", "uid": uid});
        assert_eq!(event["involvedObject"], regarding);
        assert_eq!(event["reportingComponent"], "upgrade-gate");
        assert_eq!(event["reportingInstance"], "upgrade-gate-7");
    }
    let types: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["Normal", "Normal", "Warning", "Normal"]);
    let note = |index: usize| events[index]["message"].as_str().unwrap();
    assert!(note(1).starts_with("Upgradeable=False: ClusterVersionOverrides: "), "{}", note(1));
    assert!(
        note(2).starts_with("Update from 4.21.1 to 4.22.0 (minor) is blocked: ClusterVersionOverrides: "),
        "{}",
        note(2)
    );
    assert!(
        note(3).starts_with("Update from 4.21.1 to 4.21.2 (patch) goes ahead with accepted risks: "),
        "{}",
        note(3)
    );
    assert!(note(3).contains("\"ClusterVersionOverridesSet\""), "{}", note(3));
}

#[tokio::test]
async fn a_restart_repeats_no_event() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_blocked("4.22.0", &[]).await;
    let before = ["UpgradeableChanged", "UpdateBlocked"];
    cluster.events_are(&before).await;
    assert!(operator.terminate().await.success());
    let _restarted = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.request_blocked("5.0.0", &[]).await;
    cluster.events_are(&[before[0], before[1], "UpdateBlocked"]).await;
}

#[tokio::test]
async fn an_event_about_many_overrides_is_truncated_and_published() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let overrides: Vec<Value> = (0..200)
        .map(|index| {
            let mut one = fixtures::policy_override();
            one["name"] = json!(format!("zażółć-gęślą-jaźń-{index}"));
            one
        })
        .collect();
    cluster.set_overrides(json!(overrides)).await;
    let seen = cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert!(condition(&seen, "Upgradeable")["message"].as_str().unwrap().contains("-199"));
    let events = cluster.events_are(&["UpgradeableChanged", "UpgradeableChanged"]).await;
    let note = events[1]["message"].as_str().unwrap();
    assert!(note.len() <= 1024 && note.ends_with('…'), "{note}");
}

#[tokio::test]
async fn an_update_that_waits_for_its_record_has_its_event_when_it_proceeds() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let denial = cluster.deny("history", "Forbidden").await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cluster.wait_for("the request to wait", |cv| condition(cv, "ReleaseAccepted")["status"] == "Unknown").await;
    denial.lift().await;
    cluster.accepted("4.21.2").await;
    cluster.events_are(&["UpgradeableChanged", "UpdateAccepted"]).await;
}

#[tokio::test]
async fn observe_publishes_events_of_intended_writes_and_writes_nothing_else() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let before = cluster.cluster_version().await;
    let operator = Operator::start(&cluster, Options::mode("observe")).await;
    cluster.events_are(&["UpgradeableChanged"]).await;
    cluster.request("4.22.0", &fixtures::image("4.22.0")).await;
    cluster.events_are(&["UpgradeableChanged", "UpdateBlocked"]).await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cluster.events_are(&["UpgradeableChanged", "UpdateBlocked", "UpdateAccepted"]).await;
    cluster.set_overrides(json!([])).await;
    cluster.events_are(&["UpgradeableChanged", "UpdateBlocked", "UpdateAccepted", "UpgradeableChanged"]).await;

    assert_eq!(cluster.cluster_version().await["status"], before["status"]);
    let writes = cluster.writes().await;
    let operators = format!("system:serviceaccount:{NAMESPACE}:{NAME}");
    let resources = writes.iter().filter(|write| write.user == operators).map(|write| write.resource.as_str());
    let mut resources: Vec<&str> = resources.collect();
    resources.sort_unstable();
    resources.dedup();
    assert_eq!(resources, ["events", "leases"]);
    assert_eq!(operator.metric(r#"upgrade_gate_mode{mode="observe"}"#), Some(1.0));
}

#[tokio::test]
async fn observe_reports_the_conditions_of_the_current_owner() {
    let cluster = support::cluster_as("cluster-version-operator", {
        let mut cluster_version = fixtures::cluster();
        let gated = fixtures::condition("Upgradeable", "False", "ResourceDeletesInProgress", "only the CVO knows");
        cluster_version["status"]["conditions"].as_array_mut().unwrap().push(gated);
        cluster_version["spec"]["desiredUpdate"] = fixtures::release("4.22.0");
        cluster_version
    })
    .await;
    let operator = Operator::start(&cluster, Options::mode("observe")).await;
    let events = eventually("an event that the minor is blocked", async || {
        let events = cluster.events().await;
        if events.iter().any(|event| event["reason"] == "UpdateBlocked") {
            Ok(events)
        } else {
            Err(format!("{events:?}"))
        }
    })
    .await;
    assert!(events[events.len() - 1]["message"].as_str().unwrap().contains("ResourceDeletesInProgress"));
    assert_eq!(operator.metric("upgrade_gate_upgradeable"), Some(0.0));
}
