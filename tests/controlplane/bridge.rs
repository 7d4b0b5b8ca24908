//! Beside a stock CVO: patch updates that it refuses for overrides alone go through, and nothing else does.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    self, Cluster, Operator, Options, condition,
    cvo::{self, Cvo, Params, Profile},
    entries, eventually, fixtures, is_forced,
};

/// Waits until the CVO has refused that version.
async fn refused(cluster: &Cluster, version: &str) {
    cluster.refused(version, "PreconditionChecks", &[]).await;
}

/// Waits until the bridge reports why it does not force.
async fn holds_back(operator: &Operator, reason: &str) {
    eventually(&format!("the bridge to say {reason}"), async || {
        let series = format!("upgrade_gate_bridge_refusal{{reason=\"{reason}\"}}");
        operator.metric(&series).ok_or_else(|| operator.log())
    })
    .await;
}

#[tokio::test]
async fn a_patch_refused_by_the_cvo_for_overrides_is_forced_and_recorded() {
    let (cluster, cvo) = support::cluster_with_cvo_4_21(fixtures::cluster_with_override()).await;
    cluster.install_policy().await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;

    let version = "4.21.2";
    cluster.request(version, &fixtures::image(version)).await;
    let seen = cluster.begun(version).await;
    assert!(is_forced(&seen));
    assert_eq!(seen["spec"]["desiredUpdate"]["image"], fixtures::image(version));
    cvo.complete().await;
    let record =
        cluster.record_is("a record that is completed", |record| record["status"]["outcome"] == "Completed").await;
    let spec = &record["spec"];
    assert_eq!([&spec["by"], &spec["from"], &spec["to"], &spec["type"]], ["Bridge", "4.21.1", "4.21.2", "patch"]);
    assert_eq!(spec["image"], fixtures::image(version));
    let name =
        json!({"group": "config.openshift.io", "kind": "ClusterImagePolicy", "namespace": "", "name": "openshift"});
    assert_eq!(spec["overrides"], json!([name]));
    let text = spec["acceptedRisks"].as_str().unwrap();
    assert!(text.contains("\"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\""), "{text}");
    let seen = cluster.cluster_version().await;
    assert_eq!(record["status"]["verified"], true);
    assert_eq!(record["status"]["inHistory"], true);
    assert_eq!(record["status"]["startedTime"], seen["status"]["history"][0]["startedTime"]);
    assert_eq!(record["status"]["completedTime"], seen["status"]["history"][0]["completionTime"]);

    // A record of its own each: one written before the other.
    let reported: Vec<_> =
        cluster.all_operator_writes().await.into_iter().map(|write| (write.verb, write.resource)).collect();
    let position =
        |verb: &str, resource: &str| reported.iter().position(|reported| reported.0 == verb && reported.1 == resource);
    assert!(
        position("create", "updaterecords").unwrap() < position("patch", "clusterversions").unwrap(),
        "{reported:?}"
    );

    // The force is removed, and nothing else is left to do.
    cluster.wait_for("no force", |cv| !is_forced(cv)).await;
    cvo.complete().await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(2)).await;
    let left = json!({"architecture": "", "version": version, "image": fixtures::image(version)});
    assert_eq!(cluster.cluster_version().await["spec"]["desiredUpdate"], left);
    // One that the CVO was faster than is no write.
    let mut writes = cluster.operator_writes().await;
    writes.retain(|write| write.code != 409);
    assert_eq!(writes.len(), 2, "{writes:#?}");
    assert_eq!(operator.metric("upgrade_gate_bridge_force_standing"), Some(0.0));
    assert_eq!(operator.metric("upgrade_gate_bridge_unverified"), Some(0.0));
    assert_eq!(operator.metric("upgrade_gate_decisions_total{type=\"patch\",decision=\"allowed\"}"), Some(1.0));
    let available = cluster.own_condition("Available", "True", "AsExpected").await;
    assert!(!available["message"].as_str().unwrap().contains("force"), "{available}");
    eventually("events about it", async || {
        let mut events = cluster.events().await;
        events.retain(|event| event["reason"] != "UpgradeableChanged");
        let reported: Vec<_> = events.iter().map(|event| event["reason"].as_str().unwrap()).collect();
        if reported == ["ModeChanged", "UpdateAccepted", "ForcedPastOverrides"] {
            Ok(())
        } else {
            Err(format!("{reported:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_patch_is_forced_in_every_form_of_request() {
    let mut cluster_version = fixtures::cluster_with_override();
    let issue = |version: &str, text: &str| {
        let recommended = fixtures::condition("Recommended", "False", "SomeIssue", text);
        json!({"release": fixtures::release(version), "conditions": [recommended],
            "risks": [{"name": "SomeIssue", "url": "https://example.com/", "message": text, "matchingRules": [{"type": "Always"}]}]})
    };
    cluster_version["status"]["conditionalUpdates"] =
        json!([issue("4.21.3", "it may hurt:\n* here\n* Preconditions are no items")]);
    let (cluster, cvo) = support::cluster_with_cvo_4_21(cluster_version).await;
    cluster.install_policy().await;
    let _operator = Operator::start(&cluster, Options::default()).await;
    let mirror =
        |version: &str| fixtures::image(version).replace("registry.example.com/openshift", "mirror.lan:5000/ocp");
    for version in ["4.21.4", "4.21.5-rc.1"] {
        cvo.publish(&fixtures::image(version), version);
    }
    cvo.publish(&mirror("4.21.5"), "4.21.5");

    // By version alone; with a second item that only warns, with bullets in its text; as a disconnected site, that knows
    // no updates at all; a prerelease; by the name of a mirror.
    for (version, asked, image) in [
        ("4.21.2", ("4.21.2", String::new()), fixtures::image("4.21.2")),
        ("4.21.3", ("4.21.3", fixtures::image("4.21.3")), fixtures::image("4.21.3")),
        ("4.21.4", ("", fixtures::image("4.21.4")), fixtures::image("4.21.4")),
        ("4.21.5-rc.1", ("", fixtures::image("4.21.5-rc.1")), fixtures::image("4.21.5-rc.1")),
        ("4.21.5", ("4.21.5", mirror("4.21.5")), mirror("4.21.5")),
    ] {
        cluster.request(asked.0, &asked.1).await;
        let seen = cluster.begun(version).await;
        let expected = json!({"version": asked.0, "image": image, "architecture": "", "force": true});
        assert_eq!(seen["spec"]["desiredUpdate"], expected, "{version}");
        cvo.complete().await;
        if version == "4.21.3" {
            cluster
                .put_status(cvo::MANAGER, |status| {
                    status["availableUpdates"] = Value::Null;
                    status["conditionalUpdates"] = json!([]);
                })
                .await;
        }
    }
    let records = cluster
        .records_are("a record each", |records| {
            records.len() == 5 && records.iter().all(|record| record["status"]["outcome"] == "Completed")
        })
        .await;
    let by: Vec<_> = records.iter().map(|record| &record["spec"]["by"]).collect();
    assert_eq!(by, ["Bridge"; 5]);
    // There is no event that reports an update as blocked that is forced afterwards.
    let events = cluster.events().await;
    let blocked: Vec<_> = events.iter().filter(|event| event["reason"] == "UpdateBlocked").collect();
    assert!(blocked.is_empty(), "{blocked:#?}");
}

#[tokio::test]
async fn a_minor_is_not_forced_in_any_form_of_request() {
    let (cluster, cvo) = support::cluster_with_cvo_4_21(fixtures::cluster_with_override()).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    cvo.publish(&fixtures::image("4.22.1"), "4.22.1");
    for (version, image) in
        [("4.22.0", fixtures::image("4.22.0")), ("4.22.0", String::new()), ("", fixtures::image("4.22.1"))]
    {
        cluster.request(version, &image).await;
        refused(&cluster, if version.is_empty() { "4.22.1" } else { version }).await;
        holds_back(&operator, "NotPatch").await;
    }
    // The refusal of a minor looks like that of a patch without our ClusterOperator, and has reason MultipleReasons with it.
    cvo.wait_until_idle().await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(2)).await;
    assert_eq!(cluster.operator_writes().await.len(), 0);
    assert_eq!(cluster.records().await, Vec::<Value>::new());
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    let available = cluster.own_condition("Available", "True", "AsExpected").await;
    let message = available["message"].as_str().unwrap();
    assert!(
        message.contains(
            "is not forced: This is a minor update, and overrides prevent those: remove them, or set unmanaged: false."
        ),
        "{message}"
    );
}

#[tokio::test]
async fn an_unverifiable_image_is_forced_only_once_it_is_verifiable() {
    let (cluster, cvo) = support::cluster_with_cvo_4_21(fixtures::cluster_with_override()).await;
    cluster.install_policy().await;
    let _operator = Operator::start(&cluster, Options::default()).await;
    let image = fixtures::image("4.21.2");
    cvo.set_verifiable(&image, false);
    cluster.request("4.21.2", &image).await;
    cluster.refused("4.21.2", "RetrievePayload", &[]).await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.operator_writes().await.len(), 0);
    cvo.set_verifiable(&image, true);
    assert!(is_forced(&cluster.begun("4.21.2").await));
}

#[tokio::test]
async fn after_overrides_were_removed_nothing_is_forced() {
    let (cluster, cvo) = support::cluster_with_cvo_4_21(fixtures::cluster_with_override()).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    refused(&cluster, "4.21.2").await;
    holds_back(&operator, "NoPolicy").await;
    cvo.pause().await;
    cluster.set_overrides(json!([])).await;
    cluster.install_policy().await;
    cluster.own_condition("Upgradeable", "True", "AsExpected").await;
    cluster.wait_until_operator_is_idle().await;
    cvo.resume().await;
    let seen = cluster.begun("4.21.2").await;
    assert_eq!(seen["spec"]["desiredUpdate"]["force"], false);
    assert_eq!(cluster.operator_writes().await.len(), 0);
    assert_eq!(cluster.records().await, Vec::<Value>::new(), "nothing was accepted");
}

#[tokio::test]
async fn a_force_by_another_user_is_recorded_as_that_user_s() {
    let (cluster, cvo) = support::cluster_with_cvo_4_21(fixtures::cluster_with_override()).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    let image = fixtures::image("4.21.2");
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
    let forced = json!({"version": "4.21.2", "image": image, "force": true});
    cluster.patch(json!({"spec": {"desiredUpdate": forced}})).await;
    cluster.begun("4.21.2").await;
    cvo.complete().await;
    let record = cluster.record_is("a record", |record| record["status"]["outcome"] == "Completed").await;
    let spec = &record["spec"];
    assert_eq!([&spec["by"], &spec["from"], &spec["to"], &spec["type"]], ["Force", "4.21.1", "4.21.2", "patch"]);
    assert_eq!(spec["overrides"][0]["kind"], "ClusterImagePolicy");
    assert_eq!(spec["acceptedRisks"], entries(&cluster.cluster_version().await, "4.21.2")[0]["acceptedRisks"]);
    cluster.wait_until_operator_is_idle().await;
    assert_eq!(cluster.operator_writes().await.len(), 0);
    assert_eq!(operator.metric("upgrade_gate_bridge_force_standing"), Some(0.0));
}

#[tokio::test]
async fn an_image_that_becomes_unverifiable_before_the_force_is_reported() {
    let (cluster, cvo) = support::cluster_with_cvo_4_21(fixtures::cluster_with_override()).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    refused(&cluster, "4.21.2").await;
    holds_back(&operator, "NoPolicy").await;
    cvo.pause().await;
    cvo.set_verifiable(&fixtures::image("4.21.2"), false);
    cluster.install_policy().await;
    cluster
        .touch_until(
            "force",
            async || {
                if is_forced(&cluster.cluster_version().await) { Ok(()) } else { Err(operator.log()) }
            },
        )
        .await;
    cvo.resume().await;
    cvo.complete().await;
    let record = cluster.record_is("a record", |record| record["status"]["outcome"] == "Completed").await;
    assert_eq!((&record["spec"]["by"], &record["status"]["verified"]), (&json!("Bridge"), &json!(false)));
    eventually("an event about it", async || {
        let events = cluster.events().await;
        let event = events.iter().find(|event| event["reason"] == "ForcedUnverified");
        event.map(|event| assert_eq!(event["type"], "Warning")).ok_or_else(|| format!("{events:#?}"))
    })
    .await;
    assert_eq!(operator.metric("upgrade_gate_bridge_unverified"), Some(1.0));
    // Until a person has acknowledged it.
    let name = record["metadata"]["name"].as_str().unwrap();
    let annotation = "upgrade-gate.openshift.io/acknowledged=true";
    cluster.control_plane.kubectl(&["annotate", "updaterecord", name, annotation]);
    eventually("it is acknowledged", async || {
        let shown = operator.metric("upgrade_gate_bridge_unverified");
        if shown == Some(0.0) { Ok(()) } else { Err(format!("{shown:?}")) }
    })
    .await;
}

#[tokio::test]
async fn without_the_policy_a_patch_is_not_forced_until_the_policy_is_installed() {
    let (cluster, cvo) = support::cluster_with_cvo_4_21(fixtures::cluster_with_override()).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    // The policy is there, and not bound.
    holds_back(&operator, "NoPolicy").await;
    let degraded = cluster.own_condition("Degraded", "True", "PolicyMissing").await;
    assert!(degraded["message"].as_str().unwrap().contains("Apply deploy/ again."), "{degraded}");
    let available = cluster.own_condition("Available", "True", "AsExpected").await;
    assert!(available["message"].as_str().unwrap().contains("is not forced: The ValidatingAdmissionPolicy"));
    cvo.wait_until_idle().await;
    cluster.wait_until_operator_is_idle().await;
    // Bound on trial, then bound to a policy that isn't there: that is no more than nothing.
    let mut binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "upgrade-gate"},
        "spec": {"policyName": "upgrade-gate", "validationActions": ["Warn", "Audit"]},
    });
    cluster.control_plane.apply_object(&binding);
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    binding["spec"]["validationActions"] = json!(["Deny"]);
    cluster.control_plane.kubectl(&["delete", "validatingadmissionpolicy", "upgrade-gate"]);
    cluster.control_plane.apply_object(&binding);
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.operator_writes().await.len(), 0);
    assert_eq!(cluster.records().await, Vec::<Value>::new());

    cluster.install_policy().await;
    assert!(is_forced(&cluster.begun("4.21.2").await));
    cluster.own_condition("Degraded", "False", "AsExpected").await;
    cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
}

#[tokio::test]
async fn while_the_cvo_is_down_the_bridge_writes_nothing() {
    let (cluster, cvo) = support::cluster_with_cvo_4_21(fixtures::cluster_with_override()).await;
    cvo.scale_to_zero();
    cvo::leave_lease(&cluster, Duration::from_secs(1), Duration::from_secs(10)).await;
    cluster.install_policy().await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(2)).await;
    assert_eq!(cluster.operator_writes().await.len(), 0);
    operator.kill();

    // The refusal is of a CVO that has ended: the image may no longer be verifiable when a CVO returns.
    let params = Params { retry: Duration::from_secs(1), ..Params::default() };
    let cvo = Cvo::start(&cluster, Profile::V4_21, params).await;
    refused(&cluster, "4.21.2").await;
    cvo.scale_to_zero();
    cvo::leave_lease(&cluster, Duration::from_secs(1), Duration::from_secs(10)).await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    holds_back(&operator, "NoCvo").await;
    cluster.wait_until_operator_is_idle().await;
    assert_eq!(cluster.operator_writes().await.len(), 0);
    assert_eq!(cluster.records().await, Vec::<Value>::new());
    let _cvo = Cvo::start(&cluster, Profile::V4_21, params).await;
    assert!(is_forced(&cluster.begun("4.21.2").await));
}

#[tokio::test]
async fn with_a_cvo_that_allows_patches_nothing_is_written_to_cluster_version() {
    for profile in [Profile::V4_22, Profile::Main] {
        let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
        let cvo = Cvo::start(&cluster, profile, Params::default()).await;
        let mut operator = Operator::start(&cluster, Options::default()).await;
        operator.ready().await;
        cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
        cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
        cvo.complete().await;
        let record = cluster.record_is("a record", |record| record["status"]["outcome"] == "Completed").await;
        let spec = &record["spec"];
        assert_eq!([&spec["by"], &spec["from"], &spec["to"], &spec["type"]], ["Gate", "4.21.1", "4.21.2", "patch"]);
        assert_eq!(record["status"]["verified"], true);
        cluster.wait_until_operator_is_idle().await;
        cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
        assert_eq!(cluster.operator_writes().await.len(), 0, "{profile:?}");
    }
}

#[tokio::test]
async fn own_cluster_operator_reports_which_updates_overrides_block() {
    let (cluster, _cvo) = support::cluster_with_cvo_4_21(fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::default()).await;
    let seen = cluster
        .wait_for("the CVO to report our ClusterOperator", |cv| {
            condition(cv, "Upgradeable")["message"].as_str().unwrap_or_default().contains("minor and major updates")
        })
        .await;
    let message = condition(&seen, "Upgradeable")["message"].as_str().unwrap();
    assert!(message.contains("ClusterImagePolicy.config.openshift.io openshift"), "{message}");
    cluster.set_overrides(json!([])).await;
    cluster.wait_for("it is upgradeable again", |cv| condition(cv, "Upgradeable")["status"] != "False").await;
}
