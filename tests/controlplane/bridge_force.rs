//! The life of a force: removed after the update, never before, and never one of a person's.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use upgrade_gate::api::ClusterVersion;
use upgrade_gate::gate::Source;
use upgrade_gate::plan::{bridge::unforce::decide as decide_unforce, newest_entry::EntryStart};

use crate::bridge_conditions::refused;
use crate::support::{self, Cluster, Operator, Options, condition, cvo, entries, eventually, fixtures, has_condition};

fn request(cluster_version: &Value) -> &Value {
    &cluster_version["spec"]["desiredUpdate"]
}

async fn unforced(cluster: &Cluster) -> Value {
    cluster.touch_until_seen("no force", |cv| request(cv)["force"] != true).await
}

/// Asks as `oc` and `kubectl` do, the whole value by a merge patch.
async fn ask(cluster: &Cluster, wanted: Value) {
    cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    cluster.patch(json!({"spec": {"desiredUpdate": wanted}})).await;
}

/// What of the request is the operator's by managedFields.
fn owned(cluster_version: &Value) -> Vec<&str> {
    let fields = cluster_version["metadata"]["managedFields"].as_array().unwrap();
    let ours = fields.iter().filter(|field| field["manager"] == "upgrade-gate");
    let request = ours.filter_map(|field| field["fieldsV1"]["f:spec"]["f:desiredUpdate"].as_object());
    request.flat_map(|owned| owned.keys().map(String::as_str)).collect()
}

/// A change of the status.
type Change = Box<dyn Fn(&mut Value)>;

#[tokio::test]
async fn after_the_update_the_request_is_restored_and_the_next_one_is_handled() {
    let (cluster, cvo) = support::locked_out().await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    let two = fixtures::image("4.21.2");
    let three = fixtures::image("4.21.3");
    let four = fixtures::image("4.21.4");
    // By version alone; the whole value, as `oc adm upgrade --to`; an image alone, as on a disconnected site.
    for (version, wanted, left, ours) in [
        ("4.21.2", json!({"version": "4.21.2"}), json!({"version": "4.21.2"}), vec!["f:force", "f:image"]),
        (
            "4.21.3",
            json!({"architecture": "", "version": "4.21.3", "image": three, "force": false}),
            json!({"architecture": "", "version": "4.21.3", "image": three}),
            vec!["f:force"],
        ),
        ("4.21.4", json!({"image": four, "force": false}), json!({"image": four}), vec!["f:force"]),
    ] {
        ask(&cluster, wanted).await;
        let seen = cluster.forced().await;
        assert_eq!(owned(&seen), ours, "{version}");
        // Until then, the CVO may still be in the pass that the removal of the force before cost.
        cluster.wait_for("the update begins", |cv| cv["status"]["history"][0]["version"] == version).await;
        eventually("the metric says that the force is there", async || {
            let standing = operator.metric("upgrade_gate_bridge_force_standing");
            if standing == Some(1.0) { Ok(()) } else { Err(format!("{standing:?}")) }
        })
        .await;
        cvo.complete().await;
        let seen = unforced(&cluster).await;
        assert_eq!(request(&seen), &left, "{version}");
        assert_eq!(owned(&seen), Vec::<&str>::new(), "{version}");
        let front = &seen["status"]["history"][0];
        assert_eq!((&front["state"], &front["version"]), (&json!("Completed"), &json!(version)));
        // One pass right afterwards, and a restart finds nothing to do.
        cvo.wait_until_idle().await;
        let seen = cluster.cluster_version().await;
        assert!(has_condition(&seen, "Progressing", "True", ""), "{version}: {seen:#}");
        cvo.complete().await;
        cvo.restart().await;
        let seen = cluster.cluster_version().await;
        assert!(has_condition(&seen, "Progressing", "False", ""), "{version}: {seen:#}");
        assert!(has_condition(&seen, "ReleaseAccepted", "True", "PayloadLoaded"), "{version}: {seen:#}");
        assert_eq!(entries(&seen, version).len(), 1, "{version}");
    }
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(operator.metric("upgrade_gate_bridge_force_standing"), Some(0.0));
    let mut writes = cluster.operator_writes().await;
    writes.retain(|write| write.code == 200);
    assert_eq!(writes.len(), 6, "a force and its removal for each update: {writes:#?}");

    // Without a pinned image, the CVO handles a merge patch of the version alone.
    ask(&cluster, json!({"version": "4.21.4"})).await;
    cvo.publish(&two, "4.21.2");
    cluster.put_status(cvo::MANAGER, |status| status["availableUpdates"] = json!([fixtures::release("4.21.5")])).await;
    cvo.publish(&fixtures::image("4.21.5"), "4.21.5");
    cluster.patch(json!({"spec": {"desiredUpdate": {"version": "4.21.5"}}})).await;
    let seen = cluster.forced().await;
    assert_eq!(request(&seen)["image"], fixtures::image("4.21.5"));
}

#[tokio::test]
async fn a_rollback_to_the_previous_version_is_forced_like_a_patch() {
    let (cluster, cvo) = support::locked_out().await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    ask(&cluster, json!({"version": "4.21.2"})).await;
    cluster.forced().await;
    cvo.complete().await;
    unforced(&cluster).await;
    cvo.complete().await;

    // Older than the previous version: it stays refused, and is called what it is.
    let old = json!({"architecture": "", "version": "4.21.0", "image": fixtures::image("4.21.0"), "force": false});
    ask(&cluster, old).await;
    cluster.refused("4.21.0", "PreconditionChecks", &["ClusterVersionRollback"]).await;
    let available = eventually("the reason", async || {
        let operator = cluster.own_operator().await;
        let message = condition(&operator, "Available")["message"].as_str().unwrap_or_default().to_owned();
        if message.contains("is not forced") { Ok(message) } else { Err(message) }
    })
    .await;
    assert!(available.contains("is not forced: The release is older than the current one."), "{available}");

    let back = json!({"architecture": "", "version": "4.21.1", "image": fixtures::image("4.21.1"), "force": false});
    ask(&cluster, back).await;
    cluster.forced().await;
    cvo.complete().await;
    let seen = unforced(&cluster).await;
    let left = json!({"architecture": "", "version": "4.21.1", "image": fixtures::image("4.21.1")});
    assert_eq!(request(&seen), &left);
    let records = cluster.records_are("a record of each", |records| {
        records.len() == 2 && records.iter().all(|record| record["status"]["outcome"] == "Completed")
    });
    let records = records.await;
    let rollback = records.iter().find(|record| record["spec"]["to"] == "4.21.1").unwrap();
    let spec = &rollback["spec"];
    assert_eq!([&spec["by"], &spec["from"], &spec["type"]], ["Bridge", "4.21.2", "rollback"]);
    let seen = cluster.cluster_version().await;
    assert_eq!(seen["status"]["history"][0]["version"], "4.21.1");
    assert_eq!(operator.metric("upgrade_gate_decisions_total{type=\"rollback\",decision=\"allowed\"}"), Some(1.0));
}

#[tokio::test]
async fn a_force_or_an_image_set_by_a_user_is_kept() {
    let (cluster, cvo) = support::locked_out().await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    let applied = async |wanted: Value| {
        let object = json!({"apiVersion": "config.openshift.io/v1", "kind": "ClusterVersion",
            "metadata": {"name": "version"}, "spec": {"desiredUpdate": wanted}});
        let params = PatchParams::apply("argocd").force();
        cluster.cluster_versions().patch("version", &params, &Patch::Apply(object)).await.expect("apply");
    };
    // The bridge sets force, then another manager applies the same value: the field has two owners.
    ask(&cluster, json!({"version": "4.21.2"})).await;
    cluster.forced().await;
    applied(json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": true})).await;
    cvo.complete().await;
    cluster.record_is("a record", |record| record["status"]["outcome"] == "Completed").await;
    kept(&cluster, &operator, "SharedForce").await;
    let available = cluster.own_condition("Available", "True", "AsExpected").await;
    assert!(available["message"].as_str().unwrap().contains("manager argocd owns the field as well"), "{available}");
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    let seen = cluster.cluster_version().await;
    assert_eq!(request(&seen), &json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": true}));
    // Given up by that manager, which owns the image no less: the force goes, the image stays.
    applied(json!({"version": "4.21.2", "image": fixtures::image("4.21.2")})).await;
    let seen = unforced(&cluster).await;
    assert_eq!(request(&seen), &json!({"version": "4.21.2", "image": fixtures::image("4.21.2")}));
    cvo.complete().await;

    // Forced by a person.
    let forced = json!({"version": "4.21.3", "image": fixtures::image("4.21.3"), "force": true});
    cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    cluster.patch(json!({"spec": {"desiredUpdate": forced}})).await;
    cluster.touch_until_seen("the update", |cv| cv["status"]["history"][0]["version"] == "4.21.3").await;
    cvo.complete().await;
    cluster
        .records_are("its record", |records| {
            records.iter().any(|record| record["spec"]["to"] == "4.21.3" && record["status"]["outcome"] == "Completed")
        })
        .await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(request(&cluster.cluster_version().await), &forced);
    assert_eq!(operator.metric("upgrade_gate_bridge_force_standing"), Some(0.0));
}

/// Waits until the bridge reports why it keeps the force.
async fn kept(cluster: &Cluster, operator: &Operator, reason: &str) {
    let series = format!("upgrade_gate_bridge_force_kept{{reason=\"{reason}\"}}");
    cluster
        .touch_until(&format!("the force to be kept for {reason}"), async || {
            operator.metric(&series).ok_or_else(|| operator.metrics())
        })
        .await;
}

fn healthy() -> Value {
    json!([fixtures::condition("Available", "True", "", ""), fixtures::condition("Degraded", "False", "", "")])
}

/// No CVO runs: each word is put there by hand, and differs from the one that lets the force go in a single thing.
#[tokio::test]
async fn each_unmet_condition_keeps_the_force_and_is_reported() {
    let cluster = support::cluster_as(cvo::MANAGER, refused()).await;
    cvo::leave_lease(&cluster, Duration::from_secs(137), Duration::ZERO).await;
    cluster.install_policy().await;
    let mut operator = Operator::start(&cluster, Options::mode("bridge")).await;
    operator.ready().await;
    cluster.forced().await;
    kept(&cluster, &operator, "NotBegun").await;
    cluster.put_cluster_operator("etcd", healthy()).await;

    let completed = || {
        let mut status = fixtures::cluster()["status"].clone();
        status["desired"] = fixtures::release("4.21.2");
        let mut front = fixtures::completed("4.21.2");
        front["startedTime"] = json!(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        front["acceptedRisks"] = json!("Forced through blocking failures: some text");
        status["history"] = json!([front, fixtures::completed("4.21.1")]);
        let accepted = fixtures::condition("ReleaseAccepted", "True", "PayloadLoaded", "");
        status["conditions"].as_array_mut().unwrap().push(accepted);
        status
    };
    let said = |kind: &'static str, value: &'static str| {
        move |status: &mut Value| {
            let conditions = status["conditions"].as_array_mut().unwrap();
            conditions.retain(|condition| condition["type"] != kind);
            if !value.is_empty() {
                conditions.push(fixtures::condition(kind, value, "Said", ""));
            }
        }
    };
    let changes: Vec<(&str, Change)> = vec![
        ("NotCompleted", Box::new(|status| status["history"][0]["state"] = json!("Partial"))),
        ("NotDesired", Box::new(|status| status["desired"] = fixtures::release("4.21.1"))),
        ("NotBegun", Box::new(|status| status["history"][0]["image"] = json!(fixtures::image("4.21.3")))),
        ("Progressing", Box::new(said("Progressing", "True"))),
        ("NotAccepted", Box::new(said("ReleaseAccepted", "False"))),
        ("Failing", Box::new(said("Failing", "True"))),
        ("Invalid", Box::new(said("Invalid", "True"))),
        ("Progressing", Box::new(said("Progressing", ""))),
        ("NotAccepted", Box::new(said("ReleaseAccepted", "Unknown"))),
    ];
    for (reason, change) in changes {
        cluster
            .put_status(cvo::MANAGER, |status| {
                *status = completed();
                change(status);
            })
            .await;
        kept(&cluster, &operator, reason).await;
        assert_eq!(request(&cluster.cluster_version().await)["force"], true, "{reason}");
    }
    // Written after the metric, so it may still be about the change before.
    let still_set = "spec.desiredUpdate.force is still set by upgrade-gate.";
    let last_reason = "stays for now: ReleaseAccepted is not True.";
    cluster
        .touch_until("our ClusterOperator to name the last reason", async || {
            let available = cluster.own_condition("Available", "True", "AsExpected").await;
            let message = available["message"].as_str().unwrap();
            if message.contains(still_set) && message.contains(last_reason) { Ok(()) } else { Err(message.to_owned()) }
        })
        .await;

    let degraded = json!([
        fixtures::condition("Available", "True", "", ""),
        fixtures::condition("Degraded", "True", "Broken", "")
    ]);
    for conditions in [degraded, json!([fixtures::condition("Available", "False", "", "")]), json!([])] {
        cluster.put_cluster_operator("etcd", conditions).await;
        cluster.put_status(cvo::MANAGER, |status| *status = completed()).await;
        kept(&cluster, &operator, "OperatorUnhealthy").await;
        cluster.wait_until_operator_is_idle().await;
        assert_eq!(request(&cluster.cluster_version().await)["force"], true);
    }
    let available = cluster.own_condition("Available", "True", "AsExpected").await;
    assert!(available["message"].as_str().unwrap().contains("ClusterOperator etcd is degraded, or not available"));
    assert_eq!(cluster.operator_writes().await.iter().filter(|write| write.code == 200).count(), 1);

    cluster.put_cluster_operator("etcd", healthy()).await;
    unforced(&cluster).await;
    eventually("no reason left", async || {
        let metrics = operator.metrics();
        if metrics.contains("upgrade_gate_bridge_force_kept{") { Err(metrics) } else { Ok(()) }
    })
    .await;
    assert!(condition(&cluster.own_operator().await, "Available")["message"].as_str().is_some());
}

#[tokio::test]
async fn a_restart_before_or_after_the_removal_of_force_gives_the_same_result() {
    let (cluster, cvo) = support::locked_out().await;
    let operator = Operator::start(&cluster, Options::default()).await;
    ask(&cluster, json!({"version": "4.21.2"})).await;
    cluster.forced().await;
    let access =
        json!({"group": "config.openshift.io", "resource": "clusterversions", "name": "version", "verb": "patch"});
    let revoked = cluster.revoke_rules(access, |resource, verb| (resource, verb) != ("clusterversions", "patch")).await;
    cvo.complete().await;
    let degraded = cluster.own_condition("Degraded", "True", "ForceNotRemoved").await;
    assert!(degraded["message"].as_str().unwrap().contains("compare the permissions with deploy/base"), "{degraded}");
    operator.kill();
    assert_eq!(request(&cluster.cluster_version().await)["force"], true);

    // Degraded before the next evaluation: the bridge waits for that.
    cluster.put_cluster_operator("etcd", json!([fixtures::condition("Degraded", "True", "Broken", "no")])).await;
    revoked.restore_access().await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    kept(&cluster, &operator, "OperatorUnhealthy").await;
    assert_eq!(request(&cluster.cluster_version().await)["force"], true);
    cluster.put_cluster_operator("etcd", healthy()).await;
    let seen = unforced(&cluster).await;
    operator.kill();
    assert_eq!(request(&seen), &json!({"version": "4.21.2"}));
    cvo.complete().await;

    let before = cluster.operator_writes().await.len();
    let _operator = Operator::start(&cluster, Options::default()).await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.operator_writes().await.len(), before, "nothing is left to do");
}

#[tokio::test]
async fn a_removal_based_on_a_stale_read_is_rejected() {
    let (cluster, cvo) = support::locked_out().await;
    let operator = Operator::start(&cluster, Options::default()).await;
    ask(&cluster, json!({"version": "4.21.2", "force": false})).await;
    cluster.forced().await;
    operator.kill();
    cvo.complete().await;
    cluster.remove_policy().await;
    let api: kube::Api<kube::api::DynamicObject> = kube::Api::all_with(
        cluster.control_plane.operator_client().await,
        &upgrade_gate::controller::cluster_versions(),
    );
    let read = async || {
        let cluster_version = ClusterVersion::from_value(cluster.cluster_version().await).unwrap();
        decide_unforce(&cluster_version, &Source::Read(Vec::new()), &Source::NotServed, EntryStart::default())
            .unwrap()
            .unwrap()
    };
    let write = async |patch: json_patch::Patch| {
        let params = PatchParams { field_manager: Some("upgrade-gate".to_owned()), ..PatchParams::default() };
        match api.patch("version", &params, &Patch::<()>::Json(patch)).await {
            Ok(_) => 200,
            Err(kube::Error::Api(status)) => status.code,
            Err(error) => panic!("{error}"),
        }
    };
    let removal = read().await;
    cluster.put_status(cvo::MANAGER, |status| status["versionHash"] = json!("other")).await;
    assert_eq!(write(removal.patch()).await, 409, "the CVO may have changed its mind");
    let removal = read().await;
    let before = cluster.patch(json!({"spec": {"desiredUpdate": {"version": "4.21.3", "image": null}}})).await;
    let code = write(removal.patch()).await;
    assert!(code == 409 || code == 422, "{code}");
    assert_eq!(cluster.cluster_version().await["spec"], before["spec"]);
}
