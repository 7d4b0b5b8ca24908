//! The cluster that most tests start from, and the pieces to change it with. All of it is literal: no value here is
//! computed by the code under test.

use serde_json::{Value, json};

/// The time of everything in a fixture.
pub const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// A cluster at 4.21.1, updated from 4.21.0, without overrides; 4.21.2, 4.22.0 and 5.0.0 are available.
pub fn cluster() -> Value {
    json!({
        "spec": {"channel": "stable-4.21", "clusterID": "00000000-0000-4000-8000-000000000000"},
        "status": {
            "desired": release("4.21.1"),
            "observedGeneration": 1,
            "versionHash": "fixture",
            "availableUpdates": [release("5.0.0"), release("4.22.0"), release("4.21.2")],
            "conditions": [
                condition("Available", "True", "", "Done applying 4.21.1"),
                condition("Failing", "False", "", ""),
                condition("Progressing", "False", "", "Cluster version is 4.21.1"),
                condition("RetrievedUpdates", "True", "", ""),
            ],
            "history": [completed("4.21.1"), completed("4.21.0")],
        },
    })
}

/// [`cluster`], with the policy on image signatures switched off.
pub fn cluster_with_override() -> Value {
    let mut cluster = cluster();
    cluster["spec"]["overrides"] = json!([policy_override()]);
    cluster
}

/// The override that switches off the policy on image signatures.
pub fn policy_override() -> Value {
    json!({
        "group": "config.openshift.io",
        "kind": "ClusterImagePolicy",
        "name": "openshift",
        "namespace": "",
        "unmanaged": true,
    })
}

/// The release image of a version: one digest for each, so that image-only requests can be distinguished.
pub fn image(version: &str) -> String {
    let digest = version.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("registry.example.com/openshift/release@sha256:{digest:0>64}")
}

/// A release as in `status.desired` and `availableUpdates`.
pub fn release(version: &str) -> Value {
    json!({"version": version, "image": image(version)})
}

/// A completed entry of the history.
pub fn completed(version: &str) -> Value {
    json!({
        "state": "Completed",
        "startedTime": LONG_AGO,
        "completionTime": LONG_AGO,
        "version": version,
        "image": image(version),
        "verified": true,
    })
}

/// A condition with an old transition time.
pub fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": LONG_AGO})
}

/// The item of the CVO's message that reports overrides as a failed precondition.
pub const OVERRIDES_ITEM: &str = "Precondition \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\": \
    Overrides in spec.overrides prevent updates. Remove them before you update.";

/// The message of a CVO that refuses a release because these preconditions failed.
pub fn refusal_message(version: &str, image: &str, items: &[&str]) -> String {
    let head = format!("Preconditions failed for payload loaded version=\"{version}\" image=\"{image}\": ");
    match items {
        [one] => format!("{head}{one}"),
        several => format!("{head}Multiple precondition checks failed:\n* {}", several.join("\n* ")),
    }
}

/// [`refusal_message`] in `ReleaseAccepted`.
pub fn refusal(version: &str, image: &str, items: &[&str]) -> Value {
    condition("ReleaseAccepted", "False", "PreconditionChecks", &refusal_message(version, image, items))
}
