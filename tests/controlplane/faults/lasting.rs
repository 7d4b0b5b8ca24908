//! Faults that last: what must not happen however often something is tried, and how soon all is well again.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use super::{SPAN, Scene};
use crate::support::{
    self, Options, condition,
    faults::{Fault, Kind, Proxy},
    fixtures, invariants,
};

const ALWAYS: usize = usize::MAX;

/// The longest wait between two tries, and what the next one may take.
const SECONDS: Duration = Duration::from_secs(15);

/// Everything that waits for a try is tried within this time.
async fn closes_within(scene: &Scene, time: Duration) {
    let closed = scene.cluster.upgradeable("False", "ClusterVersionOverrides");
    tokio::time::timeout(time, closed).await.expect("the override is seen in time");
}

#[rstest]
#[case::watches_that_end_at_once(Fault::End, Kind::watches())]
#[case::watches_that_are_refused(Fault::Answer(403), Kind::watches())]
#[case::watches_that_come_too_late(Fault::Answer(410), Kind::watches())]
#[case::lists_that_fail(Fault::Answer(500), Kind::reads())]
#[case::connections_that_are_cut(Fault::DropBefore, Kind::any())]
#[case::writes_that_fail(Fault::Answer(500), Kind::writes())]
#[case::a_server_that_is_busy(Fault::Answer(429), Kind::any())]
#[tokio::test]
async fn no_lasting_fault_causes_a_request_loop_and_the_operator_recovers(#[case] fault: Fault, #[case] kind: Kind) {
    let scene = Scene::set(fixtures::cluster()).await;
    scene.cluster.upgradeable("True", "AsExpected").await;
    scene.proxy.inject(fault, kind, ALWAYS);
    scene.proxy.watches(Kind::watches(), support::faults::Watch::Gone);
    scene.cluster.set_overrides(json!([fixtures::policy_override()])).await;
    tokio::time::sleep(SPAN).await;
    scene.keeps_its_rate(&format!("{fault:?}"));
    scene.proxy.heal();
    closes_within(&scene, SECONDS).await;
    scene.is_sound(&format!("{fault:?}, over")).await;
}

/// A load balancer briefly returns 404 for a resource whose objects block a minor update.
#[rstest]
#[case::cluster_operators("clusteroperators")]
#[case::config_maps("configmaps")]
#[case::records("updaterecords")]
#[tokio::test]
async fn a_404_for_a_served_api_does_not_set_upgradeable(#[case] resource: &str) {
    let cluster = support::cluster(fixtures::cluster()).await;
    let blocked = json!([fixtures::condition("Upgradeable", "False", "Why", "so")]);
    cluster.put_cluster_operator("network", blocked).await;
    let scene = Scene::of(cluster, Options::mode("replace")).await;
    scene.cluster.upgradeable("False", "ClusterOperatorUpgradeable-network").await;
    scene.cluster.request_blocked("4.22.0", &[]).await;
    let before = scene.versions.so_far().await.len();

    scene.proxy.inject(Fault::Answer(404), Kind::read(resource), 3);
    scene.proxy.watches(Kind::watch(resource), support::faults::Watch::Gone);
    support::eventually("the lists to have been refused", async || {
        if scene.proxy.all_faults_were_met() { Ok(()) } else { Err(String::new()) }
    })
    .await;
    scene.cluster.assert_not_written_for(Duration::from_secs(2)).await;
    let seen = scene.versions.so_far().await;
    let open = |version: &&Value| condition(version, "Upgradeable")["status"] != "False";
    assert_eq!(seen[before - 1..].iter().find(open), None);
}

/// A watch cache that lags repeats events that are out of date.
#[tokio::test]
async fn a_replayed_watch_event_does_not_set_upgradeable() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let upgradeable_is = |status: &str| json!([fixtures::condition("Upgradeable", status, "Why", "so")]);
    let scene = Scene::of(cluster, Options::mode("replace")).await;
    scene.cluster.upgradeable("True", "AsExpected").await;
    let watch = Kind::watch("clusteroperators");
    let watches = || scene.proxy.log().iter().filter(|(_, kind)| watch.covers(kind)).count();
    let begun = watches();
    scene.proxy.watches(watch.clone(), support::faults::Watch::Gone);
    support::eventually("another watch", async || if watches() > begun { Ok(()) } else { Err(String::new()) }).await;
    // The first that this watch brings, and then what replaces it.
    scene.cluster.put_cluster_operator("network", upgradeable_is("True")).await;
    scene.cluster.put_cluster_operator("network", upgradeable_is("False")).await;
    scene.cluster.upgradeable("False", "ClusterOperatorUpgradeable-network").await;
    let before = scene.versions.so_far().await.len();
    for _ in 0..3 {
        scene.proxy.watches(watch.clone(), support::faults::Watch::Replay);
        scene.cluster.request_blocked("4.22.0", &[]).await;
        scene.cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
        scene.cluster.accepted("4.21.1").await;
    }
    let seen = scene.versions.so_far().await;
    let open = |version: &&Value| condition(version, "Upgradeable")["status"] != "False";
    assert_eq!(seen[before - 1..].iter().find(open), None);
}

#[tokio::test]
async fn the_lease_holder_writes_although_its_lease_watch_is_stalled() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let proxy = Proxy::start(&cluster).await;
    let versions = cluster.record().await;
    proxy.inject(Fault::Answer(500), Kind::watch("leases"), ALWAYS);
    let options = Options::mode("replace").arg("--lease-duration=3s").arg("--lease-renew-interval=1s");
    let mut operator = support::Operator::start(&cluster, proxy.route(options)).await;
    operator.ready().await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    // Longer than the lease is good for without a renewal that is seen.
    tokio::time::sleep(Duration::from_secs(4)).await;
    cluster.set_overrides(json!([])).await;
    cluster.upgradeable("True", "AsExpected").await;
    invariants::assert_all("a lease that is never seen", &versions.so_far().await, &cluster.writes().await);
}

/// The record comes first, or the update waits, and nothing else does.
#[tokio::test]
async fn while_records_fail_conditions_are_kept_and_no_update_proceeds() {
    let scene = Scene::set(fixtures::cluster()).await;
    scene.cluster.upgradeable("True", "AsExpected").await;
    scene.proxy.inject(Fault::Answer(500), Kind::write("updaterecords"), ALWAYS);
    scene
        .cluster
        .patch(json!({"spec": {
            "overrides": [fixtures::policy_override()],
            "desiredUpdate": {"version": "4.21.2", "image": fixtures::image("4.21.2")},
        }}))
        .await;
    closes_within(&scene, Duration::from_secs(3)).await;
    scene.cluster.assert_not_written_for(Duration::from_secs(3)).await;
    let now = scene.cluster.cluster_version().await;
    assert_eq!(condition(&now, "ReleaseAccepted")["status"], "Unknown");
    assert_eq!(scene.cluster.records().await.len(), 0);
    scene.proxy.heal();
    scene.cluster.accepted("4.21.2").await;
    scene.has_records("once they can be written", 1).await;
    scene.is_sound("records fail").await;
}
