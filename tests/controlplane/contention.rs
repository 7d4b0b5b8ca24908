//! Another manager reverts the operator's writes: the operator writes at most once a minute and reports contention, but
//! writes a new verdict at once.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::interval;

use crate::support::{self, Cluster, Operator, Options, condition, entries, eventually, fixtures, has_condition};

/// Looks all the time, and puts the status right as it sees it. Never ends.
async fn rival(cluster: &Cluster, is_wrong: impl Fn(&Value) -> bool, revert: impl Fn(&mut Value)) {
    let mut looks = interval(Duration::from_millis(20));
    loop {
        looks.tick().await;
        if is_wrong(&cluster.cluster_version().await) {
            cluster.put_status("rival", &revert).await;
        }
    }
}

async fn contentions(cluster: &Cluster) -> usize {
    cluster.events().await.iter().filter(|event| event["reason"] == "GateContention").count()
}

/// The operator's writes that weren't lost to one of the rival.
async fn made(cluster: &Cluster) -> usize {
    cluster.operator_writes().await.iter().filter(|write| write.code == 200).count()
}

#[tokio::test]
async fn conditions_reverted_each_time_are_written_twice_and_a_new_override_at_once() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let versions = cluster.record().await;
    let fight = rival(
        &cluster,
        |cv| !has_condition(cv, "Upgradeable", "True", "Rival"),
        |status| {
            let conditions = status["conditions"].as_array_mut().unwrap();
            let upgradeable = conditions.iter_mut().find(|condition| condition["type"] == "Upgradeable").unwrap();
            *upgradeable = fixtures::condition("Upgradeable", "True", "Rival", "all is well");
        },
    );
    let test = async {
        eventually("the contention to be reported", async || {
            let reported = contentions(&cluster).await;
            if reported > 0 { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        cluster.wait_for("the rival to win", |cv| has_condition(cv, "Upgradeable", "True", "Rival")).await;
        // Longer than any back-off would take to try again, with a resync in it.
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(made(&cluster).await, 2, "the first write and one repetition");
        assert_eq!(operator.metric("upgrade_gate_contention_total"), Some(1.0));

        let mut second = fixtures::policy_override();
        second["name"] = json!("second");
        cluster.set_overrides(json!([fixtures::policy_override(), second])).await;
        versions
            .until("the new override in the condition", |cv| {
                has_condition(cv, "Upgradeable", "False", "ClusterVersionOverrides")
                    && condition(cv, "Upgradeable")["message"].as_str().unwrap().contains("second")
            })
            .await;
        // The request is decided by the verdict, regardless of the other manager's condition.
        cluster.request_blocked("4.22.0", &["ClusterVersionOverrides"]).await;
        let writes = made(&cluster).await;
        assert!(writes <= 4, "{writes} writes: two before, the new override, the new request");
        assert_eq!(contentions(&cluster).await, 1);
    };
    tokio::select! {
        () = fight => {}
        () = test => {}
    }
}

#[tokio::test]
async fn a_history_text_reverted_each_time_is_written_twice_and_blocks_nothing_else() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let fight = rival(
        &cluster,
        |cv| !entries(cv, "4.21.2").is_empty(),
        |status| status["history"] = json!([fixtures::completed("4.21.1"), fixtures::completed("4.21.0")]),
    );
    let test = async {
        cluster.request_accepted("4.21.2").await;
        eventually("the contention to be reported", async || {
            let reported = contentions(&cluster).await;
            if reported > 0 { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        cluster.wait_for("the rival to win", |cv| entries(cv, "4.21.2").is_empty()).await;
        cluster.put_cluster_operator("dns", json!([fixtures::condition("Upgradeable", "False", "No", "no")])).await;
        let seen = cluster.upgradeable("False", "MultipleReasons").await;
        assert!(has_condition(&seen, "ReleaseAccepted", "True", "PayloadLoaded"), "the update has gone ahead");
        let records =
            cluster.operator_writes().await.iter().filter(|write| write.is_record() && write.code == 200).count();
        assert_eq!(records, 2);
    };
    tokio::select! {
        () = fight => {}
        () = test => {}
    }
}

#[tokio::test]
async fn a_condition_that_is_edited_once_is_restored_at_once() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    let before = cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster
        .put_status("somebody", |status| {
            status["conditions"].as_array_mut().unwrap().retain(|condition| condition["type"] != "Upgradeable");
        })
        .await;
    let after = cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert_eq!(condition(&after, "Upgradeable")["message"], condition(&before, "Upgradeable")["message"]);
}
