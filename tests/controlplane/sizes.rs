//! Objects larger than on any real cluster, with the API server's own limits: texts are truncated with a count, the verdict
//! stays correct, and a write that is too large is reported once and not repeated in a loop.

use futures::{StreamExt as _, stream};
use kube::{Error, api::PostParams};
use serde_json::{Value, json};

use crate::support::{self, Cluster, Operator, Options, condition, entries, eventually, fixtures, has_condition};

/// The number of ClusterOperators, and the bytes of the message of each; one has a megabyte.
const OPERATORS: usize = 1000;
const MESSAGE: usize = 2000;
/// Bytes that a condition's message, an entry of the history and an event's note may have.
const LIMITS: (usize, usize, usize) = (32 << 10, 8 << 10, 1 << 10);

fn text(object: &Value, type_: &str) -> String {
    condition(object, type_)["message"].as_str().unwrap().to_owned()
}

/// The number in "and 973 more", with which a message ends.
fn left_out(message: &str) -> usize {
    let last = message.lines().last().unwrap();
    let count = last.strip_prefix("and ").and_then(|rest| rest.strip_suffix(" more"));
    count.unwrap_or_else(|| panic!("no count at the end: {last}")).parse().unwrap()
}

async fn block_everything(cluster: &Cluster) {
    let put = |number: usize| async move {
        let message = if number == 500 { "m".repeat(1 << 20) } else { format!("{number} {}", "m".repeat(MESSAGE)) };
        let blocked = json!([fixtures::condition("Upgradeable", "False", "No", &message)]);
        cluster.put_cluster_operator(&format!("operator-{number:04}"), blocked).await;
    };
    stream::iter(0..OPERATORS).map(put).buffer_unordered(32).collect::<Vec<()>>().await;
}

/// The update service's answer, half a megabyte of it, and a full history.
fn crowded() -> Value {
    let mut cluster = fixtures::cluster();
    let risk = |number: usize| {
        json!({"name": format!("Risk{number}"), "url": "https://example.com/", "message": "r".repeat(600),
               "matchingRules": [{"type": "Always"}]})
    };
    let update = |number: usize| {
        let release = fixtures::release(&format!("4.{}.{}", 21 + number % 2, 10 + number));
        let recommended = fixtures::condition("Recommended", "False", "Risky", &"c".repeat(300));
        json!({"release": release, "risks": [risk(number)], "conditions": [recommended]})
    };
    cluster["status"]["conditionalUpdates"] = (0..500).map(update).collect();
    let mut history = vec![fixtures::completed("4.21.1"), fixtures::completed("4.21.0")];
    history.extend((0..98).map(|number| fixtures::completed(&format!("4.20.{}", 98 - number))));
    cluster["status"]["history"] = json!(history);
    let entry = |number: usize| {
        json!({"group": "apps", "kind": "Deployment", "namespace": "somewhere", "name": format!("deployment-{number:04}"),
               "unmanaged": true})
    };
    cluster["spec"]["overrides"] = (0..500).map(entry).collect();
    cluster
}

#[tokio::test]
async fn a_thousand_reasons_are_truncated_and_counted_with_the_same_verdict() {
    let cluster = support::cluster(crowded()).await;
    block_everything(&cluster).await;
    let _operator = Operator::start(&cluster, Options::mode("replace")).await;

    let seen = cluster.wait_for("all reasons", |cv| text_of(cv).starts_with("1001 reasons ")).await;
    assert!(has_condition(&seen, "Upgradeable", "False", "MultipleReasons"));
    let message = text(&seen, "Upgradeable");
    assert!(message.len() <= LIMITS.0, "{} bytes", message.len());
    assert_eq!(message.matches("\n* ").count() + left_out(&message), 1001, "{message}");
    assert!(
        message.contains("Deployment.apps somewhere/deployment-0000") && message.contains("patch updates stay allowed")
    );
    assert!(message.contains("\n* ClusterOperatorUpgradeable-operator-0020: "), "{message}");

    let seen = cluster.request_blocked("4.22.0", &["MultipleReasons", "1001 reasons"]).await;
    assert!(text(&seen, "ReleaseAccepted").len() <= LIMITS.0);

    let seen = cluster.request_accepted("4.21.2").await;
    let [entry] = entries(&seen, "4.21.2")[..] else { panic!("not one entry") };
    let accepted = entry["acceptedRisks"].as_str().unwrap();
    assert!(accepted.contains("ClusterVersionOverridesSet") && accepted.len() <= LIMITS.1, "{accepted}");
    assert!(accepted.contains("deployment-0000, Deployment.apps") && accepted.contains(" more."), "{accepted}");
    let record = cluster.record_is("of the patch", |record| record["spec"]["to"] == "4.21.2").await;
    assert_eq!(record["spec"]["overrides"].as_array().unwrap().len(), 128);
    assert_eq!(record["spec"]["acceptedRisks"], entry["acceptedRisks"]);

    cluster.patch(json!({"spec": {"desiredUpdate": {"version": "4.22.0", "image": fixtures::image("4.22.0"), "force": true}}})).await;
    let seen = cluster.accepted("4.22.0").await;
    let [entry] = entries(&seen, "4.22.0")[..] else { panic!("not one entry") };
    let accepted = entry["acceptedRisks"].as_str().unwrap();
    assert!(accepted.contains("Forced through: ") && accepted.contains("1001 reasons"), "{accepted}");
    assert!(accepted.len() <= LIMITS.1 && accepted.contains(" bytes more) "), "{accepted}");

    let events = cluster.events().await;
    assert!(events.iter().any(|event| event["reason"] == "UpdateAccepted"), "{events:#?}");
    assert!(events.iter().all(|event| event["message"].as_str().unwrap().len() <= LIMITS.2));
}

fn text_of(object: &Value) -> &str {
    condition(object, "Upgradeable")["message"].as_str().unwrap_or_default()
}

/// Fills the object until it takes no more than so many bytes more; returns the status as it was before.
async fn fill(cluster: &Cluster, spare: usize) -> Value {
    let api = cluster.cluster_versions();
    let params = PostParams { field_manager: Some("fixture".to_owned()), ..PostParams::default() };
    let before = cluster.cluster_version().await["status"].clone();
    let (mut fits, mut too_much) = (1 << 20, 2 << 20);
    while too_much - fits > spare {
        let size = usize::midpoint(fits, too_much);
        let mut object = api.get("version").await.unwrap();
        object.data["status"] = before.clone();
        let filler = fixtures::condition("Filler", "True", "Full", &"f".repeat(size));
        object.data["status"]["conditions"].as_array_mut().unwrap().push(filler);
        match api.replace_status("version", &params, &object).await {
            Ok(_) => fits = size,
            Err(Error::Api(status)) if status.message.contains("too large") => too_much = size,
            Err(error) => panic!("can't fill the object: {error}"),
        }
    }
    before
}

#[tokio::test]
async fn an_object_at_the_size_limit_is_reported_once_and_written_once_there_is_space() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let before = fill(&cluster, 256).await;
    let operator = Operator::start(&cluster, Options::mode("replace")).await;
    let degraded = cluster.own_condition("Degraded", "True", "ConditionsNotWritten").await;
    assert!(degraded["message"].as_str().unwrap().contains("too large"), "{degraded}");
    let failures =
        || operator.metric("upgrade_gate_writes_total{kind=\"conditions\",result=\"too_large\"}").unwrap_or(0.0);
    eventually("a few tries", async || if failures() >= 4.0 { Ok(()) } else { Err(failures().to_string()) }).await;
    let (tries, since) = (failures(), std::time::Instant::now());
    eventually("one more try", async || if failures() > tries { Ok(()) } else { Err(String::new()) }).await;
    assert!(since.elapsed().as_secs_f64() > 0.4 * (failures() - tries), "{} tries more already", failures() - tries);
    assert_eq!(operator.log().matches("a write has failed").count(), 1, "{}", operator.log());

    cluster.put_status("fixture", |status| *status = before.clone()).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.own_condition("Degraded", "False", "AsExpected").await;
}
