//! How long each wait has lasted, by the clock of this process. The pure steps get these durations.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    api::{ClusterVersion, ConditionStatus, UpdateRecord, names::condition},
    cli::update::steps::{Memory, Wait},
    gate::Source,
    plan::newest_entry::NewestEntry,
};

/// How soon to read the cluster again just after a change.
const SOON: Duration = Duration::from_millis(250);
/// How soon after everything was read, or after a failure.
pub const AFTER_ALL: Duration = Duration::from_secs(1);
/// How soon while nothing changes.
const LATER: Duration = Duration::from_secs(2);
/// How long after a change reads stay frequent.
const RECENT: Duration = Duration::from_secs(5);

/// Since when.
pub struct Timing {
    newest: NewestEntry,
    waits: Option<(Wait, Instant)>,
    failing_since: Option<Instant>,
    record_missing_since: Option<Instant>,
    /// The last write of a record has failed.
    record_failed: bool,
    lost_since: Option<Instant>,
    /// The last change of the ClusterVersion that was seen, and when.
    changed: (String, Instant),
}

impl Timing {
    pub fn new() -> Self {
        Self {
            newest: NewestEntry::default(),
            waits: None,
            failing_since: None,
            record_missing_since: None,
            record_failed: false,
            lost_since: None,
            changed: (String::new(), Instant::now()),
        }
    }

    /// Updates what the next decision needs, from what was read; without `records` only the ClusterVersion was.
    pub fn seen(
        &mut self,
        memory: &mut Memory,
        cluster_version: &ClusterVersion,
        records: Option<&Source<Vec<UpdateRecord>>>,
    ) {
        self.lost_since = None;
        memory.began = self.newest.look(cluster_version, records.unwrap_or(&Source::NotGiven));
        let is_failing =
            cluster_version.condition(condition::FAILING).is_some_and(|found| found.status == ConditionStatus::True);
        self.failing_since = is_failing.then(|| self.failing_since.unwrap_or_else(Instant::now));
        if matches!(records, Some(Source::Unreadable(_))) {
            self.record_missing_since.get_or_insert_with(Instant::now);
        } else if records.is_some() && !self.record_failed {
            self.record_missing_since = None;
        }
        let elapsed = |since: Option<Instant>| since.map_or(Duration::ZERO, |since| since.elapsed());
        memory.failing_for = elapsed(self.failing_since);
        memory.record_missing_for = elapsed(self.record_missing_since);
        memory.waited = elapsed(self.waits.as_ref().map(|(_, since)| *since));
        let version = &cluster_version.metadata.resource_version;
        if self.changed.0 != *version {
            self.changed = (version.clone(), Instant::now());
        }
    }

    /// How long to pause for this wait, which may have begun already.
    pub fn pause(&mut self, wait: &Wait, looked_at_all: bool) -> Duration {
        let since = match self.waits.take() {
            Some((before, since)) if before == *wait => since,
            _ => Instant::now(),
        };
        self.waits = Some((wait.clone(), since));
        let is_recent = self.changed.1.elapsed() < RECENT;
        match (looked_at_all, is_recent) {
            (false, true) => SOON,
            (true, true) => AFTER_ALL,
            (_, false) => LATER,
        }
    }

    /// A step is done: the next wait begins now.
    pub fn done(&mut self) {
        self.lost_since = None;
        self.waits = None;
    }

    /// A record was written, or couldn't be.
    pub fn recorded(&mut self, memory: &mut Memory, is_written: bool) {
        self.record_failed = !is_written;
        memory.record_fails = !is_written;
        if is_written {
            self.record_missing_since = None;
        } else {
            self.record_missing_since.get_or_insert_with(Instant::now);
        }
    }

    /// How long there has been no answer.
    pub fn lost_for(&mut self) -> Duration {
        self.lost_since.get_or_insert_with(Instant::now).elapsed()
    }
}
