//! `upgrade-gate update` while others change the cluster: it writes what it has shown, forces nothing that is not guarded,
//! and leaves nothing behind.

use std::process::Stdio;

use serde_json::json;

use super::update::{binding, command, locked_out, outcome, update};
use crate::support::{Cluster, Operator, Options, cvo::Profile, eventually, fixtures, repository};

const GO: [&str; 4] = ["--to", "4.21.2", "--yes", "--wait"];

/// Changes the deployed policy until this is dropped.
struct Changed<'a>(&'a Cluster);

impl<'a> Changed<'a> {
    fn new(cluster: &'a Cluster, patch: &str) -> Self {
        let policy = ["patch", "validatingadmissionpolicy", "upgrade-gate", "--type=json", "--patch", patch];
        cluster.control_plane.kubectl(&policy);
        Self(cluster)
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        let folder = repository("deploy/base/policy").to_string_lossy().into_owned();
        let control_plane = self.0.control_plane;
        control_plane.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", &folder]);
    }
}

async fn requested(cluster: &Cluster) {
    cluster.wait_for("the request", |cv| cv["spec"]["desiredUpdate"]["version"] == "4.21.2").await;
}

#[tokio::test]
async fn what_an_operator_was_going_to_do_is_shown_again_before_the_command_does_it() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    // Without the policy it does not force.
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    let mut running = command(&cluster.control_plane.kubeconfig(), &GO);
    let running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    requested(&cluster).await;
    operator.terminate().await;
    let (code, stdout, stderr) = outcome(&running.wait_with_output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let (shown, written) = stdout.split_once("Created ValidatingAdmissionPolicy").unwrap();
    assert!(shown.contains("Nothing else: the operator of upgrade-gate is running."), "{shown}");
    let (_, shown_again) = shown.split_once("The cluster has changed meanwhile.").unwrap();
    assert!(shown_again.contains("* spec.desiredUpdate.force: true, for this release"), "{shown_again}");
    assert!(written.contains("Removed spec.desiredUpdate.force."), "{written}");
    assert_eq!(binding(&cluster), "");
}

/// The operator's account may not create the policy, which is needed only once the operator has stopped.
#[tokio::test]
async fn stopped_before_the_second_write_update_reports_the_first() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    let mut running = command(&cluster.control_plane.operator_kubeconfig(), &GO);
    let running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    requested(&cluster).await;
    operator.terminate().await;
    let (code, stdout, stderr) = outcome(&running.wait_with_output().unwrap());
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(stderr.contains("you lack these rights: "), "{stderr}");
    assert!(stderr.contains("4.21.2 is requested and not forced. `upgrade-gate update --to 4.21.2"), "{stderr}");
    assert!(!stderr.contains("nothing was written"), "{stderr}");
}

#[tokio::test]
async fn a_policy_that_denies_nothing_is_noticed_before_anything_is_written() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    cluster.install_policy().await;
    let changed =
        Changed::new(&cluster, r#"[{"op": "replace", "path": "/spec/validations/0/expression", "value": "true"}]"#);
    eventually("a policy that denies nothing", async || {
        let minor = json!({"version": "4.22.0", "image": ""});
        let reply = cluster.dry_run(&json!({"spec": {"desiredUpdate": minor}})).await;
        if reply.code == 200 { Ok(()) } else { Err(reply.message) }
    })
    .await;
    let before = cluster.cluster_version().await;
    let (code, _, stderr) = update(&cluster, &GO);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("is installed that does not deny every such request"), "{stderr}");
    assert_eq!(cluster.cluster_version().await, before);
    drop(changed);
    cluster.remove_policy().await;
}

/// The operator's account may ask, force and record, and may not delete policies.
#[tokio::test]
async fn without_permission_to_remove_the_policy_of_an_earlier_run_nothing_is_written() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let (code, stdout, stderr) = update(&cluster, &["--to", "4.21.2", "--yes"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let kubeconfig = cluster.control_plane.operator_kubeconfig();
    let (code, stdout, stderr) = outcome(&command(&kubeconfig, &GO).output().unwrap());
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(stderr.contains("delete validatingadmissionpolicybindings.admissionregistration.k8s.io"), "{stderr}");
    let (code, stdout, stderr) = update(&cluster, &GO);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert_eq!(binding(&cluster), "");
}

#[tokio::test]
async fn a_force_of_a_person_is_theirs_to_remove() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    cluster.patch(json!({"spec": {"desiredUpdate": {"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": true}}})).await;
    let (code, stdout, stderr) = update(&cluster, &["--to", "4.21.2", "--yes"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(!stdout.contains("remove the force"), "{stdout}");
}
