//! The harness itself: what every other test takes for granted.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::support::{self, ControlPlane, NAMESPACE, condition, fixtures};

#[test]
fn client_and_server_are_the_pinned_version() {
    let go_mod = std::fs::read_to_string(support::repository("hack/controlplane/go.mod")).unwrap();
    let pinned = go_mod.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes ")).unwrap();
    let pinned = pinned.split(' ').next().unwrap(); // a comment may follow
    let said = ControlPlane::get().kubectl(&["version"]);
    assert!(said.contains(&format!("Client Version: {pinned}")), "{said}");
    assert!(said.contains(&format!("Server Version: {pinned}")), "{said}");
}

#[test]
fn the_second_call_for_the_control_plane_builds_nothing() {
    let first = support::provide(&[]).unwrap();
    let since = Instant::now();
    assert_eq!(support::provide(&[]).unwrap(), first);
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_test_starts_with_the_cluster_version_that_it_asked_for() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let seen = cluster.cluster_version().await;
    assert_eq!(seen["status"]["desired"]["version"], "4.21.1");
    assert_eq!(seen["status"]["history"].as_array().unwrap().len(), 2);
    assert_eq!(seen["spec"]["overrides"][0]["kind"], "ClusterImagePolicy");
    assert_eq!(condition(&seen, "Failing")["status"], "False");
    assert_eq!(condition(&seen, "Upgradeable"), &json!(null));
}

#[tokio::test]
async fn no_object_of_one_test_is_left_for_the_next() {
    for _ in 0..2 {
        let cluster = support::cluster(fixtures::cluster()).await;
        assert!(cluster.cluster_operators().list(&ListParams::default()).await.unwrap().items.is_empty());
        assert_eq!(cluster.writes().await.len(), 0);
        cluster.put_cluster_operator("network", json!([fixtures::condition("Upgradeable", "False", "No", "no")])).await;
        cluster.set_admin_gates(json!({"ack-4.21-nothing": "https://example.com"})).await;
        cluster.set_admin_acks(json!(null)).await;
    }
}

#[tokio::test]
async fn no_policy_of_one_test_is_enforced_in_the_next() {
    {
        let cluster = support::cluster(fixtures::cluster_with_override()).await;
        cluster.install_policy().await;
        let bindings = ["upgrade-gate", "upgrade-gate-warnings"];
        cluster.control_plane.kubectl(&["delete", "validatingadmissionpolicybinding", bindings[0], bindings[1]]);
    }
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    cluster.try_patch(json!({"spec": {"desiredUpdate": {"version": "4.22.0"}}})).await.unwrap();
}

#[tokio::test]
async fn the_audit_log_names_the_user_of_each_write() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let versions = cluster.record().await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cluster.put_status("cluster-version-operator", |status| status["versionHash"] = json!("other")).await;
    cluster.patch_status("someone", json!({"versionHash": "other"})).await; // changes nothing

    let writes = cluster.writes().await;
    let reported: Vec<_> =
        writes.iter().map(|write| (&*write.verb, &*write.resource, write.manager.as_deref(), write.code)).collect();
    assert_eq!(
        reported,
        [
            ("patch", "clusterversions", Some("kubectl-patch"), 200),
            ("update", "clusterversions/status", Some("cluster-version-operator"), 200),
            ("patch", "clusterversions/status", Some("someone"), 200),
        ]
    );
    assert_eq!(writes[0].request["spec"]["desiredUpdate"]["version"], "4.21.2");
    assert_eq!(writes[1].response["status"]["versionHash"], "other");
    assert_eq!(versions.so_far().await.len(), 3, "the first, and what two of the three writes changed");
    assert_eq!(cluster.operator_writes().await.len(), 0);
}

#[tokio::test]
async fn the_operator_authenticates_as_its_service_account() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let client = cluster.control_plane.operator_client().await;
    let refused = Api::<Secret>::namespaced(client, NAMESPACE).list(&ListParams::default()).await.unwrap_err();
    let kube::Error::Api(status) = refused else { panic!("{refused}") };
    assert_eq!(status.code, 403);
    assert!(status.message.contains("system:serviceaccount:openshift-upgrade-gate:upgrade-gate"), "{}", status.message);
}

#[test]
fn a_control_plane_ends_when_its_parent_is_killed() {
    let dir = tempfile::tempdir().unwrap().keep();
    let mut holder = Command::new("sleep").arg("600").stdout(Stdio::piped()).spawn().unwrap();
    let mut held = Command::new(support::repository("hack/controlplane/start"))
        .arg(&dir)
        .stdin(holder.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(held.stdout.take().unwrap());
    let mut kubeconfig = String::new();
    stdout.read_line(&mut kubeconfig).unwrap();
    let kubeconfig = std::fs::read_to_string(kubeconfig.trim()).unwrap();
    let server = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("server: https://")).unwrap();
    TcpStream::connect(server).unwrap();

    holder.kill().unwrap(); // SIGKILL
    holder.wait().unwrap();
    assert!(held.wait().unwrap().success());
    assert!(!dir.exists());
    assert_eq!(TcpStream::connect(server).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
