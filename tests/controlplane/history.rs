//! What the record does to `status.history`, and that nothing else of the object changes with it.

use serde_json::{Value, json};

use crate::support::{self, Cluster, Loosen, Operator, Options, entries, fixtures, versions_of_history};

/// A completed entry for each of these, newest first; a `P` in front makes it a partial one that was left behind.
fn history(versions: &[String]) -> Value {
    let entry = |version: &String| match version.strip_prefix('P') {
        Some(version) => {
            let mut entry = fixtures::completed(version);
            entry["state"] = json!("Partial");
            entry
        }
        None => fixtures::completed(version),
    };
    versions.iter().map(entry).collect()
}

fn versions(front: &[&str], minor: &str, patches: impl Iterator<Item = u64>, back: &[&str]) -> Vec<String> {
    let middle = patches.map(|patch| format!("{minor}.{patch}"));
    let owned = |versions: &[&str]| versions.iter().map(ToString::to_string).collect::<Vec<_>>();
    owned(front).into_iter().chain(middle).chain(owned(back)).collect()
}

/// Lets the operator record 4.21.2 on top of a full history, and compares what is left.
async fn is_pruned(full: Vec<String>, expected: Vec<String>) {
    assert_eq!((full.len(), expected.len()), (100, 100));
    let mut cluster_version = fixtures::cluster_with_override();
    cluster_version["status"]["history"] = history(&full);
    let cluster = support::cluster(cluster_version).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    let seen = cluster.request_accepted("4.21.2").await;
    assert_eq!(versions_of_history(&seen), expected);
    let before = history(&full);
    for entry in &seen["status"]["history"].as_array().unwrap()[1..] {
        assert!(before.as_array().unwrap().contains(entry), "{entry} isn't as it was");
    }
}

#[tokio::test]
async fn a_full_history_drops_the_oldest_entry_that_is_neither_last_nor_an_edge() {
    is_pruned(
        versions(&["4.21.1", "4.21.0"], "4.20", (0..=97).rev(), &[]),
        versions(&["4.21.2", "4.21.1", "4.21.0"], "4.20", (2..=97).rev(), &["4.20.0"]),
    )
    .await;
}

#[tokio::test]
async fn a_full_history_drops_a_partial_between_patches_before_older_entries() {
    let full = versions(&["4.21.1", "4.21.0"], "4.20", (9..=97).rev(), &["P4.20.8"]);
    let older = versions(&[], "4.20", (0..=7).rev(), &[]);
    is_pruned(
        [full, older.clone()].concat(),
        [versions(&["4.21.2", "4.21.1", "4.21.0"], "4.20", (9..=97).rev(), &[]), older].concat(),
    )
    .await;
}

#[tokio::test]
async fn a_full_history_keeps_the_edges_of_minors_and_a_partial_between_them() {
    is_pruned(
        versions(&["4.21.1", "4.21.0"], "4.20", (0..=95).rev(), &["P4.19.9", "4.19.0"]),
        versions(&["4.21.2", "4.21.1", "4.21.0"], "4.20", (2..=95).rev(), &["4.20.0", "4.19.9", "4.19.0"]),
    )
    .await;
}

#[tokio::test]
async fn an_abandoned_partial_entry_is_closed_when_the_new_one_starts() {
    let mut cluster_version = fixtures::cluster_with_override();
    let status = &mut cluster_version["status"];
    let mut partial = fixtures::completed("4.21.2");
    partial["state"] = json!("Partial");
    partial["completionTime"] = Value::Null;
    status["history"].as_array_mut().unwrap().insert(0, partial.clone());
    status["desired"] = fixtures::release("4.21.2");
    status["availableUpdates"] = json!([fixtures::release("4.21.3")]);
    let cluster = support::cluster(cluster_version).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    let seen = cluster.request_accepted("4.21.3").await;
    let history = &seen["status"]["history"];
    assert_eq!(versions_of_history(&seen), ["4.21.3", "4.21.2", "4.21.1", "4.21.0"]);
    assert_eq!(history[0]["completionTime"], Value::Null);
    let started = history[0]["startedTime"].as_str().unwrap();
    assert!(started > fixtures::LONG_AGO && started.ends_with('Z') && started.len() == 20, "{started}");
    partial["completionTime"] = json!(started);
    assert_eq!(history[1], partial);
    assert_eq!(history[2], fixtures::completed("4.21.1"));
}

#[tokio::test]
async fn a_cluster_without_a_history_gets_its_first_entry() {
    let mut cluster_version = fixtures::cluster_with_override();
    cluster_version["status"].as_object_mut().unwrap().remove("history");
    let cluster = support::cluster(cluster_version).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    let seen = cluster.request_accepted("4.21.2").await;
    assert_eq!(versions_of_history(&seen), ["4.21.2"]);
}

/// The updater was faster, and has put its own entry for the request in front.
async fn with_entry_in_front(fields: Value) -> (Cluster, Operator, Value) {
    let mut cluster_version = fixtures::cluster();
    let mut entry = fixtures::completed("4.21.2");
    entry["state"] = json!("Partial");
    entry["completionTime"] = Value::Null;
    entry.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    cluster_version["status"]["history"].as_array_mut().unwrap().insert(0, entry.clone());
    cluster_version["status"]["desired"] = fixtures::release("4.21.2");
    cluster_version["spec"]["desiredUpdate"] = fixtures::release("4.21.2");
    let cluster = support::cluster(cluster_version).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    (cluster, operator, entry)
}

#[tokio::test]
async fn an_existing_entry_gets_only_the_accepted_risks() {
    let (cluster, _operator, mut entry) = with_entry_in_front(json!({})).await;
    let seen = cluster.cluster_version().await;
    let text = seen["status"]["history"][0]["acceptedRisks"].as_str().unwrap().to_owned();
    assert!(
        text.contains("\"ClusterVersionUpgradeable\"") && text.contains("\"ClusterVersionOverridesSet\""),
        "{text}"
    );
    entry["acceptedRisks"] = json!(text);
    let expected = json!([entry, fixtures::completed("4.21.1"), fixtures::completed("4.21.0")]);
    assert_eq!(seen["status"]["history"], expected);
}

#[tokio::test]
async fn an_entry_without_a_version_matches_the_request_by_image() {
    let (cluster, _operator, _) = with_entry_in_front(json!({"version": ""})).await;
    let seen = cluster.cluster_version().await;
    assert_eq!(versions_of_history(&seen), ["", "4.21.1", "4.21.0"]);
    assert!(seen["status"]["history"][0]["acceptedRisks"].as_str().unwrap().contains("ClusterVersionOverridesSet"));
}

#[tokio::test]
async fn existing_accepted_risks_are_kept() {
    let (cluster, _operator, entry) = with_entry_in_front(json!({"acceptedRisks": "the updater's own"})).await;
    assert_eq!(cluster.cluster_version().await["status"]["history"][0], entry);
    assert!(!cluster.operator_writes().await.iter().any(support::Write::is_record));
}

#[tokio::test]
async fn unknown_fields_and_conditions_of_others_are_kept() {
    let cluster = support::cluster(fixtures::cluster()).await;
    let loose = [
        Loosen::UnknownFields("/properties/spec"),
        Loosen::UnknownFields("/properties/status"),
        Loosen::UnknownFields("/properties/status/properties/conditions/items"),
        Loosen::UnknownFields("/properties/status/properties/history/items"),
    ];
    let loosened = cluster.loosen("clusterversions", &loose).await;
    cluster.patch(json!({"spec": {"ofTheFuture": [1, {"a": null, "b": "ü"}]}})).await;
    cluster
        .put_status("updater", |status| {
            status["conditionsOfTheFuture"] = json!({"deep": [[1.5, true, ""]]});
            status["conditions"][0]["observedGeneration"] = json!(3);
            let odd =
                json!({"type": "Ünicode/Ω", "status": "Perhaps", "lastTransitionTime": fixtures::LONG_AGO, "x": {}});
            status["conditions"].as_array_mut().unwrap().push(odd);
            status["history"][0]["future"] = json!({"zeta": 1, "alpha": [2]});
            status["history"][1]["completionTime"] = Value::Null;
        })
        .await;
    let before = cluster.cluster_version().await;
    assert_eq!(before["status"]["history"][0]["future"]["zeta"], 1, "the loosened CRD keeps it");

    let _operator = Operator::start(&cluster, Options::mode("replace")).await;
    cluster.upgradeable("True", "AsExpected").await;
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    cluster.request_accepted("4.21.2").await;
    let after = cluster.cluster_version().await;
    assert_eq!(entries(&after, "4.21.2").len(), 1);
    assert_eq!(others_part(&after).to_string(), others_part(&before).to_string());
    loosened.restore().await;
}

/// The object without what the gate and this test have changed.
fn others_part(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"] = json!({"uid": object["metadata"]["uid"], "name": object["metadata"]["name"]});
    for field in ["overrides", "desiredUpdate"] {
        object["spec"].as_object_mut().unwrap().remove(field);
    }
    let ours = |condition: &Value| condition["type"] == "Upgradeable" || condition["type"] == "ReleaseAccepted";
    object["status"]["conditions"].as_array_mut().unwrap().retain(|condition| !ours(condition));
    object["status"]["history"].as_array_mut().unwrap().retain(|entry| entry["version"] != "4.21.2");
    object
}
