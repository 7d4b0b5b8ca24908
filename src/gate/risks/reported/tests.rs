use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::gate::{
    evaluate,
    testing::{cluster_version_from, risk_names, snapshot},
};

const BOTH: &str = "Several: ClusterVersionOverridesSet,ClusterOperatorsNotUpgradeable\n* Overrides.\n* Operators.";
const NESTED: &str = "Several: ClusterVersionOverridesSet,ClusterOperatorsNotUpgradeable\n* Overrides.\n\
                      * Operators:\n* dns: A: b\n* etcd: C: d";
const BY_NAME: &str = "Several risks: ClusterVersionOverrides,ClusterOperatorUpgradeable-dns,\
                       AdminAck-ack-4.21-api-in-4.22\n\n* Overrides.\n\n* The operator.\n\n* The gate.";

/// A cluster of which only the ClusterVersion was given.
fn alone(reason: &str, message: &str, overrides: bool, other: &Value) -> Snapshot {
    let mut conditions = vec![
        json!({"type": "Upgradeable", "status": "False", "reason": reason, "message": message}),
        json!({"type": "Progressing", "status": "False"}),
    ];
    conditions.extend(other.as_array().unwrap().iter().cloned());
    let mut snapshot = snapshot(cluster_version_from(json!({
        "spec": {"overrides": [{"kind": "Deployment", "name": "a", "unmanaged": overrides}]},
        "status": {"desired": {"version": "4.21.1"}, "conditions": conditions},
    })));
    snapshot.cluster_operators = Source::NotGiven;
    (snapshot.admin_gates, snapshot.admin_acks) = (Source::NotGiven, Source::NotGiven);
    snapshot
}

fn operator(name: &str, reason: &str) -> ClusterOperator {
    let condition = json!({"type": "Upgradeable", "status": "False", "reason": reason, "message": "M"});
    serde_json::from_value(json!({"metadata": {"name": name}, "status": {"conditions": [condition]}})).unwrap()
}

#[rstest]
#[case::computed("ClusterVersionOverridesSet", "Overrides.", &["ClusterVersionOverrides"])]
#[case::computed_by_name("ClusterVersionOverrides", "Overrides.", &["ClusterVersionOverrides"])]
#[case::operators("ClusterOperatorsNotUpgradeable", "M", &["ClusterVersionOverrides", "ClusterOperatorsNotUpgradeable"])]
#[case::the_operators_own("KubeletMinorVersion", "M", &["ClusterVersionOverrides", "KubeletMinorVersion"])]
#[case::acks("AdminAckRequired", "M", &["ClusterVersionOverrides", "AdminAckRequired"])]
#[case::gates("UnableToAccessAdminGatesConfigMap", "M", &["ClusterVersionOverrides", "UnableToAccessAdminGatesConfigMap"])]
#[case::deletes("ResourceDeletesInProgress", "M", &["ClusterVersionOverrides", "ResourceDeletesInProgress"])]
#[case::no_reason("", "M", &["ClusterVersionOverrides", "Upgradeable"])]
#[case::hyphens(
    "RiskNameNotCompatibleWithReasonProperty",
    "M",
    &["ClusterVersionOverrides", "RiskNameNotCompatibleWithReasonProperty"]
)]
#[case::both("MultipleReasons", BOTH, &["ClusterVersionOverrides", "ClusterOperatorsNotUpgradeable"])]
#[case::by_name(
    "MultipleReasons",
    BY_NAME,
    &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns", "AdminAck-ack-4.21-api-in-4.22"]
)]
#[case::bullets_in_a_bullet("MultipleReasons", NESTED, &["ClusterVersionOverrides", "MultipleReasons"])]
#[case::only_computed(
    "MultipleReasons",
    "Several: ClusterVersionOverridesSet,UpdateInProgress\n* O.\n* U.",
    &["ClusterVersionOverrides"]
)]
#[case::no_names("MultipleReasons", "Several:\n* O.\n* M.", &["ClusterVersionOverrides", "MultipleReasons"])]
#[case::cut_off("MultipleReasons", "Several: ClusterVersionOverridesSet,A,B\n* O.\n* M", &["ClusterVersionOverrides", "MultipleReasons"])]
#[case::named_twice("MultipleReasons", "Several: A,A\n* O.\n* M", &["ClusterVersionOverrides", "MultipleReasons"])]
#[case::no_name("MultipleReasons", "Several: see below\n* O.\n* M", &["ClusterVersionOverrides", "MultipleReasons"])]
#[case::no_bullets("MultipleReasons", "Several: ClusterVersionOverridesSet,A", &["ClusterVersionOverrides", "MultipleReasons"])]
#[case::no_message("MultipleReasons", "", &["ClusterVersionOverrides", "MultipleReasons"])]
fn reasons_of_sources_that_were_not_given_stay(#[case] reason: &str, #[case] message: &str, #[case] expected: &[&str]) {
    assert_eq!(risk_names(&evaluate(&alone(reason, message, true, &json!([]))).risks), expected);
    // Without the overrides the update is still blocked.
    assert!(!evaluate(&alone(reason, message, false, &json!([]))).risks.is_empty());
}

#[test]
fn each_reason_keeps_its_own_text() {
    let risks = evaluate(&alone("MultipleReasons", BY_NAME, true, &json!([]))).risks;
    assert_eq!(risks[1].message, "The operator.");
    assert_eq!(risks[2].message, "The gate.");
    let risks = evaluate(&alone("MultipleReasons", NESTED, true, &json!([]))).risks;
    assert_eq!(risks[1].message, NESTED);
}

#[test]
fn a_reason_that_is_also_a_condition_is_one_risk() {
    let own = json!([
        {"type": "UpgradeableClusterVersionOverrides", "status": "False", "reason": "ClusterVersionOverridesSet"},
        {"type": "UpgradeableClusterOperators", "status": "False", "reason": "ClusterOperatorsNotUpgradeable"},
    ]);
    for message in [BOTH, NESTED] {
        let risks = evaluate(&alone("MultipleReasons", message, true, &own)).risks;
        assert_eq!(risk_names(&risks), ["ClusterVersionOverrides", "UpgradeableClusterOperators"]);
    }
}

#[rstest]
#[case::one_condition("UpgradeableUpgradeInProgress", "False", &["ClusterVersionOverrides", "MultipleReasons"])]
#[case::two_conditions("UpgradeableUpgradeInProgress", "True", &["ClusterVersionOverrides"])]
fn with_a_condition_for_each_reason_names_are_not_needed(
    #[case] kind: &str,
    #[case] status: &str,
    #[case] expected: &[&str],
) {
    let own = json!([
        {"type": "UpgradeableClusterVersionOverrides", "status": "False"},
        {"type": kind, "status": status},
    ]);
    assert_eq!(risk_names(&evaluate(&alone("MultipleReasons", "Several: …", true, &own)).risks), expected);
}

#[test]
fn an_update_in_progress_is_computed_only_where_progressing_is_given() {
    let mut snapshot = alone("UpdateInProgress", "M", true, &json!([]));
    assert_eq!(risk_names(&evaluate(&snapshot).risks), ["ClusterVersionOverrides"]);
    snapshot.cluster_version.status.as_mut().unwrap().conditions.retain(|entry| entry.kind != "Progressing");
    assert_eq!(risk_names(&evaluate(&snapshot).risks), ["ClusterVersionOverrides", "UpdateInProgress"]);
}

#[rstest]
#[case::of_the_operator("Foo", "M", &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns"])]
#[case::of_the_operators(
    "ClusterOperatorsNotUpgradeable", "M", &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns"]
)]
#[case::of_another_source("Bar", "M", &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns", "Bar"])]
#[case::by_name(
    "MultipleReasons",
    BY_NAME,
    &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns", "AdminAck-ack-4.21-api-in-4.22"]
)]
#[case::of_an_operator_that_was_not_given(
    "MultipleReasons",
    "Several: ClusterVersionOverrides,ClusterOperatorUpgradeable-etcd\n* O.\n* E.",
    &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-dns", "ClusterOperatorUpgradeable-etcd"]
)]
fn operators_that_were_given_explain_their_reasons(
    #[case] reason: &str,
    #[case] message: &str,
    #[case] expected: &[&str],
) {
    let mut snapshot = alone(reason, message, true, &json!([]));
    snapshot.cluster_operators = Source::Read(vec![operator("dns", "Foo")]);
    assert_eq!(risk_names(&evaluate(&snapshot).risks), expected);
}

#[test]
fn operators_of_which_none_blocks_explain_nothing() {
    let mut snapshot = alone("ClusterOperatorsNotUpgradeable", "M", true, &json!([]));
    snapshot.cluster_operators = Source::Read(Vec::new());
    assert_eq!(risk_names(&evaluate(&snapshot).risks), ["ClusterVersionOverrides", "ClusterOperatorsNotUpgradeable"]);
}

#[rstest]
#[case::an_unknown_reason("Why", "M", &["ClusterVersionOverrides"])]
#[case::operators("MultipleReasons", BOTH, &["ClusterVersionOverrides"])]
#[case::no_names("MultipleReasons", "Several:\n* O.\n* M.", &["ClusterVersionOverrides"])]
#[case::deletes(
    "MultipleReasons",
    "Several: ClusterVersionOverrides,ResourceDeletionInProgress\n* O.\n* D.",
    &["ClusterVersionOverrides", "ResourceDeletionInProgress"]
)]
#[case::an_operator_that_was_not_given(
    "MultipleReasons",
    "Several: ClusterVersionOverrides,ClusterOperatorUpgradeable-etcd\n* O.\n* E.",
    &["ClusterVersionOverrides", "ClusterOperatorUpgradeable-etcd"]
)]
fn with_all_sources_only_what_none_of_them_knows_is_added(
    #[case] reason: &str,
    #[case] message: &str,
    #[case] expected: &[&str],
) {
    let mut snapshot = alone(reason, message, true, &json!([]));
    snapshot.cluster_operators = Source::Read(Vec::new());
    (snapshot.admin_gates, snapshot.admin_acks) = (Source::Read(Some([].into())), Source::Read(Some([].into())));
    assert_eq!(risk_names(&evaluate(&snapshot).risks), expected);
}

#[rstest]
#[case::somebody_elses(Authority::Shared, json!([owner("cluster-version-operator")]), &["Why"])]
#[case::nobody_says_whose(Authority::Shared, json!([]), &["Why"])]
#[case::ours(Authority::Shared, json!([owner("upgrade-gate")]), &[])]
#[case::taken_over(Authority::Sole, json!([owner("cluster-version-operator")]), &[])]
fn whose_condition_it_is(#[case] authority: Authority, #[case] fields: Value, #[case] expected: &[&str]) {
    let mut snapshot = alone("Why", "M", false, &json!([]));
    snapshot.cluster_version.metadata.managed_fields = serde_json::from_value(fields).unwrap();
    snapshot.authority = authority;
    assert_eq!(risk_names(&evaluate(&snapshot).risks), expected);
    snapshot.cluster_operators = Source::Read(Vec::new());
    (snapshot.admin_gates, snapshot.admin_acks) = (Source::Read(Some([].into())), Source::Read(Some([].into())));
    assert_eq!(risk_names(&evaluate(&snapshot).risks), expected);
}

fn owner(manager: &str) -> Value {
    json!({"manager": manager, "operation": "Update",
           "fieldsV1": {"f:status": {"f:conditions": {"k:{\"type\":\"Upgradeable\"}": {".": {}}}}}})
}

/// A published reason that our sources show to be over: its own text is no longer true.
#[rstest]
#[case::overrides("ClusterVersionOverridesSet", false, "ClusterVersionOverridesSet, which no longer applies")]
#[case::an_update("UpdateInProgress", false, "UpdateInProgress, which no longer applies")]
#[case::operators("ClusterOperatorsNotUpgradeable", true, "ClusterOperatorsNotUpgradeable, which no longer applies")]
#[case::acks("AdminAckRequired", true, "AdminAckRequired, which no longer applies")]
fn a_reason_that_is_over_is_published_again(
    #[case] reason: &str,
    #[case] has_all_sources: bool,
    #[case] expected: &str,
) {
    let mut snapshot = alone(reason, "The text of the CVO.", false, &json!([]));
    if has_all_sources {
        snapshot.cluster_operators = Source::Read(Vec::new());
        (snapshot.admin_gates, snapshot.admin_acks) = (Source::Read(Some([].into())), Source::Read(Some([].into())));
    }
    let risks = evaluate(&snapshot).risks;
    let [risk] = risks.as_slice() else { panic!("{risks:?}") };
    assert_eq!((risk.name.as_str(), &risk.remedy), (reason, &Remedy::Publish));
    assert!(risk.message.contains(expected) && !risk.message.contains("The text"), "{}", risk.message);
}

#[rstest]
#[case::of_an_operator("KubeletMinorVersion", true)]
#[case::of_a_source_that_was_not_given("AdminAckRequired", false)]
fn a_reason_that_may_hold_keeps_its_text(#[case] reason: &str, #[case] has_all_sources: bool) {
    let mut snapshot = alone(reason, "The text of the CVO.", false, &json!([]));
    if has_all_sources {
        snapshot.cluster_operators = Source::Read(Vec::new());
        (snapshot.admin_gates, snapshot.admin_acks) = (Source::Read(Some([].into())), Source::Read(Some([].into())));
    }
    let risks = evaluate(&snapshot).risks;
    assert!(
        matches!(risks.as_slice(), [risk] if risk.remedy != Remedy::Publish && risk.message == "The text of the CVO.")
    );
}
