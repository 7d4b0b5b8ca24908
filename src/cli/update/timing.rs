//! How long each wait has lasted, by the clock of this process. The pure steps get these durations.

use std::{
    collections::HashMap,
    mem::{self, Discriminant},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    api::{ClusterVersion, Condition, ConditionStatus, ResourceVersion, UpdateRecord, names::condition},
    cli::update::steps::{Memory, Step, Wait},
    gate::{Source, request::word},
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
    /// Since when a read or a write that is needed has failed.
    lost_since: Option<Instant>,
    /// The CVO's condition about the request. A change of it restarts the wait.
    word: Option<Condition>,
    /// The last change of the ClusterVersion that was seen, and when.
    changed: (ResourceVersion, Instant),
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
            word: None,
            changed: (ResourceVersion::default(), Instant::now()),
        }
    }

    /// Updates what the next decision needs, from what was read; without `records` only the ClusterVersion was.
    pub fn seen(
        &mut self,
        memory: &mut Memory,
        cluster_version: &ClusterVersion,
        records: Option<&Source<Vec<UpdateRecord>>>,
    ) {
        let word = word(cluster_version).cloned();
        if self.word != word {
            self.word = word;
            self.waits = None;
        }
        memory.began = self.newest.observe(cluster_version, records.unwrap_or(&Source::NotGiven));
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
        memory.unchanged_for = self.changed.1.elapsed();
    }

    /// How long to pause for this wait, which may have begun already.
    pub fn pause(&mut self, wait: &Wait, looked_at_all: bool) -> Duration {
        self.lost_since = None;
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

    /// How long requests have failed without which the next step cannot continue. A read of another object that succeeds
    /// does not end this.
    pub fn lost_for(&mut self) -> Duration {
        self.lost_since.get_or_insert_with(Instant::now).elapsed()
    }
}

/// How often each kind of step was done in this run. Each is needed once, or twice if the cluster changes meanwhile.
#[derive(Debug, Default)]
pub struct Repeats(HashMap<Discriminant<Step>, u32>);

impl Repeats {
    /// Counts a step that was done, and returns whether something reverts it each time. Going on would be a loop of writes.
    pub fn is_reverted(&mut self, step: &Step) -> bool {
        let done = self.0.entry(mem::discriminant(step)).or_default();
        *done += 1;
        *done >= 3
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gate::testing::cluster_version_from;

    fn asked(status: &str) -> ClusterVersion {
        cluster_version_from(json!({
            "metadata": {"resourceVersion": "7", "generation": 1},
            "spec": {"desiredUpdate": {"version": "4.21.2"}},
            "status": {"observedGeneration": 1, "conditions": [
                {"type": "ReleaseAccepted", "status": status, "reason": "R", "message": "version=\"4.21.2\""}]},
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_again_and_again_is_given_up_although_the_cluster_version_can_be_read() {
        let (mut timing, mut memory) = (Timing::new(), Memory::default());
        assert_eq!(timing.lost_for(), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(10)).await;
        timing.seen(&mut memory, &asked("False"), None);
        assert_eq!(timing.lost_for(), Duration::from_secs(10));
        timing.pause(&Wait::Complete, false);
        assert_eq!(timing.lost_for(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn how_long_the_cvo_took_to_answer_does_not_count_for_what_follows() {
        let (mut timing, mut memory) = (Timing::new(), Memory::default());
        timing.seen(&mut memory, &asked("Unknown"), None);
        timing.pause(&Wait::Answer, false);
        tokio::time::advance(Duration::from_mins(5)).await;
        timing.seen(&mut memory, &asked("Unknown"), None);
        assert_eq!(memory.waited, Duration::from_mins(5));
        timing.seen(&mut memory, &asked("False"), None);
        assert_eq!(memory.waited, Duration::ZERO);
    }
    #[test]
    fn a_step_that_is_reverted_each_time_is_given_up() {
        let mut repeats = Repeats::default();
        assert!(!repeats.is_reverted(&Step::Close));
        assert!(!repeats.is_reverted(&Step::Close));
        assert!(!repeats.is_reverted(&Step::RemovePolicy));
        assert!(repeats.is_reverted(&Step::Close));
    }
}
