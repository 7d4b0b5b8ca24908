//! What the bridge records and reports about decisions of the CVO.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    self, Cluster, Operator, Options, condition,
    cvo::{self, Cvo, Params, Profile},
    entries, eventually, fixtures,
};

/// A CVO of 4.21 that does not compute `Upgradeable` within ten minutes, and an operator, on a cluster with an override.
async fn unpublished() -> (Cluster, Cvo, Operator) {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster()).await;
    let params = Params { throttle: Duration::from_mins(10), retry: Duration::from_millis(300), ..Params::default() };
    let cvo = Cvo::start(&cluster, Profile::V4_21, params).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    (cluster, cvo, operator)
}

async fn is_begun(cluster: &Cluster, version: &str) -> Value {
    cluster.wait_for(&format!("{version} has begun"), |cv| cv["status"]["desired"]["version"] == version).await
}

/// Waits until the events about decisions are these, in this order: each its reason, and how its note begins.
async fn decided(cluster: &Cluster, expected: &[(&str, &str)]) {
    eventually(&format!("events {expected:?}"), async || {
        let mut events = cluster.events().await;
        events.retain(|event| !matches!(event["reason"].as_str(), Some("ModeChanged" | "UpgradeableChanged")));
        let reported: Vec<_> = events
            .iter()
            .map(|event| (event["reason"].as_str().unwrap(), event["message"].as_str().unwrap()))
            .collect();
        let fits = |((reason, note), (wanted, begins)): (&(&str, &str), &(&str, &str))| {
            reason == wanted && note.starts_with(begins)
        };
        if reported.len() == expected.len() && reported.iter().zip(expected).all(fits) {
            Ok(())
        } else {
            Err(format!("{reported:#?}"))
        }
    })
    .await;
}

/// The counter of these decisions.
fn counted(operator: &Operator, update_type: &str, decision: &str) -> Option<f64> {
    operator.metric(&format!("upgrade_gate_decisions_total{{type=\"{update_type}\",decision=\"{decision}\"}}"))
}

/// Waits until the message of our `Available` has these parts, and returns it.
async fn available(cluster: &Cluster, parts: &[&str]) -> String {
    eventually(&format!("Available with {parts:?}"), async || {
        let own = cluster.own_operator().await;
        let message = condition(&own, "Available")["message"].as_str().unwrap_or_default().to_owned();
        if parts.iter().all(|part| message.contains(part)) { Ok(message) } else { Err(message) }
    })
    .await
}

/// A CVO of this release that retries soon, and an operator, on a cluster with an override.
async fn beside(profile: Profile) -> (Cluster, Cvo, Operator) {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let params = Params { retry: Duration::from_millis(300), ..Params::default() };
    let cvo = Cvo::start(&cluster, profile, params).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    cvo.recompute_upgradeable().await;
    (cluster, cvo, operator)
}

#[tokio::test]
async fn a_minor_requested_by_image_is_reported_with_its_version() {
    let (cluster, cvo, operator) = beside(Profile::V4_21).await;
    cvo.publish(&fixtures::image("4.22.9"), "4.22.9");
    cluster.request("", &fixtures::image("4.22.9")).await;
    let blocked = ("UpdateBlocked", "Update from 4.21.1 to 4.22.9 (minor) is blocked: ClusterVersionOverrides: ");
    decided(&cluster, &[blocked]).await;
    assert_eq!(counted(&operator, "minor", "blocked"), Some(1.0));
    let message = available(&cluster, &["is not forced: ", "ClusterVersionOverrides: "]).await;
    assert!(!message.contains("whatever else"), "{message}");
    // The CVO tries it again and again, and is of the same mind.
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    decided(&cluster, &[blocked]).await;
    assert_eq!(counted(&operator, "minor", "blocked"), Some(1.0));
    // Asked for again, it is another request. For a patch there is one event: that it waits for the policy.
    cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    available(&cluster, &[]).await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    let waits = ("UpdateBlocked", "Update from 4.21.1 to 4.21.2 (patch) is blocked: The ValidatingAdmissionPolicy ");
    decided(&cluster, &[blocked, waits]).await;
    cluster.request("", &fixtures::image("4.22.9")).await;
    decided(&cluster, &[blocked, waits, blocked]).await;
    assert_eq!(counted(&operator, "minor", "blocked"), Some(2.0));
}

#[tokio::test]
async fn an_update_accepted_by_the_cvo_is_reported_once() {
    let (cluster, cvo, operator) = beside(Profile::Main).await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cvo.complete().await;
    cluster.record_is("a record", |record| record["status"]["outcome"] == "Completed").await;
    let accepted =
        ("UpdateAccepted", "Update from 4.21.1 to 4.21.2 (patch) goes ahead with accepted risks: Precondition ");
    decided(&cluster, &[accepted]).await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    decided(&cluster, &[accepted]).await;
    assert_eq!(counted(&operator, "patch", "allowed"), Some(1.0));
    // Without overrides nothing is accepted, and it is reported all the same.
    cluster.set_overrides(json!([])).await;
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
    cvo.publish(&fixtures::image("4.21.3"), "4.21.3");
    cluster.request("4.21.3", &fixtures::image("4.21.3")).await;
    cvo.complete().await;
    let plain = ("UpdateAccepted", "Update from 4.21.2 to 4.21.3 (patch) goes ahead");
    decided(&cluster, &[accepted, plain]).await;
    assert_eq!(counted(&operator, "patch", "allowed"), Some(2.0));
}

#[tokio::test]
async fn a_force_by_a_user_is_reported_as_forced_past_overrides() {
    let (cluster, cvo, operator) = beside(Profile::V4_21).await;
    let forced = json!({"version": "4.22.0", "image": fixtures::image("4.22.0"), "force": true});
    cluster.patch(json!({"spec": {"desiredUpdate": forced}})).await;
    is_begun(&cluster, "4.22.0").await;
    let accepted =
        ("UpdateAccepted", "Update from 4.21.1 to 4.22.0 (minor) goes ahead with accepted risks: Forced through ");
    let past = (
        "ForcedPastOverrides",
        "Update from 4.21.1 to 4.22.0 (minor) was forced while overrides are set: \
         ClusterImagePolicy.config.openshift.io openshift",
    );
    decided(&cluster, &[accepted, past]).await;
    assert_eq!(counted(&operator, "minor", "allowed"), Some(1.0));
    cvo.complete().await;
    cluster.record_is("it ended", |record| record["status"]["outcome"] == "Completed").await;
    decided(&cluster, &[accepted, past]).await;
}

#[tokio::test]
async fn an_unverifiable_image_is_reported_as_waiting_for_verification() {
    let (cluster, cvo, operator) = beside(Profile::V4_21).await;
    cluster.install_policy().await;
    let image = fixtures::image("4.21.2");
    cvo.set_verifiable(&image, false);
    cluster.request("4.21.2", &image).await;
    available(&cluster, &["The requested update does not go ahead: RetrievePayload: "]).await;
    let blocked = ("UpdateBlocked", "Update from 4.21.1 to 4.21.2 (patch) is blocked: RetrievePayload: ");
    decided(&cluster, &[blocked]).await;
    cvo.set_verifiable(&image, true);
    is_begun(&cluster, "4.21.2").await;
    let accepted = ("UpdateAccepted", "Update from 4.21.1 to 4.21.2 (patch) goes ahead with accepted risks: ");
    let past = ("ForcedPastOverrides", "Update from 4.21.1 to 4.21.2 (patch) was forced past ");
    decided(&cluster, &[blocked, accepted, past]).await;
    cvo.complete().await;
    cluster.record_is("it ended", |record| record["status"]["outcome"] == "Completed").await;
    decided(&cluster, &[blocked, accepted, past]).await;
    assert_eq!(
        (counted(&operator, "patch", "blocked"), counted(&operator, "patch", "allowed")),
        (Some(1.0), Some(1.0))
    );
}

#[tokio::test]
async fn own_cluster_operator_reports_why_an_update_waits() {
    let (cluster, cvo, _operator) = beside(Profile::V4_21).await;
    // A version that isn't available.
    cluster.request("4.21.9", "").await;
    let invalid = cluster.wait_for("Invalid", |cv| condition(cv, "Invalid")["status"] == "True").await;
    let reason = condition(&invalid, "Invalid")["reason"].as_str().unwrap();
    available(&cluster, &["The requested update ", &format!("{reason}: "), "4.21.9"]).await;
    decided(&cluster, &[("UpdateBlocked", &format!("Update from 4.21.1 to 4.21.9 (patch) is blocked: {reason}: "))])
        .await;
    // Without a request, nothing is reported.
    cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    eventually("nothing to be said", async || {
        let own = cluster.own_operator().await;
        let message = condition(&own, "Available")["message"].as_str().unwrap_or_default().to_owned();
        if message.ends_with(").") { Ok(()) } else { Err(message) }
    })
    .await;
    // The CVO is gone.
    cvo.scale_to_zero();
    cvo::leave_lease(&cluster, Duration::from_secs(1), Duration::from_secs(10)).await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cluster
        .touch_until("the CVO to be missed", async || {
            let own = cluster.own_operator().await;
            let message = condition(&own, "Available")["message"].as_str().unwrap_or_default().to_owned();
            if message.contains("No cluster-version operator is running: ") { Ok(()) } else { Err(message) }
        })
        .await;
    // The other word of ClusterVersion that keeps `oc` from updating.
    cluster
        .put_status(cvo::MANAGER, |status| {
            let conditions = status["conditions"].as_array_mut().unwrap();
            conditions.retain(|condition| condition["type"] != "Failing");
            conditions.push(fixtures::condition("Failing", "True", "ClusterOperatorDegraded", "dns is degraded"));
        })
        .await;
    available(&cluster, &["ClusterVersion says Failing=True: ClusterOperatorDegraded: dns is degraded"]).await;
}

#[tokio::test]
async fn a_patch_that_the_cvo_accepts_before_it_publishes_upgradeable_is_recorded_once() {
    let (cluster, cvo, operator) = unpublished().await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    let seen = is_begun(&cluster, "4.21.2").await;
    assert_eq!(entries(&seen, "4.21.2")[0]["acceptedRisks"], Value::Null);
    let record = cluster.record_is("it runs", |record| record["status"]["startedTime"].is_string()).await;
    let spec = &record["spec"];
    assert_eq!([&spec["by"], &spec["from"], &spec["to"], &spec["type"]], ["Gate", "4.21.1", "4.21.2", "patch"]);
    assert_eq!(spec["overrides"][0]["kind"], "ClusterImagePolicy");
    assert_eq!(
        spec["acceptedRisks"],
        "Overrides were set while this update ran, so it did not change: \
         ClusterImagePolicy.config.openshift.io openshift."
    );

    let note = "Update from 4.21.1 to 4.21.2 (patch) goes ahead while overrides are set: \
                ClusterImagePolicy.config.openshift.io openshift";
    decided(&cluster, &[("UpdateAccepted", note)]).await;
    assert_eq!(counted(&operator, "patch", "allowed"), Some(1.0));

    // A replica that takes over in the midst of it finds the record, and reports nothing again.
    assert!(operator.terminate().await.success());
    let operator = Operator::start(&cluster, Options::default()).await;
    cvo.complete().await;
    let after = cluster.record_is("it ended", |record| record["status"]["outcome"] == "Completed").await;
    assert_eq!((&after["metadata"]["uid"], &after["spec"]), (&record["metadata"]["uid"], spec));
    assert_eq!((&after["status"]["verified"], &after["status"]["inHistory"]), (&json!(true), &Value::Null));
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.operator_writes().await.len(), 0, "{}", operator.log());

    // An update that is completed at the start is not recorded again.
    assert!(operator.terminate().await.success());
    cluster.control_plane.kubectl(&["delete", "updaterecords", "--all"]);
    let _operator = Operator::start(&cluster, Options::default()).await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.records().await, Vec::<Value>::new());
    decided(&cluster, &[("UpdateAccepted", note)]).await;
}

#[tokio::test]
async fn an_override_set_during_an_update_is_not_in_its_record() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    is_begun(&cluster, "4.21.2").await;
    eventually("the operator to see it begin", async || {
        operator.metric("upgrade_gate_risk{name=\"ClusterVersionUpdating\"}").ok_or_else(|| operator.metrics())
    })
    .await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    cvo.complete().await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.records().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_record_that_failed_during_the_update_is_written_afterwards() {
    let (cluster, cvo, _operator) = unpublished().await;
    let access = json!({"group": "upgrade-gate.openshift.io", "resource": "updaterecords", "verb": "create"});
    let revoked =
        cluster.revoke_rules(access, |resource, verb| !(resource == "updaterecords" && verb == "create")).await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    is_begun(&cluster, "4.21.2").await;
    cvo.complete().await;
    cluster.wait_for("it is completed", |cv| entries(cv, "4.21.2")[0]["state"] == "Completed").await;
    cluster.wait_until_operator_is_idle().await;
    assert_eq!(cluster.records().await, Vec::<Value>::new());
    revoked.restore_access().await;
    let record = cluster.record_is("it is recorded", |record| record["status"]["outcome"] == "Completed").await;
    assert_eq!((&record["spec"]["by"], &record["spec"]["to"]), (&json!("Gate"), &json!("4.21.2")));
}
