//! ClusterOperator, trimmed to its name and its `Upgradeable` condition as it comes off the wire.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Condition, names};

/// What the gate keeps of a ClusterOperator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOperator {
    /// `metadata.name`.
    pub name: String,
    /// Its `Upgradeable` condition, or why its conditions can't be read.
    pub upgradeable: Result<Option<Condition>, String>,
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
    /// Whether it keeps the cluster from leaving its minor: `Upgradeable=False`.
    #[must_use]
    pub fn blocks(&self) -> Option<&Condition> {
        self.upgradeable.as_ref().ok()?.as_ref().filter(|c| c.status == super::ConditionStatus::False)
    }
}

impl<'de> Deserialize<'de> for ClusterOperator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        Ok(Self { name: wire.metadata.name, upgradeable: upgradeable_of(wire.status) })
    }
}

/// One odd object must neither stop the watch of all the others nor count as a go, so the error stays in place.
fn upgradeable_of(mut status: Value) -> Result<Option<Condition>, String> {
    let conditions = match &mut status {
        Value::Null => return Ok(None),
        Value::Object(fields) => fields.remove("conditions").unwrap_or_default(),
        _ => return Err("status is not an object".into()),
    };
    let conditions = match conditions {
        Value::Null => return Ok(None),
        Value::Array(conditions) => conditions,
        _ => return Err("status.conditions is not a list".into()),
    };
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
}
