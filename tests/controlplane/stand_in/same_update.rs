//! What counts as the same update for the CVO: the same image and the same `force`, regardless of the version.

use serde_json::json;

use super::{ACCEPTED, BLOCKED, EVENTS_ONLY, history, message, patch_request, request, said, settled, start};
use super::{text, under_overrides};
use crate::support::cvo::Profile;
use crate::support::fixtures;

#[tokio::test]
async fn a_version_under_an_image_that_is_running_changes_nothing() {
    let (cluster, cvo) = start(fixtures::cluster(), Profile::V4_21, EVENTS_ONLY).await;
    let running = json!({"version": "4.21.1", "image": fixtures::image("4.21.1")});
    let before = patch_request(&cluster, &cvo, running).await;
    let after = patch_request(&cluster, &cvo, json!({"version": "4.21.2"})).await;
    assert_eq!(after["spec"]["desiredUpdate"]["version"], "4.21.2");
    assert_eq!(said(&after, "ReleaseAccepted"), ACCEPTED);
    assert_eq!(said(&after, "Invalid"), "");
    assert_eq!(after["status"], before["status"]);
}

#[tokio::test]
async fn a_pinned_image_ignores_a_later_version_with_and_without_force() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let forced = json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": true});
    patch_request(&cluster, &cvo, forced).await;
    cvo.complete().await;
    let before = settled(&cluster, &cvo).await;
    let after = patch_request(&cluster, &cvo, json!({"version": "4.22.0"})).await;
    assert_eq!(after["status"], before["status"], "with the force");

    patch_request(&cluster, &cvo, json!({"version": "4.21.2", "force": null})).await;
    cvo.complete().await;
    let before = settled(&cluster, &cvo).await;
    let after = patch_request(&cluster, &cvo, json!({"version": "4.22.0"})).await;
    assert_eq!(said(&after, "ReleaseAccepted"), ACCEPTED);
    assert_eq!(after["status"], before["status"], "the pin alone");
}

#[tokio::test]
async fn with_the_request_restored_a_later_version_is_handled() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    patch_request(&cluster, &cvo, json!({"version": "4.21.2"})).await;
    patch_request(&cluster, &cvo, json!({"image": fixtures::image("4.21.2"), "force": true})).await;
    cvo.complete().await;
    patch_request(&cluster, &cvo, json!({"image": null, "force": null})).await;
    cvo.complete().await;
    let seen = patch_request(&cluster, &cvo, json!({"version": "4.22.0"})).await;
    assert_eq!(said(&seen, "ReleaseAccepted"), BLOCKED);
    assert!(message(&seen).contains("version=\"4.22.0\""), "{}", message(&seen));
}

#[tokio::test]
async fn a_rollback_is_refused_by_4_21_with_the_items_of_a_patch() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let seen = request(&cluster, &cvo, "4.21.0").await;
    assert_eq!(said(&seen, "ReleaseAccepted"), BLOCKED);
    let items: Vec<_> = message(&seen).lines().skip(1).collect();
    assert_eq!(
        items,
        [
            format!("* {}", fixtures::OVERRIDES_ITEM),
            "* Precondition \"ClusterVersionRecommendedUpdate\" failed because of \"UnknownUpdate\": \
             4.21.0 is neither available nor conditional."
                .to_owned()
        ]
    );
}

#[tokio::test]
async fn a_rollback_is_accepted_by_4_22() {
    let (cluster, cvo) = under_overrides(Profile::V4_22).await;
    let seen = request(&cluster, &cvo, "4.21.0").await;
    assert_eq!(said(&seen, "ReleaseAccepted"), ACCEPTED);
    assert_eq!(history(&seen)[..2], ["Partial 4.21.0", "Completed 4.21.1"]);
    assert!(text(&seen["status"]["history"][0]["acceptedRisks"]).contains("\"ClusterVersionOverridesSet\""));
    cvo.complete().await;
    assert_eq!(history(&settled(&cluster, &cvo).await)[0], "Completed 4.21.0");
}
