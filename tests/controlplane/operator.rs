//! Our ClusterOperator: the operator's health as `kubectl get clusteroperators` shows it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    self, NAME, Operator, Options, condition,
    cvo::{self, Cvo, Params, Profile},
    eventually, fixtures, has_condition,
};

fn conditions(operator: &Value) -> Vec<(&str, &str, &str)> {
    let text = |value: &'_ Value| -> &'static str { value.as_str().unwrap_or_default().to_owned().leak() };
    let mut conditions: Vec<_> = operator["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| (text(&condition["type"]), text(&condition["status"]), text(&condition["reason"])))
        .collect();
    conditions.sort_unstable();
    conditions
}

#[tokio::test]
async fn own_cluster_operator_exists_in_each_writing_mode_and_reports_health() {
    for (mode, upgradeable, role) in [
        (
            "replace",
            ("Upgradeable", "True", "AsExpected"),
            "Gates updates on ClusterVersion itself (replace: --mode=replace).",
        ),
        (
            "bridge",
            ("Upgradeable", "False", "ClusterVersionOverrides"),
            "Lets patch updates through that the cluster-version operator refuses for overrides alone (bridge: --mode=bridge).",
        ),
    ] {
        let cluster = support::cluster(fixtures::cluster_with_override()).await;
        let _operator = Operator::start(&cluster, Options::mode(mode)).await;
        cluster.own_condition("Degraded", "False", "AsExpected").await;
        cluster.wait_until_operator_is_idle().await;
        let own = cluster.own_operator().await;
        let expected = [
            ("Available", "True", "AsExpected"),
            ("Degraded", "False", "AsExpected"),
            ("Progressing", "False", "AsExpected"),
            upgradeable,
        ];
        assert_eq!(conditions(&own), expected, "{mode}");
        assert_eq!(condition(&own, "Available")["message"], role);
        assert_eq!(own["status"]["versions"], json!([{"name": "operator", "version": env!("CARGO_PKG_VERSION")}]));
        assert_eq!(
            own["status"]["relatedObjects"],
            json!([
                {"group": "", "name": "openshift-upgrade-gate", "resource": "namespaces"},
                {"group": "config.openshift.io", "name": "version", "resource": "clusterversions"},
                {"group": "upgrade-gate.openshift.io", "name": "", "resource": "updaterecords"},
                {"group": "admissionregistration.k8s.io", "name": NAME, "resource": "validatingadmissionpolicies"},
                {"group": "admissionregistration.k8s.io", "name": NAME, "resource": "validatingadmissionpolicybindings"},
            ])
        );
        let shown = cluster.control_plane.kubectl(&["get", "clusteroperators"]);
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["NAME", "VERSION", "AVAILABLE", "PROGRESSING", "DEGRADED", "SINCE"]);
        assert_eq!(lines[1][..5], [NAME, env!("CARGO_PKG_VERSION"), "True", "False", "False"]);
    }
}

#[tokio::test]
async fn own_cluster_operator_is_not_written_while_idle() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::mode("bridge")).await;
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    cluster.wait_until_operator_is_idle().await;
    let before = cluster.own_operator().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(2)).await;
    assert_eq!(cluster.own_operator().await, before);

    // The message changes, the status does not.
    let mut second = fixtures::policy_override();
    second["name"] = json!("second");
    cluster.set_overrides(json!([fixtures::policy_override(), second])).await;
    let after = eventually("other words", async || {
        let own = cluster.own_operator().await;
        let upgradeable = condition(&own, "Upgradeable").clone();
        if upgradeable["message"].as_str().unwrap().contains("second") { Ok(upgradeable) } else { Err(String::new()) }
    })
    .await;
    assert_eq!(after["lastTransitionTime"], condition(&before, "Upgradeable")["lastTransitionTime"]);
    cluster.set_overrides(json!([])).await;
    let flipped = cluster.own_condition("Upgradeable", "True", "AsExpected").await;
    assert_ne!(flipped["lastTransitionTime"], after["lastTransitionTime"]);
    let own = cluster.own_operator().await;
    for type_ in ["Available", "Degraded", "Progressing"] {
        assert_eq!(condition(&own, type_), condition(&before, type_));
    }
    // Deleted, it is made again.
    cluster.delete_cluster_operator(NAME).await;
    cluster.own_condition("Available", "True", "AsExpected").await;
}

#[tokio::test]
async fn own_cluster_operator_is_not_a_risk() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    let operator = Operator::start(&cluster, Options::default()).await;
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    cluster.put_cluster_operator("dns", json!([fixtures::condition("Upgradeable", "False", "No", "no")])).await;
    cvo.recompute_upgradeable().await;
    eventually("dns to be a risk", async || {
        operator.metric("upgrade_gate_risk{name=\"ClusterOperatorUpgradeable-dns\"}").ok_or_else(|| operator.metrics())
    })
    .await;
    assert_eq!(operator.metric("upgrade_gate_risk{name=\"ClusterOperatorUpgradeable-upgrade-gate\"}"), None);
    // The CVO reports both; once the overrides are removed, no longer ours.
    cluster.set_overrides(json!([])).await;
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
    cluster.delete_cluster_operator("dns").await;
    cluster.wait_for("nothing is left", |cv| condition(cv, "Upgradeable").is_null()).await;
}

#[tokio::test]
async fn with_a_cvo_that_allows_patches_own_cluster_operator_reports_nothing_to_do() {
    let mut cluster_version = fixtures::cluster_with_override();
    cluster_version["status"]["desired"] = fixtures::release("4.22.0");
    cluster_version["status"]["availableUpdates"] = json!([fixtures::release("4.22.1"), fixtures::release("4.23.0")]);
    let history = |state: &str| {
        let mut front = fixtures::completed("4.22.0");
        if state == "Partial" {
            (front["state"], front["completionTime"]) = (json!(state), Value::Null);
        }
        json!([front, fixtures::completed("4.21.1")])
    };
    cluster_version["status"]["history"] = history("Completed");
    let cluster = support::cluster_as(cvo::MANAGER, cluster_version).await;
    let cvo = Cvo::start(&cluster, Profile::V4_22, Params::default()).await;
    let _operator = Operator::start(&cluster, Options::default()).await;
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
    cvo.recompute_upgradeable().await;
    let own = cluster.own_operator().await;
    let available = condition(&own, "Available")["message"].as_str().unwrap();
    assert!(
        available.starts_with(
            "Has nothing to do but record updates: from 4.22 on, the cluster-version operator itself lets patch updates \
             through while overrides are set (bridge: "
        ),
        "{available}"
    );
    // The CVO reports the overrides itself, and only once.
    let seen = cluster.cluster_version().await;
    assert!(
        has_condition(&seen, "Upgradeable", "False", "ClusterVersionOverridesSet"),
        "{}",
        condition(&seen, "Upgradeable")
    );

    // While the update from 4.21 isn't completed, 4.21's CVO may still be the one that runs.
    cvo.scale_to_zero();
    cluster.put_status(cvo::MANAGER, |status| status["history"] = history("Partial")).await;
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    cluster.put_status(cvo::MANAGER, |status| status["history"] = history("Completed")).await;
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
}

#[tokio::test]
async fn own_cluster_operator_is_degraded_while_a_source_is_forbidden() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let access = json!({"resource": "configmaps", "name": "admin-acks", "verb": "list"});
    let revoked = cluster.revoke_role("openshift-config", access).await;
    let operator = Operator::start(&cluster, Options::mode("replace").arg("--degraded-after=3s")).await;
    // It isn't at once.
    cluster.own_condition("Degraded", "False", "AsExpected").await;
    let degraded = cluster.own_condition("Degraded", "True", "SourceUnreadable").await;
    let message = degraded["message"].as_str().unwrap();
    assert!(message.starts_with("ConfigMap openshift-config/admin-acks: "), "{message}");
    let shown = cluster.control_plane.kubectl(&["get", "clusteroperators", "--no-headers"]);
    let columns: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(columns[2..5], ["True", "False", "True"]);
    // Another replica needn't wait for what this one has waited for.
    operator.kill();
    let _operator = Operator::start(&cluster, Options::mode("replace").arg("--degraded-after=3600s")).await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.upgradeable("False", "MultipleReasons").await;
    cluster.wait_until_operator_is_idle().await;
    assert_eq!(condition(&cluster.own_operator().await, "Degraded"), &degraded);
    revoked.restore_access().await;
    let healthy = cluster.own_condition("Degraded", "False", "AsExpected").await;
    assert_eq!(healthy["message"], "No problem has lasted for 3600 seconds.");
}

#[tokio::test]
async fn own_cluster_operator_is_degraded_while_conditions_are_reverted() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    let degraded = cluster.own_condition("Degraded", "True", "GateContention").await;
    assert!(degraded["message"].as_str().unwrap().contains("--mode=bridge or --mode=auto"), "{degraded}");
    // Bounded, and the CVO isn't starved: a request is dealt with in the midst of it.
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cvo.wait_until_idle().await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(5)).await;
    let writes = cluster.operator_writes().await;
    assert!(writes.len() <= 6, "{} writes on ClusterVersion: {writes:#?}", writes.len());
    assert_eq!(operator.metric("upgrade_gate_contention_total"), Some(1.0));
}

#[tokio::test]
async fn without_the_api_of_cluster_operators_the_operator_works() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let missing = cluster.without_crd("clusteroperators").await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_accepted("4.21.2").await;
    cluster.record_is("a record", |record| record["spec"]["by"] == "Gate").await;
    cluster.wait_until_operator_is_idle().await;
    let writes = cluster.all_operator_writes().await;
    assert!(writes.iter().all(|write| !write.resource.starts_with("clusteroperators")), "{writes:#?}");
    assert_eq!(operator.metric("upgrade_gate_writes_total{kind=\"operator\",result=\"ok\"}"), None);
    missing.restore().await;
    cluster.own_condition("Available", "True", "AsExpected").await;
}
