//! The command that asks for an update, as `oc` needs it for that very release on that cluster; or `upgrade-gate update`,
//! where the cluster-version operator would refuse what `oc` asks for.
//!
//! `oc` looks a version up in `availableUpdates`, then among the conditional updates that are not recommended; an image by
//! its digest, in the same order. What it finds in neither needs `--allow-explicit-upgrade`, and an image.

use semver::Version;

use crate::{
    api::{
        ClusterVersion, Condition, ConditionStatus, DesiredUpdate, Release, find,
        names::{condition, precondition, reason},
    },
    cli::check::{
        commands::Caller,
        gate::GateReport,
        now::{is_refused_for_overrides, refuses_patches},
    },
    gate::{
        Decision, Origin, Snapshot, TargetVerdict, UpdateType, Verdict, cvo_message, oc,
        release::{has_full_digest, is_pinned, with_repository},
        request::{Standing, standing, word},
    },
    plan::{
        bridge::candidate,
        role::{Mode, Role},
    },
};

/// What becomes of an update within the minor that is asked for while overrides are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderOverrides {
    /// The gate of the cluster lets it through.
    Accepted,
    /// The cluster-version operator refuses it, or may; the operator of upgrade-gate runs, and forces it.
    Bridged,
    /// The cluster-version operator refuses it, or may; `upgrade-gate update` forces it, deployed or not.
    Locked,
    /// The cluster-version operator refuses it, and upgrade-gate leaves it so, or does as long as its mode is `replace`.
    Refused,
}

impl UnderOverrides {
    /// By who gates the cluster, as far as that is known: of files it isn't.
    #[must_use]
    pub fn new(snapshot: &Snapshot, verdict: &Verdict, gate: Option<&GateReport>) -> Self {
        let has_no_cvo = gate.is_some_and(|gate| [Role::Replace, Role::Guard].map(Role::as_str).contains(&gate.mode));
        if has_no_cvo || !(refuses_patches(&snapshot.cluster_version) || is_refused_for_overrides(snapshot)) {
            return Self::Accepted;
        }
        // A reason other than the update's own verdict applies to all such updates.
        let first = verdict.targets.iter().find(|target_verdict| may_be_forced(target_verdict));
        if first.is_none_or(|first| !would_be_forced(snapshot, &first.release)) {
            return Self::Refused;
        }
        let has_policy = gate.is_some_and(|gate| gate.policy_installed == Some(true));
        match gate.and_then(|gate| gate.operator_mode) {
            Some(Mode::Auto | Mode::Bridge) if has_policy => Self::Bridged,
            // `upgrade-gate update` writes nothing beside two programs that decide about requests.
            Some(Mode::Replace) => Self::Refused,
            Some(Mode::Auto | Mode::Bridge | Mode::Observe) | None => Self::Locked,
        }
    }
}

/// Whether overrides are what a cluster-version operator up to 4.21 has against an update that the verdict allows.
fn is_under_overrides(target_verdict: &TargetVerdict) -> bool {
    let is_of_overrides =
        |risk: &crate::gate::Finding| risk.name == precondition::UPGRADEABLE && risk.reason == reason::OVERRIDES_SET;
    target_verdict.decision() == Decision::Allowed && target_verdict.accepted_risks.iter().any(is_of_overrides)
}

/// Whether the update itself is one that upgrade-gate gets past a rule on overrides.
fn may_be_forced(target_verdict: &TargetVerdict) -> bool {
    is_under_overrides(target_verdict)
        && matches!(target_verdict.update_type, UpdateType::Patch | UpdateType::Rollback)
        && has_full_digest(&target_verdict.release.image)
}

/// The bridge's own answer on the cluster as it will be once that release is asked for, and refused for overrides.
fn would_be_forced(snapshot: &Snapshot, release: &Release) -> bool {
    let Some(mut status) = snapshot.cluster_version.status.clone() else { return false };
    let image = with_repository(&release.image, REPOSITORY);
    status.conditions.retain(|found| ![condition::INVALID, condition::RELEASE_ACCEPTED].contains(&found.kind.as_str()));
    status.conditions.push(Condition {
        kind: condition::RELEASE_ACCEPTED.to_owned(),
        status: ConditionStatus::False,
        reason: reason::PRECONDITION_CHECKS.to_owned(),
        message: cvo_message::refusal_for_overrides(&release.version, &image),
        ..Condition::default()
    });
    let mut refused = snapshot.clone();
    refused.cluster_version.spec.desired_update = Some(DesiredUpdate {
        version: release.version.clone(),
        image: image.clone(),
        raw: serde_json::json!({"version": release.version, "image": image, "force": false}),
        ..DesiredUpdate::default()
    });
    refused.cluster_version.status = Some(status);
    candidate(&refused).is_ok()
}

/// `None` where no command gets the update to go ahead: it is blocked, no image is known by digest, or a cluster-version
/// operator refuses it for overrides and nothing gets it past that. `None` as well where nothing has to be typed: it runs
/// already, or it is asked for and nothing more is needed.
#[must_use]
pub fn command(
    caller: &Caller,
    cluster_version: &ClusterVersion,
    target_verdict: &TargetVerdict,
    under_overrides: UnderOverrides,
) -> Option<String> {
    let target = &target_verdict.target;
    if target_verdict.decision() == Decision::Blocked || target_verdict.is_current || !target.architecture.is_empty() {
        return None;
    }
    let is_locked = is_under_overrides(target_verdict) && under_overrides != UnderOverrides::Accepted;
    if is_locked && (!may_be_forced(target_verdict) || under_overrides == UnderOverrides::Refused) {
        return None;
    }
    let needs_update = is_locked && under_overrides == UnderOverrides::Locked;
    if target.origin == Origin::Requested {
        let is_accepted = word(cluster_version).is_some_and(|word| standing(word) == Standing::Accepted);
        if !needs_update || is_accepted || target.force {
            return None;
        }
    }
    let named = named(cluster_version, target_verdict);
    let what = match (named, needs_update) {
        (Some(version), _) => version,
        (None, false) => by_image(cluster_version, target_verdict)?,
        // The type of the update follows from the version, even if no list of the cluster has the image.
        (None, true) => {
            let version = target_verdict.release.version.as_str();
            let image = by_image(cluster_version, target_verdict)?;
            if Version::parse(version).is_ok() { format!("--to {version} {image}") } else { image }
        }
    };
    let flag = oc::flag(cluster_version);
    Some(if needs_update {
        let policy = if has_policies(cluster_version) { "" } else { " --without-policy" };
        caller.upgrade_gate(&format!("update {what}{flag}{policy}"))
    } else {
        caller.oc(&format!("adm upgrade {what}{flag}"))
    })
}

/// Whether the cluster serves admission policies, which `upgrade-gate update` installs: Kubernetes 1.30, which is OpenShift
/// 4.17.
fn has_policies(cluster_version: &ClusterVersion) -> bool {
    Version::parse(&cluster_version.desired().version).map_or(true, |current| (current.major, current.minor) >= (4, 17))
}

/// What a command has in place of a repository that the cluster does not know.
pub const REPOSITORY: &str = "REPOSITORY";

/// The updates that `oc` finds under `--allow-not-recommended`. One without the condition, or with `True`, is none to `oc`:
/// once the CVO has found it recommended, it is among the available ones.
fn conditional(cluster_version: &ClusterVersion) -> impl Iterator<Item = &Release> {
    let updates = cluster_version.status.iter().flat_map(|status| &status.conditional_updates);
    updates
        .filter(|update| {
            find(&update.conditions, condition::RECOMMENDED).is_some_and(|found| found.status != ConditionStatus::True)
        })
        .map(|update| &update.release)
}

fn available(cluster_version: &ClusterVersion) -> &[Release] {
    cluster_version.status.as_ref().map_or(&[], |status| &status.available_updates)
}

/// The flags that name the release by its version; `None` if its version alone means another one, or none.
fn named(cluster_version: &ClusterVersion, target_verdict: &TargetVerdict) -> Option<String> {
    let (version, image) = (target_verdict.release.version.as_str(), target_verdict.release.image.as_str());
    // `oc` takes no version but SemVer, and does nothing for the one that the cluster has.
    let may_be_named = Version::parse(version).is_ok() && version != cluster_version.desired().version;
    let is_meant = |listed: &Release| target_verdict.target.image.is_empty() || listed.image == image;
    if !may_be_named {
        return None;
    }
    let of_version: Vec<&Release> =
        available(cluster_version).iter().filter(|release| release.version == version).collect();
    match of_version.as_slice() {
        [one] if is_meant(one) && !one.image.is_empty() => Some(format!("--to {version}")),
        [] if conditional(cluster_version).find(|release| release.version == version).is_some_and(is_meant) => {
            Some(format!("--to {version} --allow-not-recommended"))
        }
        _ => None,
    }
}

/// The flags that name the release by its image, and those without which `oc` refuses it.
fn by_image(cluster_version: &ClusterVersion, target_verdict: &TargetVerdict) -> Option<String> {
    let image = pull_spec(&target_verdict.release.image)?;
    let is_of_digest = |listed: &Release| digest(&listed.image) == digest(&image);
    let flag = if available(cluster_version).iter().any(is_of_digest) {
        ""
    } else if conditional(cluster_version).any(is_of_digest) {
        " --allow-not-recommended"
    } else {
        " --allow-explicit-upgrade"
    };
    Some(format!("--to-image {image}{flag}"))
}

fn digest(image: &str) -> Option<&str> {
    image.rsplit_once('@').map(|(_, digest)| digest)
}

/// An image as `oc` takes it: by digest, without a tag, with a registry or a namespace; or with [`REPOSITORY`]. Nothing in it
/// means anything to a shell.
fn pull_spec(image: &str) -> Option<String> {
    if image.starts_with('@') {
        return has_full_digest(image).then(|| with_repository(image, REPOSITORY));
    }
    let (name, digest) = image.split_once('@').filter(|_| is_pinned(image))?;
    let name = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name);
    let (first, path) = name.split_once('/')?;
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_".contains(&byte);
    let is_path = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let starts_well = |part: &str| part.starts_with(|first: char| first.is_ascii_alphanumeric());
    let is_well_formed = starts_well(first)
        && first.bytes().all(is_host)
        && path.split('/').all(|part| starts_well(part) && part.bytes().all(is_path));
    is_well_formed.then(|| format!("{name}@{digest}"))
}

#[cfg(test)]
mod tests;
