//! What the arguments mean, and what `oc adm upgrade` refuses.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::gate::testing::cluster_version_from;

const ONE: &str = "r.example/ocp@sha256:1111111111111111111111111111111111111111111111111111111111111111";
const TWO: &str = "r.example/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
const MIRROR: &str = "mirror.lan/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
const FIVE: &str = "r.example/ocp@sha256:5555555555555555555555555555555555555555555555555555555555555555";
const NINE: &str = "mirror.lan/ocp@sha256:9999999999999999999999999999999999999999999999999999999999999999";
const DIGEST_TWO: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";
const DIGEST_NINE: &str = "sha256:9999999999999999999999999999999999999999999999999999999999999999";

const NONE: Allowed = Allowed { explicit: false, not_recommended: false, warnings: false };
const ALL: Allowed = Allowed { explicit: true, not_recommended: true, warnings: true };

fn cluster(conditions: &Value, recommended: &Value) -> ClusterVersion {
    cluster_version_from(json!({
        "spec": {"desiredUpdate": {"version": "4.21.0", "image": "old", "force": true, "acceptRisks": [{"name": "A"}]}},
        "status": {
            "desired": {"version": "4.21.1", "image": ONE},
            "availableUpdates": [{"version": "4.21.2", "image": TWO}],
            "conditionalUpdates": [{"release": {"version": "4.21.5", "image": FIVE}, "conditions": recommended}],
            "conditions": conditions,
        },
    }))
}

fn not_recommended() -> Value {
    json!([{"type": "Recommended", "status": "False", "reason": "Bug", "message": "It breaks."}])
}

fn asked(to: Option<&str>, image: Option<&str>, allowed: Allowed) -> Result<(String, String, usize), String> {
    asked_on(&cluster(&json!([]), &not_recommended()), to, image, allowed)
}

fn asked_on(
    cluster: &ClusterVersion,
    to: Option<&str>,
    image: Option<&str>,
    allowed: Allowed,
) -> Result<(String, String, usize), String> {
    let named = named(to, image).map_err(|refusal| format!("usage: {refusal}"))?;
    let request = request(cluster, &named, allowed).map_err(|refusal| refusal.to_string())?;
    let text = |field: &str| request.value[field].as_str().unwrap().to_owned();
    Ok((text("version"), text("image"), request.warnings.len()))
}

#[rstest]
#[case::available(Some("4.21.2"), None, NONE, "4.21.2", TWO, 0)]
#[case::available_by_image(None, Some(TWO), NONE, "4.21.2", TWO, 0)]
#[case::a_mirrors_name_stays(None, Some(MIRROR), NONE, "4.21.2", MIRROR, 0)]
#[case::both(Some("4.21.2"), Some(MIRROR), NONE, "4.21.2", MIRROR, 0)]
#[case::version_and_digest(
    Some("4.21.2@sha256:2222222222222222222222222222222222222222222222222222222222222222"),
    None,
    NONE,
    "4.21.2",
    TWO,
    0
)]
#[case::conditional(Some("4.21.5"), None, ALL, "4.21.5", FIVE, 1)]
#[case::conditional_by_a_mirrors_name(
    None,
    Some("mirror.lan/ocp@sha256:5555555555555555555555555555555555555555555555555555555555555555"),
    ALL,
    "4.21.5",
    FIVE,
    1
)]
#[case::explicit_image(None, Some(NINE), ALL, "", NINE, 1)]
#[case::explicit_image_with_its_version(Some("4.21.9"), Some(NINE), ALL, "4.21.9", NINE, 1)]
#[case::what_runs_already(Some("4.21.1"), None, NONE, "4.21.1", ONE, 0)]
fn what_is_asked_for(
    #[case] to: Option<&str>,
    #[case] image: Option<&str>,
    #[case] allowed: Allowed,
    #[case] version: &str,
    #[case] pull_spec: &str,
    #[case] warnings: usize,
) {
    assert_eq!(asked(to, image, allowed), Ok((version.to_owned(), pull_spec.to_owned(), warnings)));
}

#[test]
fn the_whole_request_is_written_without_a_force_and_with_the_risks_that_were_accepted() {
    let named = named(Some("4.21.2"), None).unwrap();
    let request = request(&cluster(&json!([]), &json!([])), &named, NONE).unwrap();
    let expected =
        json!({"architecture": "", "version": "4.21.2", "image": TWO, "force": false, "acceptRisks": [{"name": "A"}]});
    assert_eq!(request.value, expected);
}

#[rstest]
#[case::not_offered(Some("4.21.7"), None, ALL, "4.21.7 is not among the updates that the cluster offers")]
#[case::conditional(
    Some("4.21.5"),
    None,
    NONE,
    "4.21.5 is not recommended for this cluster: Recommended=False: Bug: It breaks."
)]
#[case::explicit(None, Some(NINE), NONE, "Use --allow-explicit-upgrade")]
#[case::another_digest_of_a_version(
    Some("4.21.2@sha256:9999999999999999999999999999999999999999999999999999999999999999"),
    None,
    ALL,
    "--to 4.21.2 --to-image REPOSITORY@sha256:9999999999999999999999999999999999999999999999999999999999999999 \
     --allow-explicit-upgrade"
)]
#[case::a_tag(
    None,
    Some("r.example/ocp:4.21.2"),
    ALL,
    "usage: --to-image r.example/ocp:4.21.2: expected an image by digest"
)]
#[case::an_image_without_a_repository(
    None,
    Some("ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222"),
    ALL,
    "usage: --to-image"
)]
#[case::a_short_digest(None, Some("r.example/ocp@sha256:22"), ALL, "usage: --to-image")]
#[case::no_version(Some("latest"), None, ALL, "usage: --to latest: expected a version")]
#[case::an_empty_version(
    Some("@sha256:2222222222222222222222222222222222222222222222222222222222222222"),
    None,
    ALL,
    "usage: --to : expected a version"
)]
#[case::not_a_digest(Some("4.21.2@latest"), None, ALL, "usage: --to 4.21.2@…: expected sha256:")]
#[case::two_digests(
    Some("4.21.2@sha256:9999999999999999999999999999999999999999999999999999999999999999"),
    Some(TWO),
    ALL,
    "usage: --to and --to-image name different digests"
)]
fn what_is_refused(
    #[case] to: Option<&str>,
    #[case] image: Option<&str>,
    #[case] allowed: Allowed,
    #[case] expected: &str,
) {
    let refusal = asked(to, image, allowed).unwrap_err();
    assert!(refusal.contains(expected), "{refusal}");
}

#[test]
fn a_conditional_update_that_is_not_evaluated_is_not_offered_as_for_oc() {
    for recommended in [json!([]), json!([{"type": "Recommended", "status": "True"}])] {
        let cluster = cluster(&json!([]), &recommended);
        let refusal = asked_on(&cluster, Some("4.21.5"), None, ALL).unwrap_err();
        assert!(refusal.contains("is not among the updates"), "{refusal}");
    }
}

#[test]
fn one_version_under_two_digests_has_to_be_named_by_its_image() {
    let mut cluster = cluster(&json!([]), &json!([]));
    let other = Release { version: "4.21.2".to_owned(), image: FIVE.to_owned(), ..Release::default() };
    cluster.status.as_mut().unwrap().available_updates.push(other);
    let refusal = asked_on(&cluster, Some("4.21.2"), None, ALL).unwrap_err();
    assert!(refusal.contains("Name one with --to-image"), "{refusal}");
    let pair = format!("4.21.2@{DIGEST_TWO}");
    assert_eq!(asked_on(&cluster, Some(&pair), None, NONE).unwrap().1, TWO);
    let another = format!("4.21.2@{DIGEST_NINE}");
    assert!(asked_on(&cluster, Some(&another), None, NONE).is_err());
}

#[rstest]
#[case("Invalid", "the ClusterVersion is invalid: Invalid=True: Why: text")]
#[case("Failing", "the cluster reports a failure: Failing=True: Why: text")]
#[case("Progressing", "the cluster is updating already: Progressing=True: Why: text")]
fn a_cluster_that_is_busy_or_broken_needs_a_flag(#[case] kind: &str, #[case] expected: &str) {
    let condition = |status: &str| json!([{"type": kind, "status": status, "reason": "Why", "message": "text"}]);
    let holds = cluster(&condition("True"), &json!([]));
    assert!(warnings(&holds, NONE).unwrap_err().to_string().starts_with(expected));
    assert_eq!(warnings(&holds, ALL), Ok(vec![expected.to_owned()]));
    for status in ["False", "Unknown"] {
        assert_eq!(warnings(&cluster(&condition(status), &json!([])), NONE), Ok(Vec::new()));
    }
}

#[rstest]
#[case::version_alone(json!({"version": "4.21.2"}), false)]
#[case::image_alone(json!({"image": MIRROR}), true)]
#[case::both(json!({"version": "4.21.2", "image": TWO}), true)]
#[case::another_digest(json!({"version": "4.21.2", "image": NINE}), false)]
#[case::an_architecture(json!({"version": "4.21.2", "architecture": "Multi"}), false)]
#[case::a_mode(json!({"version": "4.21.2", "mode": "Preflight"}), false)]
#[case::nothing(json!(null), false)]
#[case::empty(json!({"version": "", "image": ""}), false)]
fn what_counts_as_asked_for_already(#[case] desired_update: Value, #[case] expected: bool) {
    let named = named(Some("4.21.2"), None).unwrap();
    let request = request(&cluster(&json!([]), &json!([])), &named, NONE).unwrap();
    let asked = cluster_version_from(json!({"spec": {"desiredUpdate": desired_update}}));
    assert_eq!(request.is_asked(&asked), expected);
}
