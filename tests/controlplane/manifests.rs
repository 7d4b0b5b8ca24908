//! What is in `deploy/` passes a real API server, and lets the operator do what it has to and no more.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::json;

use crate::support::{self, ControlPlane, NAME, NAMESPACE, fixtures};

#[rstest]
#[case("deploy/base")]
#[case("deploy/overlays/kubernetes")]
#[case("deploy/overlays/openshift")]
fn a_server_side_apply_is_admitted(#[case] folder: &str) {
    let control_plane = ControlPlane::get();
    let monitoring = support::repository("tests/controlplane/monitoring.crd.yaml");
    control_plane.kubectl(&["apply", "--server-side", "-f", &monitoring.to_string_lossy()]);
    control_plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);

    let folder = support::repository(folder);
    control_plane.kubectl(&["apply", "--server-side", "--dry-run=server", "-k", &folder.to_string_lossy()]);
}

#[tokio::test]
async fn applying_again_writes_nothing() {
    let cluster = support::cluster(fixtures::cluster()).await; // exclusive, so no other test writes
    let base = support::repository("deploy/base");
    cluster.control_plane.kubectl(&["apply", "--server-side", "-k", &base.to_string_lossy()]);
    cluster.control_plane.kubectl(&["diff", "--server-side", "-k", &base.to_string_lossy()]);
}

#[tokio::test]
async fn applying_again_keeps_acknowledgements() {
    let cluster = support::cluster(fixtures::cluster()).await;
    cluster.set_admin_gates(json!(null)).await;
    cluster.set_admin_acks(json!(null)).await;
    let file = support::repository("deploy/overlays/kubernetes/config-maps.yaml");
    let apply = || cluster.control_plane.kubectl(&["apply", "--server-side", "-f", &file.to_string_lossy()]);
    apply();

    let api = Api::<ConfigMap>::namespaced(cluster.client.clone(), "openshift-config");
    let mut acks = api.get("admin-acks").await.unwrap();
    assert_eq!(acks.data, None);
    acks.data = Some(BTreeMap::from([("ack-4.21-something".to_owned(), "true".to_owned())]));
    let acknowledged = api.replace("admin-acks", &PostParams::default(), &acks).await.unwrap();

    apply();
    assert_eq!(api.get("admin-acks").await.unwrap(), acknowledged, "resourceVersion included");
}

#[tokio::test]
async fn the_pods_are_admitted_where_pod_security_is_restricted() {
    let client = ControlPlane::get().client().await;
    let deployment = Api::<Deployment>::namespaced(client.clone(), NAMESPACE).get(NAME).await.unwrap();
    let template = deployment.spec.unwrap().template;
    let metadata = ObjectMeta { name: Some("of-a-test".to_owned()), ..template.metadata.unwrap() };
    let mut pod = Pod { metadata, spec: template.spec, ..Pod::default() };

    let api = Api::<Pod>::namespaced(client, NAMESPACE);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let admitted = api.create(&dry_run, &pod).await.unwrap().spec.unwrap();
    assert_eq!(admitted.priority, Some(2_000_000_000), "system-cluster-critical");

    pod.spec.as_mut().unwrap().containers[0].security_context = None;
    let refused = api.create(&dry_run, &pod).await.unwrap_err();
    assert!(refused.to_string().contains("violates PodSecurity \"restricted"), "{refused}");
}

#[rstest]
#[case("get    config.openshift.io clusterversions/version", true)]
#[case("list   config.openshift.io clusterversions/version", true)]
#[case("watch  config.openshift.io clusterversions/version", true)]
#[case("list   config.openshift.io clusterversions/", false)]
#[case("patch  config.openshift.io clusterversions/version", true)]
#[case("patch  config.openshift.io clusterversions/other", false)]
#[case("update config.openshift.io clusterversions/version", false)]
#[case("delete config.openshift.io clusterversions/version", false)]
#[case("patch  config.openshift.io clusterversions/version/status", true)]
#[case("update config.openshift.io clusterversions/version/status", false)]
#[case("patch  config.openshift.io clusterversions/other/status", false)]
#[case("list   config.openshift.io clusteroperators/", true)]
#[case("get    config.openshift.io clusteroperators/network", false)]
#[case("create config.openshift.io clusteroperators/", false)]
#[case("create config.openshift.io clusteroperators/upgrade-gate", true)]
#[case("patch  config.openshift.io clusteroperators/upgrade-gate", true)]
#[case("patch  config.openshift.io clusteroperators/upgrade-gate/status", true)]
#[case("delete config.openshift.io clusteroperators/upgrade-gate", false)]
#[case("patch  config.openshift.io clusteroperators/network", false)]
#[case("patch  config.openshift.io clusteroperators/network/status", false)]
#[case("list   upgrade-gate.openshift.io updaterecords/", true)]
#[case("watch  upgrade-gate.openshift.io updaterecords/", true)]
#[case("create upgrade-gate.openshift.io updaterecords/", true)]
#[case("delete upgrade-gate.openshift.io updaterecords/4.21.2", true)]
#[case("patch  upgrade-gate.openshift.io updaterecords/4.21.2", false)]
#[case("update upgrade-gate.openshift.io updaterecords/4.21.2", false)]
#[case("patch  upgrade-gate.openshift.io updaterecords/4.21.2/status", true)]
#[case("get    admissionregistration.k8s.io validatingadmissionpolicies/upgrade-gate", true)]
#[case("get    admissionregistration.k8s.io validatingadmissionpolicybindings/upgrade-gate", true)]
#[case("get    admissionregistration.k8s.io validatingadmissionpolicies/other", false)]
#[case("delete admissionregistration.k8s.io validatingadmissionpolicies/upgrade-gate", false)]
#[case("patch  admissionregistration.k8s.io validatingadmissionpolicybindings/upgrade-gate", false)]
#[case("watch  core configmaps/admin-acks in openshift-config", true)]
#[case("get    core configmaps/admin-acks in openshift-config", false)]
#[case("list   core configmaps/ in openshift-config", false)]
#[case("patch  core configmaps/admin-acks in openshift-config", false)]
#[case("watch  core configmaps/admin-gates in openshift-config-managed", true)]
#[case("get    core secrets/pull-secret in openshift-config", false)]
#[case("create coordination.k8s.io leases/ in openshift-upgrade-gate", true)]
#[case("patch  coordination.k8s.io leases/upgrade-gate in openshift-upgrade-gate", true)]
#[case("watch  coordination.k8s.io leases/upgrade-gate in openshift-upgrade-gate", true)]
#[case("patch  coordination.k8s.io leases/other in openshift-upgrade-gate", false)]
#[case("get    coordination.k8s.io leases/version in openshift-cluster-version", true)]
#[case("watch  coordination.k8s.io leases/version in openshift-cluster-version", false)]
#[case("patch  coordination.k8s.io leases/version in openshift-cluster-version", false)]
#[case("create events.k8s.io events/ in default", true)]
#[case("patch  events.k8s.io events/some in default", false)]
#[case("create events.k8s.io events/ in kube-system", false)]
#[tokio::test]
async fn the_operator_may(#[case] request: &str, #[case] allowed: bool) {
    let mut words = request.split_whitespace().map(str::to_owned);
    let mut word = || words.next().unwrap();
    let (verb, group, object) = (word(), word(), word());
    let mut object = object.split('/').map(str::to_owned);
    let attributes = ResourceAttributes {
        verb: Some(verb),
        group: Some(group).filter(|group| group != "core"),
        resource: object.next(),
        name: object.next(),
        subresource: object.next(),
        namespace: words.nth(1),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..SelfSubjectAccessReview::default()
    };
    let client = ControlPlane::get().operator_client().await;
    let answer = Api::all(client).create(&PostParams::default(), &review).await.unwrap().status.unwrap();
    assert_eq!(answer.allowed, allowed, "{request}: {answer:?}");
}

/// A create can't be granted by name, unless it is a server-side apply.
#[tokio::test]
async fn the_operator_creates_only_its_own_cluster_operator() {
    let kind = GroupVersionKind::gvk("config.openshift.io", "v1", "ClusterOperator");
    let client = ControlPlane::get().operator_client().await;
    let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::from_gvk(&kind));
    let params = PatchParams { dry_run: true, ..PatchParams::apply(NAME) };
    let object = |name: &str| json!({"apiVersion": "config.openshift.io/v1", "kind": "ClusterOperator", "metadata": {"name": name}, "spec": {}});
    api.patch(NAME, &params, &Patch::Apply(object(NAME))).await.unwrap();

    let other = api.patch("network", &params, &Patch::Apply(object("network"))).await.unwrap_err();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let posted = api.create(&dry_run, &serde_json::from_value(object(NAME)).unwrap()).await.unwrap_err();
    for error in [other, posted] {
        assert!(matches!(&error, kube::Error::Api(status) if status.code == 403), "{error}");
    }
}
