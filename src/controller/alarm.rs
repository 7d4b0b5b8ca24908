//! The clock of the loop, and the deadlines that wake it.

use tokio::time::Instant;

use crate::plan::{moment::Moment, step::Memory};

/// Monotonic time since the start of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The present moment.
    pub fn now(self) -> Moment {
        Moment(self.0.elapsed())
    }
}

/// Wakes the loop at each deadline of its memory, once.
#[derive(Debug)]
pub struct Alarm {
    clock: Clock,
    /// The deadline that [`Self::due`] reported last.
    reported: Option<Moment>,
}

impl Alarm {
    /// No deadline was reported yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, reported: None }
    }

    /// Completes at the next deadline; each is reported once, or the loop would never rest.
    pub async fn due(&mut self, memory: &Memory) {
        match memory.next_deadline(self.reported) {
            Some(deadline) => {
                tokio::time::sleep_until(self.clock.0 + deadline.0).await;
                self.reported = Some(deadline);
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;

    use super::*;
    use crate::plan::{Kind, recovery::WriteError, role::Mode, step::Settings};

    #[tokio::test(start_paused = true)]
    async fn each_deadline_is_reported_once() {
        let settings = Settings { mode: Mode::Auto, vacant_after: Duration::ZERO, degraded_after: Duration::ZERO };
        let (clock, mut memory) = (Clock::start(), Memory::new(settings));
        let mut alarm = Alarm::new(clock);
        assert!(alarm.due(&memory).now_or_never().is_none());
        memory.failed(Kind::Conditions, &WriteError::Gone, clock.now());
        memory.failed(Kind::Record, &WriteError::Gone, clock.now());
        alarm.due(&memory).await;
        assert_eq!(clock.now(), Moment(Duration::from_millis(100)));
        assert!(alarm.due(&memory).now_or_never().is_none());
    }
}
