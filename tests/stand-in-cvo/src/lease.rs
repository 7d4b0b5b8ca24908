//! The Lease of the CVO: for its leader election, and for others to detect a running CVO.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::{LEASE as NAME, MANAGER, NAMESPACE};

/// Renews the Lease of this process.
pub(crate) struct Renewal {
    pub(crate) api: Api<Lease>,
    pub(crate) duration: Duration,
}

impl Renewal {
    pub(crate) fn new(client: kube::Client, duration: Duration) -> Self {
        Self { api: Api::namespaced(client, NAMESPACE), duration }
    }

    /// The interval: a fifth of the duration, as the real CVO.
    pub(crate) fn interval(&self) -> Duration {
        self.duration / 5
    }

    pub(crate) async fn renew(&self) {
        write(&self.api, "stand-in", self.duration, Duration::ZERO).await;
    }

    /// Releases the Lease as a process that ends normally: no holder, and a duration of one second.
    pub(crate) async fn release(&self) {
        write(&self.api, "", Duration::from_secs(1), Duration::ZERO).await;
    }
}

/// Writes the Lease with a renew time `ago` in the past.
pub async fn write(api: &Api<Lease>, holder: &str, duration: Duration, ago: Duration) {
    let renewed = Timestamp::now() - SignedDuration::try_from(ago).expect("a duration that isn't absurd");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": duration.as_secs().max(1),
            "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        },
    });
    api.patch(NAME, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&lease)).await.expect("write the CVO's Lease");
}
