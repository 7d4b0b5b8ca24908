//! Logs, to stderr: one line a decision, as text or JSON.

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::config::LogFormat;

/// Starts logging. Libraries are kept at warnings whatever the level: below, they log requests, which is where
/// tokens would show.
pub fn init(format: LogFormat, level: LevelFilter) {
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("upgrade_gate", level);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    // A second initialisation, in a test, keeps the first.
    let _ = match format {
        LogFormat::Text => registry.with(lines.with_target(false).with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_target(false)).try_init(),
    };
}
