//! The record in `acceptedRisks`, which isn't durable.

use serde_json::{Value, json};

use super::{PROFILES, history, patch_request, request, settled, text, under_overrides};
use crate::support::cvo::{Cvo, Profile};
use crate::support::{Cluster, fixtures};

/// A cluster whose update to 4.21.2 was forced and is complete.
async fn updated(profile: Profile) -> (Cluster, Cvo) {
    let (cluster, cvo) = under_overrides(profile).await;
    patch_request(&cluster, &cvo, json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": true}))
        .await;
    cvo.complete().await;
    let record = record(&cluster.cluster_version().await);
    assert_ne!(record, "", "{profile:?}");
    (cluster, cvo)
}

/// The accepted risks of 4.21.2.
fn record(cluster_version: &Value) -> String {
    let history = cluster_version["status"]["history"].as_array().unwrap();
    text(&history.iter().find(|entry| entry["version"] == "4.21.2").unwrap()["acceptedRisks"]).to_owned()
}

/// Somebody else writes the accepted risks of the newest entry; what is there once the stand-in has seen it.
async fn write(cluster: &Cluster, cvo: &Cvo, risks: &str) -> String {
    cluster.put_status("someone", |status| status["history"][0]["acceptedRisks"] = json!(risks)).await;
    record(&settled(cluster, cvo).await)
}

#[tokio::test]
async fn a_later_request_erases_accepted_risks_even_if_blocked() {
    for profile in PROFILES {
        let (cluster, cvo) = updated(profile).await;
        let seen = request(&cluster, &cvo, "4.22.0").await;
        assert_eq!(history(&seen)[0], "Completed 4.21.2", "{profile:?}");
        assert_eq!(record(&seen), "", "{profile:?}");
    }
}

#[tokio::test]
async fn accepted_risks_written_by_others_are_kept_until_another_target_is_tried() {
    let (cluster, cvo) = updated(Profile::V4_21).await;
    assert_eq!(write(&cluster, &cvo, "mine").await, "mine");
    cvo.restart().await;
    assert_eq!(record(&settled(&cluster, &cvo).await), "mine");
}

#[tokio::test]
async fn after_a_blocked_request_accepted_risks_are_erased_until_a_restart() {
    let (cluster, cvo) = updated(Profile::V4_21).await;
    request(&cluster, &cvo, "4.22.0").await;
    for _ in 0..3 {
        assert_eq!(write(&cluster, &cvo, "mine").await, "");
    }
    // Back to the release that it has, force and all, so that only the memory of the other target is left.
    let back = json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": true});
    patch_request(&cluster, &cvo, back).await;
    assert_eq!(write(&cluster, &cvo, "mine").await, "");
    cvo.restart().await;
    assert_eq!(write(&cluster, &cvo, "mine").await, "mine");
}

#[tokio::test]
async fn a_cleared_blocked_request_erases_accepted_risks() {
    let (cluster, cvo) = updated(Profile::V4_21).await;
    request(&cluster, &cvo, "4.22.0").await;
    let seen = patch_request(&cluster, &cvo, json!(null)).await;
    assert_eq!(record(&seen), "");
    assert_eq!(write(&cluster, &cvo, "mine").await, "");
}

#[tokio::test]
async fn clearing_a_completed_request_keeps_accepted_risks() {
    let (cluster, cvo) = updated(Profile::V4_21).await;
    let before = record(&cluster.cluster_version().await);
    let seen = patch_request(&cluster, &cvo, json!(null)).await;
    assert_eq!(record(&seen), before);
    assert_eq!(write(&cluster, &cvo, "mine").await, "mine");
}

#[tokio::test]
async fn on_a_partial_entry_the_cvo_s_text_is_restored_only_before_the_hand_over() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    request(&cluster, &cvo, "4.21.2").await;
    let own = record(&patch_request(&cluster, &cvo, json!({"force": true})).await);
    assert!(own.starts_with("Forced through blocking failures: "));
    assert_eq!(write(&cluster, &cvo, "mine").await, own);
    cvo.hand_over().await;
    assert_eq!(write(&cluster, &cvo, "mine").await, "mine");
}

#[tokio::test]
async fn changing_force_on_an_accepted_image_keeps_accepted_risks() {
    let (cluster, cvo) = under_overrides(Profile::V4_22).await;
    let accepted = request(&cluster, &cvo, "4.21.2").await;
    assert_ne!(record(&accepted), "");
    let forced = patch_request(&cluster, &cvo, json!({"force": true})).await;
    assert_eq!(record(&forced), record(&accepted));
}

#[tokio::test]
async fn changing_force_after_another_target_was_tried_erases_accepted_risks() {
    let (cluster, cvo) = under_overrides(Profile::V4_22).await;
    request(&cluster, &cvo, "4.21.2").await;
    request(&cluster, &cvo, "4.22.0").await;
    let back = json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": true});
    assert_eq!(record(&patch_request(&cluster, &cvo, back).await), "");
}

#[tokio::test]
async fn an_entry_prepended_by_others_counts_as_history() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    cluster
        .put_status("someone", |status| {
            let mut foreign = fixtures::completed("4.21.2");
            foreign["state"] = json!("Partial");
            foreign["completionTime"] = json!(null);
            status["history"].as_array_mut().unwrap().insert(0, foreign);
        })
        .await;
    let seen = settled(&cluster, &cvo).await;
    assert_eq!(history(&seen)[..2], ["Completed 4.21.1", "Partial 4.21.2"]);
    assert_ne!(seen["status"]["history"][1]["completionTime"], json!(null), "closed");
}
