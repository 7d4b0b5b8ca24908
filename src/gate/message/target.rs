//! The sentences about one target: why it is refused or warned about, and what to request instead.

use semver::Version;

use crate::{
    api::{ClusterVersion, Condition, ConditionStatus, Release},
    gate::{
        Target, VersionAlone, image,
        message::{list, message_alone, overrides, reason_and_message, sanitize_name},
        oc,
        release::updates,
        suggest,
    },
};

pub(in crate::gate) fn overrides_accepted(cluster_version: &ClusterVersion, target: &Release) -> String {
    format!(
        "Overrides do not block the update to {}. The cluster-version operator does not manage: {}.",
        name_of(target),
        overrides(cluster_version)
    )
}

pub(in crate::gate) fn invalid_current(current: &str, error: &semver::Error) -> String {
    format!(
        "The current version \"{}\" is not a semantic version ({error}), so the target cannot be compared with it.",
        sanitize_name(current)
    )
}

pub(in crate::gate) fn invalid_target(
    cluster_version: &ClusterVersion,
    target: &Release,
    error: &semver::Error,
) -> String {
    if target.version.is_empty() {
        if let Some(problem) = image::digest_problem(&target.image) {
            return malformed_digest(cluster_version, &target.image, &problem);
        }
        return if target.image.contains('@') { unknown_image(&target.image) } else { no_digest(&target.image) };
    }
    invalid_version(cluster_version, &target.version, error)
}

pub(in crate::gate) fn invalid_version(
    cluster_version: &ClusterVersion,
    version: &str,
    error: &semver::Error,
) -> String {
    format!(
        "The requested version \"{}\" is not a semantic version ({error}), so it cannot be compared with the current one{}",
        sanitize_name(version),
        did_you_mean(cluster_version, version)
    )
}

pub(in crate::gate) fn architecture_and_image(target: &Target) -> String {
    format!(
        "spec.desiredUpdate names architecture {} and an image, and the API server accepts only one of them. Remove one.",
        sanitize_name(&target.architecture)
    )
}

/// The end of a sentence: which versions were probably meant, if any.
fn did_you_mean(cluster_version: &ClusterVersion, version: &str) -> String {
    let meant: Vec<String> = suggest::versions(cluster_version, version).into_iter().map(sanitize_name).collect();
    match meant.as_slice() {
        [] => ".".to_owned(),
        [one] => format!("; did you mean {one}?"),
        [first @ .., last] => format!("; did you mean {} or {last}? Name one at a time.", first.join(", ")),
    }
}

pub(in crate::gate) fn malformed_digest(cluster_version: &ClusterVersion, image: &str, problem: &str) -> String {
    let meant = meant_image(cluster_version, image).unwrap_or_else(|| ". Copy the whole digest.".to_owned());
    match image.strip_prefix('@') {
        Some(digest) => format!("The digest \"{}\" is malformed: {problem}{meant}", sanitize_name(digest)),
        None => format!("The digest of image \"{}\" is malformed: {problem}{meant}", sanitize_name(image)),
    }
}

pub(in crate::gate) fn malformed_name(cluster_version: &ClusterVersion, image: &str, problem: &str) -> String {
    let meant = meant_image(cluster_version, image)
        .unwrap_or_else(|| ". Expected an image such as quay.io/org/release@sha256:….".to_owned());
    format!("The image \"{}\" is malformed: {problem}{meant}", sanitize_name(image))
}

/// The end of a sentence: which image was probably meant, if the cluster knows one.
fn meant_image(cluster_version: &ClusterVersion, image: &str) -> Option<String> {
    Some(match suggest::image(cluster_version, image)? {
        ("", image) => format!(". This cluster knows one that begins with it: {}", sanitize_name(image)),
        (version, _) => format!("; did you mean {}?", sanitize_name(version)),
    })
}

pub(in crate::gate) fn misspelt(target: &Target, meant: &str) -> String {
    format!("No image is known for version {}; did you mean {}?", sanitize_name(&target.version), sanitize_name(meant))
}

/// What to do about an image of unknown version. The command needs the right to pull the image.
fn unknown_image(image: &str) -> String {
    let image = sanitize_name(image);
    format!(
        "This cluster does not know the version of {image}: no list of updates, no history entry and no message of \
         ReleaseAccepted contains its digest. `oc adm release info {image}` prints its version, and `upgrade-gate \
         check --to VERSION` evaluates that version."
    )
}

/// What to do about an image by tag.
pub(in crate::gate) fn no_digest(image: &str) -> String {
    let image = sanitize_name(image);
    let name = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(image.as_str(), |(name, _)| name);
    format!(
        "{image} has no digest, by which its signature is looked up, and a tag can become another release at any time. \
         Use a digest, {name}@sha256:…; `oc adm release info {image}` prints it."
    )
}

pub(in crate::gate) fn low_target(target: &Version, current: &Version, previous: Option<&Version>) -> String {
    let allowed = match previous {
        Some(previous) if crate::gate::update::same_minor(previous, current) => {
            format!("a rollback is only possible to the previous version, {previous}")
        }
        Some(previous) => {
            format!("the previous version, {previous}, is of another minor, to which no rollback is possible")
        }
        None => "the history has no previous version to roll back to".to_owned(),
    };
    format!("{target} is below the current version {current}, and {allowed}.")
}

pub(in crate::gate) fn major_hop(target: &Version, current: &Version) -> String {
    format!(
        "{target} is of a higher major than the current version {current}. The only such update is to 5.0, from 4.22 or \
         later."
    )
}

pub(in crate::gate) fn minor_hop(target: &Version, current: &Version) -> String {
    format!(
        "{target} is more than one minor ahead of the current version {current}; update to {}.{} first.",
        current.major,
        current.minor + 1
    )
}

pub(in crate::gate) fn retarget(target: &Version, completed: &Version, current: &Version) -> String {
    format!("{target} is requested while the update from {completed} to {current} is still in progress.")
}

pub(in crate::gate) fn recommendation_missing(target: &str) -> String {
    format!("Update {} is conditional, and whether it is recommended has not been evaluated.", sanitize_name(target))
}

pub(in crate::gate) fn not_recommended(target: &str, recommended: &Condition) -> String {
    let verb = match recommended.status {
        ConditionStatus::True => "is recommended",
        ConditionStatus::False => "is not recommended",
        ConditionStatus::Unknown => "may not be recommended",
    };
    format!("Update {} {verb}: {}", sanitize_name(target), message_alone(recommended))
}

pub(in crate::gate) fn no_channel(target: &str) -> String {
    let target = if target.is_empty() { "the requested image".to_owned() } else { sanitize_name(target) };
    format!("No channel is set, so it is not known whether {target} is recommended.")
}

pub(in crate::gate) fn unknown_update(target: &str, retrieved: Option<&Condition>) -> String {
    let target = if target.is_empty() { "The requested image".to_owned() } else { sanitize_name(target) };
    match retrieved {
        Some(retrieved) if retrieved.status == ConditionStatus::True => {
            format!(
                "{target} is not among the updates that the channel offers; it is probably neither recommended nor supported."
            )
        }
        Some(retrieved) => format!(
            "{target} is in no list of updates, and the updates could not be looked up: {}",
            reason_and_message(retrieved)
        ),
        None => format!("{target} is in no list of updates, and it is not known whether they were looked up."),
    }
}

fn name_of(release: &Release) -> String {
    sanitize_name(if release.version.is_empty() { &release.image } else { &release.version })
}

/// The version of the image comes from the request, or from what a CVO has read.
pub(in crate::gate) fn version_mismatch(release: &Release, target: &Target, known: &str) -> String {
    if target.version.is_empty() {
        return format!(
            "ReleaseAccepted and the lists of updates name different versions for {}: the lists have {}.",
            sanitize_name(&release.image),
            sanitize_name(known)
        );
    }
    format!(
        "The request names version {}, but its image {} is known to be {}. Request only one of the two.",
        sanitize_name(&target.version),
        sanitize_name(&target.image),
        sanitize_name(known)
    )
}

/// Why a version without an image is not enough, and what to request instead.
pub(in crate::gate) fn version_alone(target: &Target, cluster_version: &ClusterVersion, why: &VersionAlone) -> String {
    let (version, flag) = (sanitize_name(&target.version), oc::flag(cluster_version));
    match why {
        VersionAlone::Unknown
            if Version::parse(&target.version).is_err()
                && !suggest::versions(cluster_version, &target.version).is_empty() =>
        {
            format!("No image is known for version {version}{}", did_you_mean(cluster_version, &target.version))
        }
        VersionAlone::Unknown => no_image(target, cluster_version),
        VersionAlone::Architecture => format!(
            "A change of architecture keeps the version, so {version} for architecture {} is not looked up. `oc adm upgrade \
             --to-multi-arch{flag}` requests it at the current version, {}.",
            sanitize_name(&target.architecture),
            sanitize_name(&cluster_version.desired().version)
        ),
        VersionAlone::Conditional => format!(
            "{version} is a conditional update, and a version alone is looked up in status.availableUpdates only. \
             `oc adm upgrade --to {version} --allow-not-recommended{flag}` requests it with its image."
        ),
        VersionAlone::History(image) => format!(
            "{version} is in status.history only, and a request for that version alone is ignored. `oc adm upgrade \
             --to-image {} --allow-explicit-upgrade{flag}` requests its image.",
            sanitize_name(image)
        ),
        VersionAlone::Several(images) => format!(
            "status.availableUpdates holds {} releases of version {version}, so the version alone does not say which one \
             is meant. `oc adm upgrade --to-image IMAGE{flag}` requests one of them: {}.",
            images.len(),
            list(images.iter().map(|image| sanitize_name(image)))
        ),
    }
}

/// Why the cluster itself refuses the request.
pub(in crate::gate) fn refused(condition: &Condition) -> String {
    let status = condition.status.as_str();
    format!("The cluster reports {}={status}: {}", sanitize_name(&condition.kind), reason_and_message(condition))
}

pub(in crate::gate) fn no_image(target: &Target, cluster_version: &ClusterVersion) -> String {
    let with_image = updates(cluster_version).filter(|release| !release.image.is_empty());
    let available = list(with_image.map(|release| sanitize_name(&release.version)));
    let available = if available.is_empty() { "no updates".to_owned() } else { available };
    let architecture = if target.architecture.is_empty() {
        String::new()
    } else {
        format!(" for architecture {}", sanitize_name(&target.architecture))
    };
    format!(
        "No image is known for version {}{architecture}: available are {available}. Request one of these, or name the image.",
        sanitize_name(&target.version)
    )
}
