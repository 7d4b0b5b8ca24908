//! Revokes permissions of the operator for a while.

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::control_plane::{NAME, NAMESPACE, repository};
use super::eventually;

/// A permission that the operator lacks until it is restored, or this is dropped.
pub struct RevokedAccess<'a> {
    cluster: &'a Cluster,
    access: Value,
    restored: bool,
}

impl Cluster {
    /// Deletes the operator's `RoleBinding` in a namespace, and waits until this access is denied:
    /// `{"group": …, "resource": …, "verb": …}` as in a SubjectAccessReview.
    pub async fn revoke_role(&self, namespace: &str, access: Value) -> RevokedAccess<'_> {
        self.control_plane.kubectl(&["delete", "rolebinding", NAME, "--namespace", namespace]);
        let mut access = access;
        access["namespace"] = json!(namespace);
        self.revoked(access).await
    }

    /// Removes from the operator's ClusterRole each verb for which `keep` returns false, and waits until `access` is denied.
    pub async fn revoke_rules(&self, access: Value, keep: impl Fn(&str, &str) -> bool) -> RevokedAccess<'_> {
        let role = self.control_plane.kubectl(&["get", "clusterrole", NAME, "--output=json"]);
        let mut role: Value = serde_json::from_str(&role).expect("a ClusterRole");
        role["metadata"] = json!({"name": NAME});
        for rule in role["rules"].as_array_mut().expect("rules") {
            let resource = rule["resources"][0].as_str().expect("a resource").to_owned();
            let verbs = rule["verbs"].as_array_mut().expect("verbs");
            verbs.retain(|verb| keep(&resource, verb.as_str().unwrap_or_default()));
        }
        role["rules"].as_array_mut().expect("rules").retain(|rule| rule["verbs"] != json!([]));
        self.control_plane.apply_object(&role);
        self.revoked(access).await
    }

    async fn revoked(&self, access: Value) -> RevokedAccess<'_> {
        let revoked = RevokedAccess { cluster: self, access, restored: false };
        revoked.wait_until(false).await;
        revoked
    }
}

impl RevokedAccess<'_> {
    /// Restores the permission, and waits until the API server grants it.
    pub async fn restore_access(mut self) {
        self.restore();
        self.wait_until(true).await;
    }

    async fn wait_until(&self, allowed: bool) {
        let reviews = Api::<SubjectAccessReview>::all(self.cluster.client.clone());
        let user = format!("system:serviceaccount:{NAMESPACE}:{NAME}");
        let review = json!({"metadata": {}, "spec": {"user": user, "resourceAttributes": self.access}});
        let review: SubjectAccessReview = serde_json::from_value(review).expect("a review");
        eventually(&format!("{} to be allowed: {allowed}", self.access), async || {
            let answer = reviews.create(&PostParams::default(), &review).await.map_err(|error| error.to_string())?;
            let now = answer.status.is_some_and(|status| status.allowed);
            if now == allowed { Ok(()) } else { Err(format!("it is allowed: {now}")) }
        })
        .await;
    }

    fn restore(&mut self) {
        self.restored = true;
        let rbac = repository("deploy/base/rbac.yaml").to_string_lossy().into_owned();
        self.cluster.control_plane.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &rbac]);
    }
}

impl Drop for RevokedAccess<'_> {
    fn drop(&mut self) {
        if !self.restored {
            self.restore();
        }
    }
}
