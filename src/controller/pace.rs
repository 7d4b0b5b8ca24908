//! How fast to write: a back-off after failures, for each kind of write its own, and at most one write a minute
//! against somebody who takes back what was written. Whoever fights over a field writes for ever, and starves the
//! other meanwhile; a verdict that is new never waits for that.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    apply::ApplyError,
    operator_status::OperatorWrite,
    plan::{Kind, Recording, Write},
};
use crate::{
    api::{self, Condition},
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
/// Conditions that are remembered: whoever takes them back may make us say one thing and another in turn.
const REMEMBERED: usize = 8;

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
    /// What was written on an object, the newest last.
    wrote_conditions: Option<(Object, Vec<Said>)>,
    wrote_record: Option<(Object, i64)>,
    wrote_operator: Option<(Said, Instant)>,
}

/// The object that was written to, by its uid.
type Object = String;
/// The conditions, but for their times.
type Said = Vec<Condition>;

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
                let known = self.wrote_conditions.take().filter(|(uid, _)| *uid == metadata.uid);
                let mut said = known.map(|(_, said)| said).unwrap_or_default();
                let now = planned(configuration);
                said.retain(|before| *before != now);
                said.push(now);
                said.drain(..said.len().saturating_sub(REMEMBERED));
                self.wrote_conditions = Some((metadata.uid.clone(), said));
            }
            Write::History(_) => self.wrote_record = Some((metadata.uid.clone(), metadata.generation)),
            Write::Operator(OperatorWrite::Create(_)) => self.wrote_operator = None,
            Write::Operator(OperatorWrite::Status(status)) => {
                self.wrote_operator = Some((planned(status), Instant::now()));
            }
            Write::Withdraw(_) | Write::Force(_) | Write::Restore(_) | Write::Record(_) => {}
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

    /// Whether that very word on ourselves was written a moment ago: whoever wants to have it otherwise may for a while.
    #[must_use]
    pub fn is_repeated(&self, write: &Write) -> bool {
        match (write, &self.wrote_operator) {
            (Write::Operator(OperatorWrite::Status(status)), Some((last, at))) => {
                at.elapsed() < CONTENDED && *last == planned(status)
            }
            _ => false,
        }
    }

    /// Whether that write has been made before, and somebody took it back: conditions that were written are to be
    /// written again, and they aren't ours as they are, or the record for this very request is gone.
    #[must_use]
    pub fn is_contended(&self, write: &Write, snapshot: &Snapshot) -> bool {
        match write {
            Write::Conditions(configuration) => self.wrote_conditions.as_ref().is_some_and(|(uid, wrote)| {
                let planned = planned(configuration);
                let last = wrote.last();
                // One that goes back and forth by itself is told from one that is fought over.
                let stands = last != Some(&planned) && last.is_some_and(|last| shows(snapshot, last));
                *uid == snapshot.cluster_version.metadata.uid && wrote.contains(&planned) && !stands
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
    let mut conditions: Vec<Condition> =
        serde_json::from_value(configuration["status"]["conditions"].clone()).unwrap_or_default();
    for condition in &mut conditions {
        condition.last_transition_time.clear();
    }
    conditions
}

/// Whether the object says so now.
fn shows(snapshot: &Snapshot, said: &[Condition]) -> bool {
    let status = snapshot.cluster_version.status.as_ref();
    let now = |kind: &str| api::find(status.map_or(&[][..], |status| &status.conditions), kind);
    said.iter().all(|said| {
        now(&said.kind)
            .is_some_and(|now| (now.status, &now.reason, &now.message) == (said.status, &said.reason, &said.message))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::ClusterVersion,
        gate::{Authority, Source},
    };

    fn snapshot(message: &str) -> Snapshot {
        let conditions = json!([{"type": "Upgradeable", "status": "False", "reason": "R", "message": message}]);
        Snapshot {
            now: jiff::Timestamp::UNIX_EPOCH,
            cluster_version: ClusterVersion::from_value(
                json!({"metadata": {"uid": "a"}, "status": {"conditions": conditions}}),
            )
            .unwrap(),
            cluster_operators: Source::NotServed,
            admin_gates: Source::NotServed,
            admin_acks: Source::NotServed,
            authority: Authority::Sole,
            targets: Vec::new(),
        }
    }

    fn conditions(message: &str) -> Write {
        let now = format!("{:?}", Instant::now());
        let condition = json!({"type": "Upgradeable", "status": "False", "reason": "R", "message": message, "lastTransitionTime": now});
        Write::Conditions(json!({"status": {"conditions": [condition]}}))
    }

    /// Makes the write if it may be made now.
    fn write(pace: &mut Pace, write: &Write, seen: &Snapshot) -> bool {
        let may = !pace.is_contended(write, seen) || pace.may_contend();
        if may {
            pace.wrote(write, seen);
        }
        may
    }

    /// How often they are written in ten minutes against somebody who takes them back within ten milliseconds.
    async fn fight(wanted: impl Fn(usize) -> Write) -> usize {
        let (mut pace, mut writes) = (Pace::default(), 0);
        let rival = snapshot("theirs");
        let start = Instant::now();
        while start.elapsed() < Duration::from_mins(10) {
            writes += usize::from(write(&mut pace, &wanted(writes), &rival));
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        writes
    }

    #[tokio::test(start_paused = true)]
    async fn ten_minutes_of_a_fight_take_eleven_writes() {
        assert_eq!(fight(|_| conditions("ours")).await, 11, "the first, and one a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_makes_us_say_two_things_in_turn_gets_no_more() {
        assert_eq!(fight(|writes| conditions(if writes % 2 == 0 { "ours" } else { "ours too" })).await, 12);
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_that_goes_back_and_forth_is_no_fight() {
        let mut pace = Pace::default();
        let mut seen = snapshot("");
        for turn in 0..20 {
            let message = if turn % 2 == 0 { "overrides" } else { "none" };
            assert!(write(&mut pace, &conditions(message), &seen), "turn {turn}");
            seen = snapshot(message);
        }
        assert!(!pace.contends());
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_is_taken_back_is_written_once_a_minute_for_each_request() {
        let (mut pace, seen) = (Pace::default(), snapshot(""));
        let history = Write::History(json_patch::Patch(Vec::new()));
        assert!(write(&mut pace, &history, &seen));
        assert!(write(&mut pace, &history, &seen), "one edit is put right at once");
        assert!(!write(&mut pace, &history, &seen));
        assert_eq!(pace.recording(&seen), Recording::TakenBack);
        let mut next = seen.clone();
        next.cluster_version.metadata.generation = 2;
        assert!(write(&mut pace, &history, &next), "a new request never waits");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(write(&mut pace, &history, &next));
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_word_on_ourselves_is_written_once_a_minute() {
        let (mut pace, seen) = (Pace::default(), snapshot(""));
        let Write::Conditions(status) = conditions("well") else { unreachable!() };
        let word = Write::Operator(OperatorWrite::Status(status));
        assert!(!pace.is_repeated(&word));
        pace.wrote(&word, &seen);
        assert!(pace.is_repeated(&word));
        pace.wrote(&Write::Operator(OperatorWrite::Create(json!({}))), &seen);
        assert!(!pace.is_repeated(&word), "it was deleted, not changed");
        pace.wrote(&word, &seen);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(!pace.is_repeated(&word));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_keeps_its_kind_away_for_ever_longer_and_no_other() {
        let mut pace = Pace::default();
        let start = Instant::now();
        for failures in 0..40 {
            pace.failed(Kind::History, &ApplyError::Refused("no".into()));
            pace.due().await;
            assert!(pace.failing().is_empty(), "after {failures} failures");
        }
        // 0.1 s doubled seven times, then ten seconds each.
        assert!(start.elapsed() > Duration::from_secs(330), "{:?}", start.elapsed());
        pace.failed(Kind::Record, &ApplyError::Stale("no".into()));
        assert_eq!(pace.failing(), [(Kind::Record, "the object has changed since it was read: no".to_owned())]);
    }
}
