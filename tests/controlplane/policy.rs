//! The admission policy on a real API server: what it denies and allows, and its messages. `generated` tests that it agrees
//! with the core on any edit.

mod generated;
mod kubectl;
mod size;

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Cluster, Loosen, Reply, cluster_with_policy, fixtures};

/// [`fixtures::cluster`] with this in the spec, and this as its `Upgradeable`.
fn cluster_with(spec: &Value, upgradeable: Option<(&str, &str, &str)>) -> Value {
    let mut cluster = fixtures::cluster();
    cluster["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    if let Some((status, reason, message)) = upgradeable {
        let conditions = cluster["status"]["conditions"].as_array_mut().unwrap();
        conditions.push(fixtures::condition("Upgradeable", status, reason, message));
    }
    cluster
}

fn overrides() -> Value {
    json!({"overrides": [fixtures::policy_override()]})
}

fn an_override(unmanaged: bool) -> Value {
    json!({"kind": "A", "group": "b", "namespace": "", "name": "c", "unmanaged": unmanaged})
}

/// A request by version, which is how a merge patch by hand looks.
fn asking(version: &str) -> Value {
    json!({"spec": {"desiredUpdate": {"version": version}}})
}

/// How a reply reads in a table: denied, warned or passed.
fn verdict(reply: &Reply) -> &'static str {
    assert!(reply.is_denied() || reply.code == 200, "{reply:?}");
    match (reply.is_denied(), reply.warnings.is_empty()) {
        (true, true) => "denied",
        (false, false) => "warned",
        (false, true) => "passed",
        (true, false) => panic!("{reply:?}"),
    }
}

#[tokio::test]
async fn overrides_block_a_minor_and_not_a_patch() {
    let cluster = cluster_with_policy(cluster_with(&overrides(), None)).await;
    for (version, expected) in [("4.21.2", "warned"), ("4.22.0", "denied"), ("5.0.0", "denied")] {
        let by_version = json!({"version": version});
        let by_image = json!({"image": fixtures::image(version)});
        let by_both = json!({"version": version, "image": fixtures::image(version)});
        for request in [by_version, by_image, by_both] {
            let reply = cluster.dry_run(&json!({"spec": {"desiredUpdate": request}})).await;
            assert_eq!(verdict(&reply), expected, "{request}");
        }
        let written = cluster.try_patch(asking(version)).await;
        assert_eq!(written.is_ok(), expected == "warned", "not in dry run: {version}");
    }
}

/// The digest counts. A version that isn't the digest's is denied, forced or not: a CVO would ignore such a request.
#[tokio::test]
async fn a_request_by_digest_has_the_version_of_that_digest() {
    let cluster = cluster_with_policy(cluster_with(&overrides(), None)).await;
    let mirrored = |version: &str| fixtures::image(version).replace("registry.example.com", "mirror.example.com:5000");
    for (version, image, expected) in [
        ("", mirrored("4.22.0"), "denied"),
        ("", mirrored("4.21.2"), "warned"),
        ("4.21.2", fixtures::image("4.22.0"), "denied"),
        ("4.22.0", fixtures::image("4.21.2"), "denied"),
        ("4.21.3", mirrored("4.21.2"), "denied"),
        ("4.21.3", mirrored("4.21.1"), "denied"),
        ("4.21.2", mirrored("4.21.2"), "warned"),
        ("4.22.0", fixtures::image("4.22.9"), "denied"),
        ("", fixtures::image("4.22.9"), "denied"),
    ] {
        let request = json!({"spec": {"desiredUpdate": {"version": version, "image": image}}});
        assert_eq!(verdict(&cluster.dry_run(&request).await), expected, "{request}");
    }
    let forced = json!({"version": "4.21.3", "image": mirrored("4.21.2"), "force": true});
    assert_eq!(verdict(&cluster.dry_run(&json!({"spec": {"desiredUpdate": forced}})).await), "denied");
}

/// As a site without an update service asks, on a CVO up to 4.22 that publishes Upgradeable minutes after the override.
#[tokio::test]
async fn an_unknown_image_with_overrides_is_denied_until_upgradeable_is_false() {
    let cluster = cluster_with_policy(cluster_with(&json!({}), Some(("True", "AsExpected", "")))).await;
    let image = json!({"spec": {"desiredUpdate": {"image": "registry.example.com/a@sha256:01"}}});
    assert_eq!(verdict(&cluster.dry_run(&image).await), "warned", "without overrides it is the CVO's to decide");
    let mut both = image.clone();
    both["spec"]["overrides"] = json!([fixtures::policy_override()]);
    let reply = cluster.dry_run(&both).await;
    assert_eq!(verdict(&reply), "denied", "both in one request");
    assert!(reply.message.contains("Set spec.overrides without this request"), "{}", reply.message);
    both["spec"]["desiredUpdate"]["force"] = json!(true);
    assert_eq!(verdict(&cluster.dry_run(&both).await), "passed", "forced on purpose");

    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    let reply = cluster.dry_run(&image).await;
    assert_eq!(verdict(&reply), "denied");
    assert!(
        reply.message.ends_with(
            "Request it again once oc adm upgrade shows Upgradeable=False; CVOs up to 4.22 take up to 4 minutes to publish it."
        ),
        "{}",
        reply.message
    );
    let published = |status: &mut Value| {
        status["conditions"] = json!([fixtures::condition("Upgradeable", "False", "ClusterVersionOverridesSet", "")]);
    };
    cluster.put_status("cluster-version-operator", published).await;
    assert_eq!(verdict(&cluster.dry_run(&image).await), "warned");
    cluster.patch(image).await;
}

/// Whatever the CRD of a newer release admits: no CVO acts on it.
#[tokio::test]
async fn a_request_with_a_mode_is_not_exempt() {
    let cluster = cluster_with_policy(cluster_with(&overrides(), None)).await;
    let mode = Loosen::Field("/properties/spec/properties/desiredUpdate", "mode");
    let newer = cluster.loosen("clusterversions", &[mode]).await;
    for (version, expected) in [("4.22.0", "denied"), ("latest", "denied"), ("4.21.2", "warned")] {
        let request = json!({"spec": {"desiredUpdate": {"version": version, "mode": "Preflight"}}});
        assert_eq!(verdict(&cluster.dry_run(&request).await), expected, "{version}");
    }
    newer.restore().await;
}

#[tokio::test]
async fn overrides_and_a_minor_in_one_request_are_denied() {
    let cluster = cluster_with_policy(cluster_with(&json!({}), Some(("True", "AsExpected", "")))).await;
    let mut both = asking("4.22.0");
    assert_eq!(verdict(&cluster.dry_run(&both).await), "passed");
    both["spec"]["overrides"] = json!([fixtures::policy_override()]);
    assert_eq!(verdict(&cluster.dry_run(&both).await), "denied");
    both["spec"]["overrides"][0]["unmanaged"] = json!(false);
    assert_eq!(verdict(&cluster.dry_run(&both).await), "passed");
}

#[rstest]
#[case::nothing_said(None, "passed")]
#[case::true_(Some("True"), "passed")]
#[case::unknown(Some("Unknown"), "passed")]
#[case::false_(Some("False"), "denied")]
#[tokio::test]
async fn a_minor_is_denied_while_upgradeable_is_false(#[case] status: Option<&str>, #[case] expected: &str) {
    let upgradeable = status.map(|status| (status, "Reason", "message"));
    let cluster = cluster_with_policy(cluster_with(&json!({}), upgradeable)).await;
    assert_eq!(verdict(&cluster.dry_run(&asking("4.22.0")).await), expected);
    assert_eq!(verdict(&cluster.dry_run(&asking("4.21.2")).await), "passed");
}

/// The minor in the spec was requested before Upgradeable became False.
#[rstest]
#[case::a_label(json!({"metadata": {"labels": {"a": "b"}}}))]
#[case::the_channel(json!({"spec": {"channel": "eus-4.22"}}))]
#[case::one_more_override(json!({"spec": {"overrides": [fixtures::policy_override(), an_override(true)]}}))]
#[case::no_overrides(json!({"spec": {"overrides": null}}))]
#[case::managed_again(json!({"spec": {"overrides": [an_override(false)]}}))]
#[case::the_same_request(asking("4.22.0"))]
#[case::the_same_in_other_words(json!({"spec": {"desiredUpdate": {"image": "", "architecture": "", "force": false}}}))]
#[case::the_same_forced(json!({"spec": {"desiredUpdate": {"force": true}}}))]
#[case::cleared(json!({"spec": {"desiredUpdate": null}}))]
#[case::emptied(json!({"spec": {"desiredUpdate": {"version": ""}}}))]
#[tokio::test]
async fn an_edit_without_a_new_request_is_allowed(#[case] edit: Value) {
    let mut spec = overrides();
    spec["desiredUpdate"] = json!({"version": "4.22.0"});
    let cluster = cluster_with_policy(cluster_with(&spec, Some(("False", "MultipleReasons", "no")))).await;
    let reply = cluster.dry_run(&edit).await;
    assert_eq!(verdict(&reply), "passed", "{reply:?}");
}

#[tokio::test]
async fn removing_the_overrides_takes_effect_once_upgradeable_follows() {
    let cluster = cluster_with_policy(cluster_with(&overrides(), Some(("False", "ClusterVersionOverrides", "")))).await;
    let mut both = asking("4.22.0");
    both["spec"]["overrides"] = json!(null);
    assert_eq!(verdict(&cluster.dry_run(&both).await), "denied");

    cluster.set_overrides(json!(null)).await;
    assert_eq!(verdict(&cluster.dry_run(&asking("4.22.0")).await), "denied");
    cluster.put_status("cluster-version-operator", |status| status["conditions"] = json!([])).await;
    assert_eq!(verdict(&cluster.dry_run(&asking("4.22.0")).await), "passed");
}

/// Writers of the status, by a PUT of all of it.
#[tokio::test]
async fn a_write_to_the_status_is_not_matched() {
    let mut spec = overrides();
    spec["desiredUpdate"] = json!({"version": "4.22.0", "force": true});
    let cluster = cluster_with_policy(cluster_with(&spec, Some(("False", "Reason", "")))).await;
    cluster
        .put_status("cluster-version-operator", |status| {
            status["desired"] = fixtures::release("4.20.0");
            status["availableUpdates"] = json!(null);
        })
        .await;
    cluster.patch_status("upgrade-gate", json!({"conditions": []})).await;
    let seen = cluster.cluster_version().await;
    assert_eq!(seen["status"]["availableUpdates"], json!(null));
    let reply = cluster.dry_run_put(&seen).await;
    assert_eq!(verdict(&reply), "passed", "a PUT of what is there: {reply:?}");
}

#[rstest]
#[case::minor(json!({"version": "4.22.0"}))]
#[case::major(json!({"version": "5.0.0"}))]
#[case::older(json!({"version": "4.20.0"}))]
#[case::another_patch(json!({"version": "4.21.9"}))]
#[case::unknown(json!({"version": "", "image": "registry.example.com/other@sha256:0123"}))]
#[case::another_image(json!({"image": "registry.example.com/other@sha256:0123"}))]
#[tokio::test]
async fn a_new_force_is_allowed_and_a_leftover_one_denied(#[case] target: Value) {
    let cluster = cluster_with_policy(cluster_with(&overrides(), Some(("False", "Reason", "")))).await;
    let mut forced = json!({"spec": {"desiredUpdate": target}});
    forced["spec"]["desiredUpdate"]["force"] = json!(true);
    assert!(!cluster.dry_run(&forced).await.is_denied());

    // A patch update that was forced; then a merge patch, which leaves the force where it is.
    cluster.patch(json!({"spec": {"desiredUpdate": {"version": "4.21.2", "force": true}}})).await;
    let carried = cluster.dry_run(&json!({"spec": {"desiredUpdate": target}})).await;
    assert_eq!(verdict(&carried), "denied");
    assert!(carried.message.contains("oc adm upgrade --clear"), "{}", carried.message);
    assert_eq!(
        verdict(&cluster.dry_run(&forced).await),
        "denied",
        "repeated, it may still be that of an earlier request"
    );

    cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    assert!(!cluster.dry_run(&forced).await.is_denied());
}

#[tokio::test]
async fn a_leftover_force_is_denied_although_upgradeable_is_true() {
    let spec = json!({"desiredUpdate": {"version": "4.21.2", "force": true}});
    let cluster = cluster_with_policy(cluster_with(&spec, Some(("True", "AsExpected", "")))).await;
    for (version, expected) in [
        ("4.22.0", "denied"),
        ("5.0.0", "denied"),
        ("latest", "denied"),
        ("4.21.0", "denied"),
        ("4.21.1", "denied"),
        ("4.21.9", "denied"),
        ("4.21.2", "passed"),
        ("", "passed"),
    ] {
        assert_eq!(verdict(&cluster.dry_run(&asking(version)).await), expected, "{version}");
    }
    // `oc adm upgrade` writes the whole value, and with it takes the force away.
    let whole = json!({"architecture": "", "version": "4.22.0", "image": fixtures::image("4.22.0"), "force": false});
    assert_eq!(verdict(&cluster.dry_run(&json!({"spec": {"desiredUpdate": whole}})).await), "passed");
    // Emptied by hand, the request leaves a force as well.
    cluster.patch(json!({"spec": {"desiredUpdate": {"version": ""}}})).await;
    assert_eq!(verdict(&cluster.dry_run(&asking("4.22.0")).await), "denied");
}

#[tokio::test]
async fn a_denial_is_one_line_with_a_command() {
    let message = "Two of them:\n* first\r\n* second\n";
    let cluster = cluster_with_policy(cluster_with(&overrides(), Some(("False", "MultipleReasons", message)))).await;
    let reply = cluster.dry_run(&asking("4.22.0")).await;
    assert_eq!(
        reply.message,
        "clusterversions.config.openshift.io \"version\" is forbidden: ValidatingAdmissionPolicy 'upgrade-gate' with \
         binding 'upgrade-gate' denied request: The minor update from 4.21.1 to 4.22.0 is not allowed. Overrides prevent \
         minor and major updates: ClusterImagePolicy.config.openshift.io openshift. Remove them from spec.overrides or \
         set unmanaged: false, then request the update again; patch updates stay allowed. Upgradeable is False for other \
         reasons as well: Two of them: * first * second"
    );
}

#[rstest]
#[case::plain("a")]
#[case::wide("🙂")]
#[case::broken("\n")]
#[case::hidden("a\u{fe0f}\u{e0100}\u{3164}\u{34f}")]
#[tokio::test]
async fn a_denial_escapes_what_it_quotes(#[case] unit: &str) {
    let message = unit.repeat(100_000);
    let cluster = cluster_with_policy(cluster_with(&overrides(), Some(("False", "MultipleReasons", &message)))).await;
    let reply = cluster.dry_run(&asking("4.22.0")).await;
    assert_eq!(verdict(&reply), "denied");
    assert!(
        reply.message.contains("denied request: The minor update from 4.21.1 to 4.22.0 is not allowed."),
        "{reply:?}"
    );
    assert!(reply.message.len() < 5500, "{reply:?}");
    assert!(!reply.message.chars().any(upgrade_gate::escape::is_unprintable), "{reply:?}");
}

#[tokio::test]
async fn null_fields_are_not_errors() {
    let mut object = cluster_with(&overrides(), None);
    object["status"]["availableUpdates"] = json!(null);
    let cluster = cluster_with_policy(object).await;
    assert_eq!(
        verdict(
            &cluster.dry_run(&json!({"spec": {"desiredUpdate": {"image": "registry.example.com/a@sha256:01"}}})).await
        ),
        "denied"
    );
    assert_eq!(verdict(&cluster.dry_run(&asking("4.22.0")).await), "denied");
    assert_eq!(verdict(&cluster.dry_run(&asking("4.21.2")).await), "warned");
}

/// Whatever the status lacks, which after an installation is everything.
#[tokio::test]
async fn without_a_status_every_update_is_unknown() {
    let mut object = cluster_with(&overrides(), None);
    object.as_object_mut().unwrap().remove("status");
    let cluster = cluster_with_policy(object).await;
    assert_eq!(verdict(&cluster.dry_run(&asking("4.22.0")).await), "denied");
    cluster.set_overrides(json!(null)).await;
    assert_eq!(verdict(&cluster.dry_run(&asking("4.22.0")).await), "warned");
}

#[tokio::test]
async fn an_allowed_edit_is_warned_of() {
    let cluster: Cluster = cluster_with_policy(cluster_with(&overrides(), None)).await;
    let patch = cluster.dry_run(&asking("4.21.2")).await.warnings;
    assert_eq!(
        patch,
        ["299 - \"Validation failed for ValidatingAdmissionPolicy 'upgrade-gate-warnings' with binding \
          'upgrade-gate-warnings': Overrides do not block this patch update from 4.21.1 to 4.21.2. It does not \
          change what they name: ClusterImagePolicy.config.openshift.io openshift. They block minor and major updates until \
          they are removed. With a cluster-version operator up to 4.21, upgrade-gate must be running, the operator or its \
          command update.\""]
    );
    let published = |status: &mut Value| {
        status["conditions"] = json!([fixtures::condition("Upgradeable", "False", "ClusterVersionOverridesSet", "")]);
    };
    cluster.put_status("cluster-version-operator", published).await;
    let unknown =
        cluster.dry_run(&json!({"spec": {"desiredUpdate": {"image": "registry.example.com/a@sha256:01"}}})).await;
    assert_eq!(
        unknown.warnings,
        ["299 - \"Validation failed for ValidatingAdmissionPolicy 'upgrade-gate-warnings' with binding \
          'upgrade-gate-warnings': This cluster does not know yet which version registry.example.com/a@sha256:01 is, so \
          the type of this update (patch, minor or major) is not known. upgrade-gate decides once it is known: see the \
          condition ReleaseAccepted, for instance with oc adm upgrade.\""]
    );
}
