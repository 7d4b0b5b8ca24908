//! Whether the `Upgradeable` that the cluster-version operator (CVO) has published is up to date with the overrides.
//!
//! The CVO's precondition reads the published condition. Releases from 4.16 to 4.22 compute it at most every two minutes, and
//! only on the next event. Until then a minor update passes although an override is set, or is refused although none is.

use semver::Version;

use crate::{
    api::{
        ClusterVersion, ConditionStatus,
        names::{condition, reason, risk},
    },
    gate::{foreign_upgradeable, message},
};

/// Arguments of `oc` that make a CVO compute `Upgradeable` at once, then publish it.
pub const COMMANDS: [&str; 2] = [
    "-n openshift-config annotate cm admin-acks touched=$(date +%s) --overwrite",
    "annotate clusterversion version touched=$(date +%s) --overwrite",
];

/// How the published condition is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Overrides are set, and `Upgradeable` is not `False` yet.
    NotYetFalse,
    /// All overrides are removed, and `Upgradeable` is still `False` because of them.
    StillFalse,
}

impl Behind {
    /// What this causes, and the commands that end it.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::NotYetFalse => message::NOT_YET_FALSE,
            Self::StillFalse => message::STILL_FALSE,
        }
    }
}

/// `None` if the condition is up to date, or if the CVO's release computes it at every sync.
#[must_use]
pub fn behind(cluster_version: &ClusterVersion) -> Option<Behind> {
    let computes_at_once = Version::parse(&cluster_version.desired().version)
        .is_ok_and(|current| (current.major, current.minor) > (4, 22));
    if computes_at_once {
        return None;
    }
    let published = cluster_version.condition(condition::UPGRADEABLE);
    let is_false = published.is_some_and(|found| found.status == ConditionStatus::False);
    let is_of_overrides =
        published.is_some_and(|found| [reason::OVERRIDES_SET, risk::OVERRIDES].contains(&found.reason.as_str()));
    match (cluster_version.unmanaged_overrides().next().is_some(), is_false) {
        (true, false) => Some(Behind::NotYetFalse),
        (false, true) if is_of_overrides && foreign_upgradeable(cluster_version) => Some(Behind::StillFalse),
        (true | false, true) | (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::gate::testing::cluster_version_from;

    fn upgradeable(status: &str, reason: &str) -> Value {
        json!([{"type": "Upgradeable", "status": status, "reason": reason}])
    }

    #[rstest]
    #[case::missing("4.21.1", true, json!([]), Some(Behind::NotYetFalse))]
    #[case::true_still("4.22.0", true, upgradeable("True", "AsExpected"), Some(Behind::NotYetFalse))]
    #[case::unknown("4.21.1", true, upgradeable("Unknown", ""), Some(Behind::NotYetFalse))]
    #[case::published("4.21.1", true, upgradeable("False", "ClusterVersionOverridesSet"), None)]
    #[case::published_for_another_reason("4.21.1", true, upgradeable("False", "AdminAckRequired"), None)]
    #[case::removed("4.21.1", false, upgradeable("False", "ClusterVersionOverridesSet"), Some(Behind::StillFalse))]
    #[case::another_reason_holds("4.21.1", false, upgradeable("False", "AdminAckRequired"), None)]
    #[case::no_override("4.21.1", false, json!([]), None)]
    #[case::computed_at_once("4.23.0", true, json!([]), None)]
    #[case::of_the_next_major("5.0.0", true, json!([]), None)]
    #[case::not_semver("latest", true, json!([]), Some(Behind::NotYetFalse))]
    fn rows(
        #[case] version: &str,
        #[case] overridden: bool,
        #[case] conditions: Value,
        #[case] expected: Option<Behind>,
    ) {
        let cluster_version = cluster_version_from(json!({
            "spec": {"overrides": [{"kind": "A", "name": "a", "unmanaged": overridden}]},
            "status": {"desired": {"version": version}, "conditions": conditions},
        }));
        assert_eq!(behind(&cluster_version), expected);
    }
}
