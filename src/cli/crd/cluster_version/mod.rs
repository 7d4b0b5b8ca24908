//! The schema of OpenShift's `ClusterVersion`, for clusters that are not OpenShift.
//!
//! The CRD is generated from these types; the doc comments become the descriptions that `kubectl explain` shows. The gate reads
//! a ClusterVersion with other types, which accept unknown fields.
//!
//! The CRD admits and rejects the same objects as OpenShift's, and its lists have the same owners.
//! `desiredUpdate.acceptRisks` and `desiredUpdate.mode` are those of OpenShift's newer releases.

mod status;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use status::ClusterVersionStatus;

/// What the cluster's administrator requests.
#[derive(Clone, Debug, CustomResource, Deserialize, JsonSchema, Serialize)]
#[kube(
    group = "config.openshift.io",
    version = "v1",
    kind = "ClusterVersion",
    status = "ClusterVersionStatus",
    doc = "Which release the cluster runs, which ones it could update to, and which one is requested. \
           There is one, named version.",
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = r#".status.history[?(@.state=="Completed")].version"#
    ),
    printcolumn(
        name = "Available",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Available")].status"#
    ),
    printcolumn(
        name = "Progressing",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Progressing")].status"#
    ),
    printcolumn(
        name = "Since",
        type_ = "date",
        json_path = r#".status.conditions[?(@.type=="Progressing")].lastTransitionTime"#
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Progressing")].message"#
    ),
    validation = Rule::new(MARKETPLACE_NEEDS_A_BASELINE)
        .message("say which baselineCapabilitySet the marketplace capability is added to"),
    validation = Rule::new(MARKETPLACE_NEEDS_OLM)
        .message("the marketplace capability works only with OperatorLifecycleManager: enable that as well")
)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterVersionSpec {
    /// Identifies this cluster to the update service: a UUID as of RFC 4122.
    #[serde(rename = "clusterID")]
    cluster_id: String,
    /// The requested release. Absent: the cluster keeps its release.
    #[serde(skip_serializing_if = "Option::is_none")]
    desired_update: Option<Update>,
    /// The update service, if it is not the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    /// The channel whose releases are offered, such as stable-4.21. Empty: none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// Which of the optional components the cluster runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<CapabilitiesSpec>,
    /// Objects of the release that the cluster does not manage if unmanaged is true.
    /// An unmanaged one prevents minor and major updates as long as it is listed.
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["kind", "group", "namespace", "name"]
    ))]
    #[serde(skip_serializing_if = "Option::is_none")]
    overrides: Option<Vec<ComponentOverride>>,
}

/// OpenShift's own rule fails on an absent baseline, and so refuses it; ours refuses it with a message.
const MARKETPLACE_NEEDS_A_BASELINE: &str = "!has(self.spec.capabilities) \
    || !has(self.spec.capabilities.additionalEnabledCapabilities) \
    || !('marketplace' in self.spec.capabilities.additionalEnabledCapabilities) \
    || has(self.spec.capabilities.baselineCapabilitySet)";

const MARKETPLACE_NEEDS_OLM: &str = "!has(self.spec.capabilities) \
    || !has(self.spec.capabilities.additionalEnabledCapabilities) \
    || !('marketplace' in self.spec.capabilities.additionalEnabledCapabilities) \
    || !has(self.spec.capabilities.baselineCapabilitySet) \
    || self.spec.capabilities.baselineCapabilitySet != 'None' \
    || 'OperatorLifecycleManager' in self.spec.capabilities.additionalEnabledCapabilities \
    || (has(self.status) && has(self.status.capabilities) && has(self.status.capabilities.enabledCapabilities) \
    && 'OperatorLifecycleManager' in self.status.capabilities.enabledCapabilities)";

/// A request for another release: by version, by image, or by both if they agree.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.architecture) || self.architecture == '' || !has(self.image) || self.image == ''",
        "message": "architecture and image exclude each other: an image is of one architecture already"
    },
    {
        "rule": "!has(self.architecture) || self.architecture == '' || (has(self.version) && self.version != '')",
        "message": "a change of architecture needs the version to change it at"
    }
]))]
#[serde(rename_all = "camelCase")]
struct Update {
    /// Multi turns a cluster of one architecture into one of several. Needs a version, excludes an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<Architecture>,
    /// The requested version. Without an image, it has to be one that the status knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The requested release image, by digest. With a version, the two have to agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// Updates although a precondition fails or the image's signature cannot be verified.
    /// A person who sets it is responsible for the image, which gets full control of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    force: Option<bool>,
    /// The risks of conditional updates that the administrator takes, by name, whichever release they belong to.
    #[schemars(
        length(min = 1, max = 1000),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_risks: Option<Vec<AcceptRisk>>,
    /// Preflight is meant to check the target without an update. Every cluster-version operator ignores it: the update
    /// happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<UpdateMode>,
}

/// A risk that the administrator takes.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
struct AcceptRisk {
    /// The risk's name.
    #[schemars(length(min = 1, max = 256))]
    name: String,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
enum UpdateMode {
    Preflight,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
enum Architecture {
    Multi,
    #[serde(rename = "")]
    Unset,
}

/// Which optional components to run.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct CapabilitiesSpec {
    /// The set to start from: the one that was the default in a given minor version, the current default, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_capability_set: Option<CapabilitySet>,
    /// What to run on top of that set.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_enabled_capabilities: Option<Vec<Capability>>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
enum CapabilitySet {
    None,
    #[serde(rename = "v4.11")]
    V4_11,
    #[serde(rename = "v4.12")]
    V4_12,
    #[serde(rename = "v4.13")]
    V4_13,
    #[serde(rename = "v4.14")]
    V4_14,
    #[serde(rename = "v4.15")]
    V4_15,
    #[serde(rename = "v4.16")]
    V4_16,
    #[serde(rename = "v4.17")]
    V4_17,
    #[serde(rename = "v4.18")]
    V4_18,
    #[serde(rename = "vCurrent")]
    VCurrent,
}

/// An optional component.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
enum Capability {
    #[serde(rename = "openshift-samples")]
    OpenshiftSamples,
    #[serde(rename = "baremetal")]
    Baremetal,
    #[serde(rename = "marketplace")]
    Marketplace,
    Console,
    Insights,
    Storage,
    #[serde(rename = "CSISnapshot")]
    CsiSnapshot,
    NodeTuning,
    #[serde(rename = "MachineAPI")]
    MachineApi,
    Build,
    DeploymentConfig,
    ImageRegistry,
    OperatorLifecycleManager,
    CloudCredential,
    Ingress,
    CloudControllerManager,
    OperatorLifecycleManagerV1,
}

/// An object of the release, and whether the cluster manages it.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
struct ComponentOverride {
    /// The object's kind.
    kind: String,
    /// The API group of the kind; empty for the core group.
    group: String,
    /// The object's namespace; empty if it has none.
    namespace: String,
    /// The object's name.
    name: String,
    /// True: the object is neither created nor updated, and minor and major updates are prevented.
    unmanaged: bool,
}
