//! Which release a request means: by its digest where the status knows it, else by its version, looked up in
//! what the status lists.

use crate::api::{ClusterVersion, HistoryEntry, Release};

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

/// An update that is asked for; an empty field wasn't given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Version asked for.
    pub version: String,
    /// Image asked for.
    pub image: String,
    /// Architecture asked for.
    pub architecture: String,
    /// Failed preconditions are let through.
    pub force: bool,
    /// Where it comes from.
    pub origin: Origin,
}

impl Target {
    /// What `spec.desiredUpdate` asks for. A request with a mode (`Preflight`) tries a release out and updates
    /// nothing, and one that names neither version nor image asks for nothing.
    #[must_use]
    pub fn requested(cluster_version: &ClusterVersion) -> Option<Self> {
        let request = cluster_version.spec.desired_update.as_ref()?;
        if !request.mode.is_empty() || (request.version.is_empty() && request.image.is_empty()) {
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

    /// What an argument names: an image where it holds a `/` or an `@`, else a version.
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
    /// The release; an empty version or image means that nothing known tells.
    pub release: Release,
    /// The version that the image is known to be, where the request names another one.
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
    let known = known_releases(cluster_version)
        .find(|(version, image)| !version.is_empty() && same_image(image, &target.image))
        .map(|(version, _)| version.to_owned());
    let contradicts = known.clone().filter(|known| !target.version.is_empty() && *known != target.version);
    let version = known.unwrap_or_else(|| target.version.clone());
    Resolved {
        release: Release { version, image: target.image.clone(), architecture: target.architecture.clone() },
        contradicts,
    }
}

/// An architecture other than the cluster's own has images that the lists don't hold.
fn image_of_version(cluster_version: &ClusterVersion, target: &Target) -> Option<String> {
    if !target.architecture.is_empty() && target.architecture != cluster_version.desired().architecture {
        return None;
    }
    known_releases(cluster_version)
        .find(|(version, image)| !image.is_empty() && *version == target.version)
        .map(|(_, image)| image.to_owned())
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

/// The digest of an image reference; hexadecimal digits in either case are the same digest.
#[must_use]
pub fn digest(image: &str) -> Option<String> {
    let (_, digest) = image.rsplit_once('@')?;
    let (algorithm, hex) = digest.split_once(':')?;
    (!algorithm.is_empty() && !hex.is_empty()).then(|| digest.to_ascii_lowercase())
}

/// Whether two references mean one image: the digest decides where both have one, since mirrors differ in name.
#[must_use]
pub fn same_image(a: &str, b: &str) -> bool {
    match (digest(a), digest(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Whether two (version, image) pairs are one release: an empty half agrees when the other half does.
#[must_use]
pub fn same_release(a: (&str, &str), b: (&str, &str)) -> bool {
    let versions = agreement(a.0, b.0, a.0 == b.0);
    let images = agreement(a.1, b.1, same_image(a.1, b.1));
    matches!((versions, images), (Some(true), Some(true) | None) | (None, Some(true)))
}

/// `None` where one of two values is empty.
fn agreement(a: &str, b: &str, equal: bool) -> Option<bool> {
    if a.is_empty() || b.is_empty() { None } else { Some(equal) }
}

/// The history entry before the current release: the first whose version or image differs from current.
///
/// Entries in front of the current one are updates that were accepted and haven't begun; counted, they would
/// turn a release that was once forced into "the previous version", and let it in without force.
#[must_use]
pub fn previous(cluster_version: &ClusterVersion) -> Option<&HistoryEntry> {
    let desired = cluster_version.desired();
    let is_current = |entry: &&HistoryEntry| entry.version == desired.version && entry.image == desired.image;
    let history = cluster_version.history();
    let start = history.iter().position(|entry| is_current(&entry)).unwrap_or(0);
    history.iter().skip(start).find(|entry| !is_current(entry))
}
