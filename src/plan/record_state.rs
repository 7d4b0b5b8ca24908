//! Whether an accepted risk can be recorded, and whether the update waits until it can: pure.

use crate::{
    api::{AcceptedBy, UpdateRecord},
    gate::{Snapshot, Source, TargetVerdict, Verdict, release},
    plan::{history, newest_entry::EntryStart, role::Role, update_records},
};

/// Whether an accepted risk can be recorded. If it cannot, `Upgradeable` is still written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// It can.
    Possible,
    /// The last try has failed: the request waits, so that no update goes ahead without its record.
    Failing,
    /// It was recorded, and another writer reverts that each time; the update has gone ahead.
    Reverted,
}

/// What became of the last tries to record an accepted risk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordTries {
    /// The next write to the history still waits after a failure.
    pub history_fails: bool,
    /// The risk of this request was written to the history, and another writer has reverted that within the last minute.
    pub history_is_reverted: bool,
    /// The next write of an UpdateRecord still waits after a failure.
    pub record_fails: bool,
}

/// Whether the accepted risk of what would go ahead now can be recorded: in the history, and in an UpdateRecord where
/// those are served. Where the last try at one has failed, the update waits for it.
///
/// Only in role `replace`: in the others a CVO writes the history, and the UpdateRecord is written from that.
#[must_use]
pub fn record_state(
    tries: RecordTries,
    role: Role,
    (snapshot, verdict): (&Snapshot, &Verdict),
    records: &Source<Vec<UpdateRecord>>,
    start: EntryStart,
) -> RecordState {
    let cluster_version = &snapshot.cluster_version;
    let failing_records = match records {
        Source::Read(records) if tries.record_fails => Some(records),
        Source::Read(_) | Source::NotServed | Source::Unreadable(_) | Source::NotGiven => None,
    };
    let waits = |request: &TargetVerdict| {
        let lacks_its_record = failing_records.is_some_and(|records| {
            !update_records::is_recorded(records, cluster_version, request, accepted_by(request))
        });
        let entry_lacks_its_record = failing_records.is_some_and(|records| {
            update_records::is_in_front(cluster_version, &request.release)
                && update_records::is_unrecorded(records, cluster_version, start)
        });
        let is_missing = tries.history_fails || lacks_its_record;
        (is_missing && history::is_unrecorded(cluster_version, request)) || entry_lacks_its_record
    };
    let request = verdict.request().filter(|request| !release::is_current(cluster_version, &request.release));
    if role == Role::Replace && request.is_some_and(waits) {
        RecordState::Failing
    } else if tries.history_is_reverted && !tries.history_fails {
        RecordState::Reverted
    } else {
        RecordState::Possible
    }
}

/// Who lets a request through that the gate accepts.
#[must_use]
pub fn accepted_by(request: &TargetVerdict) -> AcceptedBy {
    if request.accepted_risks.iter().any(|risk| risk.forced) { AcceptedBy::Force } else { AcceptedBy::Gate }
}
