//! Every version of the ClusterVersion that a watch shows, so that a test can tell what was there for a moment only.

use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use kube::Api;
use kube::api::{DynamicObject, WatchEvent, WatchParams};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::eventually;

/// A running record; it ends when dropped.
pub struct Versions {
    api: Api<DynamicObject>,
    seen: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Versions {
    /// Starts with the version that is there now.
    pub(super) async fn record(api: Api<DynamicObject>) -> Self {
        let now = api.get("version").await.expect("a ClusterVersion");
        let seen = Arc::new(Mutex::new(vec![value(&now)]));
        let (watched, sink) = (api.clone(), Arc::clone(&seen));
        let since = now.metadata.resource_version.unwrap_or_default();
        let task = tokio::spawn(async move {
            let only = WatchParams::default().fields("metadata.name=version").timeout(290);
            let stream = watched.watch(&only, &since).await.expect("a watch");
            let mut stream = std::pin::pin!(stream);
            while let Ok(Some(event)) = stream.try_next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) = event {
                    sink.lock().unwrap_or_else(PoisonError::into_inner).push(value(&object));
                }
            }
        });
        Self { api, seen, task }
    }

    /// All versions up to the one that is there now, oldest first.
    pub async fn so_far(&self) -> Vec<Value> {
        let now = self.api.get("version").await.expect("a ClusterVersion").metadata.resource_version;
        eventually("the watch to catch up", async || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let caught_up =
                seen.iter().any(|version| version["metadata"]["resourceVersion"].as_str() == now.as_deref());
            if caught_up { Ok(seen) } else { Err(format!("{} versions, not yet {now:?}", seen.len())) }
        })
        .await
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("JSON")
}
