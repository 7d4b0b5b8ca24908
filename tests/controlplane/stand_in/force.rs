//! `force`: which checks it skips, which not, and its effects after the update.

use serde_json::json;

use super::{
    ACCEPTED, BLOCKED, EVENTS_ONLY, PROMPT, history, patch_request, request, said, settled, start, text,
    under_overrides,
};
use crate::support::cvo::Profile;
use crate::support::fixtures;

#[tokio::test]
async fn force_on_a_blocked_request_takes_effect_before_the_retry() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let blocked = request(&cluster, &cvo, "4.21.2").await;
    assert_eq!(said(&blocked, "ReleaseAccepted"), BLOCKED);

    let forced = patch_request(&cluster, &cvo, json!({"force": true})).await;
    assert_eq!(said(&forced, "ReleaseAccepted"), ACCEPTED);
    assert_eq!(history(&forced), ["Partial 4.21.2", "Completed 4.21.1", "Completed 4.21.0"]);
    let risks = format!("Forced through blocking failures: {}", fixtures::OVERRIDES_ITEM);
    assert_eq!(forced["status"]["history"][0]["acceptedRisks"], risks);

    cvo.complete().await;
    let completed = settled(&cluster, &cvo).await;
    assert_eq!(history(&completed), ["Completed 4.21.2", "Completed 4.21.1", "Completed 4.21.0"]);
    assert_eq!(completed["status"]["history"][0]["acceptedRisks"], risks);
    assert_eq!(completed["status"]["history"][0]["verified"], true);
    assert_eq!(completed["spec"]["desiredUpdate"]["force"], true, "it stays");
}

#[tokio::test]
async fn force_is_recorded_only_if_it_was_needed() {
    let (cluster, cvo) = start(fixtures::cluster(), Profile::V4_21, EVENTS_ONLY).await;
    cvo.publish(&fixtures::image("4.21.3"), "4.21.3");
    let forced = json!({"image": fixtures::image("4.21.3"), "force": true});
    let seen = patch_request(&cluster, &cvo, forced).await;
    let risks = text(&seen["status"]["history"][0]["acceptedRisks"]);
    assert!(risks.starts_with("Precondition \"ClusterVersionRecommendedUpdate\" failed"), "{risks}");
}

#[tokio::test]
async fn force_skips_the_signature_and_records_verified_false() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    request(&cluster, &cvo, "4.21.2").await;
    cvo.set_verifiable(&fixtures::image("4.21.2"), false);
    let forced = patch_request(&cluster, &cvo, json!({"force": true})).await;
    assert_eq!(history(&forced)[0], "Partial 4.21.2");
    assert_eq!(forced["status"]["history"][0]["verified"], false);
    cvo.complete().await;
    assert_eq!(settled(&cluster, &cvo).await["status"]["history"][0]["verified"], false);
}

#[tokio::test]
async fn force_does_not_accept_an_unpullable_image() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    request(&cluster, &cvo, "4.21.2").await;
    cvo.withdraw(&fixtures::image("4.21.2"));
    let seen = patch_request(&cluster, &cvo, json!({"force": true})).await;
    assert_eq!(said(&seen, "ReleaseAccepted"), "ReleaseAccepted=False RetrievePayload");
    assert_eq!(history(&seen).len(), 2);
}

#[tokio::test]
async fn force_also_skips_gates_that_were_added_since() {
    let (cluster, cvo) = start(fixtures::cluster_with_override(), Profile::V4_21, PROMPT).await;
    request(&cluster, &cvo, "4.22.0").await;
    cluster.put_cluster_operator("etcd", json!([fixtures::condition("Upgradeable", "False", "Broken", "no")])).await;
    let arisen = |cv: &_| said(cv, "Upgradeable") == "Upgradeable=False MultipleReasons";
    cluster.wait_for("the second gate", arisen).await;
    let forced = patch_request(&cluster, &cvo, json!({"force": true})).await;
    assert_eq!(history(&forced)[0], "Partial 4.22.0");
    let risks = text(&forced["status"]["history"][0]["acceptedRisks"]);
    assert!(risks.starts_with("Forced through blocking failures: ") && risks.contains("ClusterOperator etcd"));
}

#[tokio::test]
async fn without_force_a_restart_before_the_hand_over_falls_back_to_the_old_release() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    request(&cluster, &cvo, "4.21.2").await;
    patch_request(&cluster, &cvo, json!({"force": true})).await;
    let seen = patch_request(&cluster, &cvo, json!({"force": false})).await;
    assert_eq!(seen["status"]["desired"]["version"], "4.21.2", "not yet");
    cvo.restart().await;
    let seen = settled(&cluster, &cvo).await;
    assert_eq!(seen["status"]["desired"]["version"], "4.21.1");
    assert_eq!(said(&seen, "ReleaseAccepted"), BLOCKED);
    assert_eq!(history(&seen), ["Partial 4.21.1", "Partial 4.21.2", "Completed 4.21.1", "Completed 4.21.0"]);
}

#[tokio::test]
async fn after_the_hand_over_a_restart_continues_the_update() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    request(&cluster, &cvo, "4.21.2").await;
    patch_request(&cluster, &cvo, json!({"force": true})).await;
    cvo.hand_over().await;
    cvo.restart().await;
    let seen = settled(&cluster, &cvo).await;
    assert_eq!(seen["status"]["desired"]["version"], "4.21.2");
    assert_eq!(history(&seen), ["Partial 4.21.2", "Completed 4.21.1", "Completed 4.21.0"]);
}

#[tokio::test]
async fn removing_force_after_the_update_reapplies_the_payload() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    request(&cluster, &cvo, "4.21.2").await;
    patch_request(&cluster, &cvo, json!({"force": true})).await;
    cvo.complete().await;
    assert_eq!(said(&settled(&cluster, &cvo).await, "Progressing"), "Progressing=False ");
    let seen = patch_request(&cluster, &cvo, json!({"force": false})).await;
    assert_eq!(said(&seen, "Progressing"), "Progressing=True ");
    cvo.complete().await;
    let seen = settled(&cluster, &cvo).await;
    assert_eq!(said(&seen, "Progressing"), "Progressing=False ");
    assert_eq!(history(&seen), ["Completed 4.21.2", "Completed 4.21.1", "Completed 4.21.0"]);
}

#[tokio::test]
async fn replacing_the_whole_request_removes_force() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    patch_request(&cluster, &cvo, json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": true}))
        .await;
    cvo.complete().await;
    let seen = request(&cluster, &cvo, "4.22.0").await;
    assert_eq!(said(&seen, "ReleaseAccepted"), BLOCKED);
    assert_eq!(said(&seen, "Progressing"), "Progressing=False ", "nothing is applied again");
}
