//! Which release a request means: by its digest if the status has it, else by its version, looked up in the lists of the
//! status.

use crate::api::{ClusterVersion, HistoryEntry, HistoryState, Release, ReleaseId};

/// Where a target comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `spec.desiredUpdate`.
    Requested,
    /// `availableUpdates` or `conditionalUpdates`.
    Listed,
    /// Given to `check --to`.
    Named,
}

/// A requested update; an empty field was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The requested version.
    pub version: String,
    /// The requested image.
    pub image: String,
    /// The requested architecture.
    pub architecture: String,
    /// Failed preconditions are skipped.
    pub force: bool,
    /// Where it comes from.
    pub origin: Origin,
}

impl Target {
    /// The update that `spec.desiredUpdate` requests; none if it has neither version nor image. A `mode` (`Preflight`) makes
    /// no difference: every cluster-version operator ignores it and updates.
    #[must_use]
    pub fn requested(cluster_version: &ClusterVersion) -> Option<Self> {
        let request = cluster_version.spec.desired_update.as_ref()?;
        if request.version.is_empty() && request.image.is_empty() {
            return None;
        }
        Some(Self {
            version: request.version.clone(),
            image: request.image.clone(),
            architecture: request.architecture.clone(),
            force: request.force,
            origin: Origin::Requested,
        })
    }

    /// A release that the status lists as an update, available ones first.
    pub fn listed(cluster_version: &ClusterVersion) -> impl Iterator<Item = Self> {
        updates(cluster_version).map(|release| Self {
            version: release.version.clone(),
            image: release.image.clone(),
            architecture: String::new(),
            force: false,
            origin: Origin::Listed,
        })
    }

    /// The target that an argument names: an image if it contains a `/` or an `@`, else a version.
    #[must_use]
    pub fn named(argument: &str) -> Self {
        let is_image = argument.contains(['/', '@']);
        let (version, image) = if is_image { ("", argument) } else { (argument, "") };
        Self {
            version: version.to_owned(),
            image: image.to_owned(),
            architecture: String::new(),
            force: false,
            origin: Origin::Named,
        }
    }
}

/// A target, looked up in the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The release; an empty version or image is not known.
    pub release: Release,
    /// The known version of the image, if the request names another one.
    pub contradicts: Option<String>,
}

/// Looks a target up in `desired`, `availableUpdates`, `conditionalUpdates` and `history`.
#[must_use]
pub fn resolve(cluster_version: &ClusterVersion, target: &Target) -> Resolved {
    if target.image.is_empty() {
        let image = image_of_version(cluster_version, target).unwrap_or_default();
        let release = Release { version: target.version.clone(), image, architecture: target.architecture.clone() };
        return Resolved { release, contradicts: None };
    }
    let mut known = known_releases(cluster_version)
        .filter(|(version, image)| !version.is_empty() && same_image(image, &target.image))
        .map(|(version, _)| version)
        .peekable();
    let first = known.peek().map(|version| (*version).to_owned());
    let other = first.filter(|_| !known.any(|version| version == target.version));
    let contradicts = other.clone().filter(|_| !target.version.is_empty());
    let version = other.unwrap_or_else(|| target.version.clone());
    Resolved {
        release: Release { version, image: target.image.clone(), architecture: target.architecture.clone() },
        contradicts,
    }
}

/// The lists do not have the images of another architecture than the cluster's own.
fn image_of_version(cluster_version: &ClusterVersion, target: &Target) -> Option<String> {
    if !target.architecture.is_empty() && target.architecture != cluster_version.desired().architecture {
        return None;
    }
    known_releases(cluster_version)
        .find(|(version, image)| !image.is_empty() && *version == target.version)
        .map(|(_, image)| image.to_owned())
}

/// Whether the cluster reconciles towards that release already. Another image of the same version is another release;
/// so is another architecture, of which no image is known.
#[must_use]
pub fn is_current(cluster_version: &ClusterVersion, release: &Release) -> bool {
    let desired = cluster_version.desired();
    let is_other_architecture =
        release.image.is_empty() && !release.architecture.is_empty() && release.architecture != desired.architecture;
    !is_other_architecture && same_release(desired.id(), release.id())
}

/// Whether the update to the current release has not completed.
#[must_use]
pub fn is_unfinished(cluster_version: &ClusterVersion) -> bool {
    let desired = cluster_version.desired();
    cluster_version
        .history()
        .first()
        .is_some_and(|entry| entry.state == HistoryState::Partial && same_release(entry.id(), desired.id()))
}

/// Why a version without an image does not identify a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionAlone {
    /// It is in no list.
    Unknown,
    /// It is requested for another architecture than the cluster's, which is only possible at the current version.
    Architecture,
    /// It is in `conditionalUpdates` only.
    Conditional,
    /// It is in the history only, with this image.
    History(String),
    /// `availableUpdates` has several releases of it, with these images.
    Several(Vec<String>),
}

/// Why a CVO does not carry out a request for a version alone: it looks the version up in `availableUpdates`, which must have
/// it exactly once, with an image. `None` if it does.
///
/// For another architecture, it looks the current version up, whatever the request names.
///
/// An update that was accepted and has started stays in the history when the lists change.
#[must_use]
pub fn version_alone(cluster_version: &ClusterVersion, target: &Target) -> Option<VersionAlone> {
    let is_of_version = |version: &str| version == target.version;
    let other_architecture =
        !target.architecture.is_empty() && target.architecture != cluster_version.desired().architecture;
    let status = cluster_version.status.as_ref();
    if other_architecture && !is_of_version(&cluster_version.desired().version) {
        return Some(VersionAlone::Architecture);
    }
    let available = status.map_or(&[][..], |status| &status.available_updates).iter().filter(|release| {
        is_of_version(&release.version)
            && !release.image.is_empty()
            && (!other_architecture || release.architecture == target.architecture)
    });
    let images: Vec<String> = available.map(|release| release.image.clone()).collect();
    match images.len() {
        1 => return None,
        0 => {}
        _ => return Some(VersionAlone::Several(images)),
    }
    if other_architecture {
        // The lists may be those of the cluster's own architecture.
        return None;
    }
    let conditional = status.map_or(&[][..], |status| &status.conditional_updates);
    if conditional.iter().any(|update| is_of_version(&update.release.version)) {
        return Some(VersionAlone::Conditional);
    }
    let history = cluster_version.history();
    if history.first().is_some_and(|entry| entry.state == HistoryState::Partial && is_of_version(&entry.version)) {
        return None;
    }
    let before = history.iter().find(|entry| is_of_version(&entry.version) && !entry.image.is_empty());
    Some(before.map_or(VersionAlone::Unknown, |entry| VersionAlone::History(entry.image.clone())))
}

/// Every (version, image) that the status names, the current one first.
pub(super) fn known_releases(cluster_version: &ClusterVersion) -> impl Iterator<Item = (&str, &str)> {
    let desired = cluster_version.desired();
    std::iter::once(desired)
        .chain(updates(cluster_version))
        .map(|release| (release.version.as_str(), release.image.as_str()))
        .chain(cluster_version.history().iter().map(|entry| (entry.version.as_str(), entry.image.as_str())))
}

/// The releases of `availableUpdates`, then of `conditionalUpdates`.
pub fn updates(cluster_version: &ClusterVersion) -> impl Iterator<Item = &Release> {
    cluster_version.status.iter().flat_map(|status| {
        status.available_updates.iter().chain(status.conditional_updates.iter().map(|update| &update.release))
    })
}

/// The digest of an image reference, in lower case.
#[must_use]
pub fn digest(image: &str) -> Option<String> {
    let (_, digest) = image.rsplit_once('@')?;
    let (algorithm, hex) = digest.split_once(':')?;
    (!algorithm.is_empty() && !hex.is_empty()).then(|| digest.to_ascii_lowercase())
}

/// Whether a reference ends in a digest in lower case; to registries, upper case is another reference.
#[must_use]
pub fn is_pinned(image: &str) -> bool {
    image.split_once("@sha256:").is_some_and(|(name, hex)| {
        let names = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:[]".contains(&byte);
        !name.is_empty()
            && name.bytes().all(names)
            && hex.len() == 64
            && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Whether a digest is complete; of an image whose repository is not known, `@` and the digest are all there is.
#[must_use]
pub fn has_full_digest(image: &str) -> bool {
    is_pinned(&with_repository(image, "any"))
}

/// An image; if its repository is not known, with this one.
#[must_use]
pub fn with_repository(image: &str, repository: &str) -> String {
    if image.starts_with('@') { format!("{repository}{image}") } else { image.to_owned() }
}

/// Whether two references mean the same image. If both have a digest, it decides, because mirrors differ in name.
#[must_use]
pub fn same_image(a: &str, b: &str) -> bool {
    match (digest(a), digest(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Whether these are the same release. A version or an image that is empty agrees if the other one does.
#[must_use]
pub fn same_release(a: ReleaseId<'_>, b: ReleaseId<'_>) -> bool {
    let versions = agreement(a.version, b.version, a.version == b.version);
    let images = agreement(a.image, b.image, same_image(a.image, b.image));
    matches!((versions, images), (Some(true), Some(true) | None) | (None, Some(true)))
}

/// `None` if one of the two values is empty.
fn agreement(a: &str, b: &str, equal: bool) -> Option<bool> {
    if a.is_empty() || b.is_empty() { None } else { Some(equal) }
}

/// The history entry before the current release: the first whose version or image differs from current.
///
/// Entries in front of the current one are accepted updates that have not started. If they counted, a release that was once
/// forced would become "the previous version" and be allowed without force.
#[must_use]
pub fn previous(cluster_version: &ClusterVersion) -> Option<&HistoryEntry> {
    let desired = cluster_version.desired();
    let is_current = |entry: &&HistoryEntry| entry.version == desired.version && entry.image == desired.image;
    let history = cluster_version.history();
    let start = history.iter().position(|entry| is_current(&entry)).unwrap_or(0);
    history.iter().skip(start).find(|entry| !is_current(entry))
}

#[cfg(test)]
mod tests;
