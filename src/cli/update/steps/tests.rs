//! What the command does next in each state that a run, or one that was killed, may find.

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

/// A cluster at rest at 4.21.1 under an override, which offers 4.21.2.
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
        operator: false,
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
#[case::no_policy(MISSING, pending(), "InstallPolicy")]
#[case::a_part_of_the_policy(PolicyState::Missing { leftover: true }, pending(), "InstallPolicy")]
#[case::not_enforced_yet(PolicyState::Settling, pending(), "Wait(Policy)")]
#[case::of_somebody_else(PolicyState::Foreign, pending(), "End(NotForced(NoPolicy))")]
#[case::not_readable(PolicyState::Unreadable("no".to_owned()), pending(), "End(NotForced(NoPolicy))")]
#[case::no_record(GUARDED, Source::Read(Vec::new()), "Record Bridge 4.21.2")]
#[case::records_not_readable(GUARDED, Source::Unreadable("no".to_owned()), "Wait(Record)")]
#[case::records_not_served(GUARDED, Source::NotServed, "Force Patch true")]
#[case::all_there(GUARDED, pending(), "Force Patch true")]
#[case::policy_of_this_command(CREATED, pending(), "Force Patch true")]
fn a_patch_refused_for_overrides_alone_is_forced_once_it_is_guarded_and_recorded(
    #[case] policy: PolicyState,
    #[case] records: Source<Vec<UpdateRecord>>,
    #[case] expected: &str,
) {
    let object = refused();
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &evidence(&object, policy, records)), expected);
}

#[test]
fn without_policy_is_said_on_purpose() {
    let object = refused();
    let goal = Goal { without_policy: true, ..goal() };
    assert_eq!(
        next_shown(&goal, &asked_before(0), &object, &evidence(&object, MISSING, pending())),
        "Force Patch true"
    );
}

#[rstest]
#[case::fails(true, 59, "Wait(Record)")]
#[case::is_tried_again(false, 59, "Record Bridge 4.21.2")]
#[case::fails_for_a_minute(true, 60, "Force Patch true")]
fn a_record_that_cannot_be_written_holds_the_update_back_for_a_minute(
    #[case] record_fails: bool,
    #[case] seconds: u64,
    #[case] expected: &str,
) {
    let object = refused();
    let memory = Memory { record_fails, record_missing_for: Duration::from_secs(seconds), ..asked_before(0) };
    let evidence = evidence(&object, GUARDED, Source::Read(Vec::new()));
    assert_eq!(next_shown(&goal(), &memory, &object, &evidence), expected);
}

#[rstest]
#[case::a_cvo_that_is_gone(CvoLease::Stale)]
#[case::no_cvo(CvoLease::Absent)]
#[case::no_right_to_look(CvoLease::Unknown)]
fn nothing_is_forced_without_a_cvo(#[case] cvo: CvoLease) {
    let object = refused();
    let evidence = Evidence { cvo, ..evidence(&object, GUARDED, pending()) };
    assert_eq!(next_shown(&goal(), &asked_before(44), &object, &evidence), "Wait(Cvo)");
    assert_eq!(next_shown(&goal(), &asked_before(45), &object, &evidence), "End(NotForced(NoCvo))");
}

#[rstest]
#[case::is_pulling(CvoLease::Fresh, false, "Wait(Answer)")]
#[case::may_be_running(CvoLease::Unknown, false, "Wait(Answer)")]
#[case::has_stopped(CvoLease::Stale, false, "End(NoCvo)")]
#[case::the_operator_is_the_gate(CvoLease::Absent, true, "Wait(Answer)")]
fn a_cvo_that_has_stopped_never_answers(#[case] cvo: CvoLease, #[case] operator: bool, #[case] expected: &str) {
    let object = asked(false, "oc");
    let evidence = Evidence { cvo, operator, ..evidence(&object, GUARDED, pending()) };
    assert_eq!(next_shown(&goal(), &asked_before(44), &object, &evidence), "Wait(Answer)");
    assert_eq!(next_shown(&goal(), &asked_before(45), &object, &evidence), expected);
    assert_eq!(shown(&next(&goal(), &asked_before(45), &cluster(&object), None)), "Look");
}

#[test]
fn what_blocks_beside_overrides_is_the_answer() {
    let overrides = ("ClusterVersionUpgradeable", "ClusterVersionOverridesSet");
    let object = refused_for(&[overrides, ("ClusterVersionRollback", "LowDesiredVersion")]);
    let shown = next_shown(&goal(), &asked_before(0), &object, &evidence(&object, GUARDED, pending()));
    assert_eq!(shown, "End Refused PreconditionChecks");
    let object = refused_for(&[overrides, ("ClusterVersionRecommendedUpdate", "NoChannel")]);
    let shown = next_shown(&goal(), &asked_before(0), &object, &evidence(&object, GUARDED, pending()));
    assert_eq!(shown, "Force Patch true", "what only warns doesn't block");
}

#[test]
fn without_an_override_the_cvo_decides_again_by_itself() {
    let mut object = refused();
    object["spec"]["overrides"] = json!([]);
    let evidence = evidence(&object, GUARDED, pending());
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &evidence), "Wait(Answer)");
    assert_eq!(next_shown(&goal(), &asked_before(45), &object, &evidence), "End(NotForced(NoOverrides))");
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

#[test]
fn a_running_operator_does_the_forcing() {
    let object = refused();
    let with = |policy| Evidence { operator: true, ..evidence(&object, policy, pending()) };
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &with(GUARDED)), "Wait(Operator)");
    assert_eq!(next_shown(&goal(), &asked_before(119), &object, &with(MISSING)), "Wait(Operator)");
    assert_eq!(next_shown(&goal(), &asked_before(120), &object, &with(MISSING)), "End(NotForced(NoPolicy))");
    assert_eq!(next_shown(&goal(), &asked_before(120), &object, &with(GUARDED)), "End(OperatorIdle)");
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let evidence = Evidence { operator: true, ..evidence(&object, GUARDED, completed()) };
    assert_eq!(
        next_shown(&goal(), &asked_before(0), &object, &evidence),
        "Wait(Operator)",
        "it removes the force as well"
    );
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

#[rstest]
#[case::no_record(Source::Read(Vec::new()), MISSING, true, "Unforce, image false")]
#[case::force(completed(), CREATED, true, "Unforce, image false")]
#[case::policy(completed(), CREATED, false, "RemovePolicy")]
#[case::a_part_of_the_policy(completed(), PolicyState::Missing { leftover: true }, false, "RemovePolicy")]
#[case::policy_of_somebody_else(completed(), GUARDED, false, "End(Completed)")]
#[case::nothing(completed(), MISSING, false, "End(Completed)")]
#[case::records_not_served(Source::NotServed, MISSING, true, "Show Some(Completed)")]
fn once_completed_the_force_goes_first_and_then_the_policy(
    #[case] records: Source<Vec<UpdateRecord>>,
    #[case] policy: PolicyState,
    #[case] forced: bool,
    #[case] expected: &str,
) {
    let object = begun(asked(forced, if forced { "upgrade-gate" } else { "oc" }), "Completed");
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &evidence(&object, policy, records)), expected);
}

#[test]
fn a_record_is_closed_before_the_force_goes() {
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let endings = vec![("a".to_owned(), json!({}))];
    let evidence = Evidence { endings, ..evidence(&object, CREATED, completed()) };
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &evidence), "Close");
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

#[test]
fn a_record_that_could_not_be_closed_is_tried_again_as_long_as_the_force_waits_for_it() {
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let endings = vec![("a".to_owned(), json!({}))];
    let evidence = Evidence { endings, ..evidence(&object, CREATED, pending()) };
    let failed = Memory { record_fails: true, record_missing_for: PATIENCE, ..asked_before(0) };
    let step = next(&goal(), &failed, &cluster(&object), Some(&evidence));
    assert_eq!(step, Step::Wait(Wait::Unforce(KeepReason::RecordOpen)));
    let Step::Wait(wait) = step else { panic!("{step:?}") };
    assert!(wait.is_for_record());
    let again = Memory { record_fails: false, ..failed };
    assert_eq!(next_shown(&goal(), &again, &object, &evidence), "Close");
}

#[test]
fn a_printed_record_is_printed_once() {
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let memory = Memory { shown: true, ..asked_before(0) };
    let shown = next_shown(&goal(), &memory, &object, &evidence(&object, MISSING, Source::NotServed));
    assert_eq!(shown, "Unforce, image false");
}

#[test]
fn a_force_that_has_to_stay_is_waited_for_or_told() {
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let mut seen = evidence(&object, GUARDED, completed());
    let unhealthy =
        |name: &str| ClusterOperator { name: name.to_owned(), upgradeable: Ok(None), health: Health::Degraded };
    seen.snapshot.cluster_operators = Source::Read(vec![unhealthy("upgrade-gate")]);
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &seen), "Unforce, image false");
    seen.snapshot.cluster_operators = Source::Read(vec![unhealthy("etcd")]);
    let shown = next_shown(&goal(), &asked_before(0), &object, &seen);
    assert_eq!(shown, "Wait(Unforce(OperatorUnhealthy(\"etcd\")))");
    let hasty = Goal { wait: false, ..goal() };
    assert_eq!(next_shown(&hasty, &asked_before(0), &object, &seen), "End(Left { forced: true })");

    let mut object = object;
    object["metadata"]["managedFields"] = json!([owner("upgrade-gate"), owner("argocd")]);
    let seen = evidence(&object, GUARDED, completed());
    let shown = next_shown(&goal(), &asked_before(0), &object, &seen);
    assert_eq!(shown, "End(Kept(SharedForce(\"argocd\")))");
}

#[test]
fn a_force_of_a_person_is_watched_and_stays() {
    let object = begun(asked(true, "oc"), "Completed");
    let shown = next_shown(&goal(), &asked_before(0), &object, &evidence(&object, GUARDED, completed()));
    assert_eq!(shown, "End(Completed)");
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
fn a_force_that_stays_under_a_changed_request_is_told() {
    let mut object = begun(asked(true, "upgrade-gate"), "Completed");
    object["spec"]["desiredUpdate"]["version"] = json!("4.21.3");
    let seen = evidence(&object, GUARDED, completed());
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &seen), "End(Kept(RequestChanged))");
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

#[test]
fn what_is_forced_is_never_a_minor() {
    let minor = "r.example/ocp@sha256:3333333333333333333333333333333333333333333333333333333333333333";
    let mut object = refused();
    object["status"]["availableUpdates"] = json!([{"version": "4.22.0", "image": minor}]);
    object["spec"]["desiredUpdate"] = json!({"version": "4.22.0", "image": minor, "force": false});
    let message = object["status"]["conditions"][2]["message"].as_str().unwrap();
    object["status"]["conditions"][2]["message"] = json!(message.replace("4.21.2", "4.22.0").replace(TWO, minor));
    let allowed = Allowed { explicit: true, not_recommended: true, warnings: true };
    let request = request(&cluster(&object), &named(Some("4.22.0"), None).unwrap(), allowed).unwrap();
    let goal = Goal { request, wait: true, without_policy: true };
    let step = next(&goal, &asked_before(0), &cluster(&object), Some(&evidence(&object, GUARDED, pending())));
    assert!(matches!(step, Step::End(Ending::NotForced(SkipReason::NotPatch(_)))), "{step:?}");
}
