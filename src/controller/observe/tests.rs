//! What the watches tell, one change at a time, and what is made of it.

use serde_json::json;

use super::*;

fn complete(resource_version: &str) -> Observed {
    let mut observed = Observed::new();
    observed.take(Change::ClusterVersion(Seen::Listed(object(resource_version))));
    observed.take(Change::ClusterVersion(Seen::Complete));
    observed.take(Change::ClusterOperators(Seen::Complete));
    observed.take(Change::AdminGates(Seen::Complete));
    observed.take(Change::AdminAcks(Seen::Complete));
    observed.take(Change::Records(Seen::Complete));
    observed
}

fn object(resource_version: &str) -> Served {
    served(&json!({"metadata": {"name": "version", "uid": "a", "resourceVersion": resource_version}}))
}

fn served(object: &Value) -> Served {
    serde_json::from_str(&object.to_string()).unwrap()
}

fn resource_version(observed: &mut Observed) -> Option<String> {
    let snapshot = observed.snapshot(jiff::Timestamp::UNIX_EPOCH, Authority::Sole)?;
    Some(snapshot.cluster_version.metadata.resource_version.clone())
}

#[test]
fn nothing_is_judged_before_every_source_was_seen() {
    let mut observed = Observed::new();
    observed.take(Change::ClusterVersion(Seen::Listed(object("1"))));
    observed.take(Change::ClusterVersion(Seen::Complete));
    observed.take(Change::AdminGates(Seen::Complete));
    observed.take(Change::AdminAcks(Seen::Complete));
    observed.take(Change::Records(Seen::Complete));
    assert_eq!(resource_version(&mut observed), None);
    observed.take(Change::ClusterOperators(Seen::Failed(Failure::NotServed)));
    assert_eq!(resource_version(&mut observed).as_deref(), Some("1"));
}

#[test]
fn an_event_from_before_our_own_write_is_passed_over() {
    let mut observed = complete("5");
    assert!(observed.take_answer(Answer::ClusterVersion(object("9"))));
    assert!(!observed.take(Change::ClusterVersion(Seen::Changed(object("7")))));
    assert_eq!(resource_version(&mut observed).as_deref(), Some("9"));
    assert!(!observed.take(Change::ClusterVersion(Seen::Changed(object("9")))));
    assert!(observed.take(Change::ClusterVersion(Seen::Changed(object("10")))));
}

#[test]
fn a_recreated_object_is_taken_whatever_its_version() {
    let mut observed = complete("5");
    let recreated = json!({"metadata": {"name": "version", "uid": "b", "resourceVersion": "3"}});
    assert!(observed.take(Change::ClusterVersion(Seen::Changed(served(&recreated)))));
    assert_eq!(resource_version(&mut observed).as_deref(), Some("3"));
}

#[test]
fn an_object_that_cannot_be_read_is_not_judged_until_it_can() {
    let mut observed = complete("5");
    let odd =
        json!({"metadata": {"name": "version", "uid": "a", "resourceVersion": "6"}, "spec": {"overrides": "all"}});
    assert!(observed.take(Change::ClusterVersion(Seen::Changed(served(&odd)))));
    assert_eq!(resource_version(&mut observed), None);
    assert!(observed.unreadable().is_some());
    assert!(observed.take(Change::ClusterVersion(Seen::Changed(object("7")))));
    assert_eq!(resource_version(&mut observed).as_deref(), Some("7"));
}

#[test]
fn a_deleted_object_leaves_nothing_to_judge() {
    let mut observed = complete("5");
    assert!(observed.take(Change::ClusterVersion(Seen::Gone("version".into()))));
    assert_eq!(resource_version(&mut observed), None);
}

#[test]
fn a_config_map_that_goes_is_missing_and_a_refused_one_is_unreadable() {
    let mut observed = complete("5");
    observed.take(Change::AdminGates(Seen::Changed(ConfigMap::default())));
    assert_eq!(observed.snapshot.admin_gates, Source::Read(Some([].into())));
    assert!(observed.take(Change::AdminGates(Seen::Gone("admin-gates".into()))));
    assert_eq!(observed.snapshot.admin_gates, Source::Read(None));
    assert!(observed.take(Change::AdminGates(Seen::Failed(Failure::Refused("no".into())))));
    assert_eq!(observed.snapshot.admin_gates, Source::Unreadable("no".into()));
}

#[test]
fn a_server_in_trouble_does_not_erase_what_was_read() {
    let mut observed = complete("5");
    for _ in 0..10 {
        assert!(!observed.take(Change::ClusterOperators(Seen::Failed(Failure::Passing("500".into())))));
    }
    assert_eq!(observed.snapshot.cluster_operators, Source::Read(Vec::new()));
}

#[test]
fn a_source_that_was_never_read_is_unreadable_after_some_tries() {
    let mut observed = Observed::new();
    for _ in 1..PATIENCE {
        assert!(!observed.take(Change::ClusterOperators(Seen::Failed(Failure::Passing("500".into())))));
        assert!(!observed.operators.seen);
    }
    assert!(observed.take(Change::ClusterOperators(Seen::Failed(Failure::Passing("500".into())))));
    assert_eq!(observed.snapshot.cluster_operators, Source::Unreadable("500".into()));
}
