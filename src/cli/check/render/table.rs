//! The table, for people at a terminal. Colours repeat what the words say.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use crate::{
    cli::check::{
        render::{
            BEHIND, FORCE, NO_TARGETS, NOT_EVALUATED, ON_THIS_CLUSTER, TO_UPDATE, behind, commands, findings, groups,
            left_out, name, remedies, rows, skip_reason, templates, why, why_update, why_warnings,
            wrap::{pad, wrap},
        },
        report::{Report, TargetReport},
    },
    escape::escape,
    gate::{Origin, release::digest},
};

/// Titles.
pub const BOLD: Style = Style::new().bold();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
const NOTE: Style = AnsiColor::Yellow.on_default();
/// The largest width of the column of versions, that of a nightly build; a wider version gets a line above its row.
const MAX_VERSION: usize = 34;
/// Characters of a digest in the table; the whole image is shown below it.
const SHORT_DIGEST: usize = 19;

/// The report as text of at most `width` columns.
pub fn table(report: &Report, width: usize) -> String {
    let mut text = String::new();
    header(&mut text, report, width);
    if report.targets.is_empty() {
        paragraph(&mut text, "", NO_TARGETS, width);
    } else {
        let shown: Vec<&TargetReport> = report.targets.iter().filter(|target| target.shown).collect();
        targets(&mut text, &shown, width);
        if let Some(left_out) = left_out(report) {
            paragraph(&mut text, "", &left_out, width);
        }
        details(&mut text, report, width);
    }
    let commands = commands(report);
    if !commands.is_empty() {
        let _ = writeln!(text, "\n{BOLD}{TO_UPDATE}{BOLD:#}");
        if let Some(why) = why_update(report) {
            paragraph(&mut text, "  ", why, width);
        }
        if let Some(why) = why_warnings(report) {
            paragraph(&mut text, "  ", &why, width);
        }
        for (version, command) in commands {
            if let Some(version) = version {
                let _ = writeln!(text, "  # {}", escape(version));
            }
            // Copied as it is, so never broken.
            let _ = writeln!(text, "  {}", escape(command));
        }
    }
    for template in templates(report) {
        let _ = writeln!(text, "\n{BOLD}{TO_UPDATE}{BOLD:#}");
        paragraph(&mut text, "  ", &template.message, width);
        let _ = writeln!(text, "  {}", escape(&template.command));
    }
    if let Some(force) = &report.force {
        let _ = writeln!(text, "\n{BOLD}{FORCE}{BOLD:#}");
        paragraph(&mut text, "  ", &force.message, width);
        if let Some(command) = &force.command {
            let _ = writeln!(text, "  {}", escape(command));
        }
    }
    if let Some(behind) = behind(report) {
        let _ = writeln!(text, "\n{BOLD}{BEHIND}{BOLD:#}");
        paragraph(&mut text, "  ", behind.message, width);
        for command in &behind.commands {
            let _ = writeln!(text, "  {}", escape(command));
        }
    }
    if !report.not_evaluated.is_empty() {
        text.push('\n');
        let sources = report.not_evaluated.join(", ");
        paragraph(&mut text, "", &format!("Not evaluated: {sources}. {NOT_EVALUATED}"), width);
    }
    if let Some(gate) = &report.gate {
        let _ = writeln!(text, "\n{BOLD}{ON_THIS_CLUSTER}{BOLD:#}");
        for (title, value) in gate.lines() {
            titled(&mut text, "  ", title, Style::new(), &value, width);
        }
    }
    text
}

/// A title, and its value in a column of its own. Where names are quoted, no line break is ours.
fn titled(text: &mut String, indent: &str, title: &str, style: Style, value: &str, width: usize) {
    for (number, line) in wrap(&escape(value), width.saturating_sub(13)).into_iter().enumerate() {
        let title = pad(&format!("{indent}{}", if number == 0 { title } else { "" }), 13);
        let _ = writeln!(text, "{BOLD}{title}{BOLD:#}{style}{line}{style:#}");
    }
}

fn header(text: &mut String, report: &Report, width: usize) {
    let version = report.cluster.version.as_deref().unwrap_or("unknown version");
    let channel = match &report.cluster.channel {
        Some(channel) => format!("channel {channel}"),
        None => "no channel".to_owned(),
    };
    let upgradeable = &report.upgradeable;
    let requested = report.targets.iter().find(|target| target.origin == Origin::Requested);
    let asked = rows(report).into_iter().map(|(title, value)| {
        let style = requested.filter(|_| title == "Asked for").map_or(Style::new(), style);
        (title, style, value)
    });
    let cluster = [
        ("Cluster", Style::new(), format!("{version}, {channel}")),
        (
            "Upgradeable",
            if upgradeable.risks.is_empty() { GOOD } else { BAD },
            format!("{}, {}", upgradeable.status, upgradeable.reason),
        ),
    ];
    for (title, style, value) in cluster.into_iter().chain(asked) {
        titled(text, "", title, style, &value, width);
    }
    if let Some((condition, reason, message)) = skip_reason(report) {
        let _ = writeln!(text, "\n{BAD}{}{BAD:#}\n", escape(condition));
        paragraph(text, "  ", &format!("Reason: {}", escape(reason)), width);
        paragraph(text, "  ", &format!("Message: {message}"), width);
    }
    for risk in &upgradeable.risks {
        text.push('\n');
        for line in wrap(&format!("* {}", escape(&risk.name)), width) {
            let _ = writeln!(text, "{NOTE}{line}{NOTE:#}");
        }
        paragraph(text, "  ", &risk.message, width);
        if let Some(url) = risk.own_url() {
            paragraph(text, "  ", &escape(url), width);
        }
        let (remedies, left_out) = remedies(risk);
        for (above, command) in remedies {
            paragraph(text, "  ", &escape(&above), width);
            let _ = writeln!(text, "    {}", escape(command));
        }
        if left_out > 0 {
            paragraph(text, "  ", &format!("{left_out} more of these are in the output of -o json."), width);
        }
    }
    text.push('\n');
}

fn targets(text: &mut String, targets: &[&TargetReport], width: usize) {
    let names: Vec<String> = targets.iter().map(|target| short_name(target)).collect();
    let fits = |name: &&String| name.width() <= MAX_VERSION;
    let first = names.iter().filter(fits).map(|name| name.width()).max().unwrap_or(0).max("VERSION".len()) + 2;
    let second = targets.iter().map(|target| target.update_type.len()).max().unwrap_or(0).max("TYPE".len()) + 2;
    let third = "DECISION".len() + 2;
    let before = first + second + third;
    let heading = [pad("VERSION", first), pad("TYPE", second), pad("DECISION", third), "WHY".to_owned()].concat();
    let _ = writeln!(text, "{BOLD}{heading}{BOLD:#}");
    for (target, name) in targets.iter().zip(&names) {
        // A name that does not fit into its column gets a line above its row.
        let name = if fits(&name) {
            name.as_str()
        } else {
            let _ = writeln!(text, "{name}");
            ""
        };
        for (number, reason) in wrap(&escape(&why(target)), width.saturating_sub(before).max(16)).iter().enumerate() {
            let is_first = number == 0;
            let style = if is_first { style(target) } else { Style::new() };
            let decision = if is_first { target.decision } else { "" };
            let line = [
                pad(if is_first { name } else { "" }, first),
                pad(if is_first { target.update_type } else { "" }, second),
                format!("{style}{decision}{style:#}{}", pad("", third - decision.len())),
                reason.clone(),
            ]
            .concat();
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
}

fn details(text: &mut String, report: &Report, width: usize) {
    for (names, target) in groups(&report.targets) {
        text.push('\n');
        let style = style(target);
        for line in wrap(&format!("{}: {}", escape(&names.join(", ")), target.decision), width) {
            let _ = writeln!(text, "{style}{line}{style:#}");
        }
        for (title, message) in findings(report, target) {
            paragraph(text, "  ", &format!("* {}", escape(&title)), width);
            paragraph(text, "    ", message, width);
        }
    }
}

/// A text below another, each of its lines indented.
pub fn paragraph(text: &mut String, indent: &str, content: &str, width: usize) {
    for line in wrap(content, width.saturating_sub(indent.len())) {
        let _ = writeln!(text, "{}", format!("{indent}{line}").trim_end());
    }
}

pub(super) fn style(target: &TargetReport) -> Style {
    match (target.failures.is_empty(), target.accepted_risks.is_empty()) {
        (false, _) => BAD,
        (true, false) => NOTE,
        (true, true) => GOOD,
    }
}

/// A version, or the beginning of the digest where only an image is known.
pub(super) fn short_name(target: &TargetReport) -> String {
    match (&target.version, target.image.as_deref().and_then(digest)) {
        (None, Some(digest)) if digest.chars().count() > SHORT_DIGEST => {
            escape(&digest.chars().take(SHORT_DIGEST).collect::<String>()) + "…"
        }
        _ => escape(name(target)),
    }
}
