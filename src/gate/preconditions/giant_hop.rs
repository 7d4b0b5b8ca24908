//! `ClusterVersionGiantHop`: the target is more than one minor version ahead, or of another major version.
//!
//! # Why it is checked
//!
//! Each minor version migrates only what the minor version before it wrote. An update to 5.0 is allowed if the current
//! release is 4.22 or later; 4.21 and older block it (`MajorVersionUpdate`).
//!
//! # What to do
//!
//! Update through each minor version in between.
//!
//! # Example
//!
//! At 4.21.3: 4.22.0 passes this check, 4.23.0 is blocked with `MultipleMinorVersionsUpdate`.

use crate::{
    api::names::reason,
    gate::{
        message,
        preconditions::{Context, PreconditionFinding, versions},
    },
};

/// The first minor of 4 whose CVO lets 5.0 through.
const ENTRY_TO_5: u64 = 22;

pub(super) fn check(context: &Context<'_>) -> Option<PreconditionFinding> {
    let (current, target) = match versions(context) {
        Ok(versions) => versions,
        Err(found) => return Some(found),
    };
    if target.major > current.major {
        let is_entry_to_5 = current.major == 4 && current.minor >= ENTRY_TO_5 && (target.major, target.minor) == (5, 0);
        return (!is_entry_to_5).then(|| {
            PreconditionFinding::blocks(reason::MAJOR_VERSION_UPDATE, message::target::major_hop(&target, &current))
        });
    }
    (target.major == current.major && target.minor > current.minor.saturating_add(1)).then(|| {
        PreconditionFinding::blocks(
            reason::MULTIPLE_MINOR_VERSIONS_UPDATE,
            message::target::minor_hop(&target, &current),
        )
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::gate::testing::{cluster_version, finding};

    #[rstest]
    #[case("4.21.1", "4.21.2", None)]
    #[case("4.21.1", "4.22.0", None)]
    #[case("4.21.1", "4.22.7", None)]
    #[case("4.21.1", "4.23.0", Some("MultipleMinorVersionsUpdate"))]
    #[case("4.21.1", "4.23.0-rc.1", Some("MultipleMinorVersionsUpdate"))]
    #[case("4.21.1", "5.0.0", Some("MajorVersionUpdate"))]
    #[case("4.21.99", "5.0.3", Some("MajorVersionUpdate"))]
    #[case("4.22.0", "5.0.0", None)]
    #[case("4.22.0-rc.1", "5.0.0-rc.1", None)]
    #[case("4.23.1", "5.0.3", None)]
    #[case("4.22.0", "5.1.0", Some("MajorVersionUpdate"))]
    #[case("4.22.0", "6.0.0", Some("MajorVersionUpdate"))]
    #[case("4.21.1", "5.1.0", Some("MajorVersionUpdate"))]
    #[case("4.21.1", "6.0.0", Some("MajorVersionUpdate"))]
    #[case("3.11.1", "4.0.0", Some("MajorVersionUpdate"))]
    #[case::back_is_for_rollback("5.0.0", "4.21.1", None)]
    #[case::huge_minor("4.18446744073709551615.0", "4.18446744073709551615.1", None)]
    #[case("4.21.1", "4.2", Some("InvalidDesiredVersion"))]
    #[case("4.21", "4.2", Some("warns InvalidCurrentVersion"))]
    fn rows(#[case] current: &str, #[case] target: &str, #[case] expected: Option<&str>) {
        assert_eq!(finding(super::check, &cluster_version(current, &[]), target).as_deref(), expected);
    }
}
