//! The floor: a bare client that watches one kind and patches one condition on each event. No cache, no logic: what it
//! takes is what the API server and the client library take.

use std::path::Path;

use futures::TryStreamExt as _;
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject, Patch, PatchParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

/// The ClusterVersion that the floor writes to.
pub const NAME: &str = "floor";
/// The ClusterOperator that wakes it where it watches those.
pub const OPERATOR: &str = "floor";

/// As long as the operator's message about one override.
const MESSAGE: &str = "Disabling ownership via cluster version overrides prevents minor and major updates, and patch \
    updates stay allowed. Remove the overrides before asking for a minor or major update. Unmanaged: the bare client \
    says so without having looked, and fills the line up to the same length as the operator's own words have here.";

/// Runs until it is killed. `plural` is what it watches: ClusterVersions, or ClusterOperators.
pub async fn run(kubeconfig: &Path, plural: &str) -> Result<(), Box<dyn std::error::Error>> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let versions: Api<DynamicObject> = Api::all_with(client.clone(), &resource("ClusterVersion", "clusterversions"));
    let kind = if plural == "clusterversions" { "ClusterVersion" } else { "ClusterOperator" };
    let watched: Api<DynamicObject> = Api::all_with(client, &resource(kind, plural));
    let only = WatchParams::default().fields(&format!("metadata.name={NAME}"));
    let mut generation = 0;
    loop {
        let mut events = std::pin::pin!(watched.watch(&only, "0").await?);
        while let Some(event) = events.try_next().await? {
            let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { continue };
            // The echo of its own write isn't an event to answer, or it would never rest.
            if kind == "ClusterVersion" && object.metadata.generation == Some(generation) {
                continue;
            }
            generation = object.metadata.generation.unwrap_or_default();
            let said = match kind {
                "ClusterVersion" => generation.to_string(),
                _ => object.metadata.resource_version.unwrap_or_default(),
            };
            let blocked = object.data["spec"]["overrides"].as_array().is_some_and(|overrides| !overrides.is_empty());
            let params = PatchParams { field_manager: Some(NAME.to_owned()), ..PatchParams::default() };
            versions
                .patch_status(NAME, &params, &Patch::<Value>::Json(serde_json::from_value(patch(blocked, &said))?))
                .await?;
        }
    }
}

fn patch(blocked: bool, said: &str) -> Value {
    json!([{"op": "replace", "path": "/status/conditions/0", "value": {
        "type": "Upgradeable",
        "status": if blocked { "False" } else { "True" },
        "reason": said,
        "message": MESSAGE,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }}])
}

/// A kind of OpenShift's `config` group.
pub fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "config.openshift.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "config.openshift.io/v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}
