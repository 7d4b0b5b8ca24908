//! The admission policy of `deploy/base` in the shared control plane: bound or not, and its response to an edit.

use std::sync::{Mutex, PoisonError};

use http::Request;
use http::header::{CONTENT_TYPE, WARNING};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::client::Body;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::cluster::{Cluster, deleted_or_absent};
use super::control_plane::{NAME, repository};
use super::{eventually, fixtures};

/// The bindings of `deploy/base`: of the policy that denies, and of the one that warns.
const BINDINGS: [&str; 2] = [NAME, "upgrade-gate-warnings"];

/// A policy of the tests and its binding. It warns about requests with an annotation of that name, or doesn't.
const MARKER: &str = "marker";

/// The policies and bindings that the API server is known to apply, by name and `resourceVersion`; `None` if some test
/// has changed them and did not wait.
static APPLIED: Mutex<Option<Vec<(String, String)>>> = Mutex::new(None);
/// Whether the marker is known to warn.
static MARKER_WARNS: Mutex<bool> = Mutex::new(false);

/// Policies or bindings were changed, and the API server may still apply the earlier ones.
pub(super) fn policies_were_changed() {
    set(&APPLIED, None);
}

fn set<T>(place: &Mutex<T>, value: T) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

fn get<T: Clone>(place: &Mutex<T>) -> T {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

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
    /// Creates or deletes the bindings, before the test's ClusterVersion is created. That the objects exist, or don't,
    /// is not enough: the API server applies a change up to a second later, or more if it is busy, so a test that
    /// changed them and ended at once would leave its policy to the next one.
    pub(super) async fn set_policy(&self, policy: Policy) {
        let is_bound = self.is_bound().await;
        if is_bound == (policy == Policy::Bound) && get(&APPLIED) == Some(self.admission_objects().await) {
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

    /// Waits until the API server applies the policies as they are now. It reads all bindings once a second, compiles the
    /// policies, and then replaces what it applied before. So an answer that fits may still come from an earlier state,
    /// and a state that was read before the last change may be applied after that answer. Two things show that neither is
    /// so: the marker's binding was changed last and is applied as changed, and a dry run of overrides and an update in
    /// one request is denied or warned about, which both policies do whatever else the cluster reports. Any other answer,
    /// as of a server that is too busy, shows nothing.
    async fn wait_until_enforced(&self, bound: bool) {
        let asking = |version: &str| {
            let update = json!({"version": version, "image": "", "architecture": "", "force": false});
            json!({"spec": {"overrides": [fixtures::policy_override()], "desiredUpdate": update}})
        };
        let annotation = json!({"metadata": {"annotations": {MARKER: ""}}});
        let applied = self.admission_objects().await;
        let warns = self.flip_marker().await;
        eventually("the API server to enforce the policy", async || {
            let marker = self.dry_run(&annotation).await;
            let shows_marker = marker.warnings.iter().any(|warning| warning.contains("'marker'"));
            if marker.code != 200 || shows_marker != warns {
                return Err(format!("the marker, which has to warn: {warns}: {marker:?}"));
            }
            let (minor, patch) = (self.dry_run(&asking("4.22.99")).await, self.dry_run(&asking("4.21.99")).await);
            let shows_minor = if bound { minor.is_denied() } else { minor.code == 200 };
            if shows_minor && patch.code == 200 && patch.warnings.is_empty() != bound {
                return Ok(());
            }
            Err(format!("{minor:?}, {patch:?}"))
        })
        .await;
        set(&MARKER_WARNS, warns);
        set(&APPLIED, Some(applied));
    }

    /// Lets the marker warn if it doesn't, or the other way round; returns whether it is to warn now.
    async fn flip_marker(&self) -> bool {
        let warns = !get(&MARKER_WARNS);
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": MARKER},
            "spec": {
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["config.openshift.io"], "apiVersions": ["v1"],
                    "resources": ["clusterversions"], "operations": ["UPDATE"],
                }]},
                "matchConditions": [{
                    "name": "is-marked",
                    "expression": format!("'{MARKER}' in object.metadata.?annotations.orValue({{}})"),
                }],
                "validations": [{"expression": "false", "message": MARKER}],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": MARKER},
            "spec": {"policyName": MARKER, "validationActions": [if warns { "Warn" } else { "Audit" }]},
        });
        let params = PatchParams::apply("kubectl-marker").force();
        self.policies().patch(MARKER, &params, &Patch::Apply(policy)).await.expect("apply the marker");
        self.bindings().patch(MARKER, &params, &Patch::Apply(binding)).await.expect("bind the marker");
        warns
    }

    /// All policies and bindings but the marker, by name and `resourceVersion`.
    async fn admission_objects(&self) -> Vec<(String, String)> {
        let all = ListParams::default();
        let policies = self.policies().list(&all).await.expect("the policies").items;
        let bindings = self.bindings().list(&all).await.expect("the bindings").items;
        let version = |name: String, version: Option<String>| (name, version.unwrap_or_default());
        let mut objects: Vec<_> =
            policies.into_iter().map(|policy| version(policy.name_any(), policy.resource_version())).collect();
        objects.extend(bindings.into_iter().map(|binding| version(binding.name_any(), binding.resource_version())));
        objects.retain(|(name, _)| name != MARKER);
        objects
    }

    async fn is_bound(&self) -> bool {
        let binding = self.bindings().get_opt(NAME).await;
        binding.expect("a binding, or none").is_some()
    }

    fn policies(&self) -> Api<ValidatingAdmissionPolicy> {
        Api::all(self.client.clone())
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
