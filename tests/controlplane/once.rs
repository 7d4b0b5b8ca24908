//! One entry of the history for one request: with a killed or restarted operator, several replicas, repeated requests.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{self, Cluster, Operator, Options, entries, fixtures, is_accepted};

/// A cluster under overrides that knows the patches 4.21.2 to 4.21.29.
fn cluster_with_patches() -> Value {
    let mut cluster = fixtures::cluster_with_override();
    let patches: Vec<Value> = (2..30).map(|patch| fixtures::release(&format!("4.21.{patch}"))).collect();
    cluster["status"]["availableUpdates"] = json!(patches);
    cluster
}

/// The only entry for this version; it has its record.
fn the_record<'a>(object: &'a Value, version: &str) -> &'a Value {
    let found = entries(object, version);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0]["acceptedRisks"].as_str().unwrap().contains("ClusterVersionOverridesSet"), "{found:#?}");
    found[0]
}

async fn ask(cluster: &Cluster, version: &str) {
    cluster.request(version, &fixtures::image(version)).await;
}

#[tokio::test]
async fn an_operator_killed_between_record_and_conditions_writes_the_conditions_after_its_restart() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let denial = cluster.deny("conditions", "Forbidden").await;
    ask(&cluster, "4.21.2").await;
    let between = cluster.wait_for("the record", |cv| !entries(cv, "4.21.2").is_empty()).await;
    operator.kill();
    assert!(!is_accepted(&between, "4.21.2"));
    denial.lift().await;

    let before = cluster.operator_writes().await.len();
    let _restarted = Operator::start(&cluster, Options::mode("replace")).await;
    let after = cluster.accepted("4.21.2").await;
    assert_eq!(after["status"]["history"], between["status"]["history"]);
    the_record(&after, "4.21.2");
    assert_eq!(cluster.operator_writes().await.len(), before + 1);
}

#[tokio::test]
async fn an_operator_killed_right_after_the_record_leaves_one_entry() {
    let cluster = support::cluster(cluster_with_patches()).await;
    let versions = cluster.record().await;
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    for patch in 2..8 {
        let version = format!("4.21.{patch}");
        ask(&cluster, &version).await;
        versions.until("the record", |cv| !entries(cv, &version).is_empty()).await;
        operator.kill();
        operator = Operator::start(&cluster, Options::mode("replace")).await;
        the_record(&cluster.accepted(&version).await, &version);
    }
}

#[tokio::test]
async fn an_operator_killed_at_any_moment_leaves_one_entry() {
    let cluster = support::cluster(cluster_with_patches()).await;
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    for patch in 2..22 {
        let version = format!("4.21.{patch}");
        ask(&cluster, &version).await;
        // The moments spread over what the two writes take, and a little more.
        tokio::time::sleep(Duration::from_micros(700 * patch)).await;
        operator.kill();
        operator = Operator::start(&cluster, Options::mode("replace")).await;
        the_record(&cluster.accepted(&version).await, &version);
    }
    let history = cluster.cluster_version().await["status"]["history"].as_array().unwrap().clone();
    assert_eq!(history.len(), 22);
    assert!(history.iter().skip(1).all(|entry| entry["completionTime"].is_string()), "only the first is open");
}

#[tokio::test]
async fn an_operator_terminated_at_any_moment_finishes_its_write_and_leaves_one_entry() {
    let cluster = support::cluster(cluster_with_patches()).await;
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    for patch in 2..10 {
        let version = format!("4.21.{patch}");
        ask(&cluster, &version).await;
        tokio::time::sleep(Duration::from_micros(1500 * patch)).await;
        assert_eq!(operator.terminate().await.code(), Some(0));
        assert_eq!(cluster.lease().await.unwrap()["spec"]["holderIdentity"], json!(null));
        operator = Operator::start(&cluster, Options::mode("replace")).await;
        // The one before may have finished everything; until this one listens for SIGTERM, that signal just ends it.
        operator.ready().await;
        the_record(&cluster.accepted(&version).await, &version);
    }
}

#[tokio::test]
async fn two_replicas_make_one_entry_and_one_continues_when_the_other_is_killed() {
    let cluster = support::cluster(cluster_with_patches()).await;
    let lease = |identity| {
        Options::mode("replace").identity(identity).arg("--lease-duration=3s").arg("--lease-renew-interval=1s")
    };
    let mut names = ["replica-a", "replica-b", "replica-c", "replica-d"].into_iter();
    let mut replicas = Vec::new();
    for name in names.by_ref().take(2) {
        replicas.push((Operator::start(&cluster, lease(name)).await, name));
    }
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    for patch in 2..6 {
        let version = format!("4.21.{patch}");
        ask(&cluster, &version).await;
        the_record(&cluster.accepted(&version).await, &version);
        if patch % 2 == 0 {
            let holder = cluster.lease().await.unwrap()["spec"]["holderIdentity"].clone();
            let leader = replicas.iter().position(|(_, identity)| holder == *identity).unwrap();
            replicas.remove(leader).0.kill();
            let name = names.next().unwrap();
            replicas.push((Operator::start(&cluster, lease(name)).await, name));
        }
    }
    assert_eq!(cluster.operator_writes().await.len(), 1 + 2 * 4, "two writes an update, as if there were one replica");
}

#[tokio::test]
async fn two_writers_without_leader_election_make_one_entry() {
    let cluster = support::cluster(cluster_with_patches()).await;
    let alone = |identity| Options::mode("replace").identity(identity).arg("--leader-elect=false");
    let mut one = Operator::start(&cluster, alone("one")).await;
    let mut other = Operator::start(&cluster, alone("other")).await;
    one.ready().await;
    other.ready().await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    for patch in 2..12 {
        let version = format!("4.21.{patch}");
        ask(&cluster, &version).await;
        the_record(&cluster.accepted(&version).await, &version);
    }
    let history = &cluster.cluster_version().await["status"]["history"];
    assert_eq!(history.as_array().unwrap().len(), 12);
    let writes = cluster.operator_writes().await;
    assert!(writes.iter().any(|write| write.code == 409), "they never met: nothing is proven");
    assert_eq!(writes.iter().filter(|write| write.is_record() && write.code == 200).count(), 10);
}

#[tokio::test]
async fn the_same_request_twice_is_one_request() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let first = cluster.request_accepted("4.21.2").await;
    ask(&cluster, "4.21.2").await;
    // The same request in another form, with a new generation: the version without its image, then the image alone.
    cluster.patch(json!({"spec": {"desiredUpdate": {"image": ""}}})).await;
    cluster.patch(json!({"spec": {"desiredUpdate": {"image": fixtures::image("4.21.2"), "version": ""}}})).await;
    cluster.patch(json!({"spec": {"desiredUpdate": {"version": "4.21.2", "architecture": null}}})).await;
    drop(operator);
    let mut restarted = Operator::start(&cluster, Options::mode("replace")).await;
    restarted.ready().await;
    cluster.patch(json!({"spec": {"overrides": []}})).await;
    let last = cluster.upgradeable("True", "AsExpected").await;
    assert_eq!(last["status"]["history"], first["status"]["history"]);
    assert_eq!(cluster.operator_writes().await.len(), 4, "nothing but the last toggle was written on top");
}

#[tokio::test]
async fn a_request_that_is_cleared_and_repeated_keeps_its_entry() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let first = cluster.request_accepted("4.21.2").await;
    let record = the_record(&first, "4.21.2");

    cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    let cleared = cluster.accepted("4.21.1").await;
    assert_eq!(&cleared["status"]["history"][0], record);
    let again = cluster.request_accepted("4.21.2").await;
    assert_eq!(again["status"]["history"], first["status"]["history"]);

    // The same once it has been carried out.
    cluster.updater_completes("4.21.2").await;
    cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    ask(&cluster, "4.21.2").await;
    cluster.set_overrides(json!([])).await;
    let last = cluster.upgradeable("True", "AsExpected").await;
    assert_eq!(last["status"]["history"].as_array().unwrap().len(), 3);
    assert_eq!(the_record(&last, "4.21.2")["acceptedRisks"], record["acceptedRisks"]);
}
