//! What the watches have brought so far, kept as a [`Snapshot`]: pure, updated by one change at a time.

mod objects;

use std::collections::BTreeMap;

use self::objects::{Cache, ObjectVersion, replace};
use crate::{
    api::{ClusterOperator, ClusterVersion, OwnOperator, Served, UpdateRecord, names},
    controller::{
        apply::Answer,
        watch::{Change, ConfigMap, Failure, Operator, WatchEvent},
    },
    gate::{Authority, Snapshot, Source, Target},
};

/// The state of the watches.
#[derive(Debug)]
pub struct ClusterCache {
    snapshot: Snapshot,
    cluster_version: ClusterVersionState,
    listed_cluster_version: Option<Served>,
    went_back: bool,
    own_operator: Source<Option<OwnOperator>>,
    records: Source<Vec<UpdateRecord>>,
    operators: Cache<Vec<ClusterOperator>>,
    own: Cache<Option<OwnOperator>>,
    gates: Cache<Option<BTreeMap<String, String>>>,
    acks: Cache<Option<BTreeMap<String, String>>>,
    recorded: Cache<Vec<UpdateRecord>>,
}

/// Everything that the watches have brought.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// What the gate evaluates.
    pub snapshot: &'a Snapshot,
    /// Our own ClusterOperator, which is no part of that.
    pub operator: &'a Source<Option<OwnOperator>>,
    /// All UpdateRecords.
    pub records: &'a Source<Vec<UpdateRecord>>,
}

#[derive(Debug, PartialEq, Eq)]
enum ClusterVersionState {
    NotYetSeen,
    Absent,
    Present,
    Unreadable(String),
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
            operators: Cache::default(),
            own: Cache::default(),
            gates: Cache::default(),
            acks: Cache::default(),
            recorded: Cache::default(),
        }
    }

    /// Whether every source has been seen once, if only to find that it can't be read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cluster_version != ClusterVersionState::NotYetSeen
            && self.operators.is_settled()
            && self.gates.is_settled()
            && self.acks.is_settled()
            && self.recorded.is_settled()
    }

    /// What there is to judge, once everything was seen and while there is a readable ClusterVersion.
    pub fn observe(&mut self, now: jiff::Timestamp, authority: Authority) -> Option<Sources<'_>> {
        self.cluster_version()?;
        self.snapshot.now = now;
        self.snapshot.authority = authority;
        Some(Sources { snapshot: &self.snapshot, operator: &self.own_operator, records: &self.records })
    }

    /// The ClusterVersion, under the same conditions.
    #[must_use]
    pub fn cluster_version(&self) -> Option<&ClusterVersion> {
        let there = self.is_complete() && self.cluster_version == ClusterVersionState::Present;
        there.then_some(&self.snapshot.cluster_version)
    }

    /// The snapshot that was observed last, with what has changed since.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Why the ClusterVersion can't be judged although it is there.
    #[must_use]
    pub fn unreadable(&self) -> Option<&str> {
        match &self.cluster_version {
            ClusterVersionState::Unreadable(why) => Some(why),
            ClusterVersionState::NotYetSeen | ClusterVersionState::Absent | ClusterVersionState::Present => None,
        }
    }

    /// Applies a change; `false` where nothing differs.
    pub fn take(&mut self, change: Change) -> bool {
        match change {
            Change::ClusterVersion(seen) => self.take_cluster_version(seen),
            Change::ClusterOperators(seen) => self.take_operators(seen),
            Change::AdminGates(seen) => self.gates.take(&mut self.snapshot.admin_gates, seen.map(ConfigMap::into_data)),
            Change::AdminAcks(seen) => self.acks.take(&mut self.snapshot.admin_acks, seen.map(ConfigMap::into_data)),
            Change::Records(seen) => self.recorded.take(&mut self.records, seen.map(|record| *record)),
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
            Answer::Record(record) => self.take(Change::Records(WatchEvent::Changed(record))),
            Answer::Deleted(name) => self.take(Change::Records(WatchEvent::Gone(name))),
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
        let version = |object: &ClusterVersion| ObjectVersion {
            uid: object.metadata.uid.clone(),
            resource_version: object.metadata.resource_version.clone(),
        };
        self.cluster_version == ClusterVersionState::Present
            && version(object).is_older_than(&version(&self.snapshot.cluster_version))
    }

    /// Our ClusterOperator never counts as a risk, so it is kept apart from the others.
    fn take_operators(&mut self, seen: WatchEvent<Operator>) -> bool {
        let (own, other) = match seen {
            WatchEvent::Restarted => (Some(WatchEvent::Restarted), Some(WatchEvent::Restarted)),
            WatchEvent::Complete => (Some(WatchEvent::Complete), Some(WatchEvent::Complete)),
            WatchEvent::Failed(failure) => {
                (Some(WatchEvent::Failed(failure.clone())), Some(WatchEvent::Failed(failure)))
            }
            WatchEvent::Listed(Operator { own: Some(object), .. }) => (Some(WatchEvent::Listed(*object)), None),
            WatchEvent::Listed(Operator { read, own: None }) => (None, Some(WatchEvent::Listed(read))),
            WatchEvent::Changed(Operator { own: Some(object), .. }) => (Some(WatchEvent::Changed(*object)), None),
            WatchEvent::Changed(Operator { read, own: None }) => (None, Some(WatchEvent::Changed(read))),
            WatchEvent::Gone(name) if name == names::SELF => (Some(WatchEvent::Gone(name)), None),
            WatchEvent::Gone(name) => (None, Some(WatchEvent::Gone(name))),
        };
        let own_differs = own.is_some_and(|event| self.own.take(&mut self.own_operator, event));
        let others = &mut self.snapshot.cluster_operators;
        other.is_some_and(|event| self.operators.take(others, event)) || own_differs
    }
}

#[cfg(test)]
mod tests;
