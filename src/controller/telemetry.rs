//! Logs, to stderr: one line a decision, as text or JSON. Text from the cluster can neither control the terminal nor begin a
//! line of its own.

use std::io::{self, Write};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{controller::config::LogFormat, escape};

/// Starts logging.
pub fn init(format: LogFormat, level: LevelFilter) {
    let registry = tracing_subscriber::registry().with(filter(level));
    let escape = match format {
        LogFormat::Text => escape::escape,
        LogFormat::Json => escape::escape_json,
    };
    let lines = fmt::layer().with_writer(move || Lines { escape, out: io::stderr() });
    // A second initialisation, in a test, keeps the first.
    let _ = match format {
        LogFormat::Text => registry.with(lines.with_target(false).with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_target(false)).try_init(),
    };
}

/// Libraries log warnings at most, at any level: below, they log requests, which may contain tokens. The client's own
/// warning about an answer that it can't parse quotes the whole answer; the caller reports the error instead.
fn filter(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("kube_client", level.min(LevelFilter::ERROR))
        .with_target("upgrade_gate", level)
}

/// Writes each line, which arrives in one piece, with everything unprintable escaped.
struct Lines<W> {
    escape: fn(&str) -> String,
    out: W,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        self.out.write_all(((self.escape)(line) + "\n").as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tracing::Level;

    use super::*;

    #[rstest]
    #[case::as_usual(LevelFilter::INFO, "upgrade_gate::controller", &Level::INFO, true)]
    #[case::not_so_much(LevelFilter::WARN, "upgrade_gate::controller", &Level::INFO, false)]
    #[case::more(LevelFilter::TRACE, "upgrade_gate::controller", &Level::TRACE, true)]
    #[case::requests_of_a_library(LevelFilter::TRACE, "hyper_util::client", &Level::INFO, false)]
    #[case::a_warning_of_a_library(LevelFilter::INFO, "kube_runtime::watcher", &Level::WARN, true)]
    #[case::an_answer_that_makes_no_sense(LevelFilter::TRACE, "kube_client::client", &Level::WARN, false)]
    #[case::an_error_of_the_client(LevelFilter::INFO, "kube_client::client", &Level::ERROR, true)]
    #[case::nothing_at_all(LevelFilter::OFF, "kube_client::client", &Level::ERROR, false)]
    fn libraries_may_warn_but_not_quote_what_they_read(
        #[case] level: LevelFilter,
        #[case] target: &str,
        #[case] event: &Level,
        #[case] expected: bool,
    ) {
        assert_eq!(filter(level).would_enable(target, event), expected);
    }

    #[rstest]
    #[case::text(escape::escape, "a\u{1b}[2J\nb\u{202e}c\n", "a\\u{1b}[2J\\nb\\u{202e}c\n")]
    #[case::json(escape::escape_json, "{\"a\": \"\u{9b}\u{202e}\"}\n", "{\"a\": \"\\u009b\\u202e\"}\n")]
    fn a_line_stays_one_line_and_hides_nothing(
        #[case] escape: fn(&str) -> String,
        #[case] line: &str,
        #[case] expected: &str,
    ) {
        let mut written = Vec::new();
        Lines { escape, out: &mut written }.write_all(line.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
