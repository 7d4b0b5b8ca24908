//! Risks other than overrides block a minor, alone and together with overrides, and do not block a patch.

use serde_json::{Value, json};

use crate::support::{self, Cluster, Operator, Options, condition, fixtures, has_condition};

/// Sets a gate, then looks at a minor and a patch without and with overrides, and after the gate has gone.
async fn is_gated(cluster: &Cluster, risk: &str, close: impl AsyncFn(bool)) {
    let _operator = Operator::start(cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    close(true).await;
    cluster.upgradeable("False", risk).await;
    cluster.request_blocked("4.22.0", &["\"ClusterVersionUpgradeable\"", &format!("\"{risk}\"")]).await;
    cluster.request_blocked("5.0.0", &["\"ClusterVersionUpgradeable\"", &format!("\"{risk}\"")]).await;
    let seen = cluster.request_accepted("4.21.2").await;
    assert_eq!(seen["status"]["history"].as_array().unwrap().len(), 2, "nothing was accepted that has to be recorded");

    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    let seen = cluster.upgradeable("False", "MultipleReasons").await;
    let message = condition(&seen, "Upgradeable")["message"].as_str().unwrap();
    for name in ["ClusterVersionOverrides", risk] {
        assert!(message.contains(&format!("* {name}: ")), "{message}");
    }
    cluster.request_blocked("4.22.0", &["\"MultipleReasons\"", risk, "ClusterVersionOverrides"]).await;
    cluster.set_overrides(json!([])).await;
    cluster.refused("4.22.0", "PreconditionChecks", &[&format!("\"{risk}\"")]).await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.upgradeable("False", "MultipleReasons").await;
    close(false).await;
    cluster.refused("4.22.0", "PreconditionChecks", &["\"ClusterVersionOverrides\""]).await;
    cluster.set_overrides(json!([])).await;
    cluster.accepted("4.22.0").await;
    assert!(has_condition(&cluster.cluster_version().await, "Upgradeable", "True", "AsExpected"));
}

#[tokio::test]
async fn a_cluster_operator_blocks_minors_and_not_patches() {
    let cluster = support::cluster(fixtures::cluster()).await;
    cluster.put_cluster_operator("dns", json!([fixtures::condition("Upgradeable", "True", "", "")])).await;
    cluster.put_cluster_operator("etcd", json!([fixtures::condition("Available", "False", "", "")])).await;
    is_gated(&cluster, "ClusterOperatorUpgradeable-network", async |closed: bool| {
        let status = if closed { "False" } else { "True" };
        cluster.put_cluster_operator("network", json!([fixtures::condition("Upgradeable", status, "Why", "so")])).await;
    })
    .await;
}

#[tokio::test]
async fn an_unacknowledged_gate_blocks_minors_and_not_patches() {
    let cluster = support::cluster(fixtures::cluster()).await;
    cluster.set_admin_gates(json!({"ack-4.21-api": "Read https://example.com/api.", "ack-4.20-old": "past"})).await;
    cluster.set_admin_acks(json!({"ack-4.21-api": "true"})).await;
    is_gated(&cluster, "AdminAck-ack-4.21-api", async |closed: bool| {
        cluster.set_admin_acks(json!({"ack-4.21-api": if closed { "yes" } else { "true" }})).await;
    })
    .await;
}

#[tokio::test]
async fn an_update_in_progress_blocks_minors_and_not_patches() {
    let cluster = support::cluster(fixtures::cluster()).await;
    is_gated(&cluster, "ClusterVersionUpdating", async |closed: bool| {
        let progressing = fixtures::condition("Progressing", if closed { "True" } else { "False" }, "", "");
        cluster.put_status("updater", |status| status["conditions"][2] = progressing.clone()).await;
    })
    .await;
}

#[tokio::test]
async fn a_veto_blocks_minors_and_not_patches() {
    let cluster = support::cluster(fixtures::cluster()).await;
    is_gated(&cluster, "UpgradeableSomething", async |closed: bool| {
        let veto = fixtures::condition("UpgradeableSomething", if closed { "False" } else { "True" }, "Why", "so");
        cluster
            .put_status("somebody", |status| {
                let conditions = status["conditions"].as_array_mut().unwrap();
                conditions.retain(|condition| condition["type"] != "UpgradeableSomething");
                conditions.push(veto.clone());
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn own_cluster_operator_and_the_cvo_s_conditions_about_our_sources_block_nothing() {
    let mut cluster_version = fixtures::cluster();
    let conditions = cluster_version["status"]["conditions"].as_array_mut().unwrap();
    for type_ in ["UpgradeableClusterVersionOverrides", "UpgradeableClusterOperators", "UpgradeableAdminAckRequired"] {
        conditions.push(fixtures::condition(type_, "False", "Stale", "of a CVO that is gone"));
    }
    conditions.push(fixtures::condition("UpgradeableUpgradeInProgress", "True", "Stale", ""));
    let cluster = support::cluster(cluster_version).await;
    cluster.put_cluster_operator("upgrade-gate", json!([fixtures::condition("Upgradeable", "False", "", "")])).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    cluster.request_accepted("4.22.0").await;
}

fn cluster_that_knows(versions: &[&str]) -> Value {
    let mut cluster_version = fixtures::cluster();
    cluster_version["status"]["availableUpdates"] = versions.iter().map(|version| fixtures::release(version)).collect();
    cluster_version
}

#[tokio::test]
async fn a_giant_hop_is_blocked_without_any_risk() {
    let cluster = support::cluster(cluster_that_knows(&["4.21.2", "4.23.0", "5.1.0", "6.0.0"])).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let hop = "\"ClusterVersionGiantHop\"";
    cluster.request_blocked("4.23.0", &[hop, "\"MultipleMinorVersionsUpdate\""]).await;
    cluster.request_blocked("5.1.0", &[hop, "\"MajorVersionUpdate\""]).await;
    cluster.request_blocked("6.0.0", &[hop, "\"MajorVersionUpdate\""]).await;
    cluster.request_accepted("4.21.2").await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.request_blocked("4.23.0", &[hop, "\"ClusterVersionUpgradeable\""]).await;
}

#[tokio::test]
async fn a_rollback_is_blocked_except_to_the_previous_patch() {
    let mut cluster_version = cluster_that_knows(&["4.21.2"]);
    cluster_version["status"]["history"]
        .as_array_mut()
        .unwrap()
        .extend([fixtures::completed("4.20.9"), fixtures::completed("4.21.0-rc.1")]);
    let cluster = support::cluster(cluster_version).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    cluster.request_blocked("4.20.9", &["\"ClusterVersionRollback\"", "\"LowDesiredVersion\""]).await;
    cluster.request_blocked("4.21.0-rc.1", &["\"ClusterVersionRollback\"", "\"LowDesiredVersion\""]).await;

    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_blocked("4.20.9", &["\"LowDesiredVersion\""]).await;
    let seen = cluster.request_accepted("4.21.0").await;
    let text = seen["status"]["history"][0]["acceptedRisks"].as_str().unwrap();
    assert!(text.contains("\"ClusterVersionOverridesSet\""), "{text}");
    assert_eq!(seen["status"]["history"][0]["version"], "4.21.0");
}

#[tokio::test]
async fn a_patch_that_is_not_recommended_is_accepted_and_recorded() {
    let mut cluster_version = cluster_that_knows(&[]);
    cluster_version["status"]["conditionalUpdates"] = json!([{
        "release": fixtures::release("4.21.2"),
        "risks": [{"name": "Bug", "message": "It may hang.", "url": "https://example.com", "matchingRules": [{"type": "Always"}]}],
        "conditions": [fixtures::condition("Recommended", "False", "Bug", "It may hang.")],
    }]);
    let cluster = support::cluster(cluster_version).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let seen = cluster.request_accepted("4.21.2").await;
    let text = seen["status"]["history"][0]["acceptedRisks"].as_str().unwrap();
    assert!(text.contains("\"ClusterVersionRecommendedUpdate\"") && text.contains("\"Bug\""), "{text}");
}
