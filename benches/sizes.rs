//! Clusters of the sizes that the figures are about. All of it is literal: nothing here is made by the code under measure.
#![allow(dead_code, reason = "each bench uses a part of it")]

use serde_json::{Value, json};

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// ClusterOperators.
    pub operators: usize,
    /// Entries of `status.availableUpdates`.
    pub available: usize,
    /// Entries of `status.conditionalUpdates`, each with two risks.
    pub conditional: usize,
    /// Entries of `status.history`.
    pub history: usize,
}

/// A cluster as they are.
pub const REAL: Size = Size { operators: 36, available: 20, conditional: 0, history: 30 };
/// A cluster as none is.
pub const LARGE: Size = Size { operators: 1000, available: 20, conditional: 500, history: 100 };

/// The release image of a version.
pub fn image(version: &str) -> String {
    let digest = version.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("registry.example.com/openshift/release@sha256:{digest:0>64}")
}

fn release(version: &str) -> Value {
    json!({
        "version": version,
        "image": image(version),
        "url": "https://access.example.com/errata/RHSA-2026:1234",
        "channels": ["candidate-4.21", "eus-4.21", "fast-4.21", "stable-4.21"],
    })
}

/// Spec and status of a ClusterVersion at 4.21.1, with one unmanaged override.
pub fn cluster_version(size: Size) -> Value {
    let patches = (2..).map(|patch| format!("4.21.{patch}")).take(size.available.saturating_sub(2));
    let available: Vec<Value> =
        patches.chain(["4.22.0".to_owned(), "5.0.0".to_owned()]).take(size.available).map(|v| release(&v)).collect();
    let conditional: Vec<Value> = (0..size.conditional)
        .map(|number| {
            let risk = |name: &str| {
                json!({
                    "name": format!("{name}{number}"),
                    "url": "https://issues.example.com/browse/OCPBUGS-12345",
                    "message": "Clusters with this kind of network may lose connections to a part of their nodes while they update.",
                    "matchingRules": [{"type": "Always"}],
                })
            };
            json!({
                "release": release(&format!("4.21.{}", 100 + number)),
                "risks": [risk("NetworkRisk"), risk("StorageRisk")],
                "conditions": [{"type": "Recommended", "status": "False", "reason": "MultipleReasons",
                    "message": "It is not recommended.", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            })
        })
        .collect();
    let history: Vec<Value> = (0..size.history)
        .map(|number| {
            let version = if number == 0 { "4.21.1".to_owned() } else { format!("4.20.{}", 200 - number) };
            json!({"state": "Completed", "startedTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:00Z",
                "version": version, "image": image(&version), "verified": true})
        })
        .collect();
    let condition = |kind: &str, status: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": "AsExpected", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    json!({
        "spec": {"channel": "stable-4.21", "clusterID": "00000000-0000-4000-8000-000000000000", "overrides": [policy_override()]},
        "status": {
            "desired": release("4.21.1"),
            "observedGeneration": 1,
            "versionHash": "bench",
            "availableUpdates": available,
            "conditionalUpdates": conditional,
            "history": history,
            "conditions": [
                condition("Available", "True", "Done applying 4.21.1"),
                condition("Failing", "False", ""),
                condition("ImplicitlyEnabledCapabilities", "False", "Capabilities match configured spec"),
                condition("Progressing", "False", "Cluster version is 4.21.1"),
                condition("RetrievedUpdates", "True", ""),
            ],
        },
    })
}

/// The override that this project is about.
pub fn policy_override() -> Value {
    json!({"group": "config.openshift.io", "kind": "ClusterImagePolicy", "name": "openshift", "namespace": "", "unmanaged": true})
}

/// A ClusterOperator of about `bytes` bytes of JSON, as it comes off the wire.
pub fn cluster_operator(number: usize, bytes: usize) -> Value {
    let condition = |kind: &str, status: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": "AsExpected", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let mut operator = json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": "ClusterOperator",
        "metadata": {"name": format!("operator-{number:04}")},
        "spec": {},
        "status": {
            "conditions": [
                condition("Available", "True", "All is well"),
                condition("Degraded", "False", ""),
                condition("Progressing", "False", ""),
                condition("Upgradeable", "True", ""),
            ],
            "versions": [{"name": "operator", "version": "4.21.1"}],
            "relatedObjects": [],
        },
    });
    let related = json!({"group": "apps", "resource": "deployments", "namespace": format!("openshift-operator-{number:04}"), "name": "controller"});
    let missing = bytes.saturating_sub(operator.to_string().len());
    operator["status"]["relatedObjects"] = json!(vec![&related; missing / (related.to_string().len() + 1)]);
    operator
}
