//! The objects of the API server, reduced to the fields that the gate reads.
//!
//! A missing field, `null` and an empty value are read alike, and an unknown field is ignored. A field that cannot be read is an
//! error, never a default that allows an update.

mod cluster_operator;
mod cluster_version;
mod condition;
mod managed_fields;
mod metadata;
pub mod names;
mod update_record;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, Unexpected},
};
use serde_json::Value;

pub use cluster_operator::{ClusterOperator, Health, OwnOperator};
pub use cluster_version::{
    ClusterVersion, ConditionalUpdate, DesiredUpdate, HistoryEntry, HistoryState, Override, Release, ReleaseId, Served,
    Spec, Status, UnreadableClusterVersion,
};
pub use condition::{Condition, ConditionStatus, find};
pub use managed_fields::{ManagedField, owners_of_condition, owners_of_override, owners_of_request};
pub use metadata::{Generation, Metadata, ResourceVersion, Uid};
pub use update_record::{AcceptedBy, Outcome, RecordedOverride, UpdateRecord, UpdateRecordSpec, UpdateRecordStatus};

/// Reads `null` as the type's default, as Go's decoder does for every field of these kinds.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads the fields of an object that is also kept whole. The error names the field.
fn from_object<T: DeserializeOwned, E: Error>(whole: &Value) -> Result<T, E> {
    let Value::Object(fields) = whole else {
        let found = match whole {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) | Value::Object(_) => Unexpected::Seq,
        };
        return Err(E::invalid_type(found, &"a map"));
    };
    T::deserialize(whole).map_err(|error| {
        let is_at_fault = |(key, value): &(&String, &Value)| {
            T::deserialize(&Value::Object([((*key).clone(), (*value).clone())].into_iter().collect())).is_err()
        };
        let field = fields.iter().find(is_at_fault).map_or(String::new(), |(key, _)| format!("{key}: "));
        E::custom(format!("{field}{error}"))
    })
}
