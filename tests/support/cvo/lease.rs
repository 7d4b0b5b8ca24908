//! The Lease of a CVO that isn't there any more, and of one that is.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;

use super::super::cluster::Cluster;
use stand_in_cvo::{LEASE, NAMESPACE, write_lease};

/// Leaves the Lease of a CVO that renewed it so long ago, and isn't there any more.
pub async fn leave_lease(cluster: &Cluster, duration: Duration, ago: Duration) {
    super::access::kubeconfig(cluster.control_plane); // which makes the namespace
    write_lease(&Api::namespaced(cluster.client.clone(), NAMESPACE), "gone", duration, ago).await;
}

/// The CVO's Lease as it is now.
pub async fn lease(cluster: &Cluster) -> Option<Lease> {
    Api::<Lease>::namespaced(cluster.client.clone(), NAMESPACE).get_opt(LEASE).await.expect("get the CVO's Lease")
}
