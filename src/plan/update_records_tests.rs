//! UpdateRecords: the record of an update, its `by`, and its outcome.

use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    api::{AcceptedBy, ClusterVersion, Release, Uid, UpdateRecord},
    gate::testing::evaluate_to,
    plan::{
        newest_entry::EntryStart,
        patch::record_status,
        update_records::{LIMIT, before_accepting, follow, lost, name, of_history, unverified},
        write::RecordWrite,
    },
};

const NOW: &str = "2026-01-02T03:04:05Z";
const FORCED: &str = "Forced through blocking failures: text";
const DIGEST: &str = "r@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn cluster(request: &Value, history: &Value) -> ClusterVersion {
    ClusterVersion::from_value(json!({
        "spec": {"desiredUpdate": request},
        "status": {"desired": {"version": "4.21.1", "image": "one"}, "history": history},
    }))
    .unwrap()
}

fn entry(state: &str, started: &str, risks: &str) -> Value {
    json!({"state": state, "version": "4.21.2", "image": DIGEST, "startedTime": started, "completionTime": "done",
           "verified": true, "acceptedRisks": risks})
}

fn record(name: &str, status: &Value) -> UpdateRecord {
    let spec = json!({"from": "4.21.1", "to": "4.21.2", "type": "patch", "image": DIGEST, "overrides": [],
                      "acceptedRisks": "text", "by": "Bridge", "acceptedTime": NOW});
    serde_json::from_value(json!({"apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord",
        "metadata": {"name": name, "resourceVersion": "5"}, "spec": spec, "status": status}))
    .unwrap()
}

fn statuses(writes: &[RecordWrite]) -> Vec<(String, Value)> {
    let status = |write: &RecordWrite| match write {
        RecordWrite::Status { name, status, .. } => Some((name.clone(), serde_json::to_value(status).unwrap())),
        RecordWrite::Create(_) | RecordWrite::Delete { .. } => None,
    };
    writes.iter().filter_map(status).collect()
}

#[rstest]
#[case::plain("4.21.2", DIGEST, "4.21.2-0123456789ab")]
#[case::build_metadata("4.21.2+Build_1", DIGEST, "4.21.2-build-1-0123456789ab")]
#[case::no_digest("4.21.2", "r:tag", "4.21.2-no-digest")]
#[case::no_version("", DIGEST, "unknown-0123456789ab")]
#[case::odd("../..", DIGEST, "0123456789ab")]
fn names(#[case] version: &str, #[case] image: &str, #[case] expected: &str) {
    let release = Release { version: version.into(), image: image.into(), ..Release::default() };
    assert_eq!(name(&release), expected);
}

#[rstest]
#[case::begun(json!({"version": "4.21.2"}), json!([entry("Partial", "s1", FORCED)]), json!(null),
    json!({"outcome": "Pending", "startedTime": "s1", "inHistory": true}))]
#[case::completed(json!(null), json!([entry("Completed", "s1", FORCED)]),
    json!({"outcome": "Pending", "startedTime": "s1", "inHistory": true}),
    json!({"outcome": "Completed", "startedTime": "s1", "completedTime": "done", "verified": true, "inHistory": true}))]
#[case::lost_later(json!(null), json!([entry("Completed", "s1", "")]),
    json!({"outcome": "Completed", "startedTime": "s1", "completedTime": "done", "verified": true, "inHistory": true}),
    json!({"outcome": "Completed", "startedTime": "s1", "completedTime": "done", "verified": true, "inHistory": false}))]
#[case::behind_the_newest(json!(null),
    json!([{"state": "Completed", "version": "4.21.3", "startedTime": NOW}, entry("Completed", "2026-01-02T03:03:55Z", "")]), json!(null),
    json!({"outcome": "Completed", "startedTime": "2026-01-02T03:03:55Z", "completedTime": "done", "verified": true, "inHistory": false}))]
#[case::not_one_of_long_before(json!(null),
    json!([{"state": "Completed", "version": "4.21.3", "startedTime": NOW}, entry("Completed", "2026-01-02T03:02:05Z", "")]), json!(null),
    json!({"outcome": "Abandoned"}))]
#[case::still_asked_for(json!({"version": "4.21.2"}), json!([]), json!(null), json!({"outcome": "Pending"}))]
#[case::cleared(json!(null), json!([]), json!({"outcome": "Pending"}), json!({"outcome": "Abandoned"}))]
#[case::another_asked_for(json!({"version": "4.21.3"}), json!([]), json!(null), json!({"outcome": "Abandoned"}))]
#[case::cleared_before_it_began(json!(null), json!([entry("Partial", "s1", FORCED)]),
    json!({"outcome": "Pending", "startedTime": "s1", "inHistory": true}),
    json!({"outcome": "Abandoned", "startedTime": "s1", "inHistory": true}))]
#[case::asked_for_again(json!({"version": "4.21.2"}), json!([entry("Partial", "s1", FORCED)]),
    json!({"outcome": "Abandoned", "startedTime": "s1", "inHistory": true}),
    json!({"outcome": "Pending", "startedTime": "s1", "inHistory": true}))]
#[case::left_behind(json!(null),
    json!([{"state": "Partial", "version": "4.21.3", "image": "x", "startedTime": "s2"}, entry("Partial", "s1", FORCED)]),
    json!({"outcome": "Pending", "startedTime": "s1", "inHistory": true}),
    json!({"outcome": "Abandoned", "startedTime": "s1", "inHistory": true}))]
fn a_record_follows_its_update(
    #[case] request: Value,
    #[case] history: Value,
    #[case] before: Value,
    #[case] after: Value,
) {
    let cluster = cluster(&request, &history);
    let mut record = record("a", &before);
    let writes = follow(std::slice::from_ref(&record), &cluster);
    assert_eq!(statuses(&writes), [("a".to_owned(), after.clone())]);
    record.status = Some(serde_json::from_value(after).unwrap());
    assert_eq!(follow(&[record], &cluster), [], "nothing is written twice");
}

#[test]
fn a_field_that_the_status_loses_is_removed_from_the_record() {
    let mut entry = entry("Completed", "s1", FORCED);
    entry["completionTime"] = json!(null);
    let cluster = cluster(&json!(null), &json!([entry]));
    let completed = |time: &Value| json!({"outcome": "Completed", "startedTime": "s1", "completedTime": time, "verified": true, "inHistory": true});
    let before = record("a", &completed(&json!("done")));
    let writes = follow(std::slice::from_ref(&before), &cluster);
    let [RecordWrite::Status { status, .. }] = &writes[..] else { panic!("{writes:?}") };
    let mut stored = serde_json::to_value(&before).unwrap();
    json_patch::merge(&mut stored, &record_status(Some(&"5".to_owned().into()), status));
    let stored: UpdateRecord = serde_json::from_value(stored).unwrap();
    assert_eq!(stored, record("a", &completed(&json!(null))));
    assert_eq!(follow(&[stored], &cluster), [], "nothing is written twice");
}

#[test]
fn a_later_update_to_the_same_digest_has_a_record_of_its_own() {
    let done = record("4.21.2-0123456789ab", &json!({"outcome": "Completed", "startedTime": "s1"}));
    let cluster = cluster(&json!(null), &json!([entry("Partial", "s2", "Forced through blocking failures: x")]));
    let second = of_history(&[done], &cluster, EntryStart::default(), NOW).unwrap();
    assert_eq!(second.metadata.name.as_deref(), Some("4.21.2-0123456789ab-2"));
    assert_eq!(second.spec.by, AcceptedBy::Force);
}

#[rstest]
#[case::linked(json!({"outcome": "Pending", "startedTime": "s1"}))]
#[case::written_before_the_entry(json!(null))]
fn an_entry_has_one_record(#[case] status: Value) {
    let cluster = cluster(&json!(null), &json!([entry("Partial", "s1", FORCED)]));
    assert_eq!(of_history(&[record("a", &status)], &cluster, EntryStart::default(), NOW), None);
}

#[test]
fn an_update_that_runs_is_pending_whatever_is_asked_for() {
    let mut running = cluster(&json!({"version": "4.21.3"}), &json!([entry("Partial", "s1", FORCED)]));
    running.status.as_mut().unwrap().desired.version = "4.21.2".into();
    running.status.as_mut().unwrap().desired.image = DIGEST.into();
    let pending = record("a", &json!({"outcome": "Pending", "startedTime": "s1", "inHistory": true}));
    assert_eq!(follow(&[pending], &running), []);
}

/// What is written when an override is set while an update to 4.21.2 runs that was accepted without a risk.
fn begun(records: &[UpdateRecord]) -> Option<UpdateRecord> {
    let history = json!([entry("Partial", "s1", ""),
                         {"state": "Completed", "version": "4.20.9", "image": "one", "startedTime": "s0"}]);
    let running = ClusterVersion::from_value(json!({
        "spec": {"desiredUpdate": {"version": "4.21.2"},
                 "overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}]},
        "status": {"desired": {"version": "4.21.2", "image": DIGEST}, "history": history},
    }));
    let running = running.unwrap();
    before_accepting(records, &running, &evaluate_to(&running, "4.21.2"), AcceptedBy::Gate, NOW)
}

#[test]
fn an_update_that_has_begun_is_recorded_from_where_it_came() {
    let created = begun(&[]).unwrap();
    assert_eq!(
        (created.spec.from.as_str(), created.spec.to.as_str(), created.spec.update_type.as_str()),
        ("4.20.9", "4.21.2", "minor")
    );
}

#[rstest]
#[case::of_its_own(json!({"outcome": "Pending", "startedTime": "s1"}), false)]
#[case::written_before_it_began(json!(null), false)]
#[case::of_an_earlier_update(json!({"outcome": "Completed", "startedTime": "s0"}), true)]
fn an_update_that_has_begun_has_one_record_regardless_of_who_accepted_it(#[case] status: Value, #[case] created: bool) {
    assert_eq!(begun(&[record("a", &status)]).is_some(), created);
}

#[test]
fn the_oldest_records_leave_and_open_ones_stay() {
    let mut records: Vec<UpdateRecord> = (0..=LIMIT)
        .map(|index| {
            let mut record = record(&format!("r{index:03}"), &json!({"outcome": "Abandoned"}));
            record.spec.accepted_time = format!("2026-01-01T00:{:02}:{:02}Z", index / 60, index % 60);
            record
        })
        .collect();
    records[0].status = None;
    let cluster = cluster(&json!({"version": "4.21.2", "image": DIGEST}), &json!([]));
    let writes = follow(&records, &cluster);
    let oldest = RecordWrite::Delete { name: "r001".into(), uid: Uid::default() };
    assert_eq!(
        writes.iter().filter(|write| matches!(write, RecordWrite::Delete { .. })).collect::<Vec<_>>(),
        [&oldest]
    );
}

/// A cluster that asks for 4.21.2, forced by that manager at that time, where the update to it has begun.
fn forced_by(manager: &str, time: &str, risks: &str) -> ClusterVersion {
    let fields = json!({"f:spec": {"f:desiredUpdate": {"f:force": {}}}});
    ClusterVersion::from_value(json!({
        "metadata": {"managedFields": [{"manager": manager, "time": time, "fieldsV1": fields}]},
        "spec": {"desiredUpdate": {"version": "4.21.2", "image": DIGEST, "force": true}},
        "status": {"desired": {"version": "4.21.2", "image": DIGEST},
                   "history": [entry("Partial", "2026-01-02T03:04:06Z", risks), {"state": "Completed", "version": "4.21.1"}]},
    }))
    .unwrap()
}

#[rstest]
#[case::somebody("kubectl-patch", FORCED, AcceptedBy::Force)]
#[case::the_bridge("upgrade-gate", FORCED, AcceptedBy::Bridge)]
#[case::not_the_first_line("kubectl-patch", "No signature.\nForced through blocking failures: x", AcceptedBy::Force)]
#[case::not_needed("kubectl-patch", "Precondition \"A\" failed because of \"B\": x", AcceptedBy::Gate)]
fn a_record_that_is_missing_says_who_let_the_update_through(
    #[case] manager: &str,
    #[case] risks: &str,
    #[case] expected: AcceptedBy,
) {
    let record = of_history(&[], &forced_by(manager, NOW, risks), EntryStart::default(), "later").unwrap();
    assert_eq!(record.spec.by, expected);
    assert_eq!((&*record.spec.from, &*record.spec.accepted_time), ("4.21.1", "2026-01-02T03:04:06Z"));
}

#[test]
fn a_force_of_the_bridge_that_was_carried_along_is_not_the_bridges_doing() {
    let mut earlier = record("earlier", &json!({"outcome": "Completed", "startedTime": NOW}));
    (earlier.spec.to, earlier.spec.image) = ("4.21.1".into(), "one".into());
    let cluster = forced_by("upgrade-gate", NOW, FORCED);
    assert_eq!(
        of_history(&[earlier.clone()], &cluster, EntryStart::default(), NOW).unwrap().spec.by,
        AcceptedBy::Force
    );
    // One that was written after the earlier update had begun isn't that update's.
    earlier.status.as_mut().unwrap().started_time = Some("2026-01-02T03:00:00Z".into());
    assert_eq!(of_history(&[earlier], &cluster, EntryStart::default(), NOW).unwrap().spec.by, AcceptedBy::Bridge);
}

#[rstest]
#[case::somebody_was_quicker("kubectl-patch", FORCED, AcceptedBy::Force)]
#[case::the_cvo_let_it_through("upgrade-gate", "text", AcceptedBy::Gate)]
fn what_the_bridge_was_about_to_force_and_did_not_is_abandoned(
    #[case] manager: &str,
    #[case] risks: &str,
    #[case] by: AcceptedBy,
) {
    let cluster = forced_by(manager, NOW, risks);
    let ours = record("4.21.2-0123456789ab", &json!({"outcome": "Pending"}));
    let other = of_history(std::slice::from_ref(&ours), &cluster, EntryStart::default(), NOW).unwrap();
    assert_eq!((other.spec.by, other.metadata.name.as_deref()), (by, Some("4.21.2-0123456789ab-2")));
    let followed = statuses(&follow(&[ours, other], &cluster));
    let outcomes: Vec<_> = followed.iter().map(|(name, status)| (name.as_str(), status["outcome"].clone())).collect();
    assert_eq!(outcomes, [("4.21.2-0123456789ab", json!("Abandoned")), ("4.21.2-0123456789ab-2", json!("Pending"))]);
}

#[test]
fn what_the_gate_was_about_to_accept_and_was_forced_instead_is_abandoned() {
    let cluster = forced_by("upgrade-gate", NOW, FORCED);
    let mut gates = record("a", &json!(null));
    gates.spec.by = AcceptedBy::Gate;
    let bridges = record("b", &json!(null));
    let outcomes: Vec<_> = statuses(&follow(&[gates, bridges], &cluster))
        .into_iter()
        .map(|(name, status)| (name, status["outcome"].clone(), status["startedTime"].clone()))
        .collect();
    let started = json!("2026-01-02T03:04:06Z");
    assert_eq!(outcomes, [("a".into(), json!("Abandoned"), json!(null)), ("b".into(), json!("Pending"), started)]);
}

#[test]
fn the_way_back_to_the_previous_version_is_a_rollback() {
    let history =
        json!([entry("Partial", "s3", FORCED), {"version": "4.21.3"}, {"version": "4.21.2", "image": DIGEST}]);
    let record = of_history(&[], &cluster(&json!(null), &history), EntryStart::default(), NOW).unwrap();
    assert_eq!((&*record.spec.from, &*record.spec.update_type), ("4.21.3", "rollback"));
}

#[test]
fn of_two_unverified_updates_the_newer_is_reported() {
    let unverified_at = |name: &str, time: &str| {
        let mut record = record(name, &json!({"outcome": "Completed", "verified": false, "startedTime": time}));
        record.spec.accepted_time = time.into();
        record
    };
    let records = [unverified_at("a", NOW), unverified_at("b", "2026-01-01T00:00:00Z")];
    let cluster = cluster(&json!(null), &json!([]));
    assert_eq!(unverified(&records, &cluster).unwrap().metadata.name.as_deref(), Some("a"));
    assert_eq!(unverified(&[record("a", &json!({"outcome": "Completed", "verified": true}))], &cluster), None);
}

/// A later update, completed with a verified signature or without, and begun or not.
fn later(state: &str, started: &str, verified: bool) -> Value {
    json!([{"state": state, "version": "4.21.3", "image": "three", "startedTime": started, "verified": verified},
           {"state": "Completed", "version": "4.21.2", "image": DIGEST, "startedTime": "2026-01-02T03:04:06Z", "verified": false}])
}

#[rstest]
#[case::nothing_since(json!([]), json!(null), true)]
#[case::a_later_update_was_verified(later("Completed", "2026-01-03T00:00:00Z", true), json!(null), false)]
#[case::a_later_update_was_not(later("Completed", "2026-01-03T00:00:00Z", false), json!(null), true)]
#[case::a_later_update_runs(later("Partial", "2026-01-03T00:00:00Z", true), json!(null), true)]
#[case::an_earlier_update_was(later("Completed", "2026-01-01T00:00:00Z", true), json!(null), true)]
#[case::a_time_that_is_none(later("Completed", "later", true), json!(null), true)]
#[case::acknowledged(json!([]), json!({"upgrade-gate.openshift.io/acknowledged": "true"}), false)]
#[case::not_exactly(json!([]), json!({"upgrade-gate.openshift.io/acknowledged": "True"}), true)]
#[case::another_annotation(json!([]), json!({"acknowledged": "true"}), true)]
fn the_report_of_an_unverified_update_ends(
    #[case] history: Value,
    #[case] annotations: Value,
    #[case] is_reported: bool,
) {
    let status = json!({"outcome": "Completed", "verified": false, "startedTime": "2026-01-02T03:04:06Z"});
    let mut ours = record("a", &status);
    ours.metadata.annotations = serde_json::from_value(annotations).unwrap();
    let cluster = cluster(&json!(null), &history);
    assert_eq!(unverified(std::slice::from_ref(&ours), &cluster).is_some(), is_reported);
    // The history may have lost it, so the record is read.
    let status = json!({"outcome": "Completed", "verified": true, "startedTime": "2026-01-03T00:00:00Z"});
    assert_eq!(unverified(&[ours, record("b", &status)], &cluster), None);
}

/// A cluster under an override, at 4.21.2 by request, whose history is this, the older entries last.
fn under_overrides(front: &Value, older: &[Value]) -> ClusterVersion {
    let history: Vec<&Value> = std::iter::once(front).chain(older).collect();
    ClusterVersion::from_value(json!({
        "spec": {"desiredUpdate": {"image": DIGEST},
                 "overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}]},
        "status": {"desired": {"version": "4.21.2", "image": DIGEST}, "history": history},
    }))
    .unwrap()
}

const NEW: EntryStart = EntryStart { is_new: true, without_overrides: false };
const LATER_OVERRIDES: EntryStart = EntryStart { is_new: true, without_overrides: true };

#[rstest]
#[case::a_patch("4.21.1", "patch")]
#[case::a_minor("4.20.9", "minor")]
#[case::a_downgrade("4.21.3", "downgrade")]
#[case::from_no_version("", "unknown")]
fn what_the_cvo_lets_through_without_a_text_while_overrides_are_set_is_recorded(
    #[case] from: &str,
    #[case] update_type: &str,
) {
    let older = [json!({"state": "Completed", "version": from, "image": "one"})];
    let cluster = under_overrides(&entry("Partial", "2026-01-02T03:04:06Z", ""), &older);
    let record = of_history(&[], &cluster, EntryStart::default(), NOW).unwrap();
    let spec = &record.spec;
    assert_eq!((&*spec.from, &*spec.to, &*spec.update_type, spec.by), (from, "4.21.2", update_type, AcceptedBy::Gate));
    assert_eq!(
        spec.accepted_risks,
        "Overrides were set while this update ran, so it did not change: ClusterImagePolicy openshift."
    );
    assert_eq!(spec.overrides[0].name, "openshift");
    assert_eq!(spec.accepted_time, "2026-01-02T03:04:06Z");
    assert_eq!(of_history(std::slice::from_ref(&record), &cluster, EntryStart::default(), NOW), None, "and once");
    // The history never held a text, so none is lost.
    let followed = statuses(&follow(std::slice::from_ref(&record), &cluster));
    assert_eq!(followed[0].1, json!({"outcome": "Pending", "startedTime": "2026-01-02T03:04:06Z"}));
    let done = under_overrides(&entry("Completed", "2026-01-02T03:04:06Z", ""), &older);
    let status = json!({"outcome": "Completed", "startedTime": "2026-01-02T03:04:06Z", "verified": true, "completedTime": "done"});
    let known = UpdateRecord { status: serde_json::from_value(status).unwrap(), ..record };
    assert_eq!(
        (lost(std::slice::from_ref(&known), &done), follow(std::slice::from_ref(&known), &done)),
        (None, Vec::new())
    );
}

#[rstest]
#[case::it_runs("Partial", "", EntryStart::default(), true)]
#[case::it_runs_and_overrides_came_later("Partial", "", LATER_OVERRIDES, false)]
#[case::it_was_completed_before_anybody_looked("Completed", "", NEW, true)]
#[case::it_was_completed_before_the_start("Completed", "", EntryStart::default(), false)]
#[case::with_a_text_it_runs("Partial", "text", EntryStart::default(), true)]
#[case::with_a_text_whatever_came_later("Partial", "text", LATER_OVERRIDES, true)]
#[case::with_a_text_completed_before_anybody_looked("Completed", "text", NEW, true)]
#[case::with_a_text_completed_before_the_start("Completed", "text", EntryStart::default(), false)]
fn an_update_is_recorded_if_it_was_seen_to_begin(
    #[case] state: &str,
    #[case] risks: &str,
    #[case] start: EntryStart,
    #[case] recorded: bool,
) {
    let older = [json!({"state": "Completed", "version": "4.21.1", "image": "one"})];
    let cluster = under_overrides(&entry(state, "s1", risks), &older);
    assert_eq!(of_history(&[], &cluster, start, NOW).is_some(), recorded);
}

#[test]
fn an_installation_and_an_update_that_nobody_asked_for_are_not_recorded() {
    let older = [json!({"state": "Completed", "version": "4.21.1", "image": "one"})];
    let front = entry("Partial", "s1", "");
    assert_eq!(of_history(&[], &under_overrides(&front, &[]), NEW, NOW), None);
    let mut managed = under_overrides(&front, &older);
    managed.spec.overrides[0].unmanaged = false;
    assert_eq!(of_history(&[], &managed, NEW, NOW), None);
    let mut other = under_overrides(&front, &older);
    other.status.as_mut().unwrap().desired =
        Release { version: "4.21.1".into(), image: "one".into(), ..Release::default() };
    assert!(of_history(&[], &other, NEW, NOW).is_some(), "it is still what is asked for");
    other.spec.desired_update = None;
    assert_eq!(of_history(&[], &other, NEW, NOW), None);
}
