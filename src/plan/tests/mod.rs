//! The plan on its own: a table of what is written when, and invariants that hold on any input, absent, null, empty and odd
//! values included. Two small functions store a write as the API server would.

mod generated;
mod invariants;

use rstest::rstest;
use serde_json::{Value, json};

use std::time::Duration;

use crate::{
    api::UpdateRecord,
    gate::{Authority, Source, evaluate, testing},
    plan::{
        newest_entry::EntryStart,
        record_state::{RecordTries, record_state},
        role::CvoLease,
        throttle::{made_at_once, without_failing},
        *,
    },
};

const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// A Snapshot of this object in which no other source says anything.
fn snapshot(object: &Value) -> Snapshot {
    Snapshot {
        now: "2026-02-03T04:05:06.789Z".parse().unwrap(),
        cluster_operators: Source::NotServed,
        authority: Authority::Sole,
        ..testing::requested(object)
    }
}

/// The writes of the gate itself.
fn gate(snapshot: &Snapshot, role: Role, record_state: RecordState) -> Vec<Write> {
    let verdict = evaluate(snapshot);
    let desired = conditions(snapshot, &verdict, record_state);
    gate_writes(snapshot, &verdict, role, record_state, &desired)
}

fn planned(object: &Value, role: Role, record_state: RecordState) -> Vec<Write> {
    let snapshot = snapshot(object);
    gate(&snapshot, role, record_state)
}

/// The object as the API server would store it.
fn stored(object: &Value, write: &Write) -> Value {
    let mut object = object.clone();
    match write {
        Write::History(write) => json_patch::patch(&mut object, &write.patch()).unwrap(),
        Write::Withdraw(_)
        | Write::Force(_)
        | Write::Unforce(_)
        | Write::Restore(_)
        | Write::Record(_)
        | Write::Operator(_) => {
            panic!("the gate itself doesn't write {write:?}")
        }
        Write::Conditions(write) => {
            let configuration = write.configuration();
            assert_eq!(configuration["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
            if !object["status"]["conditions"].is_array() {
                object["status"]["conditions"] = json!([]);
            }
            let conditions = object["status"]["conditions"].as_array_mut().unwrap();
            for applied in configuration["status"]["conditions"].as_array().unwrap() {
                match conditions.iter_mut().find(|condition| condition["type"] == applied["type"]) {
                    Some(condition) => condition.as_object_mut().unwrap().extend(applied.as_object().unwrap().clone()),
                    None => conditions.push(applied.clone()),
                }
            }
        }
    }
    let before: u64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    object["metadata"]["resourceVersion"] = json!((before + 1).to_string());
    object
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// A cluster at 4.21.1 whose conditions are as they should be, with these changes (merged) and this request.
fn cluster(overrides: bool, request: &Value) -> Value {
    let mut object = json!({
        "metadata": {"name": "version", "resourceVersion": "7"},
        "spec": {"channel": "stable-4.21"},
        "status": {
            "desired": {"version": "4.21.1", "image": "one"},
            "availableUpdates": [{"version": "4.21.2", "image": "two"}, {"version": "4.22.0", "image": "three"}],
            "history": [{"state": "Completed", "version": "4.21.1", "image": "one", "completionTime": LONG_AGO}],
        },
    });
    if overrides {
        object["spec"]["overrides"] = json!([{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}]);
    }
    for write in planned(&object, Role::Replace, RecordState::Possible) {
        object = stored(&object, &write);
    }
    object["spec"]["desiredUpdate"] = request.clone();
    object
}

#[rstest]
#[case::idle(cluster(false, &json!(null)), &[])]
#[case::idle_under_overrides(cluster(true, &json!(null)), &[])]
#[case::a_request_for_what_runs(cluster(true, &json!({"version": "4.21.1"})), &[])]
#[case::a_patch_without_risk(cluster(false, &json!({"version": "4.21.2"})), &["conditions"])]
#[case::a_patch_under_overrides(cluster(true, &json!({"version": "4.21.2"})), &["history", "conditions"])]
#[case::a_minor_under_overrides(cluster(true, &json!({"version": "4.22.0"})), &["conditions"])]
#[case::a_minor_that_is_forced(cluster(true, &json!({"version": "4.22.0", "force": true})), &["history", "conditions"])]
#[case::a_version_that_nobody_knows(cluster(true, &json!({"version": "4.21.9", "force": true})), &["conditions"])]
#[case::a_mode_changes_nothing(cluster(true, &json!({"version": "4.21.2", "mode": "Preflight"})), &["history", "conditions"])]
fn what_is_written(#[case] object: Value, #[case] expected: &[&str]) {
    let writes = planned(&object, Role::Replace, RecordState::Possible);
    assert_eq!(writes.iter().map(|write| write.kind().as_str()).collect::<Vec<_>>(), expected);
    assert_eq!(planned(&object, Role::Observe, RecordState::Possible), []);
}

fn without_status() -> Value {
    json!({"metadata": {"resourceVersion": "1"}, "spec": {"desiredUpdate": {"version": "4.21.2"}}})
}

#[test]
fn a_cluster_version_without_status_is_not_written() {
    assert_eq!(planned(&without_status(), Role::Replace, RecordState::Possible), []);
}

fn asked_for_a_patch() -> Value {
    cluster(true, &json!({"version": "4.21.2"}))
}

/// The record of the update that was accepted before is missing.
fn asked_for_another() -> Value {
    let mut object = asked_for_a_patch();
    let forced =
        json!({"state": "Partial", "version": "4.22.0", "image": "three", "acceptedRisks": "Forced through: it"});
    object["status"]["history"].as_array_mut().unwrap().insert(0, forced);
    object
}

#[rstest]
#[case::the_record_comes_first(asked_for_a_patch(), Role::Replace, &[], &["record", "history", "conditions"])]
#[case::a_record_that_fails_keeps_the_update_back_and_not_the_gate(asked_for_a_patch(), Role::Replace, &[Kind::Record], &["conditions"])]
#[case::what_is_missing_comes_before_it(
    asked_for_another(), Role::Replace, &[], &["record", "record", "history", "conditions"])]
#[case::what_fails_waits(asked_for_a_patch(), Role::Replace, &[Kind::Conditions], &["record", "history"])]
#[case::who_looks_on_writes_nothing(asked_for_a_patch(), Role::Observe, &[], &[])]
#[case::who_does_not_know_its_role_neither(asked_for_a_patch(), Role::Undecided, &[], &[])]
#[case::nor_is_there_anything_without_a_status(without_status(), Role::Bridge, &[], &[])]
fn everything_is_planned_in_the_order_in_which_it_is_written(
    #[case] object: Value,
    #[case] role: Role,
    #[case] failing: &[Kind],
    #[case] expected: &[&str],
) {
    let writes = everything(&object, role, failing);
    assert_eq!(writes.iter().map(|write| write.kind().as_str()).collect::<Vec<_>>(), expected);
}

fn everything(object: &Value, role: Role, failing: &[Kind]) -> Vec<Write> {
    let snapshot = snapshot(object);
    let verdict = evaluate(&snapshot);
    let records = Source::Read(Vec::new());
    let plan = plan(&PlanInput {
        snapshot: &snapshot,
        verdict: &verdict,
        role,
        why: "a test",
        operator: &Source::NotServed,
        records: &records,
        force: None,
        start: EntryStart::default(),
        removal: None,
        record_state: recorded(object, role, &records, failing),
        problems: &[],
        degraded_after: Duration::ZERO,
        cvo: CvoLease::Unknown,
        is_restored: false,
    });
    without_failing(plan.writes, |kind| failing.contains(&kind))
}

/// Whether what is asked for can be recorded while these kinds of write fail.
fn recorded(object: &Value, role: Role, records: &Source<Vec<UpdateRecord>>, failing: &[Kind]) -> RecordState {
    let snapshot = snapshot(object);
    let tries = RecordTries {
        history_fails: failing.contains(&Kind::History),
        history_is_reverted: false,
        record_fails: failing.contains(&Kind::Record),
    };
    record_state(tries, role, (&snapshot, &evaluate(&snapshot)), records, EntryStart::default())
}

/// The record of the patch, by the gate.
fn its_record() -> Source<Vec<UpdateRecord>> {
    let spec = json!({"from": "4.21.1", "to": "4.21.2", "type": "patch", "image": "two", "overrides": [],
                      "acceptedRisks": "text", "by": "Gate", "acceptedTime": LONG_AGO});
    let record = json!({"apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord",
                        "metadata": {"name": "a"}, "spec": spec});
    Source::Read(vec![serde_json::from_value(record).unwrap()])
}

/// The patch with its place in the history.
fn in_the_history() -> Value {
    let object = asked_for_a_patch();
    let writes = planned(&object, Role::Replace, RecordState::Possible);
    let history = writes.iter().find(|write| matches!(write, Write::History(_))).unwrap();
    stored(&object, history)
}

const NO_RECORDS: fn() -> Source<Vec<UpdateRecord>> = || Source::Read(Vec::new());
const NOT_SERVED: fn() -> Source<Vec<UpdateRecord>> = || Source::NotServed;

#[rstest]
#[case::nothing_fails(asked_for_a_patch(), NO_RECORDS, &[], RecordState::Possible)]
#[case::its_record_fails(asked_for_a_patch(), NO_RECORDS, &[Kind::Record], RecordState::Failing)]
#[case::another_record_fails(asked_for_a_patch(), its_record, &[Kind::Record], RecordState::Possible)]
#[case::nobody_serves_records(asked_for_a_patch(), NOT_SERVED, &[Kind::Record], RecordState::Possible)]
#[case::the_history_fails(asked_for_a_patch(), its_record, &[Kind::History], RecordState::Failing)]
#[case::the_history_holds_it_and_its_record_fails(in_the_history(), NO_RECORDS, &[Kind::Record], RecordState::Failing)]
#[case::both_hold_it(in_the_history(), its_record, &[Kind::Record, Kind::History], RecordState::Possible)]
#[case::nothing_is_asked_for(cluster(true, &json!(null)), NO_RECORDS, &[Kind::Record, Kind::History], RecordState::Possible)]
#[case::nothing_is_accepted(cluster(true, &json!({"version": "4.22.0"})), NO_RECORDS, &[Kind::Record], RecordState::Possible)]
fn an_update_waits_for_what_is_missing_of_its_record(
    #[case] object: Value,
    #[case] records: fn() -> Source<Vec<UpdateRecord>>,
    #[case] failing: &[Kind],
    #[case] expected: RecordState,
) {
    assert_eq!(recorded(&object, Role::Replace, &records(), failing), expected);
    assert_eq!(recorded(&object, Role::Guard, &records(), &[Kind::Record]), RecordState::Possible);
}

#[rstest]
#[case::a_record_and_its_place_in_the_history(asked_for_a_patch(), &[], &["record", "history"])]
#[case::a_record_that_was_missing(asked_for_another(), &[], &["record"])]
#[case::without_a_record_it_waits(asked_for_a_patch(), &[Kind::Record], &["conditions"])]
#[case::and_without_a_place_in_the_history(asked_for_a_patch(), &[Kind::History], &["conditions"])]
#[case::nothing(cluster(true, &json!(null)), &[], &[])]
fn what_is_made_at_once(#[case] object: Value, #[case] failing: &[Kind], #[case] expected: &[&str]) {
    let writes = made_at_once(everything(&object, Role::Replace, failing));
    assert_eq!(writes.iter().map(|write| write.kind().as_str()).collect::<Vec<_>>(), expected);
}

#[rstest]
#[case::it_cannot_be_written(RecordState::Failing, "Unknown", "RetrievePayload")]
#[case::somebody_takes_it_back(RecordState::Reverted, "True", "PayloadLoaded")]
fn without_a_record_only_the_conditions_are_written(
    #[case] record_state: RecordState,
    #[case] status: &str,
    #[case] reason: &str,
) {
    let object = cluster(true, &json!({"version": "4.21.2"}));
    let writes = planned(&object, Role::Replace, record_state);
    assert_eq!(writes.iter().map(|write| write.kind().as_str()).collect::<Vec<_>>(), ["conditions"]);
    let stored = stored(&object, &writes[0]);
    let accepted = condition(&stored, "ReleaseAccepted").unwrap();
    assert_eq!((&accepted["status"], &accepted["reason"]), (&json!(status), &json!(reason)));
    assert_eq!(planned(&stored, Role::Replace, record_state), []);
}

#[test]
fn both_conditions_are_applied_with_all_their_fields_and_nothing_else() {
    let object = cluster(true, &json!({"version": "4.22.0"}));
    let writes = planned(&object, Role::Replace, RecordState::Possible);
    let [Write::Conditions(write)] = &writes[..] else { panic!("{writes:?}") };
    let configuration = write.configuration();
    let message = |index: usize| configuration["status"]["conditions"][index]["message"].clone();
    let expected = json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": "ClusterVersion",
        "metadata": {"name": "version", "resourceVersion": "8"},
        "status": {"conditions": [
            {"type": "Upgradeable", "status": "False", "reason": "ClusterVersionOverrides", "message": message(0),
             "lastTransitionTime": "2026-02-03T04:05:06Z"},
            {"type": "ReleaseAccepted", "status": "False", "reason": "PreconditionChecks", "message": message(1),
             "lastTransitionTime": "2026-02-03T04:05:06Z"},
        ]},
    });
    assert_eq!(configuration, expected);
    assert!(message(0).as_str().unwrap().contains("ClusterImagePolicy openshift"));
    assert!(message(1).as_str().unwrap().contains("version=\"4.22.0\""));
}

#[test]
fn a_word_of_somebody_else_is_replaced_and_only_a_flip_moves_the_time() {
    let mut object = cluster(true, &json!(null));
    let closed = json!({"type": "Upgradeable", "status": "False", "reason": "ClusterVersionOverridesSet",
                        "message": "no", "lastTransitionTime": LONG_AGO});
    let open = json!({"type": "Upgradeable", "status": "True", "reason": "AsExpected", "lastTransitionTime": LONG_AGO});
    for (before, expected) in [(closed, LONG_AGO), (open, "2026-02-03T04:05:06Z")] {
        object["status"]["conditions"][0] = before;
        let writes = planned(&object, Role::Replace, RecordState::Possible);
        let after = stored(&object, &writes[0]);
        let upgradeable = condition(&after, "Upgradeable").unwrap();
        assert_eq!(
            (&upgradeable["status"], &upgradeable["reason"]),
            (&json!("False"), &json!("ClusterVersionOverrides"))
        );
        assert_eq!(upgradeable["lastTransitionTime"], expected);
    }
}
