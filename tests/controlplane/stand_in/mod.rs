//! Tests of the stand-in for the stock CVO against known facts about the real one. No upgrade-gate runs here.

mod carried_force;
mod force;
mod preconditions;
mod records;
mod requests;
mod resolving;
mod restarts;
mod same_update;
mod throttle;
mod upgradeable;
mod writing;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cvo::{self, Cvo, Params, Profile};
use crate::support::{self, Cluster, condition, fixtures};

const PROFILES: [Profile; 3] = [Profile::V4_21, Profile::V4_22, Profile::Main];

/// A stand-in that acts only on events: no retry, no resync, and `Upgradeable` computed once.
const EVENTS_ONLY: Params = Params {
    retry: Duration::from_hours(1),
    throttle: Duration::from_hours(1),
    resync: None,
    lease: None,
    complete_after: None,
    release: None,
};

/// [`EVENTS_ONLY`], but `Upgradeable` is computed all the time.
const PROMPT: Params = Params { throttle: Duration::ZERO, resync: Some(Duration::from_millis(10)), ..EVENTS_ONLY };

/// A cluster at 4.21.1 with an override, and the stand-in.
async fn under_overrides(profile: Profile) -> (Cluster, Cvo) {
    start(fixtures::cluster_with_override(), profile, EVENTS_ONLY).await
}

async fn start(cluster_version: Value, profile: Profile, params: Params) -> (Cluster, Cvo) {
    let cluster = support::cluster_as(cvo::MANAGER, cluster_version).await;
    let cvo = Cvo::start(&cluster, profile, params).await;
    (cluster, cvo)
}

/// Requests an update as `oc adm upgrade --to` does; returns the ClusterVersion once the stand-in is idle.
async fn request(cluster: &Cluster, cvo: &Cvo, version: &str) -> Value {
    cluster.request(version, &fixtures::image(version)).await;
    settled(cluster, cvo).await
}

/// A merge patch of `spec.desiredUpdate`; returns the ClusterVersion once the stand-in is idle.
async fn patch_request(cluster: &Cluster, cvo: &Cvo, patch: Value) -> Value {
    cluster.patch(json!({"spec": {"desiredUpdate": patch}})).await;
    settled(cluster, cvo).await
}

async fn settled(cluster: &Cluster, cvo: &Cvo) -> Value {
    cvo.wait_until_idle().await;
    cluster.cluster_version().await
}

/// `TYPE=STATUS REASON` of a condition, empty if there is none.
fn said(cluster_version: &Value, type_: &str) -> String {
    match condition(cluster_version, type_) {
        Value::Null => String::new(),
        condition => format!("{type_}={} {}", text(&condition["status"]), text(&condition["reason"])),
    }
}

/// `ReleaseAccepted`'s message.
fn message(cluster_version: &Value) -> &str {
    text(&condition(cluster_version, "ReleaseAccepted")["message"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The history as `STATE VERSION`, newest first.
fn history(cluster_version: &Value) -> Vec<String> {
    let history = cluster_version["status"]["history"].as_array().unwrap();
    history.iter().map(|entry| format!("{} {}", text(&entry["state"]), text(&entry["version"]))).collect()
}

const BLOCKED: &str = "ReleaseAccepted=False PreconditionChecks";
const ACCEPTED: &str = "ReleaseAccepted=True PayloadLoaded";
