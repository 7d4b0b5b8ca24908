//! Every sentence that an administrator reads, and how texts from the cluster are quoted in them: what is hidden is
//! escaped, what is long cut with a count of what is missing, so that no write fails for its size.

use std::fmt::Write as _;

use semver::Version;

use crate::{
    api::{ClusterVersion, Condition, ConditionStatus, Override, Release, names},
    escape::{escape, escape_lines, is_unprintable, truncate},
    gate::{Decision, Finding, Risk, Target, TargetVerdict, VersionAlone, meant, release::updates},
};

/// Where OpenShift's own documentation starts.
pub const DOCUMENTATION: &str = "https://docs.redhat.com/en/documentation/openshift_container_platform/";
/// The message of `Upgradeable=True`.
pub const UPGRADEABLE: &str = "Nothing stands against a minor or major update.";

/// What another writer that takes conditions back means, and what ends it.
pub const CONTENTION: &str = "Another writer reverts what upgrade-gate writes on ClusterVersion, so upgrade-gate writes \
                              it at most once a minute. If a GitOps controller applies spec.desiredUpdate, leave `force` \
                              out of it. Otherwise stop the other writer, or run upgrade-gate with --mode=bridge or \
                              --mode=auto beside a cluster-version operator, with --mode=observe beside anything else.";
/// Why no update is offered where no channel is set.
pub(super) const NO_CHANNEL_SET: &str =
    "No channel is set in spec.channel, so no updates are looked up. `oc adm upgrade channel CHANNEL` sets one.";
/// Why no update is offered where nothing says why.
pub(super) const RETRIEVAL_UNKNOWN: &str =
    "No update is listed, and RetrievedUpdates does not say whether updates were looked up.";
/// Overrides are set, and the CVO doesn't gate on them yet.
pub(super) const NOT_YET_FALSE: &str = "Overrides are set, but Upgradeable is not False yet. Until it is, which can take 4 minutes up to release 4.22, the \
     cluster-version operator lets a minor or major update through. These two commands make it publish at once:";
/// Overrides are gone, and the CVO still gates on them.
pub(super) const STILL_FALSE: &str = "No override is unmanaged any more, but Upgradeable is still False because of them. This can last 4 minutes up to \
     release 4.22. These two commands make the cluster-version operator publish at once:";
/// What a finding begins with that would have blocked, had nobody forced it.
pub const FORCED: &str = "Forced through: ";

/// Bytes of a whole message. `metav1.Condition` admits no more; the lists of conditions on ClusterVersion and
/// ClusterOperator set no limit today, and a message of this size is a fiftieth of what etcd takes for an object.
pub const MESSAGE_LIMIT: usize = 32 << 10;
/// Bytes of what an entry of the history says of accepted risks: in a hundred entries that is half of what etcd takes.
pub const RECORD_LIMIT: usize = 8 << 10;
/// Bytes of one text from the cluster, an operator's message for instance, within a message.
const QUOTE_LIMIT: usize = 4 << 10;
/// Bytes of a list of names within a message: some two hundred overrides.
const LIST_LIMIT: usize = 16 << 10;
/// Bytes of a name, a version, an image or a reason.
const NAME_LIMIT: usize = 1 << 10;
/// Bytes of a link; what is longer is none that anybody follows.
const URL_LIMIT: usize = 2 << 10;
/// Bytes that are worth showing of one of several items that don't fit as they are.
const SHARE: usize = 1 << 10;
/// Bytes of the count of items that are left out, at most.
const COUNT: usize = 32;

/// A text from the cluster, fit to be shown: everything hidden but line breaks escaped, long ones cut.
#[must_use]
pub fn quote(text: &str) -> String {
    truncate(escape_lines(text), QUOTE_LIMIT)
}

/// A name from the cluster, fit to be shown: on one line, everything hidden escaped, long ones cut.
#[must_use]
pub fn quote_name(text: &str) -> String {
    truncate(escape(text), NAME_LIMIT)
}

/// As many names as fit, and a count of those that don't.
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

/// Items below each other, within so many bytes: each gets its share, the first ones what the others leave, and
/// those for which nothing is left are counted.
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
    quote_name(&name)
}

/// The unmanaged overrides, in the order of the spec.
#[must_use]
pub fn overrides(cluster_version: &ClusterVersion) -> String {
    list(cluster_version.unmanaged_overrides().map(override_name))
}

pub(super) fn overrides_risk(cluster_version: &ClusterVersion) -> String {
    format!(
        "Overrides in spec.overrides keep the cluster-version operator from managing: {}. This prevents minor and \
         major updates; patch updates stay allowed. Before a minor or major update, remove these overrides or set \
         unmanaged: false.",
        overrides(cluster_version)
    )
}

/// What our ClusterOperator says beside a CVO up to 4.21, whose own text is that overrides prevent all updates.
#[must_use]
pub fn overrides_in_bridge(cluster_version: &ClusterVersion) -> String {
    format!(
        "Overrides prevent minor and major updates, not patch updates: {}. Before a minor or major update, remove these \
         overrides or set unmanaged: false.",
        overrides(cluster_version)
    )
}

/// What an UpdateRecord says of an update whose entry in the history says nothing of overrides.
#[must_use]
pub fn overrides_while_updating(cluster_version: &ClusterVersion) -> String {
    format!(
        "Overrides were set while this update was carried out, so it left unmanaged: {}.",
        overrides(cluster_version)
    )
}

pub(super) fn overrides_accepted(cluster_version: &ClusterVersion, target: &Release) -> String {
    format!(
        "Overrides do not block the update to {}. The cluster-version operator does not manage: {}.",
        name_of(target),
        overrides(cluster_version)
    )
}

pub(super) fn unreadable(what: &str, why: &str) -> String {
    format!(
        "Nobody can tell whether a minor or major update is safe, because {what} can't be read. Fix the access, or the \
         object: {}",
        quote(why)
    )
}

pub(super) fn cluster_operator(name: &str, condition: &Condition) -> String {
    format!("ClusterOperator {} prevents minor and major updates: {}", quote_name(name), reason_and_message(condition))
}

/// The message of a risk that is named by the condition's type.
pub(super) fn veto(condition: &Condition) -> String {
    reason_and_message(condition)
}

/// The message of a risk or a finding that is named by the condition's reason.
pub(super) fn message_alone(condition: &Condition) -> String {
    if condition.message.is_empty() {
        format!("{} is {}, without a message.", quote_name(&condition.kind), condition.status.as_str())
    } else {
        quote(&condition.message)
    }
}

/// What a condition of the cluster says, fit to be shown.
#[must_use]
pub fn reason_and_message(condition: &Condition) -> String {
    match (condition.reason.as_str(), condition.message.as_str()) {
        ("", "") => "it gives no reason.".to_owned(),
        (reason, "") => format!("{}, without a message.", quote_name(reason)),
        ("", message) => quote(message),
        (reason, message) => format!("{}: {}", quote_name(reason), quote(message)),
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
        quote_name(current)
    )
}

pub(super) fn gate_without_minor(key: &str) -> String {
    let (namespace, name) = names::ADMIN_GATES;
    format!(
        "Gate \"{}\" in ConfigMap {namespace}/{name} doesn't say which minor it is for: a key reads ack-4.21-something.",
        quote_name(key)
    )
}

pub(super) fn gate_without_text(key: &str) -> String {
    let (namespace, name) = names::ADMIN_GATES;
    format!(
        "Gate \"{}\" in ConfigMap {namespace}/{name} doesn't say what is to be acknowledged: its value is empty.",
        quote_name(key)
    )
}

/// The gate's own text comes last: it may end in a URL.
pub(super) fn gate(key: &str, text: &str, ack: Option<&str>) -> String {
    let (namespace, name) = names::ADMIN_ACKS;
    let (key, text) = (quote_name(key), quote(text));
    match ack {
        None => format!(
            "Minor and major updates need an acknowledgement: when the following is settled, set \"{key}\" to \"true\" in \
             ConfigMap {namespace}/{name}. {text}"
        ),
        Some(ack) => format!(
            "Minor and major updates need an acknowledgement: \"{key}\" is present in ConfigMap {namespace}/{name}, but its \
             value is \"{}\", which is not exactly \"true\". When the following is settled, set it to \"true\". {text}",
            quote_name(ack)
        ),
    }
}

/// The first https URL of a text, without the punctuation that ends a sentence.
pub(super) fn first_https_url(text: &str) -> Option<&str> {
    let start = text.find("https://")?;
    let url = text[start..].split(|c: char| c.is_whitespace() || is_unprintable(c) || "<>\"'`".contains(c)).next()?;
    let url = url.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}']);
    ("https://".len() + 1..=URL_LIMIT).contains(&url.len()).then_some(url)
}

pub(super) fn updating(progressing: &Condition) -> String {
    let wait = "An update is in progress; wait until it has completed before a minor or major update";
    if progressing.message.is_empty() {
        return format!("{wait}.");
    }
    format!("{wait}: {}", quote(&progressing.message))
}

pub(super) fn multiple_risks(risks: &[Risk]) -> String {
    let head = format!("{} reasons prevent minor and major updates:\n", risks.len());
    let bullets = risks.iter().map(|risk| format!("* {}: {}", risk.name, risk.message));
    let bullets = lines(bullets, MESSAGE_LIMIT - head.len());
    head + &bullets
}

pub(super) fn invalid_current(current: &str, error: &semver::Error) -> String {
    format!(
        "The current version \"{}\" isn't a semantic version ({error}), so the target can't be compared with it.",
        quote_name(current)
    )
}

pub(super) fn invalid_target(cluster_version: &ClusterVersion, target: &Release, error: &semver::Error) -> String {
    if target.version.is_empty() {
        if let Some(problem) = meant::digest_problem(&target.image) {
            return malformed_digest(cluster_version, &target.image, &problem);
        }
        return unknown_image(&target.image);
    }
    format!(
        "The requested version \"{}\" isn't a semantic version ({error}), so it can't be compared with the current one{}",
        quote_name(&target.version),
        did_you_mean(cluster_version, &target.version)
    )
}

/// The end of a sentence: which versions were probably meant, if any.
fn did_you_mean(cluster_version: &ClusterVersion, version: &str) -> String {
    let meant: Vec<String> = meant::versions(cluster_version, version).into_iter().map(quote_name).collect();
    match meant.as_slice() {
        [] => ".".to_owned(),
        [one] => format!("; did you mean {one}?"),
        [first @ .., last] => format!("; did you mean {} or {last}? Name one at a time.", first.join(", ")),
    }
}

fn malformed_digest(cluster_version: &ClusterVersion, image: &str, problem: &str) -> String {
    let meant = match meant::image(cluster_version, image) {
        Some(("", image)) => format!(". This cluster knows one that begins with it: {}", quote_name(image)),
        Some((version, _)) => format!("; did you mean {}?", quote_name(version)),
        None => ". Copy the whole digest.".to_owned(),
    };
    format!("The digest of image \"{}\" is malformed: {problem}{meant}", quote_name(image))
}

pub(super) fn misspelt(target: &Target, meant: &str) -> String {
    format!("No image is known for version {}; did you mean {}?", quote_name(&target.version), quote_name(meant))
}

/// What to do about an image whose version nothing tells. The command works for whoever can pull the image.
fn unknown_image(image: &str) -> String {
    let image = quote_name(image);
    if image.contains('@') {
        return format!(
            "Nothing on this cluster says which version {image} is: neither a list of updates nor the history nor \
             ReleaseAccepted names its digest. `oc adm release info {image}` prints its version, and `upgrade-gate \
             check --to VERSION` judges that."
        );
    }
    let name = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(image.as_str(), |(name, _)| name);
    format!(
        "{image} has no digest, and a tag can become another release at any time. Use a digest, {name}@sha256:…; \
         `oc adm release info {image}` prints it."
    )
}

pub(super) fn low_target(target: &Version, current: &Version, previous: Option<&Version>) -> String {
    let allowed = match previous {
        Some(previous) if crate::gate::update::same_minor(previous, current) => {
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
    format!(
        "{target} is of a higher major than the current version {current}. The only such update is to 5.0, from 4.22 or \
         later."
    )
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
    format!("Update {} is conditional, and whether it is recommended hasn't been evaluated.", quote_name(target))
}

pub(super) fn not_recommended(target: &str, recommended: &Condition) -> String {
    let verb = match recommended.status {
        ConditionStatus::True => "is recommended",
        ConditionStatus::False => "is not recommended",
        ConditionStatus::Unknown => "may not be recommended",
    };
    format!("Update {} {verb}: {}", quote_name(target), message_alone(recommended))
}

pub(super) fn no_channel(target: &str) -> String {
    let target = if target.is_empty() { "the requested image".to_owned() } else { quote_name(target) };
    format!("No channel is set, so nobody can tell whether {target} is recommended.")
}

pub(super) fn unknown_update(target: &str, retrieved: Option<&Condition>) -> String {
    let target = if target.is_empty() { "The requested image".to_owned() } else { quote_name(target) };
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

/// A CVO's own words on updates that couldn't be looked up.
pub(super) fn not_retrieved(retrieved: &Condition) -> String {
    if retrieved.message.is_empty() {
        return "The updates could not be looked up; RetrievedUpdates=False does not say why.".to_owned();
    }
    quote(&retrieved.message)
}

pub(super) fn nothing_offered(channel: &str) -> String {
    format!("Channel {} offers no update from this version.", quote_name(channel))
}

fn name_of(release: &Release) -> String {
    quote_name(if release.version.is_empty() { &release.image } else { &release.version })
}

/// The version that the image is said to be comes from the request, or from what a CVO has read.
pub(super) fn version_mismatch(release: &Release, target: &Target, known: &str) -> String {
    if target.version.is_empty() {
        return format!(
            "ReleaseAccepted and the lists of updates name different versions for {}: the lists have {}.",
            quote_name(&release.image),
            quote_name(known)
        );
    }
    format!(
        "The request names version {}, but its image {} is known to be {}. Ask for one of the two.",
        quote_name(&target.version),
        quote_name(&target.image),
        quote_name(known)
    )
}

/// Why a version without an image isn't enough, and what is.
pub(super) fn version_alone(target: &Target, cluster_version: &ClusterVersion, why: &VersionAlone) -> String {
    let version = quote_name(&target.version);
    match why {
        VersionAlone::Unknown
            if Version::parse(&target.version).is_err()
                && !meant::versions(cluster_version, &target.version).is_empty() =>
        {
            format!("No image is known for version {version}{}", did_you_mean(cluster_version, &target.version))
        }
        VersionAlone::Unknown => no_image(target, cluster_version),
        VersionAlone::Conditional => format!(
            "{version} is a conditional update, and a version alone is looked up in status.availableUpdates only. \
             `oc adm upgrade --to {version} --allow-not-recommended` asks for its image as well."
        ),
        VersionAlone::History(image) => format!(
            "{version} is in status.history only, and a request for that version alone is ignored. `oc adm upgrade \
             --to-image {} --allow-explicit-upgrade` asks for its image.",
            quote_name(image)
        ),
        VersionAlone::Several(images) => format!(
            "status.availableUpdates holds {} releases of version {version}, so the version alone doesn't say which one \
             is meant. `oc adm upgrade --to-image IMAGE` asks for one of them: {}.",
            images.len(),
            list(images.iter().map(|image| quote_name(image)))
        ),
    }
}

/// What the cluster itself has against the request.
pub(super) fn refused(word: &Condition) -> String {
    let status = word.status.as_str();
    format!("The cluster says {}={status}: {}", quote_name(&word.kind), reason_and_message(word))
}

pub(super) fn no_image(target: &Target, cluster_version: &ClusterVersion) -> String {
    let available = list(updates(cluster_version).map(|release| quote_name(&release.version)));
    let available = if available.is_empty() { "no updates".to_owned() } else { available };
    let architecture = if target.architecture.is_empty() {
        String::new()
    } else {
        format!(" for architecture {}", quote_name(&target.architecture))
    };
    format!(
        "No image is known for version {}{architecture}: available are {available}. Ask for one of these, or name the image.",
        quote_name(&target.version)
    )
}

/// A finding as the CVO words one, so that whoever reads the history of either finds the same two names.
fn finding(finding: &Finding) -> String {
    format!(
        "Precondition \"{}\" failed because of \"{}\": {}",
        finding.name,
        quote_name(&finding.reason),
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
                _ => format!("* {}", failure.message),
            });
            let failures = lines(failures, MESSAGE_LIMIT - head.len());
            head + &failures
        }
    }
}

/// The message of `ReleaseAccepted=True`. It stays the same when the updater takes the release up.
#[must_use]
pub fn payload_loaded(release: &Release) -> String {
    format!("{} is accepted.", payload(release))
}

fn payload(release: &Release) -> String {
    format!("Release version=\"{}\" image=\"{}\"", quote_name(&release.version), quote_name(&release.image))
}

/// The message of `ReleaseAccepted` while the record of an accepted risk can't be written.
#[must_use]
pub fn not_recorded(release: &Release) -> String {
    format!("{} waits: its accepted risks couldn't be recorded yet.", payload(release))
}
