//! How fast to write: a back-off after failures, for each kind of write its own, and at most one write a minute
//! against somebody who takes back what was written. Whoever fights over a field writes for ever, and starves the
//! other meanwhile; a verdict that is new never waits for that.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    api::{Condition, ConditionStatus},
    controller::apply::ApplyError,
    gate::Snapshot,
    plan::{Conditions, Kind, RecordState, Write, cluster_operator::OperatorWrite},
};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Where somebody else was faster: that says nothing about the next try.
const LONGEST_WAIT_STALE: Duration = Duration::from_secs(1);
/// After so many writes in a row that something must be amiss.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two writes of what another writer takes back.
const CONTENDED: Duration = Duration::from_mins(1);
/// The loop looks at least as often.
const NEXT_LOOK: Duration = Duration::from_secs(15);
/// Conditions that are remembered: whoever takes them back may make us say one thing and another in turn.
const REMEMBERED: usize = 8;

/// When the next write of each kind may be made.
#[derive(Debug, Default)]
pub struct WriteBackoff {
    backoffs: Vec<Backoff>,
    /// Until when which kind of write isn't made that another writer took back.
    contended: Vec<(Kind, Instant)>,
    /// Until then, nothing is written at all.
    paused: Option<Instant>,
    /// A moment at which somebody else's wait is over.
    alarm: Option<Instant>,
    /// The waits that have been waited for.
    woken: Option<Instant>,
    /// The conditions as they should be and were, when they last were.
    stood: Option<(Object, Said)>,
    /// What was written on that object, the newest last.
    wrote_conditions: Vec<Said>,
    wrote_record: Option<(Object, i64)>,
    wrote_operator: Option<(Said, Instant)>,
    /// The request that was forced last, as it was before, and when.
    forced: Option<(Object, Value, Instant)>,
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

impl WriteBackoff {
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
    pub fn record_state(&self, snapshot: &Snapshot) -> RecordState {
        if self.failing().iter().any(|(kind, _)| *kind == Kind::History) {
            RecordState::Failing
        } else if self.waits(Kind::History) && self.has_recorded(snapshot) {
            RecordState::TakenBack
        } else {
            RecordState::Possible
        }
    }

    /// A write was made.
    pub fn wrote(&mut self, write: &Write, snapshot: &Snapshot) {
        let metadata = &snapshot.cluster_version.metadata;
        match write {
            Write::Conditions(configuration) => {
                let now = planned(configuration);
                let is_new = self.stood.as_ref().is_none_or(|(uid, _)| *uid != metadata.uid);
                self.wrote_conditions.retain(|before| !is_new && *before != now);
                self.wrote_conditions.push(now.clone());
                self.wrote_conditions.drain(..self.wrote_conditions.len().saturating_sub(REMEMBERED));
                self.stood = Some((metadata.uid.clone(), now));
            }
            Write::History(_) => self.wrote_record = Some((metadata.uid.clone(), metadata.generation)),
            Write::Operator(OperatorWrite::Create(_)) => self.wrote_operator = None,
            Write::Operator(OperatorWrite::Status(status)) => {
                self.wrote_operator = Some((planned(status), Instant::now()));
            }
            Write::Force(_) => {
                let request = snapshot.cluster_version.spec.desired_update.as_ref();
                let raw = request.map(|request| request.raw.clone());
                self.forced = raw.map(|raw| (metadata.uid.clone(), raw, Instant::now()));
            }
            Write::Withdraw(_) | Write::Unforce(_) | Write::Restore(_) | Write::Record(_) => {}
        }
        self.backoffs.retain(|backoff| backoff.kind != write.kind());
    }

    /// A write has failed: the next one of its kind waits, for twice as long each time. Returns whether it failed for
    /// another reason than the last time.
    pub fn failed(&mut self, kind: Kind, error: &ApplyError) -> bool {
        let longest = if matches!(error, ApplyError::Stale(_)) { LONGEST_WAIT_STALE } else { LONGEST_WAIT };
        let position = self.backoffs.iter().position(|backoff| backoff.kind == kind);
        let before = position.map(|position| self.backoffs.swap_remove(position));
        let failures = before.as_ref().map_or(0, |before| before.failures);
        let wait = FIRST_WAIT.saturating_mul(1 << failures.min(10)).min(longest);
        let (failures, until) = (failures.saturating_add(1), Instant::now() + wait);
        let why = error.to_string();
        let is_news = before.is_none_or(|before| before.why != why);
        self.backoffs.push(Backoff { kind, failures, until, why });
        is_news
    }

    /// The conditions stand as they should be, whoever wrote them.
    pub fn stands(&mut self, snapshot: &Snapshot, conditions: &Conditions) {
        let said = [&conditions.upgradeable, &conditions.release_accepted].map(said).to_vec();
        let uid = &snapshot.cluster_version.metadata.uid;
        if self.stood.as_ref().is_none_or(|(known, _)| known != uid) {
            self.wrote_conditions.clear();
        }
        self.stood = Some((uid.clone(), said));
    }

    /// Nothing is left to write, other than what has to wait.
    pub fn settled(&mut self) {
        let now = Instant::now();
        self.backoffs.retain(|backoff| now < backoff.until);
    }

    /// Whether that very word on ourselves was written a moment ago: whoever wants to have it otherwise may for a while.
    #[must_use]
    pub fn is_repeated(&self, write: &Write) -> bool {
        match (write, &self.wrote_operator) {
            (Write::Operator(OperatorWrite::Status(status)), Some((said, at))) => {
                at.elapsed() < CONTENDED && *said == planned(status)
            }
            _ => false,
        }
    }

    /// Whether somebody takes back what that write is for: the very conditions that stood last are to be written
    /// again, or earlier ones while those that stood last don't; or the record for this very request is gone. A verdict
    /// that is new is no contention, whoever else writes, nor is one that goes back and forth by itself.
    #[must_use]
    pub fn is_contended(&self, write: &Write, snapshot: &Snapshot) -> bool {
        match write {
            Write::Conditions(configuration) => self.stood.as_ref().is_some_and(|(uid, stood)| {
                let planned = planned(configuration);
                // `Upgradeable` comes first. Where nobody has touched it, it is our own verdict that has changed.
                let turned = planned.first() != stood.first() && shows(snapshot, stood.get(..1).unwrap_or_default());
                let earlier = || !turned && self.wrote_conditions.contains(&planned) && !shows(snapshot, stood);
                *uid == snapshot.cluster_version.metadata.uid && (*stood == planned || earlier())
            }),
            Write::History(_) => self.has_recorded(snapshot),
            // The very request that was forced a moment ago is there again without the force.
            Write::Force(_) => self.forced.as_ref().is_some_and(|(uid, raw, at)| {
                let request = snapshot.cluster_version.spec.desired_update.as_ref();
                *uid == snapshot.cluster_version.metadata.uid
                    && request.is_some_and(|request| request.raw == *raw)
                    && at.elapsed() < CONTENDED * 2 // twice, as the write that comes after the wait is one against it, too
            }),
            Write::Withdraw(_) | Write::Unforce(_) | Write::Restore(_) | Write::Record(_) | Write::Operator(_) => false,
        }
    }

    /// What another writer had taken back was written once more: the next time not within a minute.
    pub fn fought(&mut self, kind: Kind) {
        self.contended.retain(|(known, _)| *known != kind);
        self.contended.push((kind, Instant::now() + CONTENDED));
    }

    /// Whether such a write was made against another writer within the last minute. Conditions and a force wait for
    /// nothing but themselves; anything else waits for what is fought over besides.
    #[must_use]
    pub fn waits(&self, kind: Kind) -> bool {
        let counts = |fought: Kind| fought == kind || !matches!(kind, Kind::Conditions | Kind::Force);
        self.contended.iter().any(|(fought, until)| counts(*fought) && Instant::now() < *until)
    }

    /// Whether any was, or would have been but for the next look, which is yet to come: a fight that goes on has no gaps.
    #[must_use]
    pub fn contends(&self) -> bool {
        self.contended.iter().any(|(_, until)| Instant::now() < *until + NEXT_LOOK)
    }

    /// The kinds of write whose last try has failed, whether the next one waits or is due, and why.
    #[must_use]
    pub fn failed_last(&self) -> Vec<(Kind, String)> {
        self.backoffs.iter().map(|backoff| (backoff.kind, backoff.why.clone())).collect()
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

    /// Makes [`Self::due`] complete at that moment as well, once.
    pub fn wake_at(&mut self, moment: Instant) {
        self.alarm = Some(moment);
    }

    /// Completes when a wait is over, once for each wait.
    pub async fn due(&mut self) {
        let contended = self.contended.iter().map(|(_, until)| *until);
        let waits = self.backoffs.iter().map(|backoff| backoff.until).chain(contended).chain(self.paused);
        let waits = waits.chain(self.alarm);
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
    conditions.iter().map(said).collect()
}

/// Whether the object says so now.
fn shows(snapshot: &Snapshot, words: &[(ConditionStatus, String, String)]) -> bool {
    let conditions = snapshot.cluster_version.status.iter().flat_map(|status| &status.conditions);
    let now: Vec<_> = conditions.map(said).collect();
    words.iter().all(|word| now.contains(word))
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

    fn waits(pace: &WriteBackoff, kind: Kind) -> bool {
        pace.failing().iter().any(|(failing, _)| *failing == kind)
    }

    #[tokio::test]
    async fn a_wait_is_over_once() {
        let mut pace = WriteBackoff::default();
        assert!(pace.due().now_or_never().is_none());
        pace.failed(Kind::Conditions, &ApplyError::Gone);
        assert!(waits(&pace, Kind::Conditions));
        pace.due().await;
        assert!(!waits(&pace, Kind::Conditions));
        assert!(pace.due().now_or_never().is_none(), "what is over doesn't come again, or the loop never rests");
    }

    #[test]
    fn a_failed_record_keeps_only_records_away() {
        let mut pace = WriteBackoff::default();
        pace.failed(Kind::History, &ApplyError::Gone);
        assert_eq!(pace.record_state(&request("a", 1)), RecordState::Failing);
        assert!(waits(&pace, Kind::History) && !waits(&pace, Kind::Conditions));
        pace.settled();
        assert!(waits(&pace, Kind::History), "a record that waits isn't settled");
        pace.wrote(&record(), &request("a", 1));
        assert_eq!(pace.record_state(&request("a", 1)), RecordState::Possible);
    }

    #[test]
    fn the_same_conditions_again_are_contention_and_others_are_not() {
        let mut pace = WriteBackoff::default();
        let cluster = request("a", 1);
        assert!(!pace.is_contended(&conditions("a"), &cluster));
        pace.wrote(&conditions("a"), &cluster);
        assert!(pace.is_contended(&conditions("a"), &cluster));
        assert!(!pace.is_contended(&conditions("b"), &cluster));
        assert!(!pace.is_contended(&conditions("a"), &request("b", 1)), "another object, that was created anew");
        // Another replica wrote what this one would have written, and was right.
        pace.stands(&cluster, &standing("b"));
        assert!(!pace.is_contended(&conditions("a"), &showing("b")));
        assert!(pace.is_contended(&conditions("b"), &cluster));
    }

    #[test]
    fn a_record_that_is_taken_back_is_written_once_more_and_then_waits() {
        let mut pace = WriteBackoff::default();
        pace.wrote(&record(), &request("a", 1));
        assert_eq!(pace.record_state(&request("a", 1)), RecordState::Possible);
        assert!(pace.is_contended(&record(), &request("a", 1)) && !pace.waits(Kind::History));
        pace.fought(Kind::History);
        assert_eq!(pace.record_state(&request("a", 1)), RecordState::TakenBack);
        assert!(pace.waits(Kind::History) && !pace.waits(Kind::Conditions), "what is fought over is the record alone");
        assert_eq!(pace.record_state(&request("a", 2)), RecordState::Possible, "a new request");
    }

    fn showing(message: &str) -> Snapshot {
        let mut snapshot = request("a", 1);
        let condition = standing(message).upgradeable;
        snapshot.cluster_version.status =
            Some(crate::api::Status { conditions: vec![condition], ..crate::api::Status::default() });
        snapshot
    }

    /// Makes the write if it may be made now.
    fn write(pace: &mut WriteBackoff, write: &Write, seen: &Snapshot) -> bool {
        let contended = pace.is_contended(write, seen);
        let may = !contended || !pace.waits(write.kind());
        if may {
            if contended {
                pace.fought(write.kind());
            }
            pace.wrote(write, seen);
        }
        may
    }

    /// How often they are written in ten minutes against somebody who takes them back within ten milliseconds.
    async fn fight(wanted: impl Fn(usize) -> Write) -> usize {
        let (mut pace, mut writes) = (WriteBackoff::default(), 0);
        let rival = showing("theirs");
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
        let (mut pace, mut seen) = (WriteBackoff::default(), showing(""));
        for turn in 0..20 {
            let message = if turn % 2 == 0 { "overrides" } else { "none" };
            assert!(write(&mut pace, &conditions(message), &seen), "turn {turn}");
            seen = showing(message);
        }
        assert!(!pace.contends());
    }

    /// Both conditions as the object has them.
    fn seen(upgradeable: &str, release_accepted: &str) -> (Write, Snapshot) {
        let condition =
            |kind: &str, message: &str| json!({"type": kind, "status": "False", "reason": "R", "message": message});
        let both = json!([condition("Upgradeable", upgradeable), condition("ReleaseAccepted", release_accepted)]);
        let mut snapshot = request("a", 1);
        let conditions = serde_json::from_value(both.clone()).unwrap();
        snapshot.cluster_version.status = Some(crate::api::Status { conditions, ..crate::api::Status::default() });
        (Write::Conditions(json!({"status": {"conditions": both}})), snapshot)
    }

    #[tokio::test(start_paused = true)]
    async fn a_fight_over_the_one_condition_keeps_no_verdict_on_the_other_back() {
        let mut pace = WriteBackoff::default();
        for turn in 0..6 {
            let verdict = if turn % 2 == 0 { "overrides" } else { "none" };
            let before = if turn % 2 == 0 { "none" } else { "overrides" };
            assert!(write(&mut pace, &seen(verdict, "ours").0, &seen(before, "theirs").1), "turn {turn}");
            let again = write(&mut pace, &seen(verdict, "ours").0, &seen(verdict, "theirs").1);
            assert_eq!(again, turn == 0, "turn {turn}: the same words are written once more, and then once a minute");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_word_on_ourselves_is_written_once_a_minute() {
        let (mut pace, seen) = (WriteBackoff::default(), showing(""));
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
    async fn a_failure_that_goes_on_is_news_once() {
        let mut pace = WriteBackoff::default();
        let too_large = ApplyError::TooLarge("etcdserver: request is too large".to_owned());
        assert!(pace.failed(Kind::Conditions, &too_large));
        pace.due().await;
        assert!(!pace.failed(Kind::Conditions, &too_large));
        assert!(pace.failed(Kind::Record, &too_large), "of another kind");
        assert!(pace.failed(Kind::Conditions, &ApplyError::Gone), "for another reason");
        pace.wrote(&conditions("a"), &request("a", 1));
        assert!(pace.failed(Kind::Conditions, &ApplyError::Gone), "after it went well");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_keep_the_next_try_away_for_ever_longer() {
        let mut pace = WriteBackoff::default();
        let start = Instant::now();
        for failures in 0..40 {
            pace.failed(Kind::History, &ApplyError::Refused("no".into()));
            pace.due().await;
            assert!(!waits(&pace, Kind::History), "after {failures} failures");
        }
        // 0.1 s doubled seven times, then ten seconds each.
        assert!(start.elapsed() > Duration::from_secs(330), "{:?}", start.elapsed());
    }
}
