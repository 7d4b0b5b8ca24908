//! How a request is resolved: a version through `availableUpdates` alone, an image as it is, a mode not at all.

use rstest::rstest;
use serde_json::{Value, json};

use super::{ACCEPTED, EVENTS_ONLY, PROFILES, history, patch_request, said, settled, start};
use crate::support::cvo::{self, Cvo, Profile};
use crate::support::{self, Loosen, fixtures};

const INVALID: &str = "Invalid=True InvalidClusterVersion";

/// The fixture with these available updates, and 4.21.5 as a conditional one that is recommended.
fn knowing(available: &[Value]) -> Value {
    let mut cluster = fixtures::cluster();
    let risk = json!({"name": "Risk", "message": "a risk", "url": "https://example.com",
        "matchingRules": [{"type": "Always"}]});
    let recommended = fixtures::condition("Recommended", "True", "AsExpected", "it is");
    cluster["status"]["availableUpdates"] = json!(available);
    cluster["status"]["conditionalUpdates"] =
        json!([{"release": fixtures::release("4.21.5"), "risks": [risk], "conditions": [recommended]}]);
    cluster
}

#[rstest]
#[case::only_conditional("4.21.5")]
#[case::nowhere("4.21.9")]
#[case::no_version("4.21")]
#[case::a_v_in_front("v4.21.2")]
#[case::empty("")]
#[tokio::test]
async fn a_version_that_is_not_available_is_invalid(#[case] version: &str) {
    for profile in PROFILES {
        let (cluster, cvo) = start(knowing(&[fixtures::release("4.21.2")]), profile, EVENTS_ONLY).await;
        let before = cluster.cluster_version().await;
        let seen = patch_request(&cluster, &cvo, json!({"version": version})).await;
        assert_eq!((said(&seen, "Invalid"), said(&seen, "ReleaseAccepted")), (INVALID.into(), ACCEPTED.into()));
        assert_eq!(seen["status"]["history"], before["status"]["history"]);
    }
}

#[tokio::test]
async fn two_available_releases_of_one_version_are_invalid_until_the_image_is_named() {
    let other = "registry.example.com/multi/release@sha256:\
        00000000000000000000000000000000000000000000000000000000000000aa";
    let two = [fixtures::release("4.21.2"), json!({"version": "4.21.2", "image": other})];
    let (cluster, cvo) = start(knowing(&two), Profile::V4_21, EVENTS_ONLY).await;
    let seen = patch_request(&cluster, &cvo, json!({"version": "4.21.2"})).await;
    assert_eq!((said(&seen, "Invalid"), said(&seen, "ReleaseAccepted")), (INVALID.into(), ACCEPTED.into()));
    let seen = patch_request(&cluster, &cvo, json!({"image": other})).await;
    assert_eq!((said(&seen, "Invalid"), &*history(&seen)[0]), (String::new(), "Partial 4.21.2"));
    assert_eq!(seen["status"]["desired"]["image"], other);
}

#[tokio::test]
async fn a_version_of_the_history_is_valid_and_silently_ignored() {
    for profile in PROFILES {
        let (cluster, cvo) = start(knowing(&[]), profile, EVENTS_ONLY).await;
        let before = cluster.cluster_version().await;
        for force in [false, true] {
            let seen = patch_request(&cluster, &cvo, json!({"version": "4.21.0", "force": force})).await;
            assert_eq!((said(&seen, "Invalid"), said(&seen, "ReleaseAccepted")), (String::new(), ACCEPTED.into()));
            assert_eq!(seen["status"], before["status"]);
        }
    }
}

#[tokio::test]
async fn an_available_release_counts_before_the_history() {
    let available = [fixtures::release("4.21.0")];
    let (cluster, cvo) = start(knowing(&available), Profile::V4_21, EVENTS_ONLY).await;
    let seen = patch_request(&cluster, &cvo, json!({"version": "4.21.0"})).await;
    assert_eq!(history(&seen)[0], "Partial 4.21.0");
}

#[tokio::test]
async fn an_image_is_taken_without_being_in_any_list() {
    let (cluster, cvo) = start(knowing(&[]), Profile::V4_21, EVENTS_ONLY).await;
    let seen = patch_request(&cluster, &cvo, json!({"image": fixtures::image("4.21.5")})).await;
    assert_eq!((said(&seen, "Invalid"), &*history(&seen)[0]), (String::new(), "Partial 4.21.5"));
}

#[rstest]
#[case(Profile::V4_21)]
#[case(Profile::V4_22)]
#[case(Profile::Main)]
#[tokio::test]
async fn a_request_with_mode_preflight_is_a_real_update(#[case] profile: Profile) {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster()).await;
    let newer =
        cluster.loosen("clusterversions", &[Loosen::Field("/properties/spec/properties/desiredUpdate", "mode")]).await;
    let cvo = Cvo::start(&cluster, profile, EVENTS_ONLY).await;
    let seen = patch_request(&cluster, &cvo, json!({"version": "4.21.2", "mode": "Preflight"})).await;
    assert_eq!(seen["spec"]["desiredUpdate"]["mode"], "Preflight");
    assert_eq!((said(&seen, "ReleaseAccepted"), &*history(&seen)[0]), (ACCEPTED.into(), "Partial 4.21.2"));
    cvo.complete().await;
    assert_eq!(history(&settled(&cluster, &cvo).await)[0], "Completed 4.21.2");
    newer.restore().await;
}
