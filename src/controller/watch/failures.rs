//! How long a watch waits after a failure, whether the failure is logged, and how long cached data is used.

use std::time::Duration;

use backon::ExponentialBuilder;
use kube::runtime::watcher::ExponentialBackoff;
use tokio::time::Instant;

/// After the first failure of a watch, and then twice as long each time, at random up to twice that: short enough that
/// the right state follows within seconds, and long enough that six watches make about ten requests a second at most.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// After so long without a failure, the next one is the first again: longer than any wait.
const CALM: Duration = Duration::from_secs(10);
/// How long cached data is used while lists fail. After that, a ClusterOperator may have reported anything.
const TRUST: Duration = Duration::from_mins(1);
/// A watch that keeps failing is logged once in this time.
const REPORT: Duration = Duration::from_mins(1);

/// How long a watch has been failing, and so how long it waits.
pub struct WatchFailures {
    waits: ExponentialBackoff,
    /// When it failed last.
    last: Option<Instant>,
    /// When a failure was logged last.
    reported: Option<Instant>,
    /// Since when lists have been failing.
    unlisted: Option<Instant>,
}

impl WatchFailures {
    pub fn none() -> Self {
        Self { waits: waits(), last: None, reported: None, unlisted: None }
    }

    /// A list has succeeded.
    pub fn listed(&mut self) {
        self.unlisted = None;
    }

    /// Notes a failed list. Returns whether lists have failed for longer than cached data may be used.
    pub fn are_lasting(&mut self) -> bool {
        self.unlisted.get_or_insert_with(Instant::now).elapsed() > TRUST
    }

    /// Whether the failure is logged: the first is, and then at most one a minute.
    pub fn is_reported(&mut self) -> bool {
        let is_reported = self.reported.is_none_or(|reported| reported.elapsed() >= REPORT);
        if is_reported {
            self.reported = Some(Instant::now());
        }
        is_reported
    }

    /// How long to wait after a failure: twice as long each time, until it was calm for a while.
    pub fn wait(&mut self) -> Duration {
        if self.last.is_none_or(|last| last.elapsed() > CALM) {
            self.waits = waits();
        }
        self.last = Some(Instant::now());
        self.waits.next().unwrap_or(LONGEST_WAIT)
    }
}

fn waits() -> ExponentialBackoff {
    let builder = ExponentialBuilder::new().with_min_delay(FIRST_WAIT).with_max_delay(LONGEST_WAIT);
    ExponentialBackoff::from(builder.with_factor(2.0).with_jitter().without_max_times())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_until_it_was_calm_for_a_while() {
        let mut failures = WatchFailures::none();
        let mut waits = Vec::new();
        for _ in 0..9 {
            waits.push(failures.wait());
            // A list that succeeds before the watch fails again changes nothing.
            failures.listed();
            tokio::time::sleep(*waits.last().unwrap()).await;
        }
        assert!(waits[0] < Duration::from_millis(500) && waits[8] >= LONGEST_WAIT, "{waits:?}");
        tokio::time::sleep(CALM + LONGEST_WAIT).await;
        assert!(failures.wait() < Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_is_trusted_for_a_minute_of_lists_that_fail() {
        let mut failures = WatchFailures::none();
        failures.listed();
        tokio::time::sleep(Duration::from_hours(1)).await; // of a watch that is well
        assert!(!failures.are_lasting());
        tokio::time::sleep(TRUST).await;
        assert!(!failures.are_lasting());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(failures.are_lasting());
        failures.listed();
        assert!(!failures.are_lasting());
    }

    #[tokio::test(start_paused = true)]
    async fn of_failures_in_a_row_one_a_minute_is_reported() {
        let mut failures = WatchFailures::none();
        let mut reported = Vec::new();
        for second in 0..130 {
            // A list that succeeds changes nothing: a watch may fail and recover several times a second.
            failures.listed();
            if failures.is_reported() {
                reported.push(second);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(reported, [0, 60, 120]);
    }
}
