//! Which entry of the history an UpdateRecord is about: one rule, for the operator and for `history`.

use jiff::Timestamp;

use crate::{
    api::{AcceptedBy, ClusterVersion, HistoryEntry, Outcome, ReleaseId, UpdateRecord},
    gate::{
        Target,
        release::{resolve, same_release},
    },
    plan::role::owns_force,
};

/// What the clocks of two nodes may differ by.
const CLOCKS: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);

/// For each record, the position of its update in the history.
///
/// A record that follows an entry stays with it. One that waits for its update to begin takes an entry that no other
/// record has: the newest entry, or one that began after the record was written.
#[must_use]
pub fn positions(records: &[UpdateRecord], cluster_version: &ClusterVersion) -> Vec<Option<usize>> {
    let history = cluster_version.history();
    let linked = |record: &UpdateRecord| history.iter().position(|entry| is_linked(record, entry));
    let mut positions: Vec<Option<usize>> = records.iter().map(linked).collect();
    for index in 0..records.len() {
        let record = &records[index];
        let begins = record.status.as_ref().is_none_or(|status| status.started_time.is_none()) && is_open(record);
        if positions[index].is_none() && begins {
            positions[index] = history.iter().enumerate().position(|(position, entry)| {
                // An update begins as the newest entry, and may no longer be the newest at the next read; older
                // ones of the same release are updates of their own.
                (position == 0 || is_later(entry, record))
                    && may_be_of(record, entry, cluster_version)
                    && !positions.contains(&Some(position))
            });
        }
    }
    positions
}

/// Whether one of the records is about that very entry.
#[must_use]
pub fn has_record(records: &[UpdateRecord], entry: &HistoryEntry) -> bool {
    records.iter().any(|record| is_linked(record, entry))
}

/// Whether its update may still begin or end.
#[must_use]
pub fn is_open(record: &UpdateRecord) -> bool {
    record.status.as_ref().is_none_or(|status| status.outcome == Outcome::Pending)
}

/// Whether its update is one to that release.
#[must_use]
pub fn is_about(record: &UpdateRecord, release: ReleaseId<'_>) -> bool {
    same_release(record.spec.id(), release)
}

/// Whether that update began after the record was written, give or take what two clocks differ by.
fn is_later(entry: &HistoryEntry, record: &UpdateRecord) -> bool {
    let times = time(&entry.started_time).zip(time(&record.spec.accepted_time));
    times.is_some_and(|(started, accepted)| accepted.duration_since(started) < CLOCKS)
}

/// Whether an update that has begun may be the one of that record. It is not if the bridge was about to force it, and the
/// CVO accepted it without a force or another user forced it first.
#[must_use]
pub fn may_be_of(record: &UpdateRecord, front: &HistoryEntry, cluster_version: &ClusterVersion) -> bool {
    let forced_by_others = || {
        let forced = cluster_version.spec.desired_update.as_ref().is_some_and(|request| request.force);
        forced && asks_for(cluster_version, front.id()) && !owns_force(cluster_version)
    };
    let by = match record.spec.by {
        // The text may be lost by now.
        AcceptedBy::Bridge => (front.accepted_risks.is_empty() || is_forced(front)) && !forced_by_others(),
        AcceptedBy::Gate => !is_forced(front),
        AcceptedBy::Force => true,
    };
    by && is_about(record, front.id())
}

/// Whether the text is that of an update that was forced; ours and the CVO's begin alike.
#[must_use]
pub fn is_forced(entry: &HistoryEntry) -> bool {
    entry.accepted_risks.contains("Forced through")
}

/// Whether that release is requested.
#[must_use]
pub fn asks_for(cluster_version: &ClusterVersion, release: ReleaseId<'_>) -> bool {
    Target::requested(cluster_version)
        .is_some_and(|target| same_release(resolve(cluster_version, &target).release.id(), release))
}

/// Whether that entry is known to be the record's update.
#[must_use]
pub fn is_linked(record: &UpdateRecord, entry: &HistoryEntry) -> bool {
    let started = record.status.as_ref().and_then(|status| status.started_time.as_deref());
    started == Some(entry.started_time.as_str()) && is_about(record, entry.id())
}

/// A time of the API, if it is one.
#[must_use]
pub fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}
