//! An admission policy that denies changes of a part of the status, to stop the operator between two writes.

use serde_json::json;

use super::control_plane::ControlPlane;
use super::{Cluster, eventually, fixtures};

const POLICY: &str = "denial";

/// Denies changes of a field of the status until it is lifted or dropped.
pub struct Denial<'a> {
    cluster: &'a Cluster,
    field: &'static str,
    lifted: bool,
}

impl Cluster {
    /// Denies every change of `status.FIELD`, `history` or `conditions`, with this reason: `Forbidden` is a 403,
    /// `Invalid` a 422.
    pub async fn deny(&self, field: &'static str, reason: &str) -> Denial<'_> {
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": POLICY},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["config.openshift.io"], "apiVersions": ["v1"],
                    "resources": ["clusterversions/status"], "operations": ["UPDATE"],
                }]},
                "validations": [{
                    "expression": format!("!has(oldObject.status) || object.status.{field} == oldObject.status.{field}"),
                    "message": "denied by a test",
                    "reason": reason,
                }],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": POLICY},
            "spec": {"policyName": POLICY, "validationActions": ["Deny"]},
        });
        let denial = Denial { cluster: self, field, lifted: false };
        for object in [policy, binding] {
            self.control_plane.apply_object(&object);
        }
        denial.wait_until(true).await;
        denial
    }
}

impl Denial<'_> {
    /// Removes the policy, and waits until the API server no longer applies it.
    pub async fn lift(mut self) {
        self.remove();
        self.wait_until(false).await;
    }

    /// A policy takes effect some time after it was written; a dry run shows when.
    async fn wait_until(&self, denied: bool) {
        let probe = match self.field {
            "history" => json!({"status": {"history": []}}),
            _ => json!({"status": {"conditions": [fixtures::condition("Probe", "True", "Probe", "")]}}),
        };
        eventually(&format!("the denial to be in force: {denied}"), async || {
            let answer = self.cluster.dry_run_status(&probe).await;
            if answer.is_err() == denied { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    }

    fn remove(&mut self) {
        self.lifted = true;
        remove(self.cluster.control_plane);
    }
}

impl Drop for Denial<'_> {
    fn drop(&mut self) {
        if !self.lifted {
            super::policy::policies_were_changed();
            self.remove();
        }
    }
}

fn remove(control_plane: &ControlPlane) {
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        control_plane.kubectl(&["delete", kind, POLICY, "--ignore-not-found"]);
    }
}
