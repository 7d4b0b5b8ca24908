//! Overrides come and go: each state is reached, with the one write that it takes, and an accepted update takes two.

use serde_json::json;

use crate::support::{self, Operator, Options, condition, entries, fixtures, has_condition};

#[tokio::test]
async fn each_toggle_of_overrides_takes_one_write() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    assert_eq!(cluster.operator_writes().await.len(), 1, "both conditions go in one write");
    let versions = cluster.record().await;

    for toggle in 1..=20 {
        if toggle % 2 == 1 {
            cluster.set_overrides(json!([fixtures::policy_override()])).await;
            cluster.upgradeable("False", "ClusterVersionOverrides").await;
        } else {
            cluster.set_overrides(json!([])).await;
            cluster.upgradeable("True", "AsExpected").await;
        }
        assert_eq!(cluster.operator_writes().await.len(), 1 + toggle);
    }
    assert!(cluster.operator_writes().await.iter().all(|write| write.is_conditions() && write.code == 200));

    let mut flips = versions.so_far().await;
    flips.dedup_by_key(|version| condition(version, "Upgradeable")["status"].clone());
    assert_eq!(flips.len(), 21, "the first state, and one for each toggle");
}

#[tokio::test]
async fn an_accepted_update_takes_two_writes_and_its_completion_none() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_accepted("4.21.2").await;
    let kinds = |writes: &[support::Write]| {
        writes.iter().map(|write| (write.is_record(), write.is_conditions(), write.code)).collect::<Vec<_>>()
    };
    let first = (false, true, 200);
    assert_eq!(kinds(&cluster.operator_writes().await), [first, (true, false, 200), (false, true, 200)]);

    let record = &cluster.operator_writes().await[1].request;
    let steps: Vec<_> = record.as_array().unwrap().iter().map(|step| (&step["op"], &step["path"])).collect();
    let literal =
        [("replace", "/metadata/resourceVersion"), ("test", "/status/history/0"), ("add", "/status/history/0")];
    assert_eq!(json!(steps), json!(literal));
    assert_eq!(record[1]["value"], fixtures::completed("4.21.1"), "what was read is what is tested for");

    // The updater sets `desired`, and later completes the update. Neither changes a condition.
    cluster.put_status("updater", |status| status["desired"] = fixtures::release("4.21.2")).await;
    cluster
        .put_status("updater", |status| {
            status["history"][0]["state"] = json!("Completed");
            status["history"][0]["completionTime"] = json!(fixtures::LONG_AGO);
            status["history"][0]["verified"] = json!(true);
        })
        .await;
    // Something that does call for a write comes last, so that nothing is still under way.
    cluster.set_overrides(json!([])).await;
    let seen = cluster.upgradeable("True", "AsExpected").await;
    assert_eq!(cluster.operator_writes().await.len(), 4);
    assert_eq!(entries(&seen, "4.21.2").len(), 1);
    assert!(entries(&seen, "4.21.2")[0]["acceptedRisks"].as_str().unwrap().contains("ClusterVersionOverridesSet"));
    assert!(has_condition(&seen, "ReleaseAccepted", "True", "PayloadLoaded"));
}

#[tokio::test]
async fn an_update_that_shows_its_progress_takes_one_write_a_change_of_it() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_accepted("4.21.2").await;
    assert_eq!(cluster.operator_writes().await.len(), 3);
    let progressing = |status: &str| fixtures::condition("Progressing", status, "", "Working towards 4.21.2");

    cluster
        .put_status("updater", |status| {
            status["desired"] = fixtures::release("4.21.2");
            status["conditions"][2] = progressing("True");
        })
        .await;
    let seen = cluster.upgradeable("False", "MultipleReasons").await;
    let message = condition(&seen, "Upgradeable")["message"].as_str().unwrap();
    assert!(message.contains("* ClusterVersionOverrides: ") && message.contains("* ClusterVersionUpdating: "));
    cluster
        .put_status("updater", |status| {
            status["history"][0]["state"] = json!("Completed");
            status["history"][0]["completionTime"] = json!(fixtures::LONG_AGO);
            status["conditions"][2] = progressing("False");
        })
        .await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    assert_eq!(cluster.operator_writes().await.len(), 5);
}

#[tokio::test]
async fn a_patch_without_overrides_leaves_the_history_to_the_updater() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let seen = cluster.request_accepted("4.21.2").await;
    assert_eq!(seen["status"]["history"], json!([fixtures::completed("4.21.1"), fixtures::completed("4.21.0")]));
    let writes = cluster.operator_writes().await;
    assert_eq!(writes.len(), 2);
    assert!(writes.iter().all(support::Write::is_conditions));
}

#[tokio::test]
async fn only_an_override_with_unmanaged_true_counts() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    let mut managed = fixtures::policy_override();
    managed["unmanaged"] = json!(false);
    cluster.set_overrides(json!([managed])).await;
    cluster.request_accepted("4.22.0").await;
    assert!(has_condition(&cluster.cluster_version().await, "Upgradeable", "True", "AsExpected"));
    assert_eq!(cluster.operator_writes().await.len(), 2, "Upgradeable, and the condition about the request");
}
