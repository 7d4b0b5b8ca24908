//! What a request may look like: forced, by image alone, by version alone, of another architecture, or no update at all.

use serde_json::{Value, json};

use crate::support::{
    self, Cluster, Loosen, Operator, Options, condition, entries, eventually, fixtures, has_condition,
};

async fn desire(cluster: &Cluster, update: Value) {
    cluster.patch(json!({"spec": {"desiredUpdate": null}})).await; // a merge would keep what the last one had
    cluster.patch(json!({"spec": {"desiredUpdate": update}})).await;
}

fn forced(version: &str) -> Value {
    json!({"version": version, "image": fixtures::image(version), "force": true})
}

async fn gated_by_overrides() -> (Cluster, Operator) {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    (cluster, operator)
}

#[tokio::test]
async fn a_minor_forced_past_overrides_is_accepted_and_reported_as_forced() {
    let (cluster, _operator) = gated_by_overrides().await;
    cluster.request_blocked("4.22.0", &["\"ClusterVersionOverrides\""]).await;
    cluster.patch(json!({"spec": {"desiredUpdate": {"force": true}}})).await;
    let seen = cluster.accepted("4.22.0").await;
    assert!(
        has_condition(&seen, "Upgradeable", "False", "ClusterVersionOverrides"),
        "force opens no gate for the next one"
    );
    let entry = entries(&seen, "4.22.0")[0];
    let text = entry["acceptedRisks"].as_str().unwrap();
    assert!(
        text.starts_with(
            "Forced through: Precondition \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverrides\": "
        ),
        "{text}"
    );
    assert!(text.contains("ClusterImagePolicy.config.openshift.io openshift"), "{text}");
    eventually("the event", async || {
        let events = cluster.events().await;
        let about = |reason: &str| events.iter().filter(|event| event["reason"] == reason).count();
        if about("ForcedPastOverrides") == 1 && about("UpdateAccepted") == 1 {
            Ok(())
        } else {
            Err(format!("{events:#?}"))
        }
    })
    .await;

    // Without force it is blocked again, and with it there is still one entry.
    cluster.patch(json!({"spec": {"desiredUpdate": {"force": false}}})).await;
    cluster.refused("4.22.0", "PreconditionChecks", &["\"ClusterVersionOverrides\""]).await;
    cluster.patch(json!({"spec": {"desiredUpdate": {"force": true}}})).await;
    let again = cluster.accepted("4.22.0").await;
    assert_eq!(again["status"]["history"], seen["status"]["history"]);
}

#[tokio::test]
async fn force_is_reported_only_if_it_was_needed() {
    let (cluster, _operator) = gated_by_overrides().await;
    desire(&cluster, forced("4.21.2")).await;
    let seen = cluster.accepted("4.21.2").await;
    let text = entries(&seen, "4.21.2")[0]["acceptedRisks"].as_str().unwrap();
    assert!(text.starts_with("Precondition \"ClusterVersionUpgradeable\""), "{text}");
    cluster.set_overrides(json!([])).await;
    cluster.upgradeable("True", "AsExpected").await;
    desire(&cluster, forced("4.22.0")).await;
    let seen = cluster.accepted("4.22.0").await;
    assert!(entries(&seen, "4.22.0").is_empty(), "no risk was accepted");
    assert!(cluster.events().await.iter().all(|event| event["reason"] != "ForcedPastOverrides"));
}

#[tokio::test]
async fn force_skips_every_precondition_and_each_is_named() {
    let (cluster, _operator) = gated_by_overrides().await;
    desire(&cluster, forced("4.23.0")).await;
    let seen = cluster.accepted("4.23.0").await;
    let text = entries(&seen, "4.23.0")[0]["acceptedRisks"].as_str().unwrap();
    let lines: Vec<&str> = text.lines().map(|line| line.split("\": ").next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "Forced through: Precondition \"ClusterVersionGiantHop\" failed because of \"MultipleMinorVersionsUpdate",
            "Forced through: Precondition \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverrides",
            "Precondition \"ClusterVersionRecommendedUpdate\" failed because of \"UnknownUpdate",
        ]
    );
}

#[tokio::test]
async fn a_version_that_differs_from_its_image_is_rejected_even_if_forced() {
    let (cluster, _operator) = gated_by_overrides().await;
    for force in [false, true] {
        desire(&cluster, json!({"version": "4.21.2", "image": fixtures::image("4.22.0"), "force": force})).await;
        let seen = cluster.refused("4.21.2", "VerifyPayloadVersion", &["4.22.0"]).await;
        assert_eq!(seen["status"]["history"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn an_unknown_version_is_rejected_even_if_forced_and_known_ones_are_listed() {
    let (cluster, _operator) = gated_by_overrides().await;
    for force in [false, true] {
        desire(&cluster, json!({"version": "4.21.9", "force": force})).await;
        let seen = cluster.refused("4.21.9", "RetrievePayload", &["5.0.0, 4.22.0, 4.21.2"]).await;
        assert_eq!(seen["status"]["history"].as_array().unwrap().len(), 2);
    }
    // It becomes known: nothing but that has to happen.
    cluster.put_status("updater", |status| status["availableUpdates"] = json!([fixtures::release("4.21.9")])).await;
    cluster.accepted("4.21.9").await;
}

#[tokio::test]
async fn an_image_of_a_mirror_is_recognised_by_its_digest() {
    let (cluster, _operator) = gated_by_overrides().await;
    let mirrored = |version: &str| fixtures::image(version).replace("registry.example.com", "mirror.internal:5000/a");
    cluster.request("", &mirrored("4.22.0")).await;
    cluster.refused("4.22.0", "PreconditionChecks", &["\"ClusterVersionOverrides\""]).await;
    cluster.request("", &mirrored("4.21.2")).await;
    let seen = cluster.accepted("4.21.2").await;
    assert_eq!(entries(&seen, "4.21.2")[0]["image"], mirrored("4.21.2"));
}

#[tokio::test]
async fn a_version_without_an_image_gets_the_image_of_the_update_lists() {
    let (cluster, _operator) = gated_by_overrides().await;
    cluster.request("4.22.0", "").await;
    cluster.refused("4.22.0", "PreconditionChecks", &["\"ClusterVersionOverrides\""]).await;
    cluster.request("4.21.2", "").await;
    let seen = cluster.accepted("4.21.2").await;
    assert_eq!(entries(&seen, "4.21.2")[0]["image"], fixtures::image("4.21.2"));
}

#[tokio::test]
async fn a_change_of_architecture_has_an_unknown_image() {
    let (cluster, _operator) = gated_by_overrides().await;
    desire(&cluster, json!({"version": "4.21.2", "architecture": "Multi"})).await;
    cluster.refused("4.21.2", "RetrievePayload", &["Multi"]).await;
}

#[tokio::test]
async fn a_request_for_the_current_version_is_not_an_update() {
    let (cluster, _operator) = gated_by_overrides().await;
    let before = cluster.operator_writes().await.len();
    cluster.request("4.21.1", &fixtures::image("4.21.1")).await;
    cluster.request("", &fixtures::image("4.21.1")).await;
    cluster.request("", "").await;
    cluster.set_overrides(json!([])).await;
    let seen = cluster.upgradeable("True", "AsExpected").await;
    assert_eq!(cluster.operator_writes().await.len(), before + 1, "none but for the overrides");
    assert!(condition(&seen, "ReleaseAccepted")["message"].as_str().unwrap().contains("4.21.1"));
    assert!(cluster.events().await.iter().all(|event| event["reason"] == "UpgradeableChanged"));
}

#[tokio::test]
async fn a_request_with_a_mode_is_an_update() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let newer =
        cluster.loosen("clusterversions", &[Loosen::Field("/properties/spec/properties/desiredUpdate", "mode")]).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    let preflight = |version: &str| json!({"version": version, "image": fixtures::image(version), "mode": "Preflight"});
    desire(&cluster, preflight("4.22.0")).await;
    cluster.refused("4.22.0", "PreconditionChecks", &["\"ClusterVersionOverrides\""]).await;
    desire(&cluster, preflight("4.21.2")).await;
    let seen = cluster.accepted("4.21.2").await;
    assert_eq!(seen["spec"]["desiredUpdate"]["mode"], "Preflight");
    assert_eq!(entries(&seen, "4.21.2").len(), 1);
    newer.restore().await;
}
