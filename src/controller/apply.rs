//! The only code that writes to ClusterVersion. It carries a planned write out, and says in one word what became of it.

use std::time::Duration;

use kube::{
    Api,
    api::{Patch, PatchParams},
    core::Status,
};
use serde_json::Value;

use super::{plan::Write, watch::Wire};
use crate::api::names;

/// A write that takes longer is given up: whether it landed shows at the next look.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What became of a write that wasn't made.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The object has moved on since it was read (409).
    #[error("the ClusterVersion has changed since it was read: {0}")]
    Stale(String),
    /// The object isn't what the patch tests for, or wouldn't be valid afterwards (422).
    #[error("the ClusterVersion isn't what the write takes it for: {0}")]
    Invalid(String),
    /// Another manager owns the field, and the write didn't insist.
    #[error("another field manager owns what was to be written: {0}; end the other writer, or use another mode")]
    Owned(String),
    /// The object is gone.
    #[error("there is no ClusterVersion `version` to write to")]
    Gone,
    /// The server refuses, and will again.
    #[error("the API server refuses the write: {0}; compare the permissions with deploy/base")]
    Refused(String),
    /// The server is in trouble or out of reach; the write may have landed.
    #[error("the API server didn't answer the write: {0}")]
    Unanswered(String),
}

impl ApplyError {
    /// The label in metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Stale(_) => "stale",
            Self::Invalid(_) => "invalid",
            Self::Owned(_) => "owned",
            Self::Gone => "gone",
            Self::Refused(_) => "refused",
            Self::Unanswered(_) => "unanswered",
        }
    }
}

/// Makes one write, and returns the object as it is afterwards.
///
/// # Errors
/// See [`ApplyError`].
pub async fn apply(api: &Api<Wire<Value>>, write: &Write) -> Result<Value, ApplyError> {
    let (params, patch) = match write {
        // Forced: on these two conditions mode `replace` is the owner by design.
        Write::Conditions(configuration) => {
            (PatchParams::apply(names::SELF).force(), Patch::Apply(configuration.clone()))
        }
        Write::History(patch) => {
            let params = PatchParams { field_manager: Some(names::SELF.to_owned()), ..PatchParams::default() };
            (params, Patch::Json(patch.clone()))
        }
    };
    let request = api.patch_status(names::CLUSTER_VERSION, &params, &patch);
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(Ok(object)) => Ok(object.kept),
        Ok(Err(kube::Error::Api(status))) => Err(refusal(&status)),
        Ok(Err(error)) => Err(ApplyError::Unanswered(error.to_string())),
        Err(_) => Err(ApplyError::Unanswered(format!("nothing within {TIMEOUT:?}"))),
    }
}

/// Reads the object anew.
///
/// # Errors
/// The server refuses or doesn't answer; a missing object is `None`.
pub async fn read(api: &Api<Wire<Value>>) -> Result<Option<Value>, ApplyError> {
    match tokio::time::timeout(TIMEOUT, api.get_opt(names::CLUSTER_VERSION)).await {
        Ok(Ok(object)) => Ok(object.map(|object| object.kept)),
        Ok(Err(kube::Error::Api(status))) => Err(refusal(&status)),
        Ok(Err(error)) => Err(ApplyError::Unanswered(error.to_string())),
        Err(_) => Err(ApplyError::Unanswered(format!("nothing within {TIMEOUT:?}"))),
    }
}

fn refusal(status: &Status) -> ApplyError {
    let message = status.message.clone();
    let causes = status.details.iter().flat_map(|details| &details.causes);
    match status.code {
        409 if causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict") => ApplyError::Owned(message),
        409 => ApplyError::Stale(message),
        422 => ApplyError::Invalid(message),
        404 => ApplyError::Gone,
        429 | 500.. => ApplyError::Unanswered(message),
        _ => ApplyError::Refused(message),
    }
}
