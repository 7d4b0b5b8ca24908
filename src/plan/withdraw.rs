//! Withdraws the conditions when the role no longer writes them: pure. A condition that only we have written is
//! removed; one in which another writer has changed anything stays whole, and only our ownership of it is removed.

use crate::{
    api::{
        ClusterVersion, ManagedField,
        names::{self, condition},
        owners_of_condition,
    },
    plan::{role::owns, write::Withdrawal},
};

/// The conditions that are ours, in part at least.
#[must_use]
pub fn ours(cluster_version: &ClusterVersion) -> Vec<&'static str> {
    let mut kinds = vec![condition::UPGRADEABLE, condition::RELEASE_ACCEPTED];
    kinds.retain(|kind| owns(cluster_version, kind));
    kinds
}

/// The next step of withdrawing [`ours`]; `None` if there is nothing to withdraw.
///
/// Not by server-side apply: an apply removes what it no longer names, even if another manager has written a part of it
/// since. No `Upgradeable=False` would then be set until that manager writes again.
#[must_use]
pub fn withdrawal(cluster_version: &ClusterVersion) -> Option<Withdrawal> {
    let kinds = ours(cluster_version);
    if kinds.is_empty() {
        return None;
    }
    let metadata = &cluster_version.metadata;
    let conditions = cluster_version.status.iter().flat_map(|status| &status.conditions).enumerate();
    let solely_ours = conditions
        .filter(|(_, found)| kinds.contains(&found.kind.as_str()))
        .filter(|(_, found)| {
            owners_of_condition(&metadata.managed_fields, &found.kind).all(|owner| owner == names::SELF)
        })
        .map(|(index, found)| (index, found.kind.clone()));
    let resource_version = metadata.resource_version.clone();
    let conditions: Vec<_> = solely_ours.collect();
    if !conditions.is_empty() {
        return Some(Withdrawal::Conditions { resource_version, conditions });
    }
    let owns_any = |field: &ManagedField| {
        kinds.iter().any(|kind| owners_of_condition(std::slice::from_ref(field), kind).next().is_some())
    };
    let fields = metadata.managed_fields.iter().enumerate();
    let fields = fields.filter(|(_, field)| field.manager == names::SELF && owns_any(field));
    Some(Withdrawal::Ownership { resource_version, fields: fields.map(|(index, _)| index).collect() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn owner(manager: &str, kinds: &[&str]) -> Value {
        let keys = kinds.iter().map(|kind| (format!("k:{{\"type\":\"{kind}\"}}"), json!({"f:message": {}})));
        let conditions: serde_json::Map<String, Value> = keys.collect();
        json!({"manager": manager, "operation": "Apply", "fieldsV1": {"f:status": {"f:conditions": conditions}}})
    }

    fn cluster(owners: &[Value]) -> Value {
        let condition = |kind: &str| json!({"type": kind, "status": "False"});
        json!({
            "metadata": {"resourceVersion": "7", "managedFields": owners},
            "status": {"conditions": [condition("Upgradeable"), condition("Failing"), condition("ReleaseAccepted")]},
        })
    }

    /// The conditions and the managers that are left.
    fn left(object: &Value) -> (Vec<&str>, Vec<&str>) {
        let conditions = object["status"]["conditions"].as_array().unwrap();
        let managers = object["metadata"]["managedFields"].as_array().unwrap();
        (
            conditions.iter().map(|condition| condition["type"].as_str().unwrap()).collect(),
            managers.iter().map(|field| field["manager"].as_str().unwrap()).collect(),
        )
    }

    fn step(object: &mut Value) -> Option<&'static str> {
        let withdrawal = withdrawal(&ClusterVersion::from_value(object.clone()).unwrap())?;
        let step = match &withdrawal {
            Withdrawal::Conditions { .. } => "conditions",
            Withdrawal::Ownership { .. } => "ownership",
        };
        json_patch::patch(object, &withdrawal.patch()).unwrap();
        Some(step)
    }

    #[test]
    fn what_is_ours_goes_and_what_somebody_has_changed_stays() {
        let mut object = cluster(&[
            owner("other", &["Failing"]),
            owner("upgrade-gate", &["ReleaseAccepted", "Upgradeable"]),
            owner("cluster-version-operator", &["Upgradeable"]),
        ]);
        assert_eq!(step(&mut object), Some("conditions"));
        assert_eq!(left(&object).0, ["Upgradeable", "Failing"]);
        assert_eq!(step(&mut object), Some("ownership"));
        assert_eq!(left(&object), (vec!["Upgradeable", "Failing"], vec!["other", "cluster-version-operator"]));
        assert_eq!(step(&mut object), None);
    }

    #[test]
    fn the_history_that_we_wrote_is_no_condition() {
        let history =
            json!({"manager": "upgrade-gate", "operation": "Update", "fieldsV1": {"f:status": {"f:history": {}}}});
        assert_eq!(step(&mut cluster(&[history])), None);
    }

    #[test]
    fn both_go_where_both_are_ours() {
        let mut object = cluster(&[owner("upgrade-gate", &["ReleaseAccepted", "Upgradeable"])]);
        assert_eq!(step(&mut object), Some("conditions"));
        assert_eq!(left(&object).0, ["Failing"]);
    }
}
