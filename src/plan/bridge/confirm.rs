//! The second stage: whether the cluster allows a force now. Pure, from what was read of policy, Lease and
//! UpdateRecords.

use std::time::Duration;

use crate::plan::{
    bridge::{candidate::Candidate, skip_reason::SkipReason},
    record_wait::RecordWait,
    role::CvoLease,
    write::ForcePatch,
};

/// What was read from the cluster besides the ClusterVersion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterChecks {
    /// The admission policy and a binding that denies are installed.
    pub policy_installed: bool,
    /// The Lease of the CVO, read just now: a CVO that stopped a moment ago must not be forced.
    pub cvo: CvoLease,
    /// The UpdateRecord of the update.
    pub record: RecordWait,
    /// How long that record has been missing.
    pub record_missing_for: Duration,
}

/// Confirms a candidate: the policy is installed, a CVO is running, and the UpdateRecord exists, is written next, or
/// has failed for longer than an update waits for it.
///
/// # Errors
/// The first condition that doesn't hold.
pub fn confirm(candidate: Candidate, checks: &ClusterChecks) -> Result<ForcePatch, SkipReason> {
    if !checks.policy_installed {
        return Err(SkipReason::NoPolicy);
    }
    match checks.cvo {
        CvoLease::Fresh => {}
        CvoLease::Stale | CvoLease::Absent | CvoLease::Unknown => return Err(SkipReason::NoCvo),
    }
    if checks.record.holds_back(checks.record_missing_for) {
        return Err(SkipReason::NoRecords);
    }
    Ok(candidate.0)
}
