//! The operator's own objects (its ClusterOperator and its UpdateRecords), and all of its writes.

use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use super::audit::Write;
use super::cluster::Cluster;
use super::control_plane::{NAME, NAMESPACE};
use super::{condition, eventually, pretty};

impl Cluster {
    /// The API of UpdateRecord, untyped.
    pub fn record_api(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("upgrade-gate.openshift.io", "v1alpha1", "UpdateRecord");
        Api::all_with(self.client.clone(), &ApiResource::from_gvk_with_plural(&kind, "updaterecords"))
    }

    /// All UpdateRecords, by name.
    pub async fn records(&self) -> Vec<Value> {
        let list = self.record_api().list(&ListParams::default()).await.expect("list the UpdateRecords");
        list.items.iter().map(|record| serde_json::to_value(record).expect("JSON")).collect()
    }

    /// Waits until the UpdateRecords are as `wanted`, and returns them.
    pub async fn records_are(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually(what, async || {
            let records = self.records().await;
            if wanted(&records) { Ok(records) } else { Err(format!("{records:#?}")) }
        })
        .await
    }

    /// Waits until there is one UpdateRecord, as `wanted`, and returns it.
    pub async fn record_is(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.records_are(what, |records| matches!(records, [record] if wanted(record))).await.remove(0)
    }

    /// The operator's own ClusterOperator, or null.
    pub async fn own_operator(&self) -> Value {
        let own = self.cluster_operators().get_opt(NAME).await.expect("get the ClusterOperator");
        serde_json::to_value(own).expect("JSON")
    }

    /// Waits until a condition of the operator's own ClusterOperator has this status and reason, and returns it.
    pub async fn own_condition(&self, type_: &str, status: &str, reason: &str) -> Value {
        eventually(&format!("{type_}={status} {reason} of our ClusterOperator"), async || {
            let operator = self.own_operator().await;
            let found = condition(&operator, type_).clone();
            if found["status"] == status && found["reason"] == reason { Ok(found) } else { Err(pretty(&operator)) }
        })
        .await
    }

    /// All write requests of the operator, except for its Lease and its events.
    pub async fn all_operator_writes(&self) -> Vec<Write> {
        let user = format!("system:serviceaccount:{NAMESPACE}:{NAME}");
        let mut writes = self.writes().await;
        writes.retain(|write| write.user == user && !matches!(&*write.resource, "leases" | "events"));
        writes
    }

    /// Waits until the operator has written nothing for 400 ms, except for its Lease and its events.
    pub async fn wait_until_operator_is_idle(&self) {
        let mut before = usize::MAX;
        let mut since = Instant::now();
        self.touch_until("the operator to have nothing to write", async || {
            let writes = self.all_operator_writes().await.len();
            if writes != before {
                (before, since) = (writes, Instant::now());
            }
            if since.elapsed() > Duration::from_millis(400) { Ok(()) } else { Err(format!("{writes} writes so far")) }
        })
        .await;
    }

    /// Asserts that the operator writes nothing in this time, except for its Lease and its events. Others may write.
    pub async fn assert_operator_writes_nothing_for(&self, duration: Duration) {
        let before = self.all_operator_writes().await.len();
        let since = Instant::now();
        let mut ticks = interval(Duration::from_millis(250));
        while since.elapsed() < duration {
            ticks.tick().await;
            self.touch().await;
        }
        let writes = self.all_operator_writes().await;
        assert_eq!(writes.len(), before, "the operator wrote while idle: {:#?}", &writes[before..]);
    }

    /// Changes an annotation of the ClusterVersion, so that watchers get an event.
    pub async fn touch(&self) {
        let touch = json!({"metadata": {"annotations": {"example.com/touch": jiff::Timestamp::now().to_string()}}});
        let params = PatchParams { field_manager: Some("touch".to_owned()), ..PatchParams::default() };
        self.cluster_versions()
            .patch("version", &params, &Patch::Merge(touch))
            .await
            .expect("touch the ClusterVersion");
    }

    /// [`eventually`], with a [`touch`](Self::touch) now and then, so that the operator does not wait for its resync. The
    /// intervals grow: an operator that is slower than they are would meet a conflict with each of its writes.
    pub async fn touch_until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
        let (mut touched, mut wait) = (Instant::now(), Duration::from_millis(150));
        eventually(what, async || {
            let found = look().await;
            if found.is_err() && touched.elapsed() > wait {
                (touched, wait) = (Instant::now(), Duration::from_secs(2).min(wait * 3 / 2));
                self.touch().await;
            }
            found
        })
        .await
    }
}
