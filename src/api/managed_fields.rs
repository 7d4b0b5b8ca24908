//! Who wrote a condition or a part of the request last, as the API server keeps it in `metadata.managedFields`.

use serde::Deserialize;
use serde_json::Value;

use crate::api::null_as_default;

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
