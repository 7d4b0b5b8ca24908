//! Everything that the loop remembers from one step to the next and that influences a decision.

use std::time::Duration;

use crate::{
    api::{ClusterVersion, Generation, Uid},
    gate::Authority,
    plan::{
        backoff::WriteBackoff,
        degraded::Lasting,
        ledger::Ledger,
        moment::Moment,
        newest_entry::NewestEntry,
        record_wait,
        recovery::{Recovery, WriteError, after},
        role::{CvoLease, Mode, Role},
        step::Question,
        write::{Kind, Write},
    },
};

/// What the administrator has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What may be written.
    pub mode: Mode,
    /// In mode `auto`, how long a risk may go unenforced with no running CVO before upgrade-gate takes over.
    pub vacant_after: Duration,
    /// How long a problem has to last to make the operator `Degraded`.
    pub degraded_after: Duration,
}

/// The memory of the loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    pub(super) settings: Settings,
    pub(super) role: Role,
    pub(super) why: &'static str,
    /// The Lease of the CVO, and when it was read.
    pub(super) cvo_lease: Option<(CvoLease, Moment)>,
    pub(super) ungated_since: Option<Moment>,
    pub(super) newest_entry: NewestEntry,
    pub(super) lasting: Lasting,
    /// The ClusterVersion in the cache is no older than the one that a former leader has planned on.
    pub(super) cache_is_fresh: bool,
    pub(super) record_missing: Option<RecordMissing>,
    pub(super) ledger: Ledger,
    pub(super) backoff: WriteBackoff,
    /// Until then, nothing is written at all.
    pub(super) paused: Option<Moment>,
    pub(super) turn: Turn,
}

/// Since when the record of the update that is about to be forced has been missing, by uid and generation of the
/// request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordMissing {
    pub uid: Uid,
    pub generation: Generation,
    pub since: Moment,
}

/// What is remembered within one turn of the loop.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Turn {
    /// How often the cluster was evaluated.
    pub evaluations: u8,
    /// Writes in a row that have failed.
    pub failures: u32,
    /// What follows the writes that have failed since the last evaluation.
    pub recovery: Option<Recovery>,
    /// The kind of write that the ClusterVersion is read for.
    pub reads_for: Option<Kind>,
    /// Writes of the last evaluation that another writer had reverted.
    pub contended: Vec<Kind>,
    pub answered: Answered,
}

/// What was read from the API server for the present evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answered {
    pub policy: Option<bool>,
    pub cvo_lease: bool,
    /// The Lease was read after the policy: a CVO that stopped a moment ago must not be forced.
    pub cvo_lease_after_policy: bool,
}

/// What a failed write leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What follows.
    pub recovery: Recovery,
    /// It failed for another reason than the last time.
    pub is_news: bool,
}

/// The pause after a turn that has reached the limit of evaluations, which indicates a defect.
const PAUSE: Duration = Duration::from_secs(1);

impl Memory {
    /// A loop that has seen nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            role: Role::Undecided,
            why: "nothing was seen yet",
            cvo_lease: None,
            ungated_since: None,
            newest_entry: NewestEntry::default(),
            lasting: Lasting::default(),
            cache_is_fresh: false,
            record_missing: None,
            ledger: Ledger::default(),
            backoff: WriteBackoff::default(),
            paused: None,
            turn: Turn::default(),
        }
    }

    /// Who decides on `Upgradeable`, in the present role.
    #[must_use]
    pub fn authority(&self) -> Authority {
        self.role.authority()
    }

    /// The present role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// A turn of the loop begins.
    pub fn begin_turn(&mut self) {
        self.turn = Turn::default();
    }

    /// Whether all writes are paused.
    #[must_use]
    pub fn is_paused(&self, now: Moment) -> bool {
        self.paused.is_some_and(|until| now < until)
    }

    /// Whether the update that is about to be forced has no record.
    #[must_use]
    pub fn record_is_missing(&self) -> bool {
        self.record_missing.is_some()
    }

    /// A list has shown an earlier state of the ClusterVersion than was known, as after a restore of etcd: what was
    /// written since is gone, and no other writer has reverted it.
    pub fn cache_went_back(&mut self) {
        self.cache_is_fresh = false;
        self.ledger.forget_object();
    }

    /// The answer to [`Question::Policy`].
    pub fn answer_policy(&mut self, is_installed: bool) {
        self.turn.answered.policy = Some(is_installed);
    }

    /// The answer to [`Question::CvoLease`].
    pub fn answer_cvo_lease(&mut self, lease: CvoLease, now: Moment) {
        self.cvo_lease = Some((lease, now));
        self.turn.answered.cvo_lease = true;
        self.turn.answered.cvo_lease_after_policy = self.turn.answered.policy.is_some();
    }

    /// The answer to [`Question::ClusterVersion`]: whether it is there, and in the cache now.
    pub fn answer_cluster_version(&mut self, read: Result<bool, &WriteError>, now: Moment) {
        match read {
            Ok(true) => self.cache_is_fresh = true,
            // The watch reports that it is gone.
            Ok(false) => self.turn.recovery = Some(Recovery::Await),
            Err(error) => {
                if let Some(kind) = self.turn.reads_for {
                    self.backoff.failed(kind, error, now);
                }
                self.turn.recovery = Some(Recovery::Stop);
            }
        }
    }

    /// A write was made, and has left the ClusterVersion so. Returns whether another writer had reverted it before.
    pub fn wrote(&mut self, write: &Write, after: &ClusterVersion, now: Moment) -> bool {
        let kind = write.kind();
        let contended = self.turn.contended.contains(&kind);
        if contended {
            self.ledger.wrote_against_another(kind, now);
        }
        self.ledger.wrote(write, after, now);
        self.backoff.succeeded(kind);
        self.turn.failures = 0;
        contended
    }

    /// A write has failed.
    pub fn failed(&mut self, kind: Kind, error: &WriteError, now: Moment) -> Failed {
        self.turn.failures += 1;
        let recovery = after(error, kind, self.turn.failures);
        let is_news = match recovery {
            Recovery::Skip | Recovery::Stop => self.backoff.failed(kind, error, now),
            Recovery::Read | Recovery::Await => false,
        };
        if recovery == Recovery::Read {
            self.turn.reads_for = Some(kind);
        }
        self.turn.recovery = self.turn.recovery.max(Some(recovery));
        Failed { recovery, is_news }
    }

    /// The next moment at which a wait is over, of those after this one.
    #[must_use]
    pub fn next_deadline(&self, after: Option<Moment>) -> Option<Moment> {
        let record = self.record_missing.as_ref().map(|missing| missing.since + record_wait::LIMIT);
        let deadlines = self.backoff.deadlines().chain(self.ledger.deadlines()).chain(self.paused).chain(record);
        deadlines.filter(|deadline| after.is_none_or(|after| after < *deadline)).min()
    }

    /// Another replica leads, or none: all waits of this one end.
    pub(super) fn step_down(&mut self) {
        self.lasting = Lasting::default();
        self.backoff = WriteBackoff::default();
        self.ledger.step_down();
        self.paused = None;
        self.cache_is_fresh = false;
        self.record_missing = None;
        self.ungated_since = None;
    }

    /// The limit of evaluations was reached: pauses all writes.
    pub(super) fn pause(&mut self, now: Moment) {
        self.paused = Some(now + PAUSE);
    }

    /// The Lease of the CVO, as it was read last.
    pub(super) fn cvo_lease(&self) -> CvoLease {
        self.cvo_lease.map_or(CvoLease::Unknown, |(lease, _)| lease)
    }

    /// The Lease of the CVO, if it was read within that time.
    pub(super) fn cvo_lease_within(&self, age: Duration, now: Moment) -> Option<CvoLease> {
        self.cvo_lease.filter(|(_, at)| now.since(*at) < age).map(|(lease, _)| lease)
    }

    /// Whether the CVO's Lease has to be read: it was not read in this evaluation, and no CVO has renewed it lately.
    pub(super) fn must_read_cvo_lease(&self, now: Moment) -> Option<Question> {
        /// How long a CVO counts as running after its Lease was read and was fresh.
        const REST: Duration = Duration::from_secs(3);
        let is_known = self.turn.answered.cvo_lease || self.cvo_lease_within(REST, now) == Some(CvoLease::Fresh);
        (!is_known).then_some(Question::CvoLease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_failures_the_one_that_stops_counts() {
        let settings = Settings { mode: Mode::Auto, vacant_after: Duration::ZERO, degraded_after: Duration::ZERO };
        let (mut memory, now) = (Memory::new(settings), Moment::default());
        memory.failed(Kind::Record, &WriteError::Gone, now);
        assert_eq!(memory.turn.recovery, Some(Recovery::Skip));
        memory.failed(Kind::History, &WriteError::Unanswered(String::new()), now);
        memory.failed(Kind::Record, &WriteError::Gone, now);
        assert_eq!(memory.turn.recovery, Some(Recovery::Stop));
    }

    #[test]
    fn the_next_deadline_is_the_earliest_that_is_not_over() {
        let settings = Settings { mode: Mode::Auto, vacant_after: Duration::ZERO, degraded_after: Duration::ZERO };
        let (mut memory, now) = (Memory::new(settings), Moment::default());
        assert_eq!(memory.next_deadline(None), None);
        memory.pause(now);
        memory.failed(Kind::Record, &WriteError::Gone, now);
        let first = memory.next_deadline(None).unwrap();
        assert_eq!(first, now + Duration::from_millis(100));
        assert_eq!(memory.next_deadline(Some(first)), Some(now + Duration::from_secs(1)));
        assert_eq!(memory.next_deadline(Some(now + Duration::from_secs(1))), None);
    }
}
