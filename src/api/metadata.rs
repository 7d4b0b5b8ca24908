//! Identity and version of an object. Each is a type of its own: they are texts and numbers, and one in the place of
//! another would compile and defeat a check.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::api::{ManagedField, null_as_default};

/// `metadata.uid`: differs after the object was deleted and created again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Uid(String);

/// `metadata.resourceVersion`: changes with every write, and is the precondition of each of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct ResourceVersion(String);

/// `metadata.generation`: changes with `spec`; 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Generation(i64);

impl Uid {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Uid {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl ResourceVersion {
    /// As a number. It is one in every Kubernetes so far, and grows with each write to any object of its kind; any other
    /// text is compared for equality alone.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.0.parse().ok()
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<String> for ResourceVersion {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<i64> for Generation {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

/// What is read of `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// `version` on every cluster.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// See [`Uid`].
    #[serde(deserialize_with = "null_as_default")]
    pub uid: Uid,
    /// See [`ResourceVersion`].
    #[serde(deserialize_with = "null_as_default")]
    pub resource_version: ResourceVersion,
    /// See [`Generation`].
    #[serde(deserialize_with = "null_as_default")]
    pub generation: Generation,
    /// Who owns which field.
    #[serde(deserialize_with = "null_as_default")]
    pub managed_fields: Vec<ManagedField>,
}
