//! Every version of the ClusterVersion that a watch delivers, so that a test also sees short-lived states.

use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use kube::Api;
use kube::api::{DynamicObject, WatchEvent, WatchParams};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{DEADLINE, eventually};

/// A running recording, stopped when dropped.
pub struct Versions {
    api: Api<DynamicObject>,
    seen: Arc<Mutex<Vec<Value>>>,
    news: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Versions {
    /// Starts with the current version.
    pub(super) async fn record(api: Api<DynamicObject>) -> Self {
        let now = api.get("version").await.expect("a ClusterVersion");
        let seen = Arc::new(Mutex::new(vec![value(&now)]));
        let news = Arc::new(Notify::new());
        let (watched, sink, notify) = (api.clone(), Arc::clone(&seen), Arc::clone(&news));
        let since = now.metadata.resource_version.unwrap_or_default();
        let task = tokio::spawn(async move {
            let only = WatchParams::default().fields("metadata.name=version").timeout(290);
            let stream = watched.watch(&only, &since).await.expect("a watch");
            let mut stream = std::pin::pin!(stream);
            while let Ok(Some(event)) = stream.try_next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) = event {
                    sink.lock().unwrap_or_else(PoisonError::into_inner).push(value(&object));
                    notify.notify_waiters();
                }
            }
        });
        Self { api, seen, news, task }
    }

    /// Waits until the watch has delivered such a version, and returns it at once.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                let news = self.news.notified();
                let seen =
                    self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|cv| wanted(cv)).cloned();
                if let Some(seen) = seen {
                    return seen;
                }
                news.await;
            }
        };
        timeout(DEADLINE, found).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for: {what}"))
    }

    /// All versions up to the current one, oldest first.
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
