//! Requests: messages of blocked ones, the order of the checks, incomplete requests.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use super::{
    ACCEPTED, BLOCKED, EVENTS_ONLY, PROMPT, history, message, patch_request, request, said, settled, start,
    under_overrides,
};
use crate::support::cvo::{Params, Profile};
use crate::support::{
    condition,
    fixtures::{self, OVERRIDES_ITEM},
};

const IMAGE_4_21_2: &str = "registry.example.com/openshift/release@\
    sha256:0000000000000000000000000000000000000000000000000000342e32312e32";

#[tokio::test]
async fn a_blocked_patch_and_a_blocked_minor_have_the_same_message() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let patch = request(&cluster, &cvo, "4.21.2").await;
    assert_eq!(said(&patch, "ReleaseAccepted"), BLOCKED);
    let expected = format!(
        "Preconditions failed for payload loaded version=\"4.21.2\" \
        image=\"registry.example.com/openshift/release@sha256:0000000000000000000000000000000000000000000000000000342e32312e32\": \
        {OVERRIDES_ITEM}"
    );
    assert_eq!(message(&patch), expected);

    let minor = request(&cluster, &cvo, "4.22.0").await;
    assert_eq!(said(&minor, "ReleaseAccepted"), BLOCKED);
    let expected = format!(
        "Preconditions failed for payload loaded version=\"4.22.0\" \
        image=\"registry.example.com/openshift/release@sha256:0000000000000000000000000000000000000000000000000000342e32322e30\": \
        {OVERRIDES_ITEM}"
    );
    assert_eq!(message(&minor), expected);
}

#[tokio::test]
async fn several_items_are_a_list_in_which_warnings_look_the_same() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    cvo.publish(&fixtures::image("4.21.3"), "4.21.3");
    let seen = request(&cluster, &cvo, "4.21.3").await;
    assert_eq!(said(&seen, "ReleaseAccepted"), BLOCKED);
    let expected = format!(
        "Preconditions failed for payload loaded version=\"4.21.3\" \
        image=\"registry.example.com/openshift/release@sha256:0000000000000000000000000000000000000000000000000000342e32312e33\": \
        Multiple precondition checks failed:\n\
        * {OVERRIDES_ITEM}\n\
        * Precondition \"ClusterVersionRecommendedUpdate\" failed because of \"UnknownUpdate\": \
        4.21.3 is neither available nor conditional."
    );
    assert_eq!(message(&seen), expected);
}

#[tokio::test]
async fn a_message_may_contain_lines_that_look_like_items() {
    let (cluster, cvo) = start(fixtures::cluster_with_override(), Profile::V4_21, PROMPT).await;
    cluster.put_cluster_operator("dns", json!([fixtures::condition("Upgradeable", "False", "No", "no")])).await;
    let several = |cv: &_| said(cv, "Upgradeable") == "Upgradeable=False MultipleReasons";
    cluster.wait_for("two reasons", several).await;
    let seen = request(&cluster, &cvo, "4.22.0").await;
    let lines: Vec<_> = message(&seen).lines().skip(1).collect();
    assert_eq!(
        lines,
        ["* Overrides in spec.overrides prevent updates. Remove them before you update.", "* ClusterOperator dns: no"]
    );
}

#[tokio::test]
async fn a_blocked_request_changes_only_release_accepted() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let before = cluster.cluster_version().await;
    let after = request(&cluster, &cvo, "4.22.0").await;
    for field in ["observedGeneration", "desired", "history", "availableUpdates", "versionHash"] {
        assert_eq!(before["status"][field], after["status"][field], "{field}");
    }
    for type_ in ["Progressing", "Failing", "Available", "Upgradeable", "Invalid"] {
        assert_eq!(condition(&before, type_), condition(&after, type_));
    }
}

#[tokio::test]
async fn the_transition_time_is_kept_when_a_blocked_target_changes() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    request(&cluster, &cvo, "4.22.0").await;
    let aged = |status: &mut serde_json::Value| {
        for condition in status["conditions"].as_array_mut().unwrap() {
            condition["lastTransitionTime"] = json!(fixtures::LONG_AGO);
        }
    };
    cluster.put_status("someone", aged).await;
    let seen = request(&cluster, &cvo, "4.21.2").await;
    assert!(message(&seen).contains("version=\"4.21.2\""));
    assert_eq!(condition(&seen, "ReleaseAccepted")["lastTransitionTime"], fixtures::LONG_AGO);
}

#[tokio::test]
async fn a_blocked_request_is_retried_periodically_including_its_signature() {
    let params = Params { retry: Duration::from_millis(50), ..EVENTS_ONLY };
    let (cluster, cvo) = start(fixtures::cluster_with_override(), Profile::V4_21, params).await;
    request(&cluster, &cvo, "4.21.2").await;
    cvo.set_verifiable(IMAGE_4_21_2, false); // which triggers no sync
    let unverifiable = |cv: &_| said(cv, "ReleaseAccepted") == "ReleaseAccepted=False RetrievePayload";
    cluster.wait_for("the signature to be checked again", unverifiable).await;
}

#[tokio::test]
async fn an_unverifiable_image_never_reaches_the_preconditions() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    cvo.set_verifiable(IMAGE_4_21_2, false);
    let seen = request(&cluster, &cvo, "4.21.2").await;
    assert_eq!(said(&seen, "ReleaseAccepted"), "ReleaseAccepted=False RetrievePayload");
    assert!(message(&seen).contains("version=\"4.21.2\"") && message(&seen).contains(IMAGE_4_21_2));
}

#[rstest]
#[case::unknown("registry.example.com/other@sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff")]
#[case::upper_case(
    "registry.example.com/openshift/release@sha256:0000000000000000000000000000000000000000000000000000342E32312E32"
)]
#[case::tag("registry.example.com/openshift/release:4.21.2")]
#[tokio::test]
async fn an_image_without_a_known_digest_cannot_be_verified(#[case] image: &str) {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    cvo.publish("registry.example.com/openshift/release:4.21.2", "4.21.2");
    let seen = patch_request(&cluster, &cvo, json!({"image": image})).await;
    assert_eq!(said(&seen, "ReleaseAccepted"), "ReleaseAccepted=False RetrievePayload");
}

#[tokio::test]
async fn an_image_of_a_mirror_is_the_same_image() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let mirror = IMAGE_4_21_2.replace("registry.example.com", "mirror.example.net");
    let seen = patch_request(&cluster, &cvo, json!({"image": mirror})).await;
    assert_eq!(said(&seen, "ReleaseAccepted"), BLOCKED);
    assert!(message(&seen).contains(&format!("version=\"4.21.2\" image=\"{mirror}\"")), "{}", message(&seen));
}

#[tokio::test]
async fn a_partial_request_is_completed_in_the_message_and_not_in_the_spec() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let expected = format!("payload loaded version=\"4.21.2\" image=\"{IMAGE_4_21_2}\"");
    for partial in [json!({"version": "4.21.2"}), json!({"image": IMAGE_4_21_2})] {
        cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
        let seen = patch_request(&cluster, &cvo, partial.clone()).await;
        assert_eq!(said(&seen, "ReleaseAccepted"), BLOCKED);
        assert!(message(&seen).contains(&expected), "{}", message(&seen));
        let spec = seen["spec"]["desiredUpdate"].as_object().unwrap();
        let spec = spec.iter().filter(|(_, value)| value.as_str() != Some("") && **value != json!(false));
        assert_eq!(json!(spec.collect::<std::collections::BTreeMap<_, _>>()), partial);
    }
}

#[tokio::test]
async fn an_image_needs_no_update_graph() {
    let mut disconnected = fixtures::cluster_with_override();
    disconnected["status"]["availableUpdates"] = json!(null);
    let (cluster, cvo) = start(disconnected, Profile::V4_21, EVENTS_ONLY).await;
    cvo.publish(IMAGE_4_21_2, "4.21.2");
    let seen = patch_request(&cluster, &cvo, json!({"image": IMAGE_4_21_2})).await;
    assert_eq!(said(&seen, "ReleaseAccepted"), BLOCKED);
    assert!(message(&seen).contains("version=\"4.21.2\""), "{}", message(&seen));
}

#[tokio::test]
async fn a_version_that_is_not_available_is_invalid_and_the_current_release_accepted() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let blocked = request(&cluster, &cvo, "4.22.0").await;
    assert_eq!(said(&blocked, "ReleaseAccepted"), BLOCKED);
    let seen = patch_request(&cluster, &cvo, json!({"version": "4.21.9", "image": null})).await;
    assert_eq!(said(&seen, "Invalid"), "Invalid=True InvalidClusterVersion");
    assert_eq!(said(&seen, "ReleaseAccepted"), ACCEPTED);
    assert!(message(&seen).contains("version=\"4.21.1\""), "{}", message(&seen));

    let seen = patch_request(&cluster, &cvo, json!({"version": "4.21.2"})).await;
    assert_eq!((said(&seen, "Invalid"), said(&seen, "ReleaseAccepted")), (String::new(), BLOCKED.to_owned()));
}

#[rstest]
#[case(false)]
#[case(true)]
#[tokio::test]
async fn a_version_that_differs_from_the_payload_is_rejected_with_and_without_force(#[case] force: bool) {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    let mismatch = json!({"version": "4.22.0", "image": IMAGE_4_21_2, "force": force});
    let seen = patch_request(&cluster, &cvo, mismatch).await;
    assert_eq!(said(&seen, "ReleaseAccepted"), "ReleaseAccepted=False VerifyPayloadVersion");
    assert_eq!(history(&seen).len(), 2);
}

#[rstest]
#[case(Profile::V4_22, "Upgradeable=False ClusterVersionOverridesSet")]
#[case(Profile::Main, "Upgradeable=False ClusterVersionOverrides")]
#[tokio::test]
async fn later_releases_accept_a_patch_and_record_the_risk(#[case] profile: Profile, #[case] upgradeable: &str) {
    let (cluster, cvo) = under_overrides(profile).await;
    let minor = request(&cluster, &cvo, "4.22.0").await;
    assert_eq!(
        (said(&minor, "ReleaseAccepted"), said(&minor, "Upgradeable")),
        (BLOCKED.to_owned(), upgradeable.to_owned())
    );

    let patch = request(&cluster, &cvo, "4.21.2").await;
    assert_eq!(said(&patch, "ReleaseAccepted"), ACCEPTED);
    assert_eq!(history(&patch), ["Partial 4.21.2", "Completed 4.21.1", "Completed 4.21.0"]);
    assert_eq!(patch["status"]["desired"], fixtures::release("4.21.2"));
    let entry = &patch["status"]["history"][0];
    assert_eq!(entry["verified"], true);
    assert_eq!(entry["completionTime"], json!(null));
    assert_eq!(entry["acceptedRisks"], OVERRIDES_ITEM);
    cvo.complete().await;
    let seen = settled(&cluster, &cvo).await;
    assert_eq!(history(&seen), ["Completed 4.21.2", "Completed 4.21.1", "Completed 4.21.0"]);
    assert_eq!(seen["status"]["history"][0]["acceptedRisks"], entry["acceptedRisks"]);
}

#[tokio::test]
async fn an_update_without_failures_leaves_no_risk() {
    let (cluster, cvo) = start(fixtures::cluster(), Profile::V4_21, EVENTS_ONLY).await;
    let seen = request(&cluster, &cvo, "4.22.0").await;
    assert_eq!(history(&seen)[0], "Partial 4.22.0");
    assert_eq!(seen["status"]["history"][0]["acceptedRisks"], json!(null));
    assert_eq!(said(&seen, "Progressing"), "Progressing=True ");
}

#[tokio::test]
async fn an_update_completes_by_itself_if_complete_after_is_set() {
    let params = Params { complete_after: Some(Duration::from_millis(20)), ..EVENTS_ONLY };
    let (cluster, cvo) = start(fixtures::cluster(), Profile::V4_21, params).await;
    request(&cluster, &cvo, "4.21.2").await;
    let completed = |cv: &_| history(cv)[0] == "Completed 4.21.2" && said(cv, "Progressing") == "Progressing=False ";
    cluster.wait_for("the update to complete", completed).await;
}
