//! What the CVO recorded and then erases: put back once, and never in a fight.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    self, Cluster, Operator, Options, Write,
    cvo::{self, Cvo},
    fixtures, has_condition,
};

/// How often the operator has put something into the history. A write that came too late (409) put nothing there.
async fn put_back(cluster: &Cluster) -> usize {
    let writes = cluster.operator_writes().await;
    let in_history = |write: &&Write| write.is_record() && write.resource == "clusterversions/status";
    writes.iter().filter(in_history).filter(|write| write.code == 200).count()
}

fn recorded(cluster_version: &Value) -> Option<&str> {
    cluster_version["status"]["history"][0]["acceptedRisks"].as_str()
}

/// A cluster that the bridge has let go to 4.21.2, its CVO and the operator.
async fn updated() -> (Cluster, Cvo, Operator) {
    let (cluster, cvo, operator) = support::updated().await;
    let seen = cluster.cluster_version().await;
    assert!(recorded(&seen).unwrap().starts_with("Forced through blocking failures: "));
    assert_eq!(put_back(&cluster).await, 0, "nothing was lost");
    (cluster, cvo, operator)
}

#[tokio::test]
async fn accepted_risks_erased_by_a_blocked_minor_are_restored_once_after_it_is_cleared() {
    let (cluster, cvo, operator) = updated().await;
    cluster.remove_policy().await;
    cluster.request("4.22.0", &fixtures::image("4.22.0")).await;
    cluster.refused("4.22.0", "PreconditionChecks", &[]).await;
    cluster.wait_for("the CVO erases it", |cv| recorded(cv).is_none()).await;
    cluster.record_is("the record says so", |record| record["status"]["inHistory"] == false).await;
    // While it is pending, over several retries of the CVO: not once.
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(2)).await;
    assert_eq!(put_back(&cluster).await, 0);

    cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    cluster
        .touch_until("it is put back", async || {
            let writes = put_back(&cluster).await;
            if writes == 1 { Ok(()) } else { Err(operator.log()) }
        })
        .await;
    // This CVO has tried another target, and erases it at every sync: it stays lost.
    cvo.wait_until_idle().await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(2)).await;
    assert_eq!(put_back(&cluster).await, 1);
    let seen = cluster.cluster_version().await;
    assert!(has_condition(&seen, "ReleaseAccepted", "True", "PayloadLoaded"));
    assert_eq!(recorded(&seen), None);
    let record = cluster.record_is("the record says so", |record| record["status"]["inHistory"] == false).await;
    assert!(record["spec"]["acceptedRisks"].as_str().unwrap().contains("ClusterVersionOverridesSet"));

    // A CVO that restarts leaves it alone, and so it is there again after the operator has, too.
    cvo.restart().await;
    assert!(operator.terminate().await.success());
    let _operator = Operator::start(&cluster, Options::default()).await;
    let seen = cluster.wait_for("it is put back", |cv| recorded(cv).is_some()).await;
    assert_eq!(recorded(&seen), record["spec"]["acceptedRisks"].as_str());
    cluster.record_is("the record says so", |record| record["status"]["inHistory"] == true).await;
    cvo.wait_until_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(put_back(&cluster).await, 2);
    assert_eq!(cluster.cluster_version().await["status"]["history"], seen["status"]["history"]);
}

#[tokio::test]
async fn restoring_accepted_risks_does_not_take_ownership_of_the_history() {
    let (cluster, cvo, operator) = updated().await;
    // The writer that erased it does not matter.
    cvo.restart().await;
    cluster
        .put_status("somebody", |status| {
            status["history"][0].as_object_mut().unwrap().remove("acceptedRisks");
        })
        .await;
    cluster.wait_for("it is put back", |cv| recorded(cv).is_some()).await;
    operator.kill();
    // The CVO goes, and with it its word: the gate is vacant, the history still its own.
    cvo.scale_to_zero();
    cvo::leave_lease(&cluster, Duration::from_secs(1), Duration::from_secs(10)).await;
    cluster
        .put_status("somebody", |status| {
            status["conditions"].as_array_mut().unwrap().retain(|condition| condition["type"] != "Upgradeable");
        })
        .await;
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
    assert_eq!(operator.metric("upgrade_gate_mode{mode=\"guard\"}"), Some(1.0));
}
