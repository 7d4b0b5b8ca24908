//! UpdateRecords, planned purely: one for each update that goes ahead with an accepted risk, written before the write
//! that it is about, followed until the update has ended, and pruned.

use serde_json::{Value, json};

use crate::{
    api::{
        AcceptedBy, ClusterVersion, HistoryEntry, HistoryState, Outcome, RecordedOverride, Release, UpdateRecord,
        UpdateRecordSpec, UpdateRecordStatus,
    },
    gate::{
        Judgement, Target, message,
        release::{digest, resolve, same_release},
        update::classify_entry,
    },
};

/// Records that stay.
pub const LIMIT: usize = 100;
/// Characters of the version in a record's name.
const VERSION_IN_NAME: usize = 200;

/// A write to UpdateRecords.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordWrite {
    /// A record that is missing.
    Create(Box<UpdateRecord>),
    /// A record's status has moved on.
    Status {
        /// The record.
        name: String,
        /// The merge patch, with the `resourceVersion` that was read.
        patch: Value,
    },
    /// A record beyond the limit.
    Delete(String),
}

/// The record that has to be there before an accepted request is acted on; `None` where it is.
#[must_use]
pub fn before_accepting(
    records: &[UpdateRecord],
    cluster_version: &ClusterVersion,
    judgement: &Judgement,
    by: AcceptedBy,
    now: &str,
) -> Option<RecordWrite> {
    let release = &judgement.release;
    if records.iter().any(|record| is_open(record) && is_about(record, &release.version, &release.image)) {
        return None;
    }
    let spec = UpdateRecordSpec {
        from: cluster_version.desired().version.clone(),
        to: release.version.clone(),
        update_type: judgement.update_type.as_str().to_owned(),
        image: release.image.clone(),
        overrides: overrides(cluster_version),
        accepted_risks: message::accepted_risks(judgement),
        by,
        accepted_time: now.to_owned(),
    };
    Some(create(records, spec))
}

/// The record of an update that somebody else let through: the front entry of the history carries accepted risks, has
/// not completed, and no record is about it.
#[must_use]
pub fn of_history(records: &[UpdateRecord], cluster_version: &ClusterVersion, now: &str) -> Option<RecordWrite> {
    let front = cluster_version.history().first()?;
    if front.state == HistoryState::Completed || front.accepted_risks.is_empty() {
        return None;
    }
    let known = |record: &UpdateRecord| {
        is_entry(record, front) || (is_open(record) && is_about(record, &front.version, &front.image))
    };
    if records.iter().any(known) {
        return None;
    }
    let (from, update_type) = classify_entry(cluster_version.history());
    let by = if front.accepted_risks.contains("Forced through") { AcceptedBy::Force } else { AcceptedBy::Gate };
    let spec = UpdateRecordSpec {
        from: from.to_owned(),
        to: front.version.clone(),
        update_type: update_type.as_str().to_owned(),
        image: front.image.clone(),
        overrides: overrides(cluster_version),
        accepted_risks: front.accepted_risks.clone(),
        by,
        accepted_time: now.to_owned(),
    };
    Some(create(records, spec))
}

/// What has become of the records' updates, and which records leave.
#[must_use]
pub fn follow(records: &[UpdateRecord], cluster_version: &ClusterVersion) -> Vec<RecordWrite> {
    let mut writes: Vec<RecordWrite> = records
        .iter()
        .filter_map(|record| {
            let status = status(records, record, cluster_version);
            if record.status.as_ref() == Some(&status) {
                return None;
            }
            let resource_version = &record.metadata.resource_version;
            let patch = json!({"metadata": {"resourceVersion": resource_version}, "status": status});
            Some(RecordWrite::Status { name: record.metadata.name.clone()?, patch })
        })
        .collect();
    let mut closed: Vec<&UpdateRecord> = records.iter().filter(|record| !is_open(record)).collect();
    closed.sort_unstable_by(|a, b| {
        (&a.spec.accepted_time, &a.metadata.name).cmp(&(&b.spec.accepted_time, &b.metadata.name))
    });
    let surplus = records.len().saturating_sub(LIMIT);
    writes
        .extend(closed.iter().take(surplus).filter_map(|record| record.metadata.name.clone()).map(RecordWrite::Delete));
    writes
}

/// The text of a record whose completed entry has lost it, with the entry: what the bridge may put back.
#[must_use]
pub fn lost<'a>(
    records: &'a [UpdateRecord],
    cluster_version: &'a ClusterVersion,
) -> Option<(&'a HistoryEntry, &'a str)> {
    let front = cluster_version.history().first()?;
    if front.state != HistoryState::Completed || !front.accepted_risks.is_empty() {
        return None;
    }
    let record = records.iter().find(|record| is_entry(record, front))?;
    Some((front, &record.spec.accepted_risks))
}

/// Whether some update that the bridge let through was completed without a verified signature.
#[must_use]
pub fn unverified(records: &[UpdateRecord]) -> Option<&UpdateRecord> {
    records.iter().find(|record| {
        record.spec.by == AcceptedBy::Bridge
            && record.status.as_ref().is_some_and(|status| status.verified == Some(false))
    })
}

fn status(records: &[UpdateRecord], record: &UpdateRecord, cluster_version: &ClusterVersion) -> UpdateRecordStatus {
    let mut status = record.status.clone().unwrap_or_default();
    let history = cluster_version.history();
    let linked = history.iter().position(|entry| is_entry(record, entry));
    let position = linked.or_else(|| {
        // An update begins as the newest entry; older ones of the same release are updates of their own.
        let front = history.first()?;
        let taken = records.iter().any(|other| is_entry(other, front));
        let begins = status.started_time.is_none() && status.outcome == Outcome::Pending && !taken;
        (begins && is_about(record, &front.version, &front.image)).then_some(0)
    });
    if let Some(position) = position {
        let entry = &history[position];
        status.started_time = Some(entry.started_time.clone());
        status.in_history = Some(!entry.accepted_risks.is_empty());
        match entry.state {
            HistoryState::Completed => {
                status.outcome = Outcome::Completed;
                status.completed_time = Some(entry.completion_time.clone()).filter(|time| !time.is_empty());
                status.verified = Some(entry.verified);
            }
            HistoryState::Partial if position > 0 => status.outcome = Outcome::Abandoned,
            HistoryState::Partial => status.outcome = Outcome::Pending,
        }
    } else if status.outcome == Outcome::Pending {
        let asked_for = Target::requested(cluster_version).is_some_and(|target| {
            let release = resolve(cluster_version, &target).release;
            is_about(record, &release.version, &release.image)
        });
        if !asked_for || status.started_time.is_some() {
            status.outcome = Outcome::Abandoned;
        }
    }
    status
}

fn is_open(record: &UpdateRecord) -> bool {
    record.status.as_ref().is_none_or(|status| status.outcome == Outcome::Pending)
}

fn is_about(record: &UpdateRecord, version: &str, image: &str) -> bool {
    same_release((&record.spec.to, &record.spec.image), (version, image))
}

fn is_entry(record: &UpdateRecord, entry: &HistoryEntry) -> bool {
    let started = record.status.as_ref().and_then(|status| status.started_time.as_deref());
    started == Some(entry.started_time.as_str()) && is_about(record, &entry.version, &entry.image)
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

fn create(records: &[UpdateRecord], spec: UpdateRecordSpec) -> RecordWrite {
    let release = Release { version: spec.to.clone(), image: spec.image.clone(), ..Release::default() };
    let base = name(&release);
    let taken = |name: &str| records.iter().any(|record| record.metadata.name.as_deref() == Some(name));
    let free = std::iter::once(base.clone())
        .chain((2..=records.len() + 1).map(|number| format!("{base}-{number}")))
        .find(|name| !taken(name))
        .unwrap_or(base);
    RecordWrite::Create(Box::new(UpdateRecord::new(&free, spec.within_bounds())))
}

/// `VERSION-DIGEST12`, in what Kubernetes takes for a name.
fn name(release: &Release) -> String {
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NOW: &str = "2026-01-02T03:04:05Z";
    const DIGEST: &str = "r@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn cluster(request: &Value, history: &Value) -> ClusterVersion {
        ClusterVersion::from_value(json!({
            "spec": {"desiredUpdate": request},
            "status": {"desired": {"version": "4.21.1", "image": "one"}, "history": history},
        }))
        .unwrap()
    }

    fn entry(state: &str, started: &str, risks: &str) -> Value {
        json!({"state": state, "version": "4.21.2", "image": DIGEST, "startedTime": started, "completionTime": "done",
               "verified": true, "acceptedRisks": risks})
    }

    fn record(name: &str, status: &Value) -> UpdateRecord {
        let spec = json!({"from": "4.21.1", "to": "4.21.2", "type": "patch", "image": DIGEST, "overrides": [],
                          "acceptedRisks": "text", "by": "Bridge", "acceptedTime": NOW});
        serde_json::from_value(json!({"apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord",
            "metadata": {"name": name, "resourceVersion": "5"}, "spec": spec, "status": status}))
        .unwrap()
    }

    fn statuses(writes: &[RecordWrite]) -> Vec<(String, Value)> {
        let status = |write: &RecordWrite| match write {
            RecordWrite::Status { name, patch } => Some((name.clone(), patch["status"].clone())),
            RecordWrite::Create(_) | RecordWrite::Delete(_) => None,
        };
        writes.iter().filter_map(status).collect()
    }

    #[rstest]
    #[case::plain("4.21.2", DIGEST, "4.21.2-0123456789ab")]
    #[case::build_metadata("4.21.2+Build_1", DIGEST, "4.21.2-build-1-0123456789ab")]
    #[case::no_digest("4.21.2", "r:tag", "4.21.2-no-digest")]
    #[case::no_version("", DIGEST, "unknown-0123456789ab")]
    #[case::odd("../..", DIGEST, "0123456789ab")]
    fn names(#[case] version: &str, #[case] image: &str, #[case] expected: &str) {
        let release = Release { version: version.into(), image: image.into(), ..Release::default() };
        assert_eq!(name(&release), expected);
    }

    #[rstest]
    #[case::begun(json!({"version": "4.21.2"}), json!([entry("Partial", "s1", "text")]), json!(null),
        json!({"outcome": "Pending", "startedTime": "s1", "inHistory": true}))]
    #[case::completed(json!(null), json!([entry("Completed", "s1", "text")]),
        json!({"outcome": "Pending", "startedTime": "s1", "inHistory": true}),
        json!({"outcome": "Completed", "startedTime": "s1", "completedTime": "done", "verified": true, "inHistory": true}))]
    #[case::lost_later(json!(null), json!([entry("Completed", "s1", "")]),
        json!({"outcome": "Completed", "startedTime": "s1", "completedTime": "done", "verified": true, "inHistory": true}),
        json!({"outcome": "Completed", "startedTime": "s1", "completedTime": "done", "verified": true, "inHistory": false}))]
    #[case::still_asked_for(json!({"version": "4.21.2"}), json!([]), json!(null), json!({"outcome": "Pending"}))]
    #[case::cleared(json!(null), json!([]), json!({"outcome": "Pending"}), json!({"outcome": "Abandoned"}))]
    #[case::another_asked_for(json!({"version": "4.21.3"}), json!([]), json!(null), json!({"outcome": "Abandoned"}))]
    #[case::left_behind(json!(null),
        json!([{"state": "Partial", "version": "4.21.3", "image": "x", "startedTime": "s2"}, entry("Partial", "s1", "text")]),
        json!({"outcome": "Pending", "startedTime": "s1", "inHistory": true}),
        json!({"outcome": "Abandoned", "startedTime": "s1", "inHistory": true}))]
    fn a_record_follows_its_update(
        #[case] request: Value,
        #[case] history: Value,
        #[case] before: Value,
        #[case] after: Value,
    ) {
        let cluster = cluster(&request, &history);
        let mut record = record("a", &before);
        let writes = follow(std::slice::from_ref(&record), &cluster);
        assert_eq!(statuses(&writes), [("a".to_owned(), after.clone())]);
        record.status = Some(serde_json::from_value(after).unwrap());
        assert_eq!(follow(&[record], &cluster), [], "nothing is written twice");
    }

    #[test]
    fn a_later_update_to_the_same_digest_has_a_record_of_its_own() {
        let done = record("4.21.2-0123456789ab", &json!({"outcome": "Completed", "startedTime": "s1"}));
        let cluster = cluster(&json!(null), &json!([entry("Partial", "s2", "Forced through blocking failures: x")]));
        let Some(RecordWrite::Create(second)) = of_history(&[done], &cluster, NOW) else { panic!("no record") };
        assert_eq!(second.metadata.name.as_deref(), Some("4.21.2-0123456789ab-2"));
        assert_eq!(second.spec.by, AcceptedBy::Force);
    }

    #[test]
    fn a_forced_rollback_is_called_one() {
        let older =
            |version: &str| json!({"state": "Completed", "version": version, "image": version, "startedTime": "s0"});
        let history = json!([entry("Partial", "s2", "text"), older("4.21.3"), older("4.21.2")]);
        let Some(RecordWrite::Create(record)) = of_history(&[], &cluster(&json!(null), &history), NOW) else {
            panic!("no record")
        };
        assert_eq!((record.spec.from.as_str(), record.spec.update_type.as_str()), ("4.21.3", "rollback"));
    }

    #[rstest]
    #[case::linked(json!({"outcome": "Pending", "startedTime": "s1"}))]
    #[case::written_before_the_entry(json!(null))]
    fn an_entry_has_one_record(#[case] status: Value) {
        let cluster = cluster(&json!(null), &json!([entry("Partial", "s1", "text")]));
        assert_eq!(of_history(&[record("a", &status)], &cluster, NOW), None);
    }

    #[test]
    fn the_oldest_records_leave_and_open_ones_stay() {
        let mut records: Vec<UpdateRecord> = (0..=LIMIT)
            .map(|index| {
                let mut record = record(&format!("r{index:03}"), &json!({"outcome": "Abandoned"}));
                record.spec.accepted_time = format!("2026-01-01T00:{:02}:{:02}Z", index / 60, index % 60);
                record
            })
            .collect();
        records[0].status = None;
        let cluster = cluster(&json!({"version": "4.21.2", "image": DIGEST}), &json!([]));
        let writes = follow(&records, &cluster);
        assert!(writes.contains(&RecordWrite::Delete("r001".into())), "{writes:?}");
        assert_eq!(writes.iter().filter(|write| matches!(write, RecordWrite::Delete(_))).count(), 1);
    }
}
