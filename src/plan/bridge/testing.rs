//! What tests of other modules need of the bridge.

use std::time::Duration;

use crate::plan::{bridge::ClusterChecks, record_wait::RecordWait, role::CvoLease};

/// A cluster on which nothing speaks against a force.
pub const CONFIRMED: ClusterChecks = ClusterChecks {
    policy_installed: true,
    cvo: CvoLease::Fresh,
    record: RecordWait::Settled,
    record_missing_for: Duration::ZERO,
};
