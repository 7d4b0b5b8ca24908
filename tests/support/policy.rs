//! The admission policy of `deploy/base` in the shared control plane: bound or not, and its response to an edit.

use http::Request;
use http::header::{CONTENT_TYPE, WARNING};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use kube::Api;
use kube::api::DeleteParams;
use kube::client::Body;
use serde_json::{Value, json};

use super::cluster::{Cluster, deleted_or_absent};
use super::control_plane::{NAME, repository};
use super::{eventually, fixtures};

/// The bindings of `deploy/base`: of the policy that denies, and of the one that warns.
const BINDINGS: [&str; 2] = [NAME, "upgrade-gate-warnings"];

/// Which bindings of the policies exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// None.
    Unbound,
    /// Those of `deploy/base`.
    Bound,
}

/// The API server's response to an edit.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub code: u16,
    /// The message of an error; empty otherwise.
    pub message: String,
    /// The texts of the `Warning:` headers.
    pub warnings: Vec<String>,
}

impl Reply {
    /// Whether the policy denied the edit.
    pub fn is_denied(&self) -> bool {
        self.code == 403
            && self.message.contains("ValidatingAdmissionPolicy 'upgrade-gate' with binding 'upgrade-gate'")
    }
}

impl Cluster {
    /// Creates or deletes the bindings, before the test's ClusterVersion is created.
    pub(super) async fn set_policy(&self, policy: Policy) {
        if self.is_bound().await == (policy == Policy::Bound) {
            return;
        }
        self.create("fixture", fixtures::cluster()).await;
        match policy {
            Policy::Bound => self.install_policy().await,
            Policy::Unbound => self.remove_policy().await,
        }
        self.delete().await;
    }

    /// Applies `deploy/base/policy`, and waits until the API server enforces it. The cluster has to be at 4.21.
    pub async fn install_policy(&self) {
        self.control_plane.apply("-k", &repository("deploy/base/policy")).expect("apply the policy");
        self.wait_until_enforced(true).await;
    }

    /// Deletes the bindings, and waits until nothing is denied.
    pub async fn remove_policy(&self) {
        for name in BINDINGS {
            deleted_or_absent(self.bindings().delete(name, &DeleteParams::default()).await);
        }
        self.wait_until_enforced(false).await;
    }

    /// The API server reads bindings once a second; a dry run shows whether it applies them. The policies deny or warn of
    /// overrides and an update in one request in any state of the cluster. Any other response, such as that of an
    /// overloaded server, shows nothing.
    async fn wait_until_enforced(&self, bound: bool) {
        let asking = |version: &str| {
            let update = json!({"version": version, "image": "", "architecture": "", "force": false});
            json!({"spec": {"overrides": [fixtures::policy_override()], "desiredUpdate": update}})
        };
        eventually("the API server to enforce the policy", async || {
            let (minor, patch) = (self.dry_run(&asking("4.22.99")).await, self.dry_run(&asking("4.21.99")).await);
            let shows_minor = if bound { minor.is_denied() } else { minor.code == 200 };
            if shows_minor && patch.code == 200 && patch.warnings.is_empty() != bound {
                return Ok(());
            }
            Err(format!("{minor:?}, {patch:?}"))
        })
        .await;
    }

    async fn is_bound(&self) -> bool {
        let binding = self.bindings().get_opt(NAME).await;
        binding.expect("a binding, or none").is_some()
    }

    fn bindings(&self) -> Api<ValidatingAdmissionPolicyBinding> {
        Api::all(self.client.clone())
    }

    /// The response to a merge patch of the ClusterVersion, as a dry run.
    pub async fn dry_run(&self, patch: &Value) -> Reply {
        self.send(Request::patch(URL), "application/merge-patch+json", patch).await
    }

    /// The response to a PUT of the ClusterVersion, as a dry run.
    pub async fn dry_run_put(&self, object: &Value) -> Reply {
        self.send(Request::put(URL), "application/json", object).await
    }

    async fn send(&self, request: http::request::Builder, content_type: &str, body: &Value) -> Reply {
        let body = Body::from(serde_json::to_vec(body).expect("JSON"));
        let request = request.header(CONTENT_TYPE, content_type).body(body).expect("a request");
        let answer = self.client.send(request).await.expect("an answer");
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let (code, warnings) = (answer.status().as_u16(), answer.headers().get_all(WARNING).iter().map(text).collect());
        let body = answer.into_body().collect_bytes().await.expect("a whole answer");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        Reply { code, message: body["message"].as_str().unwrap_or_default().to_owned(), warnings }
    }
}

const URL: &str = "/apis/config.openshift.io/v1/clusterversions/version?dryRun=All&fieldManager=kubectl-patch";
