//! How far an update is, from the CVO's own message, and how that is shown: a bar if standard error is a terminal, else
//! a line for each change.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::{sync::oneshot::error::RecvError, time::Instant};

use crate::{
    api::{ClusterVersion, ConditionStatus, HistoryState, names::condition},
    cli::{
        check::{render::paragraph, terminal_width},
        update::{steps::Wait, text},
    },
    escape::escape,
    gate::message,
};

/// The content of the message of `Progressing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The percentage, if the message has one.
    pub percent: Option<u64>,
    /// Its text, with the count and what the CVO waits for.
    pub message: String,
}

/// Reads a message such as `Working towards 4.21.2: 106 of 901 done (11% complete), waiting on etcd`. The percentage is
/// the CVO's own, else that of its counts.
#[must_use]
pub fn parse(message: &str) -> Progress {
    let message = escape(message.trim());
    let percent = complete(&message).or_else(|| done(&message)).filter(|percent| *percent <= 100);
    Progress { percent, message }
}

/// Whether lines show this after what was printed so long ago. The count in the message of a CVO changes every few
/// seconds, which would fill a log.
fn is_worth_a_line(before: Option<(&Progress, Duration)>, progress: &Progress) -> bool {
    let Some((before, since)) = before else { return true };
    let is_news = before.percent != progress.percent || progress.percent.is_none() || since >= SAME_PERCENTAGE;
    before.message != progress.message && is_news
}

/// How far the update is, during this wait.
#[must_use]
pub fn of(wait: &Wait, name: &str, cluster_version: &ClusterVersion) -> Progress {
    let plain = Progress { percent: None, message: text::wait(wait, name) };
    let is_running = matches!(wait, Wait::Begin | Wait::Complete)
        && cluster_version.history().first().is_some_and(|front| front.state == HistoryState::Partial);
    if !is_running {
        return plain;
    }
    let condition = |kind| cluster_version.condition(kind).filter(|found| found.status == ConditionStatus::True);
    let mut shown = condition(condition::PROGRESSING)
        .filter(|found| !found.message.is_empty())
        .map_or(plain, |found| parse(&found.message));
    if let Some(failing) = condition(condition::FAILING) {
        shown.message = format!("{} (Failing: {})", shown.message, message::sanitize_name(&failing.message));
    }
    shown
}

fn complete(message: &str) -> Option<u64> {
    let (before, _) = message.split_once("% complete)")?;
    before.rsplit_once('(')?.1.parse().ok()
}

fn done(message: &str) -> Option<u64> {
    let (before, _) = message.split_once(" done")?;
    let (before, total) = before.rsplit_once(" of ")?;
    let total: u64 = total.parse().ok()?;
    let done: u64 = before.rsplit(' ').next()?.parse().ok()?;
    done.checked_mul(100)?.checked_div(total)
}

/// How long messages with the same percentage are not printed as lines again.
const SAME_PERCENTAGE: Duration = Duration::from_secs(30);
/// How often the bar moves.
const TICK: Duration = Duration::from_millis(200);

/// Shows progress.
#[derive(Default)]
pub struct Display {
    /// The bar, drawn from the first progress until the next question.
    bar: Option<ProgressBar>,
    /// The last progress that was printed as a line, and when.
    last: Option<(Progress, Instant)>,
}

impl Display {
    /// Shows the present progress: in a bar on standard error if that is a terminal, else as a line on standard output
    /// if it is new.
    pub fn update(&mut self, progress: &Progress) {
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(start);
            bar.set_style(if progress.percent.is_some() { filled() } else { spinner() });
            bar.set_position(progress.percent.unwrap_or_default());
            bar.set_message(progress.message.clone());
            return;
        }
        let before = self.last.as_ref().map(|(before, since)| (before, since.elapsed()));
        if is_worth_a_line(before, progress) {
            print(&progress.message);
            self.last = Some((progress.clone(), Instant::now()));
        }
    }

    /// Lines that stay.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print(text)),
            None => print(text),
        }
    }

    /// A sentence that stays.
    pub fn say(&self, sentence: &str) {
        let mut text = String::new();
        paragraph(&mut text, "", sentence, terminal_width());
        self.line(text.trim_end());
    }

    /// Asks a question on standard error: true for yes.
    pub async fn ask(&mut self, question: &str, answer: impl Future<Output = Result<String, RecvError>>) -> bool {
        self.clear();
        let _ = write!(anstream::stderr(), "\n{question}").and_then(|()| std::io::stderr().flush());
        let answer = answer.await.unwrap_or_default();
        matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// Removes the bar.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn start() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr_with_hz(5));
    bar.enable_steady_tick(TICK);
    bar
}

/// A reader may close the pipe early; the update continues.
fn print(text: &str) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

fn filled() -> ProgressStyle {
    style("{bar:20} {percent:>3}% {elapsed} {wide_msg}")
}

fn spinner() -> ProgressStyle {
    style("{spinner} {elapsed} {wide_msg}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_it_is("Working towards 4.21.2: 106 of 901 done (11% complete), waiting on etcd", Some(11))]
    #[case::without_a_percentage("Working towards 4.21.2: 450 of 900 done", Some(50))]
    #[case::begins("Working towards 4.21.2", None)]
    #[case::nothing("", None)]
    #[case::of_none("Working towards 4.21.2: 0 of 0 done", None)]
    #[case::too_much("Working towards 4.21.2: 9 of 4 done (225% complete)", None)]
    #[case::huge("1 of 99999999999999999999999 done (99999999999999999999999% complete)", None)]
    #[case::overflow("18446744073709551615 of 1 done", None)]
    #[case::no_number("a of b done (c% complete)", None)]
    fn percentages(#[case] message: &str, #[case] expected: Option<u64>) {
        assert_eq!(parse(message).percent, expected);
    }

    #[rstest]
    #[case::the_same("1 of 900 done (0% complete)", 60, false)]
    #[case::the_same_percentage("2 of 900 done (0% complete)", 29, false)]
    #[case::the_same_percentage_for_long("2 of 900 done (0% complete)", 30, true)]
    #[case::another_percentage("9 of 900 done (1% complete)", 0, true)]
    #[case::no_percentage("Working towards 4.21.2", 0, true)]
    fn lines_show_what_is_new(#[case] message: &str, #[case] seconds: u64, #[case] expected: bool) {
        let before = parse("1 of 900 done (0% complete)");
        let since = Duration::from_secs(seconds);
        assert_eq!(is_worth_a_line(Some((&before, since)), &parse(message)), expected);
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_is_shown() {
        assert_eq!(parse("Working \u{1b}[2J\ntowards ").message, "Working \\u{1b}[2J\\ntowards");
    }
}
