//! What happens now to an update that the verdict allows and a CVO refuses for overrides.

use semver::Version;

use crate::{
    api::{
        ClusterVersion,
        names::{precondition, reason},
    },
    cli::check::gate::BridgeReport,
    gate::{
        Decision, Origin, Snapshot, TargetVerdict, UpdateType, Verdict,
        release::{has_full_digest, same_release},
        request::{Standing, standing, word},
    },
    plan::bridge::{candidate, skip_reason::SkipReason},
};

/// A sentence on what the CVO does and one on what upgrade-gate does; `None` where no target is refused for overrides.
#[must_use]
pub fn now(snapshot: &Snapshot, verdict: &Verdict, bridge: Option<&BridgeReport>) -> Option<String> {
    let cluster_version = &snapshot.cluster_version;
    let allowed =
        |target_verdict: &&TargetVerdict| target_verdict.decision() == Decision::Allowed && !target_verdict.is_current;
    let is_refused =
        |target_verdict: &TargetVerdict| is_refused_for_overrides(snapshot) && is_requested(snapshot, target_verdict);
    if verdict.targets.iter().filter(allowed).any(is_refused) {
        return Some(match candidate(snapshot) {
            // On a live cluster more is known than the ClusterVersion contains.
            Ok(_) if bridge.is_some_and(|bridge| !bridge.goes_ahead()) => format!("{REFUSED} {SEE_BRIDGE}"),
            Ok(_) => format!("{REFUSED} With upgrade-gate: allowed."),
            Err(SkipReason::NoOverrides) => NO_LONGER_REFUSED.to_owned(),
            Err(skip_reason) => format!("{REFUSED} With upgrade-gate: {}", skip_reason.message()),
        });
    }
    let would_be_refused = |target_verdict: &TargetVerdict| would_be_refused(snapshot, target_verdict);
    (refuses_patches(cluster_version) && verdict.targets.iter().filter(allowed).any(would_be_refused))
        .then(|| OLD.to_owned())
}

/// Whether a CVO of the current release refuses patch updates while overrides are set; the newest 4.21 may not.
#[must_use]
pub fn refuses_patches(cluster_version: &ClusterVersion) -> bool {
    Version::parse(&cluster_version.desired().version).is_ok_and(|current| (current.major, current.minor) <= (4, 21))
}

/// Whether a CVO has refused what is asked for, for overrides alone.
#[must_use]
pub fn is_refused_for_overrides(snapshot: &Snapshot) -> bool {
    word(&snapshot.cluster_version).is_some_and(|word| standing(word) == Standing::RefusedForOverrides)
}

const REFUSED: &str = "refused by the CVO, because overrides are set (ClusterVersionOverridesSet).";
const SEE_BRIDGE: &str = "See Bridge below for what upgrade-gate does.";
const NO_LONGER_REFUSED: &str =
    "refused by the CVO, because overrides were set. None is unmanaged any more, and the CVO tries again by itself.";
const OLD: &str = "a CVO up to 4.21 refuses patch updates while overrides are set, unless its release has the fix of \
     4.22. With upgrade-gate: allowed.";

/// Whether this is a patch that hasn't been asked for, or not been answered, that a CVO up to 4.21 refuses and that the
/// bridge forces.
fn would_be_refused(snapshot: &Snapshot, target_verdict: &TargetVerdict) -> bool {
    let target = &target_verdict.target;
    let is_asked_for = match target.origin {
        // An accepted update is not refused any more.
        Origin::Requested => word(&snapshot.cluster_version).is_none_or(|word| standing(word) != Standing::Accepted),
        Origin::Named => true,
        Origin::Listed => false,
    };
    is_asked_for
        && matches!(target_verdict.update_type, UpdateType::Patch | UpdateType::Rollback)
        && !target.force
        && target.architecture.is_empty()
        && (target.image.is_empty() || has_full_digest(&target.image))
        && target_verdict
            .accepted_risks
            .iter()
            .any(|risk| risk.name == precondition::UPGRADEABLE && risk.reason == reason::OVERRIDES_SET)
}

/// Whether this is the release that `spec.desiredUpdate` asks for, also where it was named.
fn is_requested(snapshot: &Snapshot, target_verdict: &TargetVerdict) -> bool {
    let Some(request) = &snapshot.cluster_version.spec.desired_update else { return false };
    target_verdict.target.origin == Origin::Requested || same_release(request.id(), target_verdict.release.id())
}
