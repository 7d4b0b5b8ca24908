//! What `deploy/` grants and how it runs the operator, read from the files themselves: no cluster, no kustomize.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects by panicking")]

use clap::Parser as _;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Container, Namespace, PodSpec},
        networking::v1::{NetworkPolicy, NetworkPolicyPort},
        policy::v1::PodDisruptionBudget,
        rbac::v1::PolicyRule,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use upgrade_gate::{
    controller::{
        config::{LogFormat, RunArgs},
        metrics::Metrics,
    },
    plan::{bridge::unforce::KeepReason, role::Mode},
};

const NAMESPACE: &str = "openshift-upgrade-gate";

#[test]
fn the_operator_may_do_this_and_nothing_else() {
    let granted: Vec<String> = objects("deploy/base")
        .into_iter()
        .filter(|object| ["ClusterRole", "Role"].contains(&kind(object)))
        .flat_map(|role| {
            let place = role["metadata"]["namespace"].as_str().unwrap_or("cluster").to_owned();
            assert_eq!(role["metadata"]["name"], "upgrade-gate", "in {place}");
            let rules: Vec<PolicyRule> = serde_json::from_value(role["rules"].clone()).unwrap();
            rules.into_iter().map(move |rule| format!("{place}: {}", line(&rule)))
        })
        .collect();
    assert_eq!(
        granted,
        [
            "cluster: get,list,watch,patch config.openshift.io/clusterversions version",
            "cluster: patch config.openshift.io/clusterversions/status version",
            "cluster: list,watch config.openshift.io/clusteroperators",
            "cluster: create,patch config.openshift.io/clusteroperators upgrade-gate",
            "cluster: patch config.openshift.io/clusteroperators/status upgrade-gate",
            "cluster: list,watch,create,delete upgrade-gate.openshift.io/updaterecords",
            "cluster: patch upgrade-gate.openshift.io/updaterecords/status",
            "cluster: get admissionregistration.k8s.io/\
             validatingadmissionpolicies,validatingadmissionpolicybindings upgrade-gate",
            "openshift-config-managed: list,watch /configmaps admin-gates",
            "openshift-config: list,watch /configmaps admin-acks",
            "openshift-cluster-version: get coordination.k8s.io/leases version",
            "openshift-upgrade-gate: create coordination.k8s.io/leases",
            "openshift-upgrade-gate: get,list,watch,patch coordination.k8s.io/leases upgrade-gate",
            "default: create events.k8s.io/events",
        ]
    );
}

/// One rule in one line: verbs, group and resource, names.
fn line(rule: &PolicyRule) -> String {
    assert_eq!(rule.non_resource_urls, None);
    let groups = rule.api_groups.clone().unwrap_or_default().join(",");
    let resources = rule.resources.clone().unwrap_or_default().join(",");
    let names = rule.resource_names.clone().unwrap_or_default().join(",");
    format!("{} {groups}/{resources} {names}", rule.verbs.join(",")).trim_end().to_owned()
}

#[test]
fn every_role_is_bound_to_the_service_account_and_to_nobody_else() {
    let base = objects("deploy/base");
    let places = |wanted: [&str; 2]| -> Vec<Value> {
        let of_kind = base.iter().filter(|object| wanted.contains(&kind(object)));
        of_kind.map(|object| object["metadata"]["namespace"].clone()).collect()
    };
    assert_eq!(places(["ClusterRole", "Role"]), places(["ClusterRoleBinding", "RoleBinding"]));

    for binding in base.iter().filter(|object| kind(object).ends_with("RoleBinding")) {
        let role = kind(binding).strip_suffix("Binding").unwrap();
        let expected =
            serde_json::json!({"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": "upgrade-gate"});
        assert_eq!(binding["roleRef"], expected);
        let expected = serde_json::json!([{"kind": "ServiceAccount", "name": "upgrade-gate", "namespace": NAMESPACE}]);
        assert_eq!(binding["subjects"], expected);
    }
}

#[test]
fn nothing_in_deploy_grants_by_wildcard() {
    let roles = objects("deploy").into_iter().filter(|object| ["ClusterRole", "Role"].contains(&kind(object)));
    for role in roles {
        assert!(!role["rules"].to_string().contains('*'), "{role}");
    }
}

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
fn the_container_is_probed_and_asks_for_little() {
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
fn the_operator_learns_who_it_is_from_the_pod() {
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
fn one_policy_denies_and_the_other_only_warns() {
    let base = objects("deploy/base/policy");
    let reported: Vec<_> = base
        .iter()
        .map(|object| {
            let spec = &object["spec"];
            let what =
                if kind(object) == "ValidatingAdmissionPolicy" { &spec["failurePolicy"] } else { &spec["policyName"] };
            format!("{} {} {} {}", kind(object), object["metadata"]["name"], what, spec["validationActions"])
        })
        .collect();
    assert_eq!(
        reported,
        [
            r#"ValidatingAdmissionPolicy "upgrade-gate" "Fail" null"#,
            r#"ValidatingAdmissionPolicyBinding "upgrade-gate" "upgrade-gate" ["Deny"]"#,
            r#"ValidatingAdmissionPolicy "upgrade-gate-warnings" "Fail" null"#,
            r#"ValidatingAdmissionPolicyBinding "upgrade-gate-warnings" "upgrade-gate-warnings" ["Warn","Audit"]"#,
        ]
    );
}

#[test]
fn the_operator_knows_its_arguments() {
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
fn the_alerts_ask_for_metrics_that_there_are() {
    let metrics = Metrics::new();
    metrics.wrote("conditions", "refused"); // or else it has no series
    metrics.set_force(true, Some(&KeepReason::NotCompleted));
    let shown = metrics.text();
    let rules = fs::read_to_string(repository("deploy/components/monitoring/prometheus-rule.yaml")).unwrap();
    let named: Vec<_> = rules
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("upgrade_gate_"))
        .collect();
    assert_eq!(named.len(), 10, "{named:?}");
    for name in named {
        assert!(shown.lines().any(|line| line.starts_with(name) && !line.starts_with('#')), "{name}");
    }
}

/// A state that is over within two minutes isn't worth a person's time.
#[test]
fn no_alert_fires_within_two_minutes() {
    let rules = &objects("deploy/components/monitoring").into_iter().find(|object| kind(object) == "PrometheusRule");
    let rules = rules.as_ref().unwrap()["spec"]["groups"][0]["rules"].as_array().unwrap();
    let waits: Vec<_> =
        rules.iter().map(|rule| (rule["alert"].as_str().unwrap(), rule["for"].as_str().unwrap_or("0"))).collect();
    assert_eq!(
        waits,
        [
            ("UpgradeGateNotLeading", "10m"),
            ("UpgradeGateNotEvaluating", "5m"),
            ("UpgradeGateWritesFailing", "15m"),
            ("UpgradeGateContention", "30m"),
            ("UpgradeGateForcedUnverified", "2m"),
            ("UpgradeGateForceStanding", "1h"),
            ("UpgradeGateOverridesStanding", "24h"),
        ]
    );
}

/// hack/test-alerts runs them, with promtool.
#[test]
fn each_alert_has_a_test_of_when_it_fires() {
    let rules = fs::read_to_string(repository("deploy/components/monitoring/prometheus-rule.yaml")).unwrap();
    let mut alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect();
    alerts.sort();
    let tests = yaml_files("tests/alerts");
    let tested: Vec<_> = tests.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(!alerts.is_empty());
    assert_eq!(tested, alerts);
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

#[test]
fn no_kustomization_moves_objects_to_another_namespace() {
    for path in yaml_files("deploy").iter().filter(|path| path.ends_with("kustomization.yaml")) {
        let kustomization: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(kustomization.get("namespace"), None, "{}", path.display());
    }
}

#[test]
fn every_file_is_part_of_its_kustomization() {
    for path in yaml_files("deploy").iter().chain(&yaml_files("crds")) {
        if !path.ends_with("kustomization.yaml") {
            let kustomization = fs::read_to_string(path.with_file_name("kustomization.yaml")).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let mut listed = [format!("- {name}\n"), format!("- path: {name}\n")].into_iter();
            assert!(listed.any(|line| kustomization.contains(&line)), "{}", path.display());
        }
    }
}

#[test]
fn applying_again_leaves_what_administrators_acknowledged() {
    let maps: Vec<_> = objects("deploy/overlays/kubernetes").into_iter().filter(|o| kind(o) == "ConfigMap").collect();
    let places: Vec<_> =
        maps.iter().map(|map| format!("{}/{}", map["metadata"]["namespace"], map["metadata"]["name"])).collect();
    assert_eq!(places, [r#""openshift-config-managed"/"admin-gates""#, r#""openshift-config"/"admin-acks""#]);
    assert!(maps.iter().all(|map| map.get("data").is_none()));
}

fn pod() -> PodSpec {
    only::<Deployment>("Deployment").spec.unwrap().template.spec.unwrap()
}

fn container(pod: &PodSpec) -> &Container {
    let [container] = &pod.containers[..] else { panic!("{} containers", pod.containers.len()) };
    container
}

/// The one object of a kind in the base.
fn only<T: DeserializeOwned>(wanted: &str) -> T {
    let mut found: Vec<_> = objects("deploy/base").into_iter().filter(|object| kind(object) == wanted).collect();
    assert_eq!(found.len(), 1, "{wanted}");
    serde_json::from_value(found.remove(0)).unwrap()
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap()
}

/// The objects in a folder and those below it, in the order of the files; no kustomizations.
fn objects(folder: &str) -> Vec<Value> {
    yaml_files(folder)
        .iter()
        .filter(|path| !path.ends_with("kustomization.yaml"))
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            serde_saphyr::from_multiple::<Value>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![repository(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
