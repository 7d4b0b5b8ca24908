//! `ClusterVersionGiantHop`: a minor can't be skipped, nor a major entered, other than from 4 to 5.0.
//!
//! Each minor migrates only what the one before it wrote. What to do: go through the minors one by one.

use super::{Context, Objection, versions};
use crate::{api::names::reason, gate::message};

pub(super) fn check(context: &Context<'_>) -> Option<Objection> {
    let (current, target) = match versions(context) {
        Ok(versions) => versions,
        Err(objection) => return Some(objection),
    };
    if target.major > current.major {
        let entry_to_5 = current.major == 4 && (target.major, target.minor) == (5, 0);
        return (!entry_to_5)
            .then(|| Objection::blocks(reason::MAJOR_VERSION_UPDATE, message::major_hop(&target, &current)));
    }
    (target.major == current.major && target.minor > current.minor.saturating_add(1))
        .then(|| Objection::blocks(reason::MULTIPLE_MINOR_VERSIONS_UPDATE, message::minor_hop(&target, &current)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::gate::testing::{cluster_version, objection};

    #[rstest]
    #[case("4.21.1", "4.21.2", None)]
    #[case("4.21.1", "4.22.0", None)]
    #[case("4.21.1", "4.22.7", None)]
    #[case("4.21.1", "4.23.0", Some("MultipleMinorVersionsUpdate"))]
    #[case("4.21.1", "4.23.0-rc.1", Some("MultipleMinorVersionsUpdate"))]
    #[case("4.21.1", "5.0.0", None)]
    #[case("4.21.1", "5.0.3", None)]
    #[case("4.21.1", "5.1.0", Some("MajorVersionUpdate"))]
    #[case("4.21.1", "6.0.0", Some("MajorVersionUpdate"))]
    #[case("3.11.1", "4.0.0", Some("MajorVersionUpdate"))]
    #[case::back_is_for_rollback("5.0.0", "4.21.1", None)]
    #[case::huge_minor("4.18446744073709551615.0", "4.18446744073709551615.1", None)]
    #[case("4.21.1", "4.2", Some("InvalidDesiredVersion"))]
    #[case("4.21", "4.2", Some("warns InvalidCurrentVersion"))]
    fn rows(#[case] current: &str, #[case] target: &str, #[case] expected: Option<&str>) {
        assert_eq!(objection(super::check, &cluster_version(current, &[]), target).as_deref(), expected);
    }
}
