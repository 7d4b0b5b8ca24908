//! `upgrade-gate update` with a stock CVO: one command updates a locked-out cluster to a patch, and changes nothing else.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    self, Cluster, Operator, Options, binary, condition,
    cvo::{self, Cvo, Params, Profile},
    fixtures, has_condition,
};

/// A 4.21 cluster under overrides with its CVO, which completes updates by itself.
pub async fn locked_out(profile: Profile) -> (Cluster, Cvo) {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let cvo = Cvo::start(&cluster, profile, quick()).await;
    (cluster, cvo)
}

fn quick() -> Params {
    Params { retry: Duration::from_secs(1), complete_after: Some(Duration::from_millis(300)), ..Params::default() }
}

/// The command as a script runs it.
pub fn command(kubeconfig: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("update").args(arguments).arg("--kubeconfig").arg(kubeconfig).env_clear().stdin(Stdio::null());
    command
}

/// Exit code, standard output and standard error.
pub fn outcome(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

pub fn update(cluster: &Cluster, arguments: &[&str]) -> (i32, String, String) {
    outcome(&command(&cluster.control_plane.kubeconfig(), arguments).output().unwrap())
}

pub const GO: [&str; 4] = ["--to", "4.21.2", "--yes", "--wait"];

/// Who has written what to the cluster as its administrator: the verb, the resource and the field manager.
pub async fn administrators(cluster: &Cluster) -> Vec<(String, String, String)> {
    let writes = cluster.writes().await.into_iter();
    let is_dry_run = |request: &Value| request["spec"]["desiredUpdate"]["version"] == "4.22.0";
    let of_people = writes.filter(|write| !write.user.starts_with("system:serviceaccount:") && write.code < 300);
    let made = of_people.filter(|write| !is_dry_run(&write.request));
    made.map(|write| (write.verb, write.resource, write.manager.unwrap_or_default())).collect()
}

/// The binding of the policy, or null.
pub fn binding(cluster: &Cluster) -> String {
    let get = ["get", "validatingadmissionpolicybinding", "upgrade-gate", "--ignore-not-found", "-o", "name"];
    cluster.control_plane.kubectl(&get)
}

pub fn assert_nothing_is_left(seen: &Value) {
    let left = json!({"architecture": "", "version": "4.21.2", "image": fixtures::image("4.21.2")});
    assert_eq!(seen["spec"]["desiredUpdate"], left);
    assert_eq!(seen["status"]["history"][0]["version"], "4.21.2");
    assert_eq!(seen["status"]["history"][0]["state"], "Completed");
    assert_eq!(seen["status"]["history"][0]["verified"], true);
}

#[tokio::test]
async fn a_locked_out_cluster_gets_its_patch_and_nothing_else_changes() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let (code, stdout, stderr) = update(&cluster, &GO);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.ends_with("Done: the cluster runs 4.21.2.\n"), "{stdout}");

    let seen = cluster.cluster_version().await;
    assert_nothing_is_left(&seen);
    assert_eq!(binding(&cluster), "");
    let records = cluster.records().await;
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(records[0]["spec"]["by"], "Bridge");
    assert_eq!(records[0]["status"]["outcome"], "Completed");
    let expected = [
        ("patch", "clusterversions", "upgrade-gate-update"),
        ("create", "validatingadmissionpolicybindings", "upgrade-gate-update"),
        ("create", "updaterecords", "upgrade-gate"),
        ("patch", "clusterversions", "upgrade-gate"),
        ("patch", "updaterecords/status", "upgrade-gate"),
        ("patch", "clusterversions", "upgrade-gate"),
        ("delete", "validatingadmissionpolicybindings", ""),
    ];
    let mut writes = administrators(&cluster).await;
    writes.retain(|(_, resource, _)| resource != "selfsubjectaccessreviews");
    let writes: Vec<_> = writes.iter().map(|(verb, resource, manager)| (&**verb, &**resource, &**manager)).collect();
    assert_eq!(writes, expected);
    let first = cluster.writes().await.into_iter().find(|write| write.resource == "clusterversions").unwrap();
    let asked = json!({"architecture": "", "version": "4.21.2", "image": fixtures::image("4.21.2"), "force": false});
    assert_eq!(first.response["spec"]["desiredUpdate"], asked, "the whole request, as oc writes it");

    let (code, stdout, _) = update(&cluster, &GO);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.ends_with("The cluster runs 4.21.2 already; nothing was written.\n"), "{stdout}");
}

#[tokio::test]
async fn a_cvo_that_accepts_by_itself_is_not_forced() {
    let (cluster, _cvo) = locked_out(Profile::V4_22).await;
    let (code, stdout, stderr) = update(&cluster, &GO);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let writes = administrators(&cluster).await;
    let forced = writes.iter().any(|(_, resource, manager)| resource == "clusterversions" && manager == "upgrade-gate");
    assert!(!forced, "{writes:?}");
    assert!(!writes.iter().any(|(_, resource, _)| resource.starts_with("validating")), "{writes:?}");
    let records = cluster.records().await;
    assert_eq!((records.len(), &records[0]["spec"]["by"]), (1, &json!("Gate")), "{records:#?}");
}

#[tokio::test]
async fn what_is_not_confirmed_or_not_allowed_is_not_written() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let before = cluster.cluster_version().await;
    let no = |arguments: &[&str], code: i32, error: &str| {
        let (exit, stdout, stderr) = update(&cluster, arguments);
        assert_eq!(exit, code, "{arguments:?}: {stdout}{stderr}");
        assert!(stderr.contains(error), "{arguments:?}: {stderr}");
        stdout
    };
    let shown = no(&["--to", "4.21.2"], 2, "standard input is not a terminal");
    assert!(shown.contains("To be written to https://"), "{shown}");
    let shown = no(&["--to", "4.21.2", "--dry-run"], 0, "");
    assert!(shown.ends_with("Nothing was written (--dry-run).\n"), "{shown}");
    let flags = ["--allow-not-recommended", "--allow-explicit-upgrade", "--allow-upgrade-with-warnings", "--yes"];
    let minor = [["--to", "4.22.0"].as_slice(), &flags].concat();
    let shown = no(&minor, 1, "4.22.0 is blocked, for the reasons above");
    assert!(shown.contains("4.22.0   minor  blocked"), "{shown}");
    no(&["--to", "4.21.9", "--yes"], 1, "4.21.9 is not among the updates that the cluster offers");
    let unknown = fixtures::image("4.21.9");
    no(&["--to-image", &unknown, "--yes"], 1, "Use --allow-explicit-upgrade");
    let image = ["--to-image", &unknown, "--allow-explicit-upgrade", "--yes"];
    no(&image, 1, "name it with --to VERSION as well");
    no(&["--yes"], 2, "--to");
    assert_eq!(cluster.cluster_version().await, before);
    assert_eq!(cluster.records().await, Vec::<Value>::new());
    assert_eq!(binding(&cluster), "");
}

#[tokio::test]
async fn a_cluster_that_is_updating_is_rejected_as_by_oc() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    cluster.patch(json!({"spec": {"desiredUpdate": {"version": "4.21.2", "force": true}}})).await;
    cluster.wait_for("an update", |cv| condition(cv, "Progressing")["status"] == "True").await;
    let before = cluster.cluster_version().await;
    let image = fixtures::image("4.21.3");
    let arguments = ["--to", "4.21.3", "--to-image", &image, "--allow-explicit-upgrade", "--yes"];
    let (code, _, stderr) = update(&cluster, &arguments);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("the cluster is updating already: Progressing=True"), "{stderr}");
    assert!(stderr.contains("--allow-upgrade-with-warnings"), "{stderr}");
    assert_eq!(cluster.cluster_version().await["spec"], before["spec"]);
    drop(cvo);
}

#[tokio::test]
async fn without_an_update_graph_version_and_image_are_given() {
    let mut object = fixtures::cluster_with_override();
    object["status"]["availableUpdates"] = Value::Null;
    let cluster = support::cluster_as(cvo::MANAGER, object).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, quick()).await;
    cvo.publish(&fixtures::image("4.21.2"), "4.21.2");
    let image = fixtures::image("4.21.2");
    let arguments = ["--to", "4.21.2", "--to-image", &image, "--allow-explicit-upgrade", "--yes", "--wait"];
    let (code, stdout, stderr) = update(&cluster, &arguments);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert_nothing_is_left(&cluster.cluster_version().await);

    // The other version of that image isn't let in, forced or not: the CVO compares.
    cvo.publish(&fixtures::image("4.21.4"), "4.21.4");
    let image = fixtures::image("4.21.4");
    let arguments = ["--to", "4.21.3", "--to-image", &image, "--allow-explicit-upgrade", "--yes", "--wait"];
    cluster.wait_for("rest", |cv| has_condition(cv, "Progressing", "False", "")).await;
    let (code, stdout, stderr) = update(&cluster, &arguments);
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.contains("Reason: VerifyPayloadVersion"), "{stdout}");
}

#[tokio::test]
async fn a_rollback_is_forced_too() {
    let (cluster, cvo) = locked_out(Profile::V4_21).await;
    cvo.publish(&fixtures::image("4.21.0"), "4.21.0");
    let image = fixtures::image("4.21.0");
    let (code, stdout, stderr) =
        update(&cluster, &["--to-image", &image, "--allow-explicit-upgrade", "--yes", "--wait"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let seen = cluster.cluster_version().await;
    assert_eq!(seen["status"]["history"][0]["version"], "4.21.0");
    assert_eq!(seen["spec"]["desiredUpdate"]["force"], Value::Null);
    assert_eq!(cluster.records().await[0]["spec"]["type"], "rollback");
}

#[tokio::test]
async fn a_refusal_for_another_reason_shows_the_cvo_s_message() {
    let (cluster, cvo) = locked_out(Profile::V4_21).await;
    cvo.set_verifiable(&fixtures::image("4.21.2"), false);
    let (code, stdout, stderr) = update(&cluster, &GO);
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.contains("ReleaseAccepted=False\n\n  Reason: RetrievePayload\n"), "{stdout}");
    assert!(stderr.contains("oc adm upgrade --clear"), "{stderr}");
    let seen = cluster.cluster_version().await;
    assert_eq!(seen["spec"]["desiredUpdate"]["force"], false);
    assert_eq!(binding(&cluster), "");
    assert_eq!(cluster.records().await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_existing_policy_is_kept() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    cluster.install_policy().await;
    let (code, stdout, stderr) = update(&cluster, &GO);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert_nothing_is_left(&cluster.cluster_version().await);
    assert_ne!(binding(&cluster), "");
    let writes = administrators(&cluster).await;
    let ours = |(_, resource, manager): &(String, String, String)| {
        resource.starts_with("validating") && !manager.starts_with("kubectl")
    };
    assert!(!writes.iter().any(ours), "{writes:?}");
    cluster.remove_policy().await;
}

/// The operator's account may ask, force and record, and may not create policies.
#[tokio::test]
async fn without_permission_for_the_policy_nothing_is_written() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let before = cluster.cluster_version().await;
    let kubeconfig = cluster.control_plane.operator_kubeconfig();
    let (code, _, stderr) = outcome(&command(&kubeconfig, &GO).output().unwrap());
    assert_eq!(code, 2, "{stderr}");
    let lacking = "create validatingadmissionpolicybindings.admissionregistration.k8s.io";
    assert!(stderr.contains(lacking), "{stderr}");
    assert!(stderr.contains("add --without-policy. Without the policy, nothing denies another target"), "{stderr}");
    assert_eq!(cluster.cluster_version().await, before);

    let unguarded = [GO.as_slice(), &["--without-policy"]].concat();
    let (code, stdout, stderr) = outcome(&command(&kubeconfig, &unguarded).output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains("Without the policy, nothing denies another target"), "{stdout}");
    assert_nothing_is_left(&cluster.cluster_version().await);
}

/// A user who has deploy/update-role and nothing else, as in a Pod of `make cluster`.
#[tokio::test]
async fn the_role_for_update_is_enough() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let control_plane = &cluster.control_plane;
    let user = "default:updater";
    control_plane.kubectl(&["create", "serviceaccount", "updater"]);
    let role = support::repository("deploy/update-role");
    control_plane.kubectl(&["apply", "--server-side", "-k", &role.to_string_lossy()]);
    let bind =
        ["create", "clusterrolebinding", "updater", "--clusterrole=upgrade-gate-update", "--serviceaccount", user];
    control_plane.kubectl(&bind);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    control_plane.write_kubeconfig_of("updater", "default", &kubeconfig).unwrap();

    let (code, stdout, stderr) = outcome(&command(&kubeconfig, &GO).output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(!stdout.contains("cannot be read"), "{stdout}");
    assert_nothing_is_left(&cluster.cluster_version().await);
    assert_eq!(binding(&cluster), "");
    assert_eq!(cluster.records().await.len(), 1);
    for object in ["serviceaccount/updater", "clusterrolebinding/updater", "clusterrole/upgrade-gate-update"] {
        control_plane.kubectl(&["delete", object]);
    }
}

#[tokio::test]
async fn without_permission_to_patch_nothing_is_written() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let access =
        json!({"group": "config.openshift.io", "resource": "clusterversions", "name": "version", "verb": "patch"});
    let revoked = cluster.revoke_rules(access, |resource, verb| (resource, verb) != ("clusterversions", "patch")).await;
    let (code, _, stderr) = outcome(&command(&cluster.control_plane.operator_kubeconfig(), &GO).output().unwrap());
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("you lack these rights: patch clusterversions.config.openshift.io."), "{stderr}");
    revoked.restore_access().await;
}

#[tokio::test]
async fn with_a_running_operator_update_does_not_force() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    cluster.install_policy().await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    let (code, stdout, stderr) = update(&cluster, &GO);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains("Nothing else: the operator of upgrade-gate is running."), "{stdout}");
    assert_nothing_is_left(&cluster.cluster_version().await);
    assert_eq!(cluster.records().await.len(), 1);
    let mut writes = administrators(&cluster).await;
    writes.retain(|(_, resource, manager)| resource == "clusterversions" && !manager.starts_with("kubectl"));
    assert_eq!(writes.len(), 1, "it only asked: {writes:?}");
    cluster.remove_policy().await;
}

#[tokio::test]
async fn without_wait_a_later_run_or_cleanup_removes_the_force() {
    for finish in ["update", "cleanup"] {
        let (cluster, _cvo) = locked_out(Profile::V4_21).await;
        let (code, stdout, stderr) = update(&cluster, &["--to", "4.21.2", "--yes"]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
        assert!(stdout.contains("4.21.2 is forced."), "{stdout}");
        assert!(stdout.contains("upgrade-gate cleanup --yes"), "{stdout}");
        assert_ne!(binding(&cluster), "", "it guards the force");
        cluster.wait_for("the update", |cv| has_condition(cv, "Progressing", "False", "")).await;
        assert_eq!(cluster.cluster_version().await["spec"]["desiredUpdate"]["force"], true);
        if finish == "update" {
            let (code, stdout, stderr) = update(&cluster, &["--to", "4.21.2", "--yes"]);
            assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
        } else {
            let mut command = Command::new(binary());
            command.args(["cleanup", "--yes", "--kubeconfig"]).arg(cluster.control_plane.kubeconfig()).env_clear();
            let (code, stdout, stderr) = outcome(&command.output().unwrap());
            assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
            assert!(stdout.contains("which `upgrade-gate update` created"), "{stdout}");
        }
        assert_nothing_is_left(&cluster.cluster_version().await);
        assert_eq!(binding(&cluster), "", "{finish}");
        assert_eq!(cluster.records().await[0]["status"]["outcome"], "Completed");
    }
}

#[tokio::test]
async fn without_the_crd_of_records_the_record_is_printed() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let control_plane = cluster.control_plane;
    let crd = "crd/updaterecords.upgrade-gate.openshift.io";
    control_plane.kubectl(&["delete", crd]);
    let (code, stdout, stderr) = update(&cluster, &GO);
    let folder = support::repository("crds/updaterecord").to_string_lossy().into_owned();
    control_plane.kubectl(&["apply", "--server-side", "--kustomize", &folder]);
    control_plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", crd]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let (_, record) = stdout.split_once("Keep this record of what was accepted for 4.21.2:\n").unwrap();
    let record: String = record.split_inclusive('\n').take_while(|line| !line.starts_with("Removed ")).collect();
    let record: Value = serde_saphyr::from_str(&record).unwrap();
    assert_eq!((&record["kind"], &record["spec"]["by"]), (&json!("UpdateRecord"), &json!("Bridge")));
    assert_eq!((&record["spec"]["from"], &record["spec"]["to"]), (&json!("4.21.1"), &json!("4.21.2")));
    assert_eq!(record["status"]["outcome"], "Completed");
    assert_nothing_is_left(&cluster.cluster_version().await);
}
