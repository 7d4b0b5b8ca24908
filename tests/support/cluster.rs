//! Exclusive use of the shared control plane for one test: a clean start, and the writes of other users (the administrator,
//! `oc`, the cluster-version operator, the cluster operators).

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Client, Error};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, interval};

use super::audit::{self, Write};
use super::control_plane::{ControlPlane, NAME, NAMESPACE};
use super::cvo;
use super::policy::Policy;
use super::versions::Versions;
use super::{eventually, pretty};

/// The ConfigMaps of the payload's gates and of the administrator's acknowledgements.
const GATES: (&str, &str) = ("openshift-config-managed", "admin-gates");
const ACKS: (&str, &str) = ("openshift-config", "admin-acks");

/// A cluster has one ClusterVersion, so tests run one after another.
static TURN: Mutex<()> = Mutex::const_new(());

/// A cluster for one test alone, until this is dropped.
pub struct Cluster {
    /// The shared control plane.
    pub control_plane: &'static ControlPlane,
    /// The administrator's client.
    pub client: Client,
    audit_mark: u64,
    /// The ClusterVersion's resourceVersion at `mark`.
    version_mark: Option<String>,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for exclusive use, then returns a cluster with this ClusterVersion (spec and, if given, status), without
/// ClusterOperators, events and Leases, and with empty ConfigMaps admin-gates and admin-acks. The policy is not bound, since
/// most tests that request a minor update are about the operator.
pub async fn cluster(cluster_version: Value) -> Cluster {
    cluster_as("fixture", cluster_version).await
}

/// [`cluster`], with a status written by this field manager.
pub async fn cluster_as(manager: &str, cluster_version: Value) -> Cluster {
    clean_cluster(Policy::Unbound, manager, cluster_version).await
}

/// [`cluster`], with the policies of `deploy/base` bound.
pub async fn cluster_with_policy(cluster_version: Value) -> Cluster {
    clean_cluster(Policy::Bound, "fixture", cluster_version).await
}

async fn clean_cluster(policy: Policy, manager: &str, cluster_version: Value) -> Cluster {
    let turn = TURN.lock().await;
    let control_plane = ControlPlane::get();
    let client = control_plane.client().await;
    let mut cluster = Cluster { control_plane, client, audit_mark: 0, version_mark: None, _turn: turn };
    cluster.clean().await;
    cluster.set_policy(policy).await;
    cluster.create(manager, cluster_version).await;
    cluster.audit_mark = audit::mark(&cluster.client, &control_plane.audit_log()).await;
    cluster.version_mark = cluster.resource_version().await;
    cluster
}

impl Cluster {
    /// The API of ClusterVersion, untyped.
    pub fn cluster_versions(&self) -> Api<DynamicObject> {
        self.openshift("ClusterVersion", "clusterversions")
    }

    /// The API of ClusterOperator, untyped.
    pub fn cluster_operators(&self) -> Api<DynamicObject> {
        self.openshift("ClusterOperator", "clusteroperators")
    }

    /// Creates the ClusterVersion. If it has a status, this field manager writes it.
    pub async fn create(&self, manager: &str, mut cluster_version: Value) {
        let status = cluster_version.as_object_mut().expect("an object").remove("status");
        cluster_version["apiVersion"] = json!("config.openshift.io/v1");
        cluster_version["kind"] = json!("ClusterVersion");
        cluster_version["metadata"]["name"] = json!("version");
        let object = serde_json::from_value(cluster_version).expect("a ClusterVersion");
        self.cluster_versions().create(&PostParams::default(), &object).await.expect("create the ClusterVersion");
        if let Some(status) = status {
            self.put_status(manager, |current| *current = status.clone()).await;
        }
    }

    /// Deletes the ClusterVersion.
    pub async fn delete(&self) {
        deleted_or_absent(self.cluster_versions().delete("version", &DeleteParams::default()).await);
    }

    /// The current ClusterVersion.
    pub async fn cluster_version(&self) -> Value {
        value(&self.cluster_versions().get("version").await.expect("the ClusterVersion"))
    }

    /// Waits until the ClusterVersion is as `wanted`, and returns it.
    pub async fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let seen = self.cluster_version().await;
            if wanted(&seen) { Ok(seen) } else { Err(pretty(&seen)) }
        })
        .await
    }

    /// A merge patch of the ClusterVersion, as an administrator does it.
    pub async fn patch(&self, patch: Value) -> Value {
        self.try_patch(patch).await.expect("patch the ClusterVersion")
    }

    /// [`Self::patch`], if the API server may reject it.
    pub async fn try_patch(&self, patch: Value) -> Result<Value, Error> {
        let params = PatchParams { field_manager: Some("kubectl-patch".to_owned()), ..PatchParams::default() };
        self.cluster_versions().patch("version", &params, &Patch::Merge(patch)).await.map(|object| value(&object))
    }

    /// Requests an update as `oc adm upgrade` does, which replaces `desiredUpdate`. Version or image may be empty.
    pub async fn request(&self, version: &str, image: &str) -> Value {
        let update = json!({"architecture": "", "version": version, "image": image, "force": false});
        self.patch(json!({"spec": {"desiredUpdate": update}})).await
    }

    /// Replaces `spec.overrides`.
    pub async fn set_overrides(&self, overrides: Value) -> Value {
        self.patch(json!({"spec": {"overrides": overrides}})).await
    }

    /// A merge patch of the status by this field manager.
    pub async fn patch_status(&self, manager: &str, status: Value) -> Value {
        let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"status": status}));
        let written = self.cluster_versions().patch_status("version", &params, &patch).await;
        value(&written.expect("patch the status of the ClusterVersion"))
    }

    /// The result of a merge patch of the status, as a dry run.
    pub async fn dry_run_status(&self, patch: &Value) -> Result<Value, Error> {
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        let answer = self.cluster_versions().patch_status("version", &params, &Patch::Merge(patch)).await;
        answer.map(|object| value(&object))
    }

    /// Reads, changes and PUTs the whole status as the CVO does, by this field manager. Retries on a conflict.
    pub async fn put_status(&self, manager: &str, mut change: impl FnMut(&mut Value)) -> Value {
        let params = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
        let api = self.cluster_versions();
        eventually("a PUT of the status without a conflict", async || {
            let mut object = api.get("version").await.map_err(|error| error.to_string())?;
            change(&mut object.data["status"]);
            match api.replace_status("version", &params, &object).await {
                Ok(written) => Ok(value(&written)),
                Err(Error::Api(status)) if status.code == 409 => Err(status.message.clone()),
                Err(error) => panic!("can't PUT the status: {error}"),
            }
        })
        .await
    }

    /// Creates the ClusterOperator if it does not exist, and sets its conditions to these.
    pub async fn put_cluster_operator(&self, name: &str, conditions: Value) {
        let api = self.cluster_operators();
        let bare = json!({"apiVersion": "config.openshift.io/v1", "kind": "ClusterOperator",
            "metadata": {"name": name}, "spec": {}});
        let params = PatchParams::apply("fixture").force();
        let mut object = api.patch(name, &params, &Patch::Apply(&bare)).await.expect("apply a ClusterOperator");
        object.data["status"] = json!({"conditions": conditions});
        api.replace_status(name, &PostParams::default(), &object).await.expect("PUT a ClusterOperator's status");
    }

    /// Deletes a ClusterOperator.
    pub async fn delete_cluster_operator(&self, name: &str) {
        deleted_or_absent(self.cluster_operators().delete(name, &DeleteParams::default()).await);
    }

    /// Sets the data of ConfigMap `openshift-config-managed/admin-gates`; null deletes it.
    pub async fn set_admin_gates(&self, data: Value) {
        self.set_config_map(GATES, data).await;
    }

    /// Sets the data of ConfigMap `openshift-config/admin-acks`; null deletes it.
    pub async fn set_admin_acks(&self, data: Value) {
        self.set_config_map(ACKS, data).await;
    }

    /// The operator's Lease.
    pub async fn lease(&self) -> Option<Value> {
        let api = Api::<Lease>::namespaced(self.client.clone(), NAMESPACE);
        api.get_opt(NAME).await.expect("get the Lease").map(|lease| value(&lease))
    }

    /// The events about the ClusterVersion, oldest first. Events about cluster-scoped objects are in namespace `default`.
    pub async fn events(&self) -> Vec<Value> {
        let about = ListParams::default().fields("involvedObject.kind=ClusterVersion");
        let list = Api::<Event>::namespaced(self.client.clone(), "default").list(&about).await.expect("list events");
        let mut events: Vec<Value> = list.items.iter().map(value).collect();
        events.sort_by_key(|event| event["eventTime"].to_string());
        events
    }

    /// Waits until the events about the ClusterVersion have these reasons, in this order, and returns them.
    pub async fn events_are(&self, reasons: &[&str]) -> Vec<Value> {
        eventually(&format!("events {reasons:?}"), async || {
            let events = self.events().await;
            if events.iter().map(|event| &event["reason"]).eq(reasons) {
                Ok(events)
            } else {
                Err(format!("{events:#?}"))
            }
        })
        .await
    }

    /// All write requests since the start of this test, in the order of the answers.
    ///
    /// The API server logs a write only after others can read it. So this waits until the log has the write that made the
    /// current ClusterVersion.
    pub async fn writes(&self) -> Vec<Write> {
        let now = self.resource_version().await;
        eventually("the write of the current ClusterVersion in the audit log", async || {
            let writes = audit::writes_since(&self.client, &self.control_plane.audit_log(), self.audit_mark).await;
            let is_last = |write: &Write| write.response["metadata"]["resourceVersion"].as_str() == now.as_deref();
            let complete = now.is_none() || now == self.version_mark || writes.iter().any(is_last);
            if complete { Ok(writes) } else { Err(format!("{} writes, none of {now:?}", writes.len())) }
        })
        .await
    }

    async fn resource_version(&self) -> Option<String> {
        let object = self.cluster_versions().get_opt("version").await.expect("get the ClusterVersion");
        object.and_then(|object| object.metadata.resource_version)
    }

    /// The operator's writes to the ClusterVersion.
    pub async fn operator_writes(&self) -> Vec<Write> {
        let user = format!("system:serviceaccount:{NAMESPACE}:{NAME}");
        let mut writes = self.writes().await;
        writes.retain(|write| write.user == user && write.resource.starts_with("clusterversions"));
        writes
    }

    /// Starts recording the versions of the ClusterVersion.
    pub async fn record(&self) -> Versions {
        Versions::record(self.cluster_versions()).await
    }

    /// Asserts that there is no write request for the ClusterVersion in this time, not even a failed one.
    pub async fn assert_not_written_for(&self, duration: Duration) {
        let before = self.cluster_version().await;
        let attempts = self.operator_writes().await.len();
        let since = Instant::now();
        let mut ticks = interval(Duration::from_millis(200));
        while since.elapsed() < duration {
            ticks.tick().await;
            let now = self.cluster_version().await;
            assert_eq!(pretty(&before), pretty(&now), "the ClusterVersion changed while idle");
        }
        let writes = self.operator_writes().await;
        assert_eq!(writes.len(), attempts, "the operator wrote while idle: {:#?}", writes.last());
    }

    async fn set_config_map(&self, (namespace, name): (&str, &str), data: Value) {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), namespace);
        deleted_or_absent(api.delete(name, &DeleteParams::default()).await);
        if !data.is_null() {
            let object = json!({"metadata": {"name": name}, "data": data});
            let object = serde_json::from_value(object).expect("a ConfigMap");
            api.create(&PostParams::default(), &object).await.expect("create a ConfigMap");
        }
    }

    async fn clean(&self) {
        let (delete, all) = (DeleteParams::default(), ListParams::default());
        self.delete().await;
        self.cluster_operators().delete_collection(&delete, &all).await.expect("delete the ClusterOperators");
        let records = GroupVersionKind::gvk("upgrade-gate.openshift.io", "v1alpha1", "UpdateRecord");
        let records = ApiResource::from_gvk_with_plural(&records, "updaterecords");
        let records = Api::<DynamicObject>::all_with(self.client.clone(), &records);
        deleted_or_absent(records.delete_collection(&delete, &all).await);
        let events = Api::<Event>::namespaced(self.client.clone(), "default");
        events.delete_collection(&delete, &all).await.expect("delete the events");
        for (namespace, name) in [(NAMESPACE, NAME), (cvo::NAMESPACE, "version")] {
            deleted_or_absent(Api::<Lease>::namespaced(self.client.clone(), namespace).delete(name, &delete).await);
        }
        self.set_admin_gates(json!({})).await;
        self.set_admin_acks(json!({})).await;
    }

    fn openshift(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("config.openshift.io", "v1", kind);
        Api::all_with(self.client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
    }
}

pub(super) fn deleted_or_absent<T>(result: Result<T, Error>) {
    match result {
        Ok(_) => {}
        Err(Error::Api(status)) if status.code == 404 => {}
        Err(error) => panic!("can't delete: {error}"),
    }
}

fn value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("JSON")
}
