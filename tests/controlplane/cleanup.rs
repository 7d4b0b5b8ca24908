//! `upgrade-gate cleanup`: on each mode's cluster it leaves nothing that blocks, and it doesn't work against an operator
//! that would write everything again.

use std::{path::Path, process::Command, time::Duration};

use rstest::rstest;
use serde_json::{Value, json};
use upgrade_gate::cli::cleanup::{CleanupError, Report, clean_up};

use super::update::outcome;
use crate::support::{
    self, Cluster, Operator, Options, binary, condition,
    cvo::{self, Cvo, Params, Profile},
    faults::{Fault, Kind, Proxy},
    fixtures, has_condition,
};

async fn clean(cluster: &Cluster, confirmed: bool) -> Report {
    clean_up(&cluster.client, confirmed, jiff::Timestamp::now()).await.unwrap()
}

/// Runs the program; returns its exit code, standard output and standard error.
fn run(kubeconfig: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(binary());
    command.arg("cleanup").args(arguments).arg("--kubeconfig").arg(kubeconfig).env_clear();
    outcome(&command.output().unwrap())
}

/// An update that the bridge forced has completed after the operator was removed.
async fn completed_without_operator() -> (Cluster, Cvo) {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    cluster.install_policy().await;
    let operator = Operator::start(&cluster, Options::default()).await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cvo.hand_over().await;
    cluster.wait_until_operator_is_idle().await;
    assert!(operator.terminate().await.success());
    cvo.complete().await;
    (cluster, cvo)
}

fn ours(cluster_version: &Value) -> Vec<&Value> {
    let fields = cluster_version["metadata"]["managedFields"].as_array().unwrap();
    let conditions = |field: &&Value| field["fieldsV1"]["f:status"]["f:conditions"].is_object();
    fields.iter().filter(|field| field["manager"] == "upgrade-gate").filter(conditions).collect()
}

#[tokio::test]
async fn with_a_cvo_cleanup_deletes_the_bridge_s_cluster_operator_which_blocks_a_minor() {
    let (cluster, cvo, operator) = support::updated().await;

    // Not while the operator runs; a look is allowed.
    let refused = clean_up(&cluster.client, true, jiff::Timestamp::now()).await.unwrap_err();
    assert!(matches!(refused, CleanupError::StillRunning), "{refused}");
    let looked = clean(&cluster, false).await;
    assert!(looked.stays[0].contains("still running"), "{looked:?}");
    assert!(operator.terminate().await.success());

    // The overrides are removed, but the stale ClusterOperator still blocks a minor.
    cluster.set_overrides(json!([])).await;
    cvo.recompute_upgradeable().await;
    cluster.remove_policy().await;
    cluster.request("4.22.0", &fixtures::image("4.22.0")).await;
    cluster.refused("4.22.0", "PreconditionChecks", &["not patch updates"]).await;

    let before = (cluster.cluster_version().await, cluster.own_operator().await);
    let looked = clean(&cluster, false).await;
    assert_eq!(looked.withdrawn, ["ClusterOperator upgrade-gate"]);
    assert_eq!(looked.stays.len(), 1, "{looked:?}");
    assert!(looked.stays[0].starts_with("1 UpdateRecord: "), "{looked:?}");
    assert_eq!((cluster.cluster_version().await, cluster.own_operator().await), before, "a look changes nothing");

    assert_eq!(clean(&cluster, true).await, looked);
    assert_eq!(cluster.own_operator().await, Value::Null);
    cluster.wait_for("the minor goes ahead", |cv| cv["status"]["history"][0]["version"] == "4.22.0").await;
    assert_eq!(cluster.records().await.len(), 1, "the account stays");
    assert_eq!(clean(&cluster, true).await.withdrawn, Vec::<String>::new());
}

#[tokio::test]
async fn a_force_is_kept_during_its_update_and_removed_afterwards() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    cluster.install_policy().await;
    let operator = Operator::start(&cluster, Options::default()).await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cvo.hand_over().await;
    cluster.wait_until_operator_is_idle().await;
    assert!(operator.terminate().await.success());
    let before = cluster.cluster_version().await;
    let report = clean(&cluster, true).await;
    let expected = "spec.desiredUpdate.force, which upgrade-gate set: The update has not completed. Leave it while the \
        update runs, and run `upgrade-gate cleanup --yes` again afterwards.";
    assert_eq!(report.stays[0], expected);
    assert_eq!(cluster.cluster_version().await["spec"], before["spec"]);

    // Only this command can still record the outcome of the update.
    cvo.complete().await;
    let before = cluster.cluster_version().await;
    let looked = clean(&cluster, false).await;
    assert_eq!(looked.withdrawn, ["force of spec.desiredUpdate, as its update has completed"]);
    assert_eq!(cluster.cluster_version().await["spec"], before["spec"], "without --yes nothing changes");
    cluster.put_cluster_operator("etcd", json!([fixtures::condition("Degraded", "True", "Broken", "no")])).await;
    let held = clean(&cluster, true).await;
    assert!(held.stays[0].contains("ClusterOperator etcd is degraded, or not available"), "{held:?}");
    assert_eq!(cluster.cluster_version().await["spec"], before["spec"]);
    cluster.delete_cluster_operator("etcd").await;
    assert_eq!(clean(&cluster, true).await.withdrawn, looked.withdrawn);
    let left = json!({"architecture": "", "version": "4.21.2", "image": fixtures::image("4.21.2")});
    assert_eq!(cluster.cluster_version().await["spec"]["desiredUpdate"], left);
    cluster.record_is("the record", |record| record["status"]["outcome"] == "Completed").await;
    cvo.complete().await;
    cvo.restart().await;
    assert!(has_condition(&cluster.cluster_version().await, "Progressing", "False", ""));
}

#[tokio::test]
async fn a_force_whose_update_does_not_start_is_not_waited_for() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let update = json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": true});
    let patch = json!({"spec": {"desiredUpdate": update}}).to_string();
    let patch =
        ["patch", "clusterversion", "version", "--type=merge", "--field-manager=upgrade-gate", "--patch", &patch];
    cluster.control_plane.kubectl(&patch);
    let expected = "spec.desiredUpdate.force, which upgrade-gate set: The requested update has not started; see \
        ReleaseAccepted. If it does not start, clear the request with `oc adm upgrade --clear`, and run `upgrade-gate \
        cleanup --yes` again afterwards.";
    assert_eq!(clean(&cluster, true).await.stays, [expected]);
    assert_eq!(cluster.cluster_version().await["spec"]["desiredUpdate"], update);
}

#[rstest]
#[case::the_outcome_cannot_be_written(
    Kind::write("updaterecords/status"),
    "writing the outcome into UpdateRecord 4.21.2-000000000000: "
)]
#[case::records_cannot_be_read(Kind::read("updaterecords"), "reading the UpdateRecords: ")]
#[tokio::test]
async fn a_force_does_not_outlive_a_record_that_cannot_be_written(#[case] kind: Kind, #[case] what: &str) {
    let (cluster, _cvo) = completed_without_operator().await;
    let proxy = Proxy::start_for(&cluster.control_plane.kubeconfig()).await;
    proxy.inject(Fault::Answer(403), kind, 100);
    let (code, stdout, stderr) = run(&proxy.path(), &["--yes"]);
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains(what), "{stderr}");
    assert!(stderr.contains("the record is printed above"), "{stderr}");
    let (removed, yaml) = stdout.split_once("\n# This UpdateRecord cannot be written.\n").expect(&stdout);
    assert!(removed.contains("  force of spec.desiredUpdate, as its update has completed"), "{removed}");
    let printed: Value = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(printed["metadata"], json!({"name": "4.21.2-000000000000"}), "nothing that the API server adds");
    assert_eq!((&printed["kind"], &printed["spec"]["to"]), (&json!("UpdateRecord"), &json!("4.21.2")));
    assert_eq!((&printed["spec"]["by"], &printed["status"]["outcome"]), (&json!("Bridge"), &json!("Completed")));
    let left = json!({"architecture": "", "version": "4.21.2", "image": fixtures::image("4.21.2")});
    assert_eq!(cluster.cluster_version().await["spec"]["desiredUpdate"], left);
    assert_eq!(cluster.records().await[0]["status"]["outcome"], "Pending");

    let (code, stdout, stderr) = run(&cluster.control_plane.kubeconfig(), &["--yes"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains("Recorded:\n  UpdateRecord 4.21.2-000000000000: outcome Completed\n"), "{stdout}");
    assert_eq!(cluster.records().await[0]["status"]["outcome"], "Completed");
}

#[rstest]
#[case::of_the_force("clusterversions", false, "removing the force from spec.desiredUpdate: ")]
#[case::of_the_cluster_operator("clusteroperators", true, "deleting the ClusterOperator: ")]
#[tokio::test]
async fn a_record_is_printed_also_if_a_later_removal_fails(
    #[case] resource: &str,
    #[case] is_removed: bool,
    #[case] what: &str,
) {
    let (cluster, _cvo) = completed_without_operator().await;
    let proxy = Proxy::start_for(&cluster.control_plane.kubeconfig()).await;
    proxy.inject(Fault::Answer(403), Kind::write("updaterecords/status"), 100);
    proxy.inject(Fault::Answer(403), Kind::write(resource), 100);
    let (code, stdout, stderr) = run(&proxy.path(), &["--yes"]);
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(stderr.contains("writing the outcome into UpdateRecord ") && stderr.contains(what), "{stderr}");
    assert!(stdout.contains("\n# This UpdateRecord cannot be written.\n"), "{stdout}");
    assert_eq!(stdout.contains("force of spec.desiredUpdate"), is_removed, "{stdout}");
    assert!(!stdout.contains("  ClusterOperator upgrade-gate"), "it was not removed: {stdout}");
    let force = &cluster.cluster_version().await["spec"]["desiredUpdate"]["force"];
    assert_eq!(force == true, !is_removed);
}

#[tokio::test]
async fn without_the_crd_of_updaterecord_the_record_is_printed_with_the_removal_of_the_force() {
    let (cluster, _cvo) = completed_without_operator().await;
    let crd = "crd/updaterecords.upgrade-gate.openshift.io";
    cluster.control_plane.kubectl(&["delete", crd]);
    let looked = clean(&cluster, false).await;
    let report = clean(&cluster, true).await;
    let folder = support::repository("crds/updaterecord").to_string_lossy().into_owned();
    cluster.control_plane.kubectl(&["apply", "--server-side", "--kustomize", &folder]);
    cluster.control_plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", crd]);
    assert_eq!((&looked.unwritten, &looked.problems), (&Vec::new(), &Vec::new()));
    assert_eq!((&report.withdrawn, &report.problems), (&looked.withdrawn, &Vec::new()));
    assert_eq!(report.withdrawn[0], "force of spec.desiredUpdate, as its update has completed");
    let [printed] = report.unwritten.as_slice() else { panic!("{report:?}") };
    assert!(printed.starts_with("# UpdateRecords are not served here.\n"), "{printed}");
    assert!(printed.contains("outcome: Completed"), "{printed}");
}

#[tokio::test]
async fn the_record_of_a_forced_update_that_was_cleared_before_it_began_is_abandoned() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let image = fixtures::image("4.21.2");
    cluster.control_plane.apply_object(&json!({
        "apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord", "metadata": {"name": "of-the-force"},
        "spec": {"from": "4.21.1", "to": "4.21.2", "type": "patch", "image": image, "overrides": [],
            "acceptedRisks": "text", "by": "Bridge", "acceptedTime": "2026-01-01T00:00:00Z"},
    }));
    let update = json!({"spec": {"desiredUpdate": {"version": "4.21.2", "image": image, "force": true}}}).to_string();
    let patch =
        ["patch", "clusterversion", "version", "--type=merge", "--field-manager=upgrade-gate", "--patch", &update];
    cluster.control_plane.kubectl(&patch);
    let waits = clean(&cluster, true).await;
    assert!(waits.stays[0].contains("The requested update has not started"), "{waits:?}");
    assert_eq!(waits.recorded, Vec::<String>::new(), "it may still begin");

    cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    let looked = clean(&cluster, false).await;
    assert_eq!(looked.recorded, ["UpdateRecord of-the-force: outcome Abandoned"]);
    assert_eq!(cluster.records().await[0]["status"], Value::Null, "without --yes nothing changes");
    assert_eq!(clean(&cluster, true).await, looked);
    assert_eq!(cluster.records().await[0]["status"], json!({"outcome": "Abandoned"}));
    assert_eq!(clean(&cluster, true).await.recorded, Vec::<String>::new());
}

#[tokio::test]
async fn after_replace_cleanup_withdraws_the_conditions() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_accepted("4.21.2").await;
    cluster.wait_until_operator_is_idle().await;
    assert!(operator.terminate().await.success());
    let before = cluster.cluster_version().await;
    let looked = clean(&cluster, false).await;
    let expected = ["conditions of ClusterVersion: Upgradeable, ReleaseAccepted", "ClusterOperator upgrade-gate"];
    assert_eq!(looked.withdrawn, expected);
    assert_eq!(cluster.cluster_version().await, before);

    clean(&cluster, true).await;
    let after = cluster.cluster_version().await;
    assert_eq!(condition(&after, "Upgradeable"), &Value::Null);
    assert_eq!(condition(&after, "ReleaseAccepted"), &Value::Null);
    assert_eq!(ours(&after), Vec::<&Value>::new());
    assert_eq!(after["status"]["history"], before["status"]["history"], "the record stays");
    assert!(has_condition(&after, "Progressing", "False", ""));
    assert_eq!(clean(&cluster, true).await.withdrawn, Vec::<String>::new());
}

#[tokio::test]
async fn after_guard_cleanup_withdraws_its_conditions_and_keeps_those_of_the_cvo() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster()).await;
    Cvo::start(&cluster, Profile::Main, Params::default()).await.scale_to_zero();
    cvo::leave_lease(&cluster, Duration::from_secs(1), Duration::from_secs(10)).await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    let operator = Operator::start(&cluster, Options::default().arg("--vacant-after=1s")).await;
    cluster
        .touch_until("the gate is taken", async || {
            let seen = cluster.cluster_version().await;
            if has_condition(&seen, "Upgradeable", "False", "ClusterVersionOverrides") {
                Ok(())
            } else {
                Err(operator.log())
            }
        })
        .await;
    cluster.wait_until_operator_is_idle().await;
    operator.kill();
    // Its Lease is as good as fresh for three times as long as it lasts.
    let refused = clean_up(&cluster.client, true, jiff::Timestamp::now()).await.unwrap_err();
    assert!(matches!(refused, CleanupError::StillRunning), "{refused}");
    let later = jiff::Timestamp::now() + Duration::from_secs(46);

    // The CVO returns before the cleanup, and finds a condition that differs little from its own.
    let _cvo = Cvo::start(&cluster, Profile::Main, Params::default()).await;
    let before = cluster.cluster_version().await;
    assert_ne!(ours(&before), Vec::<&Value>::new());
    let report = clean_up(&cluster.client, true, later).await.unwrap();
    assert_eq!(report.withdrawn, ["conditions of ClusterVersion: Upgradeable", "ClusterOperator upgrade-gate"]);
    let after = cluster.cluster_version().await;
    assert_eq!(after["status"], before["status"], "the CVO's word stays, at every moment");
    assert_eq!(ours(&after), Vec::<&Value>::new());
}

#[tokio::test]
async fn on_a_cluster_without_upgrade_gate_cleanup_does_nothing() {
    let cluster = support::cluster(fixtures::cluster()).await;
    assert_eq!(clean(&cluster, true).await, Report::default());
    let missing = cluster.without_crd("clusteroperators").await;
    assert_eq!(clean(&cluster, true).await, Report::default());
    cluster.delete().await;
    assert_eq!(clean(&cluster, true).await, Report::default());
    missing.restore().await;
}
