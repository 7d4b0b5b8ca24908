//! The admission policy that guards a force while it is set: whether it is installed, and its creation and removal by
//! this command.
//!
//! Objects created here carry a label. They count as created here only while no other field manager owns a part of
//! them: after a `kubectl apply` of the deployed manifests, for example, they stay.

use std::time::Duration;

use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use crate::{
    api::{ClusterVersion, names},
    cli::update::MANAGER,
    controller::{cluster_versions, is_in_force, policies},
};

/// The policy and the binding that denies, as they are deployed.
const MANIFESTS: &str = include_str!("../../../deploy/base/policy/deny.yaml");
/// The label of what this command creates.
pub const LABEL: (&str, &str) = ("upgrade-gate.openshift.io/created-by", "update");

/// Seconds that the API server may need to enforce a policy that was just installed.
const SETTLES_WITHIN: usize = 10;
const NOT_SERVED: &str = "the API server does not serve admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy";

/// Whether the policy guards a force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyState {
    /// It is installed and denies.
    InForce {
        /// This command created it or a part of it, and no other field manager has written to that.
        created_here: bool,
    },
    /// It is installed, and the API server doesn't enforce it, or not yet.
    Settling {
        /// As above.
        created_here: bool,
    },
    /// It isn't installed, or a part of it is missing.
    Missing {
        /// A part that is there was created by this command before it was interrupted.
        leftover: bool,
    },
    /// One that this command did not create is installed, and does not deny every such request.
    Foreign,
    /// It can't be read.
    Unreadable(String),
}

impl PolicyState {
    /// Whether this command may remove it.
    #[must_use]
    pub fn is_created_here(&self) -> bool {
        match self {
            Self::InForce { created_here: here }
            | Self::Settling { created_here: here }
            | Self::Missing { leftover: here } => *here,
            Self::Foreign | Self::Unreadable(_) => false,
        }
    }
}

/// Both as they are in the cluster.
async fn found(client: &Client) -> kube::Result<(Option<DynamicObject>, Option<DynamicObject>)> {
    let (policies, bindings) = policies(client);
    Ok((get(&policies).await?, get(&bindings).await?))
}

/// `None` if the policy does not exist; an unserved API is an error.
async fn get(api: &Api<DynamicObject>) -> kube::Result<Option<DynamicObject>> {
    match api.get(names::POLICY).await {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.code == 404 && status.reason == "NotFound" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads it.
pub async fn state(client: &Client, cluster_version: &ClusterVersion) -> PolicyState {
    let unreadable = |error: &kube::Error| match error {
        kube::Error::Api(status) if status.code == 404 => PolicyState::Unreadable(NOT_SERVED.to_owned()),
        error => PolicyState::Unreadable(crate::client::problem(error)),
    };
    let (policy, binding) = match found(client).await {
        Ok(found) => found,
        Err(error) => return unreadable(&error),
    };
    let (own_policy, own_binding) = match manifests() {
        Ok(manifests) => manifests,
        Err(error) => return unreadable(&error),
    };
    let created_here = policy.as_ref().is_some_and(is_created_here) || binding.as_ref().is_some_and(is_created_here);
    // What is missing can be added to what is there, if both together deny.
    let (known_policy, known_binding) =
        (policy.as_ref().unwrap_or(&own_policy), binding.as_ref().unwrap_or(&own_binding));
    if !is_in_force(&known_policy.data, &known_binding.data) {
        return PolicyState::Foreign;
    }
    if policy.is_none() || binding.is_none() {
        return PolicyState::Missing { leftover: created_here };
    }
    // If force is set, its writer has checked before.
    let is_forced = cluster_version.spec.desired_update.as_ref().is_some_and(|request| request.force);
    if is_forced || denies(client, cluster_version).await {
        PolicyState::InForce { created_here }
    } else {
        PolicyState::Settling { created_here }
    }
}

/// Waits for one that was not created here: if the API server doesn't enforce it within this time, it was changed.
pub async fn settled(client: &Client, cluster_version: &ClusterVersion) -> PolicyState {
    for _ in 0..SETTLES_WITHIN {
        match state(client, cluster_version).await {
            PolicyState::Settling { .. } => tokio::time::sleep(Duration::from_secs(1)).await,
            state => return state,
        }
    }
    PolicyState::Foreign
}

/// Whether this command created the object, and nobody else has written to it.
fn is_created_here(object: &impl ResourceExt) -> bool {
    let is_labelled = object.labels().get(LABEL.0).is_some_and(|value| value == LABEL.1);
    let mut writers =
        object.managed_fields().iter().filter(|entry| entry.subresource.as_deref().unwrap_or("").is_empty());
    is_labelled && writers.all(|entry| entry.manager.as_deref() == Some(MANAGER))
}

/// Whether the API server enforces it, which takes it about a second after it was created: a minor update under overrides
/// is denied, which a dry run shows.
async fn denies(client: &Client, cluster_version: &ClusterVersion) -> bool {
    let Ok(current) = semver::Version::parse(&cluster_version.desired().version) else { return false };
    let minor = format!("{}.{}.0", current.major, current.minor.saturating_add(1));
    let patch = json!({"spec": {
        "desiredUpdate": {"version": minor, "image": "", "architecture": "", "force": false},
        "overrides": [{"kind": "ClusterImagePolicy", "group": "config.openshift.io", "name": "openshift",
                       "namespace": "", "unmanaged": true}],
    }});
    let params = PatchParams { dry_run: true, field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &cluster_versions());
    match api.patch(names::CLUSTER_VERSION, &params, &Patch::Merge(patch)).await {
        Err(kube::Error::Api(status)) => {
            let by_policy = format!("ValidatingAdmissionPolicy '{}'", names::POLICY);
            matches!(status.code, 403 | 422) && status.message.contains(&by_policy)
        }
        Ok(_) | Err(_) => false,
    }
}

/// Creates what is missing of it.
///
/// # Errors
/// The API server refuses, or doesn't answer.
pub async fn install(client: &Client) -> kube::Result<()> {
    let (policy, binding) = manifests()?;
    let (policies, bindings) = policies(client);
    create(&policies, &policy).await?;
    create(&bindings, &binding).await
}

/// Policy and binding as this command creates them.
fn manifests() -> kube::Result<(DynamicObject, DynamicObject)> {
    let (policy, binding) = MANIFESTS.split_once("\n---\n").unwrap_or((MANIFESTS, ""));
    Ok((labelled(policy)?, labelled(binding)?))
}

fn labelled(manifest: &str) -> kube::Result<DynamicObject> {
    let object: Value = serde_saphyr::from_str(manifest).map_err(|error| kube::Error::Service(Box::new(error)))?;
    let mut object: DynamicObject = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    object.labels_mut().insert(LABEL.0.to_owned(), LABEL.1.to_owned());
    Ok(object)
}

async fn create(api: &Api<DynamicObject>, object: &DynamicObject) -> kube::Result<()> {
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match api.create(&params, object).await {
        Ok(_) => Ok(()),
        // It exists: from an interrupted run, or created by another user just now. The next read shows which.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether policy or binding is there that this command created.
///
/// # Errors
/// The API server refuses, or doesn't answer.
pub async fn is_left(client: &Client) -> kube::Result<bool> {
    let (policy, binding) = found(client).await?;
    Ok(policy.as_ref().is_some_and(is_created_here) || binding.as_ref().is_some_and(is_created_here))
}

/// Deletes what this command created of it, the binding first.
///
/// # Errors
/// The API server refuses, or doesn't answer.
pub async fn remove(client: &Client) -> kube::Result<()> {
    let (policy, binding) = found(client).await?;
    let (policies, bindings) = policies(client);
    delete(&bindings, binding).await?;
    delete(&policies, policy).await
}

/// Deletes only the version that was read, as another writer may have taken it over since.
async fn delete(api: &Api<DynamicObject>, object: Option<DynamicObject>) -> kube::Result<()> {
    let Some(object) = object.filter(is_created_here) else { return Ok(()) };
    let seen = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
    let params = DeleteParams { preconditions: Some(seen), ..DeleteParams::default() };
    match api.delete(names::POLICY, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
    use serde::{Serialize, de::DeserializeOwned};

    use super::*;

    fn policy(label: &str, managers: &[(&str, &str)]) -> DynamicObject {
        let fields: Vec<Value> = managers
            .iter()
            .map(
                |(manager, subresource)| json!({"manager": manager, "operation": "Update", "subresource": subresource}),
            )
            .collect();
        serde_json::from_value(json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "upgrade-gate", "managedFields": fields,
            "labels": {"upgrade-gate.openshift.io/created-by": label}}, "spec": {}}))
        .unwrap()
    }

    /// A cluster that answers every request with this.
    #[expect(clippy::disallowed_methods, reason = "a client on no connection")]
    fn answers(code: u16, body: &'static str) -> Client {
        let service = tower::service_fn(move |_: http::Request<kube::client::Body>| async move {
            let body = kube::client::Body::from(body.as_bytes().to_vec());
            http::Response::builder().status(code).body(body)
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn an_api_server_without_these_policies_is_none_on_which_one_can_be_created() {
        let cluster_version = crate::gate::testing::cluster_version_from(json!({}));
        let not_served = answers(404, "404 page not found\n");
        assert_eq!(state(&not_served, &cluster_version).await, PolicyState::Unreadable(NOT_SERVED.to_owned()));
        let none = answers(404, r#"{"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}"#);
        assert_eq!(state(&none, &cluster_version).await, PolicyState::Missing { leftover: false });
    }

    #[test]
    fn what_somebody_else_has_written_to_is_theirs() {
        let ours = ("upgrade-gate-update", "");
        assert!(is_created_here(&policy("update", &[ours])));
        assert!(is_created_here(&policy("update", &[ours, ("kube-controller-manager", "status")])));
        assert!(!is_created_here(&policy("update", &[ours, ("kubectl-client-side-apply", "")])));
        assert!(!is_created_here(&policy("other", &[ours])));
    }

    #[test]
    fn the_manifests_are_those_that_are_deployed_with_a_label() {
        let (policy, binding) = manifests().unwrap();
        assert!(is_in_force(&policy.data, &binding.data));
        assert_eq!(policy.labels().get("upgrade-gate.openshift.io/created-by").unwrap(), "update");
    }

    /// The object once it was read as its type, which loses what the type doesn't know.
    fn through<K: DeserializeOwned + Serialize>(object: &DynamicObject) -> Value {
        let typed: K = serde_json::from_value(serde_json::to_value(object).unwrap()).unwrap();
        serde_json::to_value(typed).unwrap()
    }

    #[test]
    fn the_manifests_are_what_their_types_allow() {
        let (policy, binding) = manifests().unwrap();
        assert_eq!(through::<ValidatingAdmissionPolicy>(&policy), serde_json::to_value(&policy).unwrap());
        assert_eq!(through::<ValidatingAdmissionPolicyBinding>(&binding), serde_json::to_value(&binding).unwrap());
    }
}
