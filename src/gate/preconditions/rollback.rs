//! `ClusterVersionRollback`: the target is older than the current version, and is not the previous version of the same
//! minor.
//!
//! # Why it is checked
//!
//! Operators migrate their data to newer versions only. The only supported rollback undoes the last patch update. If the
//! current version is not SemVer, the check only warns (`InvalidCurrentVersion`). If the target is not SemVer, it blocks.
//!
//! # What to do
//!
//! Fix the problem at the current version, or update to a newer patch release.
//!
//! # Example
//!
//! At 4.21.3, reached from 4.21.2: 4.21.2 is allowed, 4.21.1 and 4.20.9 are blocked with `LowDesiredVersion`.

use semver::Version;

use crate::{
    api::names::reason,
    gate::{
        message,
        preconditions::{Context, PreconditionFinding, versions},
        release::previous,
        update::same_minor,
    },
};

pub(super) fn check(context: &Context<'_>) -> Option<PreconditionFinding> {
    let (current, target) = match versions(context) {
        Ok(versions) => versions,
        Err(found) => return Some(found),
    };
    if target.cmp_precedence(&current).is_ge() {
        return None;
    }
    let previous = previous(context.cluster_version).and_then(|entry| Version::parse(&entry.version).ok());
    if let Some(previous) = &previous
        && target.cmp_precedence(previous).is_eq()
        && same_minor(previous, &current)
    {
        return None;
    }
    Some(PreconditionFinding::blocks(
        reason::LOW_DESIRED_VERSION,
        message::target::low_target(&target, &current, previous.as_ref()),
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use crate::gate::testing::{cluster_version, finding};

    #[rstest]
    #[case::forward("4.21.2", &["4.21.1"], "4.21.3", None)]
    #[case::same("4.21.2", &["4.21.1"], "4.21.2", None)]
    #[case::previous("4.21.2", &["4.21.1", "4.21.0"], "4.21.1", None)]
    #[case::previous_with_build_metadata("4.21.2", &["4.21.1+a"], "4.21.1+b", None)]
    #[case::before_the_previous("4.21.2", &["4.21.1", "4.21.0"], "4.21.0", Some("LowDesiredVersion"))]
    #[case::previous_of_another_minor("4.21.2", &["4.20.9"], "4.20.9", Some("LowDesiredVersion"))]
    #[case::no_history("4.21.2", &[], "4.21.1", Some("LowDesiredVersion"))]
    #[case::previous_not_semver("4.21.2", &["old", "4.21.1"], "4.21.1", Some("LowDesiredVersion"))]
    #[case::prerelease_below_its_release("4.21.0", &[], "4.21.0-rc.1", Some("LowDesiredVersion"))]
    #[case::target_not_semver("4.21.2", &[], "4.2", Some("InvalidDesiredVersion"))]
    #[case::current_not_semver("latest", &[], "4.2", Some("warns InvalidCurrentVersion"))]
    #[case::both_empty("", &[], "", Some("warns InvalidCurrentVersion"))]
    fn rows(#[case] current: &str, #[case] before: &[&str], #[case] target: &str, #[case] expected: Option<&str>) {
        let cluster_version = cluster_version(current, before);
        assert_eq!(finding(super::check, &cluster_version, target).as_deref(), expected);
    }

    #[test]
    fn an_accepted_update_that_has_not_begun_is_not_the_previous_version() {
        let mut cluster_version = cluster_version("4.21.5", &["4.21.4"]);
        let accepted = json!({"state": "Partial", "version": "4.21.1", "image": "forced", "completionTime": null});
        cluster_version.status.as_mut().unwrap().history.insert(0, serde_json::from_value(accepted).unwrap());
        assert_eq!(finding(super::check, &cluster_version, "4.21.1").as_deref(), Some("LowDesiredVersion"));
        assert_eq!(finding(super::check, &cluster_version, "4.21.4"), None);
    }
}
