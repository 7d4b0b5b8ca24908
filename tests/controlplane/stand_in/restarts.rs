//! Restarts of the CVO, and what a force costs: while it is set, before the hand-over, and once it is taken away.

use rstest::rstest;
use serde_json::{Value, json};

use super::{ACCEPTED, BLOCKED, EVENTS_ONLY, history, patch_request, request, said, settled, start, under_overrides};
use crate::support::cvo::{Cvo, Params, Profile};
use crate::support::{Cluster, condition, fixtures};

const QUIET: &str = "Progressing=False ";
const A_PASS: &str = "Progressing=True ";

/// A cluster whose update to 4.21.2 was forced on the blocked request, with the image pinned, and is complete.
async fn forced(profile: Profile) -> (Cluster, Cvo) {
    let (cluster, cvo) = under_overrides(profile).await;
    force(&cluster, &cvo).await;
    cvo.complete().await;
    assert_eq!(said(&settled(&cluster, &cvo).await, "Progressing"), QUIET);
    (cluster, cvo)
}

async fn force(cluster: &Cluster, cvo: &Cvo) -> Value {
    patch_request(cluster, cvo, json!({"version": "4.21.2"})).await;
    patch_request(cluster, cvo, json!({"image": fixtures::image("4.21.2"), "force": true})).await
}

async fn restarted(cluster: &Cluster, cvo: &Cvo) -> Value {
    cvo.restart().await;
    settled(cluster, cvo).await
}

#[rstest]
#[case(Profile::V4_21)]
#[case(Profile::V4_22)]
#[case(Profile::Main)]
#[tokio::test]
async fn with_force_each_restart_reapplies_the_payload(#[case] profile: Profile) {
    let (cluster, cvo) = forced(profile).await;
    let before = cluster.cluster_version().await;
    for _ in 0..2 {
        let seen = restarted(&cluster, &cvo).await;
        assert_eq!(said(&seen, "Progressing"), A_PASS);
        assert_eq!(condition(&seen, "Progressing")["message"], "Working towards 4.21.2");
        assert_eq!(said(&seen, "Failing"), "Failing=False ");
        assert_eq!(said(&seen, "ReleaseAccepted"), ACCEPTED);
        assert_eq!(seen["status"]["history"], before["status"]["history"], "still Completed, risks and all");
        cvo.complete().await;
        let seen = settled(&cluster, &cvo).await;
        assert_eq!(said(&seen, "Progressing"), QUIET);
        assert_eq!(seen["status"]["history"], before["status"]["history"]);
    }
}

#[tokio::test]
async fn with_force_a_degraded_cluster_operator_blocks_the_pass_after_a_restart() {
    let (cluster, cvo) = forced(Profile::V4_21).await;
    cluster.put_cluster_operator("etcd", json!([fixtures::condition("Degraded", "True", "Broken", "no")])).await;
    cvo.wait_until_idle().await;
    restarted(&cluster, &cvo).await;
    held(&cluster, &cvo).await;
}

/// Asserts that the pass goes on while ClusterOperator etcd is Degraded, and ends once it isn't.
async fn held(cluster: &Cluster, cvo: &Cvo) {
    tokio::join!(cvo.complete(), async {
        let seen = settled(cluster, cvo).await;
        assert_eq!((said(&seen, "Progressing"), said(&seen, "Failing")), (A_PASS.into(), "Failing=False ".into()));
        cluster.put_cluster_operator("etcd", json!([fixtures::condition("Degraded", "False", "", "")])).await;
    });
    assert_eq!(said(&settled(cluster, cvo).await, "Progressing"), QUIET);
}

#[tokio::test]
async fn without_force_a_restart_changes_nothing() {
    let (cluster, cvo) = start(fixtures::cluster(), Profile::V4_21, EVENTS_ONLY).await;
    request(&cluster, &cvo, "4.21.2").await;
    cvo.complete().await;
    let before = settled(&cluster, &cvo).await;
    let after = restarted(&cluster, &cvo).await;
    assert_eq!(said(&after, "Progressing"), QUIET);
    assert_eq!(after["status"]["history"], before["status"]["history"]);
}

#[tokio::test]
async fn before_the_hand_over_a_restart_falls_back_and_accepts_the_forced_release_again() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    assert_eq!(history(&force(&cluster, &cvo).await)[0], "Partial 4.21.2");
    let versions = cluster.record().await;
    let seen = restarted(&cluster, &cvo).await;
    versions.until("the old release again", |cv| cv["status"]["desired"]["version"] == "4.21.1").await;
    assert_eq!(history(&seen)[..3], ["Partial 4.21.2", "Partial 4.21.1", "Partial 4.21.2"]);
}

#[tokio::test]
async fn between_hand_over_and_completion_a_restart_continues_the_update() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    force(&cluster, &cvo).await;
    cvo.hand_over().await;
    let before = settled(&cluster, &cvo).await;
    let seen = restarted(&cluster, &cvo).await;
    assert_eq!(history(&seen)[..2], ["Partial 4.21.2", "Completed 4.21.1"]);
    assert_eq!(seen["status"]["history"], before["status"]["history"]);
    cvo.complete().await;
    assert_eq!(history(&settled(&cluster, &cvo).await)[..2], ["Completed 4.21.2", "Completed 4.21.1"]);
}

#[rstest]
#[case::what_the_person_wrote(json!({"force": null, "image": null}))]
#[case::the_image_alone(json!({"force": false, "version": ""}))]
#[case::the_pin_stays(json!({"force": null}))]
#[case::cleared(json!(null))]
#[tokio::test]
async fn removing_force_is_one_pass_and_later_restarts_change_nothing(#[case] patch: Value) {
    let (cluster, cvo) = forced(Profile::V4_21).await;
    // Nothing is verified again, and no precondition is checked: both would fail.
    cvo.set_verifiable(&fixtures::image("4.21.2"), false);
    let before = cluster.cluster_version().await;
    let seen = patch_request(&cluster, &cvo, patch).await;
    assert_eq!(said(&seen, "Progressing"), A_PASS);
    assert_eq!(said(&seen, "ReleaseAccepted"), ACCEPTED);
    assert_eq!(condition(&seen, "ReleaseAccepted"), condition(&before, "ReleaseAccepted"));
    assert_eq!(seen["status"]["history"], before["status"]["history"], "accepted risks included");
    cvo.complete().await;
    let seen = settled(&cluster, &cvo).await;
    assert_eq!(said(&seen, "Progressing"), QUIET);
    assert_eq!(seen["status"]["history"], before["status"]["history"]);
    for _ in 0..2 {
        let seen = restarted(&cluster, &cvo).await;
        assert_eq!(said(&seen, "Progressing"), QUIET);
        assert_eq!(seen["status"]["history"], before["status"]["history"]);
    }
}

#[tokio::test]
async fn a_degraded_cluster_operator_blocks_the_pass_after_force_is_removed() {
    let (cluster, cvo) = forced(Profile::V4_21).await;
    cluster.put_cluster_operator("etcd", json!([fixtures::condition("Degraded", "True", "Broken", "no")])).await;
    cvo.wait_until_idle().await;
    patch_request(&cluster, &cvo, json!({"force": null, "image": null})).await;
    held(&cluster, &cvo).await;
}

#[tokio::test]
async fn a_cluster_operator_that_is_not_in_the_payload_blocks_no_pass() {
    let (cluster, cvo) = forced(Profile::V4_21).await;
    cluster.put_cluster_operator("upgrade-gate", json!([fixtures::condition("Degraded", "True", "No", "no")])).await;
    cvo.wait_until_idle().await;
    restarted(&cluster, &cvo).await;
    cvo.complete().await;
    assert_eq!(said(&settled(&cluster, &cvo).await, "Progressing"), QUIET);
}

#[tokio::test]
async fn a_pass_ends_by_itself_if_complete_after_is_set_unless_an_operator_is_degraded() {
    let params = Params { complete_after: Some(std::time::Duration::from_millis(20)), ..EVENTS_ONLY };
    let (cluster, cvo) = start(fixtures::cluster_with_override(), Profile::V4_21, params).await;
    force(&cluster, &cvo).await;
    let complete = |cv: &_| history(cv)[0] == "Completed 4.21.2" && said(cv, "Progressing") == QUIET;
    cluster.wait_for("the update to complete", complete).await;
    cluster.put_cluster_operator("etcd", json!([fixtures::condition("Available", "False", "Gone", "no")])).await;
    cvo.wait_until_idle().await;
    cvo.restart().await;
    assert_eq!(said(&settled(&cluster, &cvo).await, "Progressing"), A_PASS);
    cluster.assert_not_written_for(std::time::Duration::from_millis(200)).await;
    cluster.put_cluster_operator("etcd", json!([fixtures::condition("Available", "True", "", "")])).await;
    cluster.wait_for("the end of the pass", complete).await;
}

#[tokio::test]
async fn a_blocked_request_is_still_blocked_after_a_restart() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let before = request(&cluster, &cvo, "4.21.2").await;
    let after = restarted(&cluster, &cvo).await;
    assert_eq!(said(&after, "ReleaseAccepted"), BLOCKED);
    assert_eq!(said(&after, "Progressing"), QUIET);
    assert_eq!(after["status"]["history"], before["status"]["history"]);
}
