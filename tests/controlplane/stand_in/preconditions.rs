//! The preconditions: what each blocks and what it only warns of.

use rstest::rstest;
use serde_json::{Value, json};

use super::{ACCEPTED, EVENTS_ONLY, message, patch_request, said, start, text};
use crate::support::cvo::Profile::{self, Main, V4_21, V4_22};
use crate::support::fixtures;

/// A cluster at `current` that came from `before`.
fn cluster(current: &str, before: &str, overrides: bool) -> Value {
    let mut cluster = fixtures::cluster();
    cluster["spec"]["overrides"] = if overrides { json!([fixtures::policy_override()]) } else { json!([]) };
    cluster["status"]["desired"] = fixtures::release(current);
    cluster["status"]["history"] = json!([fixtures::completed(current), fixtures::completed(before)]);
    cluster["status"]["availableUpdates"] = json!(null);
    cluster
}

/// The reasons in the message, `ClusterVersionRecommendedUpdate`'s left out.
fn reasons(message: &str) -> Vec<&str> {
    let items = message.split("Precondition \"").skip(1);
    let items = items.filter(|item| !item.starts_with("ClusterVersionRecommendedUpdate"));
    items.map(|item| item.split('"').nth(2).unwrap()).collect()
}

#[rstest]
#[case::patch(V4_21, "4.21.1", "4.21.0", false, "4.21.2", true, &[])]
#[case::rollback_to_the_previous(V4_21, "4.21.1", "4.21.0", false, "4.21.0", true, &[])]
#[case::rollback_to_another(V4_21, "4.21.2", "4.21.1", false, "4.21.0", false, &["LowDesiredVersion"])]
#[case::rollback_across_minors(V4_21, "4.21.1", "4.20.9", false, "4.20.9", false, &["LowDesiredVersion"])]
#[case::to_a_candidate_of_itself(V4_21, "4.21.1", "4.21.0", false, "4.21.1-rc.1", false, &["LowDesiredVersion"])]
#[case::major_on_4_21(V4_21, "4.21.1", "4.21.0", false, "5.0.0", false, &["MajorVersionUpdate"])]
#[case::major_on_4_22(V4_22, "4.22.1", "4.22.0", false, "5.0.0", true, &[])]
#[case::major_on_main(Main, "4.22.1", "4.22.0", false, "5.0.0", true, &[])]
#[case::major_and_a_minor(Main, "4.22.1", "4.22.0", false, "5.1.0", false, &["MajorVersionUpdate"])]
#[case::two_minors(Main, "4.21.1", "4.21.0", false, "4.23.0", false, &["MultipleMinorVersionsUpdate"])]
#[case::two_minors_under_overrides(
    V4_21, "4.21.1", "4.21.0", true, "4.23.0", false,
    &["MultipleMinorVersionsUpdate", "ClusterVersionOverridesSet"]
)]
#[case::rollback_under_overrides(V4_21, "4.21.1", "4.21.0", true, "4.21.0", false, &["ClusterVersionOverridesSet"])]
#[case::rollback_under_overrides_later(V4_22, "4.21.1", "4.21.0", true, "4.21.0", true, &["ClusterVersionOverridesSet"])]
#[case::patch_under_overrides_on_main(Main, "4.21.1", "4.21.0", true, "4.21.2", true, &["ClusterVersionOverridesSet"])]
#[case::minor_under_overrides_on_main(Main, "4.21.1", "4.21.0", true, "4.22.0", false, &["ClusterVersionOverrides"])]
#[case::current_is_not_semver(
    V4_21, "4.21", "4.20", true, "4.22.0", true,
    &["InvalidCurrentVersion", "InvalidCurrentVersion", "InvalidCurrentVersion"]
)]
#[case::target_is_not_semver(
    V4_21, "4.21.1", "4.21.0", true, "4.22", false,
    &["InvalidDesiredVersion", "InvalidDesiredVersion", "InvalidDesiredVersion"]
)]
#[tokio::test]
async fn by_versions(
    #[case] profile: Profile,
    #[case] current: &str,
    #[case] before: &str,
    #[case] overrides: bool,
    #[case] target: &str,
    #[case] accepted: bool,
    #[case] expected: &[&str],
) {
    let (cluster, cvo) = start(cluster(current, before, overrides), profile, EVENTS_ONLY).await;
    cvo.publish(&fixtures::image(target), target);
    let seen = patch_request(&cluster, &cvo, json!({"image": fixtures::image(target)})).await;
    assert_eq!(said(&seen, "ReleaseAccepted") == ACCEPTED, accepted, "{}", message(&seen));
    let reported = if accepted { text(&seen["status"]["history"][0]["acceptedRisks"]) } else { message(&seen) };
    assert_eq!(reasons(reported), expected, "{reported}");
}

#[rstest]
#[case::available(json!({"availableUpdates": [fixtures::release("4.21.2")]}), "stable-4.21", "")]
#[case::unknown(json!({}), "stable-4.21", "UnknownUpdate")]
#[case::no_channel(json!({}), "", "NoChannel")]
#[case::recommended(json!({"conditionalUpdates": [conditional(&json!([recommended("True", "Ok")]))]}), "stable-4.21", "")]
#[case::not_recommended(
    json!({"conditionalUpdates": [conditional(&json!([recommended("False", "TooRisky")]))]}),
    "stable-4.21",
    "TooRisky"
)]
#[case::nobody_knows(json!({"conditionalUpdates": [conditional(&json!([]))]}), "stable-4.21", "UnknownConditionType")]
#[tokio::test]
async fn a_target_that_is_not_recommended_is_a_warning(
    #[case] status: Value,
    #[case] channel: &str,
    #[case] expected: &str,
) {
    let mut before = cluster("4.21.1", "4.21.0", false);
    before["spec"]["channel"] = json!(channel);
    status.as_object().unwrap().iter().for_each(|(field, value)| before["status"][field] = value.clone());
    let (cluster, cvo) = start(before, V4_21, EVENTS_ONLY).await;
    cvo.publish(&fixtures::image("4.21.2"), "4.21.2");
    let seen = patch_request(&cluster, &cvo, json!({"image": fixtures::image("4.21.2")})).await;
    assert_eq!(said(&seen, "ReleaseAccepted"), ACCEPTED, "{}", message(&seen));
    let risks = text(&seen["status"]["history"][0]["acceptedRisks"]);
    let reason = risks.strip_prefix("Precondition \"ClusterVersionRecommendedUpdate\" failed because of \"");
    assert_eq!(reason.map_or(risks, |reason| reason.split('"').next().unwrap()), expected);
}

fn recommended(status: &str, reason: &str) -> Value {
    fixtures::condition("Recommended", status, reason, "so it is")
}

fn conditional(conditions: &Value) -> Value {
    let risk = json!({"name": "Risk", "message": "a risk", "url": "https://example.com", "matchingRules": [{"type": "Always"}]});
    json!({"release": fixtures::release("4.21.2"), "risks": [risk], "conditions": conditions})
}

#[rstest]
#[case::minor("4.20.9", "4.21.1", "4.21.2", &["MinorVersionClusterUpdateInProgress"])]
#[case::major("4.22.9", "5.0.1", "5.0.2", &["MajorVersionClusterUpdateInProgress"])]
#[case::patch("4.21.0", "4.21.1", "4.21.2", &[])]
#[tokio::test]
async fn a_patch_during_an_unfinished_minor_is_a_warning(
    #[case] from: &str,
    #[case] current: &str,
    #[case] target: &str,
    #[case] expected: &[&str],
) {
    let mut before = cluster(current, from, false);
    before["status"]["history"][0]["state"] = json!("Partial");
    before["status"]["conditions"][2]["status"] = json!("True");
    let (cluster, cvo) = start(before, V4_21, EVENTS_ONLY).await;
    cvo.publish(&fixtures::image(target), target);
    let seen = patch_request(&cluster, &cvo, json!({"image": fixtures::image(target)})).await;
    assert_eq!(said(&seen, "ReleaseAccepted"), ACCEPTED);
    assert_eq!(reasons(text(&seen["status"]["history"][0]["acceptedRisks"])), expected);
}
