//! Invariants of every version that a ClusterVersion ever had, under any fault. They are checked on all versions that an
//! independent watch has delivered, and on the writes in the API server's audit log.

use std::collections::BTreeSet;

use serde_json::Value;

use super::audit::Write;
use super::{NAMESPACE, condition};

/// The condition types that the operator writes.
const OURS: [&str; 2] = ["Upgradeable", "ReleaseAccepted"];

/// The violations in these versions, oldest first.
pub fn broken(versions: &[Value]) -> Vec<String> {
    let steps = versions.windows(2).filter(|pair| pair[0]["metadata"]["uid"] == pair[1]["metadata"]["uid"]);
    steps
        .flat_map(|pair| violations_of_step(&pair[0], &pair[1]))
        .chain(versions.iter().filter_map(duplicate_entry))
        .collect()
}

/// The violations by the step from one version to the next.
fn violations_of_step(before: &Value, after: &Value) -> Vec<String> {
    let at = after["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let mut broken = Vec::new();
    // A write carries the resourceVersion that was read, so its conditions are about the spec of the version before.
    let accepted = condition(after, "ReleaseAccepted");
    let asked = before["spec"]["desiredUpdate"]["version"].as_str().unwrap_or_default();
    let leaves_minor = !asked.is_empty() && !asked.starts_with("4.21.");
    let overridden = before["spec"]["overrides"].as_array().is_some_and(|overrides| !overrides.is_empty());
    let forced = before["spec"]["desiredUpdate"]["force"] == true;
    let newly = accepted != condition(before, "ReleaseAccepted");
    let upgradeable = condition(after, "Upgradeable");
    let written = newly || upgradeable != condition(before, "Upgradeable");
    if overridden && written && upgradeable["status"] != "False" {
        broken.push(format!(
            "{at}: the first status write after an override does not set Upgradeable=False: {upgradeable}"
        ));
    }
    if newly && leaves_minor && overridden && !forced && accepted["status"] == "True" {
        broken.push(format!("{at}: {asked} is accepted under an override: {accepted}"));
    }
    if newly && accepted["status"] == "True" && overridden && !asked.is_empty() && !forced && !leaves_minor {
        let history = after["status"]["history"].as_array().map(Vec::as_slice).unwrap_or_default();
        let recorded = |entry: &Value| entry["version"] == asked && entry["acceptedRisks"].is_string();
        let is_current = after["status"]["desired"]["version"] == asked;
        if !is_current && accepted["message"].to_string().contains(asked) && !history.iter().any(recorded) {
            broken.push(format!("{at}: {asked} goes ahead without its record"));
        }
    }
    let records = |object: &Value| -> BTreeSet<(String, String)> {
        let entries = object["status"]["history"].as_array().into_iter().flatten();
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        entries
            .filter(|entry| entry["acceptedRisks"].is_string())
            .map(|entry| (text(entry, "startedTime"), text(entry, "acceptedRisks")))
            .collect()
    };
    for lost in records(before).difference(&records(after)) {
        broken.push(format!("{at}: the record of {lost:?} is lost"));
    }
    broken
}

/// Two newest entries for one request, if there are.
fn duplicate_entry(object: &Value) -> Option<String> {
    let [first, second, ..] = object["status"]["history"].as_array()?.as_slice() else { return None };
    let same = |field: &str| first[field] == second[field];
    (same("version") && same("image") && first["state"] == "Partial")
        .then(|| format!("two entries for one request: {first} and {second}"))
}

/// Successful writes by which the operator changed fields of others.
fn foreign_writes(versions: &[Value], writes: &[Write], also_ours: &[&str]) -> Vec<String> {
    let user = format!("system:serviceaccount:{NAMESPACE}:upgrade-gate");
    let own = |write: &&Write| write.user == user && write.code == 200 && write.resource.starts_with("clusterversions");
    let at = |object: &Value| object["metadata"]["resourceVersion"].as_str().map(str::to_owned);
    writes
        .iter()
        .filter(own)
        .filter_map(|write| {
            let position = versions.iter().position(|version| at(version) == at(&write.response))?;
            let (before, after) = (versions.get(position.checked_sub(1)?)?, &versions[position]);
            (others(before, also_ours) != others(after, also_ours))
                .then(|| format!("the operator changed fields of others, by {}", write.request))
        })
        .collect()
}

/// The object without the fields that the operator may write, and without metadata.
fn others(object: &Value, also_ours: &[&str]) -> Value {
    let mut object = object.clone();
    object["metadata"] = Value::Null;
    if let Some(request) = object["spec"]["desiredUpdate"].as_object_mut() {
        request.retain(|field, _| !also_ours.contains(&field.as_str()));
    }
    let Some(status) = object["status"].as_object_mut() else { return object };
    status.remove("history");
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| !OURS.iter().any(|kind| condition["type"] == *kind));
    }
    object
}

/// The steps in which an existing request was forced: before and after.
pub fn forced(versions: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    let request = |object: &Value, field: &str| object["spec"]["desiredUpdate"][field].clone();
    let is_forced = move |before: &Value, after: &Value| {
        request(before, "force") != true
            && request(after, "force") == true
            && request(before, "version") == request(after, "version")
    };
    versions.windows(2).map(|pair| (&pair[0], &pair[1])).filter(move |(before, after)| is_forced(before, after))
}

/// The steps in which force was removed from a request that is otherwise unchanged: before and after.
pub fn unforced(versions: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    let request = |object: &Value, field: &str| object["spec"]["desiredUpdate"][field].clone();
    let is_unforced = move |before: &Value, after: &Value| {
        request(before, "force") == true
            && request(after, "force").is_null()
            && request(before, "version") == request(after, "version")
    };
    versions.windows(2).map(|pair| (&pair[0], &pair[1])).filter(move |(before, after)| is_unforced(before, after))
}

/// Asserts the invariants with a CVO, if only the bridge forces: it forces only a patch that the CVO refuses at that moment
/// with an override set; it removes the force only after that update has completed; it writes only `force` and `image`.
///
/// # Panics
///
/// With the violations.
pub fn assert_all_with_cvo(context: &str, versions: &[Value], writes: &[Write]) {
    let wrongly = |(before, after): (&Value, &Value)| {
        let version = after["spec"]["desiredUpdate"]["version"].as_str().unwrap_or_default();
        let refused = condition(before, "ReleaseAccepted");
        let is_refused = refused["status"] == "False"
            && refused["reason"] == "PreconditionChecks"
            && refused["message"].to_string().contains(version);
        let overridden = before["spec"]["overrides"].as_array().is_some_and(|overrides| !overrides.is_empty());
        (!version.starts_with("4.21.") || !is_refused || !overridden)
            .then(|| format!("{version:?} is forced, and was {refused}"))
    };
    let early = |(before, _): (&Value, &Value)| {
        let (front, version) = (&before["status"]["history"][0], &before["spec"]["desiredUpdate"]["version"]);
        (front["state"] != "Completed" || front["version"] != *version)
            .then(|| format!("the force for {version} is removed on {front}"))
    };
    let mut broken: Vec<String> = forced(versions).filter_map(wrongly).collect();
    broken.extend(unforced(versions).filter_map(early));
    broken.extend(foreign_writes(versions, writes, &["force", "image"]));
    assert!(broken.is_empty(), "{context}: {broken:#?}");
}

/// Asserts the invariants of mode replace.
///
/// # Panics
///
/// With the violations.
pub fn assert_all(context: &str, versions: &[Value], writes: &[Write]) {
    let mut broken = broken(versions);
    broken.extend(foreign_writes(versions, writes, &[]));
    assert!(broken.is_empty(), "{context}: {broken:#?}");
}
