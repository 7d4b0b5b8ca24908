//! Frequent waits: for a condition of the operator, or for an entry of the history.

use serde_json::Value;

use super::{Cluster, condition};

impl Cluster {
    /// Waits until `Upgradeable` has this status and reason.
    pub async fn upgradeable(&self, status: &str, reason: &str) -> Value {
        self.wait_for(&format!("Upgradeable={status}, {reason}"), |cv| has_condition(cv, "Upgradeable", status, reason))
            .await
    }

    /// Waits until the request for this version is accepted.
    pub async fn accepted(&self, version: &str) -> Value {
        self.wait_for(&format!("{version} is accepted"), |cv| is_accepted(cv, version)).await
    }

    /// Waits until the request for this version has failed at this step, for these reasons or texts.
    pub async fn refused(&self, version: &str, step: &str, texts: &[&str]) -> Value {
        self.wait_for(&format!("{version} is refused: {step} {texts:?}"), |cv| {
            let message = condition(cv, "ReleaseAccepted")["message"].as_str().unwrap_or_default();
            has_condition(cv, "ReleaseAccepted", "False", step)
                && message.contains(version)
                && texts.iter().all(|text| message.contains(text))
        })
        .await
    }

    /// Requests a version with its image, and waits until it is accepted.
    pub async fn request_accepted(&self, version: &str) -> Value {
        self.request(version, &super::fixtures::image(version)).await;
        self.accepted(version).await
    }

    /// Requests a version with its image, and waits until preconditions have refused it for these reasons or texts.
    pub async fn request_blocked(&self, version: &str, texts: &[&str]) -> Value {
        self.request(version, &super::fixtures::image(version)).await;
        self.refused(version, "PreconditionChecks", texts).await
    }
}

/// Whether the condition has this status and reason.
pub fn has_condition(object: &Value, type_: &str, status: &str, reason: &str) -> bool {
    let condition = condition(object, type_);
    condition["status"] == status && condition["reason"] == reason
}

/// Whether `ReleaseAccepted` is `True` for this version.
pub fn is_accepted(object: &Value, version: &str) -> bool {
    has_condition(object, "ReleaseAccepted", "True", "PayloadLoaded")
        && condition(object, "ReleaseAccepted")["message"]
            .as_str()
            .is_some_and(|message| message.contains(&format!("version=\"{version}\"")))
}

/// The history's entries for this version, newest first.
pub fn entries<'a>(object: &'a Value, version: &str) -> Vec<&'a Value> {
    let history = object["status"]["history"].as_array().map_or(&[][..], Vec::as_slice);
    history.iter().filter(|entry| entry["version"] == version).collect()
}

/// The versions of the history, newest first.
pub fn versions_of_history(object: &Value) -> Vec<&str> {
    let history = object["status"]["history"].as_array().map_or(&[][..], Vec::as_slice);
    history.iter().map(|entry| entry["version"].as_str().unwrap_or_default()).collect()
}
