//! Policy and core agree on what the API server is asked, with all that comes between: pruning, defaulting, the CRD's
//! own rules. Many more cases run in process, in `tests/policy`.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::requests::{self, Answer, Edit};
use crate::support::{Reply, cluster_with_policy, fixtures};

const OBJECTS: usize = 50;
const CHANGES: usize = 12;

#[tokio::test]
async fn the_api_server_and_the_core_agree_on_every_edit() {
    let mut tally = [0_u32; 4];
    let cluster = cluster_with_policy(fixtures::cluster()).await;
    let mut runner = TestRunner::deterministic();
    for _ in 0..OBJECTS {
        let object = requests::objects().new_tree(&mut runner).unwrap().current();
        cluster.delete().await;
        cluster.create("fixture", admissible(object)).await;
        let before = cluster.cluster_version().await;
        for _ in 0..CHANGES {
            let change = requests::changes().new_tree(&mut runner).unwrap().current();
            let mut edit = Edit { after: change.of(&before), before: before.clone() };
            let reply = cluster.dry_run_put(&edit.after).await;
            if reply.code == 422 && !reply.message.contains("ValidatingAdmissionPolicy") {
                continue; // the CRD's own rules
            }
            if reply.warnings.iter().any(|warning| warning.contains("unknown field")) {
                // Of older releases: there, a request with a mode is a request like any other.
                edit.after["spec"]["desiredUpdate"].as_object_mut().unwrap().remove("mode");
            }
            let answer = answer(&reply);
            assert_eq!(answer, requests::expected(&edit), "{edit:#?}\n{reply:?}");
            let seen = [answer.denied, answer.warned_as_unknown, answer.warned_as_patch, answer == Answer::default()];
            std::iter::zip(&mut tally, seen).for_each(|(count, seen)| *count += u32::from(seen));
        }
    }
    assert!(tally.iter().all(|&count| count >= 5), "too few of some answer: {tally:?}");
    assert!(tally.iter().sum::<u32>() >= 300, "too few edits that the CRD admits: {tally:?}");
}

fn answer(reply: &Reply) -> Answer {
    assert!(reply.is_denied() || reply.code == 200, "{reply:?}");
    let warned = |text: &str| reply.warnings.iter().any(|warning| warning.contains(text));
    Answer {
        denied: reply.is_denied(),
        warned_as_unknown: warned("the type of this update (patch, minor or major) is not known"),
        warned_as_patch: warned("Overrides do not block this patch update"),
    }
}

/// The object with what the CRD requires: generated ones lack any field.
fn admissible(mut object: Value) -> Value {
    without_nulls(&mut object);
    object["spec"]["clusterID"] = json!("00000000-0000-4000-8000-000000000000");
    if let Some(request) = object["spec"].get_mut("desiredUpdate").and_then(Value::as_object_mut) {
        request.remove("architecture"); // excludes an image, and needs a version
        request.retain(|field, value| field != "mode" || value == "Preflight");
    }
    each(&mut object["spec"], "overrides", |index, entry| {
        let required = json!({"kind": "K", "group": "g", "namespace": "", "name": "n", "unmanaged": false});
        complete(entry, &required);
        entry["name"] = json!(format!("n{index}"));
    });
    let Some(status) = object.get_mut("status").filter(|status| status.is_object()) else { return object };
    complete(status, &json!({"desired": {}, "observedGeneration": 1, "versionHash": "", "availableUpdates": null}));
    let release = json!({"version": "", "image": ""});
    complete(&mut status["desired"], &release);
    each(status, "availableUpdates", |_, entry| complete(entry, &release));
    each(status, "conditionalUpdates", |_, entry| {
        let rule = json!({"type": "Always"});
        let risk = json!({"name": "Risk", "message": "m", "url": "https://example.com", "matchingRules": [rule]});
        complete(entry, &json!({"release": {}, "risks": [risk]}));
        complete(&mut entry["release"], &release);
    });
    each(status, "history", |_, entry| complete(entry, &fixtures::completed("4.20.0")));
    each(status, "conditions", |_, entry| {
        complete(entry, &json!({"type": "Other", "status": "False", "lastTransitionTime": fixtures::LONG_AGO}));
    });
    object
}

fn complete(object: &mut Value, required: &Value) {
    for (field, value) in required.as_object().unwrap() {
        object.as_object_mut().unwrap().entry(field).or_insert_with(|| value.clone());
    }
}

fn each(object: &mut Value, list: &str, mut change: impl FnMut(usize, &mut Value)) {
    let entries = object.get_mut(list).and_then(Value::as_array_mut);
    entries.into_iter().flatten().enumerate().for_each(|(index, entry)| change(index, entry));
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(entries) => entries.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
