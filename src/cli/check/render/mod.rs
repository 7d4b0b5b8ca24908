//! From a report to text in each of the formats. Nothing here decides anything, and nothing from the input reaches
//! a terminal or a ticket without being escaped.

mod clusters;
mod markdown;
mod table;
mod wrap;

pub use clusters::{markdown as clusters_markdown, table as clusters_table};
pub use markdown::{escape as escape_markdown, markdown};
pub use table::{BOLD, paragraph, table};
pub use wrap::pad;

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    cli::check::{
        Error, Report,
        commands::risk::{INSTALLER, RiskCommand},
        report::{BehindReport, Current, FindingReport, RiskReport, TargetReport, Template, Warning},
    },
    escape,
    gate::{Origin, oc::WITH_WARNINGS},
};

/// A report as JSON.
pub fn json(report: &impl Serialize) -> Result<String, Error> {
    Ok(escape::escape_json(&plain_json(report)?))
}

/// A report as YAML.
pub fn yaml(report: &impl Serialize) -> Result<String, Error> {
    // Folded, an image or a message could no longer be searched for.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 1 << 20 };
    let yaml = serde_saphyr::to_string_with_options(report, options).map_err(std::io::Error::other)?;
    if yaml.chars().any(|character| character != '\n' && escape::is_unprintable(character)) {
        // The serializer escapes control characters only, and most styles of YAML can't; JSON is YAML too, and can.
        return Ok(escape::escape_json_as_yaml(&plain_json(report)?));
    }
    Ok(yaml)
}

fn plain_json(report: &impl Serialize) -> Result<String, Error> {
    Ok(serde_json::to_string_pretty(report).map_err(std::io::Error::from)? + "\n")
}

/// What is used in place of sources that were not given.
const NOT_EVALUATED: &str =
    "The input does not contain them; the conditions of the ClusterVersion are used in their place.";
/// In place of updates.
const NO_TARGETS: &str = "No update is requested, and none is available.";
/// Title of the section about who gates a live cluster.
const ON_THIS_CLUSTER: &str = "On this cluster";
/// In place of a message that repeats the risks.
const AS_ABOVE: &str = "See the risks above.";

/// In place of the message of a condition that is shown above.
const AS_THE_CLUSTER_SAYS: &str = "The cluster itself refuses it, as shown above.";
/// Above the commands that get updates to go ahead.
const TO_UPDATE: &str = "To update";
/// Above commands of `upgrade-gate update`.
const WHY_UPDATE: &str = "A cluster-version operator up to 4.21 refuses updates within the minor while overrides are set. \
     `upgrade-gate update` gets them past that rule, and past no other.";
/// Title of the section about a force.
const FORCE: &str = "A force is set";
/// Above what makes the CVO publish `Upgradeable`.
const BEHIND: &str = "Upgradeable is behind";

/// Rows above the risks, for table and markdown: titles and values.
fn rows(report: &Report) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(target) = report.targets.iter().find(|target| target.origin == Origin::Requested) {
        rows.push(("Asked for", format!("{}, {}", name(target), outcome(target))));
    }
    rows.extend(report.now.iter().map(|now| ("Now", now.clone())));
    if let Some(availability) = &report.availability {
        let none = if availability.lists_updates { "may be out of date" } else { "none available" };
        let reason = availability.reason.as_ref().map_or_else(String::new, |reason| format!("{reason}: "));
        rows.push(("Updates", format!("{none}: {reason}{}", availability.message)));
    }
    rows
}

/// The condition by which the cluster refuses the request, as `oc adm upgrade` shows it: its status, reason, message.
fn skip_reason(report: &Report) -> Option<(&str, &str, &str)> {
    let request = report.request.as_ref().filter(|request| request.accepted != Some(true))?;
    (!request.condition.is_empty()).then(|| {
        (request.condition.as_str(), request.reason.as_deref().unwrap_or(""), request.message.as_deref().unwrap_or(""))
    })
}

/// The commands for the updates that are shown, each once, below its version where it doesn't name that itself.
fn commands(report: &Report) -> Vec<(Option<&str>, &str)> {
    let mut commands: Vec<(Option<&str>, &str)> = Vec::new();
    for target in report.targets.iter().filter(|target| target.shown) {
        let Some(command) = target.command.as_deref() else { continue };
        if commands.iter().any(|(_, known)| *known == command) {
            continue;
        }
        let version = target.version.as_deref().filter(|version| !command.contains(&format!("--to {version}")));
        commands.push((version, command));
    }
    commands
}

/// The commands in which a repository has to be filled in, each with what to fill in.
fn templates(report: &Report) -> impl Iterator<Item = &Template> {
    report.targets.iter().filter(|target| target.shown).filter_map(|target| target.template.as_ref())
}

/// That `Upgradeable` is behind, unless a risk above already has the commands.
fn behind(report: &Report) -> Option<&BehindReport> {
    let upgradeable = &report.upgradeable;
    let mut shown = upgradeable.risks.iter().flat_map(|risk| &risk.commands);
    upgradeable.behind.as_ref().filter(|behind| !shown.any(|shown| shown.command.contains(&behind.commands[0])))
}

/// Why some commands are not of `oc`, unless that is explained above.
fn why_update(report: &Report) -> Option<&'static str> {
    let is_ours = |(_, command): &(Option<&str>, &str)| !command.starts_with("oc adm upgrade ");
    (report.now.is_none() && commands(report).iter().any(is_ours)).then_some(WHY_UPDATE)
}

/// Why a command has the flag that passes over warnings; `None` if none has it.
fn why_warnings(report: &Report) -> Option<String> {
    if !commands(report).iter().any(|(_, command)| command.contains(WITH_WARNINGS)) {
        return None;
    }
    if let [Warning { condition, message: Some(message) }] = report.warnings.as_slice() {
        return Some(format!("{WITH_WARNINGS} is needed because of {condition}: {message}"));
    }
    let conditions: Vec<&str> = report.warnings.iter().map(|warning| warning.condition.as_str()).collect();
    let mut why = format!("{WITH_WARNINGS} is needed because of {}.", conditions.join(" and "));
    for warning in &report.warnings {
        if let Some(message) = &warning.message {
            let _ = write!(why, " {}: {message}", warning.condition);
        }
    }
    Some(why)
}

/// The note about updates that are not shown.
fn left_out(report: &Report) -> Option<String> {
    let hidden: Vec<&TargetReport> = report.targets.iter().filter(|target| !target.shown).collect();
    let allowed = hidden.iter().filter(|target| target.failures.is_empty()).count();
    let blocked = hidden.len() - allowed;
    let updates = if hidden.len() == 1 { "1 more update is" } else { &format!("{} more updates are", hidden.len()) };
    let counts = match (allowed, blocked) {
        (0, 0) => return None,
        (_, 0) => "allowed".to_owned(),
        (0, _) => "blocked".to_owned(),
        _ => format!("{allowed} allowed, {blocked} blocked"),
    };
    Some(format!("{updates} not shown ({counts}); --all shows every update."))
}

/// A finding that repeats a condition of the cluster, which is already shown in full.
fn repeats_the_refusal(report: &Report, finding: &FindingReport) -> bool {
    skip_reason(report).is_some_and(|(condition, _, message)| {
        !message.is_empty() && finding.message.contains(condition) && finding.message.ends_with(message)
    })
}

/// The policy that most overrides are about.
const SIGNATURE_POLICY: &str = "ClusterImagePolicy.config.openshift.io openshift";
/// More commands for one risk than these are no reading; JSON has all of them.
const MOST_COMMANDS: usize = 10;

/// The commands of a risk, each with the text above it, and how many are left out.
fn remedies(risk: &RiskReport) -> (Vec<(String, &str)>, usize) {
    let shown = risk.commands.iter().take(MOST_COMMANDS).map(|command| (above(command), command.command.as_str()));
    (shown.collect(), risk.commands.len().saturating_sub(MOST_COMMANDS))
}

fn above(command: &RiskCommand) -> String {
    let Some(name) = &command.of_override else {
        return command.title.to_owned();
    };
    let by = match command.set_by.as_slice() {
        [] => String::new(),
        [one] if one == INSTALLER => format!(", set by the installer ({one})"),
        managers => format!(", set by {}", managers.join(", ")),
    };
    let then = if name == SIGNATURE_POLICY { "; release signatures are verified again from then on" } else { "" };
    format!("To end the override of {name}{by}{then}:")
}

/// The findings of a target in short: the reasons for which it is blocked, or the accepted risks.
fn why(target: &TargetReport) -> String {
    let reasons = |findings: &[FindingReport]| {
        let mut reasons: Vec<&str> = Vec::new();
        for finding in findings {
            let reason = if finding.reason.is_empty() { finding.name } else { &finding.reason };
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        reasons.join(", ")
    };
    match (target.failures.is_empty(), target.accepted_risks.is_empty()) {
        (true, true) => target.current.map_or("nothing against it", Current::as_str).to_owned(),
        (true, false) => format!("accepted: {}", reasons(&target.accepted_risks)),
        (false, _) => reasons(&target.failures),
    }
}

/// The findings of a target; preconditions with the same message are merged: a title, and the message.
fn findings<'a>(report: &Report, target: &'a TargetReport) -> Vec<(String, &'a str)> {
    let mut merged: Vec<(Vec<&str>, &str, &FindingReport)> = Vec::new();
    let warn = if target.failures.is_empty() { "accepted" } else { "warn" };
    for (findings, verb) in [(&target.failures, "block"), (&target.accepted_risks, warn)] {
        for finding in findings {
            let same = |(_, other_verb, other): &&mut (Vec<&str>, &str, &FindingReport)| {
                (*other_verb, &other.reason, &other.message) == (verb, &finding.reason, &finding.message)
            };
            match merged.iter_mut().find(same) {
                Some((names, ..)) => names.push(finding.name),
                None => merged.push((vec![finding.name], verb, finding)),
            }
        }
    }
    let described = |(names, verb, finding): (Vec<&str>, &str, &'a FindingReport)| {
        let message = if finding.message == report.upgradeable.message {
            AS_ABOVE
        } else if repeats_the_refusal(report, finding) {
            AS_THE_CLUSTER_SAYS
        } else {
            &finding.message
        };
        let ending = if names.len() == 1 && verb != "accepted" { "s" } else { "" };
        let title = format!("{} {verb}{ending}", names.join(", "));
        (if names == [finding.reason.as_str()] { title } else { format!("{title}: {}", finding.reason) }, message)
    };
    merged.into_iter().map(described).collect()
}

/// The decision on a requested target, in short.
fn outcome(target: &TargetReport) -> &'static str {
    match target.current {
        Some(current) if target.failures.is_empty() => current.as_str(),
        _ => target.decision,
    }
}

/// What a target is called: its version, else its image.
fn name(target: &TargetReport) -> &str {
    target.version.as_deref().or(target.image.as_deref()).unwrap_or("unknown")
}

/// Targets that are shown and have the same findings, but for their own version in the texts. The findings are then shown
/// once, of the first of them; targets without any are left out.
fn groups(targets: &[TargetReport]) -> Vec<(Vec<&str>, &TargetReport)> {
    let mut groups: Vec<(Vec<String>, Vec<&str>, &TargetReport)> = Vec::new();
    let found = |target: &&TargetReport| !target.failures.is_empty() || !target.accepted_risks.is_empty();
    for target in targets.iter().filter(|target| target.shown).filter(found) {
        let findings = target.failures.iter().chain(&target.accepted_risks);
        let texts: Vec<String> = findings
            .flat_map(|finding| {
                [finding.name.to_owned(), finding.reason.clone(), without_version(target, &finding.message)]
            })
            .collect();
        let same = |(known, _, first): &&mut (Vec<String>, Vec<&str>, &TargetReport)| {
            *known == texts && first.failures.len() == target.failures.len()
        };
        match groups.iter_mut().find(same) {
            // Named twice, as a version and as an image.
            Some((_, names, _)) if names.contains(&name(target)) => {}
            Some((_, names, _)) => names.push(name(target)),
            None => groups.push((texts, vec![name(target)], target)),
        }
    }
    groups.into_iter().map(|(_, names, target)| (names, target)).collect()
}

fn without_version(target: &TargetReport, message: &str) -> String {
    match target.version.as_deref() {
        Some(version) if !version.is_empty() => message.replace(version, "\0"),
        _ => message.to_owned(),
    }
}
