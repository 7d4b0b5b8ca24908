//! `ClusterOperatorUpgradeable-<name>`: that ClusterOperator has the condition `Upgradeable=False`.
//!
//! # Why this is a risk
//!
//! The operator knows of something that the next minor version breaks, such as a feature that is removed. The risk has
//! its reason and message. If ClusterOperators cannot be read, that is the risk `ClusterOperatorUpgradeableUnknown`. If
//! the API server does not serve ClusterOperators, there is no risk. upgrade-gate ignores its own ClusterOperator, because
//! that repeats the other risks.
//!
//! # What to do
//!
//! Follow the operator's message. The risk ends when the operator sets `Upgradeable=True`.
//!
//! # Example
//!
//! ```sh
//! oc get clusteroperator network -o jsonpath='{.status.conditions[?(@.type=="Upgradeable")].message}'
//! ```

use crate::{
    api::names::{self, risk},
    gate::{Remedy, Snapshot, Source, message, risks::Risk},
};

pub(super) fn risks(snapshot: &Snapshot) -> Vec<Risk> {
    let operators = match &snapshot.cluster_operators {
        Source::Read(operators) => operators,
        Source::NotServed | Source::NotGiven => return Vec::new(),
        Source::Unreadable(why) => {
            return vec![Risk::new(
                risk::CLUSTER_OPERATOR_UNKNOWN,
                message::unreadable("ClusterOperators", why),
                Remedy::ReadClusterOperators,
            )];
        }
    };
    let mut blocking: Vec<Risk> = operators
        .iter()
        .filter(|operator| operator.name != names::SELF)
        .filter_map(|operator| {
            let condition = operator.blocks()?;
            let name = format!("{}-{}", risk::CLUSTER_OPERATOR, operator.name);
            let remedy = Remedy::ReadClusterOperator(operator.name.clone());
            Some(Risk::new(&name, message::risk::cluster_operator(&operator.name, condition), remedy))
        })
        .collect();
    blocking.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let unreadable = operators
        .iter()
        .filter(|operator| operator.name != names::SELF)
        .filter_map(|operator| operator.upgradeable.as_ref().err().map(|why| format!("{}: {why}", operator.name)));
    let mut unreadable: Vec<String> = unreadable.collect();
    if !unreadable.is_empty() {
        unreadable.sort_unstable();
        let message = message::unreadable("ClusterOperators", &unreadable.join("; "));
        blocking.push(Risk::new(risk::CLUSTER_OPERATOR_UNKNOWN, message, Remedy::ReadClusterOperators));
    }
    blocking
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::gate::testing::{risk_names, snapshot};

    #[rstest]
    #[case::none(json!([]), &[])]
    #[case::upgradeable(json!([["dns", "True"]]), &[])]
    #[case::unknown_is_go(json!([["dns", "Unknown"]]), &[])]
    #[case::by_name(
        json!([["network", "False"], ["dns", "False"], ["etcd", "True"]]),
        &["ClusterOperatorUpgradeable-dns", "ClusterOperatorUpgradeable-network"]
    )]
    #[case::our_own(json!([["upgrade-gate", "False"]]), &[])]
    #[case::one_unreadable(
        json!([["dns", 1], ["network", "False"]]),
        &["ClusterOperatorUpgradeable-network", "ClusterOperatorUpgradeableUnknown"]
    )]
    fn rows(#[case] operators: Value, #[case] expected: &[&str]) {
        let operators = operators.as_array().unwrap().iter().map(|row| {
            let condition = json!({"type": "Upgradeable", "status": row[1], "reason": "R", "message": "M"});
            serde_json::from_value(json!({"metadata": {"name": row[0]}, "status": {"conditions": [condition]}}))
        });
        let mut snapshot = snapshot(crate::api::ClusterVersion::default());
        snapshot.cluster_operators = Source::Read(operators.collect::<Result<_, _>>().unwrap());
        assert_eq!(risk_names(&super::risks(&snapshot)), expected);
    }

    #[rstest]
    #[case::not_served(Source::NotServed, &[])]
    #[case::not_given(Source::NotGiven, &[])]
    #[case::unreadable(Source::Unreadable("forbidden".into()), &["ClusterOperatorUpgradeableUnknown"])]
    fn a_source_that_is_not_read(#[case] source: Source<Vec<crate::api::ClusterOperator>>, #[case] expected: &[&str]) {
        let mut snapshot = snapshot(crate::api::ClusterVersion::default());
        snapshot.cluster_operators = source;
        assert_eq!(risk_names(&super::risks(&snapshot)), expected);
    }
}
