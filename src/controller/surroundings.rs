//! What is asked of the API server when it is needed, rather than watched: the CVO's Lease and the policy of the door.

use std::time::Duration;

use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    coordination::v1::Lease,
};
use kube::{Api, Client};

use super::ownership::CvoLease;
use crate::api::names::{self, CVO_LEASE};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A Lease that wasn't renewed for so many of its durations has lost its holder.
const DURATIONS: i64 = 3;

/// Whether a CVO renews its Lease.
pub async fn cvo_lease(client: &Client, now: jiff::Timestamp) -> CvoLease {
    lease(client, CVO_LEASE, now).await
}

/// Whether an operator of our own renews its Lease.
pub async fn self_lease(client: &Client, now: jiff::Timestamp) -> CvoLease {
    lease(client, (names::NAMESPACE, names::SELF), now).await
}

/// What can't be read is unknown; the role that follows from it is what is told, once.
async fn lease(client: &Client, (namespace, name): (&str, &str), now: jiff::Timestamp) -> CvoLease {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    match tokio::time::timeout(TIMEOUT, leases.get_opt(name)).await {
        Ok(Ok(Some(lease))) => freshness(&lease, now),
        Ok(Ok(None)) => CvoLease::Absent,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the Lease {namespace}/{name} can't be read");
            CvoLease::Unknown
        }
        Err(_) => CvoLease::Unknown,
    }
}

fn freshness(lease: &Lease, now: jiff::Timestamp) -> CvoLease {
    let Some(spec) = &lease.spec else { return CvoLease::Stale };
    let held = spec.holder_identity.as_deref().is_some_and(|holder| !holder.is_empty());
    let renewed = spec.renew_time.as_ref().map(|time| time.0);
    match (renewed, spec.lease_duration_seconds) {
        (Some(renewed), Some(duration))
            if held && now.duration_since(renewed).as_secs() < DURATIONS * i64::from(duration) =>
        {
            CvoLease::Fresh
        }
        _ => CvoLease::Stale,
    }
}

/// Whether the policy of the door and its binding that denies are installed. What can't be read isn't.
pub async fn policy_is_installed(client: &Client) -> bool {
    policy(client).await.unwrap_or(false)
}

/// The same; `None` where it can't be read.
pub async fn policy(client: &Client) -> Option<bool> {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let both = futures::future::join(policies.get_opt(names::POLICY), bindings.get_opt(names::POLICY));
    match tokio::time::timeout(TIMEOUT, both).await {
        Ok((Ok(Some(policy)), Ok(Some(binding)))) => Some(is_in_force(&policy, &binding)),
        Ok((Ok(_), Ok(_))) => Some(false),
        Err(_) => None,
        Ok((Err(error), _) | (_, Err(error))) => {
            tracing::warn!(%error, "the ValidatingAdmissionPolicy can't be read");
            None
        }
    }
}

fn is_in_force(policy: &ValidatingAdmissionPolicy, binding: &ValidatingAdmissionPolicyBinding) -> bool {
    let fails_closed = policy.spec.as_ref().is_some_and(|spec| {
        spec.failure_policy.as_deref().is_none_or(|policy| policy == "Fail")
            && spec.validations.as_ref().is_some_and(|validations| !validations.is_empty())
    });
    let denies = binding.spec.as_ref().is_some_and(|spec| {
        spec.policy_name.as_deref() == Some(names::POLICY)
            && spec.match_resources.is_none()
            && spec.validation_actions.iter().flatten().any(|action| action == "Deny")
    });
    fails_closed && denies
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::just_renewed(json!({"holderIdentity": "a", "renewTime": "2026-01-01T00:00:59.000000Z", "leaseDurationSeconds": 20}), CvoLease::Fresh)]
    #[case::within_three_durations(json!({"holderIdentity": "a", "renewTime": "2026-01-01T00:00:01.000000Z", "leaseDurationSeconds": 20}), CvoLease::Fresh)]
    #[case::older(json!({"holderIdentity": "a", "renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 20}), CvoLease::Stale)]
    #[case::released(json!({"holderIdentity": "", "renewTime": "2026-01-01T00:00:59.000000Z", "leaseDurationSeconds": 20}), CvoLease::Stale)]
    #[case::empty(json!({}), CvoLease::Stale)]
    fn a_lease_is_fresh_for_three_durations(#[case] spec: Value, #[case] expected: CvoLease) {
        let lease: Lease = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
        assert_eq!(freshness(&lease, "2026-01-01T00:01:00Z".parse().unwrap()), expected);
    }

    #[rstest]
    #[case::denies(json!({"failurePolicy": "Fail", "validations": [{"expression": "true"}]}), json!({"policyName": "upgrade-gate", "validationActions": ["Deny", "Audit"]}), true)]
    #[case::on_trial(json!({"validations": [{"expression": "true"}]}), json!({"policyName": "upgrade-gate", "validationActions": ["Warn", "Audit"]}), false)]
    #[case::of_another(json!({"validations": [{"expression": "true"}]}), json!({"policyName": "other", "validationActions": ["Deny"]}), false)]
    #[case::fails_open(json!({"failurePolicy": "Ignore", "validations": [{"expression": "true"}]}), json!({"policyName": "upgrade-gate", "validationActions": ["Deny"]}), false)]
    #[case::for_some_only(json!({"validations": [{"expression": "true"}]}), json!({"policyName": "upgrade-gate", "validationActions": ["Deny"], "matchResources": {}}), false)]
    fn only_a_policy_that_denies_is_in_force(#[case] policy: Value, #[case] binding: Value, #[case] expected: bool) {
        let policy = serde_json::from_value(json!({"metadata": {}, "spec": policy})).unwrap();
        let binding = serde_json::from_value(json!({"metadata": {}, "spec": binding})).unwrap();
        assert_eq!(is_in_force(&policy, &binding), expected);
    }
}
