//! `ClusterVersionUpdating`: an update is in progress, `Progressing=True`.
//!
//! # Why this is a risk
//!
//! A minor update on top of an unfinished one would skip migrations.
//!
//! # What to do
//!
//! Wait until the update has completed.
//!
//! # Example
//!
//! ```sh
//! oc get clusterversion version -o jsonpath='{.status.conditions[?(@.type=="Progressing")].message}'
//! ```

use crate::{
    api::{
        ConditionStatus,
        names::{condition, risk},
    },
    gate::{Remedy, Snapshot, message, risks::Risk},
};

pub(super) fn risks(snapshot: &Snapshot) -> Vec<Risk> {
    let progressing = snapshot.cluster_version.condition(condition::PROGRESSING);
    let progressing = progressing.filter(|progressing| progressing.status == ConditionStatus::True);
    let risk = |progressing| Risk::new(risk::UPDATING, message::risk::updating(progressing), Remedy::ReadProgress);
    progressing.map(risk).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::gate::testing::{cluster_version_from, risk_names, snapshot};

    #[rstest]
    #[case::missing(json!([]), &[])]
    #[case::done(json!([{"type": "Progressing", "status": "False"}]), &[])]
    #[case::unknown(json!([{"type": "Progressing", "status": "Unknown"}]), &[])]
    #[case::updating(json!([{"type": "Progressing", "status": "True"}]), &["ClusterVersionUpdating"])]
    fn rows(#[case] conditions: Value, #[case] expected: &[&str]) {
        let snapshot = snapshot(cluster_version_from(json!({"status": {"conditions": conditions}})));
        assert_eq!(risk_names(&super::risks(&snapshot)), expected);
    }
}
