//! How fast to write: a back-off after failures, for each kind of write its own, and at most one write a minute
//! against somebody who takes back what was written. Whoever fights over a field writes for ever, and starves the
//! other meanwhile; a verdict that is new never waits for that.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    apply::ApplyError,
    plan::{Kind, Recording, Write},
};
use crate::{
    api::{Condition, ConditionStatus},
    gate::Snapshot,
};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Where somebody else was faster: that says nothing about the next try.
const LONGEST_WAIT_STALE: Duration = Duration::from_secs(1);
/// After so many writes in a row that something must be amiss.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two writes of what another writer takes back.
const CONTENDED: Duration = Duration::from_mins(1);

/// When the next write of each kind may be made.
#[derive(Debug, Default)]
pub struct Pace {
    backoffs: Vec<Backoff>,
    /// Until then, nothing is written that another writer took back.
    contended: Option<Instant>,
    /// Until then, nothing is written at all.
    paused: Option<Instant>,
    /// The waits that have been waited for.
    woken: Option<Instant>,
    wrote_conditions: Option<(Object, Said)>,
    wrote_record: Option<(Object, i64)>,
}

/// The object that was written to, by its uid.
type Object = String;
/// Status, reason and message of the conditions.
type Said = Vec<(ConditionStatus, String, String)>;

/// Failures of one kind of write in a row, and until when they keep the next try away.
#[derive(Debug)]
struct Backoff {
    kind: Kind,
    failures: u32,
    until: Instant,
    why: String,
}

impl Pace {
    /// The kinds of write whose last failure keeps the next try away, and why they failed.
    #[must_use]
    pub fn failing(&self) -> Vec<(Kind, String)> {
        let now = Instant::now();
        self.backoffs
            .iter()
            .filter(|backoff| now < backoff.until)
            .map(|backoff| (backoff.kind, backoff.why.clone()))
            .collect()
    }

    /// Whether an accepted risk can be recorded now: not while the last failure keeps the next try away, and not
    /// while somebody takes back what was recorded for this very request.
    #[must_use]
    pub fn recording(&self, snapshot: &Snapshot) -> Recording {
        if self.failing().iter().any(|(kind, _)| *kind == Kind::History) {
            Recording::Failing
        } else if self.contends() && self.has_recorded(snapshot) {
            Recording::TakenBack
        } else {
            Recording::Possible
        }
    }

    /// A write was made.
    pub fn wrote(&mut self, write: &Write, snapshot: &Snapshot) {
        let metadata = &snapshot.cluster_version.metadata;
        match write {
            Write::Conditions(configuration) => {
                self.wrote_conditions = Some((metadata.uid.clone(), planned(configuration)));
            }
            Write::History(_) => self.wrote_record = Some((metadata.uid.clone(), metadata.generation)),
            Write::Withdraw(_) | Write::Force(_) | Write::Restore(_) | Write::Record(_) | Write::Operator(_) => {}
        }
        self.backoffs.retain(|backoff| backoff.kind != write.kind());
    }

    /// A write has failed: the next one of its kind waits, for twice as long each time.
    pub fn failed(&mut self, kind: Kind, error: &ApplyError) {
        let longest = if matches!(error, ApplyError::Stale(_)) { LONGEST_WAIT_STALE } else { LONGEST_WAIT };
        let position = self.backoffs.iter().position(|backoff| backoff.kind == kind);
        let failures = position.map_or(0, |position| self.backoffs.swap_remove(position).failures);
        let wait = FIRST_WAIT.saturating_mul(1 << failures.min(10)).min(longest);
        let (failures, until) = (failures.saturating_add(1), Instant::now() + wait);
        self.backoffs.push(Backoff { kind, failures, until, why: error.to_string() });
    }

    /// Nothing is left to write.
    pub fn settled(&mut self) {
        let now = Instant::now();
        self.backoffs.retain(|backoff| now < backoff.until);
    }

    /// Whether that write has been made before, and somebody took it back: the very conditions that were written
    /// last are to be written again, or the record for this very request is gone.
    #[must_use]
    pub fn is_contended(&self, write: &Write, snapshot: &Snapshot) -> bool {
        match write {
            Write::Conditions(configuration) => self.wrote_conditions.as_ref().is_some_and(|(uid, wrote)| {
                *uid == snapshot.cluster_version.metadata.uid && *wrote == planned(configuration)
            }),
            Write::History(_) => self.has_recorded(snapshot),
            Write::Withdraw(_) | Write::Force(_) | Write::Restore(_) | Write::Record(_) | Write::Operator(_) => false,
        }
    }

    /// Whether a contended write may be made now; if so, the next one waits for a minute.
    pub fn may_contend(&mut self) -> bool {
        if self.contends() {
            return false;
        }
        self.contended = Some(Instant::now() + CONTENDED);
        true
    }

    /// Whether a contended write was made within the last minute.
    #[must_use]
    pub fn contends(&self) -> bool {
        self.contended.is_some_and(|until| Instant::now() < until)
    }

    /// Lets everything rest for a while.
    pub fn pause(&mut self) {
        self.paused = Some(Instant::now() + PAUSE);
    }

    /// Whether everything rests.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused.is_some_and(|until| Instant::now() < until)
    }

    /// Completes when a wait is over, once for each wait.
    pub async fn due(&mut self) {
        let waits = self.backoffs.iter().map(|backoff| backoff.until).chain(self.contended).chain(self.paused);
        match waits.filter(|wait| self.woken.is_none_or(|woken| woken < *wait)).min() {
            Some(wait) => {
                tokio::time::sleep_until(wait).await;
                self.woken = Some(wait);
            }
            None => std::future::pending().await,
        }
    }

    fn has_recorded(&self, snapshot: &Snapshot) -> bool {
        let metadata = &snapshot.cluster_version.metadata;
        self.wrote_record
            .as_ref()
            .is_some_and(|(uid, generation)| *uid == metadata.uid && *generation == metadata.generation)
    }
}

fn planned(configuration: &Value) -> Said {
    let conditions: Vec<Condition> =
        serde_json::from_value(configuration["status"]["conditions"].clone()).unwrap_or_default();
    conditions.into_iter().map(|condition| (condition.status, condition.reason, condition.message)).collect()
}
