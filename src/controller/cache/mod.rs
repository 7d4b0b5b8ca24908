//! What the watches have seen so far, kept as a [`Snapshot`]: pure, fed one change at a time.

use serde_json::Value;

use crate::{
    api::{ClusterVersion, Served, UpdateRecord, names},
    controller::{
        apply::Answer,
        watch::{Change, ConfigMap, Failure, Operator, WatchEvent},
    },
    gate::{Authority, Snapshot, Source, Target},
};

/// Failures in a row, with nothing seen before, after which a source counts as unreadable.
const PATIENCE: u32 = 3;

/// The state of the watches.
#[derive(Debug)]
pub struct ClusterCache {
    snapshot: Snapshot,
    cluster_version: ClusterVersionState,
    listed_cluster_version: Option<Served>,
    went_back: bool,
    own_operator: Source<Option<Value>>,
    records: Source<Vec<UpdateRecord>>,
    listed_operators: Vec<Operator>,
    listed_records: Vec<UpdateRecord>,
    listed_gates: Option<ConfigMap>,
    listed_acks: Option<ConfigMap>,
    operators: Settled,
    gates: Settled,
    acks: Settled,
    recorded: Settled,
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

impl ClusterCache {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        let snapshot = Snapshot {
            now: jiff::Timestamp::UNIX_EPOCH,
            cluster_version: ClusterVersion::default(),
            cluster_operators: Source::NotGiven,
            admin_gates: Source::NotGiven,
            admin_acks: Source::NotGiven,
            authority: Authority::Shared,
            targets: Vec::new(),
        };
        Self {
            snapshot,
            cluster_version: ClusterVersionState::NotYetSeen,
            listed_cluster_version: None,
            went_back: false,
            own_operator: Source::NotGiven,
            records: Source::NotGiven,
            listed_operators: Vec::new(),
            listed_records: Vec::new(),
            listed_gates: None,
            listed_acks: None,
            operators: Settled::default(),
            gates: Settled::default(),
            acks: Settled::default(),
            recorded: Settled::default(),
        }
    }

    /// Whether every source has been seen once, if only to find that it can't be read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cluster_version != ClusterVersionState::NotYetSeen
            && self.operators.seen
            && self.gates.seen
            && self.acks.seen
            && self.recorded.seen
    }

    /// What there is to judge, once everything was seen and while there is a readable ClusterVersion.
    pub fn snapshot(&mut self, now: jiff::Timestamp, authority: Authority) -> Option<&Snapshot> {
        self.cluster_version()?;
        self.snapshot.now = now;
        self.snapshot.authority = authority;
        Some(&self.snapshot)
    }

    /// The ClusterVersion, under the same conditions.
    #[must_use]
    pub fn cluster_version(&self) -> Option<&ClusterVersion> {
        let there = self.is_complete() && self.cluster_version == ClusterVersionState::Present;
        there.then_some(&self.snapshot.cluster_version)
    }

    /// The last snapshot, with our own ClusterOperator and all UpdateRecords.
    #[must_use]
    pub fn all(&self) -> (&Snapshot, &Source<Option<Value>>, &Source<Vec<UpdateRecord>>) {
        (&self.snapshot, &self.own_operator, &self.records)
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
            Change::Records(seen) => self.take_records(seen),
        }
    }

    /// Whether a list has shown an earlier state of the ClusterVersion than was known, since this was last asked.
    pub fn went_back(&mut self) -> bool {
        std::mem::take(&mut self.went_back)
    }

    /// Takes in what a write returned, ahead of the watch.
    pub fn take_answer(&mut self, answer: Answer) -> bool {
        match answer {
            Answer::ClusterVersion(object) => self.take_cluster_version(WatchEvent::Changed(object)),
            Answer::Operator(object) => replace(&mut self.own_operator, Source::Read(Some(object))),
            Answer::Record(record) => self.take_records(WatchEvent::Changed(record)),
            Answer::Deleted(name) => self.take_records(WatchEvent::Gone(name)),
        }
    }

    fn take_cluster_version(&mut self, seen: WatchEvent<Served>) -> bool {
        match seen {
            WatchEvent::Restarted => {
                self.listed_cluster_version = None;
                false
            }
            WatchEvent::Listed(object) => {
                self.listed_cluster_version = Some(object);
                false
            }
            WatchEvent::Complete => match self.listed_cluster_version.take() {
                // A list is the truth even where its resourceVersion is lower: etcd may have been restored.
                Some(object) => {
                    self.went_back |= self.is_older(&object);
                    self.set_cluster_version(object)
                }
                None => self.forget_cluster_version(),
            },
            WatchEvent::Changed(object) => !self.is_older(&object) && self.set_cluster_version(object),
            WatchEvent::Gone(_) | WatchEvent::Failed(Failure::NotServed) => self.forget_cluster_version(),
            // What was read before, if anything, is still the best there is.
            WatchEvent::Failed(Failure::Refused(_) | Failure::Passing(_)) => false,
        }
    }

    fn forget_cluster_version(&mut self) -> bool {
        let before = std::mem::replace(&mut self.cluster_version, ClusterVersionState::Absent);
        self.snapshot.cluster_version = ClusterVersion::default();
        self.snapshot.targets.clear();
        before != ClusterVersionState::Absent
    }

    fn set_cluster_version(&mut self, object: Served) -> bool {
        match object {
            Served::Read(object) => {
                let news =
                    self.cluster_version != ClusterVersionState::Present || self.snapshot.cluster_version != *object;
                self.cluster_version = ClusterVersionState::Present;
                self.snapshot.targets = Target::requested(&object).into_iter().collect();
                self.snapshot.cluster_version = *object;
                news
            }
            Served::Unreadable(why) => replace(&mut self.cluster_version, ClusterVersionState::Unreadable(why)),
        }
    }

    fn is_older(&self, object: &Served) -> bool {
        let Served::Read(object) = object else { return false };
        let (seen, known) = (&object.metadata, &self.snapshot.cluster_version.metadata);
        self.cluster_version == ClusterVersionState::Present
            && is_older(
                (Some(&seen.uid), Some(&seen.resource_version)),
                (Some(&known.uid), Some(&known.resource_version)),
            )
    }

    /// Our ClusterOperator never counts as a risk, so it is kept apart from the others.
    fn take_operators(&mut self, seen: WatchEvent<Operator>) -> bool {
        let source = &mut self.snapshot.cluster_operators;
        match seen {
            WatchEvent::Restarted => {
                self.listed_operators.clear();
                false
            }
            WatchEvent::Listed(operator) => {
                self.listed_operators.push(operator);
                false
            }
            WatchEvent::Complete => {
                self.operators = Settled { seen: true, failures: 0 };
                let mut own = None;
                let mut read = Vec::with_capacity(self.listed_operators.len());
                for operator in std::mem::take(&mut self.listed_operators) {
                    match operator.own {
                        Some(object) => own = Some(object),
                        None => read.push(operator.read),
                    }
                }
                let own_differs = replace(&mut self.own_operator, Source::Read(own));
                replace(source, Source::Read(read)) || own_differs
            }
            WatchEvent::Changed(Operator { own: Some(object), .. }) => {
                let older = matches!(&self.own_operator, Source::Read(Some(known)) if is_older(identity(&object), identity(known)));
                !older && replace(&mut self.own_operator, Source::Read(Some(object)))
            }
            WatchEvent::Changed(Operator { read, own: None }) => upsert(source, read, |a, b| a.name == b.name),
            WatchEvent::Gone(name) if name == names::SELF => replace(&mut self.own_operator, Source::Read(None)),
            WatchEvent::Gone(name) => remove(source, |known| known.name == name),
            WatchEvent::Failed(failure) => {
                let news = failed(source, &mut self.operators, failure);
                if news {
                    self.own_operator = match source {
                        Source::NotServed => Source::NotServed,
                        Source::Unreadable(why) => Source::Unreadable(why.clone()),
                        Source::Read(_) | Source::NotGiven => return news,
                    };
                }
                news
            }
        }
    }

    fn take_records(&mut self, seen: WatchEvent<Box<UpdateRecord>>) -> bool {
        let source = &mut self.records;
        match seen {
            WatchEvent::Restarted => {
                self.listed_records.clear();
                false
            }
            WatchEvent::Listed(record) => {
                self.listed_records.push(*record);
                false
            }
            WatchEvent::Complete => {
                self.recorded = Settled { seen: true, failures: 0 };
                replace(source, Source::Read(std::mem::take(&mut self.listed_records)))
            }
            WatchEvent::Changed(record) => {
                let identity =
                    |record: &'_ UpdateRecord| (record.metadata.uid.clone(), record.metadata.resource_version.clone());
                let (uid, version) = identity(&record);
                let older = matches!(source, Source::Read(known) if known.iter().any(|known| {
                    let (known_uid, known_version) = identity(known);
                    is_older((uid.as_deref(), version.as_deref()), (known_uid.as_deref(), known_version.as_deref()))
                }));
                !older && upsert(source, *record, |a, b| a.metadata.name == b.metadata.name)
            }
            WatchEvent::Gone(name) => remove(source, |known| known.metadata.name.as_ref() == Some(&name)),
            WatchEvent::Failed(failure) => failed(source, &mut self.recorded, failure),
        }
    }
}

/// An object's uid and resourceVersion.
type Identity<'a> = (Option<&'a str>, Option<&'a str>);

fn identity(object: &Value) -> Identity<'_> {
    let metadata = &object["metadata"];
    (metadata["uid"].as_str(), metadata["resourceVersion"].as_str())
}

/// Whether the watch still tells of a state of the object before the one that a write of ours returned.
fn is_older(seen: Identity<'_>, known: Identity<'_>) -> bool {
    let version = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
    seen.0 == known.0 && version(seen.1).zip(version(known.1)).is_some_and(|(seen, known)| seen < known)
}

fn upsert<T: PartialEq>(source: &mut Source<Vec<T>>, object: T, same: impl Fn(&T, &T) -> bool) -> bool {
    let Source::Read(known) = source else { return false };
    if let Some(known) = known.iter_mut().find(|known| same(known, &object)) {
        return replace(known, object);
    }
    known.push(object);
    true
}

fn remove<T>(source: &mut Source<Vec<T>>, is_gone: impl Fn(&T) -> bool) -> bool {
    let Source::Read(known) = source else { return false };
    let before = known.len();
    known.retain(|known| !is_gone(known));
    known.len() != before
}

fn config_map(
    source: &mut Source<Option<std::collections::BTreeMap<String, String>>>,
    listed: &mut Option<ConfigMap>,
    settled: &mut Settled,
    seen: WatchEvent<ConfigMap>,
) -> bool {
    match seen {
        WatchEvent::Restarted => {
            *listed = None;
            false
        }
        WatchEvent::Listed(object) => {
            *listed = Some(object);
            false
        }
        WatchEvent::Complete => {
            *settled = Settled { seen: true, failures: 0 };
            replace(source, Source::Read(listed.take().map(ConfigMap::into_data)))
        }
        WatchEvent::Changed(object) => replace(source, Source::Read(Some(object.into_data()))),
        WatchEvent::Gone(_) => replace(source, Source::Read(None)),
        WatchEvent::Failed(failure) => failed(source, settled, failure),
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
mod tests;
