//! The harness of the control-plane tests: a real API server with OpenShift's CRDs and `deploy/base` in it, a clean
//! ClusterVersion for each test, and the built operator, logged in as its ServiceAccount. [`cvo`] is a stand-in for the
//! stock cluster-version operator.
//!
//! ```text
//! let cluster = support::cluster(fixtures::cluster()).await;         // exclusive, with a clean start
//! let operator = Operator::start(&cluster, Options::mode("replace")); // stopped when dropped
//! cluster.set_overrides(json!([fixtures::policy_override()])).await;
//! cluster.wait_for("Upgradeable is False", |cv| condition(cv, "Upgradeable")["status"] == "False").await;
//! ```
#![allow(dead_code, unused_imports, reason = "a toolbox: not every helper has a user at every time")]

mod audit;

mod cluster;
mod control_plane;
mod crd;
pub mod cvo;
mod denial;
pub mod faults;
pub mod fixtures;
pub mod invariants;
mod locked_out;
mod operator;
mod operator_objects;
mod policy;
pub mod requests;
mod rights;
pub mod scenario;
mod steps;
mod unbound;
mod versions;
mod waits;

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};

pub use audit::Write;
pub use cluster::{Cluster, cluster, cluster_as, cluster_with_policy};
pub use control_plane::{ControlPlane, NAME, NAMESPACE, provide, repository};
pub use crd::Loosen;
pub use locked_out::{cluster_with_cvo_4_21, is_forced, locked_out, updated};
pub use operator::{Operator, Options, binary};
pub use policy::Reply;
pub use rights::RevokedAccess;
pub use steps::Steps;
pub use unbound::Unbound;
pub use versions::Versions;
pub use waits::{entries, has_condition, is_accepted, versions_of_history};

/// The timeout of every wait, long enough for a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Calls `look` until it returns `Ok`, and returns that.
///
/// # Panics
///
/// After [`DEADLINE`], with the last error of `look`.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let since = Instant::now();
    let mut ticks = interval(Duration::from_millis(25));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match look().await {
            Ok(found) => return found,
            Err(last) => assert!(since.elapsed() < DEADLINE, "waited {DEADLINE:?} for: {what}; last seen: {last}"),
        }
    }
}

/// The condition of this type, or null.
pub fn condition<'a>(object: &'a Value, type_: &str) -> &'a Value {
    object["status"]["conditions"]
        .as_array()
        .and_then(|conditions| conditions.iter().find(|condition| condition["type"] == type_))
        .unwrap_or(&Value::Null)
}

/// Indented JSON, for messages.
fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}
