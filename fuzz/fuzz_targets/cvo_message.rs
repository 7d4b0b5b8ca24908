//! Any text as the message by which a cluster-version operator refuses a patch update: the bridge forces it only where
//! the message, parsed in another way, names this release and nothing but overrides against it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use upgrade_gate::{api::ClusterVersion, gate::Authority, plan::bridge::candidate};
use upgrade_gate_fuzz::snapshot;

fuzz_target!(|message: &str| {
    let condition =
        json!({"type": "ReleaseAccepted", "status": "False", "reason": "PreconditionChecks", "message": message});
    let cluster_version = ClusterVersion::from_value(json!({
        "metadata": {"resourceVersion": "1"},
        "spec": {
            "desiredUpdate": {"version": "4.21.2"},
            "overrides": [{"kind": "Deployment", "name": "a", "unmanaged": true}],
        },
        "status": {
            "desired": {"version": "4.21.1", "image": "current"},
            "history": [{"state": "Completed", "version": "4.21.1", "image": "current"}],
            "conditions": [condition],
        },
    }))
    .expect("a ClusterVersion");
    if candidate(&snapshot(cluster_version, Authority::Shared, &[])).is_err() {
        return;
    }
    let head = message.strip_prefix("Preconditions failed for payload loaded version=\"4.21.2\" image=\"");
    let (image, body) = head.and_then(|rest| rest.split_once("\": ")).expect("the release that was asked for");
    let (name, digest) = image.split_once("@sha256:").expect("a digest");
    assert!(digest.len() == 64 && !name.contains([' ', '"', '\\']), "{image:?}");
    let mut blocked_by_overrides = false;
    for line in body.lines() {
        let Some(item) = line.strip_prefix("* ").unwrap_or(line).strip_prefix("Precondition \"") else { continue };
        if item.starts_with("ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\":") {
            blocked_by_overrides = true;
        } else if line.starts_with("* ") {
            assert!(item.starts_with("ClusterVersionRecommendedUpdate\" failed because of \""), "forced past {line:?}");
        }
    }
    assert!(blocked_by_overrides, "forced without overrides");
});
