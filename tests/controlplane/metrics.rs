//! What monitoring sees: the metrics by name and value, and the probes.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{self, Operator, Options, eventually, fixtures};

/// Waits until a series has this value.
async fn shows(operator: &Operator, series: &str, value: Option<f64>) {
    eventually(&format!("{series} to be {value:?}"), async || {
        let seen = operator.metric(series);
        if seen == value { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

#[tokio::test]
async fn the_metrics_have_their_names_and_the_format_is_open_metrics() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_accepted("4.21.2").await;
    shows(&operator, r#"upgrade_gate_decisions_total{type="patch",decision="allowed"}"#, Some(1.0)).await;
    let text = operator.metrics();
    assert!(text.ends_with("# EOF\n"));
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let names: BTreeSet<&str> = samples.filter_map(|line| line.split([' ', '{']).next()).collect();
    let expected = BTreeSet::from([
        "upgrade_gate_bridge_force_standing",
        "upgrade_gate_bridge_unverified",
        "upgrade_gate_contention_total",
        "upgrade_gate_decisions_total",
        "upgrade_gate_last_evaluation_timestamp_seconds",
        "upgrade_gate_leader",
        "upgrade_gate_mode",
        "upgrade_gate_overrides_unmanaged",
        "upgrade_gate_reconcile_duration_seconds_bucket",
        "upgrade_gate_reconcile_duration_seconds_count",
        "upgrade_gate_reconcile_duration_seconds_sum",
        "upgrade_gate_risk",
        "upgrade_gate_update_allowed",
        "upgrade_gate_upgradeable",
        "upgrade_gate_writes_total",
    ]);
    assert_eq!(names, expected);
}

#[tokio::test]
async fn the_metrics_follow_the_cluster_and_the_series_of_a_resolved_risk_is_removed() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    for (series, value) in [
        ("upgrade_gate_upgradeable", 1.0),
        ("upgrade_gate_overrides_unmanaged", 0.0),
        ("upgrade_gate_leader", 1.0),
        ("upgrade_gate_contention_total", 0.0),
        (r#"upgrade_gate_mode{mode="replace"}"#, 1.0),
        (r#"upgrade_gate_update_allowed{type="patch"}"#, 1.0),
        (r#"upgrade_gate_update_allowed{type="minor"}"#, 1.0),
        (r#"upgrade_gate_update_allowed{type="major"}"#, 1.0),
        (r#"upgrade_gate_writes_total{kind="conditions",result="ok"}"#, 1.0),
    ] {
        assert_eq!(operator.metric(series), Some(value), "{series}");
    }
    assert!(!operator.metrics().contains("upgrade_gate_risk{"));
    assert!(!operator.metrics().contains("upgrade_gate_decisions_total{"));
    let first = operator.metric("upgrade_gate_last_evaluation_timestamp_seconds").unwrap();
    assert!(first > 1_700_000_000.0, "Unix time in seconds: {first}");

    cluster.put_cluster_operator("dns", json!([fixtures::condition("Upgradeable", "False", "No", "no")])).await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.upgradeable("False", "MultipleReasons").await;
    let overrides = r#"upgrade_gate_risk{name="ClusterVersionOverrides"}"#;
    let dns = r#"upgrade_gate_risk{name="ClusterOperatorUpgradeable-dns"}"#;
    for (series, value) in [
        ("upgrade_gate_upgradeable", 0.0),
        ("upgrade_gate_overrides_unmanaged", 1.0),
        (overrides, 1.0),
        (dns, 1.0),
        (r#"upgrade_gate_update_allowed{type="patch"}"#, 1.0),
        (r#"upgrade_gate_update_allowed{type="minor"}"#, 0.0),
        (r#"upgrade_gate_update_allowed{type="major"}"#, 0.0),
    ] {
        assert_eq!(operator.metric(series), Some(value), "{series}");
    }
    cluster.delete_cluster_operator("dns").await;
    shows(&operator, dns, None).await;
    assert_eq!(operator.metric(overrides), Some(1.0));

    cluster.request_blocked("4.22.0", &[]).await;
    cluster.request_blocked("5.0.0", &[]).await;
    cluster.request_accepted("4.21.2").await;
    shows(&operator, r#"upgrade_gate_decisions_total{type="patch",decision="allowed"}"#, Some(1.0)).await;
    for (series, value) in [
        (r#"upgrade_gate_decisions_total{type="minor",decision="blocked"}"#, 1.0),
        (r#"upgrade_gate_decisions_total{type="major",decision="blocked"}"#, 1.0),
        (r#"upgrade_gate_writes_total{kind="history",result="ok"}"#, 1.0),
    ] {
        assert_eq!(operator.metric(series), Some(value), "{series}");
    }
    assert!(operator.metric("upgrade_gate_reconcile_duration_seconds_count").unwrap() >= 4.0);
    assert!(operator.metric("upgrade_gate_last_evaluation_timestamp_seconds").unwrap() > first);
}

#[tokio::test]
async fn a_waiting_replica_exposes_the_same_verdict_and_that_it_is_not_the_leader() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let leader = Operator::start(&cluster, Options::mode("replace").identity("leader")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let mut follower = Operator::start(&cluster, Options::mode("replace").identity("follower")).await;
    follower.ready().await;
    shows(&follower, "upgrade_gate_overrides_unmanaged", Some(1.0)).await;
    assert_eq!(follower.metric("upgrade_gate_upgradeable"), Some(0.0));
    assert_eq!((leader.metric("upgrade_gate_leader"), follower.metric("upgrade_gate_leader")), (Some(1.0), Some(0.0)));
    assert!(!follower.metrics().contains("upgrade_gate_writes_total{"));
}

#[tokio::test]
async fn an_operator_is_live_before_its_caches_are_filled_and_ready_afterwards() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let unbound = cluster.unbind_cluster();
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    eventually("the operator to answer", async || operator.probe("/healthz").map_err(|error| error.to_string())).await;
    // It leads already, and still has read nothing of the ClusterVersion.
    let lease = eventually("the lease to be held", async || {
        let lease = cluster.lease().await.unwrap_or_default();
        if lease["spec"]["holderIdentity"].is_string() { Ok(lease) } else { Err(lease.to_string()) }
    })
    .await;
    assert_eq!(lease["spec"]["holderIdentity"], "upgrade-gate-0");
    assert_eq!(operator.probe("/readyz").unwrap().0, 503);
    assert_eq!(operator.probe("/healthz").unwrap().0, 200);
    drop(unbound);
    operator.ready().await;
    assert_eq!(operator.probe("/healthz").unwrap().0, 200);
    assert_eq!(operator.probe("/metrics").unwrap().0, 404, "metrics have a port of their own");
    cluster.upgradeable("True", "AsExpected").await;
}
