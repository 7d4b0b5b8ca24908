//! The policy of the door: not in force unless a test asks for it, since most tests are about what comes after it.

use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::cluster::{Cluster, missing_is_fine};
use super::control_plane::repository;
use super::{eventually, fixtures};

/// What `deploy/base` binds: the policy that denies, and the one that warns.
const BINDINGS: [&str; 2] = ["upgrade-gate", "upgrade-gate-warnings"];

/// Bindings come with `deploy/base`, so they are there at first.
static IN_FORCE: AtomicBool = AtomicBool::new(true);

impl Cluster {
    /// Puts the policies of `deploy/base/policy` in force until the end of the test. The cluster has to be at 4.21.
    pub async fn guard_the_door(&self) {
        self.control_plane.kubectl(&[
            "apply",
            "--server-side",
            "-k",
            &repository("deploy/base/policy").to_string_lossy(),
        ]);
        IN_FORCE.store(true, Ordering::SeqCst);
        self.wait_until_refused(true).await;
    }

    /// Takes the bindings away, so that nothing is refused at the door.
    pub async fn open_the_door(&self) {
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(self.client.clone());
        let mut in_force = IN_FORCE.swap(false, Ordering::SeqCst);
        for name in BINDINGS {
            // A test may have applied deploy/ anew.
            in_force |= bindings.get_opt(name).await.expect("a binding, or none").is_some();
            missing_is_fine(bindings.delete(name, &DeleteParams::default()).await);
        }
        if in_force {
            self.wait_until_refused(false).await;
        }
    }

    /// A dry run tells: policies take effect a moment after they were written. A minor update and an override in one
    /// request are refused whatever else the cluster says.
    async fn wait_until_refused(&self, refused: bool) {
        let probe = json!({"spec": {
            "overrides": [fixtures::policy_override()],
            "desiredUpdate": {"version": "4.22.99", "image": "", "architecture": "", "force": false},
        }});
        eventually(&format!("a minor update to be refused at the door: {refused}"), async || {
            let params = PatchParams { dry_run: true, ..PatchParams::default() };
            let answer = self.cluster_versions().patch("version", &params, &Patch::Merge(&probe)).await;
            let denied = matches!(&answer, Err(kube::Error::Api(status)) if status.code == 403);
            if denied == refused { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    }
}
