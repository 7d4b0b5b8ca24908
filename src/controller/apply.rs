//! The only code that writes to the cluster, except for events and the Lease. It performs a planned write, and returns its
//! result.

use std::time::Duration;

use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    core::Status,
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{
    api::{OwnOperator, Served, UpdateRecord, names},
    controller::watch::{Wire, cluster_operators, cluster_versions},
    plan::{
        patch::record_status,
        recovery::WriteError,
        write::{OperatorWrite, RecordWrite, Withdrawal, Write},
    },
};

/// A write that takes longer is given up: whether it landed shows at the next look.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the API server returned for a write: the object as it is afterwards.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The ClusterVersion.
    ClusterVersion(Served),
    /// Our ClusterOperator.
    Operator(OwnOperator),
    /// An UpdateRecord.
    Record(Box<UpdateRecord>),
    /// An UpdateRecord is gone, by its name.
    Deleted(String),
}

/// The APIs that are written to.
#[derive(Clone, Debug)]
pub struct Writer {
    cluster_version: Api<Wire<Served>>,
    operators: Api<Wire<OwnOperator>>,
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
    /// See [`WriteError`].
    pub async fn apply(&self, write: &Write, until: Instant) -> Result<Answer, WriteError> {
        match timeout_at(until, self.make(write)).await {
            Ok(answer) => answer,
            Err(_) => Err(WriteError::Unanswered("nothing while the lease was held".to_owned())),
        }
    }

    async fn make(&self, write: &Write) -> Result<Answer, WriteError> {
        let manager = PatchParams { field_manager: Some(names::SELF.to_owned()), ..PatchParams::default() };
        // Forced: on these conditions the gate is the owner by design.
        let owner = PatchParams::apply(names::SELF).force();
        let version = &self.cluster_version;
        match write {
            Write::Conditions(write) => {
                let patch = Patch::Apply(write.configuration());
                answered(version.patch_status(names::CLUSTER_VERSION, &owner, &patch)).await.map(cluster_version)
            }
            Write::History(write) => self.status(write.patch(), &manager).await,
            Write::Restore(write) => self.status(write.patch(), &manager).await,
            Write::Withdraw(withdrawal @ Withdrawal::Conditions { .. }) => {
                self.status(withdrawal.patch(), &manager).await
            }
            Write::Withdraw(withdrawal @ Withdrawal::Ownership { .. }) => {
                self.object(withdrawal.patch(), &manager).await
            }
            Write::Force(force_patch) => self.object(force_patch.patch(), &manager).await,
            Write::Unforce(removal) => self.object(removal.patch(), &manager).await,
            Write::Operator(write) => {
                let patch = Patch::Apply(write.configuration());
                let answer = match write {
                    OperatorWrite::Create => answered(self.operators.patch(names::SELF, &owner, &patch)).await,
                    OperatorWrite::Status { .. } => {
                        answered(self.operators.patch_status(names::SELF, &owner, &patch)).await
                    }
                };
                answer.map(operator)
            }
            Write::Record(write) => self.record(write, &manager).await,
        }
    }

    async fn status(&self, patch: json_patch::Patch, manager: &PatchParams) -> Result<Answer, WriteError> {
        let patch = Patch::<Value>::Json(patch);
        answered(self.cluster_version.patch_status(names::CLUSTER_VERSION, manager, &patch)).await.map(cluster_version)
    }

    async fn object(&self, patch: json_patch::Patch, manager: &PatchParams) -> Result<Answer, WriteError> {
        let patch = Patch::<Value>::Json(patch);
        answered(self.cluster_version.patch(names::CLUSTER_VERSION, manager, &patch)).await.map(cluster_version)
    }

    async fn record(&self, write: &RecordWrite, manager: &PatchParams) -> Result<Answer, WriteError> {
        match write {
            RecordWrite::Create(record) => {
                let params = PostParams { field_manager: manager.field_manager.clone(), ..PostParams::default() };
                answered(self.records.create(&params, record)).await.map(Box::new).map(Answer::Record)
            }
            RecordWrite::Status { name, resource_version, status } => {
                let patch = Patch::Merge(record_status(resource_version.as_ref(), status));
                answered(self.records.patch_status(name, manager, &patch)).await.map(Box::new).map(Answer::Record)
            }
            RecordWrite::Delete { name, uid } => {
                let that = Preconditions { uid: Some(uid.as_str().to_owned()), resource_version: None };
                let params = DeleteParams { preconditions: Some(that), ..DeleteParams::default() };
                match answered(self.records.delete(name, &params)).await {
                    Ok(_) | Err(WriteError::Gone) => Ok(Answer::Deleted(name.clone())),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Reads the ClusterVersion again; `None` where there is none.
    ///
    /// # Errors
    /// The server refuses or doesn't answer.
    pub async fn read(&self) -> Result<Option<Served>, WriteError> {
        let object = answered(self.cluster_version.get_opt(names::CLUSTER_VERSION)).await?;
        Ok(object.map(|object| object.kept))
    }
}

fn cluster_version(object: Wire<Served>) -> Answer {
    Answer::ClusterVersion(object.kept)
}

fn operator(object: Wire<OwnOperator>) -> Answer {
    Answer::Operator(object.kept)
}

async fn answered<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, WriteError> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(refusal(&status)),
        Ok(Err(error)) => Err(WriteError::Unanswered(error.to_string())),
        Err(_) => Err(WriteError::Unanswered(format!("nothing within {TIMEOUT:?}"))),
    }
}

fn refusal(status: &Status) -> WriteError {
    let message = status.message.clone();
    let causes = status.details.iter().flat_map(|details| &details.causes);
    match status.code {
        409 if causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict") => WriteError::Owned(message),
        409 => WriteError::Stale(message),
        422 => WriteError::Invalid(message),
        404 => WriteError::Gone,
        413 => WriteError::TooLarge(message),
        // etcd's word, or that of the client by which the server talks to it.
        500 if message.contains("request is too large") || message.contains("message larger than max") => {
            WriteError::TooLarge(message)
        }
        429 | 500.. => WriteError::Unanswered(message),
        _ => WriteError::Refused(message),
    }
}
