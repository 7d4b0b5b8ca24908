//! What the operator of upgrade-gate does on this cluster, as far as this command depends on it. Pure.

use std::time::Duration;

use crate::{
    api::ClusterVersion,
    plan::role::{CvoLease, Mode, Role, RoleInput, role},
};

/// The operator of upgrade-gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operator {
    /// None runs: its Lease is absent, or is no longer renewed.
    #[default]
    Absent,
    /// It runs in mode `observe`, and writes nothing.
    Observes,
    /// It sets and removes the force beside a cluster-version operator, or does so once one runs again.
    Forces,
    /// It decides about requests itself, in the place of a cluster-version operator.
    Decides,
}

impl Operator {
    /// What it does, from its Lease, the mode in the Lease, and the cluster. An operator whose mode is not known counts as
    /// one in mode `auto`, the default.
    #[must_use]
    pub fn new(lease: CvoLease, mode: Option<Mode>, cluster_version: &ClusterVersion, cvo: CvoLease) -> Self {
        if lease != CvoLease::Fresh {
            return Self::Absent;
        }
        match mode {
            Some(Mode::Observe) => Self::Observes,
            Some(Mode::Bridge) => Self::Forces,
            Some(Mode::Replace) => Self::Decides,
            // A CVO that runs writes the conditions again, after which the operator is its bridge.
            Some(Mode::Auto) | None if cvo == CvoLease::Fresh => Self::Forces,
            Some(Mode::Auto) | None => {
                let input = RoleInput {
                    lease: cvo,
                    overwritten: false,
                    ungated_for: None,
                    vacant_after: Duration::MAX,
                    before: Role::Undecided,
                };
                match role(Mode::Auto, cluster_version, &input).0 {
                    Role::Replace => Self::Decides,
                    // A guard keeps minor updates out until the CVO is back.
                    Role::Bridge | Role::Guard | Role::Undecided | Role::Observe => Self::Forces,
                }
            }
        }
    }

    /// Whether this command leaves the force and the records to it.
    #[must_use]
    pub fn acts(self) -> bool {
        match self {
            Self::Forces | Self::Decides => true,
            Self::Absent | Self::Observes => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn cluster(is_cvo_known: bool) -> ClusterVersion {
        let fields = json!({"f:status": {"f:history": {}}});
        let writers = if is_cvo_known {
            json!([{"manager": "cluster-version-operator", "operation": "Update", "fieldsV1": fields}])
        } else {
            json!([])
        };
        ClusterVersion::from_value(json!({"metadata": {"managedFields": writers}, "status": {}})).unwrap()
    }

    #[rstest]
    #[case::observes(Some(Mode::Observe), true, CvoLease::Fresh, Operator::Observes)]
    #[case::observes_without_a_cvo(Some(Mode::Observe), false, CvoLease::Absent, Operator::Observes)]
    #[case::bridge(Some(Mode::Bridge), true, CvoLease::Fresh, Operator::Forces)]
    #[case::bridge_whose_cvo_has_stopped(Some(Mode::Bridge), true, CvoLease::Stale, Operator::Forces)]
    #[case::replace(Some(Mode::Replace), false, CvoLease::Absent, Operator::Decides)]
    #[case::replace_beside_a_cvo(Some(Mode::Replace), true, CvoLease::Fresh, Operator::Decides)]
    #[case::auto_beside_a_cvo(Some(Mode::Auto), true, CvoLease::Fresh, Operator::Forces)]
    #[case::auto_beside_a_new_cvo(Some(Mode::Auto), false, CvoLease::Fresh, Operator::Forces)]
    #[case::auto_as_the_guard(Some(Mode::Auto), true, CvoLease::Stale, Operator::Forces)]
    #[case::auto_where_no_cvo_ever_was(Some(Mode::Auto), false, CvoLease::Absent, Operator::Decides)]
    #[case::unknown_beside_a_cvo(None, true, CvoLease::Fresh, Operator::Forces)]
    #[case::unknown_where_no_cvo_ever_was(None, false, CvoLease::Absent, Operator::Decides)]
    fn the_mode_says_what_it_does(
        #[case] mode: Option<Mode>,
        #[case] is_cvo_known: bool,
        #[case] cvo: CvoLease,
        #[case] expected: Operator,
    ) {
        let cluster_version = cluster(is_cvo_known);
        assert_eq!(Operator::new(CvoLease::Fresh, mode, &cluster_version, cvo), expected);
        for lease in [CvoLease::Stale, CvoLease::Absent] {
            assert_eq!(Operator::new(lease, mode, &cluster_version, cvo), Operator::Absent);
        }
    }
}
