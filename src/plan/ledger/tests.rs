//! Who reverts what, and how often it is written then.

use serde_json::json;

use super::*;
use crate::{
    api::{HistoryEntry, Metadata, Release, ResourceVersion, Status},
    plan::write::{ConditionsWrite, EntryWrite, HistoryWrite, TextWrite},
};

const START: Moment = Moment(Duration::ZERO);

fn record() -> Write {
    Write::History(HistoryWrite::Entry(Box::new(EntryWrite {
        resource_version: ResourceVersion::default(),
        release: Release::default(),
        text: String::new(),
        now: String::new(),
        behind: None,
        leaving: Vec::new(),
    })))
}

fn condition(kind: &str, message: &str) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: ConditionStatus::False,
        reason: "R".to_owned(),
        message: message.to_owned(),
        ..Condition::default()
    }
}

fn both(upgradeable: &str, release_accepted: &str) -> Vec<Condition> {
    vec![condition("Upgradeable", upgradeable), condition("ReleaseAccepted", release_accepted)]
}

fn conditions(message: &str) -> Write {
    Write::Conditions(ConditionsWrite {
        resource_version: ResourceVersion::default(),
        conditions: both(message, message),
    })
}

fn cluster(uid: &str, generation: i64, conditions: Vec<Condition>) -> ClusterVersion {
    ClusterVersion {
        metadata: Metadata { uid: uid.to_owned().into(), generation: generation.into(), ..Metadata::default() },
        status: Some(Status { conditions, ..Status::default() }),
        ..ClusterVersion::default()
    }
}

fn request(uid: &str, generation: i64) -> ClusterVersion {
    cluster(uid, generation, Vec::new())
}

fn showing(message: &str) -> ClusterVersion {
    cluster("a", 1, both(message, message))
}

#[test]
fn the_same_conditions_again_are_a_revert_and_others_are_not() {
    let mut ledger = Ledger::default();
    let seen = request("a", 1);
    assert!(!ledger.is_reverted(&conditions("a"), &seen, START));
    ledger.wrote(&conditions("a"), &seen, START);
    assert!(ledger.is_reverted(&conditions("a"), &seen, START));
    assert!(!ledger.is_reverted(&conditions("b"), &seen, START));
    assert!(!ledger.is_reverted(&conditions("a"), &request("b", 1), START), "another object, that was created again");
    // Another replica wrote what this one would have written, and was right.
    let published =
        Conditions { upgradeable: condition("Upgradeable", "b"), release_accepted: condition("ReleaseAccepted", "b") };
    ledger.note_published(&showing("b"), &published);
    assert!(!ledger.is_reverted(&conditions("a"), &showing("b"), START));
    assert!(ledger.is_reverted(&conditions("b"), &seen, START));
}

#[test]
fn a_record_that_is_reverted_is_written_once_more_and_then_waits() {
    let mut ledger = Ledger::default();
    let seen = request("a", 1);
    ledger.wrote(&record(), &seen, START);
    assert!(ledger.is_reverted(&record(), &seen, START) && !ledger.must_wait(Kind::History, START));
    ledger.wrote_against_another(Kind::History, START);
    assert!(ledger.has_recorded(&seen) && ledger.must_wait(Kind::History, START));
    assert!(!ledger.must_wait(Kind::Conditions, START), "what is contended is the record alone");
    assert!(!ledger.has_recorded(&request("a", 2)), "a new request");
}

/// Makes the write if it may be made now.
fn write(ledger: &mut Ledger, write: &Write, seen: &ClusterVersion, now: Moment) -> bool {
    let is_reverted = ledger.is_reverted(write, seen, now);
    let may = !is_reverted || !ledger.must_wait(write.kind(), now);
    if may {
        if is_reverted {
            ledger.wrote_against_another(write.kind(), now);
        }
        ledger.wrote(write, seen, now);
    }
    may
}

/// How often they are written in ten minutes against another writer who reverts them within ten milliseconds.
fn contention(wanted: impl Fn(usize) -> Write) -> usize {
    let (mut ledger, mut writes, mut now) = (Ledger::default(), 0, START);
    let theirs = showing("theirs");
    while now.since(START) < Duration::from_mins(10) {
        writes += usize::from(write(&mut ledger, &wanted(writes), &theirs, now));
        now = now + Duration::from_millis(10);
    }
    writes
}

#[test]
fn ten_minutes_of_contention_take_eleven_writes() {
    assert_eq!(contention(|_| conditions("ours")), 11, "the first, and one a minute");
}

#[test]
fn two_texts_reverted_in_turn_are_not_written_again() {
    assert_eq!(contention(|writes| conditions(if writes % 2 == 0 { "ours" } else { "ours too" })), 12);
}

#[test]
fn a_verdict_that_goes_back_and_forth_is_no_contention() {
    let (mut ledger, mut seen) = (Ledger::default(), showing(""));
    for turn in 0..20 {
        let message = if turn % 2 == 0 { "overrides" } else { "none" };
        assert!(write(&mut ledger, &conditions(message), &seen, START), "turn {turn}");
        seen = showing(message);
    }
    assert!(!ledger.is_contended(START));
}

/// Both conditions as the object has them.
fn seen(upgradeable: &str, release_accepted: &str) -> (Write, ClusterVersion) {
    let conditions = both(upgradeable, release_accepted);
    let write = ConditionsWrite { resource_version: ResourceVersion::default(), conditions: conditions.clone() };
    (Write::Conditions(write), cluster("a", 1, conditions))
}

#[test]
fn contention_over_the_one_condition_keeps_no_verdict_on_the_other_back() {
    let mut ledger = Ledger::default();
    for turn in 0..6 {
        let verdict = if turn % 2 == 0 { "overrides" } else { "none" };
        let before = if turn % 2 == 0 { "none" } else { "overrides" };
        assert!(write(&mut ledger, &seen(verdict, "ours").0, &seen(before, "theirs").1, START), "turn {turn}");
        let again = write(&mut ledger, &seen(verdict, "ours").0, &seen(verdict, "theirs").1, START);
        assert_eq!(again, turn == 0, "turn {turn}: the same texts are written once more, and then once a minute");
    }
}

#[test]
fn the_same_status_of_ourselves_is_written_once_a_minute() {
    let (mut ledger, seen) = (Ledger::default(), showing(""));
    let status = Write::Operator(OperatorWrite::Status {
        resource_version: ResourceVersion::default(),
        conditions: both("well", "well"),
    });
    assert!(!ledger.is_repeated(&status, START));
    ledger.wrote(&status, &seen, START);
    assert!(ledger.is_repeated(&status, START));
    ledger.wrote(&Write::Operator(OperatorWrite::Create), &seen, START);
    assert!(!ledger.is_repeated(&status, START), "it was deleted, not changed");
    ledger.wrote(&status, &seen, START);
    assert!(!ledger.is_repeated(&status, START + Duration::from_secs(61)));
}

/// A cluster at that generation, with this request and a newest entry that began then.
fn asked(generation: i64, force: bool, started: &str) -> ClusterVersion {
    ClusterVersion::from_value(json!({
        "metadata": {"uid": "a", "generation": generation},
        "spec": {"desiredUpdate": {"version": "4.21.2", "force": force}},
        "status": {"history": [{"startedTime": started}]},
    }))
    .unwrap()
}

#[test]
fn a_force_that_somebody_strips_is_contention_until_another_replica_has_led() {
    let mut ledger = Ledger::default();
    let before = asked(3, false, "s");
    let force = Write::Force(Box::new(crate::plan::write::ForcePatch {
        target_verdict: crate::gate::testing::evaluate_to(&before, "4.21.2"),
        request: before.spec.desired_update.as_ref().unwrap().raw.clone(),
        image: "i".to_owned(),
        resource_version: "7".to_owned().into(),
    }));
    assert!(!ledger.is_reverted(&force, &before, START) && !ledger.has_forced(&before));
    ledger.wrote(&force, &asked(4, true, "s"), START);
    assert!(ledger.has_forced(&asked(4, false, "s")) && !ledger.has_forced(&asked(5, false, "s")));
    assert!(ledger.is_reverted(&force, &asked(5, false, "s"), START));
    assert!(!ledger.is_reverted(&force, &asked(5, false, "s"), START + Duration::from_mins(2)));
    ledger.step_down();
    assert!(ledger.has_forced(&asked(4, false, "s")) && !ledger.is_reverted(&force, &asked(5, false, "s"), START));
}

#[test]
fn each_entry_is_restored_once() {
    let mut ledger = Ledger::default();
    let entry = |started: &str| HistoryEntry { started_time: started.to_owned(), ..HistoryEntry::default() };
    for started in ["a", "b"] {
        let entry = Box::new(entry(started));
        let write = TextWrite { resource_version: ResourceVersion::default(), entry, text: String::new() };
        ledger.wrote(&Write::Restore(write), &asked(1, false, started), START);
    }
    ledger.step_down();
    let is_restored = |started| ledger.has_restored(&asked(1, false, started));
    assert_eq!(["a", "b", "c"].map(is_restored), [true, true, false]);
}

#[test]
fn upgradeable_that_was_ours_and_is_not_is_overwritten_for_good() {
    let fields = json!({"f:status": {"f:conditions": {"k:{\"type\":\"Upgradeable\"}":
        {"f:status": {}, "f:reason": {}, "f:message": {}}}}});
    let owned = |uid: &str, manager: &str| {
        let fields = [json!({"manager": manager, "operation": "Apply", "fieldsV1": fields})];
        ClusterVersion::from_value(json!({"metadata": {"uid": uid, "managedFields": fields}})).unwrap()
    };
    let mut ledger = Ledger::default();
    ledger.note_ownership(&owned("a", "other"), Role::Replace);
    assert!(!ledger.is_overwritten(), "it was never ours");
    ledger.note_ownership(&owned("a", "upgrade-gate"), Role::Replace);
    ledger.note_ownership(&owned("b", "other"), Role::Replace);
    assert!(!ledger.is_overwritten(), "another object");
    ledger.note_ownership(&owned("a", "other"), Role::Bridge);
    assert!(!ledger.is_overwritten(), "the bridge doesn't write it");
    ledger.note_ownership(&owned("a", "other"), Role::Guard);
    ledger.step_down();
    assert!(ledger.is_overwritten());
}

#[test]
fn a_status_of_a_record_that_is_not_kept_is_written_twice_and_then_once_a_minute() {
    let status = |name: &str, started: &str| {
        Write::Record(RecordWrite::Status {
            name: name.to_owned(),
            resource_version: None,
            status: Box::new(UpdateRecordStatus {
                started_time: Some(started.to_owned()),
                ..UpdateRecordStatus::default()
            }),
        })
    };
    let (mut ledger, after) = (Ledger::default(), request("u", 1));
    let second = START + Duration::from_secs(1);
    for times in 0..2 {
        assert!(!ledger.is_repeated(&status("a", "s"), START), "after {times} writes");
        ledger.wrote(&status("a", "s"), &after, START);
    }
    assert!(ledger.is_repeated(&status("a", "s"), second));
    assert!(!ledger.is_repeated(&status("a", "t"), second), "another status");
    assert!(!ledger.is_repeated(&status("b", "s"), second), "another record");
    assert!(!ledger.is_repeated(&status("a", "s"), START + CONTENDED));
    ledger.wrote(&status("a", "t"), &after, second);
    assert!(!ledger.is_repeated(&status("a", "s"), second), "it has changed in between");
    ledger.wrote(&status("a", "t"), &after, second);
    ledger.step_down();
    assert!(!ledger.is_repeated(&status("a", "t"), second), "another replica has led");
}
