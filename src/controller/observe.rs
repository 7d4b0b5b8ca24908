//! What the watches have seen so far, kept as a [`Snapshot`]: pure, fed one change at a time.

use serde_json::Value;

use super::watch::{Change, ConfigMap, Failure, Seen};
use crate::{
    api::{ClusterOperator, ClusterVersion},
    gate::{Authority, Snapshot, Source, Target},
};

/// Failures in a row, with nothing seen before, after which a source counts as unreadable.
const PATIENCE: u32 = 3;

/// The state of the four watches.
#[derive(Debug)]
pub struct Observed {
    snapshot: Snapshot,
    cluster_version: ClusterVersionState,
    listed_cluster_version: Option<Value>,
    listed_operators: Vec<ClusterOperator>,
    listed_gates: Option<ConfigMap>,
    listed_acks: Option<ConfigMap>,
    operators: Settled,
    gates: Settled,
    acks: Settled,
}

#[derive(Debug, PartialEq, Eq)]
enum ClusterVersionState {
    NotYetSeen,
    Absent,
    Present,
    Unreadable(String),
}

/// Whether a source has been seen, one way or another; until then nothing is judged.
#[derive(Debug, Default)]
struct Settled {
    seen: bool,
    failures: u32,
}

impl Observed {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(authority: Authority) -> Self {
        let snapshot = Snapshot {
            now: jiff::Timestamp::UNIX_EPOCH,
            cluster_version: ClusterVersion::default(),
            cluster_operators: Source::NotGiven,
            admin_gates: Source::NotGiven,
            admin_acks: Source::NotGiven,
            authority,
            targets: Vec::new(),
        };
        Self {
            snapshot,
            cluster_version: ClusterVersionState::NotYetSeen,
            listed_cluster_version: None,
            listed_operators: Vec::new(),
            listed_gates: None,
            listed_acks: None,
            operators: Settled::default(),
            gates: Settled::default(),
            acks: Settled::default(),
        }
    }

    /// Whether every source has been seen once, if only to find that it can't be read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cluster_version != ClusterVersionState::NotYetSeen
            && self.operators.seen
            && self.gates.seen
            && self.acks.seen
    }

    /// What there is to judge, once everything was seen and while there is a readable ClusterVersion.
    pub fn snapshot(&mut self, now: jiff::Timestamp) -> Option<&Snapshot> {
        if !self.is_complete() || self.cluster_version != ClusterVersionState::Present {
            return None;
        }
        self.snapshot.now = now;
        Some(&self.snapshot)
    }

    /// Why the ClusterVersion can't be judged although it is there.
    #[must_use]
    pub fn unreadable(&self) -> Option<&str> {
        match &self.cluster_version {
            ClusterVersionState::Unreadable(why) => Some(why),
            ClusterVersionState::NotYetSeen | ClusterVersionState::Absent | ClusterVersionState::Present => None,
        }
    }

    /// Takes a change in; `false` where it says nothing new.
    pub fn take(&mut self, change: Change) -> bool {
        match change {
            Change::ClusterVersion(seen) => self.take_cluster_version(seen),
            Change::ClusterOperators(seen) => self.take_operators(seen),
            Change::AdminGates(seen) => {
                config_map(&mut self.snapshot.admin_gates, &mut self.listed_gates, &mut self.gates, seen)
            }
            Change::AdminAcks(seen) => {
                config_map(&mut self.snapshot.admin_acks, &mut self.listed_acks, &mut self.acks, seen)
            }
        }
    }

    /// Takes the object in that a write or a read returned, ahead of the watch.
    pub fn take_answer(&mut self, object: Value) -> bool {
        self.take_cluster_version(Seen::Changed(object))
    }

    fn take_cluster_version(&mut self, seen: Seen<Value>) -> bool {
        match seen {
            Seen::Restarted => {
                self.listed_cluster_version = None;
                false
            }
            Seen::Listed(object) => {
                self.listed_cluster_version = Some(object);
                false
            }
            Seen::Complete => match self.listed_cluster_version.take() {
                // A list is the truth even where its resourceVersion is lower: etcd may have been restored.
                Some(object) => self.set_cluster_version(object),
                None => self.forget_cluster_version(),
            },
            Seen::Changed(object) => !self.is_older(&object) && self.set_cluster_version(object),
            Seen::Gone(_) | Seen::Failed(Failure::NotServed) => self.forget_cluster_version(),
            // What was read before, if anything, is still the best there is.
            Seen::Failed(Failure::Refused(_) | Failure::Passing(_)) => false,
        }
    }

    fn forget_cluster_version(&mut self) -> bool {
        let before = std::mem::replace(&mut self.cluster_version, ClusterVersionState::Absent);
        self.snapshot.cluster_version = ClusterVersion::default();
        self.snapshot.targets.clear();
        before != ClusterVersionState::Absent
    }

    fn set_cluster_version(&mut self, object: Value) -> bool {
        match ClusterVersion::from_value(object) {
            Ok(object) => {
                let news =
                    self.cluster_version != ClusterVersionState::Present || self.snapshot.cluster_version != object;
                self.cluster_version = ClusterVersionState::Present;
                self.snapshot.targets = Target::requested(&object).into_iter().collect();
                self.snapshot.cluster_version = object;
                news
            }
            Err(error) => {
                let unreadable = ClusterVersionState::Unreadable(error.to_string());
                let news = self.cluster_version != unreadable;
                self.cluster_version = unreadable;
                news
            }
        }
    }

    /// Whether the watch still tells of a state before the one that a write of ours returned.
    fn is_older(&self, object: &Value) -> bool {
        if self.cluster_version != ClusterVersionState::Present {
            return false;
        }
        let known = &self.snapshot.cluster_version.metadata;
        let metadata = &object["metadata"];
        let version = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
        metadata["uid"].as_str() == Some(&known.uid)
            && version(metadata["resourceVersion"].as_str())
                .zip(version(Some(&known.resource_version)))
                .is_some_and(|(seen, known)| seen < known)
    }

    fn take_operators(&mut self, seen: Seen<ClusterOperator>) -> bool {
        let source = &mut self.snapshot.cluster_operators;
        match seen {
            Seen::Restarted => {
                self.listed_operators.clear();
                false
            }
            Seen::Listed(operator) => {
                self.listed_operators.push(operator);
                false
            }
            Seen::Complete => {
                self.operators = Settled { seen: true, failures: 0 };
                replace(source, Source::Read(std::mem::take(&mut self.listed_operators)))
            }
            Seen::Changed(operator) => {
                let Source::Read(operators) = source else { return false };
                match operators.iter_mut().find(|known| known.name == operator.name) {
                    Some(known) if *known == operator => false,
                    Some(known) => {
                        *known = operator;
                        true
                    }
                    None => {
                        operators.push(operator);
                        true
                    }
                }
            }
            Seen::Gone(name) => {
                let Source::Read(operators) = source else { return false };
                operators.retain(|known| known.name != name);
                true
            }
            Seen::Failed(failure) => failed(source, &mut self.operators, failure),
        }
    }
}

fn config_map(
    source: &mut Source<Option<std::collections::BTreeMap<String, String>>>,
    listed: &mut Option<ConfigMap>,
    settled: &mut Settled,
    seen: Seen<ConfigMap>,
) -> bool {
    match seen {
        Seen::Restarted => {
            *listed = None;
            false
        }
        Seen::Listed(object) => {
            *listed = Some(object);
            false
        }
        Seen::Complete => {
            *settled = Settled { seen: true, failures: 0 };
            replace(source, Source::Read(listed.take().map(ConfigMap::into_data)))
        }
        Seen::Changed(object) => replace(source, Source::Read(Some(object.into_data()))),
        Seen::Gone(_) => replace(source, Source::Read(None)),
        Seen::Failed(failure) => failed(source, settled, failure),
    }
}

/// What was read stays while the server is only in trouble; a refusal makes the source unreadable at once.
fn failed<T: PartialEq>(source: &mut Source<T>, settled: &mut Settled, failure: Failure) -> bool {
    let source_now = match failure {
        Failure::NotServed => Source::NotServed,
        Failure::Refused(why) => Source::Unreadable(why),
        Failure::Passing(why) => {
            settled.failures += 1;
            if settled.seen || settled.failures < PATIENCE {
                return false;
            }
            Source::Unreadable(why)
        }
    };
    settled.seen = true;
    replace(source, source_now)
}

fn replace<T: PartialEq>(place: &mut T, value: T) -> bool {
    if *place == value {
        return false;
    }
    *place = value;
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complete(resource_version: &str) -> Observed {
        let mut observed = Observed::new(Authority::Sole);
        observed.take(Change::ClusterVersion(Seen::Listed(object(resource_version))));
        observed.take(Change::ClusterVersion(Seen::Complete));
        observed.take(Change::ClusterOperators(Seen::Complete));
        observed.take(Change::AdminGates(Seen::Complete));
        observed.take(Change::AdminAcks(Seen::Complete));
        observed
    }

    fn object(resource_version: &str) -> Value {
        json!({"metadata": {"name": "version", "uid": "a", "resourceVersion": resource_version}})
    }

    fn resource_version(observed: &mut Observed) -> Option<String> {
        let snapshot = observed.snapshot(jiff::Timestamp::UNIX_EPOCH)?;
        Some(snapshot.cluster_version.metadata.resource_version.clone())
    }

    #[test]
    fn nothing_is_judged_before_every_source_was_seen() {
        let mut observed = Observed::new(Authority::Sole);
        observed.take(Change::ClusterVersion(Seen::Listed(object("1"))));
        observed.take(Change::ClusterVersion(Seen::Complete));
        observed.take(Change::AdminGates(Seen::Complete));
        observed.take(Change::AdminAcks(Seen::Complete));
        assert_eq!(resource_version(&mut observed), None);
        observed.take(Change::ClusterOperators(Seen::Failed(Failure::NotServed)));
        assert_eq!(resource_version(&mut observed).as_deref(), Some("1"));
    }

    #[test]
    fn an_event_from_before_our_own_write_is_passed_over() {
        let mut observed = complete("5");
        assert!(observed.take_answer(object("9")));
        assert!(!observed.take(Change::ClusterVersion(Seen::Changed(object("7")))));
        assert_eq!(resource_version(&mut observed).as_deref(), Some("9"));
        assert!(!observed.take(Change::ClusterVersion(Seen::Changed(object("9")))));
        assert!(observed.take(Change::ClusterVersion(Seen::Changed(object("10")))));
    }

    #[test]
    fn a_recreated_object_is_taken_whatever_its_version() {
        let mut observed = complete("5");
        let mut recreated = object("3");
        recreated["metadata"]["uid"] = json!("b");
        assert!(observed.take(Change::ClusterVersion(Seen::Changed(recreated))));
        assert_eq!(resource_version(&mut observed).as_deref(), Some("3"));
    }

    #[test]
    fn an_object_that_cannot_be_read_is_not_judged_until_it_can() {
        let mut observed = complete("5");
        let mut odd = object("6");
        odd["spec"] = json!({"overrides": "all"});
        assert!(observed.take(Change::ClusterVersion(Seen::Changed(odd))));
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
        let mut observed = Observed::new(Authority::Sole);
        for _ in 1..PATIENCE {
            assert!(!observed.take(Change::ClusterOperators(Seen::Failed(Failure::Passing("500".into())))));
            assert!(!observed.operators.seen);
        }
        assert!(observed.take(Change::ClusterOperators(Seen::Failed(Failure::Passing("500".into())))));
        assert_eq!(observed.snapshot.cluster_operators, Source::Unreadable("500".into()));
    }
}
