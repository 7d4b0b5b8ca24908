//! Each condition keeps the force in spec by itself and is named; what is removed is ours and nothing else.

use rstest::rstest;
use serde_json::{Value, json};

use crate::plan::bridge::unforce::*;

const TWO: &str = "r.example.com/release@sha256:2222222222222222222222222222222222222222222222222222222222222222";
const MIRROR: &str = "mirror.lan/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
const THREE: &str = "r.example.com/release@sha256:3333333333333333333333333333333333333333333333333333333333333333";

fn owner(manager: &str, fields: &[&str]) -> Value {
    let owned: serde_json::Map<String, Value> = fields.iter().map(|field| (format!("f:{field}"), json!({}))).collect();
    json!({"manager": manager, "operation": "Update", "time": "2026-01-01T00:00:00Z",
           "fieldsV1": {"f:spec": {"f:desiredUpdate": owned}}})
}

/// A cluster that completed 4.21.2, which was asked for by version, and forced and pinned by the bridge.
fn completed() -> Value {
    json!({
        "metadata": {"resourceVersion": "7", "uid": "u", "generation": 4, "managedFields": [
            owner("kubectl-patch", &["version", "architecture"]), owner("upgrade-gate", &["force", "image"]),
        ]},
        "spec": {"desiredUpdate": {"version": "4.21.2", "image": TWO, "architecture": "", "force": true}},
        "status": {
            "desired": {"version": "4.21.2", "image": TWO},
            "history": [
                {"state": "Completed", "version": "4.21.2", "image": TWO, "startedTime": "2026-01-01T00:00:00Z"},
                {"state": "Completed", "version": "4.21.1", "image": "one", "startedTime": "2025-12-01T00:00:00Z"},
            ],
            "conditions": [
                {"type": "ReleaseAccepted", "status": "True"},
                {"type": "Progressing", "status": "False"},
                {"type": "Failing", "status": "False"},
                {"type": "Invalid", "status": "False"},
            ],
        },
    })
}

fn operators(health: &[(&str, Health)]) -> Source<Vec<ClusterOperator>> {
    let operator = |(name, health): &(&str, Health)| ClusterOperator {
        name: (*name).to_owned(),
        upgradeable: Ok(None),
        health: *health,
    };
    Source::Read(health.iter().map(operator).collect())
}

fn record(status: &Value) -> Source<Vec<UpdateRecord>> {
    let record = serde_json::from_value(json!({
        "apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord", "metadata": {"name": "a"},
        "spec": {"from": "4.21.1", "to": "4.21.2", "type": "patch", "image": TWO, "overrides": [],
                 "acceptedRisks": "text", "by": "Bridge", "acceptedTime": "2026-01-01T00:00:00Z"},
        "status": status,
    }));
    Source::Read(vec![record.unwrap()])
}

fn complete() -> Source<Vec<UpdateRecord>> {
    record(&json!({"outcome": "Completed", "startedTime": "2026-01-01T00:00:00Z"}))
}

/// The object after these changes, each a JSON pointer and a value.
fn changed(changes: &[(&str, Value)]) -> Value {
    let mut object = completed();
    for (path, value) in changes {
        let patch = json!([{"op": "add", "path": path, "value": value}]);
        json_patch::patch(&mut object, &serde_json::from_value::<json_patch::Patch>(patch).unwrap()).unwrap();
    }
    object
}

fn decided(
    object: &Value,
    operators: &Source<Vec<ClusterOperator>>,
    records: &Source<Vec<UpdateRecord>>,
) -> Option<Result<ForceRemoval, KeepReason>> {
    decide(&ClusterVersion::from_value(object.clone()).unwrap(), operators, records, EntryStart::default())
}

/// The request that the removal leaves, in an otherwise healthy cluster.
fn left(object: &Value) -> Value {
    let patch = decided(object, &operators(&[("etcd", Health::Healthy)]), &complete()).unwrap().unwrap().patch();
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch).unwrap();
    let request = patched["spec"]["desiredUpdate"].take();
    let mut expected = object.clone();
    expected["spec"]["desiredUpdate"] = Value::Null;
    assert_eq!(patched, expected, "nothing else changes");
    request
}

const REQUEST: &str = "/spec/desiredUpdate";
const OWNERS: &str = "/metadata/managedFields";
const FRONT: &str = "/status/history/0";

#[rstest]
#[case::by_version(&[], json!({"version": "4.21.2", "architecture": ""}))]
#[case::by_version_and_image(
    &[(OWNERS, json!([owner("oc", &["version", "image"]), owner("upgrade-gate", &["force"])]))],
    json!({"version": "4.21.2", "image": TWO, "architecture": ""}))]
#[case::by_image(
    &[(OWNERS, json!([owner("oc", &["image"]), owner("upgrade-gate", &["force"])])),
      (REQUEST, json!({"image": TWO, "force": true}))],
    json!({"image": TWO}))]
#[case::by_the_name_of_a_mirror(&[(REQUEST, json!({"version": "4.21.2", "image": MIRROR, "force": true}))], json!({"version": "4.21.2"}))]
#[case::an_image_that_somebody_else_applied_too(
    &[(OWNERS, json!([owner("argocd", &["image"]), owner("upgrade-gate", &["force", "image"])]))],
    json!({"version": "4.21.2", "image": TWO, "architecture": ""}))]
#[case::an_image_that_is_all_there_is(
    &[(REQUEST, json!({"image": TWO, "version": "", "force": true}))], json!({"image": TWO, "version": ""}))]
#[case::an_image_of_no_known_owner(
    &[(OWNERS, json!([owner("upgrade-gate", &["force"])]))], json!({"version": "4.21.2", "image": TWO, "architecture": ""}))]
#[case::accepted_risks_stay(
    &[(REQUEST, json!({"version": "4.21.2", "image": TWO, "force": true, "acceptRisks": [{"name": "A"}]}))],
    json!({"version": "4.21.2", "acceptRisks": [{"name": "A"}]}))]
#[case::conditions_that_are_not_there(
    &[("/status/conditions", json!([{"type": "ReleaseAccepted", "status": "True"}, {"type": "Progressing", "status": "False"}]))],
    json!({"version": "4.21.2", "architecture": ""}))]
fn what_is_ours_is_removed_and_what_a_person_wrote_stays(#[case] changes: &[(&str, Value)], #[case] expected: Value) {
    assert_eq!(left(&changed(changes)), expected);
}

#[rstest]
#[case::nothing_asked_for(&[(REQUEST, json!(null))])]
#[case::not_forced(&[("/spec/desiredUpdate/force", json!(false))])]
#[case::forced_by_a_person(&[(OWNERS, json!([owner("oc", &["version", "image", "force"])]))])]
#[case::forced_by_a_person_on_an_image_of_ours(&[(OWNERS, json!([owner("oc", &["force"]), owner("upgrade-gate", &["image"])]))])]
#[case::nobody_knows_by_whom(&[(OWNERS, json!([]))])]
#[case::before_the_api_server_kept_owners(&[(OWNERS, json!(null))])]
fn a_force_of_somebody_elses_is_none_of_our_business(#[case] changes: &[(&str, Value)]) {
    assert_eq!(decided(&changed(changes), &operators(&[]), &complete()), None);
}

#[rstest]
#[case::applied_by_somebody_else_too(
    &[(OWNERS, json!([owner("upgrade-gate", &["force", "image"]), owner("argocd", &["force"])]))],
    KeepReason::SharedForce("argocd".to_owned()))]
#[case::architecture(&[("/spec/desiredUpdate/architecture", json!("Multi"))], KeepReason::RequestChanged)]
#[case::a_mode(&[("/spec/desiredUpdate/mode", json!("Preflight"))], KeepReason::RequestChanged)]
#[case::an_unknown_field(&[("/spec/desiredUpdate/later", json!(true))], KeepReason::RequestChanged)]
#[case::a_tag(&[("/spec/desiredUpdate/image", json!("r:tag"))], KeepReason::RequestChanged)]
#[case::no_image(&[(REQUEST, json!({"version": "4.21.2", "force": true}))], KeepReason::RequestChanged)]
#[case::invalid(&[("/status/conditions/3/status", json!("True"))], KeepReason::Invalid)]
#[case::another_version(&[("/spec/desiredUpdate/version", json!("4.21.3"))], KeepReason::NotBegun)]
#[case::another_image(&[("/spec/desiredUpdate/image", json!(THREE))], KeepReason::NotBegun)]
#[case::before_it_begins(&[("/status/history", json!([{"state": "Completed", "version": "4.21.1", "image": "one"}]))], KeepReason::NotBegun)]
#[case::another_in_front(&[(FRONT, json!({"state": "Completed", "version": "4.21.3", "image": THREE}))], KeepReason::NotBegun)]
#[case::no_history(&[("/status/history", json!(null))], KeepReason::NotBegun)]
#[case::no_status(&[("/status", json!(null))], KeepReason::NotBegun)]
#[case::an_entry_without_an_image(&[("/status/history/0/image", json!(""))], KeepReason::NotBegun)]
#[case::partial(&[("/status/history/0/state", json!("Partial"))], KeepReason::NotCompleted)]
#[case::no_state(&[("/status/history/0/state", json!(null))], KeepReason::NotCompleted)]
#[case::an_unknown_state(&[("/status/history/0/state", json!("completed"))], KeepReason::NotCompleted)]
#[case::another_desired_version(&[("/status/desired/version", json!("4.21.1"))], KeepReason::NotDesired)]
#[case::another_desired_image(&[("/status/desired/image", json!(THREE))], KeepReason::NotDesired)]
#[case::nothing_desired(&[("/status/desired", json!(null))], KeepReason::NotDesired)]
#[case::refused(&[("/status/conditions/0/status", json!("False"))], KeepReason::NotAccepted)]
#[case::accepted_unknown(&[("/status/conditions/0/status", json!("Unknown"))], KeepReason::NotAccepted)]
#[case::not_accepted(&[("/status/conditions/0/type", json!("Other"))], KeepReason::NotAccepted)]
#[case::progressing(&[("/status/conditions/1/status", json!("True"))], KeepReason::Progressing)]
#[case::progressing_unknown(&[("/status/conditions/1/status", json!("Unknown"))], KeepReason::Progressing)]
#[case::progressing_missing(&[("/status/conditions/1/type", json!("Other"))], KeepReason::Progressing)]
#[case::failing(&[("/status/conditions/2/status", json!("True"))], KeepReason::Failing)]
fn each_condition_of_the_cluster_version_keeps_the_force(
    #[case] changes: &[(&str, Value)],
    #[case] expected: KeepReason,
) {
    assert_eq!(decided(&changed(changes), &operators(&[]), &complete()), Some(Err(expected)));
}

#[rstest]
#[case::degraded(operators(&[("dns", Health::Healthy), ("etcd", Health::Degraded)]), KeepReason::OperatorUnhealthy("etcd".to_owned()))]
#[case::unavailable(operators(&[("etcd", Health::Unavailable)]), KeepReason::OperatorUnhealthy("etcd".to_owned()))]
#[case::unknown(operators(&[("etcd", Health::Unknown)]), KeepReason::OperatorUnhealthy("etcd".to_owned()))]
#[case::unreadable(Source::Unreadable("why".to_owned()), KeepReason::OperatorsUnreadable)]
#[case::not_served(Source::NotServed, KeepReason::OperatorsUnreadable)]
#[case::not_given(Source::NotGiven, KeepReason::OperatorsUnreadable)]
fn each_condition_of_the_cluster_operators_keeps_the_force(
    #[case] operators: Source<Vec<ClusterOperator>>,
    #[case] expected: KeepReason,
) {
    assert_eq!(decided(&completed(), &operators, &complete()), Some(Err(expected)));
}

#[rstest]
#[case::pending(record(&json!({"outcome": "Pending", "startedTime": "2026-01-01T00:00:00Z"})), Some(KeepReason::RecordOpen))]
#[case::not_begun(record(&json!({"outcome": "Pending"})), Some(KeepReason::RecordOpen))]
#[case::no_status(record(&json!(null)), Some(KeepReason::RecordOpen))]
#[case::unreadable(Source::Unreadable("why".to_owned()), Some(KeepReason::RecordsUnreadable))]
#[case::not_seen(Source::NotGiven, Some(KeepReason::RecordsUnreadable))]
#[case::complete(complete(), None)]
#[case::of_an_earlier_update(record(&json!({"outcome": "Abandoned"})), None)]
#[case::never_written(Source::Read(Vec::new()), None)]
#[case::not_served(Source::NotServed, None)]
fn the_record_says_how_it_ended_before_the_force_goes(
    #[case] records: Source<Vec<UpdateRecord>>,
    #[case] expected: Option<KeepReason>,
) {
    let decided = decided(&completed(), &operators(&[]), &records).unwrap();
    assert_eq!(decided.err(), expected);
}

#[rstest]
#[case("version", json!("4.21.3"))]
#[case("image", json!(THREE))]
#[case("force", json!(false))]
#[case("architecture", json!("Multi"))]
#[case("acceptRisks", json!([{"name": "A"}]))]
fn a_request_that_has_changed_since_fails_the_patch(#[case] field: &str, #[case] value: Value) {
    let patch = decided(&completed(), &operators(&[]), &complete()).unwrap().unwrap().patch();
    let mut object = completed();
    object["spec"]["desiredUpdate"][field] = value;
    assert!(json_patch::patch(&mut object, &patch).is_err());
}

#[test]
fn the_patch_names_the_resource_version_that_was_read() {
    let patch = decided(&completed(), &operators(&[]), &complete()).unwrap().unwrap().patch();
    let request = json!({"version": "4.21.2", "image": TWO, "architecture": "", "force": true});
    let expected = json!([
        {"op": "test", "path": "/spec/desiredUpdate", "value": request},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/spec/desiredUpdate/force"},
        {"op": "remove", "path": "/spec/desiredUpdate/image"},
    ]);
    assert_eq!(serde_json::to_value(patch).unwrap(), expected);
}
