//! The identity of the stand-in: a ServiceAccount of its own, so that the audit log distinguishes its writes from the
//! operator's.

use std::sync::OnceLock;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use super::super::control_plane::{ControlPlane, repository};
use stand_in_cvo::{MANAGER, NAMESPACE};

/// Its user in the audit log.
pub const USER: &str = "system:serviceaccount:openshift-cluster-version:cluster-version-operator";

/// A kubeconfig for the stand-in. The first caller creates the ServiceAccount and its permissions.
pub(super) fn kubeconfig(control_plane: &ControlPlane) -> Kubeconfig {
    static TOKEN: OnceLock<String> = OnceLock::new();
    let token = TOKEN.get_or_init(|| {
        let manifest = repository("tests/stand-in-cvo/access.yaml");
        control_plane.kubectl(&["apply", "--server-side", "-f", &manifest.to_string_lossy()]);
        let token = control_plane.kubectl(&["create", "token", MANAGER, "--namespace", NAMESPACE, "--duration=24h"]);
        token.trim().to_owned()
    });
    let mut kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig()).expect("a readable kubeconfig");
    let identity: AuthInfo = serde_json::from_value(json!({"token": token})).expect("a sound identity");
    kubeconfig.auth_infos.iter_mut().for_each(|named| named.auth_info = Some(identity.clone()));
    kubeconfig
}

/// A client for the stand-in. It belongs to the runtime of the caller.
pub(super) async fn client(kubeconfig: Kubeconfig) -> Client {
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a sound kubeconfig");
    Client::try_from(config).expect("a client")
}
