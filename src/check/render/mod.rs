//! From a report to text in each of the formats. Nothing here decides anything, and nothing from the input reaches
//! a terminal or a ticket without being escaped.

mod markdown;
mod table;
mod wrap;

pub use markdown::markdown;
pub use table::table;

use super::{Error, Report, report::TargetReport};

/// The report as JSON.
pub fn json(report: &Report) -> Result<String, Error> {
    let mut text = serde_json::to_string_pretty(report).map_err(std::io::Error::from)?;
    text.push('\n');
    Ok(text)
}

/// The report as YAML.
pub fn yaml(report: &Report) -> Result<String, Error> {
    serde_saphyr::to_string(report).map_err(|error| std::io::Error::other(error).into())
}

/// What stands in for the sources that weren't given.
const NOT_EVALUATED: &str = "The input doesn't hold them; the conditions in the ClusterVersion stand in for them.";
/// In place of updates.
const NO_TARGETS: &str = "No update is asked for, and none is available.";
/// In place of a message that says the same as the risks do.
const AS_ABOVE: &str = "See the risks above.";

/// The findings of a target in few words: the reasons, those that block first.
fn why(target: &TargetReport) -> String {
    let reasons = |findings: &[super::report::FindingReport]| {
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
        (true, true) => "nothing against it".to_owned(),
        (true, false) => format!("accepted: {}", reasons(&target.accepted_risks)),
        (false, true) => reasons(&target.failures),
        (false, false) => format!("{}; accepted: {}", reasons(&target.failures), reasons(&target.accepted_risks)),
    }
}

/// What a target is called: its version, else its image.
fn name(target: &TargetReport) -> &str {
    target.version.as_deref().or(target.image.as_deref()).unwrap_or("unknown")
}

/// Targets with the same findings, which are then told once; those without any are left out.
fn groups(targets: &[TargetReport]) -> Vec<(Vec<&str>, &TargetReport)> {
    let mut groups: Vec<(Vec<&str>, &TargetReport)> = Vec::new();
    for target in targets.iter().filter(|target| !target.failures.is_empty() || !target.accepted_risks.is_empty()) {
        let same = |other: &TargetReport| {
            (&other.failures, &other.accepted_risks, other.decision)
                == (&target.failures, &target.accepted_risks, target.decision)
        };
        match groups.iter_mut().find(|(_, first)| same(first)) {
            Some((names, _)) => names.push(name(target)),
            None => groups.push((vec![name(target)], target)),
        }
    }
    groups
}
