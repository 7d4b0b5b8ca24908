//! The writes as JSON. Each names what was read, so that it fails where another writer was faster: a JSON patch tests
//! it, and `resourceVersion` is part of every write to an object that exists.

use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation, jsonptr::PointerBuf,
};
use serde_json::{Value, json};

use crate::{
    api::{
        HistoryEntry, ResourceVersion, UpdateRecordStatus,
        names::{self, CLUSTER_VERSION, CONFIG_API_VERSION},
    },
    plan::write::{
        ConditionsWrite, EntryWrite, ForcePatch, ForceRemoval, HistoryWrite, OperatorWrite, TextWrite, Withdrawal,
    },
};

/// Paths here are literals and indices, which never need escaping.
pub(crate) fn pointer(path: &str) -> PointerBuf {
    PointerBuf::from_tokens(path.split('/').skip(1))
}

fn test(path: &str, value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: pointer(path), value })
}

fn add(path: &str, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: pointer(path), value })
}

fn remove(path: &str) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: pointer(path) })
}

/// A conflict where the object has changed since it was read.
fn resource_version(read: &ResourceVersion) -> PatchOperation {
    PatchOperation::Replace(ReplaceOperation { path: pointer("/metadata/resourceVersion"), value: json!(read) })
}

impl HistoryWrite {
    /// JSON patch on the status. The list is atomic and shared with the program that applies updates, so the patch is
    /// never a new list, but steps, each preceded by a `test` of what was read.
    #[must_use]
    pub fn patch(&self) -> Patch {
        match self {
            Self::Text(write) => write.patch(),
            Self::Entry(write) => write.patch(),
        }
    }
}

fn test_entry(index: usize, entry: &HistoryEntry) -> PatchOperation {
    test(&format!("/status/history/{index}"), entry.raw.clone())
}

impl TextWrite {
    /// JSON patch on the status: the text and nothing else.
    #[must_use]
    pub fn patch(&self) -> Patch {
        Patch(vec![
            resource_version(&self.resource_version),
            test_entry(0, &self.entry),
            add("/status/history/0/acceptedRisks", json!(self.text)),
        ])
    }
}

impl EntryWrite {
    fn patch(&self) -> Patch {
        let entry = json!({
            "state": "Partial",
            "startedTime": self.now,
            "completionTime": null,
            "version": self.release.version,
            "image": self.release.image,
            "verified": false,
            "acceptedRisks": self.text,
        });
        let mut steps = vec![resource_version(&self.resource_version)];
        let Some(behind) = &self.behind else {
            // `add` sets a list that is missing or null as well as one that is empty.
            steps.push(add("/status/history", json!([entry])));
            return Patch(steps);
        };
        steps.push(test_entry(0, behind));
        let others = self.leaving.iter().filter(|(index, _)| *index != 0);
        steps.extend(others.map(|(index, entry)| test_entry(*index, entry)));
        if behind.completion_time.is_empty() {
            steps.push(add("/status/history/0/completionTime", json!(self.now)));
        }
        // From the back, so that an index still means the entry that was tested.
        steps.extend(self.leaving.iter().rev().map(|(index, _)| remove(&format!("/status/history/{index}"))));
        steps.push(add("/status/history/0", entry));
        Patch(steps)
    }
}

impl ConditionsWrite {
    /// Server-side apply of the status.
    #[must_use]
    pub fn configuration(&self) -> Value {
        json!({
            "apiVersion": CONFIG_API_VERSION,
            "kind": "ClusterVersion",
            "metadata": {"name": CLUSTER_VERSION, "resourceVersion": self.resource_version},
            "status": {"conditions": self.conditions},
        })
    }
}

impl Withdrawal {
    /// JSON patch; from the back, so that an index still means what was read.
    #[must_use]
    pub fn patch(&self) -> Patch {
        let (read, items): (_, Vec<(String, &str, &str)>) = match self {
            Self::Conditions { resource_version, conditions } => {
                let path = |index: &usize| format!("/status/conditions/{index}");
                let items = conditions.iter().map(|(index, kind)| (path(index), "type", kind.as_str()));
                (resource_version, items.collect())
            }
            Self::Ownership { resource_version, fields } => {
                let path = |index: &usize| format!("/metadata/managedFields/{index}");
                (resource_version, fields.iter().map(|index| (path(index), "manager", names::SELF)).collect())
            }
        };
        let mut steps = vec![resource_version(read)];
        for (path, field, value) in items.into_iter().rev() {
            steps.extend([test(&format!("{path}/{field}"), json!(value)), remove(&path)]);
        }
        Patch(steps)
    }
}

impl ForcePatch {
    /// JSON patch on the spec: `force`, and `image` pinned to the digest. It tests the whole request, which holds
    /// version, image and force, absent ones included.
    #[must_use]
    pub fn patch(&self) -> Patch {
        Patch(vec![
            test("/spec/desiredUpdate", self.request.clone()),
            resource_version(&self.resource_version),
            add("/spec/desiredUpdate/image", json!(self.image)),
            add("/spec/desiredUpdate/force", json!(true)),
        ])
    }
}

impl ForceRemoval {
    /// JSON patch on the spec. It tests the whole request.
    #[must_use]
    pub fn patch(&self) -> Patch {
        let mut steps = vec![
            test("/spec/desiredUpdate", self.request.clone()),
            resource_version(&self.resource_version),
            remove("/spec/desiredUpdate/force"),
        ];
        if self.removes_image {
            steps.push(remove("/spec/desiredUpdate/image"));
        }
        Patch(steps)
    }
}

/// Merge patch on the status of an UpdateRecord. A field that the status no longer has is `null`, which removes it.
#[must_use]
pub fn record_status(resource_version: Option<&ResourceVersion>, status: &UpdateRecordStatus) -> Value {
    let UpdateRecordStatus { outcome, started_time, completed_time, verified, in_history } = status;
    let status = json!({
        "outcome": outcome,
        "startedTime": started_time,
        "completedTime": completed_time,
        "verified": verified,
        "inHistory": in_history,
    });
    json!({"metadata": {"resourceVersion": resource_version}, "status": status})
}

impl OperatorWrite {
    /// Server-side apply of the object, or of its status.
    #[must_use]
    pub fn configuration(&self) -> Value {
        let object = |metadata: Value, part: &str, content: Value| json!({"apiVersion": CONFIG_API_VERSION, "kind": "ClusterOperator", "metadata": metadata, part: content});
        match self {
            Self::Create => object(json!({"name": names::SELF}), "spec", json!({})),
            Self::Status { resource_version, conditions } => object(
                json!({"name": names::SELF, "resourceVersion": resource_version}),
                "status",
                json!({"conditions": conditions, "versions": operator_versions(), "relatedObjects": related_objects()}),
            ),
        }
    }
}

/// `status.versions` of our ClusterOperator.
#[must_use]
pub fn operator_versions() -> Value {
    json!([{"name": "operator", "version": env!("CARGO_PKG_VERSION")}])
}

/// What must-gather collects with our ClusterOperator.
#[must_use]
pub fn related_objects() -> Value {
    json!([
        {"group": "", "resource": "namespaces", "name": names::NAMESPACE},
        {"group": "config.openshift.io", "resource": "clusterversions", "name": names::CLUSTER_VERSION},
        {"group": names::RECORD_GROUP, "resource": "updaterecords", "name": ""},
        {"group": "admissionregistration.k8s.io", "resource": "validatingadmissionpolicies", "name": names::SELF},
        {"group": "admissionregistration.k8s.io", "resource": "validatingadmissionpolicybindings", "name": names::SELF},
    ])
}
