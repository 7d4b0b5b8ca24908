//! The input and the result of a plan.

use std::time::Duration;

use serde_json::Value;

use crate::{
    api::UpdateRecord,
    gate::{Snapshot, Source, Verdict},
    plan::{
        bridge::{ForcePatch, skip_reason::SkipReason, unforce::KeepReason},
        conditions::{Conditions, RecordState},
        degraded::Problem,
        newest_entry::EntryStart,
        role::{CvoLease, Role},
        write::{ForceRemoval, Write},
    },
};

/// The input of a plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The cluster as it was read.
    pub snapshot: &'a Snapshot,
    /// The verdict on it.
    pub verdict: &'a Verdict,
    /// The role of this operator.
    pub role: Role,
    /// Why it has that role.
    pub why: &'a str,
    /// Our own ClusterOperator.
    pub operator: &'a Source<Option<Value>>,
    /// All UpdateRecords.
    pub records: &'a Source<Vec<UpdateRecord>>,
    /// The bridge's decision on the request; `None` in any other role.
    pub force_patch: Option<&'a Result<ForcePatch, SkipReason>>,
    /// What was seen of the newest entry of the history.
    pub start: EntryStart,
    /// How a force of ours is removed from spec, or why it stays; `None` where there is none.
    pub unforcing: Option<&'a Result<ForceRemoval, KeepReason>>,
    /// Whether an accepted risk can be recorded: see [`record_state`](super::record_state).
    pub record_state: RecordState,
    /// The operator's problems, and how long each has lasted.
    pub problems: &'a [(Problem, Duration)],
    /// How long a problem has to last to be reported.
    pub degraded_after: Duration,
    /// The CVO's Lease, where a request waits for a CVO.
    pub cvo: CvoLease,
    /// The text of the newest entry was put back once.
    pub is_restored: bool,
}

/// The desired state, and what differs from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The conditions as they should be, whether or not this role writes them.
    pub desired: Conditions,
    /// The writes that are missing, in the order in which they have to be made.
    pub writes: Vec<Write>,
}
