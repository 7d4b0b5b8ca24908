//! Loosens or deletes OpenShift's CRDs for a while, so that a test can store objects that no current OpenShift accepts.

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};

use super::{Cluster, eventually};

/// A change of the schema, at a JSON pointer below `openAPIV3Schema`.
#[derive(Clone, Copy, Debug)]
pub enum Loosen {
    /// Unknown fields are preserved.
    UnknownFields(&'static str),
    /// Any value is accepted.
    AnyType(&'static str),
    /// A field of newer releases is added.
    Field(&'static str, &'static str),
}

/// A changed CRD. It is restored by `restore`, or when this is dropped.
pub struct ChangedCrd<'a> {
    cluster: &'a Cluster,
    original: Value,
    restored: bool,
}

/// A field of the spec whose preservation shows which schema the API server applies.
const PROBE: &str = "schemaProbe";

impl Cluster {
    /// Loosens the CRD with this plural until the result is restored.
    pub async fn loosen(&self, plural: &str, how: &[Loosen]) -> ChangedCrd<'_> {
        let crds = self.crds();
        let mut object = crds.get(&format!("{plural}.config.openshift.io")).await.expect("the CRD");
        let original = serde_json::to_value(&object).expect("JSON");
        let schema = &mut object.data["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for change in how {
            match change {
                Loosen::UnknownFields(pointer) => {
                    at(schema, pointer)["x-kubernetes-preserve-unknown-fields"] = json!(true);
                }
                Loosen::AnyType(pointer) => {
                    *at(schema, pointer) = json!({"x-kubernetes-preserve-unknown-fields": true});
                }
                Loosen::Field(pointer, name) => at(schema, pointer)["properties"][name] = json!({"type": "string"}),
            }
        }
        at(schema, "/properties/spec")["properties"][PROBE] = json!({"type": "string"});
        let changed = ChangedCrd { cluster: self, original, restored: false };
        let name = object.metadata.name.clone().unwrap_or_default();
        crds.replace(&name, &PostParams::default(), &object).await.expect("replace the CRD");
        changed.wait_until("the loosened schema", true).await;
        changed
    }

    /// Deletes the CRD with this plural, with all objects of its kind.
    pub async fn without_crd(&self, plural: &str) -> ChangedCrd<'_> {
        let crds = self.crds();
        let name = format!("{plural}.config.openshift.io");
        let original = serde_json::to_value(crds.get(&name).await.expect("the CRD")).expect("JSON");
        let changed = ChangedCrd { cluster: self, original, restored: false };
        crds.delete(&name, &DeleteParams::default()).await.expect("delete the CRD");
        eventually("the CRD to be gone", async || match crds.get_opt(&name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        changed
    }

    fn crds(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        Api::all_with(self.client.clone(), &ApiResource::from_gvk(&kind))
    }
}

impl ChangedCrd<'_> {
    /// Restores the CRD, and waits until the API server applies it.
    pub async fn restore(mut self) {
        self.put_back();
        self.wait_until("the schema as it was", false).await;
    }

    fn put_back(&mut self) {
        self.restored = true;
        let mut original = self.original.clone();
        for field in ["resourceVersion", "uid", "creationTimestamp", "managedFields", "generation"] {
            original["metadata"].as_object_mut().expect("metadata").remove(field);
        }
        original.as_object_mut().expect("a CRD").remove("status");
        self.cluster.control_plane.apply_object(&original);
    }

    /// The API server applies a new schema some time after it was written; whether it preserves the probe shows which.
    async fn wait_until(&self, what: &str, loose: bool) {
        let names = &self.original["spec"]["names"];
        let (kind, plural) = (names["kind"].as_str().expect("a kind"), names["plural"].as_str().expect("a plural"));
        let gvk = GroupVersionKind::gvk("config.openshift.io", "v1", kind);
        let api: Api<DynamicObject> =
            Api::all_with(self.cluster.client.clone(), &ApiResource::from_gvk_with_plural(&gvk, plural));
        let probe = serde_json::from_value(json!({
            "apiVersion": "config.openshift.io/v1", "kind": kind, "metadata": {"name": "probe"},
            "spec": {"clusterID": "00000000-0000-4000-8000-000000000000", PROBE: "kept"},
        }));
        let probe = probe.expect("an object");
        eventually(what, async || {
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            let answer = api.create(&dry, &probe).await.map_err(|error| error.to_string())?;
            let kept = answer.data["spec"][PROBE] == "kept";
            if kept == loose { Ok(()) } else { Err(format!("the probe is kept: {kept}")) }
        })
        .await;
    }
}

impl Drop for ChangedCrd<'_> {
    fn drop(&mut self) {
        if !self.restored {
            self.put_back();
        }
    }
}

fn at<'a>(schema: &'a mut Value, pointer: &str) -> &'a mut Value {
    schema.pointer_mut(pointer).unwrap_or_else(|| panic!("the CRD's schema has no {pointer}"))
}
