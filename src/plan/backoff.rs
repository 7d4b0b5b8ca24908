//! How long each kind of write waits after a failure: twice as long each time. Pure.
//!
//! Libraries for this read a clock or sleep. Here the time is an argument, so that the model of the loop can explore every
//! wait.

use std::time::Duration;

use crate::plan::{moment::Moment, recovery::WriteError, write::Kind};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// After a conflict: another writer was faster, so the next try may well succeed.
const LONGEST_WAIT_STALE: Duration = Duration::from_secs(1);

/// When the next write of each kind may be made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteBackoff(Vec<Backoff>);

/// Failures of one kind of write in a row, and until when the next try waits.
#[derive(Clone, Debug, PartialEq)]
struct Backoff {
    kind: Kind,
    failures: u32,
    until: Moment,
    why: String,
}

impl WriteBackoff {
    /// Whether the next try of that kind still waits after the last failure.
    #[must_use]
    pub fn is_failing(&self, kind: Kind, now: Moment) -> bool {
        self.0.iter().any(|backoff| backoff.kind == kind && now < backoff.until)
    }

    /// The kinds of write whose last try has failed, whether the next one waits or is due, and why.
    #[must_use]
    pub fn failed_last(&self) -> Vec<(Kind, String)> {
        self.0.iter().map(|backoff| (backoff.kind, backoff.why.clone())).collect()
    }

    /// A write has failed: the next one of its kind waits. Returns whether it failed for another reason than the last
    /// time.
    pub fn failed(&mut self, kind: Kind, error: &WriteError, now: Moment) -> bool {
        let longest = if matches!(error, WriteError::Stale(_)) { LONGEST_WAIT_STALE } else { LONGEST_WAIT };
        let position = self.0.iter().position(|backoff| backoff.kind == kind);
        let before = position.map(|position| self.0.swap_remove(position));
        let failures = before.as_ref().map_or(0, |before| before.failures);
        let wait = FIRST_WAIT.saturating_mul(1 << failures.min(10)).min(longest);
        let why = error.to_string();
        let is_news = before.is_none_or(|before| before.why != why);
        self.0.push(Backoff { kind, failures: failures.saturating_add(1), until: now + wait, why });
        is_news
    }

    /// A write was made.
    pub fn succeeded(&mut self, kind: Kind) {
        self.0.retain(|backoff| backoff.kind != kind);
    }

    /// Nothing is left to write, other than what has to wait.
    pub fn settle(&mut self, now: Moment) {
        self.0.retain(|backoff| now < backoff.until);
    }

    /// When each wait is over.
    pub fn deadlines(&self) -> impl Iterator<Item = Moment> {
        self.0.iter().map(|backoff| backoff.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_only_its_kind_away() {
        let (mut backoff, now) = (WriteBackoff::default(), Moment::default());
        backoff.failed(Kind::History, &WriteError::Gone, now);
        assert!(backoff.is_failing(Kind::History, now) && !backoff.is_failing(Kind::Conditions, now));
        backoff.settle(now);
        assert!(backoff.is_failing(Kind::History, now), "what waits isn't settled");
        backoff.settle(now + FIRST_WAIT);
        assert_eq!(backoff.failed_last(), []);
        backoff.failed(Kind::History, &WriteError::Gone, now);
        backoff.succeeded(Kind::History);
        assert!(!backoff.is_failing(Kind::History, now));
    }

    #[test]
    fn a_failure_that_goes_on_is_news_once() {
        let (mut backoff, now) = (WriteBackoff::default(), Moment::default());
        let too_large = WriteError::TooLarge("etcdserver: request is too large".to_owned());
        assert!(backoff.failed(Kind::Conditions, &too_large, now));
        assert!(!backoff.failed(Kind::Conditions, &too_large, now + LONGEST_WAIT));
        assert!(backoff.failed(Kind::Record, &too_large, now), "of another kind");
        assert!(backoff.failed(Kind::Conditions, &WriteError::Gone, now), "for another reason");
        backoff.succeeded(Kind::Conditions);
        assert!(backoff.failed(Kind::Conditions, &WriteError::Gone, now), "after it went well");
    }

    #[test]
    fn failures_keep_the_next_try_away_for_ever_longer() {
        let (mut backoff, mut now) = (WriteBackoff::default(), Moment::default());
        for failures in 0..40 {
            backoff.failed(Kind::History, &WriteError::Refused("no".into()), now);
            now = backoff.deadlines().next().unwrap();
            assert!(!backoff.is_failing(Kind::History, now), "after {failures} failures");
        }
        // 0.1 s doubled seven times, then ten seconds each.
        assert!(now.since(Moment::default()) > Duration::from_secs(330), "{now:?}");
    }
}
