//! The two conditions that the gate owns: when their transition times move, and that it owns nothing else.

use serde_json::{Value, json};

use crate::support::{self, Operator, Options, condition, fixtures};

fn time<'a>(object: &'a Value, type_: &str) -> &'a str {
    condition(object, type_)["lastTransitionTime"].as_str().unwrap()
}

/// A cluster whose conditions have been so for long.
fn settled(upgradeable: &str) -> Value {
    let mut cluster_version = fixtures::cluster();
    cluster_version["status"]["conditions"].as_array_mut().unwrap().extend([
        fixtures::condition("Upgradeable", upgradeable, "Before", "as before"),
        fixtures::condition("ReleaseAccepted", "True", "PayloadLoaded", "as before"),
    ]);
    cluster_version
}

#[tokio::test]
async fn last_transition_time_is_kept_while_upgradeable_stays_false_and_reasons_change() {
    let mut cluster_version = settled("False");
    cluster_version["spec"]["overrides"] = json!([fixtures::policy_override()]);
    let cluster = support::cluster(cluster_version).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    let seen = cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert_eq!(time(&seen, "Upgradeable"), fixtures::LONG_AGO);
    cluster.put_cluster_operator("dns", json!([fixtures::condition("Upgradeable", "False", "No", "no")])).await;
    let seen = cluster.upgradeable("False", "MultipleReasons").await;
    assert_eq!(time(&seen, "Upgradeable"), fixtures::LONG_AGO);
    cluster.set_overrides(json!([])).await;
    let seen = cluster.upgradeable("False", "ClusterOperatorUpgradeable-dns").await;
    assert_eq!(time(&seen, "Upgradeable"), fixtures::LONG_AGO);

    cluster.delete_cluster_operator("dns").await;
    let seen = cluster.upgradeable("True", "AsExpected").await;
    assert!(time(&seen, "Upgradeable") > fixtures::LONG_AGO);
    assert_eq!(time(&seen, "ReleaseAccepted"), fixtures::LONG_AGO);
}

#[tokio::test]
async fn last_transition_time_is_kept_while_upgradeable_stays_true() {
    let cluster = support::cluster(settled("True")).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    let seen = cluster.upgradeable("True", "AsExpected").await;
    assert_eq!(time(&seen, "Upgradeable"), fixtures::LONG_AGO);
    let seen = cluster.request_accepted("4.21.2").await;
    assert_eq!((time(&seen, "Upgradeable"), time(&seen, "ReleaseAccepted")), (fixtures::LONG_AGO, fixtures::LONG_AGO));
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    let seen = cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert!(time(&seen, "Upgradeable") > fixtures::LONG_AGO);
}

#[tokio::test]
async fn release_accepted_changes_its_transition_time_only_with_its_status() {
    let cluster = support::cluster(settled("True")).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let seen = cluster.request_blocked("4.22.0", &["\"ClusterVersionOverrides\""]).await;
    assert!(time(&seen, "ReleaseAccepted") > fixtures::LONG_AGO);
    // Somebody dates it back, as if it had been so for long: that is no word of ours.
    cluster
        .put_status("updater", |status| {
            let conditions = status["conditions"].as_array_mut().unwrap();
            for condition in conditions.iter_mut().filter(|condition| condition["type"] == "ReleaseAccepted") {
                condition["lastTransitionTime"] = json!(fixtures::LONG_AGO);
            }
        })
        .await;
    let seen = cluster.request_blocked("5.0.0", &["\"ClusterVersionOverrides\""]).await;
    assert_eq!(time(&seen, "ReleaseAccepted"), fixtures::LONG_AGO);
    let seen = cluster.request_accepted("4.21.2").await;
    assert!(time(&seen, "ReleaseAccepted") > fixtures::LONG_AGO);
}

#[tokio::test]
async fn managed_fields_own_two_conditions_and_the_history_text() {
    let cluster = support::cluster_as("updater", fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_accepted("4.21.2").await;
    let seen = cluster.cluster_version().await;
    let ours = |operation: &str| -> Vec<(&Value, &Value)> {
        let fields = seen["metadata"]["managedFields"].as_array().unwrap().iter();
        let ours = fields.filter(|field| field["manager"] == "upgrade-gate" && field["operation"] == operation);
        ours.map(|field| (&field["subresource"], &field["fieldsV1"])).collect()
    };
    let all =
        json!({".": {}, "f:lastTransitionTime": {}, "f:message": {}, "f:reason": {}, "f:status": {}, "f:type": {}});
    let conditions = json!({"f:status": {"f:conditions": {
        "k:{\"type\":\"ReleaseAccepted\"}": all,
        "k:{\"type\":\"Upgradeable\"}": all,
    }}});
    assert_eq!(ours("Apply"), [(&json!("status"), &conditions)]);
    assert_eq!(ours("Update"), [(&json!("status"), &json!({"f:status": {"f:history": {}}}))]);
}
