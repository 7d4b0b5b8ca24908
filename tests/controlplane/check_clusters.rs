//! `check` on several contexts of one kubeconfig: a real API server, a path of it that serves nothing, and an address without
//! a server.

use std::{fs, process::Command};

use kube::config::Kubeconfig;
use serde_json::{Value, json};

use crate::support::{self, fixtures};

#[tokio::test]
async fn each_cluster_gets_its_verdict_although_others_fail() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let admin = fs::read_to_string(cluster.control_plane.kubeconfig()).unwrap();
    let mut kubeconfig: Value = serde_saphyr::from_str(&admin).unwrap();
    let context = kubeconfig["contexts"][0].clone();
    let named = |list: &mut Value, mut entry: Value, name: &str| {
        entry["name"] = json!(name);
        list.as_array_mut().unwrap().push(entry);
    };
    for (name, server) in [("elsewhere", "/nothing"), ("dead", "")] {
        let mut entry = kubeconfig["clusters"][0].clone();
        let here = entry["cluster"]["server"].as_str().unwrap().to_owned();
        let server = if name == "dead" { "https://127.0.0.1:1".to_owned() } else { format!("{here}{server}") };
        entry["cluster"]["server"] = json!(server);
        named(&mut kubeconfig["clusters"], entry, name);
        let mut entry = context.clone();
        entry["context"]["cluster"] = json!(name);
        named(&mut kubeconfig["contexts"], entry, name);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    fs::write(&path, kubeconfig.to_string()).unwrap();
    let here = Kubeconfig::read_from(&path).unwrap().contexts[0].name.clone();
    let check = |arguments: &[&str]| {
        let mut process = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"));
        let output = process.arg("check").args(arguments).arg("--kubeconfig").arg(&path).env_clear().output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };

    let (code, text) = check(&["--all-contexts", "-o", "json"]);
    let answers: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 2, "{answers:#}");
    assert_eq!(answers[0]["context"], json!(here));
    assert_eq!(answers[0]["upgradeable"]["reason"], "ClusterVersionOverrides");
    assert_eq!((&answers[1]["context"], &answers[2]["context"]), (&json!("elsewhere"), &json!("dead")));
    let error = |number: usize| answers[number]["error"].as_str().unwrap();
    assert!(error(1).contains("so it is not an OpenShift cluster; name the context of one"), "{}", error(1));
    assert!(error(2).contains("https://127.0.0.1:1/ cannot be reached"), "{}", error(2));

    let (code, table) = check(&["--context", &here, "--context", "dead", "--to", "4.22.0"]);
    assert_eq!(code, 2, "{table}");
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, [here.as_str(), "4.21.1", "False", "4.22.0", "blocked"], "{table}");
    let twice = check(&["--context", &here, "--context", &here, "--to", "4.22.0", "-o", "json"]);
    assert_eq!((twice.0, twice.1.starts_with("[\n  {\n    \"context\": ")), (1, true), "{}", twice.1);
}
