//! What `deploy/` grants and how it runs the operator, read from the files themselves: no cluster, no kustomize.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects by panicking")]

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

mod alerts;
mod pods;

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

#[test]
fn the_role_for_update_grants_this_and_nothing_else() {
    let role = fs::read_to_string(repository("deploy/update-role/cluster-role.yaml")).unwrap();
    let role: ClusterRole = serde_saphyr::from_str(&role).unwrap();
    assert_eq!(
        role.rules.unwrap().iter().map(line).collect::<Vec<_>>(),
        [
            "get,patch config.openshift.io/clusterversions version",
            "list config.openshift.io/clusteroperators",
            "get /configmaps admin-gates,admin-acks",
            "get coordination.k8s.io/leases version,upgrade-gate",
            "list,create upgrade-gate.openshift.io/updaterecords",
            "patch upgrade-gate.openshift.io/updaterecords/status",
            "create admissionregistration.k8s.io/validatingadmissionpolicies,validatingadmissionpolicybindings",
            "get,delete admissionregistration.k8s.io/\
             validatingadmissionpolicies,validatingadmissionpolicybindings upgrade-gate",
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
fn every_role_is_bound_only_to_the_service_account() {
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
fn applying_again_keeps_the_acknowledgements_of_administrators() {
    let maps: Vec<_> = objects("deploy/overlays/kubernetes").into_iter().filter(|o| kind(o) == "ConfigMap").collect();
    let places: Vec<_> =
        maps.iter().map(|map| format!("{}/{}", map["metadata"]["namespace"], map["metadata"]["name"])).collect();
    assert_eq!(places, [r#""openshift-config-managed"/"admin-gates""#, r#""openshift-config"/"admin-acks""#]);
    assert!(maps.iter().all(|map| map.get("data").is_none()));
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
