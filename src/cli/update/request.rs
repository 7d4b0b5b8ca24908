//! The request, as `oc adm upgrade` would write it: which release the arguments mean, and what `oc` refuses on the
//! client. Pure.

use semver::Version;
use serde_json::{Value, json};

use crate::{
    api::{ClusterVersion, Condition, ConditionStatus, Release, find, names::condition},
    cli::update::args::Args,
    gate::{
        Origin, Target, message,
        release::{digest, is_pinned, same_image, same_release},
        suggest,
    },
};

/// What `oc adm upgrade` refuses and a flag allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// `--allow-explicit-upgrade`.
    pub explicit: bool,
    /// `--allow-not-recommended`.
    pub not_recommended: bool,
    /// `--allow-upgrade-with-warnings`.
    pub warnings: bool,
}

impl From<&Args> for Allowed {
    fn from(args: &Args) -> Self {
        Self {
            explicit: args.allow_explicit_upgrade,
            not_recommended: args.allow_not_recommended,
            warnings: args.allow_upgrade_with_warnings,
        }
    }
}

/// What the arguments name; an empty half wasn't given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The version.
    pub version: String,
    /// The image, by digest.
    pub image: String,
    /// The digest, where `--to VERSION@sha256:…` gives one and no image.
    pub digest: String,
}

/// Why a request isn't made; exit code 2 where the arguments are wrong, else 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The arguments make no sense, whatever the cluster is.
    #[error("{0}")]
    Usage(String),
    /// This cluster doesn't allow it, or not without a flag.
    #[error("{0}")]
    Cluster(String),
}

/// The request that will be written, and warnings about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The release that is meant.
    pub release: Release,
    /// The whole of `spec.desiredUpdate`.
    pub value: Value,
    /// What a flag has allowed, one sentence each.
    pub warnings: Vec<String>,
}

impl Request {
    /// The same release as a target of the gate.
    #[must_use]
    pub fn target(&self) -> Target {
        Target {
            version: self.release.version.clone(),
            image: self.release.image.clone(),
            architecture: String::new(),
            force: false,
            origin: Origin::Named,
        }
    }

    /// Whether `spec.desiredUpdate` asks for this release, and for nothing else. A version alone doesn't: the CVO resolves
    /// it by itself, perhaps to another image of that version, or not at all.
    #[must_use]
    pub fn is_asked(&self, cluster_version: &ClusterVersion) -> bool {
        let asked = cluster_version.spec.desired_update.as_ref();
        let is_named = asked.is_some_and(|asked| self.release.image.is_empty() || !asked.image.is_empty());
        is_named && self.agrees(cluster_version)
    }

    /// Whether what `spec.desiredUpdate` asks for may be this release.
    #[must_use]
    pub fn agrees(&self, cluster_version: &ClusterVersion) -> bool {
        let Some(asked) = &cluster_version.spec.desired_update else { return false };
        let is_plain = asked.architecture.is_empty() && asked.mode.is_empty();
        is_plain && same_release(asked.id(), self.release.id())
    }

    /// Whether the cluster reconciles towards this release.
    #[must_use]
    pub fn is_current(&self, cluster_version: &ClusterVersion) -> bool {
        let desired = cluster_version.desired();
        same_release(desired.id(), self.release.id())
    }

    /// Whether the newest entry of the history is about this release.
    #[must_use]
    pub fn is_in_front(&self, cluster_version: &ClusterVersion) -> bool {
        cluster_version.history().first().is_some_and(|front| same_release(front.id(), self.release.id()))
    }
}

/// What `--to` and `--to-image` name.
///
/// # Errors
/// They name no release that could be asked for.
pub fn named(to: Option<&str>, to_image: Option<&str>) -> Result<Named, Refusal> {
    let usage = |text: String| Err(Refusal::Usage(text));
    let (version, pair) = to.map_or(("", None), |to| to.split_once('@').map_or((to, None), |(v, d)| (v, Some(d))));
    if to.is_some() && Version::parse(version).is_err() {
        return usage(format!("--to {}: expected a version such as 4.21.2", message::sanitize_name(version)));
    }
    let digest = pair.unwrap_or_default();
    if pair.is_some() && !is_pinned(&format!("image@{digest}")) {
        return usage(format!(
            "--to {version}@…: expected sha256: and 64 hexadecimal digits in lower case behind the @"
        ));
    }
    let image = to_image.unwrap_or_default();
    if to_image.is_some() && (!is_pinned(image) || !image.contains('/')) {
        return usage(format!(
            "--to-image {}: expected an image by digest, such as quay.io/org/release@sha256:…; the cluster cannot verify \
             an image that is named by its tag. `oc adm release info IMAGE` shows the digest",
            message::sanitize_name(image)
        ));
    }
    if !digest.is_empty() && !image.is_empty() && !same_image(image, &format!("image@{digest}")) {
        return usage("--to and --to-image name different digests".to_owned());
    }
    let digest = if image.is_empty() { digest } else { "" };
    Ok(Named { version: version.to_owned(), image: image.to_owned(), digest: digest.to_owned() })
}

/// The request for what is named, on this cluster.
///
/// # Errors
/// What `oc adm upgrade` would refuse on the client.
pub fn request(cluster_version: &ClusterVersion, named: &Named, allowed: Allowed) -> Result<Request, Refusal> {
    let mut warnings = Vec::new();
    let release = release(cluster_version, named, allowed, &mut warnings)?;
    let mut value = json!({"architecture": "", "force": false, "image": release.image, "version": release.version});
    let before = cluster_version.spec.desired_update.as_ref();
    if let Some(risks) = before.and_then(|before| before.raw.get("acceptRisks")).filter(|risks| !risks.is_null()) {
        value["acceptRisks"] = risks.clone();
    }
    Ok(Request { release, value, warnings })
}

/// Why `oc adm upgrade` would refuse while the cluster is updating, failing or invalid.
///
/// # Errors
/// The conditions that prevent it, if no flag allows them.
pub fn warnings(cluster_version: &ClusterVersion, allowed: Allowed) -> Result<Vec<String>, Refusal> {
    let holds = |kind| cluster_version.condition(kind).filter(|found| found.status == ConditionStatus::True);
    let shown =
        |what: &str, found: &Condition| format!("{what}: {}={}: {}", found.kind, found.status.as_str(), because(found));
    let found: Vec<String> = [
        (condition::INVALID, "the ClusterVersion is invalid"),
        (condition::FAILING, "the cluster reports a failure"),
        (condition::PROGRESSING, "the cluster is updating already"),
    ]
    .into_iter()
    .filter_map(|(kind, what)| Some(shown(what, holds(kind)?)))
    .collect();
    if found.is_empty() || allowed.warnings {
        return Ok(found);
    }
    let text = found.join("; ");
    Err(Refusal::Cluster(format!(
        "{text}. Wait until that is over, or use --allow-upgrade-with-warnings to request the update nevertheless"
    )))
}

fn because(found: &Condition) -> String {
    let message = message::sanitize(&found.message);
    if found.reason.is_empty() { message } else { format!("{}: {message}", message::sanitize_name(&found.reason)) }
}

/// The release that is meant, from the lists in the order in which `oc` searches them.
fn release(
    cluster_version: &ClusterVersion,
    named: &Named,
    allowed: Allowed,
    warnings: &mut Vec<String>,
) -> Result<Release, Refusal> {
    let is_meant = |release: &&Release| {
        let image = if named.image.is_empty() { named.digest.as_str() } else { named.image.as_str() };
        let same_version = named.version.is_empty() || release.version == named.version;
        let same_digest =
            image.is_empty() || same_image(&release.image, image) || digest(&release.image).as_deref() == Some(image);
        same_version && same_digest
    };
    // A release that was requested by its image keeps the name under which it was requested.
    let as_named = |release: &Release| Release {
        version: release.version.clone(),
        image: if named.image.is_empty() { release.image.clone() } else { named.image.clone() },
        ..Release::default()
    };
    // The release that it runs, or is being updated to, is no longer in a list.
    let desired = cluster_version.desired();
    if is_meant(&desired) && !desired.image.is_empty() {
        return Ok(as_named(desired));
    }
    let status = cluster_version.status.as_ref();
    let available: Vec<&Release> =
        status.map_or(&[][..], |status| &status.available_updates).iter().filter(is_meant).collect();
    match available.as_slice() {
        [] => {}
        [one] => return Ok(as_named(one)),
        [one, others @ ..] if others.iter().all(|other| same_image(&other.image, &one.image)) => {
            return Ok(as_named(one));
        }
        several => {
            let images: Vec<String> = several.iter().map(|release| message::sanitize_name(&release.image)).collect();
            return Err(Refusal::Cluster(format!(
                "the cluster offers {} under several images: {}. Name one with --to-image",
                message::sanitize_name(&several[0].version),
                images.join(", ")
            )));
        }
    }
    let conditional = status.map_or(&[][..], |status| &status.conditional_updates).iter().find_map(|update| {
        let found = find(&update.conditions, condition::RECOMMENDED)?;
        (found.status != ConditionStatus::True && is_meant(&&update.release)).then_some((&update.release, found))
    });
    if let Some((release, found)) = conditional {
        let version = message::sanitize_name(&release.version);
        let why = format!("Recommended={}: {}", found.status.as_str(), because(found));
        if !allowed.not_recommended {
            return Err(Refusal::Cluster(format!(
                "{version} is not recommended for this cluster: {why}. Use --allow-not-recommended to accept that risk"
            )));
        }
        warnings.push(format!("--allow-not-recommended: {version} is not recommended for this cluster: {why}"));
        // As `oc` does, which keeps the name of an image that was asked for among the available updates alone.
        return Ok(release.clone());
    }
    explicit(cluster_version, named, allowed, warnings)
}

/// An image that no list of updates holds.
fn explicit(
    cluster_version: &ClusterVersion,
    named: &Named,
    allowed: Allowed,
    warnings: &mut Vec<String>,
) -> Result<Release, Refusal> {
    let what = if named.version.is_empty() { &named.image } else { &named.version };
    let what = message::sanitize_name(what);
    let Some(image) = explicit_image(cluster_version, named) else {
        let image = if named.digest.is_empty() { "IMAGE@sha256:…" } else { &format!("REPOSITORY@{}", named.digest) };
        return Err(Refusal::Cluster(format!(
            "{what} is not among the updates that the cluster offers{}. `upgrade-gate check` lists them; another release is \
             asked for with --to {what} --to-image {image} --allow-explicit-upgrade",
            why_none(cluster_version)
        )));
    };
    if !allowed.explicit {
        return Err(Refusal::Cluster(format!(
            "{what} is not among the updates that the cluster offers{}. Use --allow-explicit-upgrade to ask for it all the \
             same",
            why_none(cluster_version)
        )));
    }
    warnings.push(format!("--allow-explicit-upgrade: {what} is not among the updates that the cluster offers"));
    Ok(Release { version: named.version.clone(), image, ..Release::default() })
}

/// The image that was given; for a digest alone, the one of that digest if the cluster knows it.
fn explicit_image(cluster_version: &ClusterVersion, named: &Named) -> Option<String> {
    if !named.image.is_empty() {
        return Some(named.image.clone());
    }
    let pair = suggest::pair(cluster_version, &format!("{}@{}", named.version, named.digest))?;
    is_pinned(&pair.image).then_some(pair.image)
}

fn why_none(cluster_version: &ClusterVersion) -> String {
    let retrieved = cluster_version.condition(condition::RETRIEVED_UPDATES);
    let failed = retrieved.filter(|found| found.status != ConditionStatus::True);
    failed
        .map_or_else(String::new, |found| format!(" (RetrievedUpdates={}: {})", found.status.as_str(), because(found)))
}

#[cfg(test)]
mod tests;
