//! `ClusterVersionUpgradeable`: the cluster may not leave its minor version while a risk holds.
//!
//! # Why it is checked
//!
//! A risk is a reason not to start a minor or major update; each risk has its own page. A patch update goes ahead. While
//! overrides are set, it goes ahead with the accepted risk `ClusterVersionOverridesSet`. The cluster-version operator up to
//! 4.21 refuses it then; this is the difference that upgrade-gate makes. A patch update during an unfinished minor or major
//! update goes ahead with the accepted risk `MinorVersionClusterUpdateInProgress` or `MajorVersionClusterUpdateInProgress`.
//!
//! # What to do
//!
//! Resolve the risks that the message names, or stay within the minor version.
//!
//! # Example
//!
//! At 4.21.1 with an unmanaged override: 4.21.2 is allowed, 4.22.0 is blocked with `ClusterVersionOverrides`.

use semver::Version;

use crate::{
    api::{
        ClusterVersion, ConditionStatus, HistoryState,
        names::{condition, reason},
    },
    gate::{
        message,
        preconditions::{Context, PreconditionFinding, versions},
        risks::Upgradeable,
        update::same_minor,
    },
};

pub(super) fn check(context: &Context<'_>) -> Option<PreconditionFinding> {
    let Upgradeable::No { reason: blocking_reason, message: blocking_message } = context.upgradeable else {
        return None;
    };
    let (current, target) = match versions(context) {
        Ok(versions) => versions,
        Err(found) => return Some(found),
    };
    if target.cmp_precedence(&current).is_gt() && !same_minor(&target, &current) {
        return Some(PreconditionFinding::blocks(blocking_reason, blocking_message.clone()));
    }
    if context.cluster_version.unmanaged_overrides().next().is_some() {
        let message = message::target::overrides_accepted(context.cluster_version, context.target);
        return Some(PreconditionFinding::warns(reason::OVERRIDES_SET, message));
    }
    // An update in progress is not on top of itself.
    if !same_minor(&target, &current) || target == current {
        return None;
    }
    let completed = unfinished_from(context.cluster_version)?;
    let in_progress = if completed.major < current.major {
        reason::MAJOR_UPDATE_IN_PROGRESS
    } else if completed.major == current.major && completed.minor < current.minor {
        reason::MINOR_UPDATE_IN_PROGRESS
    } else {
        return None;
    };
    Some(PreconditionFinding::warns(in_progress, message::target::retarget(&target, &completed, &current)))
}

/// The version that an update in progress started from: the newest completed one, else the oldest there is.
fn unfinished_from(cluster_version: &ClusterVersion) -> Option<Version> {
    let progressing = cluster_version.condition(condition::PROGRESSING)?;
    if progressing.status != ConditionStatus::True {
        return None;
    }
    let history = cluster_version.history();
    let entry = history.iter().find(|entry| entry.state == HistoryState::Completed).or(history.last())?;
    Version::parse(&entry.version).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use crate::gate::testing::{TWO, cluster_version_from, evaluate_to};

    /// Facts of a cluster at `current` that came from `before`.
    fn cluster(current: &str, before: &str, overrides: bool, progressing: bool) -> serde_json::Value {
        let overrides = json!([{"group": "config.openshift.io", "kind": "ClusterImagePolicy", "namespace": "",
                                "name": "openshift", "unmanaged": overrides}]);
        json!({
            "spec": {"channel": "stable-4.21", "overrides": overrides},
            "status": {
                "desired": {"version": current, "image": "current"},
                "history": [
                    {"state": if progressing {"Partial"} else {"Completed"}, "version": current, "image": "current"},
                    {"state": "Completed", "version": before, "image": TWO},
                ],
                "conditions": [{"type": "Progressing", "status": if progressing {"True"} else {"False"}}],
            },
        })
    }

    #[rstest]
    #[case::no_risk_checks_nothing("4.21.1", "4.21.0", false, false, "nonsense", None)]
    #[case::minor_without_risk("4.21.1", "4.21.0", false, false, "4.22.0", None)]
    #[case::patch_under_overrides("4.21.1", "4.21.0", true, false, "4.21.2", Some("warns ClusterVersionOverridesSet"))]
    #[case::rollback_under_overrides(
        "4.21.1",
        "4.21.0",
        true,
        false,
        "4.21.0",
        Some("warns ClusterVersionOverridesSet")
    )]
    #[case::downgrade_under_overrides(
        "4.21.1",
        "4.21.0",
        true,
        false,
        "4.20.0",
        Some("warns ClusterVersionOverridesSet")
    )]
    #[case::what_runs_under_overrides("4.21.1", "4.21.0", true, false, "4.21.1", None)]
    #[case::another_build_under_overrides(
        "4.21.1",
        "4.21.0",
        true,
        false,
        "4.21.1+b",
        Some("warns ClusterVersionOverridesSet")
    )]
    #[case::minor_under_overrides("4.21.1", "4.21.0", true, false, "4.22.0", Some("ClusterVersionOverrides"))]
    #[case::major_under_overrides("4.21.1", "4.21.0", true, false, "5.0.0", Some("ClusterVersionOverrides"))]
    #[case::prerelease_of_the_minor("4.21.1", "4.21.0", true, false, "4.22.0-rc.1", Some("ClusterVersionOverrides"))]
    #[case::prerelease_to_release(
        "4.21.0-rc.1",
        "4.20.0",
        true,
        false,
        "4.21.0",
        Some("warns ClusterVersionOverridesSet")
    )]
    #[case::minor_while_updating("4.21.1", "4.21.0", false, true, "4.22.0", Some("ClusterVersionUpdating"))]
    #[case::minor_under_both("4.21.1", "4.21.0", true, true, "4.22.0", Some("MultipleReasons"))]
    #[case::patch_while_patching("4.21.1", "4.21.0", false, true, "4.21.2", None)]
    #[case::patch_during_a_minor(
        "4.22.0",
        "4.21.9",
        false,
        true,
        "4.22.1",
        Some("warns MinorVersionClusterUpdateInProgress")
    )]
    #[case::patch_during_a_major(
        "5.0.0",
        "4.21.9",
        false,
        true,
        "5.0.1",
        Some("warns MajorVersionClusterUpdateInProgress")
    )]
    #[case::overrides_come_first("4.22.0", "4.21.9", true, true, "4.22.1", Some("warns ClusterVersionOverridesSet"))]
    #[case::a_minor_during_itself("4.22.0", "4.21.9", false, true, "4.22.0", None)]
    #[case::another_build_of_it(
        "4.22.0",
        "4.21.9",
        false,
        true,
        "4.22.0+b",
        Some("warns MinorVersionClusterUpdateInProgress")
    )]
    #[case::downgrade_during_a_minor("4.22.0", "4.21.9", false, true, "4.21.9", None)]
    #[case::target_not_semver("4.21.1", "4.21.0", true, false, "4.2", Some("InvalidDesiredVersion"))]
    #[case::current_not_semver("latest", "4.21.0", true, false, "4.22.0", Some("warns InvalidCurrentVersion"))]
    fn rows(
        #[case] current: &str,
        #[case] before: &str,
        #[case] overrides: bool,
        #[case] progressing: bool,
        #[case] target: &str,
        #[case] expected: Option<&str>,
    ) {
        let cluster_version = cluster_version_from(cluster(current, before, overrides, progressing));
        let target_verdict = evaluate_to(&cluster_version, target);
        let found = target_verdict
            .failures
            .iter()
            .map(|finding| (finding, ""))
            .chain(target_verdict.accepted_risks.iter().map(|finding| (finding, "warns ")))
            .find(|(finding, _)| finding.name == "ClusterVersionUpgradeable")
            .map(|(finding, prefix)| format!("{prefix}{}", finding.reason));
        assert_eq!(found.as_deref(), expected);
    }
}
