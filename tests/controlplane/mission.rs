//! The main job: patch updates go ahead under overrides and leave their record, minor and major updates don't.

use crate::support::{self, Operator, Options, condition, fixtures, has_condition};

#[tokio::test]
async fn overrides_block_a_minor_and_not_a_patch() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    let seen = cluster
        .wait_for("Upgradeable is False", |cv| has_condition(cv, "Upgradeable", "False", "ClusterVersionOverrides"))
        .await;
    let message = condition(&seen, "Upgradeable")["message"].as_str().unwrap();
    assert!(message.contains("minor and major updates") && message.contains("patch updates"), "{message}");

    for version in ["4.22.0", "5.0.0"] {
        cluster.request(version, &fixtures::image(version)).await;
        let seen = cluster
            .wait_for("the update is blocked", |cv| {
                has_condition(cv, "ReleaseAccepted", "False", "PreconditionChecks")
                    && condition(cv, "ReleaseAccepted")["message"].as_str().unwrap().contains(version)
            })
            .await;
        assert_eq!(seen["status"]["history"].as_array().unwrap().len(), 2, "a blocked update leaves no trace");
    }

    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    let seen = cluster
        .wait_for("the patch is accepted", |cv| {
            has_condition(cv, "ReleaseAccepted", "True", "PayloadLoaded")
                && condition(cv, "ReleaseAccepted")["message"].as_str().unwrap().contains("4.21.2")
        })
        .await;
    let entry = &seen["status"]["history"][0];
    assert_eq!(entry["version"], "4.21.2");
    assert_eq!(entry["state"], "Partial");
    assert_eq!(entry["verified"], false);
    let record = entry["acceptedRisks"].as_str().unwrap().to_owned();
    assert!(
        record.contains("\"ClusterVersionUpgradeable\"") && record.contains("\"ClusterVersionOverridesSet\""),
        "{record}"
    );
    assert!(record.contains("ClusterImagePolicy.config.openshift.io openshift"), "{record}");

    // The updater takes over, and completes.
    cluster.updater_completes("4.21.2").await;
    cluster.assert_not_written_for(std::time::Duration::from_secs(2)).await;
    let seen = cluster.cluster_version().await;
    assert_eq!(seen["status"]["history"][0]["acceptedRisks"], record.as_str());
    assert!(has_condition(&seen, "Upgradeable", "False", "ClusterVersionOverrides"));
}
