//! Changes, one at a time, and the snapshot that they make.

use serde_json::{Value, json};

use super::{objects::PATIENCE, *};

fn complete(resource_version: &str) -> ClusterCache {
    let mut cache = ClusterCache::new();
    cache.take(Change::ClusterVersion(WatchEvent::Listed(object(resource_version))));
    cache.take(Change::ClusterVersion(WatchEvent::Complete));
    cache.take(Change::ClusterOperators(WatchEvent::Complete));
    cache.take(Change::AdminGates(WatchEvent::Complete));
    cache.take(Change::AdminAcks(WatchEvent::Complete));
    cache.take(Change::Records(WatchEvent::Complete));
    cache
}

fn object(resource_version: &str) -> Served {
    served(&json!({"metadata": {"name": "version", "uid": "a", "resourceVersion": resource_version}}))
}

fn served(object: &Value) -> Served {
    serde_json::from_str(&object.to_string()).unwrap()
}

fn resource_version(cache: &mut ClusterCache) -> Option<String> {
    let snapshot = cache.observe(jiff::Timestamp::UNIX_EPOCH, Authority::Sole)?.snapshot;
    Some(snapshot.cluster_version.metadata.resource_version.to_string())
}

#[test]
fn nothing_is_judged_before_every_source_was_seen() {
    let mut cache = ClusterCache::new();
    cache.take(Change::ClusterVersion(WatchEvent::Listed(object("1"))));
    cache.take(Change::ClusterVersion(WatchEvent::Complete));
    cache.take(Change::AdminGates(WatchEvent::Complete));
    cache.take(Change::AdminAcks(WatchEvent::Complete));
    cache.take(Change::Records(WatchEvent::Complete));
    assert_eq!(resource_version(&mut cache), None);
    cache.take(Change::ClusterOperators(WatchEvent::Failed(Failure::NotServed)));
    assert_eq!(resource_version(&mut cache).as_deref(), Some("1"));
}

#[test]
fn an_event_from_before_our_own_write_is_passed_over() {
    let mut cache = complete("5");
    assert!(cache.take_answer(Answer::ClusterVersion(object("9"))));
    assert!(!cache.take(Change::ClusterVersion(WatchEvent::Changed(object("7")))));
    assert_eq!(resource_version(&mut cache).as_deref(), Some("9"));
    assert!(!cache.take(Change::ClusterVersion(WatchEvent::Changed(object("9")))));
    assert!(cache.take(Change::ClusterVersion(WatchEvent::Changed(object("10")))));
}

#[test]
fn a_recreated_object_is_taken_whatever_its_version() {
    let mut cache = complete("5");
    let recreated = json!({"metadata": {"name": "version", "uid": "b", "resourceVersion": "3"}});
    assert!(cache.take(Change::ClusterVersion(WatchEvent::Changed(served(&recreated)))));
    assert_eq!(resource_version(&mut cache).as_deref(), Some("3"));
}

#[test]
fn an_object_that_cannot_be_read_is_not_judged_until_it_can() {
    let mut cache = complete("5");
    let odd =
        json!({"metadata": {"name": "version", "uid": "a", "resourceVersion": "6"}, "spec": {"overrides": "all"}});
    assert!(cache.take(Change::ClusterVersion(WatchEvent::Changed(served(&odd)))));
    assert_eq!(resource_version(&mut cache), None);
    assert!(cache.unreadable().is_some());
    assert!(cache.take(Change::ClusterVersion(WatchEvent::Changed(object("7")))));
    assert_eq!(resource_version(&mut cache).as_deref(), Some("7"));
}

#[test]
fn a_deleted_object_leaves_nothing_to_judge() {
    let mut cache = complete("5");
    assert!(cache.take(Change::ClusterVersion(WatchEvent::Gone("version".into()))));
    assert_eq!(resource_version(&mut cache), None);
}

#[test]
fn a_config_map_that_goes_is_missing_and_a_refused_one_is_unreadable() {
    let mut cache = complete("5");
    cache.take(Change::AdminGates(WatchEvent::Changed(ConfigMap::default())));
    assert_eq!(cache.snapshot.admin_gates, Source::Read(Some([].into())));
    assert!(cache.take(Change::AdminGates(WatchEvent::Gone("admin-gates".into()))));
    assert_eq!(cache.snapshot.admin_gates, Source::Read(None));
    assert!(cache.take(Change::AdminGates(WatchEvent::Failed(Failure::Refused("no".into())))));
    assert_eq!(cache.snapshot.admin_gates, Source::Unreadable("no".into()));
}

#[test]
fn a_server_in_trouble_does_not_erase_what_was_read() {
    let mut cache = complete("5");
    for _ in 0..10 {
        assert!(!cache.take(Change::ClusterOperators(WatchEvent::Failed(Failure::Passing("500".into())))));
    }
    assert_eq!(cache.snapshot.cluster_operators, Source::Read(Vec::new()));
}

#[test]
fn a_source_that_was_never_read_is_unreadable_after_some_tries() {
    let mut cache = ClusterCache::new();
    for _ in 1..PATIENCE {
        assert!(!cache.take(Change::ClusterOperators(WatchEvent::Failed(Failure::Passing("500".into())))));
        assert!(!cache.operators.is_settled());
    }
    assert!(cache.take(Change::ClusterOperators(WatchEvent::Failed(Failure::Passing("500".into())))));
    assert_eq!(cache.snapshot.cluster_operators, Source::Unreadable("500".into()));
}
