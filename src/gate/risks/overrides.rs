//! `ClusterVersionOverrides`: an entry of `spec.overrides` has `unmanaged: true`.
//!
//! # Why this is a risk
//!
//! The cluster-version operator (CVO) does not update such an object. The next minor version may find it in a state that
//! it cannot migrate. Patch updates within the minor stay allowed.
//!
//! # What to do
//!
//! Before a minor or major update, remove the entry or set `unmanaged: false`. The `openshift` `ClusterImagePolicy` verifies
//! release signatures again from then on: check first that your mirror serves them.
//!
//! # Example
//!
//! ```sh
//! oc get clusterversion version -o jsonpath='{.spec.overrides}'
//! oc patch clusterversion version --type json -p '[
//!   {"op": "test", "path": "/spec/overrides/0/name", "value": "openshift"},
//!   {"op": "replace", "path": "/spec/overrides/0/unmanaged", "value": false}]'
//! ```

use crate::{
    api::names::risk,
    gate::{Remedy, Snapshot, message, risks::Risk},
};

pub(super) fn risks(snapshot: &Snapshot) -> Vec<Risk> {
    let cluster_version = &snapshot.cluster_version;
    if cluster_version.unmanaged_overrides().next().is_none() {
        return Vec::new();
    }
    vec![Risk::new(risk::OVERRIDES, message::risk::overrides_risk(cluster_version), Remedy::ManageOverrides)]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::gate::testing::{cluster_version_from, risk_names, snapshot};

    #[rstest]
    #[case::none(json!([]), &[])]
    #[case::null(json!(null), &[])]
    #[case::managed(json!([{"kind": "Deployment", "name": "a", "unmanaged": false}]), &[])]
    #[case::silent(json!([{"kind": "Deployment", "name": "a"}]), &[])]
    #[case::one(json!([{"kind": "Deployment", "name": "a", "unmanaged": true}]), &["ClusterVersionOverrides"])]
    #[case::one_of_two(
        json!([{"kind": "Deployment", "name": "a"}, {"kind": "Deployment", "name": "b", "unmanaged": true}]),
        &["ClusterVersionOverrides"]
    )]
    fn rows(#[case] overrides: Value, #[case] expected: &[&str]) {
        let snapshot = snapshot(cluster_version_from(json!({"spec": {"overrides": overrides}})));
        assert_eq!(risk_names(&super::risks(&snapshot)), expected);
    }

    #[test]
    fn the_message_names_each_unmanaged_override_and_what_it_prevents() {
        let snapshot = snapshot(cluster_version_from(json!({"spec": {"overrides": [
            {"group": "config.openshift.io", "kind": "ClusterImagePolicy", "namespace": "", "name": "openshift", "unmanaged": true},
            {"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "till", "unmanaged": true},
            {"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "managed", "unmanaged": false},
        ]}})));
        let message = &super::risks(&snapshot)[0].message;
        for part in [
            "ClusterImagePolicy.config.openshift.io openshift",
            "Deployment.apps shop/till",
            "minor and major updates",
            "patch updates",
        ] {
            assert!(message.contains(part), "{part} is missing in {message}");
        }
        assert!(!message.contains("managed\n") && !message.contains("shop/managed"), "{message}");
    }
}
