//! Steps of the loop, one after the other, without a cluster.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{api::ClusterVersion, gate::testing, plan::recovery::WriteError};

const TWO: &str = "r.example.com/release@sha256:2222222222222222222222222222222222222222222222222222222222222222";
const START: Moment = Moment(Duration::ZERO);

fn memory(mode: Mode) -> Memory {
    Memory::new(Settings { mode, vacant_after: Duration::from_mins(5), degraded_after: Duration::from_mins(2) })
}

/// A cluster under an override on which 4.21.2 is asked for.
fn asked(conditions: &Value) -> Value {
    json!({
        "metadata": {"uid": "u", "resourceVersion": "7", "generation": 3},
        "spec": {
            "channel": "stable-4.21",
            "desiredUpdate": {"version": "4.21.2", "image": TWO},
            "overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}],
        },
        "status": {
            "desired": {"version": "4.21.1", "image": "one"},
            "history": [{"state": "Completed", "version": "4.21.1", "image": "one", "startedTime": "s"}],
            "availableUpdates": [{"version": "4.21.2", "image": TWO}],
            "conditions": conditions,
        },
    })
}

/// The same, refused by a CVO for overrides alone.
fn refused() -> Value {
    let message = format!(
        "Preconditions failed for payload loaded version=\"4.21.2\" image=\"{TWO}\": Precondition \
         \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\": text"
    );
    asked(&json!([{"type": "ReleaseAccepted", "status": "False", "reason": "PreconditionChecks", "message": message},
                  {"type": "Upgradeable", "status": "False", "reason": "ClusterVersionOverridesSet"}]))
}

fn cluster_version(object: &Value) -> ClusterVersion {
    ClusterVersion::from_value(object.clone()).unwrap()
}

fn observed(memory: &mut Memory, object: &Value, leads: bool, now: Moment) -> Next {
    let snapshot = Snapshot { authority: memory.authority(), ..testing::requested(object) };
    let (operator, records) = (Source::NotServed, Source::Read(Vec::new()));
    step(memory, &Observation { snapshot: &snapshot, operator: &operator, records: &records, leads }, now).next
}

/// What a step says, in one word, or the kinds of its writes.
fn word(next: &Next) -> String {
    match next {
        Next::Rest => "rest".to_owned(),
        Next::Ask(question) => format!("{question:?}"),
        Next::Write(writes) => writes.iter().map(|write| write.kind().as_str()).collect::<Vec<_>>().join(" "),
    }
}

/// Steps until it writes or rests, with these answers.
fn steps(memory: &mut Memory, object: &Value, (policy, lease): (bool, CvoLease), now: Moment) -> Vec<String> {
    let mut words = Vec::new();
    loop {
        let next = observed(memory, object, true, now);
        words.push(word(&next));
        match next {
            Next::Ask(Question::Policy) => memory.answer_policy(policy),
            Next::Ask(Question::CvoLease) => memory.answer_cvo_lease(lease, now),
            Next::Ask(Question::ClusterVersion) => memory.answer_cluster_version(Ok(true), now),
            Next::Ask(Question::Snapshot) => {}
            Next::Write(_) | Next::Rest => return words,
        }
    }
}

#[rstest]
#[case::replace(Mode::Replace, asked(&json!([])), CvoLease::Unknown, &["Snapshot", "ClusterVersion", "record history"])]
#[case::observe(Mode::Observe, refused(), CvoLease::Unknown, &["Snapshot", "rest"])]
#[case::bridge(Mode::Bridge, refused(), CvoLease::Fresh, &["Snapshot", "Policy", "CvoLease", "ClusterVersion", "Policy", "CvoLease", "record"])]
#[case::without_a_cvo(Mode::Bridge, refused(), CvoLease::Stale, &["Snapshot", "Policy", "CvoLease", "rest"])]
#[case::nobody_gates(Mode::Auto, asked(&json!([])), CvoLease::Absent, &["CvoLease", "Snapshot", "ClusterVersion", "record history"])]
#[case::not_known(Mode::Auto, asked(&json!([])), CvoLease::Unknown, &["CvoLease", "rest"])]
fn a_new_leader_asks_before_it_writes(
    #[case] mode: Mode,
    #[case] object: Value,
    #[case] lease: CvoLease,
    #[case] expected: &[&str],
) {
    assert_eq!(steps(&mut memory(mode), &object, (true, lease), START), expected);
}

#[test]
fn without_the_policy_the_lease_is_not_read_for_a_force() {
    let words = steps(&mut memory(Mode::Bridge), &refused(), (false, CvoLease::Fresh), START);
    assert_eq!(words, ["Snapshot", "Policy", "CvoLease", "rest"], "it is read for the ClusterOperator");
    let mut memory = memory(Mode::Bridge);
    steps(&mut memory, &refused(), (false, CvoLease::Fresh), START);
    assert_eq!(steps(&mut memory, &refused(), (false, CvoLease::Fresh), START), ["Policy", "rest"]);
}

#[test]
fn a_replica_that_does_not_lead_rests() {
    let mut memory = memory(Mode::Replace);
    assert_eq!(observed(&mut memory, &asked(&json!([])), false, START), Next::Rest);
    assert_eq!(memory.role(), Role::Undecided);
}

#[rstest]
#[case::stale(WriteError::Stale(String::new()), "ClusterVersion")]
#[case::gone(WriteError::Gone, "rest")]
#[case::unanswered(WriteError::Unanswered(String::new()), "rest")]
#[case::refused(WriteError::Refused(String::new()), "rest")]
fn what_follows_a_write_that_fails(#[case] error: WriteError, #[case] expected: &str) {
    let mut memory = memory(Mode::Replace);
    let object = json!({"metadata": {"uid": "u"}, "status": {"desired": {"version": "4.21.1"}}});
    assert_eq!(steps(&mut memory, &object, (true, CvoLease::Fresh), START), ["Snapshot", "conditions"]);
    memory.failed(Kind::Conditions, &error, START);
    assert_eq!(word(&observed(&mut memory, &object, true, START)), expected);
}

#[test]
fn a_read_that_fails_ends_the_turn_and_keeps_the_write_away() {
    let mut memory = memory(Mode::Replace);
    let object = asked(&json!([]));
    observed(&mut memory, &object, true, START);
    assert_eq!(word(&observed(&mut memory, &object, true, START)), "ClusterVersion");
    memory.answer_cluster_version(Err(&WriteError::Unanswered(String::new())), START);
    assert_eq!(word(&observed(&mut memory, &object, true, START)), "rest");
    memory.begin_turn();
    let next = observed(&mut memory, &object, true, START);
    assert_eq!(word(&next), "conditions", "the request waits for its record, Upgradeable doesn't");
}

#[test]
fn a_turn_without_an_end_is_paused() {
    let mut memory = memory(Mode::Replace);
    let object = json!({"metadata": {"uid": "u"}, "status": {"desired": {"version": "4.21.1"}}});
    memory.begin_turn();
    assert_eq!(word(&observed(&mut memory, &object, true, START)), "Snapshot");
    for _ in 0..15 {
        assert_eq!(word(&observed(&mut memory, &object, true, START)), "conditions");
    }
    assert!(!memory.is_paused(START));
    assert_eq!(word(&observed(&mut memory, &object, true, START)), "rest");
    assert!(memory.is_paused(START) && !memory.is_paused(START + Duration::from_secs(1)));
    assert_eq!(memory.next_deadline(None), Some(START + Duration::from_secs(1)));
}

#[test]
fn a_force_waits_a_minute_for_a_record_that_fails() {
    let mut memory = memory(Mode::Bridge);
    let fresh = (true, CvoLease::Fresh);
    steps(&mut memory, &refused(), fresh, START);
    let last = |memory: &mut Memory, object: &Value, now: Moment| {
        memory.begin_turn();
        memory.failed(Kind::Record, &WriteError::Refused(String::new()), now);
        steps(memory, object, fresh, now).pop().unwrap()
    };
    assert_eq!(last(&mut memory, &refused(), START + Duration::from_secs(1)), "rest");
    assert_eq!(memory.next_deadline(Some(START + Duration::from_secs(10))), Some(START + Duration::from_mins(1)));
    assert_eq!(last(&mut memory, &refused(), START + Duration::from_secs(59)), "rest");
    assert!(memory.record_is_missing());
    assert_eq!(last(&mut memory, &refused(), START + Duration::from_mins(1)), "force");
    // And once for each generation.
    let force = {
        memory.begin_turn();
        memory.failed(Kind::Record, &WriteError::Refused(String::new()), START + Duration::from_mins(1));
        let mut next = Next::Rest;
        for _ in 0..4 {
            next = observed(&mut memory, &refused(), true, START + Duration::from_mins(1));
            match next {
                Next::Ask(Question::Policy) => memory.answer_policy(true),
                Next::Ask(_) => memory.answer_cvo_lease(CvoLease::Fresh, START + Duration::from_mins(1)),
                Next::Write(_) | Next::Rest => break,
            }
        }
        next
    };
    let Next::Write(writes) = force else { panic!("{force:?}") };
    let mut after = refused();
    after["metadata"]["generation"] = json!(4);
    assert!(!memory.wrote(&writes[0], &cluster_version(&after), START + Duration::from_mins(1)));
    assert_eq!(last(&mut memory, &after, START + Duration::from_secs(61)), "rest");
}

/// A ClusterVersion on which `Upgradeable` is ours, or isn't.
fn owned(resource_version: &str, manager: &str) -> Value {
    let upgradeable = json!({"f:status": {}, "f:reason": {}, "f:message": {}});
    let fields = json!({"f:status": {"f:conditions": {"k:{\"type\":\"Upgradeable\"}": upgradeable}}});
    json!({
        "metadata": {"uid": "u", "resourceVersion": resource_version,
                     "managedFields": [{"manager": manager, "operation": "Apply", "fieldsV1": fields}]},
        "status": {"desired": {"version": "4.21.1"}},
    })
}

/// A restore of etcd undoes our writes; no other program does.
#[rstest]
#[case::by_a_restore(true, Role::Replace)]
#[case::by_another_writer(false, Role::Bridge)]
fn who_has_undone_our_write(#[case] went_back: bool, #[case] expected: Role) {
    let mut memory = memory(Mode::Auto);
    let lease = (false, CvoLease::Absent);
    steps(&mut memory, &owned("9", "upgrade-gate"), lease, START);
    assert_eq!(memory.role(), Role::Replace);
    memory.begin_turn();
    if went_back {
        memory.cache_went_back();
    }
    steps(&mut memory, &owned(if went_back { "5" } else { "10" }, "another"), lease, START);
    assert_eq!(memory.role(), expected);
}
