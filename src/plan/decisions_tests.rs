//! What is reported of a CVO's decisions: which, as what, and how often.

use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    api::UpdateRecord,
    gate::{
        Source, evaluate,
        testing::{self, TWO, requested},
    },
    plan::{
        bridge::{self, ClusterChecks, skip_reason::SkipReason, testing::CONFIRMED},
        decisions::{CvoDecision, Reported, Subject, of_cvo},
        newest_entry::EntryStart,
    },
};

const MINOR: &str = "r.example.com/release@sha256:3333333333333333333333333333333333333333333333333333333333333333";
const OVERRIDES: &str =
    "Precondition \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\": text";
const SEVERAL: &str = "Precondition \"ClusterVersionUpgradeable\" failed because of \"MultipleReasons\": text";

fn skip_reason(reason: &str, head: &str, version: &str, image: &str, rest: &str) -> Value {
    json!({"type": "ReleaseAccepted", "status": "False", "reason": reason,
           "message": format!("{head} version=\"{version}\" image=\"{image}\"{rest}")})
}

fn preconditions(version: &str, image: &str, item: &str) -> Value {
    skip_reason("PreconditionChecks", "Preconditions failed for payload loaded", version, image, &format!(": {item}"))
}

fn invalid() -> Value {
    json!({"type": "Invalid", "status": "True", "reason": "InvalidClusterVersion",
           "message": "spec.desiredUpdate.version: Invalid value: \"4.21.9\": when image is empty the update must be available"})
}

fn asked(request: &Value, condition: &Value) -> Value {
    testing::asked(request, &json!([condition]))
}

/// What is decided there, with the admission policy installed or not.
fn decided_with(object: &Value, policy: bool, records: &[UpdateRecord], start: EntryStart) -> Vec<CvoDecision> {
    let snapshot = requested(object);
    let force = {
        let checks = ClusterChecks { policy_installed: policy, ..CONFIRMED };
        bridge::candidate(&snapshot).and_then(|candidate| bridge::confirm(candidate, &checks))
    };
    of_cvo(&snapshot, &evaluate(&snapshot), Some(&force), &Source::Read(records.to_vec()), start)
}

/// Each event as its reason and its note, and what is counted.
fn reported(decided: &[CvoDecision]) -> Vec<(String, Vec<String>)> {
    let event = |decided: &CvoDecision| {
        let notes = decided.events.iter().map(|event| format!("{:?}: {}", event.reason, event.note));
        (format!("{} {}", decided.update_type.as_str(), decided.decision.as_str()), notes.collect())
    };
    decided.iter().map(event).collect()
}

#[rstest]
#[case::a_minor(json!({"version": "4.22.0", "image": MINOR}), preconditions("4.22.0", MINOR, OVERRIDES), "minor blocked",
    "UpdateBlocked: Update from 4.21.1 to 4.22.0 (minor) is blocked: ClusterVersionOverrides: ")]
#[case::a_minor_by_its_image(json!({"image": MINOR}), preconditions("4.22.0", MINOR, SEVERAL), "minor blocked",
    "UpdateBlocked: Update from 4.21.1 to 4.22.0 (minor) is blocked: ClusterVersionOverrides: ")]
#[case::a_major_by_its_image(json!({"image": MINOR}), preconditions("5.0.0", MINOR, SEVERAL), "major blocked",
    "UpdateBlocked: Update from 4.21.1 to 5.0.0 (major) is blocked: ")]
#[case::a_patch_for_another_reason(json!({"version": "4.21.2", "image": TWO}), preconditions("4.21.2", TWO, SEVERAL), "patch blocked",
    "UpdateBlocked: Update from 4.21.1 to 4.21.2 (patch) is blocked: PreconditionChecks: ")]
#[case::not_verified(json!({"version": "4.21.2", "image": TWO}),
    skip_reason("RetrievePayload", "Retrieving payload failed", "4.21.2", TWO, " failure=no signature"), "patch blocked",
    "UpdateBlocked: Update from 4.21.1 to 4.21.2 (patch) is blocked: RetrievePayload: ")]
#[case::invalid_in_other_words(json!({"version": "4.21.9"}),
    json!({"type": "Invalid", "status": "True", "reason": "InvalidClusterVersion", "message": "spec.desiredUpdate: no"}), "patch blocked",
    "UpdateBlocked: Update from 4.21.1 to 4.21.9 (patch) is blocked: InvalidClusterVersion: ")]
#[case::invalid(json!({"version": "4.21.9"}), invalid(), "patch blocked",
    "UpdateBlocked: Update from 4.21.1 to 4.21.9 (patch) is blocked: InvalidClusterVersion: ")]
fn what_a_cvo_refuses_is_blocked(
    #[case] request: Value,
    #[case] condition: Value,
    #[case] counted: &str,
    #[case] note: &str,
) {
    let decided = reported(&decided_with(&asked(&request, &condition), true, &[], EntryStart::default()));
    let [(kind, notes)] = &decided[..] else { panic!("{decided:?}") };
    assert_eq!(kind, counted);
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with(note), "{notes:?}");
}

#[rstest]
#[case::nothing_is_asked_for(json!(null), json!({"type": "ReleaseAccepted", "status": "True", "reason": "PayloadLoaded"}))]
#[case::what_runs(json!({"version": "4.21.1"}), json!({"type": "ReleaseAccepted", "status": "True", "reason": "PayloadLoaded"}))]
#[case::the_bridge_lets_it_through(json!({"version": "4.21.2", "image": TWO}), preconditions("4.21.2", TWO, OVERRIDES))]
#[case::somebody_has_forced_it(json!({"version": "4.21.2", "image": TWO, "force": true}), preconditions("4.21.2", TWO, OVERRIDES))]
#[case::the_condition_is_about_an_earlier_request(json!({"version": "4.21.2", "image": TWO}), preconditions("4.22.0", MINOR, OVERRIDES))]
#[case::a_minor_by_image_before_the_cvo_has_looked(json!({"image": MINOR}), preconditions("4.21.2", TWO, OVERRIDES))]
#[case::not_decided_yet(json!({"version": "4.22.0", "image": MINOR}),
    json!({"type": "ReleaseAccepted", "status": "Unknown", "reason": "RetrievePayload", "message": format!("Retrieving version=\"4.22.0\" image=\"{MINOR}\"")}))]
fn nothing_is_reported_of(#[case] request: Value, #[case] condition: Value) {
    assert_eq!(reported(&decided_with(&asked(&request, &condition), true, &[], EntryStart::default())), []);
}

#[test]
fn a_patch_that_the_bridge_holds_back_is_blocked_for_its_reason() {
    let object = asked(&json!({"version": "4.21.2", "image": TWO}), &preconditions("4.21.2", TWO, OVERRIDES));
    let note =
        format!("UpdateBlocked: Update from 4.21.1 to 4.21.2 (patch) is blocked: {}", SkipReason::NoPolicy.message());
    let decided = reported(&decided_with(&object, false, &[], EntryStart::default()));
    assert_eq!(decided, [("patch blocked".to_owned(), vec![note])]);
    // What passes within moments is no decision.
    let snapshot = requested(&object);
    for skip_reason in [SkipReason::NoCvo, SkipReason::NoRecords, SkipReason::Forced] {
        let decided =
            of_cvo(&snapshot, &evaluate(&snapshot), Some(&Err(skip_reason)), &Source::NotServed, EntryStart::default());
        assert_eq!(decided, [], "{skip_reason:?}");
    }
}

const SEEN: EntryStart = EntryStart { is_new: true, without_overrides: false };

/// An update to 4.21.2 in that state, with that text, forced by that manager.
fn begun(state: &str, risks: &str, forced_by: Option<&str>) -> Value {
    let mut object =
        asked(&json!({"version": "4.21.2", "image": TWO, "force": forced_by.is_some()}), &json!({"type": "Failing"}));
    let fields = json!({"f:spec": {"f:desiredUpdate": {"f:force": {}}}});
    object["metadata"]["managedFields"] =
        json!([{"manager": forced_by.unwrap_or_default(), "time": "t", "fieldsV1": fields}]);
    object["status"]["desired"] = json!({"version": "4.21.2", "image": TWO});
    let entry = json!({"state": state, "version": "4.21.2", "image": TWO, "startedTime": "s2", "acceptedRisks": risks});
    object["status"]["history"].as_array_mut().unwrap().insert(0, entry);
    object
}

const ACCEPTED: &str = "UpdateAccepted: Update from 4.21.1 to 4.21.2 (patch) goes ahead";
const FORCED: &str = "ForcedPastOverrides: Update from 4.21.1 to 4.21.2 (patch) was forced while overrides are set: \
                      ClusterImagePolicy openshift";

#[rstest]
#[case::with_a_text(begun("Partial", "text", None), vec![format!("{ACCEPTED} with accepted risks: text")])]
#[case::without_a_text(begun("Partial", "", None), vec![format!("{ACCEPTED} while overrides are set: ClusterImagePolicy openshift")])]
#[case::forced_by_a_person(
    begun("Partial", "Forced through blocking failures: x", Some("kubectl-patch")),
    vec![format!("{ACCEPTED} with accepted risks: Forced through blocking failures: x"), FORCED.to_owned()])]
#[case::forced_where_it_was_not_needed(
    begun("Partial", "", Some("kubectl-patch")), vec![format!("{ACCEPTED} while overrides are set: ClusterImagePolicy openshift"), FORCED.to_owned()])]
#[case::forced_by_the_bridge_before_a_restart(
    begun("Partial", "Forced through blocking failures: x", Some("upgrade-gate")),
    vec![format!("{ACCEPTED} with accepted risks: Forced through blocking failures: x"), FORCED.to_owned()])]
fn an_update_that_has_begun_is_accepted(#[case] object: Value, #[case] expected: Vec<String>) {
    let expected = vec![("patch allowed".to_owned(), expected)];
    assert_eq!(reported(&decided_with(&object, true, &[], EntryStart::default())), expected);
}

#[test]
fn one_that_is_completed_is_reported_only_if_it_was_seen_to_begin() {
    let object = begun("Completed", "text", None);
    assert_eq!(decided_with(&object, true, &[], EntryStart::default()), []);
    assert_eq!(decided_with(&object, true, &[], SEEN).len(), 1);
    let mut installation = begun("Partial", "", None);
    installation["status"]["history"].as_array_mut().unwrap().truncate(1);
    assert_eq!(decided_with(&installation, true, &[], SEEN), []);
}

#[test]
fn without_overrides_an_accepted_update_is_just_that() {
    let mut object = begun("Partial", "Forced through blocking failures: x", Some("kubectl-patch"));
    object["spec"]["overrides"] = json!([]);
    let notes = vec![format!("{ACCEPTED} with accepted risks: Forced through blocking failures: x")];
    let expected = [("patch allowed".to_owned(), notes)];
    assert_eq!(reported(&decided_with(&object, true, &[], EntryStart::default())), expected);
    let mut plain = begun("Partial", "", None);
    plain["spec"]["overrides"] = json!([]);
    let expected = [("patch allowed".to_owned(), vec![format!("{ACCEPTED}.")])];
    assert_eq!(reported(&decided_with(&plain, true, &[], EntryStart::default())), expected);
    // Overrides that came later say nothing about what was accepted.
    let later = EntryStart { is_new: true, without_overrides: true };
    assert_eq!(reported(&decided_with(&begun("Partial", "", None), true, &[], later)), expected);
}

/// The record of that update, by which somebody has dealt with it.
fn its_record() -> UpdateRecord {
    serde_json::from_value(json!({
        "apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord", "metadata": {"name": "a"},
        "spec": {"from": "4.21.1", "to": "4.21.2", "type": "patch", "image": TWO, "overrides": [], "acceptedRisks": "text",
                 "by": "Gate", "acceptedTime": "2026-01-01T00:00:00Z"},
        "status": {"outcome": "Pending", "startedTime": "s2"},
    }))
    .unwrap()
}

/// How many decisions are news, look by look.
fn news(reported: &mut Reported, looks: &[(&Value, &[UpdateRecord])]) -> Vec<usize> {
    let count = |(object, records): &(&Value, &[UpdateRecord])| {
        reported.news(&requested(object), decided_with(object, false, records, EntryStart::default())).len()
    };
    looks.iter().map(count).collect()
}

#[test]
fn each_decision_is_reported_once() {
    let minor = asked(&json!({"version": "4.22.0", "image": MINOR}), &preconditions("4.22.0", MINOR, OVERRIDES));
    let unverified = asked(
        &json!({"version": "4.22.0", "image": MINOR}),
        &skip_reason("RetrievePayload", "Retrieving payload failed", "4.22.0", MINOR, " failure=no"),
    );
    let nothing = asked(&json!(null), &json!({"type": "Failing"}));
    let running = begun("Partial", "text", None);
    let none: &[UpdateRecord] = &[];
    let mut reported = Reported::default();
    // The same again; another step, and the first one again; then the same request again.
    let looks = [(&minor, none), (&minor, none), (&unverified, none), (&minor, none), (&nothing, none), (&minor, none)];
    assert_eq!(news(&mut reported, &looks), [1, 0, 1, 0, 0, 1]);
    assert_eq!(news(&mut reported, &[(&running, none), (&running, none)]), [1, 0]);
}

#[test]
fn a_replica_that_takes_over_reports_no_update_that_has_its_record() {
    let running = begun("Partial", "text", None);
    let (none, recorded): (&[UpdateRecord], &[UpdateRecord]) = (&[], &[its_record()]);
    assert_eq!(news(&mut Reported::default(), &[(&running, recorded), (&running, recorded)]), [0, 0]);
    assert_eq!(news(&mut Reported::default(), &[(&running, none), (&running, recorded)]), [1, 0]);
    // Another replica led in between, and dealt with it.
    let nothing = asked(&json!(null), &json!({"type": "Failing"}));
    let mut reported = Reported::default();
    assert_eq!(news(&mut reported, &[(&nothing, none)]), [0]);
    reported.steps_down();
    assert_eq!(news(&mut reported, &[(&running, recorded)]), [0]);
    let subject = decided_with(&running, true, recorded, EntryStart::default()).remove(0).subject;
    let entry = ["4.21.2", TWO, "s2"].map(str::to_owned);
    assert_eq!(subject, Subject::Entry { entry, is_recorded: true });
}
