//! The reads of `check` and `history` on a cluster, each with a time limit. Nothing is written.
//!
//! Without a ClusterVersion there is no answer. Any other source that cannot be read is a risk, as in the operator; one that is
//! not served is none. Who decides about updates on the cluster is reported if it can be read.

use std::{collections::BTreeMap, time::Duration};

use kube::Client;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::{
    api::{
        ClusterOperator, ClusterVersion, UpdateRecord,
        names::{self, ADMIN_ACKS, ADMIN_GATES},
    },
    cli::{
        check::gate::Surroundings,
        error::{CHECK_NETWORK, Error},
        input::{Inputs, Past, evidence::with_current},
    },
    client::{self, ClusterArgs, ClusterError},
    controller::{cvo_lease, policy, self_lease},
    escape::causes,
    gate::{ConfigMapData, Source},
    plan::role::{CvoLease, Mode},
};

/// The time limit of one read.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Reads a cluster's state, and who decides about its updates.
///
/// # Errors
/// The configuration is not usable, the cluster does not answer, or its ClusterVersion cannot be read.
pub fn read(cluster: &ClusterArgs, now: jiff::Timestamp) -> Result<(Inputs, Surroundings), Error> {
    on_cluster(cluster, "check", async |cluster| Ok((cluster.read().await?, cluster.surroundings(now).await)))
}

/// Reads the UpdateRecords and the ClusterVersion of a cluster.
///
/// # Errors
/// As for [`read`], or the UpdateRecords are there and may not be listed.
pub fn read_past(cluster: &ClusterArgs) -> Result<Past, Error> {
    on_cluster(cluster, "history", async |cluster| {
        Ok(Past {
            cluster_version: Some(cluster.cluster_version().await?),
            records: cluster.records().await?,
            from_files: false,
        })
    })
}

fn on_cluster<T>(
    cluster: &ClusterArgs,
    command: &str,
    read: impl AsyncFnOnce(Cluster) -> Result<T, Error>,
) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Error::Unreachable { server: "the cluster".to_owned(), problem: error.to_string(), advice: CHECK_NETWORK }
    })?;
    let result = runtime.block_on(async {
        let mut config = cluster.resolve(command).await?;
        config.connect_timeout = Some(TIME_LIMIT);
        config.read_timeout = Some(TIME_LIMIT);
        // No retries: a person wants the error at once.
        config.default_retry = false;
        let server = client::address(&config.cluster_url);
        let client = client::builder(&config)
            .map_err(|source| ClusterError::Client {
                server: server.clone(),
                plugin: client::plugin_command(&config),
                source: Box::new(source),
            })?
            .build();
        read(Cluster { client, server }).await
    });
    // A name server that does not answer would block a thread of the runtime beyond the time limit.
    runtime.shutdown_background();
    result
}

/// What a read came to.
enum Answer<T> {
    Present(T),
    Absent,
    Refused { code: u16, problem: String },
}

/// A live cluster, read one request at a time.
pub(crate) struct Cluster {
    /// The connection.
    pub(crate) client: Client,
    /// Its address.
    pub(crate) server: String,
}

impl Cluster {
    async fn read(&self) -> Result<Inputs, Error> {
        let cluster_version = with_current(self.cluster_version().await?).map_err(|found| Error::NoCurrentVersion {
            place: self.server.clone(),
            found,
            advice: "wait until `oc get clusterversion` shows a version, which the cluster-version operator writes",
        })?;
        Ok(Inputs {
            cluster_version,
            cluster_operators: self.cluster_operators().await?,
            admin_gates: self.config_map(ADMIN_GATES).await?,
            admin_acks: self.config_map(ADMIN_ACKS).await?,
        })
    }

    async fn cluster_version(&self) -> Result<ClusterVersion, Error> {
        let refused = |problem, advice| Error::Refused {
            server: self.server.clone(),
            request: "get clusterversions.config.openshift.io \"version\"",
            problem,
            advice,
        };
        match self.get::<Value>("/apis/config.openshift.io/v1/clusterversions/version").await? {
            Answer::Present(object) => ClusterVersion::from_value(object)
                .map_err(|error| self.field(&error, "ClusterVersion", "clusterversion")),
            Answer::Absent => Err(Error::NotOpenShift { server: self.server.clone() }),
            Answer::Refused { code: 401, problem } => Err(refused(problem, "log in to it again, as with `oc login`")),
            Answer::Refused { code: 403, problem } => {
                Err(refused(problem, "use a role that may get it, such as cluster-reader, or give files with --from"))
            }
            Answer::Refused { problem, .. } => Err(refused(problem, "try again, or give files with --from")),
        }
    }

    /// Without the CRD there are none.
    async fn records(&self) -> Result<Vec<UpdateRecord>, Error> {
        #[derive(serde::Deserialize)]
        struct List {
            items: Vec<UpdateRecord>,
        }
        match self.get::<Value>("/apis/upgrade-gate.openshift.io/v1alpha1/updaterecords").await? {
            Answer::Present(list) => serde_json::from_value::<List>(list)
                .map(|list| list.items)
                .map_err(|error| self.field(&error, "UpdateRecordList", "updaterecord")),
            Answer::Absent => Ok(Vec::new()),
            Answer::Refused { problem, .. } => Err(Error::Refused {
                server: self.server.clone(),
                request: "list updaterecords.upgrade-gate.openshift.io",
                problem,
                advice: "use a role that may list them, or give files with --from",
            }),
        }
    }

    fn field(&self, error: &dyn std::error::Error, object: &str, explain: &'static str) -> Error {
        Error::Field { place: self.server.clone(), object: object.to_owned(), problem: causes(error), explain }
    }

    /// Who decides about updates on the cluster. What cannot be read is not known, which is no error.
    async fn surroundings(&self, now: jiff::Timestamp) -> Surroundings {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments/{}", names::NAMESPACE, names::SELF);
        let cvo = cvo_lease(&self.client, now).await;
        let (running, mode) = match self_lease(&self.client, now).await {
            (CvoLease::Fresh, mode) => (Some(true), Some(mode.unwrap_or(Mode::Auto))),
            (CvoLease::Stale | CvoLease::Absent, _) => (Some(false), None),
            (CvoLease::Unknown, _) => (None, None),
        };
        let installed = match self.get::<IgnoredAny>(&path).await {
            Ok(Answer::Present(_)) => Some(true),
            Ok(Answer::Absent) => Some(false),
            Ok(Answer::Refused { .. }) | Err(_) => None,
        };
        Surroundings { cvo, running, mode, installed, policy: policy(&self.client).await }
    }

    pub(crate) async fn cluster_operators(&self) -> Result<Source<Vec<ClusterOperator>>, Error> {
        #[derive(serde::Deserialize)]
        struct List {
            items: Vec<ClusterOperator>,
        }
        Ok(match self.get::<List>("/apis/config.openshift.io/v1/clusteroperators").await? {
            Answer::Present(list) => Source::Read(list.items),
            Answer::Absent => Source::NotServed,
            Answer::Refused { problem, .. } => Source::Unreadable(problem),
        })
    }

    /// Gets it, and where that is forbidden, lists it by name: the operator's account, with which a `check` in its Pod
    /// runs, may list and watch this ConfigMap but not get it.
    pub(crate) async fn config_map(&self, (namespace, name): (&str, &str)) -> Result<Source<ConfigMapData>, Error> {
        #[derive(serde::Deserialize)]
        struct ConfigMap {
            data: Option<BTreeMap<String, String>>,
        }
        #[derive(serde::Deserialize)]
        struct List {
            items: Vec<ConfigMap>,
        }
        let data = |config_map: ConfigMap| config_map.data.unwrap_or_default();
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        Ok(match self.get::<ConfigMap>(&format!("{path}/{name}")).await? {
            Answer::Present(config_map) => Source::Read(Some(data(config_map))),
            Answer::Absent => Source::Read(None),
            Answer::Refused { code: 403, problem } => {
                match self.get::<List>(&format!("{path}?fieldSelector=metadata.name%3D{name}")).await? {
                    Answer::Present(list) => Source::Read(list.items.into_iter().next().map(data)),
                    Answer::Absent | Answer::Refused { .. } => Source::Unreadable(problem),
                }
            }
            Answer::Refused { problem, .. } => Source::Unreadable(problem),
        })
    }

    /// One read. An error status of the API server is an answer; an error means that there was none.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Error> {
        let unreachable = |problem, advice| Error::Unreachable { server: self.server.clone(), problem, advice };
        let request =
            http::Request::get(path).body(Vec::new()).map_err(|error| unreachable(causes(&error), CHECK_NETWORK))?;
        let answer = tokio::time::timeout(TIME_LIMIT, Box::pin(self.client.request::<T>(request))).await;
        let answer = answer
            .map_err(|_| unreachable(format!("no answer within {} seconds", TIME_LIMIT.as_secs()), CHECK_NETWORK))?;
        answer.map(Answer::Present).or_else(|error| match &error {
            kube::Error::Api(status) => Ok(match status.code {
                404 => Answer::Absent,
                code => Answer::Refused { code, problem: client::problem(&error) },
            }),
            _ => Err(unreachable(client::problem(&error), client::advice(&error))),
        })
    }
}
