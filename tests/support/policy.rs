//! The policy of `deploy/base` in the shared control plane: bound or not, and what it answers to an edit.

use http::Request;
use http::header::{CONTENT_TYPE, WARNING};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use kube::Api;
use kube::api::DeleteParams;
use kube::client::Body;
use serde_json::{Value, json};

use super::cluster::{Cluster, missing_is_fine};
use super::control_plane::{NAME, repository};
use super::{eventually, fixtures};

/// What `deploy/base` binds: the policy that denies, and the one that warns.
const BINDINGS: [&str; 2] = [NAME, "upgrade-gate-warnings"];

/// Which bindings of the policy are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// None.
    Unbound,
    /// Those of `deploy/base`.
    Bound,
}

/// What the API server answers to an edit.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub code: u16,
    /// Of a refusal: why.
    pub message: String,
    /// The texts of the `Warning:` headers.
    pub warnings: Vec<String>,
}

impl Reply {
    /// Whether a policy has denied it.
    pub fn is_denied(&self) -> bool {
        self.code == 403
            && self.message.contains("ValidatingAdmissionPolicy 'upgrade-gate' with binding 'upgrade-gate'")
    }
}

impl Cluster {
    /// Has the bindings that a test asked for before it has its ClusterVersion.
    pub(super) async fn bring_about(&self, policy: Policy) {
        if self.is_bound().await == (policy == Policy::Bound) {
            return;
        }
        self.create("fixture", fixtures::cluster()).await;
        match policy {
            Policy::Bound => self.guard_the_door().await,
            Policy::Unbound => self.open_the_door().await,
        }
        self.delete().await;
    }

    /// Puts the policies of `deploy/base/policy` in force until the end of the test. The cluster has to be at 4.21.
    pub async fn guard_the_door(&self) {
        self.control_plane.apply("-k", &repository("deploy/base/policy")).expect("apply the policy");
        self.wait_until_heeded(true).await;
    }

    /// Takes the bindings away, so that nothing is denied.
    pub async fn open_the_door(&self) {
        for name in BINDINGS {
            missing_is_fine(self.bindings().delete(name, &DeleteParams::default()).await);
        }
        self.wait_until_heeded(false).await;
    }

    /// The API server reads bindings once a second; a dry run shows whether it applies them. Overrides and an update in one
    /// request are refused or warned of whatever else the cluster says. Any other answer, as of a server that is too busy,
    /// shows nothing.
    async fn wait_until_heeded(&self, bound: bool) {
        let asking = |version: &str| {
            let update = json!({"version": version, "image": "", "architecture": "", "force": false});
            json!({"spec": {"overrides": [fixtures::policy_override()], "desiredUpdate": update}})
        };
        eventually("the API server to heed the policy", async || {
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

    /// What a merge patch of the ClusterVersion would do.
    pub async fn dry_run(&self, patch: &Value) -> Reply {
        self.send(Request::patch(URL), "application/merge-patch+json", patch).await
    }

    /// What a PUT of the ClusterVersion would do.
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
