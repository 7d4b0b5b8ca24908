//! A must-gather of 50 MB: the verdict has to be correct with any other files in it. `cargo bench --bench check` measures the
//! cost; no test asserts a time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

use std::{fmt::Write as _, fs, path::Path, process::Command};

use serde_json::Value;

const MEGABYTES: usize = 50;
const GATE: &str = "ack-4.21-kube-1.35-api-removals-in-4.22";
/// Digests of the two updates.
const PATCH: &str = "2222222222222222222222222222222222222222222222222222222222222222";
const MINOR: &str = "3333333333333333333333333333333333333333333333333333333333333333";
const POLICY: &str = "{group: config.openshift.io, kind: ClusterImagePolicy, name: openshift, unmanaged: true}";

fn cluster_version(current: &str) -> String {
    format!(
        "apiVersion: config.openshift.io/v1\nkind: ClusterVersion\nmetadata:\n  name: version\nspec:\n  channel: \
         stable-4.21\n  overrides:\n  - {POLICY}\nstatus:\n  desired: {{version: {current}, image: current}}\n  \
         availableUpdates:\n  - {{version: 4.21.2, image: \"r@sha256:{PATCH}\"}}\n  - {{version: 4.22.0, image: \"r@sha256:{MINOR}\"}}\n"
    )
}

fn config_map(namespace: &str, name: &str, data: &str) -> String {
    format!(
        "- apiVersion: v1\n  data:\n{data}  kind: ConfigMap\n  metadata:\n    creationTimestamp: \
         \"2026-05-04T09:30:00Z\"\n    managedFields:\n    - apiVersion: v1\n      fieldsType: FieldsV1\n      \
         manager: someone\n    name: {name}\n    namespace: {namespace}\n"
    )
}

/// Texts that would be misread if a file were split at the wrong line: a ClusterVersion, a List, acknowledgements.
fn trap(round: usize) -> String {
    let indented =
        |text: String, by: usize| -> String { text.lines().map(|line| " ".repeat(by) + line + "\n").collect() };
    let acks = config_map("openshift-config", "admin-acks", &format!("    {GATE}: \"true\"\n"));
    let mut data = String::from("    cluster.yaml: |\n");
    data += &indented(cluster_version("4.20.1"), 6);
    data += "      ---\n      items:\n";
    data += &indented(acks, 6);
    let _ = write!(
        data,
        "    double.json: \"{{\\\"kind\\\": \\\"ClusterVersion\\\",\n\n      kind: ClusterVersion\n      \\\n      \
         round {round}\"\n    plain: word\n      kind ClusterVersion\n    single: 'it''s\n\n      - kind: \
         ClusterVersion'\n    keep: |2+\n\n        kind: ClusterVersion\n      # no comment\n\n"
    );
    data += "    dashboard.json: |-\n";
    for panel in 0..400 {
        let _ = writeln!(data, "      {{\"id\": {panel}, \"title\": \"etcd\", \"targets\": [{{\"expr\": \"up\"}}]}},");
    }
    data
}

fn must_gather(folder: &Path) {
    let write = |path: &str, text: &str| {
        let path = folder.join("quay-io-openshift-sha256-0d1e").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("cluster-scoped-resources/config.openshift.io/clusterversions/version.yaml", &cluster_version("4.21.1"));
    let list = |items: &str| {
        format!("---\napiVersion: v1\nitems:\n{items}kind: ConfigMapList\nmetadata:\n  resourceVersion: \"1\"\n")
    };
    let gate = config_map(
        "openshift-config-managed",
        "admin-gates",
        &format!("    {GATE}: Removals, see https://example.com/a.\n"),
    );
    let acks = config_map("openshift-config", "admin-acks", "    ack-4.20-other: \"true\"\n");
    let mut items = String::with_capacity(MEGABYTES << 20);
    let mut round = 0;
    while items.len() < MEGABYTES << 20 {
        items += &config_map("openshift-monitoring", &format!("dashboard-{round}"), &trap(round));
        if round == 600 {
            items += &gate;
        }
        round += 1;
    }
    write("namespaces/openshift-config-managed/core/configmaps.yaml", &list(&items));
    write("namespaces/openshift-config/core/configmaps.yaml", &list(&acks));
}

fn check(folder: &Path, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"))
        .arg("check")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_large_must_gather_gives_the_same_verdict_as_its_relevant_objects() {
    let folder = tempfile::tempdir().unwrap();
    must_gather(folder.path());
    let answer = check(folder.path(), &["--from", ".", "-o", "json"]);
    assert_eq!(answer["cluster"]["version"], "4.21.1");
    assert_eq!(answer["upgradeable"]["reason"], "MultipleReasons");
    assert_eq!(answer["upgradeable"]["risks"][0]["name"], "ClusterVersionOverrides");
    assert_eq!(answer["upgradeable"]["risks"][1]["name"], format!("AdminAck-{GATE}"));
    assert_eq!(answer["upgradeable"]["risks"][1]["url"], "https://example.com/a");
    assert_eq!(answer["upgradeable"]["risks"].as_array().unwrap().len(), 2);
    assert_eq!(answer["targets"][0]["decision"], "allowed");
    assert_eq!(answer["targets"][1]["decision"], "blocked");
    assert_eq!(answer["notEvaluated"], serde_json::json!(["ClusterOperators"]));

    let root = "quay-io-openshift-sha256-0d1e";
    let paths = [
        format!("{root}/cluster-scoped-resources"),
        format!("{root}/namespaces/openshift-config-managed/core/configmaps.yaml"),
        format!("{root}/namespaces/openshift-config/core/configmaps.yaml"),
    ];
    let arguments: Vec<&str> = paths.iter().flat_map(|path| ["--from", path.as_str()]).chain(["-o", "json"]).collect();
    assert_eq!(check(folder.path(), &arguments), answer, "the same files, given by name");
}
