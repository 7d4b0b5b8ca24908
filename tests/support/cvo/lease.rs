//! The Lease of the CVO, of a running one or of one that has ended.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;

use super::super::cluster::Cluster;
use stand_in_cvo::{LEASE, NAMESPACE, write_lease};

/// Writes the Lease of a CVO that has ended, and renewed it last `ago`.
pub async fn leave_lease(cluster: &Cluster, duration: Duration, ago: Duration) {
    super::access::kubeconfig(cluster.control_plane); // creates the namespace
    write_lease(&Api::namespaced(cluster.client.clone(), NAMESPACE), "gone", duration, ago).await;
}

/// The current Lease of the CVO.
pub async fn lease(cluster: &Cluster) -> Option<Lease> {
    Api::<Lease>::namespaced(cluster.client.clone(), NAMESPACE).get_opt(LEASE).await.expect("get the CVO's Lease")
}
