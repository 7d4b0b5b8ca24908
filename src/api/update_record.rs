//! UpdateRecord: the record of an update that went ahead with an accepted risk. It outlives the text in the history.
//!
//! The CRD is generated from these types: a doc comment here is a description in `kubectl explain`.

#![expect(clippy::duplicated_attributes, reason = "columns are alike in their types")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::ReleaseId;

/// Characters of a version.
const VERSION: usize = 256;
/// Characters of an image.
const IMAGE: usize = 1024;
/// Characters of what was accepted.
const ACCEPTED_RISKS: usize = 65536;
/// Overrides in one record.
const OVERRIDES: usize = 128;
/// Characters of each field of an override.
const OVERRIDE_FIELD: usize = 512;
/// Marks a truncated text.
const CUT: char = '…';

/// What was accepted. It never changes once written.
#[derive(Clone, Debug, Default, PartialEq, Eq, CustomResource, Deserialize, JsonSchema, Serialize)]
#[kube(
    group = "upgrade-gate.openshift.io",
    version = "v1alpha1",
    kind = "UpdateRecord",
    status = "UpdateRecordStatus",
    shortname = "urec",
    derive = "PartialEq",
    doc = "An update that went ahead with an accepted risk: what was accepted, who let it through, how it ended. \
           Written by upgrade-gate; the newest hundred are kept.",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.to"),
    printcolumn(name = "From", type_ = "string", json_path = ".spec.from"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.by"),
    printcolumn(name = "Verified", type_ = "boolean", json_path = ".status.verified"),
    printcolumn(name = "Completed", type_ = "date", json_path = ".status.completedTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome", priority = 1),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image", priority = 1)
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a record does not change; a later update has its own record"}
]))]
#[serde(rename_all = "camelCase")]
pub struct UpdateRecordSpec {
    /// The version before the update; empty if it was not known.
    #[schemars(length(max = VERSION))]
    pub from: String,
    /// The version of the update; empty if it was not known.
    #[schemars(length(max = VERSION))]
    pub to: String,
    /// The type of the update; unknown if one of the two is no version.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["patch", "minor", "major", "rollback", "downgrade", "same", "unknown"]))]
    pub update_type: String,
    /// The image of the release, by digest if it is known.
    #[schemars(length(max = IMAGE))]
    pub image: String,
    /// The unmanaged overrides at that moment, at most 128.
    #[schemars(length(max = OVERRIDES), extend("x-kubernetes-list-type" = "atomic"))]
    pub overrides: Vec<RecordedOverride>,
    /// The accepted risks, with the text of status.history of the ClusterVersion. They stay here when the history loses them.
    #[schemars(length(max = ACCEPTED_RISKS))]
    pub accepted_risks: String,
    /// Who let it through.
    /// Gate: upgrade-gate or the cluster-version operator, because the risk blocks minor and major updates only.
    /// Bridge: upgrade-gate, which forced it because a cluster-version operator refused it for overrides alone.
    /// Force: a person who forced it past a refusal.
    pub by: AcceptedBy,
    /// When it was accepted.
    #[schemars(extend("format" = "date-time"))]
    pub accepted_time: String,
}

impl UpdateRecordSpec {
    /// The release that the update is to.
    #[must_use]
    pub fn id(&self) -> ReleaseId<'_> {
        ReleaseId { version: &self.to, image: &self.image }
    }

    /// Truncates texts to the limits of the CRD, so that an unusual cluster gets a shorter record rather than none. The target is
    /// not truncated, because records are found by it.
    #[must_use]
    pub fn within_bounds(mut self) -> Self {
        cut(&mut self.from, VERSION);
        cut(&mut self.accepted_risks, ACCEPTED_RISKS);
        self.overrides.truncate(OVERRIDES);
        for entry in &mut self.overrides {
            for field in [&mut entry.group, &mut entry.kind, &mut entry.namespace, &mut entry.name] {
                cut(field, OVERRIDE_FIELD);
            }
        }
        self
    }
}

/// Truncates a text to `limit` characters, which is how the API server counts.
fn cut(text: &mut String, limit: usize) {
    if text.chars().nth(limit).is_some()
        && let Some((end, _)) = text.char_indices().nth(limit - 1)
    {
        text.truncate(end);
        text.push(CUT);
    }
}

/// A recorded override: an object of the release that the cluster did not manage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
pub struct RecordedOverride {
    /// The API group of the object; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = OVERRIDE_FIELD))]
    pub group: String,
    /// The kind of the object.
    #[serde(default)]
    #[schemars(length(max = OVERRIDE_FIELD))]
    pub kind: String,
    /// The namespace of the object; empty if it has none.
    #[serde(default)]
    #[schemars(length(max = OVERRIDE_FIELD))]
    pub namespace: String,
    /// The name of the object.
    #[serde(default)]
    #[schemars(length(max = OVERRIDE_FIELD))]
    pub name: String,
}

/// Who let an update through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
pub enum AcceptedBy {
    /// Allowed: the risk blocks minor and major updates only.
    #[default]
    Gate,
    /// upgrade-gate forced it, because a cluster-version operator refused it for overrides alone.
    Bridge,
    /// A person forced it past a refusal.
    Force,
}

/// The progress of the update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRecordStatus {
    /// How it ended.
    /// Pending: it was accepted, and has not ended.
    /// Completed: the cluster runs it, or did.
    /// Abandoned: it never started, or another update replaced it before it was completed.
    #[serde(default)]
    pub outcome: Outcome,
    /// When it started: the startedTime of its entry in status.history of the ClusterVersion. Absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub started_time: Option<String>,
    /// When it was completed. Absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub completed_time: Option<String>,
    /// Whether the signature of the image was verified, from status.history once the update is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// Whether status.history still contains the accepted risks. A cluster-version operator erases them at the next request.
    /// Absent if the history never contained them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_history: Option<bool>,
}

/// How an update ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
pub enum Outcome {
    /// It was accepted, and has not ended.
    #[default]
    Pending,
    /// It was completed.
    Completed,
    /// It never started, or another update replaced it.
    Abandoned,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_cluster_gets_a_shorter_record_rather_than_none() {
        let entry = RecordedOverride { name: "ä".repeat(513), ..RecordedOverride::default() };
        let spec = UpdateRecordSpec {
            from: "4".repeat(256),
            accepted_risks: "ä".repeat(65537),
            overrides: vec![entry; 129],
            ..UpdateRecordSpec::default()
        };
        let spec = spec.within_bounds();
        assert_eq!(spec.from, "4".repeat(256));
        assert_eq!(spec.accepted_risks, "ä".repeat(65535) + "…");
        assert_eq!((spec.overrides.len(), spec.overrides[0].name.chars().count()), (128, 512));
    }
}
