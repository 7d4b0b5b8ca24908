//! Fixtures of the bridge for tests of other modules.

use std::time::Duration;

use crate::plan::{bridge::ClusterChecks, record_wait::RecordWait, role::CvoLease};

/// A cluster on which all conditions of a force hold.
pub const CONFIRMED: ClusterChecks = ClusterChecks {
    policy_installed: true,
    cvo: CvoLease::Fresh,
    record: RecordWait::Settled,
    record_missing_for: Duration::ZERO,
};
