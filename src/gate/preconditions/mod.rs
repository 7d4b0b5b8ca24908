//! The checks of one target: four preconditions, in the CVO's order. All of them run.

mod giant_hop;
mod recommended;
mod rollback;
mod upgradeable;

use semver::Version;

use crate::{
    api::{
        ClusterVersion, Release,
        names::{precondition, reason},
    },
    gate::{message, risks::Upgradeable},
};

/// The input of a precondition.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The object, for current version, history and lists.
    pub cluster_version: &'a ClusterVersion,
    /// Whether the cluster may leave its minor, as evaluated now.
    pub upgradeable: &'a Upgradeable,
    /// The target, looked up.
    pub target: &'a Release,
}

/// The reason of one precondition against a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreconditionFinding {
    /// One word for programs; it may be a condition's.
    pub reason: String,
    /// Sentences for people.
    pub message: String,
    /// Blocks, unless forced; otherwise it only warns.
    pub blocks: bool,
}

impl PreconditionFinding {
    fn blocks(reason: &str, message: String) -> Self {
        Self { reason: message::sanitize_name(reason), message, blocks: true }
    }

    fn warns(reason: &str, message: String) -> Self {
        Self { reason: message::sanitize_name(reason), message, blocks: false }
    }
}

/// A precondition: `None` if the target passes.
pub type Precondition = fn(&Context<'_>) -> Option<PreconditionFinding>;

/// All preconditions with their names, in the order in which they run.
pub const ALL: [(&str, Precondition); 4] = [
    (precondition::ROLLBACK, rollback::check),
    (precondition::GIANT_HOP, giant_hop::check),
    (precondition::UPGRADEABLE, upgradeable::check),
    (precondition::RECOMMENDED, recommended::check),
];

/// Current and target as SemVer. Current is parsed first and only warns, because a cluster without a valid version needs the
/// update to be repaired. A target that is not SemVer is refused.
fn versions(context: &Context<'_>) -> Result<(Version, Version), PreconditionFinding> {
    let current = &context.cluster_version.desired().version;
    let current = Version::parse(current).map_err(|error| {
        PreconditionFinding::warns(reason::INVALID_CURRENT_VERSION, message::target::invalid_current(current, &error))
    })?;
    let target = Version::parse(&context.target.version).map_err(|error| {
        PreconditionFinding::blocks(
            reason::INVALID_DESIRED_VERSION,
            message::target::invalid_target(context.cluster_version, context.target, &error),
        )
    })?;
    Ok((current, target))
}
