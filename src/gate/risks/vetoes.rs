//! `Upgradeable*`: another condition of ClusterVersion whose type starts with `Upgradeable` is `False`.
//!
//! # Why this is a risk
//!
//! With such a condition the cluster-version operator (CVO) reports what only it knows, such as manifests that it is
//! deleting. Other programs can block minor and major updates in the same way. The name of the risk is the type of the
//! condition. A condition is ignored if upgrade-gate evaluates its source itself and can read that source.
//!
//! # What to do
//!
//! Follow the condition's message. The risk ends when its owner removes the condition or sets it to `True`.
//!
//! # Example
//!
//! ```sh
//! oc get clusterversion version -o jsonpath='{range .status.conditions[?(@.status=="False")]}{.type}: {.message}{"\n"}{end}'
//! ```

use crate::{
    api::{ConditionStatus, names::condition},
    gate::{Remedy, Snapshot, Source, message, risks::Risk},
};

pub(super) fn risks(snapshot: &Snapshot) -> Vec<Risk> {
    let Some(status) = &snapshot.cluster_version.status else { return Vec::new() };
    let mut vetoes: Vec<Risk> = status
        .conditions
        .iter()
        .filter(|entry| entry.kind.starts_with(condition::UPGRADEABLE) && entry.status == ConditionStatus::False)
        .filter(|entry| !is_from_our_own_sources(snapshot, &entry.kind))
        .map(|entry| Risk::new(&entry.kind, message::risk::veto(entry), Remedy::ReadClusterVersion))
        .collect();
    vetoes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    vetoes
}

fn is_from_our_own_sources(snapshot: &Snapshot, kind: &str) -> bool {
    match kind {
        condition::UPGRADEABLE | condition::UPGRADEABLE_OVERRIDES | condition::UPGRADEABLE_IN_PROGRESS => true,
        condition::UPGRADEABLE_CLUSTER_OPERATORS => !matches!(snapshot.cluster_operators, Source::NotGiven),
        condition::UPGRADEABLE_ADMIN_ACK => {
            !matches!((&snapshot.admin_gates, &snapshot.admin_acks), (Source::NotGiven, Source::NotGiven))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::gate::testing::{cluster_version_from, risk_names, snapshot};

    fn conditions(rows: &[(&str, &str)]) -> Value {
        rows.iter().map(|(kind, status)| json!({"type": kind, "status": status, "reason": "Why"})).collect()
    }

    #[rstest]
    #[case::foreign_veto(&[("UpgradeableByTheDatabase", "False")], &["UpgradeableByTheDatabase"])]
    #[case::sorted(&[("UpgradeableB", "False"), ("UpgradeableA", "False")], &["UpgradeableA", "UpgradeableB"])]
    #[case::known_to_the_cvo_alone(&[("UpgradeableDeletesInProgress", "False")], &["UpgradeableDeletesInProgress"])]
    #[case::not_false(&[("UpgradeableA", "True"), ("UpgradeableB", "Unknown")], &[])]
    #[case::another_type(&[("UpgradeGateX", "False"), ("NotUpgradeable", "False")], &[])]
    #[case::replaced(
        &[("Upgradeable", "False"), ("UpgradeableClusterVersionOverrides", "False"),
          ("UpgradeableClusterOperators", "False"), ("UpgradeableAdminAckRequired", "False"),
          ("UpgradeableUpgradeInProgress", "False")],
        &[]
    )]
    fn other_conditions(#[case] rows: &[(&str, &str)], #[case] expected: &[&str]) {
        let snapshot = snapshot(cluster_version_from(json!({"status": {"conditions": conditions(rows)}})));
        assert_eq!(risk_names(&super::risks(&snapshot)), expected);
    }

    #[test]
    fn the_conditions_of_the_cvo_stand_in_for_sources_that_were_not_given() {
        let rows = [("UpgradeableClusterOperators", "False"), ("UpgradeableAdminAckRequired", "False")];
        let mut snapshot = snapshot(cluster_version_from(json!({"status": {"conditions": conditions(&rows)}})));
        snapshot.cluster_operators = Source::NotGiven;
        assert_eq!(risk_names(&super::risks(&snapshot)), ["UpgradeableClusterOperators"]);
        (snapshot.admin_gates, snapshot.admin_acks) = (Source::NotGiven, Source::NotGiven);
        assert_eq!(
            risk_names(&super::risks(&snapshot)),
            ["UpgradeableAdminAckRequired", "UpgradeableClusterOperators"]
        );
    }
}
