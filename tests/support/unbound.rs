//! Removes bindings and objects of `deploy/base` for a while.

use serde_json::{Value, json};

use super::control_plane::{ControlPlane, NAME, repository};
use super::{Cluster, NAMESPACE};

/// The CRD of UpdateRecord.
const RECORDS: &str = "updaterecords.upgrade-gate.openshift.io";

/// Applies `deploy/base` again when dropped.
pub struct Unbound(&'static ControlPlane);

impl Cluster {
    /// Deletes the operator's `RoleBinding` in this namespace.
    pub fn unbind_in(&self, namespace: &str) -> Unbound {
        let unbound = Unbound(self.control_plane);
        self.control_plane.kubectl(&["delete", "rolebinding", NAME, "--namespace", namespace]);
        unbound
    }

    /// Deletes the `RoleBinding` that grants access to the Lease.
    pub fn unbind_lease(&self) -> Unbound {
        self.unbind_in(NAMESPACE)
    }

    /// Deletes the operator's `ClusterRoleBinding`.
    pub fn unbind_cluster(&self) -> Unbound {
        let unbound = Unbound(self.control_plane);
        self.control_plane.kubectl(&["delete", "clusterrolebinding", NAME]);
        unbound
    }

    /// Deletes the objects by which a command detects an installed upgrade-gate: the Deployment, the policies and the CRD
    /// of UpdateRecord.
    pub fn undeploy(&self) -> Unbound {
        let unbound = Unbound(self.control_plane);
        let kinds = "validatingadmissionpolicybindings,validatingadmissionpolicies";
        self.control_plane.kubectl(&["delete", kinds, "--selector=app.kubernetes.io/name=upgrade-gate"]);
        self.control_plane.kubectl(&["delete", "deployment", NAME, "--namespace", NAMESPACE]);
        self.control_plane.kubectl(&["delete", "crd", RECORDS]);
        unbound
    }

    /// Removes the ClusterRole's rule for this resource.
    pub fn unbind_resource(&self, resource: &str) -> Unbound {
        let unbound = Unbound(self.control_plane);
        let role = self.control_plane.kubectl(&["get", "clusterrole", NAME, "-o", "json"]);
        let mut role: Value = serde_json::from_str(&role).expect("a ClusterRole");
        role["metadata"] = json!({"name": NAME});
        role["rules"].as_array_mut().expect("rules").retain(|rule| rule["resources"][0] != resource);
        self.control_plane.apply_object(&role);
        unbound
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let base = repository("deploy/base").to_string_lossy().into_owned();
        self.0.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", &base]);
        self.0.kubectl(&["wait", "--for=condition=Established", "crd", RECORDS]);
    }
}
