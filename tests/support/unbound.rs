//! Permissions of `deploy/base` taken away for a while.

use serde_json::{Value, json};

use super::control_plane::{ControlPlane, NAME, repository};
use super::{Cluster, NAMESPACE};

/// The CRD of UpdateRecord.
const RECORDS: &str = "updaterecords.upgrade-gate.openshift.io";

/// Dropped, it gives back what was taken away.
pub struct Unbound(&'static ControlPlane);

impl Cluster {
    /// Takes away what the operator may do in this namespace.
    pub fn unbind_in(&self, namespace: &str) -> Unbound {
        let unbound = Unbound(self.control_plane);
        self.control_plane.kubectl(&["delete", "rolebinding", NAME, "--namespace", namespace]);
        unbound
    }

    /// Takes the Lease away.
    pub fn unbind_lease(&self) -> Unbound {
        self.unbind_in(NAMESPACE)
    }

    /// Takes away what the operator may do with cluster-scoped objects.
    pub fn unbind_cluster(&self) -> Unbound {
        let unbound = Unbound(self.control_plane);
        self.control_plane.kubectl(&["delete", "clusterrolebinding", NAME]);
        unbound
    }

    /// Takes away what upgrade-gate brings to a cluster and a command looks for: Deployment, policies and the CRD of
    /// UpdateRecord.
    pub fn undeploy(&self) -> Unbound {
        let unbound = Unbound(self.control_plane);
        let kinds = "validatingadmissionpolicybindings,validatingadmissionpolicies";
        self.control_plane.kubectl(&["delete", kinds, "--selector=app.kubernetes.io/name=upgrade-gate"]);
        self.control_plane.kubectl(&["delete", "deployment", NAME, "--namespace", NAMESPACE]);
        self.control_plane.kubectl(&["delete", "crd", RECORDS]);
        unbound
    }

    /// Takes away the rule on this cluster-scoped resource.
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
