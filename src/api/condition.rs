//! Conditions of ClusterVersion and ClusterOperator.

use serde::{Deserialize, Serialize};

use crate::api::null_as_default;

/// One entry of `status.conditions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// The type; the key of the list.
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    pub kind: String,
    /// The status.
    pub status: ConditionStatus,
    /// RFC 3339, as read: it is compared and copied, never computed with.
    #[serde(deserialize_with = "null_as_default")]
    pub last_transition_time: String,
    /// The reason, for programs.
    #[serde(deserialize_with = "null_as_default")]
    pub reason: String,
    /// The message, for people.
    #[serde(deserialize_with = "null_as_default")]
    pub message: String,
}

/// The three values of a condition's status; every other text is read as `Unknown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, strum::EnumString, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Not known; every reader of `Upgradeable` treats it like `True`.
    #[default]
    Unknown,
}

impl ConditionStatus {
    /// The text in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl<'de> Deserialize<'de> for ConditionStatus {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word: String = null_as_default(deserializer)?;
        Ok(word.parse().unwrap_or_default())
    }
}

/// The condition of that type, if there is one.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}
