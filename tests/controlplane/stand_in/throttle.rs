//! How late `Upgradeable` is: computed at most every two minutes up to 4.22, at every sync on main.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};

use super::{ACCEPTED, BLOCKED, EVENTS_ONLY, history, patch_request, request, said, settled, start, under_overrides};
use crate::support::cvo::{Cvo, Params, Profile};
use crate::support::{Cluster, fixtures};

const OVERRIDES_SET: &str = "Upgradeable=False ClusterVersionOverridesSet";

/// A ClusterVersion event that changes nothing which the CVO cares for.
async fn touch(cluster: &Cluster, cvo: &Cvo, value: &str) -> Value {
    cluster.patch(json!({"metadata": {"annotations": {"touched": value}}})).await;
    settled(cluster, cvo).await
}

async fn touch_admin_acks(cluster: &Cluster, value: &str) {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"touched": value}}}));
    let api = Api::<ConfigMap>::namespaced(cluster.client.clone(), "openshift-config");
    api.patch("admin-acks", &PatchParams::default(), &patch).await.unwrap();
}

async fn override_set(cluster: &Cluster, cvo: &Cvo) -> Value {
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    settled(cluster, cvo).await
}

#[rstest]
#[case(Profile::V4_21)]
#[case(Profile::V4_22)]
#[tokio::test]
async fn up_to_4_22_events_within_the_throttle_do_not_recompute_upgradeable(#[case] profile: Profile) {
    let (cluster, cvo) = start(fixtures::cluster(), profile, EVENTS_ONLY).await;
    assert_eq!(said(&override_set(&cluster, &cvo).await, "Upgradeable"), "");
    assert_eq!(said(&touch(&cluster, &cvo, "1").await, "Upgradeable"), "");
    cvo.recompute_upgradeable().await;
    assert_eq!(said(&cluster.cluster_version().await, "Upgradeable"), OVERRIDES_SET);
    cluster.set_overrides(json!([])).await;
    assert_eq!(said(&touch(&cluster, &cvo, "2").await, "Upgradeable"), OVERRIDES_SET);
}

#[rstest]
#[case(Profile::V4_21)]
#[case(Profile::V4_22)]
#[tokio::test]
async fn up_to_4_22_an_event_after_the_throttle_recomputes_upgradeable(#[case] profile: Profile) {
    let params = Params { throttle: Duration::ZERO, ..EVENTS_ONLY };
    let (cluster, cvo) = start(fixtures::cluster(), profile, params).await;
    assert_eq!(said(&override_set(&cluster, &cvo).await, "Upgradeable"), OVERRIDES_SET);
}

#[tokio::test]
async fn up_to_4_22_the_end_of_the_throttle_triggers_no_sync() {
    let params = Params { throttle: Duration::from_millis(300), ..EVENTS_ONLY };
    let (cluster, cvo) = start(fixtures::cluster(), Profile::V4_21, params).await;
    // This event computes it or comes too early; a ClusterOperator is no event at all.
    let no = fixtures::condition("Upgradeable", "False", "DnsSaysNo", "no");
    cluster.put_cluster_operator("dns", json!([no])).await;
    cvo.wait_until_idle().await;
    cluster.assert_not_written_for(Duration::from_millis(600)).await;
    assert_eq!(said(&touch(&cluster, &cvo, "1").await, "Upgradeable"), "Upgradeable=False DnsSaysNo");
}

#[tokio::test]
async fn up_to_4_22_a_resync_recomputes_upgradeable() {
    let (cluster, _cvo) = start(fixtures::cluster(), Profile::V4_22, super::PROMPT).await;
    let no = fixtures::condition("Upgradeable", "False", "DnsSaysNo", "no");
    cluster.put_cluster_operator("dns", json!([no])).await;
    cluster.wait_for("the resync", |cv| said(cv, "Upgradeable") == "Upgradeable=False DnsSaysNo").await;
}

#[tokio::test]
async fn main_recomputes_upgradeable_at_every_sync() {
    let (cluster, cvo) = start(fixtures::cluster(), Profile::Main, EVENTS_ONLY).await;
    let seen = override_set(&cluster, &cvo).await;
    assert_eq!(said(&seen, "Upgradeable"), "Upgradeable=False ClusterVersionOverrides");
    cluster.set_overrides(json!([])).await;
    assert_eq!(said(&settled(&cluster, &cvo).await, "Upgradeable"), "");
}

#[rstest]
#[case(Profile::V4_21)]
#[case(Profile::V4_22)]
#[tokio::test]
async fn a_change_of_admin_acks_recomputes_upgradeable_and_an_annotation_publishes_it(#[case] profile: Profile) {
    let (cluster, cvo) = start(fixtures::cluster(), profile, EVENTS_ONLY).await;
    override_set(&cluster, &cvo).await;
    touch_admin_acks(&cluster, "1").await;
    assert_eq!(said(&settled(&cluster, &cvo).await, "Upgradeable"), "");
    assert_eq!(said(&touch(&cluster, &cvo, "1").await, "Upgradeable"), OVERRIDES_SET);

    cluster.set_overrides(json!([])).await;
    assert_eq!(said(&settled(&cluster, &cvo).await, "Upgradeable"), OVERRIDES_SET);
    touch_admin_acks(&cluster, "2").await;
    assert_eq!(said(&settled(&cluster, &cvo).await, "Upgradeable"), OVERRIDES_SET);
    assert_eq!(said(&touch(&cluster, &cvo, "2").await, "Upgradeable"), "");
}

#[rstest]
#[case(Profile::V4_21)]
#[case(Profile::V4_22)]
#[case(Profile::Main)]
#[tokio::test]
async fn overrides_and_a_minor_in_one_request_are_accepted(#[case] profile: Profile) {
    let (cluster, cvo) = start(fixtures::cluster(), profile, EVENTS_ONLY).await;
    let update = json!({"version": "4.22.0", "image": fixtures::image("4.22.0")});
    let overrides = json!([fixtures::policy_override()]);
    cluster.patch(json!({"spec": {"overrides": overrides, "desiredUpdate": update}})).await;
    let seen = settled(&cluster, &cvo).await;
    assert_eq!((said(&seen, "ReleaseAccepted"), &*history(&seen)[0]), (ACCEPTED.to_owned(), "Partial 4.22.0"));
    assert_eq!(seen["status"]["history"][0]["acceptedRisks"], json!(null));
}

#[rstest]
#[case(Profile::V4_21, ACCEPTED)]
#[case(Profile::V4_22, ACCEPTED)]
#[case(Profile::Main, BLOCKED)]
#[tokio::test]
async fn up_to_4_22_a_minor_right_after_an_override_is_accepted(#[case] profile: Profile, #[case] expected: &str) {
    let (cluster, cvo) = start(fixtures::cluster(), profile, EVENTS_ONLY).await;
    override_set(&cluster, &cvo).await;
    let seen = patch_request(&cluster, &cvo, json!({"image": fixtures::image("4.22.0")})).await;
    assert_eq!(said(&seen, "ReleaseAccepted"), expected);
}

#[tokio::test]
async fn a_patch_right_after_an_override_is_accepted_without_a_record() {
    let (cluster, cvo) = start(fixtures::cluster(), Profile::V4_21, EVENTS_ONLY).await;
    override_set(&cluster, &cvo).await;
    let seen = request(&cluster, &cvo, "4.21.2").await;
    assert_eq!(said(&seen, "ReleaseAccepted"), ACCEPTED);
    assert_eq!(seen["status"]["history"][0]["acceptedRisks"], json!(null));
}

#[tokio::test]
async fn once_it_is_published_the_minor_is_blocked() {
    let (cluster, cvo) = start(fixtures::cluster(), Profile::V4_21, EVENTS_ONLY).await;
    override_set(&cluster, &cvo).await;
    cvo.recompute_upgradeable().await;
    let seen = request(&cluster, &cvo, "4.22.0").await;
    assert_eq!(said(&seen, "ReleaseAccepted"), BLOCKED);
}

#[tokio::test]
async fn removed_overrides_no_longer_block_a_patch_although_upgradeable_is_stale() {
    let (cluster, cvo) = under_overrides(Profile::V4_21).await;
    request(&cluster, &cvo, "4.21.2").await;
    cluster.set_overrides(json!([])).await;
    let seen = settled(&cluster, &cvo).await;
    assert_eq!(said(&seen, "Upgradeable"), "Upgradeable=False ClusterVersionOverridesSet");
    assert_eq!(said(&seen, "ReleaseAccepted"), ACCEPTED);
}

#[rstest]
#[case(Profile::V4_21, "Upgradeable=False UpdateInProgress")]
#[case(Profile::V4_22, "")]
#[case(Profile::Main, "")]
#[tokio::test]
async fn on_4_21_a_completed_update_counts_until_upgradeable_is_recomputed(
    #[case] profile: Profile,
    #[case] after: &str,
) {
    let (cluster, cvo) = start(fixtures::cluster(), profile, EVENTS_ONLY).await;
    request(&cluster, &cvo, "4.21.2").await;
    cvo.hand_over().await; // the new release's CVO looks first when it starts
    let updating = if profile == Profile::Main { "ClusterVersionUpdating" } else { "UpdateInProgress" };
    assert_eq!(said(&settled(&cluster, &cvo).await, "Upgradeable"), format!("Upgradeable=False {updating}"));
    cvo.complete().await;
    let seen = settled(&cluster, &cvo).await;
    assert_eq!(said(&seen, "Progressing"), "Progressing=False ");
    assert_eq!(said(&seen, "Upgradeable"), after);
    cvo.recompute_upgradeable().await;
    assert_eq!(said(&settled(&cluster, &cvo).await, "Upgradeable"), "");
}
