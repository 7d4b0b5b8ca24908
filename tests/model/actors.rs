//! The other writers: the administrator, an updater that follows `ReleaseAccepted`, and a stock CVO of 4.21. Each reads and
//! writes in one step, on the current object, by rules written here without the code under test.

use serde_json::{Value, json};

use crate::server::{READ, set_condition, set_spec};

pub const CURRENT: &str = "4.21.1";
pub const PATCH: &str = "4.21.2";
pub const MINOR: &str = "4.22.0";

/// What an administrator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdminAction {
    /// Sets the override of the signature policy, or removes it.
    Override,
    Patch,
    Minor,
    /// The minor, forced.
    Force,
    /// Clears the request.
    Clear,
}

pub const ADMIN_ACTIONS: [AdminAction; 5] =
    [AdminAction::Override, AdminAction::Patch, AdminAction::Minor, AdminAction::Force, AdminAction::Clear];

pub fn image(version: &str) -> String {
    format!("r.example.com/release@sha256:{}", version.replace('.', "").repeat(22).split_at(64).0)
}

fn release(version: &str) -> Value {
    json!({"version": version, "image": image(version)})
}

/// A cluster at 4.21.1 without an update in progress, before the operator has written.
pub fn cluster() -> Value {
    let completed = json!({"state": "Completed", "version": CURRENT, "image": image(CURRENT), "verified": true,
                           "startedTime": "2025-12-01T00:00:00Z", "completionTime": "2025-12-01T01:00:00Z"});
    json!({
        "metadata": {"name": "version", "uid": "u", "generation": 1, "resourceVersion": READ},
        "spec": {"channel": "stable-4.21", "desiredUpdate": null, "overrides": []},
        "status": {
            "desired": release(CURRENT),
            "availableUpdates": [release(PATCH), release(MINOR)],
            "history": [completed],
            "conditions": [],
        },
    })
}

/// The object after an action of the administrator; `None` if nothing changes.
pub fn administrator(object: &Value, action: AdminAction) -> Option<Value> {
    let mut spec = object["spec"].clone();
    // As `oc adm upgrade` asks: the whole value. The patch by its version alone, so that the bridge pins the image.
    let ask = |version: &str, force: bool| json!({"version": version, "image": image(version), "architecture": "", "force": force});
    spec["desiredUpdate"] = match action {
        AdminAction::Override => object["spec"]["desiredUpdate"].clone(),
        AdminAction::Patch => json!({"version": PATCH, "force": false}),
        AdminAction::Minor => ask(MINOR, false),
        AdminAction::Force => ask(MINOR, true),
        AdminAction::Clear => Value::Null,
    };
    if let (AdminAction::Override, Value::Object(fields)) = (action, &mut spec) {
        let entry = json!({"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true});
        let overrides = if has_override(object) { json!([]) } else { json!([entry]) };
        fields.insert("overrides".to_owned(), overrides);
    }
    let mut changed = object.clone();
    if object["spec"]["desiredUpdate"] != spec["desiredUpdate"] {
        changed["metadata"]["managedFields"] = json!([]);
    }
    set_spec(&mut changed, spec);
    (changed["metadata"]["generation"] != object["metadata"]["generation"]).then_some(changed)
}

pub fn has_override(object: &Value) -> bool {
    object["spec"]["overrides"].as_array().is_some_and(|overrides| !overrides.is_empty())
}

/// The requested version, unless it is the current one.
pub fn requested(object: &Value) -> Option<&str> {
    let version = object["spec"]["desiredUpdate"]["version"].as_str()?;
    (version != object["status"]["desired"]["version"]).then_some(version)
}

pub fn is_forced(object: &Value) -> bool {
    object["spec"]["desiredUpdate"]["force"] == true
}

pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    static NONE: Value = Value::Null;
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|found| found["type"] == kind).unwrap_or(&NONE)
}

/// The updater starts the update that `ReleaseAccepted` names, or completes the one that it has started.
pub fn updater(object: &Value, now: &str) -> Option<Value> {
    let mut changed = object.clone();
    let accepted = condition(object, "ReleaseAccepted");
    match requested(object) {
        // The condition may still be about an earlier request.
        Some(version)
            if accepted["status"] == "True"
                && accepted["message"].as_str().is_some_and(|text| text.contains(&format!("\"{version}\""))) =>
        {
            begin(&mut changed, version, None, now);
        }
        _ => complete(&mut changed, now)?,
    }
    Some(changed)
}

/// The CVO syncs: it evaluates the request by its own rules, and writes the whole status.
pub fn cvo(object: &Value, now: &str) -> Option<Value> {
    const ITEM: &str =
        "Precondition \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\": text";
    let mut changed = object.clone();
    let (closed, updating) = (has_override(object), condition(object, "Progressing")["status"] == "True");
    let reason = if closed { "ClusterVersionOverridesSet" } else { "AsExpected" };
    set_bool_condition(&mut changed, "Upgradeable", !closed, reason, "", now);
    let accepted = |object: &mut Value| set_bool_condition(object, "ReleaseAccepted", true, "PayloadLoaded", "", now);
    match requested(object) {
        Some(version) if closed && !is_forced(object) => {
            let image = image(version);
            let head = format!("Preconditions failed for payload loaded version=\"{version}\" image=\"{image}\": ");
            set_bool_condition(&mut changed, "ReleaseAccepted", false, "PreconditionChecks", &(head + ITEM), now);
            // A blocked request erases accepted risks.
            let front = &mut changed["status"]["history"][0];
            if front["state"] == "Completed" && !front["acceptedRisks"].is_null() {
                front["acceptedRisks"] = json!("");
            }
        }
        Some(version) => {
            let text = closed.then(|| format!("Forced through blocking failures: {ITEM}"));
            begin(&mut changed, version, text, now);
            accepted(&mut changed);
        }
        None => accepted(&mut changed),
    }
    if changed == *object && updating {
        complete(&mut changed, now)?;
    }
    (changed != *object).then_some(changed)
}

fn begin(object: &mut Value, version: &str, text: Option<String>, now: &str) {
    let status = &mut object["status"];
    status["desired"] = release(version);
    let history = status["history"].as_array_mut().unwrap();
    if history[0]["version"] != version || history[0]["state"] != "Partial" {
        if history[0]["completionTime"].is_null() {
            history[0]["completionTime"] = json!(now);
        }
        let mut entry = json!({"state": "Partial", "version": version, "image": image(version), "verified": true,
                               "startedTime": now, "completionTime": null});
        if let Some(text) = text {
            entry["acceptedRisks"] = json!(text);
        }
        history.insert(0, entry);
    }
    set_bool_condition(object, "Progressing", true, "Updating", "", now);
}

fn complete(object: &mut Value, now: &str) -> Option<()> {
    let desired = object["status"]["desired"]["version"].clone();
    let front = &mut object["status"]["history"][0];
    if front["state"] != "Partial" || front["version"] != desired {
        return None;
    }
    front["state"] = json!("Completed");
    front["completionTime"] = json!(now);
    front["verified"] = json!(true);
    set_bool_condition(object, "Progressing", false, "Done", "", now);
    Some(())
}

fn set_bool_condition(object: &mut Value, kind: &str, status: bool, reason: &str, message: &str, now: &str) {
    let status = if status { "True" } else { "False" };
    let before = condition(object, kind);
    let time = if before["status"] == status { before["lastTransitionTime"].clone() } else { json!(now) };
    let word =
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": time});
    set_condition(object, word);
}
