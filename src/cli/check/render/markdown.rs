//! Markdown, to be pasted into a ticket: it reads well unrendered, and no text from the input can break out of its
//! place in it.

use std::fmt::Write as _;

use crate::{
    cli::check::{
        render::{
            FORCE, NO_TARGETS, NOT_EVALUATED, ON_THIS_CLUSTER, TO_UPDATE, behind, commands, findings, groups, left_out,
            name, remedies, rows, skip_reason, templates, why, why_update, why_warnings,
        },
        report::Report,
    },
    escape::{self, is_unprintable},
};

/// The report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    let version = escape(report.cluster.version.as_deref().unwrap_or("unknown version"));
    let channel =
        report.cluster.channel.as_deref().map_or("no channel".to_owned(), |name| format!("channel {}", escape(name)));
    let upgradeable = &report.upgradeable;
    let _ = writeln!(text, "## Updates of a cluster at {version}, {channel}\n");
    let _ = writeln!(text, "**Upgradeable: {}**, {}", upgradeable.status, escape(&upgradeable.reason));
    for (title, value) in rows(report) {
        let _ = writeln!(text, "\n**{title}:** {}", escape(&value));
    }
    if let Some((condition, reason, message)) = skip_reason(report) {
        let _ = writeln!(
            text,
            "\n**{}**\n\n- Reason: {}\n- Message: {}",
            escape(condition),
            escape(reason),
            escape(message)
        );
    }
    if !upgradeable.risks.is_empty() {
        let _ = writeln!(text, "\n| Risk | Message |\n|---|---|");
        for risk in &upgradeable.risks {
            let link = risk.own_url().map(|url| format!("<br>{}", link(url))).unwrap_or_default();
            let _ = writeln!(text, "| {} | {}{link} |", escape(&risk.name), escape(&risk.message));
        }
        for risk in &upgradeable.risks {
            let (remedies, left_out) = remedies(risk);
            for (above, command) in remedies {
                let _ = writeln!(text, "\n{}: {}\n\n```sh\n{command}\n```", escape(&risk.name), escape(&above));
            }
            if left_out > 0 {
                let _ = writeln!(text, "\n{left_out} more of these are in the output of `-o json`.");
            }
        }
    }
    if report.targets.is_empty() {
        let _ = writeln!(text, "\n{NO_TARGETS}");
    } else {
        let _ = writeln!(text, "\n| Version | Type | Decision | Why |\n|---|---|---|---|");
        for target in report.targets.iter().filter(|target| target.shown) {
            let (kind, decision) = (target.update_type, target.decision);
            let _ = writeln!(text, "| {} | {kind} | {decision} | {} |", escape(name(target)), escape(&why(target)));
        }
        if let Some(left_out) = left_out(report) {
            let _ = writeln!(text, "\n{}", escape(&left_out));
        }
        details(&mut text, report);
    }
    let commands = commands(report);
    if !commands.is_empty() {
        let why = why_update(report).map(|why| format!(" {why}")).unwrap_or_default();
        let warnings = why_warnings(report).map(|why| format!(" {}", escape(&why))).unwrap_or_default();
        let _ = writeln!(text, "\n{TO_UPDATE}:{why}{warnings}\n\n```sh");
        for (version, command) in commands {
            if let Some(version) = version {
                let _ = writeln!(text, "# {}", escape::escape(version));
            }
            let _ = writeln!(text, "{command}");
        }
        let _ = writeln!(text, "```");
    }
    for template in templates(report) {
        let _ = writeln!(text, "\n{TO_UPDATE}: {}\n\n```sh\n{}\n```", escape(&template.message), template.command);
    }
    if let Some(force) = &report.force {
        let _ = writeln!(text, "\n**{FORCE}:** {}", escape(&force.message));
        if let Some(command) = &force.command {
            let _ = writeln!(text, "\n```sh\n{command}\n```");
        }
    }
    if let Some(behind) = behind(report) {
        let _ = writeln!(text, "\n{}\n\n```sh\n{}\n```", behind.message, behind.commands.join("\n"));
    }
    if !report.not_evaluated.is_empty() {
        let _ = writeln!(text, "\nNot evaluated: {}. {NOT_EVALUATED}", report.not_evaluated.join(", "));
    }
    if let Some(gate) = &report.gate {
        let _ = writeln!(text, "\n| {ON_THIS_CLUSTER} | |\n|---|---|");
        for (title, value) in gate.lines() {
            let _ = writeln!(text, "| {title} | {} |", escape(&value));
        }
    }
    text
}

fn details(text: &mut String, report: &Report) {
    for (names, target) in groups(&report.targets) {
        let names: Vec<String> = names.into_iter().map(escape).collect();
        let _ = writeln!(text, "\n**{}: {}**\n", names.join(", "), target.decision);
        for (title, message) in findings(report, target) {
            let _ = writeln!(text, "- {}<br>{}", escape(&title), escape(message));
        }
    }
}

/// A text that means itself: nothing in it is markup, and it stays on one line.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            '\n' => escaped.push_str("<br>"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '#' => escaped.extend(['\\', character]),
            control if is_unprintable(control) => {
                escaped.push('\\');
                escaped.extend(control.escape_default());
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// A link that ends where it should, a table's cell included.
fn link(url: &str) -> String {
    let mut link = String::from("<");
    for character in url.chars() {
        match character {
            '<' | '>' | '|' | '\\' | '`' | ' ' => {
                let _ = write!(link, "%{:02X}", u32::from(character));
            }
            control if is_unprintable(control) => {}
            other => link.push(other),
        }
    }
    link.push('>');
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_breaks_out_of_its_cell() {
        assert_eq!(escape("a|b\nc `d` <e> \u{1b}[0m\r\n"), r"a\|b<br>c \`d\` \<e\> \\u{1b}\[0m");
        assert_eq!(link("https://example.com/a|b>c"), "<https://example.com/a%7Cb%3Ec>");
    }
}
