//! The input and the result of a plan.

use std::time::Duration;

use crate::{
    api::{OwnOperator, UpdateRecord},
    gate::{Snapshot, Source, Verdict},
    plan::{
        bridge::{ForceDecision, unforce::RemovalDecision},
        conditions::Conditions,
        degraded::Problem,
        newest_entry::EntryStart,
        record_state::RecordState,
        role::{CvoLease, Role},
        write::Write,
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
    pub operator: &'a Source<Option<OwnOperator>>,
    /// All UpdateRecords.
    pub records: &'a Source<Vec<UpdateRecord>>,
    /// The bridge's decision on the request; `None` in any other role.
    pub force: Option<&'a ForceDecision>,
    /// What was seen of the newest entry of the history.
    pub start: EntryStart,
    /// What is decided on a force of ours in spec; `None` where there is none.
    pub removal: Option<&'a RemovalDecision>,
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
