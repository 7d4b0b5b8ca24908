//! ClusterVersion, as far as the gate reads it. No object is written back as a whole, so unknown fields survive. History
//! entries also keep the value that was read, for the `test` operations of a JSON patch.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::api::{Condition, Generation, Metadata, from_object, null_as_default};

/// The object named `version`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClusterVersion {
    /// Identity and staleness.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Metadata,
    /// What the administrator requests.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: Spec,
    /// What the cluster reports; a new object has none, and is not written until it has.
    pub status: Option<Status>,
}

/// The object is not a readable ClusterVersion.
#[derive(Debug, thiserror::Error)]
#[error("the ClusterVersion can't be read: {0}; compare it with `kubectl explain clusterversion`")]
pub struct UnreadableClusterVersion(#[from] serde_json::Error);

impl ClusterVersion {
    /// Reads an object as the API server serves it.
    ///
    /// # Errors
    /// A field that the gate reads has the wrong type.
    pub fn from_value(value: Value) -> Result<Self, UnreadableClusterVersion> {
        Ok(serde_json::from_value(value)?)
    }

    /// The release that the cluster reconciles towards; empty without a status.
    #[must_use]
    pub fn desired(&self) -> &Release {
        static NONE: Release = Release { version: String::new(), image: String::new(), architecture: String::new() };
        self.status.as_ref().map_or(&NONE, |status| &status.desired)
    }

    /// `status.history`, newest first.
    #[must_use]
    pub fn history(&self) -> &[HistoryEntry] {
        self.status.as_ref().map_or(&[], |status| &status.history)
    }

    /// The condition of that type.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        super::find(&self.status.as_ref()?.conditions, kind)
    }

    /// The overrides with `unmanaged: true`; the gate ignores others.
    pub fn unmanaged_overrides(&self) -> impl Iterator<Item = &Override> {
        self.spec.overrides.iter().filter(|entry| entry.unmanaged)
    }
}

/// A parsed ClusterVersion. A malformed one is a state of the cluster, not a failure of the watch.
#[derive(Clone, Debug)]
pub enum Served {
    /// It can be read.
    Read(Box<ClusterVersion>),
    /// Why it cannot be read.
    Unreadable(String),
}

impl<'de> Deserialize<'de> for Served {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Ok(match serde_json::from_str(text.get()) {
            Ok(object) => Self::Read(object),
            Err(error) => Self::Unreadable(UnreadableClusterVersion(error).to_string()),
        })
    }
}

/// What is read of `spec`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Empty means that no updates are looked up.
    #[serde(deserialize_with = "null_as_default")]
    pub channel: String,
    /// The requested update.
    pub desired_update: Option<DesiredUpdate>,
    /// Objects that the CVO does not manage.
    #[serde(deserialize_with = "null_as_default")]
    pub overrides: Vec<Override>,
}

/// `spec.desiredUpdate`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredUpdate {
    /// The requested version; may be empty if `image` is not.
    pub version: String,
    /// The requested image; may be empty if `version` is not.
    pub image: String,
    /// The requested architecture, `Multi` or empty.
    pub architecture: String,
    /// Skips failed preconditions.
    pub force: bool,
    /// Newer releases: empty or `Preflight`, which every cluster-version operator ignores.
    pub mode: String,
    /// The request as it was read, with unknown fields.
    pub raw: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireDesiredUpdate {
    #[serde(deserialize_with = "null_as_default")]
    version: String,
    #[serde(deserialize_with = "null_as_default")]
    image: String,
    #[serde(deserialize_with = "null_as_default")]
    architecture: String,
    #[serde(deserialize_with = "null_as_default")]
    force: bool,
    #[serde(deserialize_with = "null_as_default")]
    mode: String,
}

impl<'de> Deserialize<'de> for DesiredUpdate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Value::deserialize(deserializer)?;
        let wire = from_object::<WireDesiredUpdate, D::Error>(&raw)?;
        Ok(Self {
            version: wire.version,
            image: wire.image,
            architecture: wire.architecture,
            force: wire.force,
            mode: wire.mode,
            raw,
        })
    }
}

/// An entry of `spec.overrides`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Override {
    /// API group, empty for the core group.
    #[serde(deserialize_with = "null_as_default")]
    pub group: String,
    /// Kind.
    #[serde(deserialize_with = "null_as_default")]
    pub kind: String,
    /// Namespace, empty for a cluster-scoped object.
    #[serde(deserialize_with = "null_as_default")]
    pub namespace: String,
    /// Name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Whether the CVO does not manage the object.
    #[serde(deserialize_with = "null_as_default")]
    pub unmanaged: bool,
}

/// What is read of `status`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The release being reconciled towards: "current" to every rule.
    #[serde(deserialize_with = "null_as_default")]
    pub desired: Release,
    /// The generation of the spec that the status is about; 0 if it is missing.
    #[serde(deserialize_with = "null_as_default")]
    pub observed_generation: Generation,
    /// Newest first.
    #[serde(deserialize_with = "null_as_default")]
    pub history: Vec<HistoryEntry>,
    /// Map by type.
    #[serde(deserialize_with = "null_as_default")]
    pub conditions: Vec<Condition>,
    /// Updates that are recommended.
    #[serde(deserialize_with = "null_as_default")]
    pub available_updates: Vec<Release>,
    /// Updates with known issues.
    #[serde(deserialize_with = "null_as_default")]
    pub conditional_updates: Vec<ConditionalUpdate>,
}

/// A release, as the update service and the status name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct Release {
    /// Usually `SemVer`, not always.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
    /// Usually by digest, not always.
    #[serde(deserialize_with = "null_as_default")]
    pub image: String,
    /// `Multi` for a release of all architectures.
    #[serde(deserialize_with = "null_as_default")]
    pub architecture: String,
}

/// Version and image of a release, which identify it together. Either is empty if it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseId<'a> {
    /// The version, or empty.
    pub version: &'a str,
    /// The image, or empty.
    pub image: &'a str,
}

impl Release {
    /// Its version and image.
    #[must_use]
    pub fn id(&self) -> ReleaseId<'_> {
        ReleaseId { version: &self.version, image: &self.image }
    }
}

impl DesiredUpdate {
    /// The version and the image that are requested.
    #[must_use]
    pub fn id(&self) -> ReleaseId<'_> {
        ReleaseId { version: &self.version, image: &self.image }
    }
}

impl HistoryEntry {
    /// The release that the update is to.
    #[must_use]
    pub fn id(&self) -> ReleaseId<'_> {
        ReleaseId { version: &self.version, image: &self.image }
    }
}

/// An entry of `status.conditionalUpdates`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConditionalUpdate {
    /// The release that is conditional.
    #[serde(deserialize_with = "null_as_default")]
    pub release: Release,
    /// Contains `Recommended`, if it was evaluated.
    #[serde(deserialize_with = "null_as_default")]
    pub conditions: Vec<Condition>,
}

/// The two states of a history entry; every text but `Completed` is read as `Partial`, the safer one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryState {
    /// Fully applied.
    Completed,
    /// Started, or replaced by another update.
    #[default]
    Partial,
}

/// An entry of `status.history`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryEntry {
    /// Whether the update was completed.
    pub state: HistoryState,
    /// May be empty.
    pub version: String,
    /// May be empty.
    pub image: String,
    /// RFC 3339.
    pub started_time: String,
    /// RFC 3339; empty until the update is completed or replaced.
    pub completion_time: String,
    /// Whether the signature of the image was verified.
    pub verified: bool,
    /// What was accepted for this update.
    pub accepted_risks: String,
    /// The entry as it was read, with unknown fields.
    pub raw: Value,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireHistoryEntry {
    #[serde(deserialize_with = "null_as_default")]
    state: String,
    #[serde(deserialize_with = "null_as_default")]
    version: String,
    #[serde(deserialize_with = "null_as_default")]
    image: String,
    #[serde(deserialize_with = "null_as_default")]
    started_time: String,
    #[serde(deserialize_with = "null_as_default")]
    completion_time: String,
    #[serde(deserialize_with = "null_as_default")]
    verified: bool,
    #[serde(deserialize_with = "null_as_default")]
    accepted_risks: String,
}

impl<'de> Deserialize<'de> for HistoryEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Value::deserialize(deserializer)?;
        let wire = from_object::<WireHistoryEntry, D::Error>(&raw)?;
        let state = if wire.state == "Completed" { HistoryState::Completed } else { HistoryState::Partial };
        Ok(Self {
            state,
            version: wire.version,
            image: wire.image,
            started_time: wire.started_time,
            completion_time: wire.completion_time,
            verified: wire.verified,
            accepted_risks: wire.accepted_risks,
            raw,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_reads_like_missing() {
        let nulls = json!({
            "metadata": {"managedFields": null},
            "spec": {"channel": null, "desiredUpdate": null, "overrides": null},
            "status": {"desired": null, "history": null, "conditions": null, "availableUpdates": null,
                       "conditionalUpdates": null},
        });
        let missing = json!({"metadata": {}, "spec": {}, "status": {}});
        assert_eq!(ClusterVersion::from_value(nulls).unwrap(), ClusterVersion::from_value(missing).unwrap());
        assert_eq!(
            ClusterVersion::from_value(json!({"spec": null, "status": null})).unwrap(),
            ClusterVersion::default()
        );
    }

    #[test]
    fn a_history_entry_keeps_fields_that_nobody_knows() {
        let entry = json!({"state": "Completed", "version": "4.21.1", "completionTime": null, "new": {"a": 1}});
        let read: HistoryEntry = serde_json::from_value(entry.clone()).unwrap();
        assert_eq!(read.raw, entry);
        assert_eq!(read.state, HistoryState::Completed);
    }

    #[test]
    fn an_error_names_the_field_of_an_object_that_is_kept_whole() {
        let error = |value| ClusterVersion::from_value(value).unwrap_err().to_string();
        let request = error(json!({"spec": {"desiredUpdate": {"version": 4.21}}}));
        assert!(request.contains("version: invalid type: floating point `4.21`, expected a string"), "{request}");
        let history = error(json!({"status": {"history": [null]}}));
        assert!(history.contains("invalid type: null, expected a map"), "{history}");
    }

    #[test]
    fn a_wrong_type_is_an_error_and_not_a_default() {
        assert!(ClusterVersion::from_value(json!({"spec": {"overrides": "none"}})).is_err());
        assert!(ClusterVersion::from_value(json!({"spec": {"overrides": [{"unmanaged": "true"}]}})).is_err());
    }
}
