//! Which manager wrote a condition or a field of the request last, from `metadata.managedFields`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Override, null_as_default};

/// One entry of `metadata.managedFields`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedField {
    /// The field manager.
    #[serde(deserialize_with = "null_as_default")]
    pub manager: String,
    /// `Apply` or `Update`.
    #[serde(deserialize_with = "null_as_default")]
    pub operation: String,
    /// When it wrote last, RFC 3339.
    #[serde(deserialize_with = "null_as_default")]
    pub time: String,
    /// The set of fields, in the API server's `f:`/`k:` notation.
    pub fields_v1: Value,
}

/// The managers that own the condition of that type in `status.conditions`.
pub fn owners_of_condition<'a>(fields: &'a [ManagedField], kind: &str) -> impl Iterator<Item = &'a str> {
    let key = format!("k:{{\"type\":\"{kind}\"}}");
    fields
        .iter()
        .filter(move |field| field.fields_v1["f:status"]["f:conditions"].get(&key).is_some())
        .map(|field| field.manager.as_str())
}

/// The managers that own that field of `spec.desiredUpdate`, such as `force`.
pub fn owners_of_request<'a>(fields: &'a [ManagedField], field: &str) -> impl Iterator<Item = &'a str> {
    let key = format!("f:{field}");
    fields
        .iter()
        .filter(move |entry| entry.fields_v1["f:spec"]["f:desiredUpdate"].get(&key).is_some())
        .map(|entry| entry.manager.as_str())
}

/// The managers that own `unmanaged` of that override; an older CRD, whose list has no keys, names none.
pub fn owners_of_override<'a>(fields: &'a [ManagedField], entry: &Override) -> impl Iterator<Item = &'a str> {
    let wanted = json!({"group": entry.group, "kind": entry.kind, "namespace": entry.namespace, "name": entry.name});
    let is_wanted = move |(key, owned): (&String, &Value)| {
        let key = key.strip_prefix("k:").and_then(|key| serde_json::from_str::<Value>(key).ok());
        key.is_some_and(|key| key == wanted) && owned.get("f:unmanaged").is_some()
    };
    fields
        .iter()
        .filter(move |field| {
            let overrides = field.fields_v1["f:spec"]["f:overrides"].as_object();
            overrides.is_some_and(|overrides| overrides.iter().any(&is_wanted))
        })
        .map(|field| field.manager.as_str())
}
