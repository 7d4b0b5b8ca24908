//! Whether an accepted risk can be recorded, and whether the update waits until it can: pure.

use crate::{
    api::{AcceptedBy, UpdateRecord},
    gate::{Snapshot, Source, TargetVerdict, Verdict, release},
    plan::{conditions::RecordState, history, newest_entry::EntryStart, role::Role, update_records},
};

/// Whether the accepted risk of what would go ahead now can be recorded: in the history, and in an UpdateRecord where
/// those are served. Where the last try at one has failed, the update waits for it.
#[must_use]
pub fn record_state(
    in_history: RecordState,
    (snapshot, verdict, role): (&Snapshot, &Verdict, Role),
    records: &Source<Vec<UpdateRecord>>,
    start: EntryStart,
    record_fails: bool,
) -> RecordState {
    let records = match records {
        Source::Read(records) if record_fails => Some(records),
        _ => None,
    };
    if in_history != RecordState::Failing && records.is_none() {
        return in_history;
    }
    let cluster_version = &snapshot.cluster_version;
    let request = verdict.request().filter(|request| !release::is_current(cluster_version, &request.release));
    let is_missing = |target_verdict: &TargetVerdict, by| {
        records.is_some_and(|records| {
            update_records::before_accepting(records, cluster_version, target_verdict, by, "").is_some()
        })
    };
    let waits = match (role, request) {
        (Role::Replace, Some(request)) => {
            let in_front = update_records::is_in_front(cluster_version, &request.release);
            let unrecorded = history::record(cluster_version, request, "", history::LIMIT).is_some();
            let without_its_record = || {
                in_front
                    && records.is_some_and(|records| {
                        update_records::of_history(records, cluster_version, start, "").is_some()
                    })
            };
            (unrecorded && (in_history == RecordState::Failing || is_missing(request, accepted_by(request))))
                || without_its_record()
        }
        // The CVO records what the bridge lets through, and the UpdateRecord is made up for from that.
        _ => false,
    };
    match in_history {
        _ if waits => RecordState::Failing,
        RecordState::Failing => RecordState::Possible,
        RecordState::Possible | RecordState::Reverted => in_history,
    }
}

/// Who lets a request through that the gate accepts.
#[must_use]
pub fn accepted_by(request: &TargetVerdict) -> AcceptedBy {
    if request.accepted_risks.iter().any(|risk| risk.forced) { AcceptedBy::Force } else { AcceptedBy::Gate }
}
