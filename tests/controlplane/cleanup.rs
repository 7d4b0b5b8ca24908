//! `upgrade-gate cleanup`: on each mode's cluster it leaves nothing that blocks, and it doesn't work against an operator
//! that would write everything again.

use std::time::Duration;

use serde_json::{Value, json};
use upgrade_gate::cli::cleanup::{CleanupError, Report, clean_up};

use crate::support::{
    self, Cluster, Operator, Options, condition,
    cvo::{self, Cvo, Params, Profile},
    fixtures, has_condition,
};

async fn clean(cluster: &Cluster, confirmed: bool) -> Report {
    clean_up(&cluster.client, confirmed, jiff::Timestamp::now()).await.unwrap()
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
