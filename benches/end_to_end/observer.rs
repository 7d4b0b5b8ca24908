//! Who takes the times: a watch of all ClusterVersions in a thread of its own, so that nothing else delays it.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use futures::TryStreamExt as _;
use kube::{
    Api, Client, Config,
    api::{DynamicObject, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};

use super::floor::resource;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was seen, and when.
pub struct Observer(Receiver<(Instant, DynamicObject)>);

impl Observer {
    /// Starts with what is there.
    pub fn start(kubeconfig: PathBuf) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
                let config =
                    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a config");
                let client = Client::try_from(config).expect("a client");
                let api: Api<DynamicObject> = Api::all_with(client, &resource("ClusterVersion", "clusterversions"));
                loop {
                    let watch = api.watch(&WatchParams::default().timeout(290), "0").await.expect("a watch");
                    let mut events = std::pin::pin!(watch);
                    while let Ok(Some(event)) = events.try_next().await {
                        let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { continue };
                        if sender.send((Instant::now(), object)).is_err() {
                            return;
                        }
                    }
                }
            });
        });
        Self(receiver)
    }

    /// When the first such version of this object was seen.
    pub fn until(&self, name: &str, what: &str, wanted: impl Fn(&DynamicObject) -> bool) -> Instant {
        let since = Instant::now();
        let mut last = None;
        while let Ok((at, object)) = self.0.recv_timeout(PATIENCE.saturating_sub(since.elapsed())) {
            if object.metadata.name.as_deref() == Some(name) {
                if wanted(&object) {
                    return at;
                }
                last = Some(object);
            }
        }
        panic!("{name}: {what} wasn't seen within {PATIENCE:?}; last was {last:?}")
    }

    /// Forgets what was seen so far.
    pub fn forget(&self) {
        while self.0.try_recv().is_ok() {}
    }
}
