//! UpdateRecords, planned purely: one for each update that goes ahead with an accepted risk, written before the write
//! that it is about, followed until the update has ended, and pruned.

use jiff::Timestamp;

use crate::{
    api::{
        AcceptedBy, ClusterVersion, HistoryEntry, HistoryState, Outcome, RecordedOverride, Release, ResourceVersion,
        UpdateRecord, UpdateRecordSpec, UpdateRecordStatus, names,
    },
    gate::{
        TargetVerdict, message,
        release::{digest, is_current, same_release},
        update::classify_entry,
    },
    plan::{
        newest_entry::EntryStart,
        record_match::{self, asks_for, is_about, is_forced, is_linked, is_open, may_be_of, time},
        role::force_written,
        write::RecordWrite,
    },
};

/// Records that stay.
pub const LIMIT: usize = 100;
/// Characters of the version in a record's name.
const VERSION_IN_NAME: usize = 200;

/// The record that has to be there before an accepted request is acted on; `None` where it is.
#[must_use]
pub fn before_accepting(
    records: &[UpdateRecord],
    cluster_version: &ClusterVersion,
    target_verdict: &TargetVerdict,
    by: AcceptedBy,
    now: &str,
) -> Option<UpdateRecord> {
    if is_recorded(records, cluster_version, target_verdict, by) {
        return None;
    }
    let release = &target_verdict.release;
    let (from, update_type) = if is_current(cluster_version, release) {
        classify_entry(cluster_version.history())
    } else {
        (cluster_version.desired().version.as_str(), target_verdict.update_type)
    };
    let spec = UpdateRecordSpec {
        from: from.to_owned(),
        to: release.version.clone(),
        update_type: update_type.as_str().to_owned(),
        image: release.image.clone(),
        overrides: overrides(cluster_version),
        accepted_risks: message::accepted_risks(target_verdict),
        by,
        accepted_time: now.to_owned(),
    };
    Some(create(records, spec))
}

/// Whether the record that has to be there before an accepted request is acted on exists.
#[must_use]
pub fn is_recorded(
    records: &[UpdateRecord],
    cluster_version: &ClusterVersion,
    target_verdict: &TargetVerdict,
    by: AcceptedBy,
) -> bool {
    let release = &target_verdict.release;
    // A risk that arose while the update runs: the verdict is on a release that the cluster has already left for.
    let has_begun = is_current(cluster_version, release);
    records
        .iter()
        .any(|record| is_open(record) && (has_begun || record.spec.by == by) && is_about(record, release.id()))
}

/// The record of an update that upgrade-gate did not accept: the front entry of the history carries accepted
/// risks, or overrides were set when it was first seen, which a CVO that hasn't published `Upgradeable=False` yet
/// accepts without a text; it has not completed, or came in front while this process watched; and no record is about
/// it.
#[must_use]
pub fn of_history(
    records: &[UpdateRecord],
    cluster_version: &ClusterVersion,
    start: EntryStart,
    now: &str,
) -> Option<UpdateRecord> {
    let front = unrecorded(records, cluster_version, start)?;
    let accepted_risks = if front.accepted_risks.is_empty() {
        message::overrides_while_updating(cluster_version)
    } else {
        front.accepted_risks.clone()
    };
    let (from, update_type) = classify_entry(cluster_version.history());
    let spec = UpdateRecordSpec {
        from: from.to_owned(),
        to: front.version.clone(),
        update_type: update_type.as_str().to_owned(),
        image: front.image.clone(),
        overrides: overrides(cluster_version),
        accepted_risks,
        by: accepted_by(records, cluster_version, front),
        accepted_time: if front.started_time.is_empty() { now.to_owned() } else { front.started_time.clone() },
    };
    Some(create(records, spec))
}

/// Whether that record is missing.
#[must_use]
pub fn is_unrecorded(records: &[UpdateRecord], cluster_version: &ClusterVersion, start: EntryStart) -> bool {
    unrecorded(records, cluster_version, start).is_some()
}

/// The newest entry of the history, if its record is missing.
fn unrecorded<'a>(
    records: &[UpdateRecord],
    cluster_version: &'a ClusterVersion,
    start: EntryStart,
) -> Option<&'a HistoryEntry> {
    let [front, older @ ..] = cluster_version.history() else { return None };
    let is_past = front.state == HistoryState::Completed && !start.is_new;
    let is_risky = !front.accepted_risks.is_empty() || is_under_overrides(cluster_version, front, older, start);
    let is_known = |record: &UpdateRecord| {
        is_linked(record, front) || (is_open(record) && may_be_of(record, front, cluster_version))
    };
    (!is_past && is_risky && !records.iter().any(is_known)).then_some(front)
}

/// Whether any record is about the requested release.
#[must_use]
pub fn is_requested(records: &[UpdateRecord], cluster_version: &ClusterVersion) -> bool {
    records.iter().any(|record| asks_for(cluster_version, record.spec.id()))
}

/// Whether the newest update is one to that release.
#[must_use]
pub fn is_in_front(cluster_version: &ClusterVersion, release: &Release) -> bool {
    cluster_version.history().first().is_some_and(|front| same_release(front.id(), release.id()))
}

/// Whether the update of the front entry is one under overrides, as far as that was seen. The first entry is the
/// installation, which accepts nothing.
fn is_under_overrides(
    cluster_version: &ClusterVersion,
    front: &HistoryEntry,
    older: &[HistoryEntry],
    start: EntryStart,
) -> bool {
    let desired = cluster_version.desired();
    let is_asked_for = same_release(front.id(), desired.id()) || asks_for(cluster_version, front.id());
    let is_set = cluster_version.unmanaged_overrides().next().is_some();
    is_set && !start.without_overrides && !older.is_empty() && is_asked_for
}

/// Who let an update through whose record is missing.
fn accepted_by(records: &[UpdateRecord], cluster_version: &ClusterVersion, front: &HistoryEntry) -> AcceptedBy {
    if !is_forced(front) {
        return AcceptedBy::Gate;
    }
    // A force of ours that was left in spec and carried along with the next request isn't the bridge's doing.
    let written = force_written(cluster_version);
    let carried = records.iter().any(|record| {
        let begun = record.status.as_ref().and_then(|status| status.started_time.as_deref());
        record.spec.by == AcceptedBy::Bridge && !is_about(record, front.id()) && begun >= written
    });
    let ours = written.is_some() && asks_for(cluster_version, front.id());
    if ours && !carried { AcceptedBy::Bridge } else { AcceptedBy::Force }
}

/// Whether the record of the newest, completed update is final: it is marked as completed, or there is none and none
/// will be written.
#[must_use]
pub fn is_accounted_for(records: &[UpdateRecord], cluster_version: &ClusterVersion, start: EntryStart) -> bool {
    let Some(front) = cluster_version.history().first() else { return false };
    match records.iter().find(|record| is_linked(record, front)) {
        Some(record) => record.status.as_ref().is_some_and(|status| status.outcome == Outcome::Completed),
        None => {
            !is_unrecorded(records, cluster_version, start)
                && !records.iter().any(|record| is_open(record) && may_be_of(record, front, cluster_version))
        }
    }
}

/// What has become of the records' updates, and which records leave.
#[must_use]
pub fn follow(records: &[UpdateRecord], cluster_version: &ClusterVersion) -> Vec<RecordWrite> {
    let mut writes: Vec<RecordWrite> = records
        .iter()
        .zip(record_match::positions(records, cluster_version))
        .filter_map(|(record, position)| {
            let status = status(record, position, cluster_version);
            if record.status.as_ref() == Some(&status) {
                return None;
            }
            let resource_version = record.metadata.resource_version.clone().map(ResourceVersion::from);
            Some(RecordWrite::Status {
                name: record.metadata.name.clone()?,
                resource_version,
                status: Box::new(status),
            })
        })
        .collect();
    let mut closed: Vec<&UpdateRecord> = records.iter().filter(|record| !is_open(record)).collect();
    closed.sort_unstable_by(|a, b| {
        (&a.spec.accepted_time, &a.metadata.name).cmp(&(&b.spec.accepted_time, &b.metadata.name))
    });
    let surplus = records.len().saturating_sub(LIMIT);
    writes.extend(closed.into_iter().take(surplus).filter_map(|record| {
        let (name, uid) = (record.metadata.name.clone()?, record.metadata.uid.clone().unwrap_or_default());
        Some(RecordWrite::Delete { name, uid: uid.into() })
    }));
    writes
}

/// The text of a record whose completed entry has lost it, with the entry: what the bridge may put back. A text that
/// the history never held isn't lost.
#[must_use]
pub fn lost<'a>(
    records: &'a [UpdateRecord],
    cluster_version: &'a ClusterVersion,
) -> Option<(&'a HistoryEntry, &'a str)> {
    let front = cluster_version.history().first()?;
    if front.state != HistoryState::Completed || !front.accepted_risks.is_empty() {
        return None;
    }
    let was_there = |record: &UpdateRecord| record.status.as_ref().is_some_and(|status| status.in_history.is_some());
    let record = records.iter().find(|record| is_linked(record, front) && was_there(record))?;
    Some((front, &record.spec.accepted_risks))
}

/// The newest update that the bridge forced and that was completed without a verified signature, unless a person
/// has acknowledged it, or a later update was completed with one: what the cluster runs then was verified.
#[must_use]
pub fn unverified<'a>(records: &'a [UpdateRecord], cluster_version: &ClusterVersion) -> Option<&'a UpdateRecord> {
    let verified = |record: &UpdateRecord| record.status.as_ref().and_then(|status| status.verified);
    let unverified =
        records.iter().filter(|record| record.spec.by == AcceptedBy::Bridge && verified(record) == Some(false));
    let newest = unverified.max_by_key(|record| &record.spec.accepted_time)?;
    let began = |record: &UpdateRecord| time(record.status.as_ref()?.started_time.as_deref()?);
    let is_later = |other: Option<Timestamp>| other.zip(began(newest)).is_some_and(|(other, newest)| other > newest);
    let is_superseded = records.iter().any(|record| verified(record) == Some(true) && is_later(began(record)))
        || cluster_version.history().iter().any(|entry| {
            entry.state == HistoryState::Completed && entry.verified && is_later(time(&entry.started_time))
        });
    let is_acknowledged = newest
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(names::ACKNOWLEDGED))
        .is_some_and(|value| value == "true");
    (!is_superseded && !is_acknowledged).then_some(newest)
}

/// The status of a record whose update is the entry at that position of the history.
fn status(record: &UpdateRecord, position: Option<usize>, cluster_version: &ClusterVersion) -> UpdateRecordStatus {
    let mut status = record.status.clone().unwrap_or_default();
    let history = cluster_version.history();
    if let Some(position) = position {
        let entry = &history[position];
        status.started_time = Some(entry.started_time.clone());
        status.in_history = match (record.spec.by, status.in_history) {
            // The history never had a text for an update that the CVO accepted without one.
            (AcceptedBy::Gate, None) if entry.accepted_risks.is_empty() => None,
            (AcceptedBy::Gate | AcceptedBy::Bridge | AcceptedBy::Force, _) => Some(!entry.accepted_risks.is_empty()),
        };
        match entry.state {
            HistoryState::Completed => {
                status.outcome = Outcome::Completed;
                status.completed_time = Some(entry.completion_time.clone()).filter(|time| !time.is_empty());
                status.verified = Some(entry.verified);
            }
            HistoryState::Partial if position == 0 && is_on_its_way(record, cluster_version) => {
                status.outcome = Outcome::Pending;
            }
            HistoryState::Partial => status.outcome = Outcome::Abandoned,
        }
    } else if status.outcome == Outcome::Pending {
        let taken_over = history.first().is_some_and(|front| {
            front.state == HistoryState::Partial
                && is_about(record, front.id())
                && !may_be_of(record, front, cluster_version)
        });
        let asked_for = asks_for(cluster_version, record.spec.id());
        if !asked_for || taken_over || status.started_time.is_some() {
            status.outcome = Outcome::Abandoned;
        }
    }
    status
}

/// Whether the update has begun, or may still: the gate puts its entry in front before, and the request may be cleared.
fn is_on_its_way(record: &UpdateRecord, cluster_version: &ClusterVersion) -> bool {
    let desired = cluster_version.desired();
    is_about(record, desired.id()) || asks_for(cluster_version, record.spec.id())
}

fn overrides(cluster_version: &ClusterVersion) -> Vec<RecordedOverride> {
    let recorded = cluster_version.unmanaged_overrides().map(|entry| RecordedOverride {
        group: entry.group.clone(),
        kind: entry.kind.clone(),
        namespace: entry.namespace.clone(),
        name: entry.name.clone(),
    });
    recorded.collect()
}

/// A record whose name is new.
fn create(records: &[UpdateRecord], spec: UpdateRecordSpec) -> UpdateRecord {
    let release = Release { version: spec.to.clone(), image: spec.image.clone(), ..Release::default() };
    let base = name(&release);
    let taken = |name: &str| records.iter().any(|record| record.metadata.name.as_deref() == Some(name));
    let free = std::iter::once(base.clone())
        .chain((2..=records.len() + 1).map(|number| format!("{base}-{number}")))
        .find(|name| !taken(name))
        .unwrap_or(base);
    UpdateRecord::new(&free, spec.within_bounds())
}

/// `VERSION-DIGEST12`, in what Kubernetes takes for a name.
pub(super) fn name(release: &Release) -> String {
    let version = if release.version.is_empty() { "unknown" } else { &release.version };
    let version: String = version.chars().take(VERSION_IN_NAME).collect();
    let digest = digest(&release.image).and_then(|digest| Some(digest.split_once(':')?.1.get(..12)?.to_owned()));
    let name = format!("{version}-{}", digest.as_deref().unwrap_or("no-digest")).to_lowercase();
    let allowed = |character: char| match character {
        'a'..='z' | '0'..='9' => character,
        '.' => '.',
        _ => '-',
    };
    let name: String = name.chars().map(allowed).collect();
    // A dot or a hyphen may neither begin nor end a name or a part of it.
    let parts = name.split('.').map(|part| part.trim_matches('-')).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(".")
}
