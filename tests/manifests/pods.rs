//! The Deployment and what surrounds its Pods: security, ports, probes, arguments.

use clap::Parser as _;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Container, Namespace, PodSpec},
        networking::v1::{NetworkPolicy, NetworkPolicyPort},
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use std::{fs, path::Path};
use upgrade_gate::{
    controller::config::{LogFormat, RunArgs},
    plan::role::Mode,
};

use super::{kind, objects, only, repository, yaml_files};

#[test]
fn the_pods_are_restricted() {
    let labels = only::<Namespace>("Namespace").metadata.labels.unwrap();
    for mode in ["enforce", "audit", "warn"] {
        assert_eq!(labels[&format!("pod-security.kubernetes.io/{mode}")], "restricted");
    }

    let pod = pod();
    assert_eq!([pod.host_ipc, pod.host_network, pod.host_pid], [None; 3]);
    let context = pod.security_context.clone().unwrap();
    assert_eq!(context.run_as_non_root, Some(true));
    assert_eq!(context.run_as_user, None, "OpenShift chooses the user");
    assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");

    let context = container(&pod).security_context.clone().unwrap();
    assert_eq!(context.allow_privilege_escalation, Some(false));
    assert_eq!(context.privileged, Some(false));
    assert_eq!(context.read_only_root_filesystem, Some(true));
    assert_eq!(context.capabilities.unwrap().drop, Some(vec!["ALL".to_owned()]));
}

/// Without a user range as on OpenShift. The kubelet takes the user from the image, but not the group.
#[test]
fn outside_of_openshift_the_pods_run_as_the_image_s_user_and_group() {
    let ids = |overlay: &str| -> Vec<(Option<i64>, Option<i64>)> {
        let deployments = objects(overlay).into_iter().filter(|object| kind(object) == "Deployment");
        deployments
            .map(|object| {
                let context = &object["spec"]["template"]["spec"]["securityContext"];
                (context["runAsUser"].as_i64(), context["runAsGroup"].as_i64())
            })
            .collect()
    };
    assert_eq!(ids("deploy/overlays/kubernetes"), [(Some(65532), Some(65532))]);
    assert_eq!(ids("deploy/overlays/openshift"), [(None, None)], "the SCC sets them");
    assert_eq!(ids("deploy/base"), [(None, None)]);
    let dockerfile = fs::read_to_string(repository("Dockerfile")).unwrap();
    assert!(dockerfile.lines().any(|line| line == "USER 65532:65532"));
}

/// OVN-Kubernetes does not resolve the names of container ports: a rule with a name allows every TCP port.
#[test]
fn the_network_policies_open_these_ports_by_number() {
    let policies: Vec<NetworkPolicy> = objects("deploy/base")
        .into_iter()
        .filter(|object| kind(object) == "NetworkPolicy")
        .map(|object| serde_json::from_value(object).unwrap())
        .collect();
    let open: Vec<String> = policies
        .iter()
        .flat_map(|policy| {
            let name = policy.metadata.name.as_deref().unwrap();
            let spec = policy.spec.as_ref().unwrap();
            assert_eq!(spec.policy_types.as_deref(), Some(&["Ingress".to_owned(), "Egress".to_owned()][..]));
            let ingress = spec.ingress.iter().flatten().map(|rule| ("from", rule.ports.as_deref()));
            let egress = spec.egress.iter().flatten().map(|rule| ("to", rule.ports.as_deref()));
            ingress.chain(egress).map(move |(way, ports)| format!("{name}: {way} {}", port_list(ports.unwrap())))
        })
        .collect();
    assert_eq!(
        open,
        [
            "upgrade-gate: from TCP 8080",
            "upgrade-gate: from TCP 8081",
            "upgrade-gate: to TCP 443, TCP 6443",
            "upgrade-gate: to UDP 53, TCP 53, UDP 5353, TCP 5353",
        ]
    );
    assert_eq!(policies[0].spec.as_ref().unwrap().pod_selector, Some(LabelSelector::default()), "denies to every pod");
}

fn port_list(ports: &[NetworkPolicyPort]) -> String {
    let ports = ports.iter().map(|port| {
        let Some(IntOrString::Int(number)) = port.port else { panic!("{port:?} is not a number") };
        format!("{} {number}", port.protocol.as_deref().unwrap_or("TCP"))
    });
    ports.collect::<Vec<_>>().join(", ")
}

#[test]
fn the_deployment_survives_a_lost_node_and_fits_on_one() {
    let deployment = only::<Deployment>("Deployment").spec.unwrap();
    assert_eq!(deployment.replicas, Some(2));

    let pod = pod();
    assert_eq!(pod.priority_class_name.as_deref(), Some("system-cluster-critical"));
    let spread = pod.affinity.unwrap().pod_anti_affinity.unwrap();
    assert_eq!(spread.required_during_scheduling_ignored_during_execution, None);
    assert_eq!(spread.preferred_during_scheduling_ignored_during_execution.unwrap().len(), 1);
    let tolerated: Vec<_> =
        pod.tolerations.unwrap().into_iter().map(|t| (t.key.unwrap(), t.toleration_seconds)).collect();
    let expected = [
        ("node-role.kubernetes.io/master", None),
        ("node-role.kubernetes.io/control-plane", None),
        ("node.kubernetes.io/not-ready", Some(120)),
        ("node.kubernetes.io/unreachable", Some(120)),
    ];
    assert_eq!(tolerated, expected.map(|(key, seconds)| (key.to_owned(), seconds)));

    let budget = only::<PodDisruptionBudget>("PodDisruptionBudget").spec.unwrap();
    assert_eq!(budget.max_unavailable, Some(IntOrString::Int(1)));
    assert_eq!(budget.selector, Some(deployment.selector));
}

#[test]
fn the_container_has_probes_and_small_requests() {
    let pod = pod();
    let container = container(&pod);
    let named = |name: &str| container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name)).unwrap();
    assert_eq!((named("metrics").container_port, named("probes").container_port), (8080, 8081));

    for (probe, path) in [(&container.liveness_probe, "/healthz"), (&container.readiness_probe, "/readyz")] {
        let get = probe.as_ref().unwrap().http_get.clone().unwrap();
        assert_eq!((get.path.as_deref(), get.port), (Some(path), IntOrString::String("probes".to_owned())));
    }

    let resources = container.resources.clone().unwrap();
    let requested = [("cpu", "10m"), ("memory", "32Mi")];
    assert_eq!(
        resources.requests,
        Some(requested.into_iter().map(|(name, much)| (name.to_owned(), Quantity(much.to_owned()))).collect())
    );
    assert_eq!(resources.limits, None);
}

#[test]
fn the_operator_gets_its_identity_from_the_pod() {
    let pod = pod();
    let container = container(&pod);
    assert_eq!(container.args.as_ref().unwrap()[..2], ["run", "--mode=auto"]);
    let env: Vec<_> = container
        .env
        .iter()
        .flatten()
        .map(|var| {
            let source = var.value_from.as_ref().unwrap().field_ref.as_ref().unwrap();
            (var.name.as_str(), source.field_path.as_str())
        })
        .collect();
    assert_eq!(env, [("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace")]);
}

#[test]
fn the_operator_accepts_the_arguments_of_the_deployment() {
    #[derive(clap::Parser)]
    struct Run {
        #[command(flatten)]
        args: RunArgs,
    }
    let pod = pod();
    let base = container(&pod).args.clone().unwrap();
    let overlay = fs::read_to_string(repository("deploy/overlays/openshift/kustomization.yaml")).unwrap();
    let added: Vec<_> = overlay.lines().filter_map(|line| line.trim().strip_prefix("value: --")).collect();
    let added = added.iter().map(|flag| format!("--{flag}"));

    let run = Run::try_parse_from(base.into_iter().chain(added)).unwrap().args;
    assert_eq!((run.mode, run.log_format, run.leader_elect), (Mode::Auto, LogFormat::Json, true));
    assert_eq!(run.metrics_tls_cert.as_deref(), Some(Path::new("/etc/upgrade-gate/tls/tls.crt")));
    assert_eq!(run.metrics_tls_key.as_deref(), Some(Path::new("/etc/upgrade-gate/tls/tls.key")));
    assert_eq!((run.metrics_bind_address.port(), run.health_probe_bind_address.port()), (8080, 8081));
}

#[test]
fn the_image_is_named_once() {
    let named: Vec<_> = yaml_files("deploy")
        .iter()
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.lines().filter(|line| line.trim_start().starts_with("image:")).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!(container(&pod()).image.as_deref(), Some("upgrade-gate"));
}

fn pod() -> PodSpec {
    only::<Deployment>("Deployment").spec.unwrap().template.spec.unwrap()
}

fn container(pod: &PodSpec) -> &Container {
    let [container] = &pod.containers[..] else { panic!("{} containers", pod.containers.len()) };
    container
}
