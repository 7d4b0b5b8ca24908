//! Versions that are empty, not SemVer, prereleases, or carry build metadata.

use serde_json::{Value, json};

use crate::support::{self, Operator, Options, entries, fixtures};

/// A cluster under overrides at one version that knows others.
fn cluster_at(current: &str, known: &[&str]) -> Value {
    let mut cluster_version = fixtures::cluster_with_override();
    let status = &mut cluster_version["status"];
    status["desired"] = json!({"version": current, "image": fixtures::image("current")});
    status["history"] = json!([{
        "state": "Completed", "startedTime": fixtures::LONG_AGO, "completionTime": fixtures::LONG_AGO,
        "version": current, "image": fixtures::image("current"), "verified": true,
    }]);
    status["availableUpdates"] = known.iter().map(|version| fixtures::release(version)).collect();
    cluster_version
}

/// Each of these targets is accepted under overrides, with an accepted risk of this reason.
async fn are_accepted(current: &str, targets: &[&str], reason: &str) {
    let cluster = support::cluster(cluster_at(current, targets)).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    for target in targets {
        let seen = cluster.request_accepted(target).await;
        let found = entries(&seen, target);
        assert_eq!(found.len(), 1, "{target}");
        let text = found[0]["acceptedRisks"].as_str().unwrap();
        assert!(text.contains(&format!("\"{reason}\"")), "{text}");
    }
}

/// Each of these is blocked under overrides, for this reason.
async fn are_blocked(current: &str, targets: &[&str], reason: &str) {
    let cluster = support::cluster(cluster_at(current, targets)).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    for target in targets {
        let seen = cluster.request_blocked(target, &[&format!("\"{reason}\"")]).await;
        assert_eq!(seen["status"]["history"].as_array().unwrap().len(), 1, "{target}");
    }
}

#[tokio::test]
async fn a_cluster_without_a_valid_version_accepts_any_update() {
    for current in ["", "4.21", "latest"] {
        are_accepted(current, &["4.21.2", "4.22.0"], "InvalidCurrentVersion").await;
    }
}

#[tokio::test]
async fn a_target_that_is_not_semver_is_blocked() {
    are_blocked("4.21.1", &["4.2", "4.21.02", "v4.21.2", "latest"], "InvalidDesiredVersion").await;
}

#[tokio::test]
async fn an_image_of_unknown_version_is_blocked() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let image = fixtures::image("unheard of");
    cluster.request("", &image).await;
    cluster.refused(&image, "PreconditionChecks", &["\"InvalidDesiredVersion\""]).await;
    cluster.request("4.21.7", &image).await; // now it has been named
    cluster.accepted("4.21.7").await;
}

#[tokio::test]
async fn from_a_prerelease_to_its_release_is_a_patch() {
    are_accepted("4.21.0-rc.1", &["4.21.0-rc.2", "4.21.0", "4.21.1"], "ClusterVersionOverridesSet").await;
}

#[tokio::test]
async fn a_prerelease_of_the_next_minor_is_that_minor() {
    are_blocked("4.21.1", &["4.22.0-rc.1", "4.22.0-0.nightly-2026-01-01-000000"], "ClusterVersionOverrides").await;
}

#[tokio::test]
async fn build_metadata_makes_no_difference() {
    are_accepted("4.21.1+one", &["4.21.1+two", "4.21.2+one"], "ClusterVersionOverridesSet").await;
    are_blocked("4.21.1+one", &["4.22.0+one"], "ClusterVersionOverrides").await;
}
