//! docs/examples.md, a section for each test. The commands run at a terminal, on a cluster without upgrade-gate and with the
//! stand-in for the CVO of 4.21.

mod page;
mod terminal;

use std::time::Duration;

use serde_json::{Value, json};

use self::page::Section;
use crate::support::{
    self, Cluster, Unbound,
    cvo::{self, Cvo, Params, Profile},
    fixtures,
};

/// This cluster and its CVO, with the override of the page, without upgrade-gate.
async fn undeployed(cluster_version: Value) -> (Cluster, Cvo, Unbound) {
    let (cluster, cvo) = support::cluster_with_cvo_4_21(cluster_version).await;
    let undeployed = cluster.undeploy();
    let overrides = json!({"spec": {"overrides": [fixtures::policy_override()]}}).to_string();
    cluster.control_plane.kubectl(&["patch", "clusterversion", "version", "--type=merge", "-p", &overrides]);
    cvo.recompute_upgradeable().await;
    cluster.upgradeable("False", "ClusterVersionOverridesSet").await;
    (cluster, cvo, undeployed)
}

/// The CVO applies the release, and applies it again when force is removed.
async fn installs(cluster: &Cluster, cvo: &Cvo, version: &str) {
    cvo.complete().await;
    cluster.wait_for("no force", |cv| cv["spec"]["desiredUpdate"]["force"].is_null()).await;
    cvo.complete().await;
    assert_eq!(cluster.cluster_version().await["status"]["history"][0]["version"], version);
}

#[tokio::test]
async fn locked_out() {
    let (cluster, cvo, _undeployed) = undeployed(fixtures::cluster()).await;
    let mut section = Section::of("Locked out");
    cluster.request_blocked("4.21.2", &["ClusterVersionOverridesSet"]).await;
    assert_eq!(section.shows(&cluster, "upgrade-gate check --to 4.21.2").await, Some(0));
    let installs = installs(&cluster, &cvo, "4.21.2");
    assert_eq!(section.shows_while(&cluster, "upgrade-gate update --to 4.21.2", installs).await, Some(0));
    cvo.wait_until_idle().await;
    assert_eq!(section.shows(&cluster, "upgrade-gate check --to 4.22.0").await, Some(1));
    section.ends();
}

#[tokio::test]
async fn disconnected() {
    let mut cluster_version = fixtures::cluster();
    cluster_version["spec"]["channel"] = json!("");
    cluster_version["status"]["availableUpdates"] = Value::Null;
    cluster_version["status"]["conditions"][3] =
        fixtures::condition("RetrievedUpdates", "False", "NoChannel", "The update channel has not been configured.");
    let (cluster, cvo, _undeployed) = undeployed(cluster_version).await;
    let image = fixtures::image("4.21.2").replace("registry.example.com/openshift", "mirror.example.com/ocp");
    cvo.publish(&image, "4.21.2");
    let digest = image.split_once('@').unwrap().1;
    let mut section = Section::of("Disconnected");
    assert_eq!(section.shows(&cluster, &format!("upgrade-gate check --to 4.21.2@{digest}")).await, Some(0));
    let update = format!("upgrade-gate update --to 4.21.2 \\\n    --to-image {image} \\\n    --allow-explicit-upgrade");
    assert_eq!(section.shows_while(&cluster, &update, installs(&cluster, &cvo, "4.21.2")).await, Some(0));
    section.ends();
}

#[tokio::test]
async fn a_minor_is_refused() {
    let (cluster, _cvo, _undeployed) = undeployed(fixtures::cluster()).await;
    let before = cluster.cluster_version().await["spec"].clone();
    let mut section = Section::of("A minor update is refused");
    assert_eq!(section.shows(&cluster, "upgrade-gate update --to 4.22.0").await, Some(1));
    assert_eq!(cluster.cluster_version().await["spec"], before);
    section.ends();
}

#[tokio::test]
async fn overrides_are_removed() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let params = Params { throttle: Duration::from_mins(4), ..Params::default() };
    let cvo = Cvo::start(&cluster, Profile::V4_21, params).await;
    let _undeployed = cluster.undeploy();
    let mut section = Section::of("Overrides are removed");
    cluster.set_overrides(json!([])).await;
    assert_eq!(section.shows(&cluster, "upgrade-gate check").await, Some(0));
    cvo.recompute_upgradeable().await;
    assert_eq!(section.shows(&cluster, "upgrade-gate check --to 4.22.0").await, Some(0));
    section.ends();
}

#[tokio::test]
async fn back_to_the_version_before() {
    let mut cluster_version = fixtures::cluster();
    cluster_version["status"]["desired"] = fixtures::release("4.21.2");
    cluster_version["status"]["availableUpdates"] = json!([fixtures::release("4.22.0")]);
    cluster_version["status"]["history"] = json!([fixtures::completed("4.21.2"), fixtures::completed("4.21.1")]);
    let (cluster, cvo, _undeployed) = undeployed(cluster_version).await;
    let mut section = Section::of("Back to the version before");
    let image = fixtures::image("4.21.1");
    let update = format!("upgrade-gate update --to-image {image} \\\n    --allow-explicit-upgrade");
    assert_eq!(section.shows_while(&cluster, &update, installs(&cluster, &cvo, "4.21.1")).await, Some(0));
    section.ends();
}
