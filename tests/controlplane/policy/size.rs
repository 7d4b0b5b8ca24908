//! The API server limits the cost of expressions, to 1,000,000 each and 10,000,000 for a binding, and rejects an edit
//! that costs more. The largest objects that it stores cost less.
//!
//! It does not report the cost. By the same library (k8s.io/apiserver 0.34), a full ClusterVersion as on a cluster,
//! the first case here, costs 24,000 in its most expensive expression and 81,000 for a binding. The most expensive that we found
//! and that etcd stores (1.5 MB), `found_after_a_long_search`, costs less than 510,000 and 1,150,000.

use rstest::rstest;
use serde_json::{Value, json};

use super::{asking, verdict};
use crate::support::{cluster_with_policy, fixtures};

fn updates(count: usize, image: impl Fn(usize) -> String) -> Vec<Value> {
    (0..count).map(|n| json!({"version": format!("4.22.{n}"), "image": image(n)})).collect()
}

/// A status of so many available, conditional and past releases.
fn status(counts: [usize; 3], message: &str, image: impl Fn(usize) -> String) -> Value {
    let [available, conditional, history] = counts;
    let rule = json!({"type": "Always"});
    let risks = json!([{"name": "R", "message": message, "url": "https://example.com", "matchingRules": [rule]}]);
    let conditional = updates(conditional, |n| image(100_000 + n)).into_iter();
    let conditional: Vec<Value> = conditional.map(|release| json!({"release": release, "risks": risks})).collect();
    let history: Vec<Value> = updates(history, |n| image(200_000 + n))
        .into_iter()
        .map(|release| {
            let mut entry = fixtures::completed("4.20.0");
            entry["image"] = release["image"].clone();
            entry
        })
        .collect();
    json!({"availableUpdates": updates(available, &image), "conditionalUpdates": conditional, "history": history})
}

fn image(n: usize) -> String {
    format!("quay.io/openshift-release-dev/ocp-release@sha256:{n:064x}")
}

#[rstest]
#[case::a_full_cluster(status([100, 500, 100], &"m".repeat(500), image), json!({"image": image(900_000)}), "warned")]
#[case::the_last_of_a_full_cluster(
    status([100, 500, 100], &"m".repeat(500), image),
    json!({"image": image(100_499)}),
    "denied"
)]
#[case::a_long_search_without_a_match(
    status([2000, 2000, 2000], "m", |_| "x".repeat(90)),
    json!({"image": format!("@sha512:{}", "b".repeat(590))}),
    "warned"
)]
#[case::found_after_a_long_search(
    status([2000, 2000, 2000], "m", |_| "x".repeat(90) + "@a:b"),
    json!({"image": "@A:B"}),
    "denied"
)]
#[case::more_than_is_searched(
    status([2001, 2001, 2001], "m", |_| "r@a:b".to_owned()),
    json!({"image": "r@a:b"}),
    "warned"
)]
#[case::a_long_version(json!({}), json!({"version": format!("4.22.0-{}", vec!["a"; 24_000].join("."))}), "denied")]
#[case::a_longer_version(json!({}), json!({"version": format!("4.22.0-{}", "a".repeat(2_500_000))}), "warned")]
#[case::a_long_image(json!({}), json!({"image": "@".repeat(2_500_000)}), "warned")]
#[tokio::test]
async fn a_large_object_costs_less_than_is_allowed(
    #[case] status: Value,
    #[case] request: Value,
    #[case] expected: &str,
) {
    let mut object = fixtures::cluster_with_override();
    object["status"].as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    let conditions = object["status"]["conditions"].as_array_mut().unwrap();
    conditions.push(fixtures::condition("Upgradeable", "False", "ClusterVersionOverridesSet", ""));
    let cluster = cluster_with_policy(object).await;
    let reply = cluster.dry_run(&json!({"spec": {"desiredUpdate": request}})).await;
    assert_eq!(verdict(&reply), expected, "{:?}", reply.warnings);
    assert!(!reply.message.contains("budget"), "{}", reply.message);
}

#[tokio::test]
async fn many_overrides_and_conditions_cost_less_than_is_allowed() {
    let mut object = fixtures::cluster();
    let conditions = object["status"]["conditions"].as_array_mut().unwrap();
    conditions.extend((0..5000).map(|n| fixtures::condition(&format!("C{n}"), "False", "", "")));
    let cluster = cluster_with_policy(object).await;
    let entry =
        |n: usize| json!({"kind": "K", "group": "", "namespace": "", "name": n.to_string(), "unmanaged": n == 4999});
    let mut edit = asking("4.22.0");
    edit["spec"]["overrides"] = (0..5000).map(entry).collect();
    let reply = cluster.dry_run(&edit).await;
    assert_eq!(verdict(&reply), "denied");
    assert!(reply.message.contains("Overrides prevent minor and major updates: 5000 entries."), "{}", reply.message);
}

#[rstest]
#[case::bullets("\n* a")]
#[case::bullets_about_overrides("\n* spec.overrides")]
#[case::line_breaks("\n")]
#[tokio::test]
async fn long_reasons_cost_less_than_is_allowed(#[case] unit: &str) {
    let mut object = fixtures::cluster_with_override();
    let conditions = object["status"]["conditions"].as_array_mut().unwrap();
    let message = unit.repeat(100_000 / unit.len());
    for part in ["AdminAckRequired", "ClusterOperators", "DeletesInProgress"] {
        conditions.push(fixtures::condition(&format!("Upgradeable{part}"), "False", "Theirs", &message));
    }
    conditions.push(fixtures::condition("UpgradeableUpgradeInProgress", "True", "Theirs", &message));
    conditions.push(fixtures::condition("Upgradeable", "False", "MultipleReasons", &message));
    let cluster = cluster_with_policy(object).await;
    let reply = cluster.dry_run(&asking("4.22.0")).await;
    assert_eq!(verdict(&reply), "denied");
    assert!(reply.message.contains("The minor update from 4.21.1 to 4.22.0 is not allowed."), "{}", reply.message);
}
