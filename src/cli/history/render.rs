//! Renders the history as a table for a terminal and as Markdown for a ticket, with the functions of `check`.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use crate::{
    api::{AcceptedBy, Outcome},
    cli::{
        check::render::{BOLD, escape_markdown, pad, paragraph},
        history::{History, Update},
    },
    escape::escape,
};

/// Printed if there are no updates.
const NONE: &str = "No update with an accepted risk is known.";
/// Printed if there are no updates and the files contain no UpdateRecord.
const NO_RECORDS: &str =
    "The input contains no UpdateRecords, and status.history of the ClusterVersion contains no accepted risk.";
/// Printed below updates if the files contain no UpdateRecord.
const ONLY_HISTORY: &str =
    "The input contains no UpdateRecords; these updates are from status.history of the ClusterVersion alone.";
const HEADINGS: [&str; 7] = ["VERSION", "FROM", "TYPE", "BY", "ACCEPTED", "COMPLETED", "VERIFIED"];
/// Columns whose texts may be long: they share the remaining width.
const VERSIONS: usize = 2;

/// The history as text of at most `width` columns.
pub fn table(history: &History, width: usize) -> String {
    let mut text = String::new();
    if history.updates.is_empty() {
        paragraph(&mut text, "", nothing(history), width);
        return text;
    }
    let row = |update, times| cells(update, times).map(|cell| escape(&cell));
    let rows = |times| history.updates.iter().map(|update| row(update, times)).collect::<Vec<_>>();
    let mut rows_shown = rows(Times::Minute);
    let mut widths = widths(&rows_shown);
    if widths.iter().sum::<usize>() + 2 * (HEADINGS.len() - 1) > width {
        rows_shown = rows(Times::Day);
        widths = self::widths(&rows_shown);
        let others = widths[VERSIONS..].iter().sum::<usize>() + 2 * (HEADINGS.len() - 1);
        let share = width.saturating_sub(others);
        // Each gets half, and what the other does not need.
        let (first, second) = (widths[0], widths[1]);
        widths[0] = first.min((share / 2).max(share.saturating_sub(second)));
        widths[1] = second.min(share.saturating_sub(widths[0]));
        widths[0] = widths[0].max(HEADINGS[0].len());
        widths[1] = widths[1].max(HEADINGS[1].len());
    }
    let _ = writeln!(text, "{BOLD}{}{BOLD:#}", line(&HEADINGS.map(str::to_owned), &widths));
    for (update, mut cells) in history.updates.iter().zip(rows_shown) {
        // Versions that do not fit into their columns get a line above their row.
        if cells.iter().zip(widths).take(VERSIONS).any(|(cell, width)| cell.width() > width) {
            let versions = cells[..VERSIONS].iter_mut().map(std::mem::take).collect::<Vec<_>>();
            let _ = writeln!(text, "{}", versions.join("  "));
        }
        let _ = writeln!(text, "{}", line(&cells, &widths));
        paragraph(&mut text, "  ", &update.accepted_risks, width);
    }
    if history.lacks_records {
        text.push('\n');
        paragraph(&mut text, "", ONLY_HISTORY, width);
    }
    text
}

fn nothing(history: &History) -> &'static str {
    if history.lacks_records { NO_RECORDS } else { NONE }
}

/// The history as Markdown.
pub fn markdown(history: &History) -> String {
    let mut text = String::from("## Updates that went ahead with an accepted risk\n\n");
    if history.updates.is_empty() {
        let _ = writeln!(text, "{}", nothing(history));
        return text;
    }
    let _ = writeln!(text, "| Version | From | Type | By | Accepted | Completed | Verified | What was accepted |");
    let _ = writeln!(text, "|---|---|---|---|---|---|---|---|");
    for update in &history.updates {
        let cells = cells(update, Times::Whole).map(|cell| escape_markdown(&cell));
        let _ = writeln!(text, "| {} | {} |", cells.join(" | "), escape_markdown(&update.accepted_risks));
    }
    if history.lacks_records {
        let _ = writeln!(text, "\n{ONLY_HISTORY}");
    }
    text
}

/// How much of a time is shown.
#[derive(Clone, Copy)]
enum Times {
    /// As the cluster has it.
    Whole,
    /// To the minute, in UTC.
    Minute,
    /// To the day, in UTC.
    Day,
}

impl Times {
    fn show(self, text: &str) -> String {
        let (format, length) = match self {
            Self::Whole => return text.to_owned(),
            Self::Minute => ("%Y-%m-%d %H:%MZ", 17),
            Self::Day => ("%Y-%m-%d", 10),
        };
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => time.strftime(format).to_string(),
            Err(_) => text.chars().take(length).collect(),
        }
    }
}

/// The columns of an update.
fn cells(update: &Update, times: Times) -> [String; HEADINGS.len()] {
    let known = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let time = |text: Option<&str>| text.map_or_else(|| known(None), |text| times.show(text));
    let completed = match update.outcome {
        Outcome::Completed => time(update.completed_time.as_deref()),
        Outcome::Pending => "pending".to_owned(),
        Outcome::Abandoned => "abandoned".to_owned(),
    };
    [
        known(update.version.as_deref().or(update.image.as_deref())),
        known(update.from.as_deref()),
        update.update_type.clone(),
        known(update.by.map(by)),
        time(update.when()),
        completed,
        known(update.verified.map(|verified| if verified { "true" } else { "false" })),
    ]
}

fn by(by: AcceptedBy) -> &'static str {
    match by {
        AcceptedBy::Gate => "Gate",
        AcceptedBy::Bridge => "Bridge",
        AcceptedBy::Force => "Force",
    }
}

fn widths(rows: &[[String; HEADINGS.len()]]) -> [usize; HEADINGS.len()] {
    std::array::from_fn(|column| {
        let widest = rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        widest.max(HEADINGS[column].len())
    })
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| pad(cell, *width)).collect();
    padded.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::utc("2026-03-01T08:00:30Z", "2026-03-01 08:00Z", "2026-03-01")]
    #[case::another_zone("2026-03-01T00:30:00+02:00", "2026-02-28 22:30Z", "2026-02-28")]
    #[case::no_time("some time ago, perhaps", "some time ago, pe", "some time ")]
    fn times_are_in_utc_and_say_so(#[case] text: &str, #[case] minute: &str, #[case] day: &str) {
        assert_eq!((Times::Minute.show(text), Times::Day.show(text)), (minute.to_owned(), day.to_owned()));
        assert_eq!(Times::Whole.show(text), text);
    }
}
