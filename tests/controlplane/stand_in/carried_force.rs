//! A force that stays in `spec` after its update: it applies to the next target that a merge patch requests.

use rstest::rstest;
use serde_json::{Value, json};

use super::{ACCEPTED, history, patch_request, said, settled, text, under_overrides};
use crate::support::cvo::{Cvo, Profile};
use crate::support::{Cluster, condition, fixtures};

/// A cluster at 4.21.2, with the force and the image of that update still in `spec`; it could pull 4.21.3.
async fn forced(profile: Profile) -> (Cluster, Cvo) {
    let (cluster, cvo) = under_overrides(profile).await;
    cvo.publish(&fixtures::image("4.21.3"), "4.21.3");
    patch_request(&cluster, &cvo, json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": true}))
        .await;
    cvo.complete().await;
    (cluster, cvo)
}

/// A merge patch that leaves the force where it is.
async fn carried(cluster: &Cluster, cvo: &Cvo, version: &str, image: &str) -> Value {
    patch_request(cluster, cvo, json!({"version": version, "image": image})).await
}

#[rstest]
#[case::minor("4.22.0")]
#[case::patch("4.21.3")]
#[case::older("4.21.0")]
#[case::major("5.0.0")]
#[tokio::test]
async fn a_carried_force_applies_to_another_target(#[case] target: &str) {
    for profile in [Profile::V4_21, Profile::V4_22, Profile::Main] {
        let (cluster, cvo) = forced(profile).await;
        let seen = carried(&cluster, &cvo, target, &fixtures::image(target)).await;
        assert_eq!(said(&seen, "ReleaseAccepted"), ACCEPTED, "{profile:?}");
        assert_eq!(history(&seen)[..2], [format!("Partial {target}"), "Completed 4.21.2".to_owned()], "{profile:?}");
        cvo.complete().await;
        let seen = settled(&cluster, &cvo).await;
        assert_eq!(history(&seen)[0], format!("Completed {target}"), "{profile:?}");
        assert_eq!(seen["status"]["history"][0]["verified"], true, "{profile:?}");
    }
}

#[tokio::test]
async fn a_carried_force_accepts_an_unverifiable_image_without_a_condition() {
    let (cluster, cvo) = forced(Profile::V4_21).await;
    cvo.set_verifiable(&fixtures::image("4.21.3"), false);
    let before = cluster.cluster_version().await;
    let seen = carried(&cluster, &cvo, "4.21.3", &fixtures::image("4.21.3")).await;
    assert_eq!(history(&seen)[0], "Partial 4.21.3");
    assert_eq!(said(&seen, "ReleaseAccepted"), ACCEPTED);
    cvo.complete().await;
    let seen = settled(&cluster, &cvo).await;
    assert_eq!(history(&seen)[0], "Completed 4.21.3");
    assert_eq!(seen["status"]["history"][0]["verified"], false);
    for type_ in ["Available", "Failing", "Progressing", "ReleaseAccepted"] {
        assert_eq!(said(&seen, type_), said(&before, type_));
        assert!(!text(&condition(&seen, type_)["message"]).contains("signature"), "{type_}");
    }
}

#[tokio::test]
async fn without_a_carried_force_the_same_image_is_not_retrieved() {
    let (cluster, cvo) = forced(Profile::V4_21).await;
    cvo.set_verifiable(&fixtures::image("4.21.3"), false);
    patch_request(&cluster, &cvo, json!({"force": null})).await;
    let seen = carried(&cluster, &cvo, "4.21.3", &fixtures::image("4.21.3")).await;
    assert_eq!(said(&seen, "ReleaseAccepted"), "ReleaseAccepted=False RetrievePayload");
    assert_eq!(history(&seen)[0], "Completed 4.21.2");
}

#[tokio::test]
async fn a_carried_force_does_not_accept_a_version_that_differs_from_the_payload() {
    let (cluster, cvo) = forced(Profile::V4_21).await;
    let seen = carried(&cluster, &cvo, "4.22.0", &fixtures::image("4.21.3")).await;
    assert_eq!(said(&seen, "ReleaseAccepted"), "ReleaseAccepted=False VerifyPayloadVersion");
    assert_eq!(history(&seen)[0], "Completed 4.21.2");
}
