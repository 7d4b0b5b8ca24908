//! The status of a stock CVO: conditions that keep their transition time until their status changes, and the history,
//! whose first entry is always about the release that it applies.

use serde_json::{Value, json};

/// A release in `status.desired` or in an entry of the history.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Release {
    pub(crate) version: String,
    pub(crate) image: String,
}

impl Release {
    pub(crate) fn of(value: &Value) -> Self {
        Self { version: text(&value["version"]).to_owned(), image: text(&value["image"]).to_owned() }
    }
}

/// The string, or an empty one.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A list with one bulleted line for each text.
pub(crate) fn bullets(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |all, line| all + "\n* " + &line)
}

/// The condition of this type, or null.
pub(crate) fn condition<'a>(object: &'a Value, type_: &str) -> &'a Value {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == type_).unwrap_or(&Value::Null)
}

/// Whether an override has `unmanaged: true`.
pub(crate) fn overrides_set(object: &Value) -> bool {
    object["spec"]["overrides"].as_array().into_iter().flatten().any(|entry| entry["unmanaged"] == true)
}

/// A condition without its transition time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) type_: &'static str,
    pub(crate) status: &'static str,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Condition {
    pub(crate) fn new(type_: &'static str, status: &'static str, reason: &str, message: &str) -> Self {
        Self { type_, status, reason: reason.to_owned(), message: message.to_owned() }
    }
}

/// Sets this condition in `status`.
pub(crate) fn set_condition(status: &mut Value, wanted: &Condition, now: &str) {
    let conditions = list(status, "conditions");
    let position = conditions.iter().position(|condition| condition["type"] == wanted.type_).unwrap_or_else(|| {
        conditions.push(json!({"type": wanted.type_}));
        conditions.len() - 1
    });
    let condition = &mut conditions[position];
    if condition["status"] != wanted.status {
        condition["status"] = json!(wanted.status);
        condition["lastTransitionTime"] = json!(now);
    }
    for (field, value) in [("reason", &wanted.reason), ("message", &wanted.message)] {
        if text(&condition[field]) != value {
            condition[field] = json!(value);
        }
    }
}

/// Removes the conditions whose type is `unwanted`.
pub(crate) fn remove_conditions(status: &mut Value, unwanted: impl Fn(&str) -> bool) {
    list(status, "conditions").retain(|condition| !unwanted(text(&condition["type"])));
}

/// The content of the first entry of the history.
pub(crate) struct Progress<'a> {
    pub(crate) actual: &'a Release,
    pub(crate) verified: bool,
    pub(crate) completed: bool,
    /// The accepted risks; `None` keeps those of the entry.
    pub(crate) risks: Option<&'a str>,
}

/// Updates the history, with a new first entry if needed.
pub(crate) fn merge_history(status: &mut Value, progress: &Progress<'_>, now: &str) {
    let Progress { actual, verified, completed, risks } = *progress;
    let history = list(status, "history");
    if !history.first().is_some_and(|front| same_update(front, actual)) {
        if let Some(behind) = history.first_mut().filter(|behind| behind["completionTime"].is_null()) {
            behind["completionTime"] = json!(now);
        }
        let entry = json!({"state": "Partial", "startedTime": now, "completionTime": null, "version": actual.version,
            "image": actual.image, "verified": false});
        history.insert(0, entry);
    }
    let front = &mut history[0];
    for (field, value) in [("version", &actual.version), ("image", &actual.image)] {
        if text(&front[field]) != value {
            front[field] = json!(value);
        }
    }
    if completed {
        front["state"] = json!("Completed");
        if front["completionTime"].is_null() {
            front["completionTime"] = json!(now);
        }
    }
    if verified {
        front["verified"] = json!(true);
    }
    match risks {
        Some("") => drop(front.as_object_mut().map(|front| front.remove("acceptedRisks"))),
        Some(risks) => front["acceptedRisks"] = json!(risks),
        None => {}
    }
}

/// Whether both are the same update. An empty version or image matches if the other field does.
fn same_update(entry: &Value, release: &Release) -> bool {
    let (version, image) = (text(&entry["version"]), text(&entry["image"]));
    let same_image = !image.is_empty() && image == release.image;
    let same_version = !version.is_empty() && version == release.version;
    (same_image && (same_version || version.is_empty() || release.version.is_empty()))
        || (same_version && (image.is_empty() || release.image.is_empty()))
}

/// `status.desired` for this release: the known metadata of the release, or its version and image.
pub(crate) fn desired(status: &Value, release: &Release) -> Value {
    let available = status["availableUpdates"].as_array().into_iter().flatten();
    std::iter::once(&status["desired"])
        .chain(available)
        .find(|known| Release::of(known) == *release)
        .cloned()
        .unwrap_or_else(|| json!({"version": release.version, "image": release.image}))
}

fn list<'a>(status: &'a mut Value, field: &str) -> &'a mut Vec<Value> {
    if !status[field].is_array() {
        status[field] = json!([]);
    }
    status[field].as_array_mut().expect("a list")
}
