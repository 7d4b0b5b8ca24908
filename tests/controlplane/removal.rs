//! `make undeploy` leaves nothing that blocks, and takes nothing that an administrator may still want.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{self, ControlPlane};

/// What the operator made, and a policy as `deploy/` brings it.
const LEFT_BEHIND: &str = r#"
apiVersion: config.openshift.io/v1
kind: ClusterOperator
metadata: {name: upgrade-gate}
spec: {}
---
apiVersion: upgrade-gate.openshift.io/v1alpha1
kind: UpdateRecord
metadata: {name: of-a-test}
spec: {from: 4.21.1, to: 4.21.2, type: patch, image: x, overrides: [], acceptedRisks: "", by: Bridge,
  acceptedTime: "2026-01-01T00:00:00Z"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: of-a-test, labels: {app.kubernetes.io/name: upgrade-gate}}
spec: {policyName: of-a-test, validationActions: [Deny]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: of-a-test, labels: {app.kubernetes.io/name: upgrade-gate}}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [example.com], apiVersions: [v1], resources: [some], operations: [UPDATE]}]
  validations: [{expression: "true"}]
---
apiVersion: config.openshift.io/v1
kind: ClusterVersion
metadata: {name: version}
spec: {clusterID: some-id, desiredUpdate: {version: 4.21.2, force: true}}
"#;

fn undeploy(control_plane: &ControlPlane) -> String {
    let kubectl = format!(
        "{} --kubeconfig {}",
        std::path::Path::new(&support::provide(&[]).unwrap()).join("kubectl").display(),
        control_plane.kubeconfig().display()
    );
    let output = Command::new(support::repository("hack/undeploy")).env("KUBECTL", kubectl).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What is there of these, by kind and name.
fn present(control_plane: &ControlPlane, args: &[&str]) -> Vec<(String, String, Value)> {
    let mut arguments = vec!["get", "--ignore-not-found", "--output=json"];
    arguments.extend(args);
    let found: Value = serde_json::from_str(&control_plane.kubectl(&arguments)).unwrap_or(json!({"items": []}));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = found["items"].as_array().unwrap();
    items.iter().map(|o| (text(&o["kind"]), text(&o["metadata"]["name"]), o["metadata"]["namespace"].clone())).collect()
}

#[test]
fn undeploy_leaves_the_records_and_nothing_that_blocks() {
    let control_plane = ControlPlane::start().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), LEFT_BEHIND).unwrap();
    control_plane.kubectl(&["apply", "--filename", &file.path().to_string_lossy()]);

    let said = undeploy(&control_plane);
    assert!(said.contains("spec.desiredUpdate.force is true and stays"), "{said}");
    assert!(said.contains("upgrade-gate cleanup --yes"), "{said}");
    assert!(said.contains("records of accepted risks stay"), "{said}");

    // The namespace's own content goes with it, by a controller that there is none of here.
    let base = support::repository("deploy/base");
    let mut left = present(&control_plane, &["--kustomize", &base.to_string_lossy()]);
    left.retain(|(_, _, namespace)| namespace != "openshift-upgrade-gate");
    let kinds: Vec<&str> = left.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(kinds, ["Namespace", "CustomResourceDefinition"], "{left:?}");
    let phase = ["get", "namespace", "openshift-upgrade-gate", "--output=jsonpath={.status.phase}"];
    assert_eq!(control_plane.kubectl(&phase), "Terminating");
    let made = "clusteroperators,validatingadmissionpolicies,validatingadmissionpolicybindings";
    assert_eq!(present(&control_plane, &[made]), []);
    assert_eq!(present(&control_plane, &["updaterecords"]).len(), 1);

    // In this order: see the script.
    let log = std::fs::read_to_string(control_plane.audit_log()).unwrap();
    let mut deleted: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["verb"] == "delete" && event["responseStatus"]["code"] == 200)
        .map(|event| event["objectRef"]["resource"].as_str().unwrap().to_owned())
        .collect();
    deleted.dedup();
    assert_eq!(
        deleted[..5],
        [
            "validatingadmissionpolicybindings",
            "validatingadmissionpolicies",
            "deployments",
            "clusteroperators",
            "rolebindings"
        ]
    );
    assert_eq!(deleted.last().unwrap(), "namespaces");

    undeploy(&control_plane);
    control_plane.kubectl(&["delete", "crd", "clusteroperators.config.openshift.io"]);
    control_plane.kubectl(&["delete", "crd", "clusterversions.config.openshift.io"]);
    undeploy(&control_plane);
}

/// The commands of deploy/README.md, for those who remove it without `make`.
#[test]
fn the_documented_manual_removal_leaves_nothing_that_blocks() {
    let control_plane = ControlPlane::start().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), LEFT_BEHIND).unwrap();
    control_plane.kubectl(&["apply", "--filename", &file.path().to_string_lossy()]);

    let readme = std::fs::read_to_string(support::repository("deploy/README.md")).unwrap();
    let (_, removing) = readme.split_once("\n## Removing it\n").unwrap();
    let commands = removing.lines().skip_while(|line| !line.starts_with("    ")).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.collect();
    assert_eq!(commands.len(), 9);
    let script = format!(
        "kubectl() {{ {} --kubeconfig {} \"$@\"; }}\n{}",
        std::path::Path::new(&support::provide(&[]).unwrap()).join("kubectl").display(),
        control_plane.kubeconfig().display(),
        // No controller deletes what is in the namespace here, so waiting for that would take for ever.
        commands.join("\n").replace("delete namespace", "delete --wait=false namespace"),
    );
    let output = Command::new("bash").args(["-euc", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let base = support::repository("deploy/base");
    let mut left = present(&control_plane, &["--kustomize", &base.to_string_lossy()]);
    left.retain(|(_, _, namespace)| namespace != "openshift-upgrade-gate");
    let kinds: Vec<&str> = left.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(kinds, ["Namespace", "CustomResourceDefinition"], "{left:?}");
    let made = "clusteroperators,validatingadmissionpolicies,validatingadmissionpolicybindings";
    assert_eq!(present(&control_plane, &[made]), []);
    assert_eq!(present(&control_plane, &["updaterecords"]).len(), 1);
}
