//! `Upgradeable`: its sources and their names in each release, its lag, and how it can be missed.

use rstest::rstest;
use serde_json::{Value, json};

use super::{ACCEPTED, BLOCKED, EVENTS_ONLY, PROMPT, message, request, said, settled, text};
use crate::support::cvo::{self, Cvo, Profile};
use crate::support::{self, condition, fixtures};

/// Reasons against a minor update, other than overrides.
#[derive(Default)]
struct Sources {
    operators: &'static [&'static str],
    gates: Option<Value>,
    no_acks: bool,
    updating: bool,
}

fn operator(name: &'static str) -> Sources {
    Sources { operators: Vec::leak(vec![name]), ..Sources::default() }
}

fn gate(key: &str, value: &str) -> Sources {
    Sources { gates: Some(json!({key: value})), ..Sources::default() }
}

#[rstest]
#[case::nothing(Sources::default(), "", "")]
#[case::an_operator(operator("dns"), "DnsSaysNo", "RiskNameNotCompatibleWithReasonProperty")]
#[case::operators(
    Sources { operators: &["dns", "etcd"], ..Sources::default() },
    "ClusterOperatorsNotUpgradeable",
    "MultipleReasons"
)]
#[case::a_gate(gate("ack-4.21-apis", "look"), "AdminAckRequired", "RiskNameNotCompatibleWithReasonProperty")]
#[case::a_gate_of_another_minor(gate("ack-4.2-apis", "look"), "", "")]
#[case::a_gate_for_nothing(
    gate("ack-apis", "look"),
    "AdminAckConfigMapGateNameError",
    "RiskNameNotCompatibleWithReasonProperty"
)]
#[case::an_empty_gate(
    gate("ack-4.21-apis", ""),
    "AdminAckConfigMapGateValueError",
    "RiskNameNotCompatibleWithReasonProperty"
)]
#[case::no_gates(
    Sources { gates: Some(json!(null)), ..Sources::default() },
    "UnableToAccessAdminGatesConfigMap",
    "AdminAckUnknown"
)]
#[case::no_acks(Sources { no_acks: true, ..Sources::default() }, "UnableToAccessAdminAcksConfigMap", "AdminAckUnknown")]
#[case::an_update(Sources { updating: true, ..Sources::default() }, "UpdateInProgress", "ClusterVersionUpdating")]
#[tokio::test]
async fn a_single_source_gives_the_reason(#[case] sources: Sources, #[case] before: &str, #[case] main: &str) {
    let mut cluster_version = fixtures::cluster();
    if sources.updating {
        cluster_version["status"]["history"][0]["state"] = json!("Partial");
        cluster_version["status"]["conditions"][2]["status"] = json!("True");
    }
    let cluster = support::cluster_as(cvo::MANAGER, cluster_version).await;
    for name in sources.operators {
        let reason = format!("{}{}SaysNo", name[..1].to_uppercase(), &name[1..]);
        cluster.put_cluster_operator(name, json!([fixtures::condition("Upgradeable", "False", &reason, "no")])).await;
    }
    if let Some(gates) = sources.gates {
        cluster.set_admin_gates(gates).await;
    }
    if sources.no_acks {
        cluster.set_admin_acks(json!(null)).await;
    }
    for (profile, reason) in [(Profile::V4_21, before), (Profile::V4_22, before), (Profile::Main, main)] {
        let cvo = Cvo::start(&cluster, profile, EVENTS_ONLY).await;
        let seen = settled(&cluster, &cvo).await;
        let expected = if reason.is_empty() { String::new() } else { format!("Upgradeable=False {reason}") };
        assert_eq!(said(&seen, "Upgradeable"), expected, "{profile:?}");
        assert_eq!(said(&seen, "UpgradeableClusterOperators"), "", "{profile:?}");
    }
}

#[rstest]
#[case(Profile::V4_21, true)]
#[case(Profile::V4_22, true)]
#[case(Profile::Main, false)]
#[tokio::test]
async fn several_sources_are_multiple_reasons_and_up_to_4_22_separate_conditions(
    #[case] profile: Profile,
    #[case] of_their_own: bool,
) {
    let mut cluster_version = fixtures::cluster_with_override();
    cluster_version["status"]["history"][0]["state"] = json!("Partial");
    cluster_version["status"]["conditions"][2]["status"] = json!("True");
    let cluster = support::cluster_as(cvo::MANAGER, cluster_version).await;
    cluster.put_cluster_operator("dns", json!([fixtures::condition("Upgradeable", "False", "DnsSaysNo", "no")])).await;
    cluster.set_admin_gates(json!({"ack-4.21-apis": "look"})).await;
    let cvo = Cvo::start(&cluster, profile, EVENTS_ONLY).await;
    let seen = settled(&cluster, &cvo).await;
    assert_eq!(said(&seen, "Upgradeable"), "Upgradeable=False MultipleReasons");
    let bullets = text(&condition(&seen, "Upgradeable")["message"]).lines().filter(|line| line.starts_with("* "));
    assert_eq!(bullets.count(), 4);
    for expected in [
        "UpgradeableClusterVersionOverrides=False ClusterVersionOverridesSet",
        "UpgradeableClusterOperators=False DnsSaysNo",
        "UpgradeableAdminAckRequired=False AdminAckRequired",
        "UpgradeableUpgradeInProgress=True UpdateInProgress",
    ] {
        let type_ = expected.split('=').next().unwrap();
        assert_eq!(said(&seen, type_), if of_their_own { expected } else { "" });
    }
}

#[tokio::test]
async fn with_one_source_left_the_separate_conditions_are_removed() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    cluster.put_cluster_operator("dns", json!([fixtures::condition("Upgradeable", "False", "No", "no")])).await;
    let _cvo = Cvo::start(&cluster, Profile::V4_22, PROMPT).await;
    assert_ne!(said(&cluster.cluster_version().await, "UpgradeableClusterOperators"), "");
    cluster.delete_cluster_operator("dns").await;
    let alone = |cv: &_| said(cv, "Upgradeable") == "Upgradeable=False ClusterVersionOverridesSet";
    let seen = cluster.wait_for("one reason", alone).await;
    assert_eq!(said(&seen, "UpgradeableClusterOperators"), "");
    assert_eq!(said(&seen, "UpgradeableClusterVersionOverrides"), "");
}

#[tokio::test]
async fn an_acknowledged_gate_does_not_block() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster()).await;
    cluster.set_admin_gates(json!({"ack-4.21-apis": "look"})).await;
    cluster.set_admin_acks(json!({"ack-4.21-apis": "yes"})).await;
    let _cvo = Cvo::start(&cluster, Profile::V4_21, PROMPT).await;
    assert_eq!(said(&cluster.cluster_version().await, "Upgradeable"), "Upgradeable=False AdminAckRequired");
    cluster.set_admin_acks(json!({"ack-4.21-apis": "true"})).await;
    cluster.wait_for("the gate to open", |cv| said(cv, "Upgradeable").is_empty()).await;
}

#[rstest]
#[case(Profile::V4_21)]
#[case(Profile::V4_22)]
#[case(Profile::Main)]
#[tokio::test]
async fn any_cluster_operator_counts_and_blocks_only_minors(#[case] profile: Profile) {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster()).await;
    let own = fixtures::condition("Upgradeable", "False", "OverridesSet", "patch updates go through");
    cluster.put_cluster_operator("upgrade-gate", json!([own])).await;
    let cvo = Cvo::start(&cluster, profile, EVENTS_ONLY).await;
    let shown = cluster.cluster_version().await;
    let shown = text(&condition(&shown, "Upgradeable")["message"]);
    assert!(shown.contains("patch updates go through"), "{shown}");
    for version in ["4.22.0", "5.0.0"] {
        let seen = request(&cluster, &cvo, version).await;
        assert_eq!(said(&seen, "ReleaseAccepted"), BLOCKED);
        assert!(message(&seen).contains("patch updates go through"), "{}", message(&seen));
    }
    assert_eq!(said(&request(&cluster, &cvo, "4.21.2").await, "ReleaseAccepted"), ACCEPTED);
}

#[tokio::test]
async fn the_item_of_a_patch_names_only_the_overrides_although_operators_block_too() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    cluster.put_cluster_operator("dns", json!([fixtures::condition("Upgradeable", "False", "No", "no")])).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, EVENTS_ONLY).await;
    let patch = request(&cluster, &cvo, "4.21.2").await;
    assert!(message(&patch).contains("failed because of \"ClusterVersionOverridesSet\""), "{}", message(&patch));
    let minor = request(&cluster, &cvo, "4.22.0").await;
    assert!(message(&minor).contains("failed because of \"MultipleReasons\""), "{}", message(&minor));
}
