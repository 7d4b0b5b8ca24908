//! Which requests are forced, and why the others are not.

use std::time::Duration;

use json_patch::{AddOperation, Patch, PatchOperation};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    gate::{Snapshot, UpdateType, testing::requested},
    plan::{
        bridge::{skip_reason::SkipReason, testing::CONFIRMED},
        patch::pointer,
        record_wait::RecordWait,
        role::CvoLease,
    },
};

fn decide(snapshot: &Snapshot, checks: ClusterChecks) -> Result<ForcePatch, SkipReason> {
    candidate(snapshot).and_then(|candidate| confirm(candidate, &checks))
}

const TWO: &str = "r.example.com/release@sha256:2222222222222222222222222222222222222222222222222222222222222222";
const MIRROR: &str = "mirror.lan/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
const THREE: &str = "r.example.com/release@sha256:3333333333333333333333333333333333333333333333333333333333333333";
const OVERRIDES: &str =
    "Precondition \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\": text";

fn message(version: &str, image: &str, items: &[&str]) -> String {
    let head = format!("Preconditions failed for payload loaded version=\"{version}\" image=\"{image}\": ");
    match items {
        [one] => format!("{head}{one}"),
        several => format!("{head}Multiple precondition checks failed:\n* {}", several.join("\n* ")),
    }
}

/// A cluster on which a stock CVO of 4.21 refuses 4.21.2 for overrides alone.
fn refused() -> Value {
    json!({
        "metadata": {"resourceVersion": "7", "uid": "u", "generation": 3},
        "spec": {
            "channel": "stable-4.21",
            "desiredUpdate": {"version": "4.21.2", "image": TWO, "force": false, "architecture": ""},
            "overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}],
        },
        "status": {
            "desired": {"version": "4.21.1", "image": "one"},
            "history": [{"state": "Completed", "version": "4.21.1", "image": "one"}],
            "availableUpdates": [{"version": "4.21.2", "image": TWO}],
            "conditions": [
                {"type": "Upgradeable", "status": "False", "reason": "ClusterVersionOverridesSet"},
                {"type": "ReleaseAccepted", "status": "False", "reason": "PreconditionChecks",
                 "message": message("4.21.2", TWO, &[OVERRIDES])},
            ],
        },
    })
}

/// What is decided after `changes`, each a JSON pointer and a value; `None` when it is forced.
fn skip_reason(changes: &[(&str, Value)]) -> Option<SkipReason> {
    let mut object = refused();
    for (path, value) in changes {
        let patch = Patch(vec![PatchOperation::Add(AddOperation { path: pointer(path), value: value.clone() })]);
        json_patch::patch(&mut object, &patch).unwrap();
    }
    decide(&requested(&object), CONFIRMED).err()
}

const REQUEST: &str = "/spec/desiredUpdate";
const ACCEPTED: &str = "/status/conditions/1";

fn refusing(version: &str, image: &str, items: &[&str]) -> (&'static str, Value) {
    ("/status/conditions/1/message", json!(message(version, image, items)))
}

/// The cluster was at 4.21.0 before.
fn before() -> (&'static str, Value) {
    let entry = |version: &str, image: &str| json!({"state": "Completed", "version": version, "image": image});
    ("/status/history", json!([entry("4.21.1", "one"), entry("4.21.0", THREE), entry("4.20.9", "nine")]))
}

/// The same, and the update from there hasn't completed.
fn unfinished() -> (&'static str, Value) {
    let (path, mut history) = before();
    history[0]["state"] = json!("Partial");
    (path, history)
}

fn item(name: &str, reason: &str) -> String {
    format!("Precondition \"{name}\" failed because of \"{reason}\": text")
}

#[rstest]
#[case::version_and_image(&[])]
#[case::version_only(&[(REQUEST, json!({"version": "4.21.2"}))])]
#[case::image_only(&[(REQUEST, json!({"image": TWO}))])]
#[case::image_only_without_an_update_graph(&[(REQUEST, json!({"image": TWO})), ("/status/availableUpdates", json!(null))])]
#[case::a_mirrors_name(&[(REQUEST, json!({"image": MIRROR})), refusing("4.21.2", MIRROR, &[OVERRIDES])])]
#[case::another_name_of_the_digest(&[(REQUEST, json!({"image": MIRROR}))])]
#[case::not_recommended_as_well(&[refusing("4.21.2", TWO, &[OVERRIDES, &item("ClusterVersionRecommendedUpdate", "SomeIssue")])])]
#[case::accepted_risks(&[(REQUEST, json!({"version": "4.21.2", "acceptRisks": [{"name": "A"}]}))])]
#[case::a_prerelease(&[(REQUEST, json!({"version": "4.21.2-rc.1"})), refusing("4.21.2-rc.1", THREE, &[OVERRIDES])])]
#[case::a_rollback_to_the_previous_version(&[before(), (REQUEST, json!({"version": "4.21.0"})), refusing("4.21.0", THREE, &[OVERRIDES])])]
#[case::a_rollback_by_image(&[before(), (REQUEST, json!({"image": THREE})), refusing("4.21.0", THREE, &[OVERRIDES])])]
#[case::a_rollback_of_an_update_that_did_not_complete(&[unfinished(), (REQUEST, json!({"version": "4.21.0"})), refusing("4.21.0", THREE, &[OVERRIDES])])]
#[case::nulls(&[(REQUEST, json!({"version": "4.21.2", "image": null, "force": null, "new": null, "newer": ""}))])]
fn a_patch_refused_for_overrides_alone_is_forced(#[case] changes: &[(&str, Value)]) {
    assert_eq!(skip_reason(changes), None);
}

#[rstest]
#[case::nothing_asked(&[(REQUEST, json!(null))], SkipReason::NoRequest)]
#[case::empty(&[(REQUEST, json!({"version": "", "image": ""}))], SkipReason::NoRequest)]
#[case::forced_by_somebody(&[("/spec/desiredUpdate/force", json!(true))], SkipReason::Forced)]
#[case::architecture(&[(REQUEST, json!({"version": "4.21.2", "architecture": "Multi"}))], SkipReason::Architecture)]
#[case::preflight(&[("/spec/desiredUpdate/mode", json!("Preflight"))], SkipReason::UnknownFields)]
#[case::unknown_field(&[("/spec/desiredUpdate/later", json!(true))], SkipReason::UnknownFields)]
#[case::invalid(&[("/status/conditions/0", json!({"type": "Invalid", "status": "True"}))], SkipReason::Invalid)]
#[case::accepted(&[(ACCEPTED, json!({"type": "ReleaseAccepted", "status": "True", "reason": "PayloadLoaded"}))], SkipReason::NotRefused)]
#[case::undecided(&[("/status/conditions/1/status", json!("Unknown"))], SkipReason::NotRefused)]
#[case::unverifiable(&[("/status/conditions/1/reason", json!("RetrievePayload"))], SkipReason::NotRefused)]
#[case::no_condition(&[("/status/conditions", json!([]))], SkipReason::NotRefused)]
#[case::unreadable(&[("/status/conditions/1/message", json!("no"))], SkipReason::MessageUnreadable)]
#[case::previous_version(&[refusing("4.21.3", TWO, &[OVERRIDES])], SkipReason::MessageOfAnother)]
#[case::previous_image(&[refusing("4.21.2", THREE, &[OVERRIDES])], SkipReason::MessageOfAnother)]
#[case::a_tag_in_the_message(&[(REQUEST, json!({"version": "4.21.2"})), refusing("4.21.2", "r:tag", &[OVERRIDES])], SkipReason::MessageOfAnother)]
#[case::a_tag_in_both(&[(REQUEST, json!({"image": "r:tag"})), refusing("4.21.2", "r:tag", &[OVERRIDES])], SkipReason::MessageOfAnother)]
#[case::upper_case(&[(REQUEST, json!({"image": TWO.replace("sha256:2", "sha256:A")})), refusing("4.21.2", &TWO.replace("sha256:2", "sha256:A"), &[OVERRIDES])], SkipReason::MessageOfAnother)]
#[case::short_digest(&[(REQUEST, json!({"version": "4.21.2"})), refusing("4.21.2", "r@sha256:22", &[OVERRIDES])], SkipReason::MessageOfAnother)]
#[case::no_name_before_the_digest(&[(REQUEST, json!({"version": "4.21.2"})), refusing("4.21.2", &TWO[TWO.find('@').unwrap()..], &[OVERRIDES])], SkipReason::MessageOfAnother)]
#[case::no_reference(&[(REQUEST, json!({"version": "4.21.2"})), refusing("4.21.2", &format!(": of `a` {TWO}"), &[OVERRIDES])], SkipReason::MessageOfAnother)]
#[case::another_blocks_too(&[refusing("4.21.2", TWO, &[OVERRIDES, &item("ClusterVersionRollback", "LowDesiredVersion")])], SkipReason::OtherPrecondition)]
#[case::another_reason(&[refusing("4.21.2", TWO, &[&item("ClusterVersionUpgradeable", "MultipleReasons")])], SkipReason::OtherPrecondition)]
#[case::recommendation_alone(&[refusing("4.21.2", TWO, &[&item("ClusterVersionRecommendedUpdate", "SomeIssue")])], SkipReason::OtherPrecondition)]
#[case::overrides_gone(&[("/spec/overrides", json!([]))], SkipReason::NoOverrides)]
#[case::known_as_another_patch(&[("/status/availableUpdates", json!([{"version": "4.21.9", "image": MIRROR}]))], SkipReason::Blocked)]
#[case::unfinished_minor(&[("/status/history", json!([{"state": "Partial", "version": "4.21.1"}, {"state": "Completed", "version": "4.20.9"}]))], SkipReason::Unfinished)]
#[case::never_finished(&[("/status/history", json!([{"state": "Partial", "version": "4.21.1"}]))], SkipReason::Unfinished)]
fn each_condition_holds_the_force_back(#[case] changes: &[(&str, Value)], #[case] expected: SkipReason) {
    assert_eq!(skip_reason(changes), Some(expected));
}

#[rstest]
#[case::minor_for_several_reasons(&[(REQUEST, json!({"version": "4.22.0"})), refusing("4.22.0", THREE, &[&item("ClusterVersionUpgradeable", "MultipleReasons")])], "This is a minor update, and")]
#[case::minor(&[(REQUEST, json!({"version": "4.22.0"})), refusing("4.22.0", THREE, &[OVERRIDES])], "This is a minor update, and")]
#[case::minor_by_image(&[(REQUEST, json!({"image": THREE})), refusing("4.22.0", THREE, &[OVERRIDES])], "This is a minor update, and")]
#[case::major(&[(REQUEST, json!({"version": "5.0.0"})), refusing("5.0.0", THREE, &[OVERRIDES])], "This is a major update, and")]
#[case::older(&[(REQUEST, json!({"version": "4.21.0"})), refusing("4.21.0", THREE, &[OVERRIDES])], "The release is older than the current one.")]
#[case::same(&[(REQUEST, json!({"version": "4.21.1"})), refusing("4.21.1", THREE, &[OVERRIDES])], "The release has the version that the cluster runs already.")]
#[case::not_semver(&[(REQUEST, json!({"version": "4.2"})), refusing("4.2", THREE, &[OVERRIDES])], "The current or the requested version is not a semantic version,")]
#[case::current_not_semver(&[("/status/desired/version", json!("latest"))], "The current or the requested version is not a semantic version,")]
#[case::known_as_a_minor(&[("/status/availableUpdates", json!([{"version": "4.22.0", "image": MIRROR}]))], "This is a minor update, and")]
#[case::not_the_previous_version(&[before(), ("/status/availableUpdates", json!(null)), (REQUEST, json!({"version": "4.20.9"})), refusing("4.20.9", TWO, &[OVERRIDES])], "The release is older than the current one.")]
#[case::the_version_before_the_previous_one(&[before(), ("/status/availableUpdates", json!(null)), (REQUEST, json!({"version": "4.21.0-rc.1"})), refusing("4.21.0-rc.1", TWO, &[OVERRIDES])], "The release is older than the current one.")]
fn what_is_neither_patch_nor_rollback_is_called_what_it_is(#[case] changes: &[(&str, Value)], #[case] expected: &str) {
    let Some(skip_reason @ SkipReason::NotPatch(why)) = skip_reason(changes) else { panic!("{changes:?}") };
    assert!(why.starts_with(expected), "{why}");
    assert_eq!((skip_reason.as_str(), skip_reason.message()), ("NotPatch", why));
}

#[test]
fn a_rollback_is_judged_and_recorded_as_one() {
    let mut object = refused();
    object["status"]["history"] = before().1;
    object["spec"]["desiredUpdate"] = json!({"version": "4.21.0"});
    object["status"]["conditions"][1]["message"] = json!(message("4.21.0", THREE, &[OVERRIDES]));
    assert_eq!(decide(&requested(&object), CONFIRMED).unwrap().target_verdict.update_type, UpdateType::Rollback);
}

#[rstest]
#[case::everything(CONFIRMED, None)]
#[case::no_policy(ClusterChecks { policy_installed: false, ..CONFIRMED }, Some(SkipReason::NoPolicy))]
#[case::no_policy_comes_first(
    ClusterChecks { policy_installed: false, cvo: CvoLease::Stale, ..CONFIRMED }, Some(SkipReason::NoPolicy))]
#[case::a_cvo_that_stopped(ClusterChecks { cvo: CvoLease::Stale, ..CONFIRMED }, Some(SkipReason::NoCvo))]
#[case::no_cvo(ClusterChecks { cvo: CvoLease::Absent, ..CONFIRMED }, Some(SkipReason::NoCvo))]
#[case::a_lease_that_cannot_be_read(ClusterChecks { cvo: CvoLease::Unknown, ..CONFIRMED }, Some(SkipReason::NoCvo))]
#[case::a_record_that_is_written_next(ClusterChecks { record: RecordWait::Writable, ..CONFIRMED }, None)]
#[case::a_record_that_fails(ClusterChecks { record: RecordWait::Failing, ..CONFIRMED }, Some(SkipReason::NoRecords))]
#[case::a_record_that_failed_for_a_minute(
    ClusterChecks { record: RecordWait::Failing, record_missing_for: Duration::from_mins(1), ..CONFIRMED }, None)]
#[case::unreadable_records(
    ClusterChecks { record: RecordWait::Unreadable, record_missing_for: Duration::from_secs(59), ..CONFIRMED },
    Some(SkipReason::NoRecords))]
fn the_cluster_confirms_a_candidate(#[case] checks: ClusterChecks, #[case] expected: Option<SkipReason>) {
    assert_eq!(decide(&requested(&refused()), checks).err(), expected);
}

#[test]
fn the_patch_sets_force_and_pins_the_image_of_the_request_as_it_was_read() {
    let mut object = refused();
    object["spec"]["desiredUpdate"] = json!({"version": "4.21.2"});
    let patch = decide(&requested(&object), CONFIRMED).unwrap().patch();
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch).unwrap();
    assert_eq!(patched["spec"]["desiredUpdate"], json!({"version": "4.21.2", "image": TWO, "force": true}));
    for (field, value) in [("version", json!("4.22.0")), ("image", json!(THREE)), ("force", json!(true))] {
        let mut changed = object.clone();
        changed["spec"]["desiredUpdate"][field] = value;
        assert!(json_patch::patch(&mut changed, &patch).is_err(), "a changed {field} fails the patch");
    }
}
