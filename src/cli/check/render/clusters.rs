//! Several clusters, one row each: as a table for a terminal, and as Markdown for a ticket.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

use crate::{
    cli::check::{
        Outcome, Report,
        clusters::ClusterAnswer,
        render::{
            escape_markdown, name, outcome, paragraph,
            table::{BAD, BOLD, GOOD, short_name, style},
            wrap::{pad, wrap},
        },
        report::TargetReport,
    },
    escape::escape,
    gate::Origin,
};

const HEADINGS: [&str; 5] = ["CONTEXT", "VERSION", "UPGRADEABLE", "ASKED FOR", "DECISION"];
/// The largest width of the column of contexts; a wider name gets a line above its row.
const MAX_CONTEXT: usize = 30;
/// Columns that the text of an error gets at least.
const MIN_ERROR: usize = 30;
/// In place of a value that there isn't.
const NONE: &str = "-";
/// Before the command that shows the reasons.
const ONE_CLUSTER: &str = "For the reasons, name one cluster:";

/// The clusters as a table of at most `width` columns, as far as their names and versions allow.
/// `one` is the command that checks one of them.
pub fn table(answers: &[ClusterAnswer], one: &str, width: usize) -> String {
    let rows: Vec<(String, Option<Row<'_>>)> = answers
        .iter()
        .map(|answer| (escape(&answer.context), answer.result.as_ref().ok().map(|(report, _)| Row::new(report))))
        .collect();
    let mut columns = HEADINGS.map(|heading| heading.width() + 2);
    let mut widen = |column: usize, text: &str| columns[column] = columns[column].max(text.width() + 2);
    for (context, row) in &rows {
        if context.width() <= MAX_CONTEXT {
            widen(0, context);
        }
        if let Some(Row { version, upgradeable, asked }) = row {
            widen(1, version);
            widen(2, upgradeable);
            for target in asked {
                widen(3, &short_name(target));
            }
        }
    }
    let mut text = String::new();
    let heading: String = HEADINGS.iter().zip(columns).map(|(heading, column)| pad(heading, column)).collect();
    let _ = writeln!(text, "{BOLD}{}{BOLD:#}", heading.trim_end());
    for ((context, row), answer) in rows.iter().zip(answers) {
        let context = if context.width() <= MAX_CONTEXT {
            context.as_str()
        } else {
            let _ = writeln!(text, "{context}");
            ""
        };
        match (row, &answer.result) {
            (Some(row), _) => row.lines(&mut text, context, columns),
            (None, Err(error)) => {
                let error = format!("no answer: {error}");
                for (number, line) in wrap(&error, width.saturating_sub(columns[0]).max(MIN_ERROR)).iter().enumerate() {
                    let context = pad(if number == 0 { context } else { "" }, columns[0]);
                    let _ = writeln!(text, "{context}{BAD}{line}{BAD:#}");
                }
            }
            (None, Ok(_)) => {}
        }
    }
    if has_reasons(answers) {
        text.push('\n');
        paragraph(&mut text, "", &format!("{ONE_CLUSTER} `{one}`"), width);
    }
    text
}

/// The clusters as a table in Markdown. `one` is the command that checks one of them.
pub fn markdown(answers: &[ClusterAnswer], one: &str) -> String {
    let mut text = String::from("| Context | Version | Upgradeable | Asked for | Decision |\n|---|---|---|---|---|\n");
    for answer in answers {
        let context = escape_markdown(&answer.context);
        let _ = match &answer.result {
            Ok((report, _)) => {
                let Row { version, upgradeable, asked } = Row::new(report);
                let cell = |of: fn(&TargetReport) -> &str| {
                    let lines: Vec<String> = asked.iter().map(|target| escape_markdown(of(target))).collect();
                    if lines.is_empty() { NONE.to_owned() } else { lines.join("<br>") }
                };
                let (targets, decisions) = (cell(name), cell(|target| outcome(target)));
                let version = escape_markdown(&version);
                writeln!(text, "| {context} | {version} | {upgradeable} | {targets} | {decisions} |")
            }
            Err(error) => {
                let error = escape_markdown(&error.to_string());
                writeln!(text, "| {context} | {NONE} | {NONE} | {NONE} | no answer: {error} |")
            }
        };
    }
    if has_reasons(answers) {
        let _ = writeln!(text, "\n{ONE_CLUSTER}\n\n```sh\n{one}\n```");
    }
    text
}

/// Whether the report of a single cluster has more than its row.
fn has_reasons(answers: &[ClusterAnswer]) -> bool {
    answers.iter().any(|answer| {
        let result = answer.result.as_ref();
        result.is_ok_and(|(report, outcome)| *outcome == Outcome::Blocked || !report.upgradeable.risks.is_empty())
    })
}

/// What is shown of a cluster that gave an answer.
struct Row<'a> {
    version: String,
    upgradeable: &'static str,
    /// What `--to` names, else what the cluster is asked for.
    asked: Vec<&'a TargetReport>,
}

impl<'a> Row<'a> {
    fn new(report: &'a Report) -> Self {
        Self {
            version: escape(report.cluster.version.as_deref().unwrap_or("unknown")),
            upgradeable: report.upgradeable.status,
            asked: report.targets.iter().filter(|target| target.origin != Origin::Listed).collect(),
        }
    }

    /// One line, and one more for each further target.
    fn lines(&self, text: &mut String, context: &str, columns: [usize; 5]) {
        let upgradeable = if self.upgradeable == "True" { GOOD } else { BAD };
        for number in 0..self.asked.len().max(1) {
            let is_first = number == 0;
            let cell = |value: &str, column: usize, style: Style| {
                let value = if is_first || column > 2 { value } else { "" };
                format!("{style}{value}{style:#}{}", pad("", columns[column].saturating_sub(value.width())))
            };
            let (target, decision, style) = match self.asked.get(number) {
                Some(target) => (short_name(target), outcome(target), style(target)),
                None => (NONE.to_owned(), NONE, Style::new()),
            };
            let plain = Style::new();
            let line = [
                cell(context, 0, plain),
                cell(&self.version, 1, plain),
                cell(self.upgradeable, 2, upgradeable),
                cell(&target, 3, plain),
                format!("{style}{decision}{style:#}"),
            ]
            .concat();
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
}
