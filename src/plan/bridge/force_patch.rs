//! The force as it is written.

use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation, TestOperation};
use serde_json::{Value, json};

use crate::{gate::TargetVerdict, plan::patch::pointer};

/// A request that is forced, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ForcePatch {
    /// Our own verdict on the release that the CVO has loaded.
    pub target_verdict: TargetVerdict,
    /// `spec.desiredUpdate` as it was read.
    pub request: Value,
    /// The image that is pinned, with a digest.
    pub image: String,
    /// The `resourceVersion` of the ClusterVersion that was read.
    pub resource_version: String,
}

impl ForcePatch {
    /// JSON patch on the spec: `force`, and `image` pinned to the digest. It tests the whole request, which holds version,
    /// image and force, absent ones included.
    #[must_use]
    pub fn patch(&self) -> Patch {
        Patch(vec![
            PatchOperation::Test(TestOperation { path: pointer("/spec/desiredUpdate"), value: self.request.clone() }),
            PatchOperation::Replace(ReplaceOperation {
                path: pointer("/metadata/resourceVersion"),
                value: json!(self.resource_version),
            }),
            PatchOperation::Add(AddOperation { path: pointer("/spec/desiredUpdate/image"), value: json!(self.image) }),
            PatchOperation::Add(AddOperation { path: pointer("/spec/desiredUpdate/force"), value: json!(true) }),
        ])
    }
}
