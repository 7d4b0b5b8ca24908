//! The status of a ClusterVersion in the CRD.

#![expect(clippy::doc_markdown, reason = "these doc comments are read in kubectl explain, which knows no Markdown")]

use crate::cli::crd::cluster_version::Capability;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known about the cluster's release and its updates.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli::crd) struct ClusterVersionStatus {
    /// The release that the cluster is being brought to, or is at.
    desired: Release,
    /// The updates so far, the newest first. At most a hundred are kept.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<UpdateHistory>>,
    /// The generation of the spec that this status answers.
    observed_generation: i64,
    /// A fingerprint of the release's content.
    version_hash: String,
    /// Which optional components there are, and which of them run.
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<CapabilitiesStatus>,
    /// The state of the cluster: Available, Progressing, Failing, Upgradeable, ReleaseAccepted and others.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<Vec<ClusterCondition>>,
    /// The releases that are recommended to this cluster; null or empty if there are none.
    #[schemars(required, extend("nullable" = true, "x-kubernetes-list-type" = "atomic"))]
    available_updates: Option<Vec<Release>>,
    /// The releases whose recommendation depends on the cluster.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    conditional_updates: Option<Vec<ConditionalUpdate>>,
}

/// A release.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
struct Release {
    /// The release's version, by SemVer.
    version: String,
    /// The release image.
    image: String,
    /// A link to information about the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The channels that offer the release.
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<String>>,
}

/// One update.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct UpdateHistory {
    /// Completed once all of the release has been applied, Partial before that or if it never was.
    state: String,
    /// When the update started.
    #[schemars(with = "String", extend("format" = "date-time"))]
    started_time: Time,
    /// When it was completed, or replaced by the next one; null while it runs.
    #[schemars(with = "Option<String>", required, extend("nullable" = true, "format" = "date-time"))]
    completion_time: Option<Time>,
    /// The release's version; empty if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The release image.
    image: String,
    /// Whether the image's signature was verified before the update.
    verified: bool,
    /// The accepted risks of this update, as a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_risks: Option<String>,
}

/// Which optional components there are.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct CapabilitiesStatus {
    /// Those that run.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled_capabilities: Option<Vec<Capability>>,
    /// Those that this release knows.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    known_capabilities: Option<Vec<Capability>>,
}

/// One aspect of the cluster's state.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterCondition {
    /// Which aspect.
    #[serde(rename = "type")]
    type_: String,
    /// True, False or Unknown.
    status: String,
    /// When the status changed last.
    #[schemars(with = "String", extend("format" = "date-time"))]
    last_transition_time: Time,
    /// Why, in one word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Why, in sentences for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// A release that is not recommended to every cluster.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
struct ConditionalUpdate {
    /// The release.
    release: Release,
    /// Its known issues; it is recommended if none of them applies.
    #[schemars(
        length(min = 1),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    risks: Vec<ConditionalUpdateRisk>,
    /// The results for this cluster; Recommended is whether the release is recommended.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<Vec<Condition>>,
}

/// A known issue of a release, and which clusters have it.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConditionalUpdateRisk {
    /// A link to information about the issue.
    #[schemars(length(min = 1), extend("format" = "uri"))]
    url: String,
    /// The issue in one word.
    #[schemars(length(min = 1))]
    name: String,
    /// The issue in sentences.
    #[schemars(length(min = 1))]
    message: String,
    /// How to find out whether a cluster has it. The first rule that can be evaluated counts.
    #[schemars(length(min = 1), extend("x-kubernetes-list-type" = "atomic"))]
    matching_rules: Vec<MatchingRule>,
}

/// A rule to find out whether a cluster has an issue.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
struct MatchingRule {
    /// Always: every cluster has it. PromQL: a query decides.
    #[serde(rename = "type")]
    type_: MatchingRuleType,
    /// The query, for type PromQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    promql: Option<PromQl>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
enum MatchingRuleType {
    Always,
    #[serde(rename = "PromQL")]
    PromQl,
}

/// A query to the cluster's metrics.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
struct PromQl {
    /// Returns 1 on a cluster that has the issue, 0 on one that has not; any other result means unknown.
    promql: String,
}

/// One aspect of a conditional update's state.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    /// Which aspect.
    #[schemars(
        length(max = 316),
        regex(
            pattern = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
        )
    )]
    #[serde(rename = "type")]
    type_: String,
    /// True, False or Unknown.
    status: ConditionStatus,
    /// The generation that the condition was found at.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_generation: Option<i64>,
    /// When the status changed last.
    #[schemars(with = "String", extend("format" = "date-time"))]
    last_transition_time: Time,
    /// Why, in one word for programs.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"))]
    reason: String,
    /// Why, in sentences for people.
    #[schemars(length(max = 32768))]
    message: String,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
enum ConditionStatus {
    True,
    False,
    Unknown,
}
