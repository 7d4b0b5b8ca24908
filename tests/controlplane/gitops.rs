//! Argo CD or Flux applies `spec.desiredUpdate` from Git: what happens to a force of the bridge when the controller reverts
//! the request to the manifest. See docs/gitops.md.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::{
    self, Cluster, Operator, Options,
    cvo::{self, Cvo, Params, Profile},
    eventually, fixtures, versions_of_history,
};

/// Applies the manifest as Flux does periodically, and Argo CD with server-side apply: by force, so that it owns the fields
/// of the manifest. Returns whether that changed anything.
async fn reconcile_git(cluster: &Cluster, desired_update: &Value) -> bool {
    let before = cluster.cluster_version().await;
    apply_git(cluster, desired_update).await.unwrap()["spec"] != before["spec"]
}

pub async fn apply_git(cluster: &Cluster, desired_update: &Value) -> Result<Value, kube::Error> {
    let manifest = json!({
        "apiVersion": "config.openshift.io/v1", "kind": "ClusterVersion", "metadata": {"name": "version"},
        "spec": {"desiredUpdate": desired_update},
    });
    let params = PatchParams::apply("kustomize-controller").force();
    let applied = cluster.cluster_versions().patch("version", &params, &Patch::Apply(manifest)).await?;
    Ok(serde_json::to_value(&applied).unwrap())
}

async fn start(retry: Duration) -> (Cluster, Cvo) {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params { retry, ..Params::default() }).await;
    (cluster, cvo)
}

/// How often the operator has set a force.
async fn forces(cluster: &Cluster) -> usize {
    let writes = cluster.operator_writes().await;
    writes.iter().filter(|write| write.code == 200 && write.response["spec"]["desiredUpdate"]["force"] == true).count()
}

#[tokio::test]
async fn a_manifest_without_force_keeps_the_bridge_s_force() {
    for desired_update in [json!({"version": "4.21.2"}), json!({"image": fixtures::image("4.21.2")})] {
        let (cluster, cvo) = start(Duration::from_secs(1)).await;
        cluster.install_policy().await;
        let _operator = Operator::start(&cluster, Options::default()).await;
        assert!(reconcile_git(&cluster, &desired_update).await, "it asks for the update");
        let seen = cluster.begun("4.21.2").await;
        assert_eq!(seen["spec"]["desiredUpdate"]["force"], true);
        assert_eq!(seen["spec"]["desiredUpdate"]["image"], fixtures::image("4.21.2"));
        for _ in 0..3 {
            assert!(!reconcile_git(&cluster, &desired_update).await, "it finds nothing to put back");
        }
        let next = json!({"version": "4.21.3", "image": fixtures::image("4.21.3")});
        let denied = apply_git(&cluster, &next).await.unwrap_err().to_string();
        assert!(denied.contains("ValidatingAdmissionPolicy 'upgrade-gate'"), "{denied}");
        cvo.complete().await;
        cluster.record_is("its record", |record| record["status"]["outcome"] == "Completed").await;
        cluster.wait_for("the request as Git has it", |cv| cv["spec"]["desiredUpdate"] == desired_update).await;
        assert!(!reconcile_git(&cluster, &desired_update).await, "nor once the update is over");
        assert_eq!(forces(&cluster).await, 1);
    }
}

#[tokio::test]
async fn a_manifest_with_force_false_removes_it_and_it_is_set_again_only_after_a_fallback() {
    let (cluster, cvo) = start(Duration::from_secs(1)).await;
    cluster.install_policy().await;
    let _operator = Operator::start(&cluster, Options::default()).await;
    let git = json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": false});
    reconcile_git(&cluster, &git).await;
    cluster.begun("4.21.2").await;

    // Taken away while the update runs: the CVO goes on, so nothing is refused, and nothing is forced again.
    assert!(reconcile_git(&cluster, &git).await);
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    let seen = cluster.cluster_version().await;
    assert_eq!((&seen["spec"]["desiredUpdate"], &seen["status"]["desired"]["version"]), (&git, &json!("4.21.2")));
    assert_eq!(forces(&cluster).await, 1);

    // A CVO that restarts now reads no force, falls back, and refuses: the request is forced again.
    cvo.restart().await;
    cluster
        .touch_until("the update begun again after a fallback", async || {
            let seen = cluster.cluster_version().await;
            let again = versions_of_history(&seen).starts_with(&["4.21.2", "4.21.1", "4.21.2", "4.21.1"]);
            if again { Ok(()) } else { Err(format!("{seen:#}")) }
        })
        .await;
    assert_eq!(forces(&cluster).await, 2);
    assert!(reconcile_git(&cluster, &git).await);

    // From the hand-over on the force isn't needed any more.
    cvo.hand_over().await;
    cvo.restart().await;
    cvo.complete().await;
    let seen = cluster.wait_for("the end of the update", |cv| cv["status"]["history"][0]["state"] == "Completed").await;
    assert_eq!(versions_of_history(&seen)[..4], ["4.21.2", "4.21.1", "4.21.2", "4.21.1"]);
    assert_eq!(seen["spec"]["desiredUpdate"], git);
    cluster.wait_until_operator_is_idle().await;
    assert_eq!(forces(&cluster).await, 2);
}

/// The CVO is paused, so each force is removed before it takes effect, as fast as both can write.
#[tokio::test]
async fn a_controller_that_removes_the_force_each_time_meets_a_backoff() {
    let (cluster, cvo) = start(Duration::from_secs(1)).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    let git = json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": false});
    reconcile_git(&cluster, &git).await;
    cluster.refused("4.21.2", "PreconditionChecks", &[]).await;
    eventually("the bridge to wait for the policy", async || {
        operator.metric("upgrade_gate_bridge_refusal{reason=\"NoPolicy\"}").ok_or_else(|| operator.log())
    })
    .await;
    cvo.pause().await;
    cluster.install_policy().await;

    cluster
        .touch_until("the operator to report contention", async || {
            reconcile_git(&cluster, &git).await;
            operator.metric("upgrade_gate_contention_total").filter(|count| *count > 0.0).ok_or_else(|| operator.log())
        })
        .await;
    let since = tokio::time::Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        reconcile_git(&cluster, &git).await;
        cluster.touch().await;
    }
    assert_eq!(forces(&cluster).await, 2, "the first, and the one that was taken for contention");
    assert_eq!(cluster.cluster_version().await["spec"]["desiredUpdate"], git);
}
