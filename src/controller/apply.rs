//! The only code that writes to the cluster, events and the Lease apart. It carries a planned write out, and says in one word what became of it.

use std::time::Duration;

use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    core::Status,
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{
    api::{Served, UpdateRecord, names},
    controller::watch::{Wire, cluster_operators, cluster_versions},
    plan::{Write, cluster_operator::OperatorWrite, update_records::RecordWrite, withdraw::Withdrawal},
};

/// A write that takes longer is given up: whether it landed shows at the next look.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What became of a write that wasn't made.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "snake_case")]
pub enum ApplyError {
    /// The object has moved on since it was read (409).
    #[error("the object has changed since it was read: {0}")]
    Stale(String),
    /// The object isn't what the patch tests for, or wouldn't be valid afterwards (422).
    #[error("the object isn't what the write takes it for: {0}")]
    Invalid(String),
    /// Another manager owns the field, and the write didn't insist.
    #[error("another field manager owns what was to be written: {0}; end the other writer, or use another mode")]
    Owned(String),
    /// The object is gone.
    #[error("there is no such object to write to")]
    Gone,
    /// The server refuses, and will again.
    #[error("the API server refuses the write: {0}; compare the permissions with deploy/base")]
    Refused(String),
    /// The object would be larger than the server can keep, whatever is written.
    #[error("the object has become too large for the API server: {0}; take out of it what nobody needs")]
    TooLarge(String),
    /// The server is in trouble or out of reach; the write may have landed.
    #[error("the API server didn't answer the write: {0}")]
    Unanswered(String),
}

impl ApplyError {
    /// The label in metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        self.into()
    }
}

/// What the API server returned for a write: the object as it is afterwards.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The ClusterVersion.
    ClusterVersion(Served),
    /// Our ClusterOperator.
    Operator(Value),
    /// An UpdateRecord.
    Record(Box<UpdateRecord>),
    /// An UpdateRecord is gone, by its name.
    Deleted(String),
}

/// The APIs that are written to.
#[derive(Clone, Debug)]
pub struct Writer {
    cluster_version: Api<Wire<Served>>,
    operators: Api<Wire<Value>>,
    records: Api<UpdateRecord>,
}

impl Writer {
    /// Writes as the client's user.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        Self {
            cluster_version: Api::all_with(client.clone(), &cluster_versions()),
            operators: Api::all_with(client.clone(), &cluster_operators()),
            records: Api::all(client.clone()),
        }
    }

    /// Makes one write, and gives it up where it isn't through `until` then.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn apply(&self, write: &Write, until: Instant) -> Result<Answer, ApplyError> {
        match timeout_at(until, self.make(write)).await {
            Ok(answer) => answer,
            Err(_) => Err(ApplyError::Unanswered("nothing while the lease was held".to_owned())),
        }
    }

    async fn make(&self, write: &Write) -> Result<Answer, ApplyError> {
        let manager = PatchParams { field_manager: Some(names::SELF.to_owned()), ..PatchParams::default() };
        // Forced: on these conditions the gate is the owner by design.
        let owner = PatchParams::apply(names::SELF).force();
        let version = &self.cluster_version;
        match write {
            Write::Conditions(configuration) => {
                let patch = Patch::Apply(configuration);
                answered(version.patch_status(names::CLUSTER_VERSION, &owner, &patch)).await.map(cluster_version)
            }
            Write::History(patch) | Write::Restore(patch) | Write::Withdraw(Withdrawal::Conditions(patch)) => {
                let patch = Patch::<Value>::Json(patch.clone());
                answered(version.patch_status(names::CLUSTER_VERSION, &manager, &patch)).await.map(cluster_version)
            }
            Write::Force(force_patch) => self.object(force_patch.patch(), &manager).await,
            Write::Unforce(removal) => self.object(removal.patch(), &manager).await,
            Write::Withdraw(Withdrawal::Ownership(patch)) => self.object(patch.clone(), &manager).await,
            Write::Operator(OperatorWrite::Create(object)) => {
                answered(self.operators.patch(names::SELF, &owner, &Patch::Apply(object))).await.map(operator)
            }
            Write::Operator(OperatorWrite::Status(object)) => {
                answered(self.operators.patch_status(names::SELF, &owner, &Patch::Apply(object))).await.map(operator)
            }
            Write::Record(write) => self.record(write, &manager).await,
        }
    }

    async fn object(&self, patch: json_patch::Patch, manager: &PatchParams) -> Result<Answer, ApplyError> {
        let patch = Patch::<Value>::Json(patch);
        answered(self.cluster_version.patch(names::CLUSTER_VERSION, manager, &patch)).await.map(cluster_version)
    }

    async fn record(&self, write: &RecordWrite, manager: &PatchParams) -> Result<Answer, ApplyError> {
        match write {
            RecordWrite::Create(record) => {
                let params = PostParams { field_manager: manager.field_manager.clone(), ..PostParams::default() };
                answered(self.records.create(&params, record)).await.map(Box::new).map(Answer::Record)
            }
            RecordWrite::Status { name, patch } => {
                answered(self.records.patch_status(name, manager, &Patch::Merge(patch)))
                    .await
                    .map(Box::new)
                    .map(Answer::Record)
            }
            RecordWrite::Delete { name, uid } => {
                let that = Preconditions { uid: Some(uid.clone()), resource_version: None };
                let params = DeleteParams { preconditions: Some(that), ..DeleteParams::default() };
                match answered(self.records.delete(name, &params)).await {
                    Ok(_) | Err(ApplyError::Gone) => Ok(Answer::Deleted(name.clone())),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Reads the ClusterVersion anew; `None` where there is none.
    ///
    /// # Errors
    /// The server refuses or doesn't answer.
    pub async fn read(&self) -> Result<Option<Served>, ApplyError> {
        let object = answered(self.cluster_version.get_opt(names::CLUSTER_VERSION)).await?;
        Ok(object.map(|object| object.kept))
    }
}

fn cluster_version(object: Wire<Served>) -> Answer {
    Answer::ClusterVersion(object.kept)
}

fn operator(object: Wire<Value>) -> Answer {
    Answer::Operator(object.kept)
}

async fn answered<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, ApplyError> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(skip_reason(&status)),
        Ok(Err(error)) => Err(ApplyError::Unanswered(error.to_string())),
        Err(_) => Err(ApplyError::Unanswered(format!("nothing within {TIMEOUT:?}"))),
    }
}

fn skip_reason(status: &Status) -> ApplyError {
    let message = status.message.clone();
    let causes = status.details.iter().flat_map(|details| &details.causes);
    match status.code {
        409 if causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict") => ApplyError::Owned(message),
        409 => ApplyError::Stale(message),
        422 => ApplyError::Invalid(message),
        404 => ApplyError::Gone,
        413 => ApplyError::TooLarge(message),
        // etcd's word, or that of the client by which the server talks to it.
        500 if message.contains("request is too large") || message.contains("message larger than max") => {
            ApplyError::TooLarge(message)
        }
        429 | 500.. => ApplyError::Unanswered(message),
        _ => ApplyError::Refused(message),
    }
}
