//! What the command does next in each state that a run, or one that was killed, may find.

mod completed;
mod refused;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::{ClusterOperator, Health},
    cli::update::request::{Allowed, named, request},
    gate::testing::snapshot,
};

const ONE: &str = "r.example/ocp@sha256:1111111111111111111111111111111111111111111111111111111111111111";
const TWO: &str = "r.example/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";

fn owner(manager: &str) -> Value {
    json!({"manager": manager, "operation": "Update", "time": "2026-01-01T00:00:00Z",
           "fieldsV1": {"f:spec": {"f:desiredUpdate": {"f:force": {}}}}})
}

/// A cluster at 4.21.1 with an override and without an update in progress, which offers 4.21.2.
fn rest() -> Value {
    json!({
        "metadata": {"resourceVersion": "7", "uid": "u", "generation": 3},
        "spec": {"overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}]},
        "status": {
            "desired": {"version": "4.21.1", "image": ONE},
            "history": [{"state": "Completed", "version": "4.21.1", "image": ONE, "startedTime": "2025-12-01T00:00:00Z"}],
            "availableUpdates": [{"version": "4.21.2", "image": TWO}],
            "conditions": [{"type": "Upgradeable", "status": "False", "reason": "ClusterVersionOverridesSet"},
                           {"type": "Progressing", "status": "False"}],
        },
    })
}

/// It asks for 4.21.2.
fn asked(force: bool, manager: &str) -> Value {
    let mut object = rest();
    object["spec"]["desiredUpdate"] = json!({"architecture": "", "version": "4.21.2", "image": TWO, "force": force});
    object["metadata"]["managedFields"] = json!([owner(manager)]);
    object
}

fn with_word(mut object: Value, status: &str, reason: &str, message: &str) -> Value {
    let word = json!({"type": "ReleaseAccepted", "status": status, "reason": reason, "message": message});
    object["status"]["conditions"].as_array_mut().unwrap().push(word);
    object
}

/// The CVO refuses it for these items.
fn refused_for(items: &[(&str, &str)]) -> Value {
    let item = |(name, reason): &(&str, &str)| format!("Precondition \"{name}\" failed because of \"{reason}\": text");
    let items: Vec<String> = items.iter().map(item).collect();
    let items = match items.as_slice() {
        [one] => one.clone(),
        several => format!("Multiple precondition checks failed:\n* {}", several.join("\n* ")),
    };
    let message = format!("Preconditions failed for payload loaded version=\"4.21.2\" image=\"{TWO}\": {items}");
    with_word(asked(false, "oc"), "False", "PreconditionChecks", &message)
}

fn refused() -> Value {
    refused_for(&[("ClusterVersionUpgradeable", "ClusterVersionOverridesSet")])
}

/// The update to 4.21.2 runs, or has completed.
fn begun(mut object: Value, state: &str) -> Value {
    let is_completed = state == "Completed";
    let text = "Forced through blocking failures: Precondition \"ClusterVersionUpgradeable\" failed";
    let entry = json!({"state": state, "version": "4.21.2", "image": TWO, "startedTime": "2026-01-01T00:00:00Z",
        "completionTime": if is_completed { json!("2026-01-01T01:00:00Z") } else { json!(null) },
        "acceptedRisks": text, "verified": true});
    object["status"]["history"].as_array_mut().unwrap().insert(0, entry);
    object["status"]["desired"] = json!({"version": "4.21.2", "image": TWO});
    object["status"]["availableUpdates"] = json!(null);
    object["status"]["conditions"] = json!([
        {"type": "ReleaseAccepted", "status": "True", "reason": "PayloadLoaded"},
        {"type": "Progressing", "status": if is_completed { "False" } else { "True" }},
    ]);
    object
}

fn cluster(object: &Value) -> ClusterVersion {
    ClusterVersion::from_value(object.clone()).unwrap()
}

fn goal() -> Goal {
    let allowed = Allowed { explicit: false, not_recommended: false, warnings: false };
    let request = request(&cluster(&rest()), &named(Some("4.21.2"), None).unwrap(), allowed).unwrap();
    Goal { request, wait: true, without_policy: false }
}

const GUARDED: PolicyState = PolicyState::InForce { created_here: false };
const CREATED: PolicyState = PolicyState::InForce { created_here: true };
const MISSING: PolicyState = PolicyState::Missing { leftover: false };

fn evidence(object: &Value, policy: PolicyState, records: Source<Vec<UpdateRecord>>) -> Evidence {
    Evidence {
        snapshot: snapshot(cluster(object)),
        records,
        endings: Vec::new(),
        policy,
        cvo: CvoLease::Fresh,
        operator: Operator::Absent,
    }
}

fn record(status: &Value) -> UpdateRecord {
    serde_json::from_value(json!({
        "apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord", "metadata": {"name": "a"},
        "spec": {"from": "4.21.1", "to": "4.21.2", "type": "patch", "image": TWO, "overrides": [],
                 "acceptedRisks": "text", "by": "Bridge", "acceptedTime": "2026-01-01T00:00:00Z"},
        "status": status,
    }))
    .unwrap()
}

fn pending() -> Source<Vec<UpdateRecord>> {
    Source::Read(vec![record(&json!({"outcome": "Pending"}))])
}

fn completed() -> Source<Vec<UpdateRecord>> {
    Source::Read(vec![record(&json!({"outcome": "Completed", "startedTime": "2026-01-01T00:00:00Z"}))])
}

fn asked_before(waited: u64) -> Memory {
    Memory { asked: true, waited: Duration::from_secs(waited), ..Memory::default() }
}

/// The step by its name, and what it is about.
fn shown(step: &Step) -> String {
    match step {
        Step::Force(force) => format!("Force {:?} {}", force.target_verdict.update_type, force.image == TWO),
        Step::Unforce(removal) => format!("Unforce, image {}", removal.removes_image),
        Step::Record(record) => format!("Record {:?} {}", record.spec.by, record.spec.to),
        Step::Show(record) => format!("Show {:?}", record.status.as_ref().map(|status| status.outcome)),
        Step::End(Ending::Refused(found)) => format!("End Refused {}", found.reason),
        step => format!("{step:?}"),
    }
}

fn next_shown(goal: &Goal, memory: &Memory, object: &Value, evidence: &Evidence) -> String {
    shown(&next(goal, memory, &cluster(object), Some(evidence)))
}

#[rstest]
#[case::nothing_asked(rest(), "Ask")]
#[case::no_answer_yet(asked(false, "oc"), "Wait(Answer)")]
#[case::answer_is_due(
    with_word(asked(false, "oc"), "Unknown", "RetrievePayload", "Retrieving payload version=\"4.21.2\""),
    "Wait(Answer)"
)]
#[case::accepted(
    with_word(asked(false, "oc"), "True", "PayloadLoaded", "Payload loaded version=\"4.21.2\""),
    "Wait(Begin)"
)]
#[case::refused_for_overrides(refused(), "Look")]
#[case::refused_for_something_else(
    with_word(asked(false, "oc"), "False", "RetrievePayload", "version=\"4.21.2\" failed"),
    "Look"
)]
#[case::forced_and_not_begun(asked(true, "upgrade-gate"), "Wait(Begin)")]
#[case::forced_by_a_person(asked(true, "oc"), "Wait(Begin)")]
#[case::runs(begun(asked(true, "upgrade-gate"), "Partial"), "Wait(Complete)")]
#[case::has_completed(begun(asked(true, "upgrade-gate"), "Completed"), "Look")]
fn the_cluster_version_alone_says_what_comes_next(#[case] object: Value, #[case] expected: &str) {
    assert_eq!(shown(&next(&goal(), &Memory::default(), &cluster(&object), None)), expected);
}

#[rstest]
#[case::is_pulling(CvoLease::Fresh, Operator::Absent, None)]
#[case::has_stopped(CvoLease::Stale, Operator::Absent, Some("End(NoCvo(Stale))"))]
#[case::is_not_there(CvoLease::Absent, Operator::Absent, Some("End(NoCvo(Absent))"))]
#[case::an_operator_observes(CvoLease::Stale, Operator::Observes, Some("End(NoCvo(Stale))"))]
#[case::an_operator_forces(CvoLease::Stale, Operator::Forces, Some("End(NoCvo(Stale))"))]
#[case::the_operator_decides(CvoLease::Absent, Operator::Decides, None)]
fn a_cvo_that_has_stopped_never_answers(
    #[values("nothing", "Unknown", "True", "forced")] word: &str,
    #[case] cvo: CvoLease,
    #[case] operator: Operator,
    #[case] expected: Option<&str>,
) {
    let (object, wait) = match word {
        "nothing" => (asked(false, "oc"), "Wait(Answer)"),
        "forced" => (asked(true, "upgrade-gate"), "Wait(Begin)"),
        "True" => (with_word(asked(false, "oc"), "True", "PayloadLoaded", "version=\"4.21.2\""), "Wait(Begin)"),
        status => (with_word(asked(false, "oc"), status, "RetrievePayload", "version=\"4.21.2\""), "Wait(Answer)"),
    };
    let evidence = Evidence { cvo, operator, ..evidence(&object, GUARDED, pending()) };
    assert_eq!(next_shown(&goal(), &asked_before(44), &object, &evidence), wait);
    assert_eq!(next_shown(&goal(), &asked_before(45), &object, &evidence), expected.unwrap_or(wait));
    assert_eq!(shown(&next(&goal(), &asked_before(45), &cluster(&object), None)), "Look");
}

#[rstest]
#[case::a_slow_cvo(CvoLease::Fresh, "Wait(Complete)")]
#[case::one_that_has_stopped(CvoLease::Stale, "End(NoCvo(Stale))")]
fn an_update_without_an_answer_for_ten_minutes_needs_a_cvo(#[case] cvo: CvoLease, #[case] expected: &str) {
    let object = begun(asked(true, "upgrade-gate"), "Partial");
    let evidence = Evidence { cvo, ..evidence(&object, CREATED, pending()) };
    let memory = |seconds| Memory { unchanged_for: Duration::from_secs(seconds), ..asked_before(3600) };
    assert_eq!(next_shown(&goal(), &memory(599), &object, &evidence), "Wait(Complete)");
    assert_eq!(next_shown(&goal(), &memory(600), &object, &evidence), expected);
    assert_eq!(shown(&next(&goal(), &memory(600), &cluster(&object), None)), "Look");
}

/// What `update` did not set, neither it nor `cleanup` removes.
#[test]
fn a_force_of_a_person_is_not_promised_to_be_removed() {
    let goal = Goal { wait: false, ..goal() };
    let object = asked(true, "oc");
    assert_eq!(next_shown(&goal, &asked_before(0), &object, &evidence(&object, MISSING, pending())), "Wait(Begin)");
    let object = with_word(object, "True", "PayloadLoaded", "Payload loaded version=\"4.21.2\"");
    let shown = next_shown(&goal, &asked_before(0), &object, &evidence(&object, MISSING, pending()));
    assert_eq!(shown, "End(Left { forced: false })");
}

#[test]
fn an_old_refusal_is_given_time_to_change() {
    let object = with_word(asked(false, "oc"), "False", "RetrievePayload", "Retrieving failed version=\"4.21.2\"");
    let evidence = evidence(&object, GUARDED, pending());
    let memory = |waited| Memory { old_word: word(&cluster(&object)).cloned(), ..asked_before(waited) };
    assert_eq!(next_shown(&goal(), &memory(44), &object, &evidence), "Wait(Answer)");
    assert_eq!(next_shown(&goal(), &memory(45), &object, &evidence), "End Refused RetrievePayload");
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &evidence), "End Refused RetrievePayload");
}

#[rstest]
#[case::another_target(json!({"version": "4.21.3", "image": ONE}))]
#[case::cleared(json!(null))]
fn who_asks_for_something_else_meanwhile_has_the_last_word(#[case] desired_update: Value) {
    let mut object = refused();
    object["spec"]["desiredUpdate"] = desired_update;
    let seen = |policy| evidence(&object, policy, pending());
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &seen(GUARDED)), "End(Overtaken)");
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &seen(CREATED)), "RemovePolicy", "first what it created");
    assert_eq!(next_shown(&goal(), &Memory::default(), &object, &seen(GUARDED)), "Ask");
}

/// The release is named by its image, and the CVO would look the version up: another image of it, or none, is what it finds.
#[test]
fn a_request_for_the_version_alone_is_replaced_by_the_whole_one() {
    let mut object = refused();
    object["spec"]["desiredUpdate"] = json!({"version": "4.21.2"});
    assert_eq!(next_shown(&goal(), &Memory::default(), &object, &evidence(&object, GUARDED, pending())), "Ask");
    let object = begun(object, "Partial");
    assert_eq!(shown(&next(&goal(), &Memory::default(), &cluster(&object), None)), "Wait(Complete)");
}

#[test]
fn a_forced_release_that_the_cvo_cannot_retrieve_is_given_up() {
    let object = with_word(asked(true, "upgrade-gate"), "False", "RetrievePayload", "failed version=\"4.21.2\"");
    let evidence = evidence(&object, CREATED, pending());
    assert_eq!(next_shown(&goal(), &asked_before(44), &object, &evidence), "Wait(Begin)");
    assert_eq!(next_shown(&goal(), &asked_before(45), &object, &evidence), "End Refused RetrievePayload");
}

#[rstest]
#[case::accepted(with_word(asked(false, "oc"), "True", "PayloadLoaded", "Payload loaded version=\"4.21.2\""), false)]
#[case::forced(asked(true, "upgrade-gate"), true)]
#[case::forced_and_running(begun(asked(true, "upgrade-gate"), "Partial"), true)]
#[case::accepted_and_running(begun(asked(false, "oc"), "Partial"), false)]
fn without_wait_it_ends_once_the_update_goes_ahead(#[case] object: Value, #[case] forced: bool) {
    let goal = Goal { wait: false, ..goal() };
    let step = |policy| {
        let evidence = evidence(&object, policy, pending());
        next(&goal, &asked_before(0), &cluster(&object), Some(&evidence))
    };
    assert_eq!(step(GUARDED), Step::End(Ending::Left { forced }));
    let expected = if forced { Step::End(Ending::Left { forced }) } else { Step::RemovePolicy };
    assert_eq!(step(CREATED), expected, "the policy stays for the force alone");
}

#[test]
fn a_failing_update_is_given_ten_minutes() {
    let mut object = begun(asked(true, "upgrade-gate"), "Partial");
    let failing = json!({"type": "Failing", "status": "True", "reason": "A", "message": "etcd is down"});
    object["status"]["conditions"].as_array_mut().unwrap().push(failing);
    let seen = evidence(&object, CREATED, pending());
    let memory = |seconds| Memory { failing_for: Duration::from_secs(seconds), ..asked_before(0) };
    assert_eq!(next_shown(&goal(), &memory(599), &object, &seen), "Wait(Complete)");
    let shown = next_shown(&goal(), &memory(600), &object, &seen);
    assert_eq!(shown, "End(Failing(\"etcd is down\"))", "the force and its policy stay");
}
