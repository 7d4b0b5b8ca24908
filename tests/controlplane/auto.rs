//! Mode `auto`: it detects a CVO before it writes. It acts as bridge with a running CVO, as replace if there never was one,
//! and as guard if the CVO is gone, until another writer reverts its conditions.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    self, Cluster, Operator, Options, condition,
    cvo::{self, Cvo, Params, Profile},
    eventually, fixtures, has_condition,
};

/// The Deployment's own arguments, and a vacancy that doesn't take minutes.
fn auto() -> Options {
    Options::default().arg("--vacant-after=1s")
}

/// Waits until it acts in this mode.
async fn acts_as(cluster: &Cluster, operator: &mut Operator, mode: &str) {
    operator.ready().await;
    cluster
        .touch_until(&format!("mode {mode}"), async || {
            let metrics = operator.metrics();
            let series = format!("upgrade_gate_mode{{mode=\"{mode}\"}} 1");
            if metrics.contains(&series) { Ok(()) } else { Err(operator.log()) }
        })
        .await;
    // The metric changes before the writes that follow from it.
    cluster.wait_until_operator_is_idle().await;
}

/// The modes that it has reported, oldest first.
async fn modes(cluster: &Cluster) -> Vec<String> {
    let events = cluster.events().await;
    let notes = events.iter().filter(|event| event["reason"] == "ModeChanged");
    let word = |event: &Value| event["message"].as_str().unwrap().split([' ', ':']).nth(4).unwrap().to_owned();
    notes.map(word).collect()
}

async fn modes_are(cluster: &Cluster, expected: &[&str]) {
    eventually(&format!("the modes {expected:?}"), async || {
        let modes = modes(cluster).await;
        if modes == expected { Ok(()) } else { Err(format!("{modes:?}")) }
    })
    .await;
}

/// Who owns any part of this condition.
fn owners(cluster_version: &Value, type_: &str) -> Vec<String> {
    let key = format!("k:{{\"type\":\"{type_}\"}}");
    let fields = cluster_version["metadata"]["managedFields"].as_array().unwrap();
    let owns = |field: &&Value| field["fieldsV1"]["f:status"]["f:conditions"][&key].is_object();
    fields.iter().filter(owns).map(|field| field["manager"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn with_a_running_cvo_auto_is_bridge_at_start_and_after_a_restart() {
    for profile in [Profile::V4_21, Profile::V4_22, Profile::Main] {
        let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
        let _cvo = Cvo::start(&cluster, profile, Params::default()).await;
        for _ in 0..2 {
            let mut operator = Operator::start(&cluster, auto()).await;
            acts_as(&cluster, &mut operator, "bridge").await;
            cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
            assert_eq!(operator.metric("upgrade_gate_upgradeable"), Some(0.0));
            assert!(operator.terminate().await.success());
        }
        assert_eq!(cluster.operator_writes().await.len(), 0, "{profile:?}");
        modes_are(&cluster, &["bridge", "bridge"]).await;
    }
}

#[tokio::test]
async fn with_a_running_cvo_without_risks_auto_is_bridge() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster()).await;
    let _cvo = Cvo::start(&cluster, Profile::V4_21, Params { lease: None, ..Params::default() }).await;
    let mut operator = Operator::start(&cluster, auto()).await;
    acts_as(&cluster, &mut operator, "bridge").await;
    let available = cluster.own_condition("Available", "True", "AsExpected").await;
    let why = available["message"].as_str().unwrap();
    assert!(why.contains("(bridge: a cluster-version operator writes the conditions)"), "{why}");
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
    assert_eq!(cluster.operator_writes().await.len(), 0);
}

#[tokio::test]
async fn without_a_cvo_auto_is_replace_at_start_and_after_a_restart() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let operator = Operator::start(&cluster, auto()).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let before = cluster.request_accepted("4.21.2").await;
    operator.kill();
    let mut operator = Operator::start(&cluster, auto()).await;
    acts_as(&cluster, &mut operator, "replace").await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.cluster_version().await["status"], before["status"]);
    modes_are(&cluster, &["replace", "replace"]).await;
}

#[tokio::test]
async fn only_the_lease_shows_whether_a_cvo_runs_or_ran() {
    for (ago, why) in [(0, "a cluster-version operator renews its Lease"), (60, "may come back")] {
        let cluster = support::cluster(fixtures::cluster_with_override()).await;
        cvo::leave_lease(&cluster, Duration::from_secs(20), Duration::from_secs(ago)).await;
        let mut operator = Operator::start(&cluster, Options::default()).await;
        acts_as(&cluster, &mut operator, "bridge").await;
        let available = cluster.own_condition("Available", "True", "AsExpected").await;
        assert!(available["message"].as_str().unwrap().contains(why), "{available}");
        assert_eq!(cluster.operator_writes().await.len(), 0);
    }
}

#[tokio::test]
async fn while_the_lease_is_unreadable_auto_decides_and_writes_nothing() {
    let access = json!({"group": "coordination.k8s.io", "resource": "leases", "name": "version", "verb": "get"});
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let revoked = cluster.revoke_role(cvo::NAMESPACE, access).await;
    let mut operator = Operator::start(&cluster, auto()).await;
    acts_as(&cluster, &mut operator, "undecided").await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(2)).await;
    assert_eq!(cluster.all_operator_writes().await.len(), 0);
    assert_eq!(operator.metric("upgrade_gate_upgradeable"), Some(0.0), "it judges all the same");
    revoked.restore_access().await;
    acts_as(&cluster, &mut operator, "replace").await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
}

#[tokio::test]
async fn without_a_running_cvo_guard_starts_after_its_delay_and_keeps_the_history() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    let mut operator = Operator::start(&cluster, auto()).await;
    acts_as(&cluster, &mut operator, "bridge").await;
    let left = cluster.cluster_version().await;
    cvo.scale_to_zero();
    cvo::leave_lease(&cluster, Duration::from_secs(1), Duration::from_secs(10)).await;

    // Nothing to gate, nothing to do; from the first risk on the wait counts.
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    acts_as(&cluster, &mut operator, "guard").await;
    let guarded = cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert_eq!(guarded["status"]["history"], left["status"]["history"]);
    assert_eq!(condition(&guarded, "ReleaseAccepted"), condition(&left, "ReleaseAccepted"));
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;

    // A request waits for the CVO; guard writes no condition about it.
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    operator.kill();
    let mut operator = Operator::start(&cluster, auto()).await;
    acts_as(&cluster, &mut operator, "guard").await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    let seen = cluster.cluster_version().await;
    assert_eq!(seen["status"]["history"], left["status"]["history"]);
    assert_eq!(condition(&seen, "ReleaseAccepted"), condition(&left, "ReleaseAccepted"));
    assert_eq!(owners(&seen, "ReleaseAccepted"), [cvo::MANAGER]);
    assert_eq!(seen["spec"]["desiredUpdate"]["force"], false);
    assert_eq!(cluster.records().await, Vec::<Value>::new());
}

#[tokio::test]
async fn when_a_cvo_returns_guard_ends_for_good() {
    for profile in [Profile::V4_21, Profile::V4_22, Profile::Main] {
        let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster()).await;
        Cvo::start(&cluster, profile, Params::default()).await.scale_to_zero();
        cvo::leave_lease(&cluster, Duration::from_secs(1), Duration::from_secs(10)).await;
        cluster.set_overrides(json!([fixtures::policy_override()])).await;
        let mut operator = Operator::start(&cluster, auto()).await;
        acts_as(&cluster, &mut operator, "guard").await;
        cluster.upgradeable("False", "ClusterVersionOverrides").await;

        let cvo = Cvo::start(&cluster, profile, Params::default()).await;
        acts_as(&cluster, &mut operator, "bridge").await;
        cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
        cvo.wait_until_idle().await;
        let back = cluster
            .wait_for("nothing of upgrade-gate's is left", |cv| {
                owners(cv, "Upgradeable") == [cvo::MANAGER] && owners(cv, "ReleaseAccepted") == [cvo::MANAGER]
            })
            .await;
        assert_eq!(condition(&back, "Upgradeable")["status"], "False");
        assert_eq!(back["status"]["history"].as_array().unwrap().len(), 2);

        if profile != Profile::Main {
            continue;
        }
        // The CVO and its condition are gone again: this process was overwritten, and does not start guard again.
        cvo.scale_to_zero();
        cvo::leave_lease(&cluster, Duration::from_secs(1), Duration::from_secs(10)).await;
        cluster
            .put_status("somebody", |status| {
                status["conditions"].as_array_mut().unwrap().retain(|condition| condition["type"] != "Upgradeable");
            })
            .await;
        cluster.assert_operator_writes_nothing_for(Duration::from_secs(3)).await;
        modes_are(&cluster, &["bridge", "guard", "bridge"]).await;
    }
}

#[tokio::test]
async fn if_another_writer_reverts_guard_its_conditions_are_withdrawn() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let mut operator = Operator::start(&cluster, auto()).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_accepted("4.21.2").await;
    // A part of it is enough.
    cluster
        .put_status("somebody", |status| {
            let conditions = status["conditions"].as_array_mut().unwrap();
            let upgradeable = conditions.iter_mut().find(|condition| condition["type"] == "Upgradeable").unwrap();
            upgradeable["message"] = json!("somebody knows better");
        })
        .await;
    acts_as(&cluster, &mut operator, "bridge").await;
    let seen = cluster.wait_for("a withdrawal", |cv| owners(cv, "ReleaseAccepted").is_empty()).await;
    assert_eq!(condition(&seen, "ReleaseAccepted"), &Value::Null);
    let left = condition(&seen, "Upgradeable");
    assert!(
        has_condition(&seen, "Upgradeable", "False", "ClusterVersionOverrides"),
        "it is whole, and somebody's now: {left}"
    );
    assert_eq!(owners(&seen, "Upgradeable"), ["somebody"]);
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(2)).await;
    modes_are(&cluster, &["replace", "bridge"]).await;
}

#[tokio::test]
async fn entering_a_mode_withdraws_the_conditions_of_the_previous_mode() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    cvo::leave_lease(&cluster, Duration::from_secs(1), Duration::from_secs(10)).await;
    // The administrator sets mode replace.
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    let gated = cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert_eq!(owners(&gated, "ReleaseAccepted"), ["upgrade-gate"]);
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
    operator.kill();

    let mut operator = Operator::start(&cluster, auto()).await;
    acts_as(&cluster, &mut operator, "guard").await;
    let guarded =
        cluster.wait_for("a CVO's condition is withdrawn", |cv| owners(cv, "ReleaseAccepted").is_empty()).await;
    assert_eq!(condition(&guarded, "ReleaseAccepted"), &Value::Null);
    assert_eq!(condition(&guarded, "Upgradeable"), condition(&gated, "Upgradeable"));
    operator.kill();

    let operator = Operator::start(&cluster, Options::mode("bridge")).await;
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    let bridged = cluster.wait_for("the gate is given back", |cv| owners(cv, "Upgradeable").is_empty()).await;
    assert_eq!(condition(&bridged, "Upgradeable"), &Value::Null);
    operator.kill();

    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
}

#[tokio::test]
async fn with_a_cvo_that_refuses_a_patch_observe_writes_nothing() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let _cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    cluster.install_policy().await;
    let operator = Operator::start(&cluster, Options::mode("observe")).await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cluster.refused("4.21.2", "PreconditionChecks", &[]).await;
    cluster.events_are(&["UpgradeableChanged", "UpdateAccepted"]).await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.all_operator_writes().await.len(), 0);
    assert_eq!(operator.metric("upgrade_gate_mode{mode=\"observe\"}"), Some(1.0));
    assert_eq!(operator.metric("upgrade_gate_decisions_total{type=\"patch\",decision=\"allowed\"}"), Some(1.0));
}
