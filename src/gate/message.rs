//! Every sentence that an administrator reads, and how texts from the cluster are quoted in them: control
//! characters escaped, and long ones cut with a count of what is missing, so that no write fails for its size.

use std::fmt::Write as _;

use semver::Version;

use super::{Decision, Finding, Judgement, Risk, Target, release::updates};
use crate::api::{ClusterVersion, Condition, ConditionStatus, Override, Release, names};

/// Where OpenShift's own documentation starts.
pub const DOCUMENTATION: &str = "https://docs.redhat.com/en/documentation/openshift_container_platform/";
/// The message of `Upgradeable=True`.
pub const UPGRADEABLE: &str = "Nothing stands against a minor or major update.";

/// What another writer that takes conditions back means, and what ends it.
pub const CONTENTION: &str = "Another writer takes back what upgrade-gate writes on ClusterVersion, so it is written once \
                              a minute at most. Run with --mode=bridge or --mode=auto beside a cluster-version operator, \
                              with --mode=observe beside anything else, or end the other writer.";
/// What a finding begins with that would have blocked, had nobody forced it.
pub const FORCED: &str = "Forced through: ";

/// Bytes of one text from the cluster, an operator's message for instance, within a message of ours.
const QUOTE_LIMIT: usize = 4 << 10;
/// Bytes of a list, and of a whole message.
const MESSAGE_LIMIT: usize = 32 << 10;

/// A text from the cluster, fit to be shown: control characters other than line breaks escaped, long ones cut.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().min(QUOTE_LIMIT));
    for (position, character) in text.char_indices() {
        if quoted.len() >= QUOTE_LIMIT {
            let _ = write!(quoted, "… ({} bytes more)", text.len() - position);
            break;
        }
        match character {
            '\n' => quoted.push('\n'),
            control if control.is_control() => quoted.extend(control.escape_default()),
            other => quoted.push(other),
        }
    }
    quoted
}

/// As many items as fit, joined, and a count of those that don't.
fn join(items: impl IntoIterator<Item = String>, separator: &str) -> String {
    let mut joined = String::new();
    let mut left_out = 0_usize;
    for item in items {
        if left_out > 0 || joined.len() + item.len() > MESSAGE_LIMIT {
            left_out += 1;
            continue;
        }
        if !joined.is_empty() {
            joined.push_str(separator);
        }
        joined.push_str(&item);
    }
    if left_out > 0 {
        let _ = write!(joined, "{separator}and {left_out} more");
    }
    joined
}

/// An override as `Kind.group namespace/name`.
fn override_name(entry: &Override) -> String {
    let mut name = entry.kind.clone();
    for (separator, part) in [(".", &entry.group), (" ", &entry.namespace)] {
        if !part.is_empty() {
            name.push_str(separator);
            name.push_str(part);
        }
    }
    name.push_str(if entry.namespace.is_empty() { " " } else { "/" });
    name.push_str(&entry.name);
    quote(&name).replace('\n', "\\n")
}

/// The unmanaged overrides, in the order of the spec.
#[must_use]
pub fn overrides(cluster_version: &ClusterVersion) -> String {
    join(cluster_version.unmanaged_overrides().map(override_name), ", ")
}

pub(super) fn overrides_risk(cluster_version: &ClusterVersion) -> String {
    format!(
        "Overrides in spec.overrides keep the cluster-version operator from managing: {}. This prevents minor and \
         major updates; patch updates stay allowed. Before a minor or major update, remove these overrides or set \
         unmanaged: false.",
        overrides(cluster_version)
    )
}

/// What the bridge says through our ClusterOperator: the CVO's own words are that overrides prevent all updates.
#[must_use]
pub fn overrides_in_bridge(cluster_version: &ClusterVersion) -> String {
    format!(
        "Overrides prevent minor and major updates: {}. Patch updates go through, whatever else is said of them. Before \
         a minor or major update, remove these overrides or set unmanaged: false.",
        overrides(cluster_version)
    )
}

pub(super) fn overrides_accepted(cluster_version: &ClusterVersion, target: &Release) -> String {
    format!(
        "The update to {} stays within what overrides allow; it goes ahead without managing: {}.",
        name_of(target),
        overrides(cluster_version)
    )
}

pub(super) fn unreadable(what: &str, why: &str) -> String {
    format!(
        "{what} can't be read ({}), so nobody can tell whether a minor or major update is safe. Mend the access, or \
         the object.",
        quote(why)
    )
}

pub(super) fn cluster_operator(name: &str, condition: &Condition) -> String {
    format!("ClusterOperator {} prevents minor and major updates: {}", quote(name), reason_and_message(condition))
}

pub(super) fn veto(condition: &Condition) -> String {
    format!("{}=False: {}", quote(&condition.kind), reason_and_message(condition))
}

fn reason_and_message(condition: &Condition) -> String {
    match (condition.reason.as_str(), condition.message.as_str()) {
        ("", "") => "it gives no reason.".to_owned(),
        (reason, "") => format!("{}, without a message.", quote(reason)),
        ("", message) => quote(message),
        (reason, message) => format!("{}: {}", quote(reason), quote(message)),
    }
}

pub(super) fn config_map_missing(namespace: &str, name: &str) -> String {
    format!(
        "ConfigMap {namespace}/{name} doesn't exist, so nobody can tell which administrator acknowledgements a minor \
         update needs. Restore it; empty is enough."
    )
}

pub(super) fn gates_without_current(current: &str, error: &semver::Error) -> String {
    format!(
        "The current version \"{}\" isn't a semantic version ({error}), so nobody can tell which administrator \
         acknowledgements a minor update needs.",
        quote(current)
    )
}

pub(super) fn gate_without_minor(key: &str) -> String {
    let (namespace, name) = names::ADMIN_GATES;
    format!(
        "Gate \"{}\" in ConfigMap {namespace}/{name} doesn't say which minor it is for: a key reads ack-4.21-something.",
        quote(key)
    )
}

pub(super) fn gate_without_text(key: &str) -> String {
    let (namespace, name) = names::ADMIN_GATES;
    format!(
        "Gate \"{}\" in ConfigMap {namespace}/{name} doesn't say what is to be acknowledged: its value is empty.",
        quote(key)
    )
}

pub(super) fn gate(key: &str, text: &str) -> String {
    let (namespace, name) = names::ADMIN_ACKS;
    format!(
        "{} When that is settled, acknowledge it: set \"{}\" to \"true\" in ConfigMap {namespace}/{name}.",
        quote(text),
        quote(key)
    )
}

/// The first https URL of a text, without the punctuation that ends a sentence.
pub(super) fn first_https_url(text: &str) -> Option<&str> {
    let start = text.find("https://")?;
    let url = text[start..].split(|c: char| c.is_whitespace() || c.is_control() || "<>\"'`".contains(c)).next()?;
    let url = url.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}']);
    (url.len() > "https://".len()).then_some(url)
}

pub(super) fn updating(progressing: &Condition) -> String {
    let what =
        if progressing.message.is_empty() { String::new() } else { format!(" ({})", quote(&progressing.message)) };
    format!("An update is in progress{what}. Wait until it has completed before a minor or major update.")
}

pub(super) fn multiple_risks(risks: &[Risk]) -> String {
    let bullets = risks.iter().map(|risk| format!("* {}: {}", risk.name, risk.message));
    format!("{} reasons prevent minor and major updates:\n{}", risks.len(), join(bullets, "\n"))
}

pub(super) fn invalid_current(current: &str, error: &semver::Error) -> String {
    format!(
        "The current version \"{}\" isn't a semantic version ({error}), so the target can't be compared with it.",
        quote(current)
    )
}

pub(super) fn invalid_target(target: &Release, error: &semver::Error) -> String {
    if target.version.is_empty() {
        return format!(
            "Nothing on this cluster knows which version {} is: it is in neither status.availableUpdates nor \
             status.conditionalUpdates nor status.history. Name the version as well.",
            quote(&target.image)
        );
    }
    format!(
        "The requested version \"{}\" isn't a semantic version ({error}), so it can't be compared with the current one.",
        quote(&target.version)
    )
}

pub(super) fn low_target(target: &Version, current: &Version, previous: Option<&Version>) -> String {
    let allowed = match previous {
        Some(previous) if super::update::same_minor(previous, current) => {
            format!("the only way back is to the previous version, {previous}")
        }
        Some(previous) => {
            format!("the previous version, {previous}, is of another minor, to which there is no way back")
        }
        None => "the history holds no previous version to go back to".to_owned(),
    };
    format!("{target} is below the current version {current}, and {allowed}.")
}

pub(super) fn major_hop(target: &Version, current: &Version) -> String {
    format!("{target} is of a higher major than the current version {current}; from 4.x only 5.0 can be entered.")
}

pub(super) fn minor_hop(target: &Version, current: &Version) -> String {
    format!(
        "{target} is more than one minor ahead of the current version {current}; update to {}.{} first.",
        current.major,
        current.minor + 1
    )
}

pub(super) fn retarget(target: &Version, completed: &Version, current: &Version) -> String {
    format!("{target} is asked for while the update from {completed} to {current} is still in progress.")
}

pub(super) fn recommendation_missing(target: &str) -> String {
    format!("Update {} is conditional, and whether it is recommended hasn't been evaluated.", quote(target))
}

pub(super) fn not_recommended(target: &str, recommended: &Condition) -> String {
    let verb = match recommended.status {
        ConditionStatus::True => "is recommended",
        ConditionStatus::False => "is not recommended",
        ConditionStatus::Unknown => "may not be recommended",
    };
    format!("Update {} {verb}: {}", quote(target), reason_and_message(recommended))
}

pub(super) fn no_channel(target: &str) -> String {
    let target = if target.is_empty() { "the requested image".to_owned() } else { quote(target) };
    format!("No channel is set, so nobody can tell whether {target} is recommended.")
}

pub(super) fn unknown_update(target: &str, retrieved: Option<&Condition>) -> String {
    let target = if target.is_empty() { "The requested image".to_owned() } else { quote(target) };
    match retrieved {
        Some(retrieved) if retrieved.status == ConditionStatus::True => {
            format!(
                "{target} is not among the updates that the channel offers; it is probably neither recommended nor supported."
            )
        }
        Some(retrieved) => format!(
            "{target} is in no list of updates, and these couldn't be looked up: {}",
            reason_and_message(retrieved)
        ),
        None => format!("{target} is in no list of updates, and whether these were looked up isn't known."),
    }
}

fn name_of(release: &Release) -> String {
    quote(if release.version.is_empty() { &release.image } else { &release.version })
}

pub(super) fn version_mismatch(target: &Target, known: &str) -> String {
    format!(
        "The request names version {}, but its image {} is known to be {}. Ask for one of the two.",
        quote(&target.version),
        quote(&target.image),
        quote(known)
    )
}

pub(super) fn no_image(target: &Target, cluster_version: &ClusterVersion) -> String {
    let available = join(updates(cluster_version).map(|release| quote(&release.version)), ", ");
    let available = if available.is_empty() { "no updates".to_owned() } else { available };
    let architecture = if target.architecture.is_empty() {
        String::new()
    } else {
        format!(" for architecture {}", quote(&target.architecture))
    };
    format!(
        "No image is known for version {}{architecture}: available are {available}. Ask for one of these, or name the image.",
        quote(&target.version)
    )
}

/// A finding as the CVO words one, so that whoever reads the history of either finds the same two names.
fn finding(finding: &Finding) -> String {
    format!("Precondition \"{}\" failed because of \"{}\": {}", finding.name, quote(&finding.reason), finding.message)
}

/// The text of `acceptedRisks` in the history; empty when nothing was accepted.
#[must_use]
pub fn accepted_risks(judgement: &Judgement) -> String {
    let risks = judgement.accepted_risks.iter().map(|risk| {
        let forced = if risk.forced { FORCED } else { "" };
        format!("{forced}{}", finding(risk))
    });
    join(risks, "\n")
}

/// The message of `ReleaseAccepted` for a request.
#[must_use]
pub fn release_accepted(judgement: &Judgement) -> String {
    let release = &judgement.release;
    match judgement.decision() {
        Decision::Allowed => payload_loaded(release),
        Decision::Blocked => {
            let failures = join(
                judgement.failures.iter().map(|failure| match judgement.failed_step {
                    Some(super::Step::PreconditionChecks) => format!("* {}", finding(failure)),
                    _ => format!("* {}", failure.message),
                }),
                "\n",
            );
            format!("{} is not accepted:\n{failures}", payload(release))
        }
    }
}

/// The message of `ReleaseAccepted=True`. It stays the same when the updater takes the release up.
#[must_use]
pub fn payload_loaded(release: &Release) -> String {
    format!("{} is accepted.", payload(release))
}

fn payload(release: &Release) -> String {
    format!("Release version=\"{}\" image=\"{}\"", quote(&release.version), quote(&release.image))
}

/// The message of `ReleaseAccepted` while the record of an accepted risk can't be written.
#[must_use]
pub fn not_recorded(release: &Release) -> String {
    format!("{} waits: its accepted risks couldn't be recorded in status.history yet.", payload(release))
}
