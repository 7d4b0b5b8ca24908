//! UpdateRecord: the record of an update that went ahead with an accepted risk, which outlasts the history's.

#![expect(clippy::duplicated_attributes, reason = "columns are alike in their types")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was accepted. It never changes once written.
#[derive(Clone, Debug, Default, PartialEq, Eq, CustomResource, Deserialize, JsonSchema, Serialize)]
#[kube(
    group = "upgrade-gate.openshift.io",
    version = "v1alpha1",
    kind = "UpdateRecord",
    status = "UpdateRecordStatus",
    derive = "PartialEq",
    doc = "An update that went ahead with an accepted risk: what was accepted, who let it through, how it ended. \
           Written by upgrade-gate; the newest hundred are kept.",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.to"),
    printcolumn(name = "From", type_ = "string", json_path = ".spec.from"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.by"),
    printcolumn(name = "Verified", type_ = "boolean", json_path = ".status.verified"),
    printcolumn(name = "Completed", type_ = "date", json_path = ".status.completedTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a record doesn't change; a later update has a record of its own"}
]))]
#[serde(rename_all = "camelCase")]
pub struct UpdateRecordSpec {
    /// The version that the cluster was at.
    #[schemars(length(max = 256))]
    pub from: String,
    /// The version that it was updated to.
    #[schemars(length(max = 256))]
    pub to: String,
    /// How the two relate: patch, minor, major, rollback, downgrade, same or unknown.
    #[serde(rename = "type")]
    #[schemars(length(max = 16))]
    pub update_type: String,
    /// The image of the release, by digest where it is known.
    #[schemars(length(max = 1024))]
    pub image: String,
    /// The unmanaged overrides at that moment; of very many, the first.
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "atomic"))]
    pub overrides: Vec<RecordedOverride>,
    /// What was accepted, as in status.history.
    #[schemars(length(max = 65536))]
    pub accepted_risks: String,
    /// Who let it through.
    pub by: AcceptedBy,
    /// When it was let through.
    #[schemars(extend("format" = "date-time"))]
    pub accepted_time: String,
}

/// An override as it was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
pub struct RecordedOverride {
    /// API group, empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub group: String,
    /// Kind.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub kind: String,
    /// Namespace, empty for a cluster-scoped object.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub namespace: String,
    /// Name.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub name: String,
}

/// Who let an update through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
pub enum AcceptedBy {
    /// The gate: the risk stands against minor and major updates only.
    #[default]
    Gate,
    /// upgrade-gate forced it past a cluster-version operator that refuses patch updates too.
    Bridge,
    /// Somebody forced it past a refusal.
    Force,
}

/// How the update went on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRecordStatus {
    /// How it ended, or that it hasn't.
    #[serde(default)]
    pub outcome: Outcome,
    /// The startedTime of its entry in status.history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub started_time: Option<String>,
    /// When it was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub completed_time: Option<String>,
    /// Whether the signature of the image was verified, as status.history has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// Whether status.history still holds the accepted risks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_history: Option<bool>,
}

/// How an update ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
pub enum Outcome {
    /// It was let through, and hasn't ended.
    #[default]
    Pending,
    /// It was completed.
    Completed,
    /// It never came, or was left behind.
    Abandoned,
}
