//! Reads and writes, each under a time limit, with what an answer means for the loop.

use json_patch::{AddOperation, Patch as JsonPatch, PatchOperation, ReplaceOperation};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    api::{
        ClusterVersion, ResourceVersion, UpdateRecord,
        names::{self, CVO_LEASE},
    },
    cli::{
        check::live,
        input::evidence::with_current,
        records::{followed, records},
        update::{MANAGER, TIME_LIMIT, operator::Operator, policy, steps::Evidence},
    },
    client::problem,
    controller::{SELF_LEASE, cluster_versions, read_lease},
    gate::{Authority, Snapshot},
    plan::role::{CvoLease, Mode},
};

/// Why a request has not succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The API server can't be reached, or has a problem of its own: it may answer later.
    Lost(String),
    /// The object has changed since the write was decided.
    Conflict(String),
    /// The API server refuses the request.
    Refused {
        /// The HTTP status; 0 where nothing was asked.
        code: u16,
        /// The API server's message.
        problem: String,
    },
}

impl Failure {
    pub(super) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let problem = if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
                match status.code {
                    409 => Self::Conflict(problem),
                    429 | 500.. => Self::Lost(problem),
                    code => Self::Refused { code, problem },
                }
            }
            // A credential that is missing does not appear by itself.
            kube::Error::Auth(_) => Self::Refused { code: 0, problem: problem(error) },
            error => Self::Lost(problem(error)),
        }
    }

    /// With what could not be read before the problem.
    fn reading(self, what: &str) -> Self {
        let named = |problem| format!("cannot read {what}: {problem}");
        match self {
            Self::Lost(problem) => Self::Lost(named(problem)),
            Self::Conflict(problem) => Self::Conflict(named(problem)),
            Self::Refused { code, problem } => Self::Refused { code, problem: named(problem) },
        }
    }
}

/// The cluster, for this command.
pub struct Cluster {
    live: live::Cluster,
}

impl Cluster {
    pub fn new(client: Client, server: String) -> Self {
        Self { live: live::Cluster { client, server } }
    }

    pub fn client(&self) -> &Client {
        &self.live.client
    }

    pub fn server(&self) -> &str {
        &self.live.server
    }

    fn api(&self) -> Api<DynamicObject> {
        Api::all_with(self.client().clone(), &cluster_versions())
    }

    /// The ClusterVersion.
    pub async fn cluster_version(&self) -> Result<ClusterVersion, Failure> {
        let object = within(self.api().get(names::CLUSTER_VERSION)).await?;
        let refused = |problem| Failure::Refused { code: 0, problem };
        let value = serde_json::to_value(&object).map_err(|error| refused(error.to_string()))?;
        let cluster_version = ClusterVersion::from_value(value).map_err(|error| refused(error.to_string()))?;
        with_current(cluster_version).map_err(|found| refused(format!("the ClusterVersion has {found}")))
    }

    /// The ClusterVersion, and then everything else.
    pub async fn look(&self, now: jiff::Timestamp) -> Result<Evidence, Failure> {
        self.look_beside(self.cluster_version().await?, now).await
    }

    /// Everything else. A Lease that cannot be read is a failure: whether an operator or a CVO runs decides who sets the
    /// force, and whether it may be set.
    pub async fn look_beside(
        &self,
        cluster_version: ClusterVersion,
        now: jiff::Timestamp,
    ) -> Result<Evidence, Failure> {
        let lost = |error: crate::cli::check::Error| Failure::Lost(error.to_string());
        let client = self.client();
        let sources = futures::future::join3(
            self.live.cluster_operators(),
            self.live.config_map(names::ADMIN_GATES),
            self.live.config_map(names::ADMIN_ACKS),
        );
        let others = futures::future::join4(
            records(client),
            policy::state(client, &cluster_version),
            self.lease(CVO_LEASE, now),
            self.lease(SELF_LEASE, now),
        );
        let ((operators, gates, acks), (records, policy, cvo, own)) =
            Box::pin(futures::future::join(sources, others)).await;
        let (cvo, _) = cvo?;
        let (lease, mode) = own?;
        let operator = Operator::new(lease, mode, &cluster_version, cvo);
        let (records, endings) = followed(records, &cluster_version);
        let snapshot = Snapshot {
            now,
            cluster_operators: operators.map_err(lost)?,
            admin_gates: gates.map_err(lost)?,
            admin_acks: acks.map_err(lost)?,
            authority: Authority::Shared,
            targets: Vec::new(),
            cluster_version,
        };
        Ok(Evidence { snapshot, records, endings, policy, cvo, operator })
    }

    async fn lease(&self, lease: (&str, &str), now: jiff::Timestamp) -> Result<(CvoLease, Option<Mode>), Failure> {
        let found = within(read_lease(self.client(), lease, now)).await;
        found.map_err(|failure| failure.reading(&format!("the Lease {}/{}", lease.0, lease.1)))
    }

    /// Writes the request, unless the ClusterVersion has changed since.
    pub async fn ask(&self, request: &Value, resource_version: &ResourceVersion) -> Result<(), Failure> {
        let patch = JsonPatch(vec![
            PatchOperation::Replace(ReplaceOperation {
                path: path(["metadata", "resourceVersion"]),
                value: json!(resource_version),
            }),
            PatchOperation::Add(AddOperation { path: path(["spec", "desiredUpdate"]), value: request.clone() }),
        ]);
        self.patch(patch, MANAGER).await
    }

    /// Sets the force or removes it: a patch that tests what it was made for, written as the operator does.
    pub async fn force(&self, patch: JsonPatch) -> Result<(), Failure> {
        match self.patch(patch, names::SELF).await {
            // A test of the patch that doesn't hold.
            Err(Failure::Refused { code: 422, problem }) => Err(Failure::Conflict(problem)),
            answer => answer,
        }
    }

    async fn patch(&self, patch: JsonPatch, manager: &str) -> Result<(), Failure> {
        let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        within(self.api().patch(names::CLUSTER_VERSION, &params, &Patch::<()>::Json(patch))).await.map(drop)
    }

    /// Creates a record.
    pub async fn record(&self, record: &UpdateRecord) -> Result<(), Failure> {
        let api: Api<UpdateRecord> = Api::all(self.client().clone());
        let params = PostParams { field_manager: Some(names::SELF.to_owned()), ..PostParams::default() };
        within(api.create(&params, record)).await.map(drop)
    }

    /// Writes how the updates of the records ended.
    pub async fn close(&self, endings: &[(String, Value)]) -> Result<(), Failure> {
        let api: Api<UpdateRecord> = Api::all(self.client().clone());
        let params = PatchParams { field_manager: Some(names::SELF.to_owned()), ..PatchParams::default() };
        for (name, status) in endings {
            within(api.patch_status(name, &params, &Patch::Merge(status))).await?;
        }
        Ok(())
    }

    /// Creates what is missing of the policy.
    pub async fn install_policy(&self) -> Result<(), Failure> {
        within(policy::install(self.client())).await
    }

    /// Removes what this command created of it.
    pub async fn remove_policy(&self) -> Result<(), Failure> {
        within(policy::remove(self.client())).await
    }
}

fn path(tokens: [&str; 2]) -> json_patch::jsonptr::PointerBuf {
    json_patch::jsonptr::PointerBuf::from_tokens(tokens)
}

/// One request, or a few that belong together.
async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(TIME_LIMIT, request).await {
        Ok(answer) => answer.map_err(|error| Failure::of(&error)),
        Err(_) => Err(Failure::Lost(format!("no answer within {} seconds", TIME_LIMIT.as_secs()))),
    }
}
