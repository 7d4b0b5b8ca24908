//! `upgrade-gate update`, interrupted: wherever it is killed, a second run or `cleanup` finishes what it began.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::update::{command, locked_out, outcome};
use crate::support::{
    Cluster, binary, condition,
    cvo::Profile,
    eventually,
    faults::{Fault, Kind, Proxy},
    fixtures, has_condition,
};

const GO: [&str; 4] = ["--to", "4.21.2", "--yes", "--wait"];

fn exists(cluster: &Cluster, kind: &str) -> bool {
    !cluster.control_plane.kubectl(&["get", kind, "upgrade-gate", "--ignore-not-found", "-o", "name"]).is_empty()
}

/// Takes the policy of `deploy/base` away, until this is dropped.
struct NoPolicy<'a>(&'a Cluster);

impl<'a> NoPolicy<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        cluster.control_plane.kubectl(&["delete", "validatingadmissionpolicy", "upgrade-gate"]);
        Self(cluster)
    }
}

impl Drop for NoPolicy<'_> {
    fn drop(&mut self) {
        let folder = crate::support::repository("deploy/base/policy").to_string_lossy().into_owned();
        let control_plane = self.0.control_plane;
        control_plane.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", &folder]);
        let bindings = ["upgrade-gate", "upgrade-gate-warnings"];
        control_plane.kubectl(&["delete", "validatingadmissionpolicybinding", bindings[0], bindings[1]]);
    }
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Starts it behind the proxy and kills it once so many writes have landed, the answer to the last of them unheard.
async fn killed_after(cluster: &Cluster, writes: usize) {
    let proxy = Proxy::start_for(&cluster.control_plane.kubeconfig()).await;
    if writes > 1 {
        proxy.inject(Fault::Delay(Duration::ZERO), Kind::writes(), writes - 1);
    }
    proxy.inject(Fault::HoldAfter, Kind::writes(), 1);
    let mut child = start(&mut command(&proxy.path(), &GO));
    eventually(&format!("write {writes}"), async || {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("it ended ({status}) before write {writes}");
        }
        if proxy.held() == 1 { Ok(()) } else { Err(format!("{:?}", proxy.log().last())) }
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Whatever was interrupted: one record, no force, no policy of the command, and nothing but the patch was ever forced.
async fn assert_finished(cluster: &Cluster, versions: Vec<Value>) {
    let seen = cluster.cluster_version().await;
    let left = json!({"architecture": "", "version": "4.21.2", "image": fixtures::image("4.21.2")});
    assert_eq!(seen["spec"]["desiredUpdate"], left);
    assert_eq!(seen["status"]["history"][0]["version"], "4.21.2");
    assert_eq!(seen["status"]["history"].as_array().unwrap().len(), 3, "one update");
    let records = cluster.records().await;
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!((&records[0]["spec"]["by"], &records[0]["status"]["outcome"]), (&json!("Bridge"), &json!("Completed")));
    assert!(!exists(cluster, "validatingadmissionpolicybinding"));
    assert!(!exists(cluster, "validatingadmissionpolicy"));
    for version in versions {
        let request = &version["spec"]["desiredUpdate"];
        assert!(request["force"] != true || request["version"] == "4.21.2", "{request}");
    }
}

/// The request, the policy, its binding, the record, the force, the record's end, the force's removal, the binding's and
/// the policy's.
#[rstest]
#[tokio::test]
async fn a_second_run_finishes_a_run_killed_after_any_write(#[values(1, 2, 3, 4, 5, 6, 7, 8, 9)] writes: usize) {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let _no_policy = NoPolicy::new(&cluster);
    let versions = cluster.record().await;
    killed_after(&cluster, writes).await;
    let (code, stdout, stderr) = outcome(&command(&cluster.control_plane.kubeconfig(), &GO).output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""), "after {writes}: {stdout}");
    assert_finished(&cluster, versions.so_far().await).await;
}

#[rstest]
#[tokio::test]
async fn cleanup_finishes_a_run_killed_after_the_force(#[values(5, 6, 7, 8)] writes: usize) {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let _no_policy = NoPolicy::new(&cluster);
    let versions = cluster.record().await;
    killed_after(&cluster, writes).await;
    let cleanup = || {
        let mut command = Command::new(binary());
        command.args(["cleanup", "--yes", "--kubeconfig"]).arg(cluster.control_plane.kubeconfig()).env_clear();
        let (code, stdout, stderr) = outcome(&command.output().unwrap());
        assert_eq!((code, stderr.as_str()), (0, ""), "after {writes}: {stdout}");
        stdout
    };
    cluster.wait_for("the update", is_over).await;
    let stdout = cleanup();
    assert!(!stdout.contains("Stays:\n  spec.desiredUpdate"), "{stdout}");
    assert_finished(&cluster, versions.so_far().await).await;
}

fn is_over(cluster_version: &Value) -> bool {
    has_condition(cluster_version, "Progressing", "False", "")
        && cluster_version["status"]["history"][0]["version"] == "4.21.2"
        && cluster_version["status"]["history"][0]["state"] == "Completed"
}

#[tokio::test]
async fn transient_errors_are_retried() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let _no_policy = NoPolicy::new(&cluster);
    let versions = cluster.record().await;
    let proxy = Proxy::start_for(&cluster.control_plane.kubeconfig()).await;
    // The first write of each kind is lost, or its answer is, or it comes too late.
    proxy.inject(Fault::DropBefore, Kind::write("clusterversions"), 1);
    proxy.inject(Fault::DropAfter, Kind::write("clusterversions"), 1);
    proxy.inject(Fault::Answer(409), Kind::write("clusterversions"), 1);
    proxy.inject(Fault::DropBefore, Kind::write("validatingadmissionpolicies"), 1);
    proxy.inject(Fault::DropAfter, Kind::write("validatingadmissionpolicybindings"), 1);
    proxy.inject(Fault::DropAfter, Kind::write("updaterecords"), 1);
    proxy.inject(Fault::Answer(503), Kind::write("updaterecords/status"), 1);
    let (code, stdout, stderr) = outcome(&command(&proxy.path(), &GO).output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(proxy.all_faults_were_met());
    assert_finished(&cluster, versions.so_far().await).await;
}

#[tokio::test]
async fn a_long_connection_loss_ends_update_with_the_state_of_the_cluster() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let proxy = Proxy::start_for(&cluster.control_plane.kubeconfig()).await;
    proxy.inject(Fault::Delay(Duration::ZERO), Kind::write("clusterversions"), 1);
    proxy.inject(Fault::DropAfter, Kind::write("clusterversions"), 1);
    let arguments = [GO.as_slice(), &["--retry-for=0s"]].concat();
    let (code, _, stderr) = outcome(&command(&proxy.path(), &arguments).output().unwrap());
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("no answer for 0 seconds"), "{stderr}");
    assert!(stderr.contains("`upgrade-gate update --to 4.21.2"), "{stderr}");
    assert!(stderr.contains("cleanup --yes"), "{stderr}");
    let (code, stdout, stderr) = outcome(&command(&cluster.control_plane.kubeconfig(), &GO).output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
}

#[tokio::test]
async fn control_c_reports_the_state_of_the_cluster() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    cluster.put_cluster_operator("etcd", json!([fixtures::condition("Degraded", "True", "Broken", "no")])).await;
    let child = start(&mut command(&cluster.control_plane.kubeconfig(), &GO));
    cluster.wait_for("the update", |cv| cv["status"]["history"][0]["version"] == "4.21.2").await;
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).unwrap();
    let (code, _, stderr) = outcome(&child.wait_with_output().unwrap());
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.starts_with("error: interrupted: "), "{stderr}");
    assert!(stderr.contains("`upgrade-gate update --to 4.21.2"), "{stderr}");
    assert_eq!(condition(&cluster.cluster_version().await, "Invalid"), &Value::Null);
    cluster.delete_cluster_operator("etcd").await;
    let (code, stdout, stderr) = outcome(&command(&cluster.control_plane.kubeconfig(), &GO).output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
}
