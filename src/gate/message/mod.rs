//! The sentences of conditions, history and `check`, and how they include texts from the cluster: invisible characters are
//! escaped, and long texts truncated with a count of what is missing, so that no write fails for its size.

pub(super) mod risk;
pub(super) mod target;

use std::fmt::Write as _;

use crate::{
    api::{ClusterVersion, Condition, Override, Release},
    escape::{escape, escape_lines, truncate},
    gate::{Decision, Finding, TargetVerdict},
};

/// Where OpenShift's own documentation starts.
pub const DOCUMENTATION: &str = "https://docs.redhat.com/en/documentation/openshift_container_platform/";
/// The message of `Upgradeable=True`.
pub const UPGRADEABLE: &str = "Nothing prevents a minor or major update.";
/// Another writer reverts our writes: what that means, and what ends it.
pub const CONTENTION: &str = "Another writer reverts what upgrade-gate writes on ClusterVersion, so upgrade-gate writes \
                              it at most once a minute. If a GitOps controller applies spec.desiredUpdate, leave `force` \
                              out of it. Otherwise stop the other writer, or run upgrade-gate with --mode=bridge or \
                              --mode=auto beside a cluster-version operator, with --mode=observe beside anything else.";
/// Why no update is offered if no channel is set.
pub(super) const NO_CHANNEL_SET: &str =
    "No channel is set in spec.channel, so no updates are looked up. `oc adm upgrade channel CHANNEL` sets one.";
/// Why no update is offered if no condition gives a reason.
pub(super) const RETRIEVAL_UNKNOWN: &str =
    "No update is listed, and RetrievedUpdates does not say whether updates were looked up.";
/// Overrides are set, and the CVO does not block for them yet.
pub(super) const NOT_YET_FALSE: &str = "Overrides are set, but Upgradeable is not False yet. Until it is, which can take 4 minutes up to release 4.22, the \
     cluster-version operator lets a minor or major update through. These two commands make it publish at once:";
/// Overrides are removed, and the CVO still blocks for them.
pub(super) const STILL_FALSE: &str = "No override is unmanaged any more, but Upgradeable is still False because of them. This can last 4 minutes up to \
     release 4.22. These two commands make the cluster-version operator publish at once:";
/// The start of a finding that would have blocked without a force.
pub const FORCED: &str = "Forced through: ";

/// Bytes of a whole message. `metav1.Condition` admits no more; the lists of conditions on ClusterVersion and
/// ClusterOperator set no limit today, and a message of this size is a fiftieth of what etcd takes for an object.
pub const MESSAGE_LIMIT: usize = 32 << 10;
/// Bytes of the accepted risks of a history entry: in a hundred entries that is half of what etcd takes.
pub const RECORD_LIMIT: usize = 8 << 10;
/// Bytes of one text from the cluster, an operator's message for instance, within a message.
const QUOTE_LIMIT: usize = 4 << 10;
/// Bytes of a list of names within a message: some two hundred overrides.
const LIST_LIMIT: usize = 16 << 10;
/// Bytes of a name, a version, an image or a reason.
const NAME_LIMIT: usize = 1 << 10;
/// Bytes of a link; a longer one is left out.
const URL_LIMIT: usize = 2 << 10;
/// Bytes that each of several items keeps at least if not all of them fit.
const SHARE: usize = 1 << 10;
/// Bytes of the count of left-out items, at most.
const COUNT: usize = 32;

/// A text from the cluster, safe to show: invisible characters except line breaks escaped, long texts truncated.
#[must_use]
pub fn sanitize(text: &str) -> String {
    truncate(escape_lines(text), QUOTE_LIMIT)
}

/// A name from the cluster, safe to show: one line, invisible characters escaped, long names truncated.
#[must_use]
pub fn sanitize_name(text: &str) -> String {
    truncate(escape(text), NAME_LIMIT)
}

/// As many names as fit, and a count of the rest.
fn list(names: impl Iterator<Item = String>) -> String {
    let mut listed = String::new();
    let mut left_out = 0_usize;
    for name in names {
        if left_out > 0 || listed.len() + name.len() > LIST_LIMIT {
            left_out += 1;
            continue;
        }
        if !listed.is_empty() {
            listed.push_str(", ");
        }
        listed.push_str(&name);
    }
    if left_out > 0 {
        let _ = write!(listed, ", and {left_out} more");
    }
    listed
}

/// Items on lines of their own, within this many bytes. Each keeps at least `SHARE`; the first ones get what the others do
/// not need, and items without room are counted.
#[must_use]
pub fn lines(items: impl ExactSizeIterator<Item = String>, limit: usize) -> String {
    let room = limit.saturating_sub(COUNT);
    let mut joined = String::new();
    let mut items = items;
    while items.len() > 0 && (joined.is_empty() || joined.len() + SHARE < room) {
        let Some(item) = items.next() else { break };
        if !joined.is_empty() {
            joined.push('\n');
        }
        let left = room.saturating_sub(joined.len());
        joined.push_str(&truncate(item, left.saturating_sub(items.len() * (SHARE + 1)).max(SHARE.min(left))));
    }
    if items.len() > 0 {
        let _ = write!(joined, "\nand {} more", items.len());
    }
    joined
}

/// An override as `Kind.group namespace/name`.
#[must_use]
pub fn override_name(entry: &Override) -> String {
    let mut name = entry.kind.clone();
    for (separator, part) in [(".", &entry.group), (" ", &entry.namespace)] {
        if !part.is_empty() {
            name.push_str(separator);
            name.push_str(part);
        }
    }
    name.push_str(if entry.namespace.is_empty() { " " } else { "/" });
    name.push_str(&entry.name);
    sanitize_name(&name)
}

/// The unmanaged overrides, in the order of the spec.
#[must_use]
pub fn overrides(cluster_version: &ClusterVersion) -> String {
    list(cluster_version.unmanaged_overrides().map(override_name))
}

/// The message of our ClusterOperator beside a CVO up to 4.21, whose own message is that overrides prevent all updates.
#[must_use]
pub fn overrides_in_bridge(cluster_version: &ClusterVersion) -> String {
    format!(
        "Overrides prevent minor and major updates, not patch updates: {}. Before a minor or major update, remove these \
         overrides or set unmanaged: false.",
        overrides(cluster_version)
    )
}

/// The accepted risk in an UpdateRecord if the history entry of the update names none.
#[must_use]
pub fn overrides_while_updating(cluster_version: &ClusterVersion) -> String {
    format!("Overrides were set while this update ran, so it did not change: {}.", overrides(cluster_version))
}

pub(super) fn unreadable(what: &str, why: &str) -> String {
    format!(
        "{what} cannot be read, so it is not known whether a minor or major update is safe. Fix the access or the object: {}",
        sanitize(why)
    )
}

/// The message of a risk or a finding that is named by the condition's reason.
pub(super) fn message_alone(condition: &Condition) -> String {
    if condition.message.is_empty() {
        format!("{} is {}, without a message.", sanitize_name(&condition.kind), condition.status.as_str())
    } else {
        sanitize(&condition.message)
    }
}

/// Reason and message of a condition, safe to show.
#[must_use]
pub fn reason_and_message(condition: &Condition) -> String {
    match (condition.reason.as_str(), condition.message.as_str()) {
        ("", "") => "it gives no reason.".to_owned(),
        (reason, "") => format!("{}, without a message.", sanitize_name(reason)),
        ("", message) => sanitize(message),
        (reason, message) => format!("{}: {}", sanitize_name(reason), sanitize(message)),
    }
}

/// The CVO's message about updates that could not be looked up.
pub(super) fn not_retrieved(retrieved: &Condition) -> String {
    if retrieved.message.is_empty() {
        return "The updates could not be looked up; RetrievedUpdates=False does not say why.".to_owned();
    }
    sanitize(&retrieved.message)
}

pub(super) fn nothing_offered(channel: &str) -> String {
    format!("Channel {} offers no update from this version.", sanitize_name(channel))
}

/// A finding in the form of the CVO, so that both write the same two names into the history.
fn finding(finding: &Finding) -> String {
    format!(
        "Precondition \"{}\" failed because of \"{}\": {}",
        finding.name,
        sanitize_name(&finding.reason),
        finding.message
    )
}

/// The text of `acceptedRisks` in the history; empty when nothing was accepted.
#[must_use]
pub fn accepted_risks(target_verdict: &TargetVerdict) -> String {
    let risks = target_verdict.accepted_risks.iter().map(|risk| {
        let forced = if risk.forced { FORCED } else { "" };
        format!("{forced}{}", finding(risk))
    });
    lines(risks, RECORD_LIMIT)
}

/// The message of `ReleaseAccepted` for a request.
#[must_use]
pub fn release_accepted(target_verdict: &TargetVerdict) -> String {
    let release = &target_verdict.release;
    match target_verdict.decision() {
        Decision::Allowed => payload_loaded(release),
        Decision::Blocked => {
            let head = format!("{} is not accepted:\n", payload(release));
            let failures = target_verdict.failures.iter().map(|failure| match target_verdict.failed_step {
                Some(super::Step::PreconditionChecks) => format!("* {}", finding(failure)),
                Some(
                    super::Step::Invalid
                    | super::Step::RetrievePayload
                    | super::Step::VerifyPayloadVersion
                    | super::Step::NotAccepted,
                )
                | None => format!("* {}", failure.message),
            });
            let failures = lines(failures, MESSAGE_LIMIT - head.len());
            head + &failures
        }
    }
}

/// The message of `ReleaseAccepted=True`. It does not change when the updater starts to install the release.
#[must_use]
pub fn payload_loaded(release: &Release) -> String {
    format!("{} is accepted.", payload(release))
}

fn payload(release: &Release) -> String {
    format!("Release version=\"{}\" image=\"{}\"", sanitize_name(&release.version), sanitize_name(&release.image))
}

/// The message of `ReleaseAccepted` while the record of an accepted risk cannot be written.
#[must_use]
pub fn not_recorded(release: &Release) -> String {
    format!("{} waits: its accepted risks could not be recorded yet.", payload(release))
}
