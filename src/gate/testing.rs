//! Small inputs for the table tests of the gate.

use serde_json::{Value, json};

use crate::{
    api::{ClusterVersion, Release},
    gate::{Authority, Risk, Snapshot, Source, Target, TargetVerdict, evaluate, preconditions, risks::Upgradeable},
};

pub fn cluster_version_from(value: Value) -> ClusterVersion {
    ClusterVersion::from_value(value).unwrap()
}

/// A cluster at `current` whose history goes back through `before`, newest first, all completed.
pub fn cluster_version(current: &str, before: &[&str]) -> ClusterVersion {
    let entry = |version: &&str| json!({"state": "Completed", "version": version, "image": format!("image-{version}")});
    let history: Vec<Value> = std::iter::once(&current).chain(before).map(entry).collect();
    cluster_version_from(json!({
        "spec": {"channel": "stable"},
        "status": {"desired": {"version": current, "image": format!("image-{current}")}, "history": history},
    }))
}

/// The image of 4.21.2 in [`asked`].
pub const TWO: &str = "r.example.com/release@sha256:2222222222222222222222222222222222222222222222222222222222222222";

/// A cluster under an override that came from 4.21.0 to 4.21.1, with this request and these conditions.
pub fn asked(request: &Value, conditions: &Value) -> Value {
    json!({
        "metadata": {"uid": "u", "resourceVersion": "7", "generation": 3},
        "spec": {
            "channel": "stable-4.21",
            "desiredUpdate": request,
            "overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}],
        },
        "status": {
            "observedGeneration": 2,
            "desired": {"version": "4.21.1", "image": "one"},
            "history": [{"state": "Completed", "version": "4.21.1", "image": "one", "startedTime": "s1"},
                        {"state": "Completed", "version": "4.21.0", "image": "zero", "startedTime": "s0"}],
            "availableUpdates": [{"version": "4.21.2", "image": TWO}],
            "conditions": conditions,
        },
    })
}

/// A Snapshot in which every source was read, and all but the ClusterVersion are empty.
pub fn snapshot(cluster_version: ClusterVersion) -> Snapshot {
    Snapshot {
        now: jiff::Timestamp::UNIX_EPOCH,
        cluster_version,
        cluster_operators: Source::Read(Vec::new()),
        admin_gates: Source::Read(Some([].into())),
        admin_acks: Source::Read(Some([].into())),
        authority: Authority::Shared,
        targets: Vec::new(),
    }
}

/// [`snapshot`] of an object as the API server stores it, in which the request is the one target.
pub fn requested(object: &Value) -> Snapshot {
    let cluster_version = cluster_version_from(object.clone());
    Snapshot { targets: Target::requested(&cluster_version).into_iter().collect(), ..snapshot(cluster_version) }
}

pub fn evaluate_to(cluster_version: &ClusterVersion, target: &str) -> TargetVerdict {
    let mut snapshot = snapshot(cluster_version.clone());
    snapshot.targets.push(Target::named(target));
    evaluate(&snapshot).targets.remove(0)
}

/// The reason of one precondition against a version, with the prefix `warns ` if it does not block.
pub fn finding(check: preconditions::Precondition, cluster_version: &ClusterVersion, target: &str) -> Option<String> {
    let target = Release { version: target.to_owned(), ..Release::default() };
    let context = preconditions::Context { cluster_version, upgradeable: &Upgradeable::Yes, target: &target };
    check(&context).map(|found| if found.blocks { found.reason } else { format!("warns {}", found.reason) })
}

pub fn risk_names(risks: &[Risk]) -> Vec<&str> {
    risks.iter().map(|risk| risk.name.as_str()).collect()
}
