//! Invariants of the plan on any cluster. Expected values are computed here from the raw objects, without the code under
//! test.

use proptest::prelude::*;
use semver::Version;
use serde_json::{Value, json};

use crate::{
    gate::{ConfigMapData, Source},
    plan::tests::{
        RecordState, Role, Write, condition, gate,
        generated::{Cluster, cluster},
        stored,
    },
};

/// Plans and stores until nothing is left: the objects on the way, the last one after no write is left.
fn settle(cluster: &Cluster, object: &Value, mut now: i64) -> Vec<(Write, Value)> {
    let mut steps: Vec<(Write, Value)> = Vec::new();
    loop {
        now += 60;
        let before = steps.last().map_or(object, |(_, object)| object);
        let snapshot = cluster.snapshot(before, now);
        let Some(write) = gate(&snapshot, Role::Replace, RecordState::Possible).into_iter().next() else {
            return steps;
        };
        let after = stored(before, &write);
        steps.push((write, after));
        assert!(steps.len() <= 2, "{steps:#?}");
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn current(cluster: &Cluster) -> Option<Version> {
    Version::parse(text(&cluster.object["status"]["desired"]["version"])).ok()
}

fn data(source: &Source<ConfigMapData>) -> Option<&std::collections::BTreeMap<String, String>> {
    match source {
        Source::Read(data) => data.as_ref(),
        _ => None,
    }
}

fn a_risk_holds(cluster: &Cluster) -> bool {
    let overrides = list(&cluster.object["spec"]["overrides"]).iter().any(|entry| entry["unmanaged"] == true);
    let conditions =
        list(&cluster.object["status"]["conditions"]).iter().any(|condition| match text(&condition["type"]) {
            "Progressing" => condition["status"] == "True",
            "UpgradeableByOthers" => condition["status"] == "False",
            _ => false,
        });
    let operators = match &cluster.operators {
        Source::Read(operators) => operators.iter().any(|operator| {
            let status = &operator["status"]["conditions"][0]["status"];
            operator["metadata"]["name"] != "upgrade-gate" && (status == "False" || status.is_number())
        }),
        Source::NotServed | Source::NotGiven => false,
        Source::Unreadable(_) => true,
    };
    let gates = match (data(&cluster.gates), data(&cluster.acks)) {
        (Some(gates), Some(acks)) => gates.iter().any(|(key, text)| {
            let Some(current) = current(cluster) else { return true };
            let applies = key.starts_with(&format!("ack-{}.{}-", current.major, current.minor));
            key == "note" || applies && (text.is_empty() || acks.get(key).map(String::as_str) != Some("true"))
        }),
        _ => true,
    };
    overrides || conditions || operators || gates
}

/// The version that the request means: by its digest where the status knows it.
fn requested_version(cluster: &Cluster) -> Option<String> {
    let request = &cluster.object["spec"]["desiredUpdate"];
    let (version, image) = (text(&request["version"]), text(&request["image"]));
    if !text(&request["mode"]).is_empty() || version.is_empty() && image.is_empty() {
        return None;
    }
    let status = &cluster.object["status"];
    let known = std::iter::once(&status["desired"])
        .chain(list(&status["availableUpdates"]))
        .chain(list(&status["conditionalUpdates"]).iter().map(|update| &update["release"]))
        .chain(list(&status["history"]));
    let digest = |image: &str| image.rsplit_once('@').map_or(image.to_owned(), |(_, digest)| digest.to_owned());
    let by_digest = known
        .filter(|release| !text(&release["version"]).is_empty() && !image.is_empty())
        .find(|release| digest(text(&release["image"])) == digest(image))
        .map(|release| text(&release["version"]));
    Some(by_digest.unwrap_or(version).to_owned())
}

fn settled(cluster: &Cluster) -> Value {
    settle(cluster, &cluster.object, 0).pop().map_or_else(|| cluster.object.clone(), |(_, object)| object)
}

fn without(object: &Value, paths: &[(&str, &str)]) -> Value {
    let mut object = object.clone();
    for (parent, field) in paths {
        if let Some(Value::Object(fields)) = object.pointer_mut(parent) {
            fields.remove(*field);
        }
    }
    object
}

proptest! {
    #[test]
    fn two_writes_at_most_and_then_nothing_is_left(cluster in cluster()) {
        let steps = settle(&cluster, &cluster.object, 0); // asserts the number
        let kinds: Vec<&str> = steps.iter().map(|(write, _)| write.kind().as_str()).collect();
        prop_assert!(["", "history", "conditions", "history conditions"].contains(&kinds.join(" ").as_str()), "{:?}", kinds);
        let settled = steps.last().map_or(&cluster.object, |(_, object)| object);
        prop_assert!(settle(&cluster, settled, 1_000_000).is_empty());
    }

    #[test]
    fn upgradeable_is_true_only_without_a_risk_and_false_only_with_one(cluster in cluster()) {
        let object = settled(&cluster);
        if cluster.object["status"].is_object() {
            let expected = if a_risk_holds(&cluster) { "False" } else { "True" };
            prop_assert_eq!(&condition(&object, "Upgradeable").unwrap()["status"], expected);
        }
    }

    #[test]
    fn what_leaves_the_minor_is_accepted_only_without_risks_or_forced_or_from_an_unknown_version(cluster in cluster()) {
        let object = settled(&cluster);
        let Some(version) = requested_version(&cluster) else { return Ok(()) };
        if !object["status"].is_object() || condition(&object, "ReleaseAccepted").unwrap()["status"] != "True" {
            return Ok(());
        }
        let Some(current) = current(&cluster) else { return Ok(()) };
        if cluster.object["spec"]["desiredUpdate"]["force"] == true {
            return Ok(());
        }
        let target = Version::parse(&version);
        prop_assert!(target.is_ok(), "{version} is accepted");
        let target = target.unwrap();
        let leaves = target > current && (target.major, target.minor) != (current.major, current.minor);
        prop_assert!(!leaves || !a_risk_holds(&cluster), "{version} is accepted");
    }

    #[test]
    fn a_request_never_has_a_second_entry(cluster in cluster()) {
        let before = list(&cluster.object["status"]["history"]).len();
        let steps = settle(&cluster, &cluster.object, 0);
        let records = steps.iter().filter(|(write, _)| write.kind().as_str() == "history").count();
        let mut object = settled(&cluster);
        let after = list(&object["status"]["history"]).len();
        prop_assert!(records <= 1 && after <= before + records, "{} {}", before, after);
        if records == 0 {
            return Ok(());
        }
        // The record is there, and has its text; the updater takes it up, and completes it.
        prop_assert!(!text(&object["status"]["history"][0]["acceptedRisks"]).is_empty());
        let entry = object["status"]["history"][0].clone();
        // An updater knows both of the release that it applies, even where the entry that it found doesn't.
        if text(&entry["version"]).is_empty() || text(&entry["image"]).is_empty() {
            return Ok(());
        }
        for (state, completed) in [("Partial", Value::Null), ("Completed", json!("2026-03-01T00:00:00Z"))] {
            object["status"]["desired"] = json!({"version": entry["version"], "image": entry["image"]});
            object["status"]["history"][0]["state"] = json!(state);
            object["status"]["history"][0]["completionTime"] = completed;
            let history = object["status"]["history"].clone();
            for (_, later) in settle(&cluster, &object, 500) {
                prop_assert_eq!(&later["status"]["history"], &history);
            }
        }
    }

    #[test]
    fn a_transition_time_moves_only_with_its_status(cluster in cluster()) {
        let mut before = cluster.object.clone();
        for (_, after) in settle(&cluster, &cluster.object, 0) {
            for kind in ["Upgradeable", "ReleaseAccepted"] {
                let (Some(old), Some(new)) = (condition(&before, kind), condition(&after, kind)) else { continue };
                // A text that is no status of a condition was never one to keep the time of; nor is no time.
                let known = ["True", "False", "Unknown"].contains(&text(&old["status"]));
                if known && !text(&old["lastTransitionTime"]).is_empty() {
                    let moved = old["lastTransitionTime"] != new["lastTransitionTime"];
                    prop_assert_eq!(moved, old["status"] != new["status"], "{} {}", old, new);
                }
            }
            before = after;
        }
    }

    #[test]
    fn each_write_changes_what_it_is_for_and_nothing_else(cluster in cluster()) {
        let mut before = cluster.object.clone();
        for (write, after) in settle(&cluster, &cluster.object, 0) {
            let ours = [("/metadata", "resourceVersion"), ("/status", match &write {
                Write::History(_) => "history",
                Write::Conditions(_) => "conditions",
                other => panic!("{other:?}"),
            })];
            prop_assert_eq!(without(&before, &ours), without(&after, &ours));
            match write {
                Write::Conditions(_) => {
                    let others = |object: &Value| -> Vec<Value> {
                        let ours = |kind: &Value| kind == "Upgradeable" || kind == "ReleaseAccepted";
                        list(&object["status"]["conditions"]).iter().filter(|one| !ours(&one["type"])).cloned().collect()
                    };
                    prop_assert_eq!(others(&before), others(&after));
                }
                Write::History(_) => {
                    let (old, new) = (list(&before["status"]["history"]), list(&after["status"]["history"]));
                    let grown = new.len() > old.len() || new.first() != old.first() && old.len() >= 100;
                    let untouched = if grown { &new[2.min(new.len())..] } else { &new[1..] };
                    prop_assert!(untouched.iter().all(|entry| old.contains(entry)));
                    let open = |entry: &Value| text(&entry["completionTime"]).is_empty();
                    prop_assert!(!grown || new.len() < 2 || !open(&new[1]), "the entry left behind is closed");
                }
                other => panic!("{other:?}"),
            }
            before = after;
        }
    }

    #[test]
    fn a_record_that_was_planned_on_another_history_does_not_apply(cluster in cluster(), at in 0_usize..110) {
        let snapshot = cluster.snapshot(&cluster.object, 0);
        let writes = gate(&snapshot, Role::Replace, RecordState::Possible);
        let Some(Write::History(write)) = writes.first() else { return Ok(()) };
        let old = list(&cluster.object["status"]["history"]);
        if old.is_empty() {
            return Ok(());
        }
        let after = stored(&cluster.object, &writes[0]);
        let kept = list(&after["status"]["history"]);
        // The first entry, or one that the patch drops, has changed meanwhile.
        let gone: Vec<usize> = (1..old.len()).filter(|&index| !kept.contains(&old[index])).collect();
        let index = if gone.is_empty() || at % 2 == 0 { 0 } else { gone[at % gone.len()] };
        let mut changed = cluster.object.clone();
        changed["status"]["history"][index]["changed"] = json!(true);
        prop_assert!(json_patch::patch(&mut changed, &write.patch()).is_err());
    }
}
