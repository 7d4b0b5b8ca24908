//! The schema of OpenShift's `ClusterVersion`, for clusters that aren't OpenShift.
//!
//! These types exist to be turned into a CRD: the doc comments become the descriptions that `kubectl explain` shows.
//! What the gate reads of a ClusterVersion has types of its own, which keep what they don't know.
//!
//! The CRD admits what OpenShift's admits and refuses what OpenShift's refuses, with the lists owned in the same way;
//! `desiredUpdate.acceptRisks` and `desiredUpdate.mode` are those of OpenShift's newer releases.

mod status;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use status::ClusterVersionStatus;

/// What the cluster's administrator asks for.
#[derive(Clone, Debug, CustomResource, Deserialize, JsonSchema, Serialize)]
#[kube(
    group = "config.openshift.io",
    version = "v1",
    kind = "ClusterVersion",
    status = "ClusterVersionStatus",
    doc = "Which release the cluster runs, which ones it could update to, and which one it has been asked for. \
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
    /// The release that the cluster is asked to run. Absent: it stays where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    desired_update: Option<Update>,
    /// The update service to ask for releases, where it isn't the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    /// The channel whose releases are offered, such as stable-4.21. Empty: none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// Which of the optional components the cluster runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<CapabilitiesSpec>,
    /// Objects of the release that the cluster is told to leave alone.
    /// An unmanaged one prevents minor and major updates for as long as it is listed.
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["kind", "group", "namespace", "name"]
    ))]
    #[serde(skip_serializing_if = "Option::is_none")]
    overrides: Option<Vec<ComponentOverride>>,
}

/// OpenShift's own rule trips over an absent baseline, and so refuses it; ours says so.
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
    /// The version asked for. Without an image, it has to be one that the status knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The release image asked for, by digest. With a version, the two have to agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// Goes ahead although a precondition fails or the image's signature can't be verified.
    /// Whoever sets it vouches for the image, which gets to rule the whole cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    force: Option<bool>,
    /// The risks of conditional updates that the administrator takes, by name, whichever release they belong to.
    #[schemars(
        length(min = 1, max = 1000),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_risks: Option<Vec<AcceptRisk>>,
    /// Preflight is meant for a check of the target without an update. No cluster-version operator acts on it: the
    /// update happens.
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

/// An object of the release, and whether the cluster still looks after it.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
struct ComponentOverride {
    /// The object's kind.
    kind: String,
    /// The API group of the kind; empty for the core group.
    group: String,
    /// The object's namespace; empty where it has none.
    namespace: String,
    /// The object's name.
    name: String,
    /// True: the object is neither created nor updated, and minor and major updates are prevented.
    unmanaged: bool,
}
