//! `ClusterVersionOverrides`: an entry of `spec.overrides` has `unmanaged: true`.
//!
//! The CVO leaves such an object alone, so the next minor may find it in a state that it can't migrate. Patch
//! updates stay allowed. What to do before a minor or major update: remove the entry, or set `unmanaged: false`.

use super::Risk;
use crate::{
    api::names::risk,
    gate::{Snapshot, message},
};

pub(super) fn risks(snapshot: &Snapshot) -> Vec<Risk> {
    let cluster_version = &snapshot.cluster_version;
    if cluster_version.unmanaged_overrides().next().is_none() {
        return Vec::new();
    }
    vec![Risk::new(risk::OVERRIDES, message::overrides_risk(cluster_version))]
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
