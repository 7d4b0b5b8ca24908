//! The policy of `deploy/base` in the shared control plane: bound or not, and what it answers to an edit.

use http::Request;
use http::header::{CONTENT_TYPE, WARNING};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use kube::Api;
use kube::api::DeleteParams;
use kube::client::Body;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::control_plane::{NAME, repository};
use super::{eventually, fixtures};

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
    /// Has the bindings that a test asked for, and waits until the API server heeds them: it reads them once a second.
    pub(super) async fn bring_about(&mut self, policy: Policy) {
        if *self.policy == Some(policy) {
            return;
        }
        self.policy_is_changing();
        match policy {
            Policy::Bound => {
                self.control_plane.apply("-k", &repository("deploy/base/policy")).expect("apply the policy");
            }
            Policy::Unbound => {
                let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(self.client.clone());
                for name in [NAME, "upgrade-gate-warnings"] {
                    super::cluster::missing_is_fine(bindings.delete(name, &DeleteParams::default()).await);
                }
            }
        }
        self.create("fixture", fixtures::cluster_with_override()).await;
        let bound = policy == Policy::Bound;
        eventually("the API server to heed the policy", async || {
            let asking = |version: &str| json!({"spec": {"desiredUpdate": {"version": version}}});
            let (minor, patch) = (self.dry_run(&asking("4.22.0")).await, self.dry_run(&asking("4.21.2")).await);
            if (minor.is_denied(), !patch.warnings.is_empty()) == (bound, bound) {
                return Ok(());
            }
            Err(format!("{minor:?}, {patch:?}"))
        })
        .await;
        self.delete().await;
        *self.policy = Some(policy);
    }

    /// To be said before a test changes policy or bindings by itself: the next test then starts from scratch.
    pub fn policy_is_changing(&mut self) {
        *self.policy = None;
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
