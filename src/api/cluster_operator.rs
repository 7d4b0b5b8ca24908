//! ClusterOperator, reduced to its name, its `Upgradeable` condition and its health while it is parsed; our own also with
//! all that we write.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::api::{Condition, ResourceVersion, Uid, names};

/// What the gate keeps of a ClusterOperator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOperator {
    /// `metadata.name`.
    pub name: String,
    /// Its `Upgradeable` condition, or why its conditions cannot be read.
    pub upgradeable: Result<Option<Condition>, String>,
    /// Its health, from `Available` and `Degraded`.
    pub health: Health,
}

/// The health of a ClusterOperator, which a CVO waits for while it applies a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// `Available=True`, and not `Degraded=True`.
    Healthy,
    /// Not `Available=True`.
    Unavailable,
    /// `Degraded=True`.
    Degraded,
    /// The conditions cannot be read.
    #[default]
    Unknown,
}

#[derive(Deserialize)]
struct Wire {
    metadata: WireMetadata,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
struct WireMetadata {
    name: String,
}

impl ClusterOperator {
    /// Whether it blocks minor and major updates: `Upgradeable=False`.
    #[must_use]
    pub fn blocks(&self) -> Option<&Condition> {
        self.upgradeable.as_ref().ok()?.as_ref().filter(|c| c.status == super::ConditionStatus::False)
    }
}

impl<'de> Deserialize<'de> for ClusterOperator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let conditions = conditions_of(wire.status);
        let health = conditions.as_deref().map_or(Health::Unknown, health_of);
        Ok(Self { name: wire.metadata.name, upgradeable: conditions.and_then(upgradeable_of), health })
    }
}

/// Our own ClusterOperator. A part that cannot be read is empty, so it differs from what is desired and is written again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnOperator {
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: ResourceVersion,
    /// `status.conditions`.
    pub conditions: Vec<Condition>,
    /// `status.versions`, as served.
    pub versions: Value,
    /// `status.relatedObjects`, as served.
    pub related_objects: Value,
}

impl<'de> Deserialize<'de> for OwnOperator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (uid, resource_version) = (text("uid").into(), text("resourceVersion").into());
        let mut part = |field: &str| object.get_mut("status").and_then(|status| status.get_mut(field)).map(Value::take);
        Ok(Self {
            uid,
            resource_version,
            conditions: part("conditions").and_then(|list| serde_json::from_value(list).ok()).unwrap_or_default(),
            versions: part("versions").unwrap_or_default(),
            related_objects: part("relatedObjects").unwrap_or_default(),
        })
    }
}

/// One malformed object must neither stop the watch of the others nor count as upgradeable, so the error is kept.
fn conditions_of(mut status: Value) -> Result<Vec<Value>, String> {
    let conditions = match &mut status {
        Value::Null => return Ok(Vec::new()),
        Value::Object(fields) => fields.remove("conditions").unwrap_or_default(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err("status is not an object".into());
        }
    };
    match conditions {
        Value::Null => Ok(Vec::new()),
        Value::Array(conditions) => Ok(conditions),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err("status.conditions is not a list".into())
        }
    }
}

fn upgradeable_of(conditions: Vec<Value>) -> Result<Option<Condition>, String> {
    for condition in conditions {
        if !condition.is_object() {
            return Err("status.conditions holds what is not a condition".into());
        }
        if condition.get("type").and_then(Value::as_str) == Some(names::condition::UPGRADEABLE) {
            return serde_json::from_value(condition)
                .map(Some)
                .map_err(|error| format!("its Upgradeable condition can't be read: {error}"));
        }
    }
    Ok(None)
}

/// A status that is no text makes the health unknown, and so does an entry that is no condition.
fn health_of(conditions: &[Value]) -> Health {
    let status = |kind: &str| {
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        found.map(|condition| condition["status"].as_str())
    };
    match (status(names::condition::AVAILABLE), status(names::condition::DEGRADED)) {
        _ if !conditions.iter().all(Value::is_object) => Health::Unknown,
        (Some(None), _) | (_, Some(None)) => Health::Unknown,
        (_, Some(Some("True"))) => Health::Degraded,
        (Some(Some("True")), _) => Health::Healthy,
        _ => Health::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::no_status(json!({"metadata": {"name": "a"}}))]
    #[case::null_status(json!({"metadata": {"name": "a"}, "status": null}))]
    #[case::null_conditions(json!({"metadata": {"name": "a"}, "status": {"conditions": null}}))]
    #[case::others_only(json!({"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Available"}]}}))]
    fn a_missing_condition_is_none(#[case] object: Value) {
        let operator: ClusterOperator = serde_json::from_value(object).unwrap();
        assert_eq!(operator.upgradeable, Ok(None));
    }

    #[rstest]
    #[case::status(json!({"metadata": {"name": "a"}, "status": "fine"}))]
    #[case::conditions(json!({"metadata": {"name": "a"}, "status": {"conditions": "fine"}}))]
    #[case::condition(json!({"metadata": {"name": "a"}, "status": {"conditions": ["fine"]}}))]
    #[case::fields(json!({"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Upgradeable", "status": 1}]}}))]
    fn what_cannot_be_read_is_kept_as_an_error(#[case] object: Value) {
        let operator: ClusterOperator = serde_json::from_value(object).unwrap();
        assert!(operator.upgradeable.is_err());
        assert_eq!(operator.name, "a");
    }

    #[rstest]
    #[case::healthy(json!([{"type": "Degraded", "status": "False"}, {"type": "Available", "status": "True"}]), Health::Healthy)]
    #[case::degraded_unknown(json!([{"type": "Degraded", "status": "Unknown"}, {"type": "Available", "status": "True"}]), Health::Healthy)]
    #[case::never_degraded(json!([{"type": "Available", "status": "True"}]), Health::Healthy)]
    #[case::degraded(json!([{"type": "Degraded", "status": "True"}, {"type": "Available", "status": "True"}]), Health::Degraded)]
    #[case::unavailable(json!([{"type": "Degraded", "status": "False"}, {"type": "Available", "status": "False"}]), Health::Unavailable)]
    #[case::available_unknown(json!([{"type": "Available", "status": "Unknown"}]), Health::Unavailable)]
    #[case::no_condition(json!([]), Health::Unavailable)]
    #[case::no_list(json!(null), Health::Unavailable)]
    #[case::not_a_list(json!("fine"), Health::Unknown)]
    #[case::not_a_condition(json!([{"type": "Available", "status": "True"}, "fine"]), Health::Unknown)]
    #[case::available_is_no_text(json!([{"type": "Available", "status": true}]), Health::Unknown)]
    #[case::degraded_is_no_text(json!([{"type": "Available", "status": "True"}, {"type": "Degraded", "status": null}]), Health::Unknown)]
    fn health(#[case] conditions: Value, #[case] expected: Health) {
        let object = json!({"metadata": {"name": "a"}, "status": {"conditions": conditions}});
        assert_eq!(serde_json::from_value::<ClusterOperator>(object).unwrap().health, expected);
    }
}
