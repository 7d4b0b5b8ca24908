//! Which release a request means, which are the same, and what a CVO does with a version alone.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::gate::testing::cluster_version_from;

const ONE: &str = "r@sha256:11";
const TWO: &str = "r@sha256:22";

fn cluster(status: &Value) -> ClusterVersion {
    ClusterVersion::from_value(json!({"status": status})).unwrap()
}

#[rstest]
#[case::version("4.21.1", "", "", true)]
#[case::image("", ONE, "", true)]
#[case::both("4.21.1", ONE, "", true)]
#[case::a_mirrors_name("4.21.1", "mirror.lan:5000/ocp@sha256:11", "", true)]
#[case::another_image("4.21.1", TWO, "", false)]
#[case::another_image_alone("", TWO, "", false)]
#[case::another_version("4.21.2", "", "", false)]
#[case::another_build("4.21.1+b", "", "", false)]
#[case::another_architecture("4.21.1", "", "Multi", false)]
#[case::its_image_with_an_architecture("4.21.1", ONE, "Multi", true)]
#[case::nothing("", "", "", false)]
fn the_current_release(#[case] version: &str, #[case] image: &str, #[case] architecture: &str, #[case] expected: bool) {
    let cluster_version = cluster(&json!({"desired": {"version": "4.21.1", "image": ONE}}));
    let release =
        Release { version: version.to_owned(), image: image.to_owned(), architecture: architecture.to_owned() };
    assert_eq!(is_current(&cluster_version, &release), expected);
}

#[test]
fn the_architecture_of_the_cluster_is_not_another_one() {
    let cluster_version = cluster(&json!({"desired": {"version": "4.21.1", "architecture": "Multi"}}));
    let release = Release { version: "4.21.1".to_owned(), architecture: "Multi".to_owned(), image: String::new() };
    assert!(is_current(&cluster_version, &release));
}

fn listed(version: &str, image: &str) -> Value {
    json!({"version": version, "image": image})
}

fn conditional(version: &str) -> Value {
    json!({"release": {"version": version, "image": "r@sha256:33"}})
}

#[rstest]
#[case::available(json!({"availableUpdates": [listed("4.21.2", TWO)]}), None)]
#[case::available_and_conditional(
    json!({"availableUpdates": [listed("4.21.2", TWO)], "conditionalUpdates": [conditional("4.21.2")]}), None)]
#[case::nowhere(json!({"availableUpdates": [listed("4.21.3", TWO)]}), Some(VersionAlone::Unknown))]
#[case::no_lists(json!({"availableUpdates": null}), Some(VersionAlone::Unknown))]
#[case::listed_without_an_image(json!({"availableUpdates": [listed("4.21.2", "")]}), Some(VersionAlone::Unknown))]
#[case::listed_with_and_without_an_image(json!({"availableUpdates": [listed("4.21.2", ""), listed("4.21.2", TWO)]}), None)]
#[case::conditional(json!({"conditionalUpdates": [conditional("4.21.2")]}), Some(VersionAlone::Conditional))]
#[case::several(
    json!({"availableUpdates": [listed("4.21.2", TWO), listed("4.21.2", "r@sha256:44")]}),
    Some(VersionAlone::Several(vec![TWO.to_owned(), "r@sha256:44".to_owned()])))]
#[case::twice_the_same(
    json!({"availableUpdates": [listed("4.21.2", TWO), listed("4.21.2", TWO)]}),
    Some(VersionAlone::Several(vec![TWO.to_owned(), TWO.to_owned()])))]
#[case::history(
    json!({"history": [{"state": "Completed", "version": "4.21.2", "image": TWO}]}),
    Some(VersionAlone::History(TWO.to_owned())))]
#[case::left_behind(
    json!({"history": [{"state": "Completed", "version": "4.21.3", "image": "a"},
                       {"state": "Partial", "version": "4.21.2", "image": TWO}]}),
    Some(VersionAlone::History(TWO.to_owned())))]
#[case::begun(json!({"history": [{"state": "Partial", "version": "4.21.2", "image": TWO}]}), None)]
fn a_version_alone_is_looked_up_in_available_updates(#[case] status: Value, #[case] expected: Option<VersionAlone>) {
    assert_eq!(version_alone(&cluster(&status), &Target::named("4.21.2")), expected);
}

#[test]
fn releases_of_another_architecture_are_counted_apart() {
    let multi = |image: &str| json!({"version": "4.21.2", "image": image, "architecture": "Multi"});
    let mut target = Target::named("4.21.2");
    target.architecture = "Multi".to_owned();
    let at = |version: &str, available: Value| {
        cluster(&json!({"desired": {"version": version}, "availableUpdates": available}))
    };
    let one = at("4.21.2", json!([multi("a"), listed("4.21.2", "b")]));
    assert_eq!(version_alone(&one, &target), None);
    let two = at("4.21.2", json!([multi("a"), multi("b")]));
    assert_eq!(version_alone(&two, &target), Some(VersionAlone::Several(vec!["a".to_owned(), "b".to_owned()])));
    let another_version = at("4.21.1", json!([multi("a")]));
    assert_eq!(version_alone(&another_version, &target), Some(VersionAlone::Architecture));
}

#[rstest]
#[case::no_request(json!(null), None)]
#[case::empty(json!({}), None)]
#[case::neither_version_nor_image(json!({"version": "", "image": null, "force": true, "mode": "Preflight"}), None)]
#[case::version(json!({"version": "4.21.2"}), Some("4.21.2"))]
#[case::preflight(json!({"version": "4.21.2", "mode": "Preflight"}), Some("4.21.2"))]
#[case::any_mode(json!({"version": "4.21.2", "mode": "Other"}), Some("4.21.2"))]
fn what_is_requested(#[case] request: Value, #[case] expected: Option<&str>) {
    let cluster_version = cluster_version_from(json!({"spec": {"desiredUpdate": request}}));
    assert_eq!(Target::requested(&cluster_version).map(|target| target.version).as_deref(), expected);
}

/// The digest `aa` is known as two versions, `bb` as one.
#[rstest]
#[case::version_only("4.21.3", "", "4.21.3", None)]
#[case::image_only("", "mirror@sha256:aa", "4.21.2", None)]
#[case::the_first_version("4.21.2", "mirror@sha256:aa", "4.21.2", None)]
#[case::the_other_version("4.21.2-x", "mirror@sha256:AA", "4.21.2-x", None)]
#[case::neither_version("4.21.3", "mirror@sha256:aa", "4.21.2", Some("4.21.2"))]
#[case::another_version("4.21.2", "mirror@sha256:bb", "4.22.0", Some("4.22.0"))]
#[case::an_unknown_image("4.21.3", "mirror@sha256:cc", "4.21.3", None)]
fn an_image_is_the_version_that_it_is_known_as(
    #[case] version: &str,
    #[case] image: &str,
    #[case] expected: &str,
    #[case] contradicts: Option<&str>,
) {
    let cluster_version = cluster_version_from(json!({"status": {
        "desired": {"version": "4.21.1", "image": "r@sha256:00"},
        "availableUpdates": [{"version": "", "image": "r@sha256:aa"}, {"version": "4.21.2", "image": "r@sha256:aa"}],
        "conditionalUpdates": [{"release": {"version": "4.22.0", "image": "r@sha256:bb"}}],
        "history": [{"state": "Completed", "version": "4.21.2-x", "image": "r@sha256:aa"}],
    }}));
    let target = Target { version: version.to_owned(), image: image.to_owned(), ..Target::named("") };
    let resolved = resolve(&cluster_version, &target);
    assert_eq!((resolved.release.version.as_str(), resolved.contradicts.as_deref()), (expected, contradicts));
}
