//! How fast to write: a back-off after failures, for each kind of write its own, and at most one write a minute
//! against somebody who takes back what was written. Whoever fights over a field writes for ever, and starves the
//! other meanwhile; a verdict that is new never waits for that.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    apply::ApplyError,
    plan::{Conditions, Recording, Write},
};
use crate::{
    api::{Condition, ConditionStatus},
    gate::Snapshot,
};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Where somebody else was faster: that says nothing about the next try.
const LONGEST_WAIT_STALE: Duration = Duration::from_secs(1);
/// Between two writes of what another writer takes back.
const CONTENDED: Duration = Duration::from_mins(1);

/// When the next write of each kind may be made.
#[derive(Debug, Default)]
pub struct Pace {
    record: Backoff,
    conditions: Backoff,
    /// Until then, nothing is written that another writer took back.
    contended: Option<Instant>,
    /// The conditions as they should be and were, when they last were.
    stood: Option<(Object, Said)>,
    wrote_record: Option<(Object, i64)>,
}

/// The object that was written to, by its uid.
type Object = String;
/// Status, reason and message of both conditions.
type Said = [Option<(ConditionStatus, String, String)>; 2];

/// Failures in a row, and until when they keep the next try away.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Pace {
    /// Whether the record can be written now: not while the last failure keeps the next try away, and not while
    /// somebody takes back what was recorded for this very request.
    #[must_use]
    pub fn recording(&self, snapshot: &Snapshot) -> Recording {
        if is_ahead(self.record.until) {
            Recording::Failing
        } else if is_ahead(self.contended) && self.has_recorded(snapshot) {
            Recording::TakenBack
        } else {
            Recording::Possible
        }
    }

    /// Whether the last failure of such a write keeps the next one away.
    #[must_use]
    pub fn waits(&self, write: &Write) -> bool {
        match write {
            Write::History(_) => is_ahead(self.record.until),
            Write::Conditions(_) => is_ahead(self.conditions.until),
        }
    }

    /// A write was made.
    pub fn wrote(&mut self, write: &Write, snapshot: &Snapshot) {
        let metadata = &snapshot.cluster_version.metadata;
        match write {
            Write::Conditions(configuration) => {
                self.stood = Some((metadata.uid.clone(), planned(configuration)));
            }
            Write::History(_) => self.wrote_record = Some((metadata.uid.clone(), metadata.generation)),
        }
        *self.backoff(write) = Backoff::default();
    }

    /// A write has failed: the next one of its kind waits, for twice as long each time.
    pub fn failed(&mut self, write: &Write, error: &ApplyError) {
        let longest = if matches!(error, ApplyError::Stale(_)) { LONGEST_WAIT_STALE } else { LONGEST_WAIT };
        let backoff = self.backoff(write);
        let wait = FIRST_WAIT.saturating_mul(1 << backoff.failures.min(10)).min(longest);
        backoff.failures = backoff.failures.saturating_add(1);
        backoff.until = Some(Instant::now() + wait);
    }

    /// Nothing is left to write, other than a record that has to wait: the conditions stand as they should be,
    /// whoever wrote them.
    pub fn settled(&mut self, recording: Recording, snapshot: &Snapshot, conditions: &Conditions) {
        let Conditions { upgradeable, release_accepted } = conditions;
        let stands = [upgradeable, release_accepted].map(|condition| Some(said(condition)));
        self.stood = Some((snapshot.cluster_version.metadata.uid.clone(), stands));
        self.conditions = Backoff::default();
        if recording != Recording::Failing {
            self.record = Backoff::default();
        }
    }

    /// Whether somebody takes back what that write is for: the very conditions that stood last are to be written
    /// again, or the record for this very request is gone. A verdict that is new is no contention, whoever else writes.
    #[must_use]
    pub fn is_contended(&self, write: &Write, snapshot: &Snapshot) -> bool {
        match write {
            Write::Conditions(configuration) => self.stood.as_ref().is_some_and(|(uid, wrote)| {
                *uid == snapshot.cluster_version.metadata.uid && *wrote == planned(configuration)
            }),
            Write::History(_) => self.has_recorded(snapshot),
        }
    }

    /// Whether a contended write may be made now; if so, the next one waits for a minute.
    pub fn may_contend(&mut self) -> bool {
        if is_ahead(self.contended) {
            return false;
        }
        self.contended = Some(Instant::now() + CONTENDED);
        true
    }

    /// Completes when a wait is over, once for each wait.
    pub async fn over(&mut self) {
        let waits = [&mut self.record.until, &mut self.conditions.until, &mut self.contended];
        let next = waits.into_iter().filter(|wait| wait.is_some()).min_by_key(|wait| **wait);
        match next {
            Some(wait) => {
                if let Some(time) = *wait {
                    tokio::time::sleep_until(time).await;
                }
                *wait = None;
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

    fn backoff(&mut self, write: &Write) -> &mut Backoff {
        match write {
            Write::History(_) => &mut self.record,
            Write::Conditions(_) => &mut self.conditions,
        }
    }
}

fn is_ahead(time: Option<Instant>) -> bool {
    time.is_some_and(|time| Instant::now() < time)
}

fn planned(configuration: &Value) -> Said {
    [0, 1].map(|index| {
        let condition: Condition = serde_json::from_value(configuration["status"]["conditions"][index].clone()).ok()?;
        Some(said(&condition))
    })
}

fn said(condition: &Condition) -> (ConditionStatus, String, String) {
    (condition.status, condition.reason.clone(), condition.message.clone())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use serde_json::json;

    use super::*;

    fn record() -> Write {
        Write::History(json_patch::Patch(Vec::new()))
    }

    fn conditions(message: &str) -> Write {
        let condition = |kind| json!({"type": kind, "status": "False", "reason": "R", "message": message});
        Write::Conditions(json!({"status": {"conditions": [condition("Upgradeable"), condition("ReleaseAccepted")]}}))
    }

    fn standing(message: &str) -> Conditions {
        let condition = Condition {
            status: ConditionStatus::False,
            reason: "R".to_owned(),
            message: message.to_owned(),
            ..Condition::default()
        };
        Conditions { upgradeable: condition.clone(), release_accepted: condition }
    }

    fn request(uid: &str, generation: i64) -> Snapshot {
        let mut snapshot = crate::gate::testing::snapshot(crate::api::ClusterVersion::default());
        snapshot.cluster_version.metadata.uid = uid.to_owned();
        snapshot.cluster_version.metadata.generation = generation;
        snapshot
    }

    #[tokio::test]
    async fn a_wait_is_over_once() {
        let mut pace = Pace::default();
        assert!(pace.over().now_or_never().is_none());
        pace.failed(&conditions("a"), &ApplyError::Gone);
        assert!(pace.waits(&conditions("a")));
        pace.over().await;
        assert!(!pace.waits(&conditions("a")));
        assert!(pace.over().now_or_never().is_none(), "what is over doesn't come again, or the loop never rests");
    }

    #[test]
    fn a_failed_record_keeps_only_records_away() {
        let mut pace = Pace::default();
        pace.failed(&record(), &ApplyError::Gone);
        assert_eq!(pace.recording(&request("a", 1)), Recording::Failing);
        assert!(pace.waits(&record()) && !pace.waits(&conditions("a")));
        pace.settled(Recording::Failing, &request("a", 1), &standing("a"));
        assert!(pace.waits(&record()), "a record that waits isn't settled");
        pace.wrote(&record(), &request("a", 1));
        assert_eq!(pace.recording(&request("a", 1)), Recording::Possible);
    }

    #[test]
    fn the_same_conditions_again_are_contention_and_others_are_not() {
        let mut pace = Pace::default();
        let cluster = request("a", 1);
        assert!(!pace.is_contended(&conditions("a"), &cluster));
        pace.wrote(&conditions("a"), &cluster);
        assert!(pace.is_contended(&conditions("a"), &cluster));
        assert!(!pace.is_contended(&conditions("b"), &cluster));
        assert!(!pace.is_contended(&conditions("a"), &request("b", 1)), "another object, that was created anew");
        // Another replica wrote what this one would have written, and was right.
        pace.settled(Recording::Possible, &cluster, &standing("b"));
        assert!(!pace.is_contended(&conditions("a"), &cluster));
        assert!(pace.is_contended(&conditions("b"), &cluster));
    }

    #[test]
    fn a_record_that_is_taken_back_is_written_once_more_and_then_waits() {
        let mut pace = Pace::default();
        pace.wrote(&record(), &request("a", 1));
        assert_eq!(pace.recording(&request("a", 1)), Recording::Possible);
        assert!(pace.is_contended(&record(), &request("a", 1)) && pace.may_contend());
        assert_eq!(pace.recording(&request("a", 1)), Recording::TakenBack);
        assert!(!pace.may_contend());
        assert_eq!(pace.recording(&request("a", 2)), Recording::Possible, "a new request");
    }
}
