//! Beside a stock CVO, while something goes wrong between operator and API server: the patch is forced once, the force is
//! removed once and after the update, the minor is never forced, and there is one record.

use std::time::Duration;

use serde_json::Value;

use super::{Scene, TROUBLES, Trouble, all, seed};
use crate::support::{
    self, Options,
    cvo::{self, Cvo, Params, Profile},
    fixtures, invariants,
};

async fn forces_only_the_patch(trouble: Trouble) {
    let context = format!("beside a CVO, {trouble:?}");
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let params = Params { retry: Duration::from_secs(1), ..Params::default() };
    let cvo = Cvo::start(&cluster, Profile::V4_21, params).await;
    let scene = Scene::of(cluster, Options::default()).await;
    let cluster = &scene.cluster;

    scene.trouble(trouble);
    cluster.request("4.22.0", &fixtures::image("4.22.0")).await;
    cluster.refused("4.22.0", "PreconditionChecks", &[]).await;
    // The policy would have kept the minor out, and without it nothing is forced.
    cluster.install_policy().await;
    cvo.wait_until_idle().await;
    scene.end_of_stall(trouble);
    cluster.wait_until_operator_is_idle().await;

    scene.trouble(trouble);
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    // An operator that sees nothing has nothing to force.
    scene.end_of_stall(trouble);
    let begun = |cv: &Value| cv["status"]["history"][0]["version"] == "4.21.2";
    cluster.touch_until_seen(&format!("{context}: the update"), begun).await;
    scene.trouble(trouble);
    cvo.complete().await;
    scene.proxy.heal();
    cluster.record_is(&context, |record| record["status"]["outcome"] == "Completed").await;
    let removed = |cv: &Value| cv["spec"]["desiredUpdate"]["force"].is_null();
    cluster.touch_until_seen(&format!("{context}: the force to be removed"), removed).await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.records().await.len(), 1, "{context}");

    let versions = scene.versions.so_far().await;
    invariants::assert_all_with_cvo(&context, &versions, &cluster.writes().await);
    assert_eq!(invariants::forced(&versions).count(), 1, "{context}");
    assert_eq!(invariants::unforced(&versions).count(), 1, "{context}");
    scene.keeps_its_rate(&context);
}

#[tokio::test]
async fn the_bridge_forces_exactly_once_under_every_fault() {
    for (number, trouble) in TROUBLES.into_iter().enumerate() {
        // A third of them with each seed.
        if all() || number as u64 % 3 == seed() % 3 {
            forces_only_the_patch(trouble).await;
        }
    }
}
