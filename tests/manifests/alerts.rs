//! The alerts, and the tests that promtool runs of them.

use super::{kind, objects, repository, yaml_files};
use std::fs;
use upgrade_gate::controller::metrics::Metrics;
use upgrade_gate::plan::bridge::unforce::KeepReason;

#[test]
fn the_alerts_use_existing_metrics() {
    let metrics = Metrics::new();
    metrics.wrote("conditions", "refused"); // or else it has no series
    metrics.set_force(true, Some(&KeepReason::NotCompleted));
    let shown = metrics.text();
    let rules = fs::read_to_string(repository("deploy/components/monitoring/prometheus-rule.yaml")).unwrap();
    let named: Vec<_> = rules
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("upgrade_gate_"))
        .collect();
    assert_eq!(named.len(), 10, "{named:?}");
    for name in named {
        assert!(shown.lines().any(|line| line.starts_with(name) && !line.starts_with('#')), "{name}");
    }
}

/// A state that is over within two minutes isn't worth a person's time.
#[test]
fn no_alert_fires_within_two_minutes() {
    let rules = &objects("deploy/components/monitoring").into_iter().find(|object| kind(object) == "PrometheusRule");
    let rules = rules.as_ref().unwrap()["spec"]["groups"][0]["rules"].as_array().unwrap();
    let waits: Vec<_> =
        rules.iter().map(|rule| (rule["alert"].as_str().unwrap(), rule["for"].as_str().unwrap_or("0"))).collect();
    assert_eq!(
        waits,
        [
            ("UpgradeGateNotLeading", "10m"),
            ("UpgradeGateNotEvaluating", "5m"),
            ("UpgradeGateWritesFailing", "15m"),
            ("UpgradeGateContention", "30m"),
            ("UpgradeGateForcedUnverified", "2m"),
            ("UpgradeGateForceStanding", "1h"),
            ("UpgradeGateOverridesStanding", "24h"),
        ]
    );
}

/// hack/test-alerts runs them, with promtool.
#[test]
fn each_alert_has_a_test_of_when_it_fires() {
    let rules = fs::read_to_string(repository("deploy/components/monitoring/prometheus-rule.yaml")).unwrap();
    let mut alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect();
    alerts.sort();
    let tests = yaml_files("tests/alerts");
    let tested: Vec<_> = tests.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(!alerts.is_empty());
    assert_eq!(tested, alerts);
}
