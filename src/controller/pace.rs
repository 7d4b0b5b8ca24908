//! How fast to write: a back-off after failures, and at most one write a minute against somebody who takes back
//! what was written. Whoever fights over a field writes for ever, and starves the other meanwhile.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::plan::Write;
use crate::{
    api::{Condition, ConditionStatus},
    gate::Snapshot,
};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Between two writes of what another writer takes back.
const CONTENDED: Duration = Duration::from_mins(1);

/// When the next write may be made.
#[derive(Debug, Default)]
pub struct Pace {
    failures: u32,
    not_before: Option<Instant>,
    contended: Option<Instant>,
    conditions: Option<(Object, Said)>,
    record: Option<(Object, i64)>,
}

/// The object that was written to, by its uid.
type Object = String;
/// Status, reason and message of both conditions.
type Said = [Option<(ConditionStatus, String, String)>; 2];

impl Pace {
    /// Remembers what was written.
    pub fn wrote(&mut self, write: &Write, snapshot: &Snapshot) {
        let metadata = &snapshot.cluster_version.metadata;
        match write {
            Write::Conditions(configuration) => self.conditions = Some((metadata.uid.clone(), planned(configuration))),
            Write::History(_) => self.record = Some((metadata.uid.clone(), metadata.generation)),
            Write::Withdraw(_) | Write::Force(_) | Write::Restore(_) | Write::Record(_) | Write::Operator(_) => {}
        }
    }

    /// Whether that write has been made before, and somebody took it back: the very conditions that were written
    /// last are to be written again, or the record for this very request is gone. A verdict that is new is no
    /// contention, whoever else writes.
    #[must_use]
    pub fn is_contended(&self, write: &Write, snapshot: &Snapshot) -> bool {
        let metadata = &snapshot.cluster_version.metadata;
        match write {
            Write::Conditions(configuration) => self
                .conditions
                .as_ref()
                .is_some_and(|(uid, wrote)| *uid == metadata.uid && *wrote == planned(configuration)),
            Write::History(_) => self
                .record
                .as_ref()
                .is_some_and(|(uid, generation)| *uid == metadata.uid && *generation == metadata.generation),
            Write::Withdraw(_) | Write::Force(_) | Write::Restore(_) | Write::Record(_) | Write::Operator(_) => false,
        }
    }

    /// Whether a contended write may be made now; if so, the next one waits for a minute.
    pub fn may_contend(&mut self) -> bool {
        let now = Instant::now();
        if let Some(next) = self.contended.filter(|&next| now < next) {
            self.not_before = Some(next);
            return false;
        }
        self.contended = Some(now + CONTENDED);
        true
    }

    /// Whether a contended write was made within the last minute.
    #[must_use]
    pub fn contends(&self) -> bool {
        self.contended.is_some_and(|next| Instant::now() < next)
    }

    /// A write has failed: the next one waits, for twice as long each time.
    pub fn failed(&mut self) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(10)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + wait);
    }

    /// Everything is written.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    /// Whether it is too early to try.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.not_before.is_some_and(|time| Instant::now() < time)
    }

    /// Completes when a wait is over.
    pub async fn due(&self) {
        match self.not_before {
            Some(time) => tokio::time::sleep_until(time).await,
            None => std::future::pending().await,
        }
    }
}

fn planned(configuration: &Value) -> Said {
    [0, 1].map(|index| {
        let condition: Condition = serde_json::from_value(configuration["status"]["conditions"][index].clone()).ok()?;
        Some((condition.status, condition.reason, condition.message))
    })
}
