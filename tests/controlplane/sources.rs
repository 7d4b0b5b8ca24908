//! Sources of risks that vanish, come back or can't be read; and what a CVO that is gone has left on the object.

use serde_json::{Value, json};

use crate::support::{self, Loosen, Operator, Options, condition, fixtures, has_condition};

#[tokio::test]
async fn a_deleted_config_map_is_a_risk_until_it_is_created_again() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    cluster.set_admin_gates(json!(null)).await;
    let seen = cluster.upgradeable("False", "AdminAckUnknown").await;
    let message = condition(&seen, "Upgradeable")["message"].as_str().unwrap();
    assert!(message.contains("openshift-config-managed/admin-gates"), "{message}");
    cluster.request_blocked("4.22.0", &["\"AdminAckUnknown\""]).await;
    cluster.request_accepted("4.21.2").await;
    cluster.set_admin_gates(json!({})).await;
    cluster.upgradeable("True", "AsExpected").await;

    cluster.set_admin_acks(json!(null)).await;
    let seen = cluster.upgradeable("False", "AdminAckUnknown").await;
    let message = condition(&seen, "Upgradeable")["message"].as_str().unwrap();
    assert!(message.contains("openshift-config/admin-acks"), "{message}");
    cluster.set_admin_acks(json!({})).await;
    cluster.upgradeable("True", "AsExpected").await;
}

#[tokio::test]
async fn forbidden_config_maps_are_a_risk_until_access_is_granted() {
    let cluster = support::cluster(fixtures::cluster()).await;
    for namespace in ["openshift-config-managed", "openshift-config"] {
        let unbound = cluster.unbind_in(namespace);
        let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
        let seen = cluster.upgradeable("False", "AdminAckUnknown").await;
        let message = condition(&seen, "Upgradeable")["message"].as_str().unwrap().to_owned();
        assert!(message.contains(&format!("{namespace}/")) && message.contains("forbidden"), "{message}");
        operator.ready().await;
        cluster.request_accepted("4.21.2").await;
        drop(unbound);
        cluster.upgradeable("True", "AsExpected").await;
    }
}

#[tokio::test]
async fn forbidden_cluster_operators_are_a_risk_until_access_is_granted() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let unbound = cluster.unbind_resource("clusteroperators");
    // A permission is only asked for when a watch starts; a changed CRD ends the one that runs.
    let changed = cluster.loosen("clusteroperators", &[]).await;
    let seen = cluster.upgradeable("False", "ClusterOperatorUpgradeableUnknown").await;
    assert!(condition(&seen, "Upgradeable")["message"].as_str().unwrap().contains("forbidden"));
    cluster.request_blocked("4.22.0", &["\"ClusterOperatorUpgradeableUnknown\""]).await;
    cluster.request_accepted("4.21.2").await;
    drop(unbound);
    cluster.upgradeable("True", "AsExpected").await;
    changed.restore().await;
}

#[tokio::test]
async fn an_unserved_api_of_cluster_operators_is_not_a_risk_until_it_is_served() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let missing = cluster.without_crd("clusteroperators").await;
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    operator.ready().await;
    cluster.upgradeable("True", "AsExpected").await;
    cluster.request_accepted("4.22.0").await;
    missing.restore().await;
    cluster.put_cluster_operator("dns", json!([fixtures::condition("Upgradeable", "False", "No", "no")])).await;
    cluster.upgradeable("False", "ClusterOperatorUpgradeable-dns").await;
    cluster.refused("4.22.0", "PreconditionChecks", &["ClusterOperatorUpgradeable-dns"]).await;

    // Taken away while the operator watches it.
    let missing = cluster.without_crd("clusteroperators").await;
    cluster.upgradeable("True", "AsExpected").await;
    missing.restore().await;
}

#[tokio::test]
async fn a_malformed_cluster_operator_is_a_risk_and_does_not_hide_the_others() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let loosened = cluster.loosen("clusteroperators", &[Loosen::AnyType("/properties/status")]).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let odd = [
        json!([{"type": "Upgradeable", "status": 7}]),
        json!(["Upgradeable=True"]),
        json!([{"type": "Upgradeable", "status": {"is": "False"}}, {"type": "Available"}]),
        json!({"Upgradeable": "True"}),
    ];
    for conditions in odd {
        cluster.put_cluster_operator("odd", conditions).await;
        cluster.upgradeable("False", "ClusterOperatorUpgradeableUnknown").await;
        cluster.put_cluster_operator("dns", json!([{"type": "Upgradeable", "status": "False"}])).await;
        let seen = cluster.upgradeable("False", "MultipleReasons").await;
        let message = condition(&seen, "Upgradeable")["message"].as_str().unwrap();
        assert!(message.contains("ClusterOperatorUpgradeable-dns") && message.contains("odd: "), "{message}");
        cluster.delete_cluster_operator("dns").await;
        cluster.upgradeable("False", "ClusterOperatorUpgradeableUnknown").await;
        cluster.put_cluster_operator("odd", json!([{"type": "Upgradeable", "status": "True"}])).await;
        cluster.upgradeable("True", "AsExpected").await;
    }
    loosened.restore().await;
}

/// The conditions of a CVO of 4.21 that stopped while overrides were set.
fn left_by_a_cvo() -> Value {
    let mut cluster_version = fixtures::cluster();
    cluster_version["status"]["conditions"].as_array_mut().unwrap().extend([
        fixtures::condition(
            "Upgradeable",
            "False",
            "ClusterVersionOverridesSet",
            "Disabling ownership prevents updates.",
        ),
        fixtures::condition("ReleaseAccepted", "False", "PreconditionChecks", "Preconditions failed for payload"),
    ]);
    cluster_version
}

const CVO: &str = "cluster-version-operator";

#[tokio::test]
async fn stale_conditions_of_a_cvo_are_taken_over_and_corrected() {
    let cluster = support::cluster_as(CVO, left_by_a_cvo()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    let seen = cluster.upgradeable("True", "AsExpected").await;
    assert_ne!(condition(&seen, "Upgradeable")["lastTransitionTime"], fixtures::LONG_AGO);
    assert!(has_condition(&seen, "ReleaseAccepted", "True", "PayloadLoaded"));
    cluster.request_accepted("4.22.0").await;
}

#[tokio::test]
async fn upgradeable_that_stays_false_keeps_its_transition_time_at_takeover() {
    let mut cluster_version = left_by_a_cvo();
    cluster_version["spec"]["overrides"] = json!([fixtures::policy_override()]);
    let cluster = support::cluster_as(CVO, cluster_version).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    let seen = cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert_eq!(condition(&seen, "Upgradeable")["lastTransitionTime"], fixtures::LONG_AGO);
    let owners = |type_: &str| -> Vec<String> {
        let key = format!("k:{{\"type\":\"{type_}\"}}");
        let fields = seen["metadata"]["managedFields"].as_array().unwrap();
        let owns = |field: &&Value| field["fieldsV1"]["f:status"]["f:conditions"][&key]["f:message"].is_object();
        fields.iter().filter(owns).map(|field| field["manager"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(owners("Upgradeable"), ["upgrade-gate"]);
    assert_eq!(owners("ReleaseAccepted"), ["upgrade-gate"]);
    assert_eq!(owners("Progressing"), [CVO]);
}
