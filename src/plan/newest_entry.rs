//! What this process has seen of the newest entry of the history. The history does not show whether overrides were
//! set when an update started, and an update may complete before it is seen in progress.

use crate::{
    api::{ClusterVersion, Uid, UpdateRecord},
    gate::Source,
    plan::record_match::has_record,
};

/// What was seen of the newest entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryStart {
    /// It came in front while this process watched, and no record of it was seen so far: it may be recorded even if it
    /// is completed already. What was in front at the start may be long past.
    pub is_new: bool,
    /// No override was unmanaged when this process first saw it: one that was set later is none that it start with.
    pub without_overrides: bool,
}

/// Follows the newest entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewestEntry {
    seen: Option<KnownEntry>,
    start: EntryStart,
}

/// The object, by its uid, and its newest entry by version, image and the time at which it start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KnownEntry {
    uid: Uid,
    entry: Option<[String; 3]>,
}

impl NewestEntry {
    /// Reads the newest entry again, and returns what is known of it.
    pub fn observe(&mut self, cluster_version: &ClusterVersion, records: &Source<Vec<UpdateRecord>>) -> EntryStart {
        let front = cluster_version.history().first();
        let seen = KnownEntry {
            uid: cluster_version.metadata.uid.clone(),
            entry: front.map(|entry| [entry.version.clone(), entry.image.clone(), entry.started_time.clone()]),
        };
        if self.seen.as_ref() != Some(&seen) {
            self.start = EntryStart {
                is_new: self.seen.as_ref().is_some_and(|before| before.uid == seen.uid && before.entry.is_some()),
                without_overrides: cluster_version.unmanaged_overrides().next().is_none(),
            };
            self.seen = Some(seen);
        }
        if let (Source::Read(records), Some(front)) = (records, front)
            && has_record(records, front)
        {
            self.start.is_new = false;
        }
        self.start
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn cluster(uid: &str, overrides: bool, entries: &[&str]) -> ClusterVersion {
        let history: Vec<Value> =
            entries.iter().map(|version| json!({"version": version, "image": version, "startedTime": "s"})).collect();
        ClusterVersion::from_value(json!({
            "metadata": {"uid": uid},
            "spec": {"overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": overrides}]},
            "status": {"history": history},
        }))
        .unwrap()
    }

    fn record(version: &str) -> UpdateRecord {
        serde_json::from_value(json!({
            "apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord", "metadata": {"name": "a"},
            "spec": {"from": "", "to": version, "type": "patch", "image": version, "overrides": [], "acceptedRisks": "",
                     "by": "Gate", "acceptedTime": "2026-01-01T00:00:00Z"},
            "status": {"outcome": "Pending", "startedTime": "s"},
        }))
        .unwrap()
    }

    const NEW: EntryStart = EntryStart { is_new: true, without_overrides: false };
    const OLD: EntryStart = EntryStart { is_new: false, without_overrides: false };

    #[rstest]
    #[case::what_was_there_at_the_start(&[cluster("u", true, &["1"])], &[], OLD)]
    #[case::what_comes_in_front(&[cluster("u", true, &["1"]), cluster("u", true, &["2", "1"])], &[], NEW)]
    #[case::it_stays_new(
        &[cluster("u", true, &["1"]), cluster("u", true, &["2", "1"]), cluster("u", true, &["2", "1"])], &[], NEW)]
    #[case::until_its_record_is_seen(&[cluster("u", true, &["1"]), cluster("u", true, &["2", "1"])], &["2"], OLD)]
    #[case::not_one_of_an_earlier_entry(&[cluster("u", true, &["1"]), cluster("u", true, &["2", "1"])], &["1"], NEW)]
    #[case::of_another_object(&[cluster("u", true, &["1"]), cluster("v", true, &["2", "1"])], &[], OLD)]
    #[case::a_history_that_was_empty(&[cluster("u", true, &[]), cluster("u", true, &["1"])], &[], OLD)]
    #[case::overrides_that_came_later(
        &[cluster("u", false, &["1"]), cluster("u", false, &["2", "1"]), cluster("u", true, &["2", "1"])], &[],
        EntryStart { is_new: true, without_overrides: true })]
    #[case::overrides_that_were_there_and_went(
        &[cluster("u", true, &["2", "1"]), cluster("u", false, &["2", "1"])], &[], OLD)]
    #[case::overrides_that_came_between_two_updates(
        &[cluster("u", false, &["1"]), cluster("u", true, &["1"]), cluster("u", true, &["2", "1"])], &[], NEW)]
    fn what_is_known_of_the_newest_entry(
        #[case] sights: &[ClusterVersion],
        #[case] recorded: &[&str],
        #[case] expected: EntryStart,
    ) {
        let mut front = NewestEntry::default();
        let records = Source::Read(recorded.iter().map(|version| record(version)).collect());
        let start = sights.iter().map(|sight| front.observe(sight, &records)).last();
        assert_eq!(start, Some(expected));
    }

    #[test]
    fn a_record_that_was_seen_and_is_gone_is_not_missing() {
        let mut front = NewestEntry::default();
        let sight = cluster("u", true, &["2", "1"]);
        front.observe(&cluster("u", true, &["1"]), &Source::Read(Vec::new()));
        front.observe(&sight, &Source::Read(vec![record("2")]));
        assert_eq!(front.observe(&sight, &Source::Read(Vec::new())), OLD);
    }
}
