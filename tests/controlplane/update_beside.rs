//! `upgrade-gate update` beside another program that writes: an operator in each of its modes, and a controller that
//! reverts the force.

use std::{process::Command, time::Duration};

use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};

use super::{
    gitops::apply_git,
    update::{GO, administrators, assert_nothing_is_left, binding, command, locked_out, outcome, update},
};
use crate::support::{
    self, Cluster, Operator, Options, binary,
    cvo::{self, Cvo, Params, Profile},
    eventually, fixtures,
};

async fn operator(cluster: &Cluster, mode: &'static str) -> Operator {
    let mut operator = Operator::start(cluster, Options::mode(mode)).await;
    operator.ready().await;
    let lease = eventually("its Lease", async || cluster.lease().await.ok_or_else(|| operator.log())).await;
    assert_eq!(lease["metadata"]["annotations"], json!({"upgrade-gate.openshift.io/mode": mode}));
    operator
}

/// The text without its line breaks.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The writes on ClusterVersion by this command.
async fn writes(cluster: &Cluster) -> Vec<String> {
    let mut writes = administrators(cluster).await;
    writes.retain(|(_, resource, manager)| resource == "clusterversions" && !manager.starts_with("kubectl"));
    writes.into_iter().map(|(_, _, manager)| manager).collect()
}

#[tokio::test]
async fn an_operator_that_observes_leaves_the_force_to_the_command() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let _operator = operator(&cluster, "observe").await;
    let (code, stdout, stderr) = update(&cluster, &["--to", "4.21.2", "--yes"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(unwrapped(&stdout).contains("The operator of upgrade-gate is running with --mode=observe"), "{stdout}");
    assert_ne!(binding(&cluster), "", "it guards the force");
    assert_eq!(writes(&cluster).await, ["upgrade-gate-update", "upgrade-gate"]);

    let completed = |cv: &Value| cv["status"]["history"][0]["state"] == "Completed";
    cluster.wait_for("the update", |cv| cv["status"]["history"][0]["version"] == "4.21.2" && completed(cv)).await;
    let mut cleanup = Command::new(binary());
    cleanup.args(["cleanup", "--yes", "--kubeconfig"]).arg(cluster.control_plane.kubeconfig()).env_clear();
    let (code, stdout, stderr) = outcome(&cleanup.output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert_nothing_is_left(&cluster.cluster_version().await);
    assert_eq!(binding(&cluster), "");
    assert_eq!(cluster.records().await.len(), 1);
}

#[tokio::test]
async fn an_operator_in_the_place_of_a_cvo_answers_the_request_itself() {
    for mode in ["replace", "auto"] {
        let cluster = support::cluster(fixtures::cluster_with_override()).await;
        let _operator = operator(&cluster, mode).await;
        let (code, stdout, stderr) = update(&cluster, &["--to", "4.21.2", "--yes"]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{mode}: {stdout}");
        assert!(
            unwrapped(&stdout).contains("is running in the place of a cluster-version operator"),
            "{mode}: {stdout}"
        );
        assert!(stdout.contains("4.21.2 is accepted."), "{mode}: {stdout}");
        assert_eq!(writes(&cluster).await, ["upgrade-gate-update"], "{mode}");
    }
}

#[tokio::test]
async fn two_programs_that_answer_requests_are_one_too_many() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let _operator = operator(&cluster, "replace").await;
    let before = cluster.cluster_version().await["spec"].clone();
    let (code, stdout, stderr) = update(&cluster, &GO);
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(stderr.contains("run the operator with --mode=auto; nothing was written"), "{stderr}");
    assert_eq!(cluster.cluster_version().await["spec"], before);
}

/// The operator is there, and the CVO is not.
#[tokio::test]
async fn without_a_cvo_nothing_is_written_beside_a_bridge() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    cvo::leave_lease(&cluster, Duration::from_secs(137), Duration::from_mins(10)).await;
    let _operator = operator(&cluster, "auto").await;
    let (code, stdout, stderr) = update(&cluster, &GO);
    assert_eq!(code, 2, "{stdout}{stderr}");
    let expected = "no cluster-version operator is running: its Lease openshift-cluster-version/version is not renewed";
    assert!(stderr.contains(expected), "{stderr}");
    assert!(stderr.ends_with("nothing was written\n"), "{stderr}");
    assert_eq!(writes(&cluster).await, [""; 0]);
}

/// As Argo CD with self-heal does: puts the request back to what Git says whenever the force is set.
async fn revert_each_force(cluster: &Cluster, git: &Value) {
    let config = watcher::Config::default().fields("metadata.name=version");
    let mut versions = std::pin::pin!(watcher(cluster.cluster_versions(), config).applied_objects());
    while let Some(version) = versions.next().await {
        if version.is_ok_and(|version| version.data["spec"]["desiredUpdate"]["force"] == true) {
            apply_git(cluster, git).await.unwrap();
        }
    }
}

/// The CVO stands still once it has refused the request, so each force is reverted before the CVO sees it.
#[tokio::test]
async fn a_force_that_is_reverted_each_time_is_set_three_times_and_given_up() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    cluster.install_policy().await;
    let git = json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": false});
    apply_git(&cluster, &git).await.unwrap();
    cluster.refused("4.21.2", "PreconditionChecks", &[]).await;
    cvo.pause().await;

    let mut command = command(&cluster.control_plane.kubeconfig(), &GO);
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = tokio::select! {
        output = run => output.unwrap(),
        () = revert_each_force(&cluster, &git) => panic!("the watch ended"),
    };
    let (code, stdout, stderr) = outcome(&output);
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(
        stderr.contains("setting the force was done three times, and another writer reverted it each time"),
        "{stderr}"
    );
    assert!(stderr.contains("`upgrade-gate update --to 4.21.2"), "{stderr}");
    let sets_force =
        |write: &&support::Write| write.response["spec"]["desiredUpdate"]["force"] == true && write.code == 200;
    let all = cluster.writes().await;
    let forces = all.iter().filter(sets_force).filter(|write| write.manager.as_deref() == Some("upgrade-gate"));
    assert_eq!(forces.count(), 3);
    cluster.remove_policy().await;
}
