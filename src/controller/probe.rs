//! What is read from the API server when it is needed, rather than watched: the CVO's Lease and the admission policy.

use std::time::Duration;

use http::Request;
use jiff::SignedDuration;
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    coordination::v1::Lease,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    client::Body,
    core::Status,
};
use serde_json::Value;

use crate::{
    api::names::{self, CVO_LEASE},
    plan::role::{CvoLease, Mode},
};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A Lease that wasn't renewed for so many of its durations has lost its holder.
const DURATIONS: i64 = 3;
/// By how much the clock of the API server, in whole seconds and some time ago, may differ from a clock that is right.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(1);
/// The match conditions of the policy. With one more, some requests would pass unchecked.
const CONDITIONS: [&str; 1] = ["changes-the-requested-update"];

/// Where the operator of upgrade-gate has its Lease.
pub const SELF_LEASE: (&str, &str) = (names::NAMESPACE, names::SELF);

/// Whether a CVO renews its Lease.
pub async fn cvo_lease(client: &Client, now: jiff::Timestamp) -> CvoLease {
    known_lease(client, CVO_LEASE, now).await.0
}

/// Whether an operator of our own renews its Lease, and the mode in which it runs.
pub async fn self_lease(client: &Client, now: jiff::Timestamp) -> (CvoLease, Option<Mode>) {
    known_lease(client, SELF_LEASE, now).await
}

/// A Lease that can't be read is unknown. That isn't logged: the role that follows from it is reported once.
async fn known_lease(client: &Client, lease: (&str, &str), now: jiff::Timestamp) -> (CvoLease, Option<Mode>) {
    match tokio::time::timeout(TIMEOUT, read_lease(client, lease, now)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot read the Lease {}/{}", lease.0, lease.1);
            (CvoLease::Unknown, None)
        }
        Err(_) => (CvoLease::Unknown, None),
    }
}

/// Reads a Lease of that namespace and name, and the mode of the operator if it is that of upgrade-gate.
///
/// # Errors
/// It cannot be read. A 404 means that there is none only if the API server names the Lease in it.
pub async fn read_lease(
    client: &Client,
    (namespace, name): (&str, &str),
    now: jiff::Timestamp,
) -> kube::Result<(CvoLease, Option<Mode>)> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}");
    let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    let (head, body) = client.send(request.map(Body::from)).await?.into_parts();
    let body = body.collect_bytes().await?;
    if head.status.is_success() {
        let lease: Lease = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
        return Ok((freshness(&lease, clock(&head, now)), mode(&lease)));
    }
    match serde_json::from_slice::<Status>(&body) {
        Ok(status) if is_absent(&status, name) => Ok((CvoLease::Absent, None)),
        Ok(status) => Err(kube::Error::Api(status.boxed())),
        Err(_) => {
            let text = String::from_utf8_lossy(&body);
            let status = Status::failure(text.trim(), head.status.as_str()).with_code(head.status.as_u16());
            Err(kube::Error::Api(status.boxed()))
        }
    }
}

/// The time by the clock of the API server, if that differs from ours by more than [`CLOCK_SKEW`]: who renews a Lease is on
/// a node beside it, and the clock of a laptop may be wrong.
fn clock(head: &http::response::Parts, now: jiff::Timestamp) -> jiff::Timestamp {
    let date = head.headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
    let there = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
    there.filter(|there| there.duration_since(now).abs() > CLOCK_SKEW).unwrap_or(now)
}

fn is_absent(status: &Status, name: &str) -> bool {
    status.reason == "NotFound" && status.details.as_ref().is_some_and(|details| details.name == name)
}

fn mode(lease: &Lease) -> Option<Mode> {
    lease.metadata.annotations.as_ref()?.get(names::MODE)?.parse().ok()
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

/// Whether the admission policy and its binding that denies are installed, for every request. What can't be read isn't.
pub async fn policy_is_installed(client: &Client) -> bool {
    policy(client).await.unwrap_or(false)
}

/// The same; `None` where it can't be read.
pub async fn policy(client: &Client) -> Option<bool> {
    let (policies, bindings) = policies(client);
    let both = futures::future::join(policies.get_opt(names::POLICY), bindings.get_opt(names::POLICY));
    match tokio::time::timeout(TIMEOUT, both).await {
        Ok((Ok(Some(policy)), Ok(Some(binding)))) => Some(is_in_force(&policy.data, &binding.data)),
        Ok((Ok(_), Ok(_))) => Some(false),
        Err(_) => None,
        Ok((Err(error), _) | (_, Err(error))) => {
            tracing::warn!(%error, "cannot read the ValidatingAdmissionPolicy");
            None
        }
    }
}

/// The policies and bindings of a cluster. They are not read as their own types: the code that parses these takes 300 kB.
#[must_use]
pub fn policies(client: &Client) -> (Api<DynamicObject>, Api<DynamicObject>) {
    let api = |resource: ApiResource| Api::all_with(client.clone(), &resource);
    (
        api(ApiResource::erase::<ValidatingAdmissionPolicy>(&())),
        api(ApiResource::erase::<ValidatingAdmissionPolicyBinding>(&())),
    )
}

/// Whether this policy and this binding deny every request that they are about.
#[must_use]
pub fn is_in_force(policy: &Value, binding: &Value) -> bool {
    let (policy, binding) = (&policy["spec"], &binding["spec"]);
    let fails_closed = policy["failurePolicy"].is_null() || policy["failurePolicy"] == "Fail";
    let conditions = items(&policy["matchConditions"]).map(|condition| condition["name"].as_str());
    // Under a parameter it is enforced only where that parameter is found.
    let is_for_all = policy["paramKind"].is_null()
        && conditions.eq(CONDITIONS.map(Some))
        && leaves_nothing_out(&policy["matchConstraints"]);
    let denies = binding["policyName"] == names::POLICY
        && binding["matchResources"].is_null()
        && binding["paramRef"].is_null()
        && items(&binding["validationActions"]).any(|action| action == "Deny");
    fails_closed && items(&policy["validations"]).next().is_some() && is_for_all && denies
}

/// Every update of the ClusterVersion is matched. The API server writes empty selectors where there were none.
fn leaves_nothing_out(constraints: &Value) -> bool {
    let is_empty = |field: &str| match &constraints[field] {
        Value::Null => true,
        Value::Object(selector) => selector.is_empty(),
        Value::Array(rules) => rules.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    ["namespaceSelector", "objectSelector", "excludeResourceRules"].into_iter().all(is_empty)
        && items(&constraints["resourceRules"]).any(matches_every_request)
}

fn matches_every_request(rule: &Value) -> bool {
    let has = |list: &str, value: &str| items(&rule[list]).any(|item| item == value || item == "*");
    let is_for_any_name = items(&rule["resourceNames"]).next().is_none();
    has("apiGroups", "config.openshift.io")
        && has("apiVersions", "v1")
        && has("resources", "clusterversions")
        && has("operations", "UPDATE")
        && (is_for_any_name || items(&rule["resourceNames"]).any(|name| name == names::CLUSTER_VERSION))
        && rule["scope"] != "Namespaced"
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
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

    /// A cluster whose API server answers with this Lease, at this time by its clock.
    #[expect(clippy::disallowed_methods, reason = "a client on no connection")]
    fn answers(renewed: &'static str, date: Option<&'static str>) -> Client {
        let lease = json!({"metadata": {}, "spec": {"holderIdentity": "a", "renewTime": renewed,
            "leaseDurationSeconds": 137}});
        let body = serde_json::to_vec(&lease).unwrap();
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = http::Response::builder();
            let answer = date.into_iter().fold(answer, |answer, date| answer.header("date", date));
            std::future::ready(answer.body(Body::from(body.clone())))
        });
        Client::new(service, "default")
    }

    #[rstest]
    #[case::an_hour_ahead(
        "2026-01-01T13:00:00Z",
        "2026-01-01T12:00:00.000000Z",
        Some("Thu, 01 Jan 2026 12:00:10 GMT"),
        CvoLease::Fresh
    )]
    #[case::an_hour_behind(
        "2026-01-01T11:00:00Z",
        "2026-01-01T11:00:00.000000Z",
        Some("Thu, 01 Jan 2026 12:00:00 GMT"),
        CvoLease::Stale
    )]
    #[case::right(
        "2026-01-01T12:06:51Z",
        "2026-01-01T12:00:00.000000Z",
        Some("Thu, 01 Jan 2026 12:05:55 GMT"),
        CvoLease::Stale
    )]
    #[case::the_only_one("2026-01-01T13:00:00Z", "2026-01-01T12:00:00.000000Z", None, CvoLease::Stale)]
    #[case::of_which_nothing_is_known(
        "2026-01-01T13:00:00Z",
        "2026-01-01T12:00:00.000000Z",
        Some("noon"),
        CvoLease::Stale
    )]
    #[tokio::test]
    async fn a_lease_is_compared_with_the_clock_of_the_api_server_if_ours_is_wrong(
        #[case] now: &str,
        #[case] renewed: &'static str,
        #[case] date: Option<&'static str>,
        #[case] expected: CvoLease,
    ) {
        let lease = read_lease(&answers(renewed, date), CVO_LEASE, now.parse().unwrap()).await.unwrap();
        assert_eq!(lease, (expected, None));
    }

    const ASKING: &str = "changes-the-requested-update";

    /// A policy with the rule of the deployed one, changed.
    fn rule(change: &Value) -> Value {
        let mut rule = json!({"apiGroups": ["config.openshift.io"], "apiVersions": ["v1"], "operations": ["UPDATE"],
            "resources": ["clusterversions"], "resourceNames": ["version"], "scope": "*"});
        json_patch::merge(&mut rule, change);
        json!({"matchConstraints": {"resourceRules": [rule]}})
    }

    /// The policy as it is in a cluster, and the binding, each with something else in its spec.
    fn in_force(policy: &Value, binding: &Value) -> bool {
        let matches = json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "resourceRules": rule(&json!({}))["matchConstraints"]["resourceRules"]});
        let mut objects = json!([
            {"metadata": {}, "spec": {"failurePolicy": "Fail", "validations": [{"expression": "true"}],
             "matchConstraints": matches, "matchConditions": [{"name": ASKING, "expression": "true"}]}},
            {"metadata": {}, "spec": {"policyName": "upgrade-gate", "validationActions": ["Deny", "Audit"]}}
        ]);
        json_patch::merge(&mut objects[0]["spec"], policy);
        json_patch::merge(&mut objects[1]["spec"], binding);
        is_in_force(&objects[0], &objects[1])
    }

    #[rstest]
    #[case::denies(json!({}), json!({}), true)]
    #[case::as_it_was_sent(json!({"failurePolicy": null, "matchConstraints": {"namespaceSelector": null, "objectSelector": null}}), json!({}), true)]
    #[case::on_trial(json!({}), json!({"validationActions": ["Warn", "Audit"]}), false)]
    #[case::of_another(json!({}), json!({"policyName": "other"}), false)]
    #[case::fails_open(json!({"failurePolicy": "Ignore"}), json!({}), false)]
    #[case::validates_nothing(json!({"validations": []}), json!({}), false)]
    #[case::bound_for_some_only(json!({}), json!({"matchResources": {}}), false)]
    #[case::for_some_namespaces_only(json!({"matchConstraints": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}), json!({}), false)]
    #[case::for_some_objects_only(json!({"matchConstraints": {"objectSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}}), json!({}), false)]
    #[case::but_for_some_rules(json!({"matchConstraints": {"excludeResourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]}}), json!({}), false)]
    #[case::but_for_no_rules(json!({"matchConstraints": {"excludeResourceRules": []}}), json!({}), true)]
    #[case::of_a_kind_that_is_unknown(json!({"failurePolicy": true}), json!({}), false)]
    #[case::for_nothing_in_particular(json!({"matchConstraints": null}), json!({}), false)]
    #[case::under_one_more_condition(json!({"matchConditions": [{"name": ASKING, "expression": "true"}, {"name": "not-by-me", "expression": "false"}]}), json!({}), false)]
    #[case::under_another_condition(json!({"matchConditions": [{"name": "not-by-me", "expression": "false"}]}), json!({}), false)]
    #[case::under_no_condition(json!({"matchConditions": null}), json!({}), false)]
    #[case::under_a_parameter(json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}), json!({}), false)]
    #[case::bound_to_a_parameter(json!({}), json!({"paramRef": {"name": "a", "parameterNotFoundAction": "Allow"}}), false)]
    #[case::for_no_rule(json!({"matchConstraints": {"resourceRules": []}}), json!({}), false)]
    #[case::for_everything(rule(&json!({"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"], "resourceNames": null})), json!({}), true)]
    #[case::for_new_objects_only(rule(&json!({"operations": ["CREATE"]})), json!({}), false)]
    #[case::for_its_status_only(rule(&json!({"resources": ["clusterversions/status"]})), json!({}), false)]
    #[case::for_another_object(rule(&json!({"resourceNames": ["other"]})), json!({}), false)]
    #[case::for_another_kind(rule(&json!({"resources": ["clusteroperators"]})), json!({}), false)]
    #[case::for_another_group(rule(&json!({"apiGroups": ["apps"]})), json!({}), false)]
    #[case::for_another_version(rule(&json!({"apiVersions": ["v2"]})), json!({}), false)]
    #[case::in_namespaces_only(rule(&json!({"scope": "Namespaced"})), json!({}), false)]
    fn only_a_policy_that_denies_any_user_is_in_force(
        #[case] policy: Value,
        #[case] binding: Value,
        #[case] expected: bool,
    ) {
        assert_eq!(in_force(&policy, &binding), expected);
    }

    #[test]
    fn the_policy_that_is_deployed_is_in_force() {
        let file = include_str!("../../deploy/base/policy/deny.yaml");
        let (policy, binding) = file.split_once("\n---\n").unwrap();
        assert!(is_in_force(&serde_saphyr::from_str(policy).unwrap(), &serde_saphyr::from_str(binding).unwrap()));
    }
}
