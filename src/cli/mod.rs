//! The commands of the CLI, and their output. None of them decides: verdicts come from [`crate::gate`],
//! what the operator would write from [`crate::plan`].

pub mod check;
pub mod cleanup;
pub mod crd;
pub mod error;
pub mod examples;
pub mod history;
pub mod input;
pub mod plugin;
mod records;
pub mod tips;
pub mod update;

/// The time, which everything else gets as an argument.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the edge reads the clock, and hands the time on")]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
