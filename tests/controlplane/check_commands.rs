//! The commands that `check` prints have the described effect, in a shell and on a real API server.

use std::{os::unix::fs::symlink, process::Command};

use serde_json::{Value, json};

use crate::support::{self, Cluster, fixtures};

fn check(cluster: &Cluster) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"))
        .args(["check", "-o", "json", "--kubeconfig"])
        .arg(cluster.control_plane.kubeconfig())
        .env_clear()
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// What was printed, pasted into a shell in which `oc` is kubectl.
fn paste(cluster: &Cluster, command: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    symlink(cluster.control_plane.kubectl_command().get_program(), folder.path().join("oc")).unwrap();
    let output = Command::new("/bin/sh").args(["-c", command]).env("PATH", folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// The commands of the risk with this name.
fn commands(answer: &Value, risk: &str) -> Vec<Value> {
    let risks = answer["upgradeable"]["risks"].as_array().unwrap();
    let found = risks.iter().find(|found| found["name"] == risk).unwrap_or_else(|| panic!("{answer:#}"));
    found["commands"].as_array().unwrap().clone()
}

#[tokio::test]
async fn each_printed_command_removes_exactly_its_override() {
    let hostile = "it's \"$(touch /tmp/reboot)\" `reboot`\n\u{202e}";
    let entry = |kind: &str, name: &str, unmanaged: bool| json!({"group": "apps", "kind": kind, "namespace": "shop", "name": name, "unmanaged": unmanaged});
    let overrides =
        json!([entry("Deployment", "till", false), fixtures::policy_override(), entry("Deployment", hostile, true)]);
    let cluster = support::cluster(fixtures::cluster()).await;
    cluster.patch(json!({"spec": {"overrides": overrides}})).await;

    let found = commands(&check(&cluster), "ClusterVersionOverrides");
    assert_eq!(found[0]["override"], "ClusterImagePolicy.config.openshift.io openshift");
    assert_eq!((&found[0]["setBy"], &found[1]["setBy"]), (&json!(["kubectl-patch"]), &json!(["kubectl-patch"])));
    let [first, second] = [0, 1].map(|number: usize| found[number]["command"].as_str().unwrap().to_owned());

    let mut expected = overrides;
    for (command, index) in [(&second, 2), (&first, 1)] {
        paste(&cluster, command).unwrap();
        expected[index]["unmanaged"] = json!(false);
        assert_eq!(cluster.cluster_version().await["spec"]["overrides"], expected);
    }
    assert_eq!(check(&cluster)["upgradeable"]["risks"], json!([]));

    // The list has changed since: nothing is written.
    cluster.patch(json!({"spec": {"overrides": [fixtures::policy_override()]}})).await;
    let why = paste(&cluster, &first).unwrap_err();
    assert!(!why.is_empty());
    assert_eq!(cluster.cluster_version().await["spec"]["overrides"], json!([fixtures::policy_override()]));
}

#[tokio::test]
async fn the_printed_command_acknowledges_exactly_its_gate() {
    let cluster = support::cluster(fixtures::cluster()).await;
    cluster.set_admin_gates(json!({"ack-4.21-a_b.c": "Read this.", "ack-4.21-other": "Read that."})).await;
    cluster.set_admin_acks(json!(null)).await;

    let create = commands(&check(&cluster), "AdminAckUnknown");
    assert_eq!(create[0]["removes"], true);
    paste(&cluster, create[0]["command"].as_str().unwrap()).unwrap();

    let acknowledge = commands(&check(&cluster), "AdminAck-ack-4.21-a_b.c");
    paste(&cluster, acknowledge[0]["command"].as_str().unwrap()).unwrap();
    let risks = check(&cluster)["upgradeable"]["risks"].clone();
    let names: Vec<_> = risks.as_array().unwrap().iter().map(|risk| &risk["name"]).collect();
    assert_eq!(names, ["AdminAck-ack-4.21-other"]);
}

#[tokio::test]
async fn the_printed_command_removes_a_leftover_force_but_not_a_newer_one() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let request = json!({"version": "4.21.1", "image": fixtures::image("4.21.1"), "force": true});
    cluster.patch(json!({"spec": {"desiredUpdate": request}})).await;

    let force = check(&cluster)["force"].clone();
    assert_eq!(force["setBy"], json!(["kubectl-patch"]), "{force:#}");
    let command = force["command"].as_str().unwrap();
    paste(&cluster, command).unwrap();
    let seen = cluster.cluster_version().await["spec"]["desiredUpdate"].clone();
    assert_eq!(seen, json!({"version": "4.21.1", "image": fixtures::image("4.21.1")}));
    assert_eq!(check(&cluster)["force"], Value::Null);

    let newer = json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": true});
    cluster.patch(json!({"spec": {"desiredUpdate": newer}})).await;
    let why = paste(&cluster, command).unwrap_err();
    assert!(!why.is_empty());
    assert_eq!(cluster.cluster_version().await["spec"]["desiredUpdate"], newer);
    assert_eq!(check(&cluster)["force"]["command"], Value::Null);
}
