//! One entry for each update, from its UpdateRecord, its entry in `status.history`, or both: pure.

use serde::Serialize;

use crate::{
    api::{AcceptedBy, ClusterVersion, HistoryEntry, HistoryState, Outcome, RecordedOverride, UpdateRecord},
    cli::check::Past,
    gate::update::classify_entry,
    plan::record_match::{positions, time},
};

/// The answer of `history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    /// Newest first.
    pub updates: Vec<Update>,
    /// The files that were read hold no UpdateRecord, so that `status.history` is the only source.
    #[serde(skip)]
    pub lacks_records: bool,
}

/// An update with accepted risks. A null is an unknown value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// What the cluster was updated to.
    pub version: Option<String>,
    /// What it was at.
    pub from: Option<String>,
    /// How the two relate.
    #[serde(rename = "type")]
    pub update_type: String,
    /// The release's image.
    pub image: Option<String>,
    /// Who let it through; only a record has it.
    pub by: Option<AcceptedBy>,
    /// When; only a record has it.
    pub accepted_time: Option<String>,
    /// When it began.
    pub started_time: Option<String>,
    /// When it was completed.
    pub completed_time: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the image's signature was verified, once it is completed.
    pub verified: Option<bool>,
    /// What was accepted.
    pub accepted_risks: String,
    /// The unmanaged overrides of that moment; only a record has them.
    pub overrides: Vec<RecordedOverride>,
    /// The UpdateRecord's name.
    pub record: Option<String>,
    /// `status.history` holds what was accepted.
    pub in_history: bool,
}

/// Merges records and history.
#[must_use]
pub fn merge(past: &Past) -> History {
    let cluster_version = past.cluster_version.as_ref();
    let history = cluster_version.map_or(&[][..], ClusterVersion::history);
    let positions =
        cluster_version.map(|cluster_version| positions(&past.records, cluster_version)).unwrap_or_default();
    let mut record_of: Vec<Option<&UpdateRecord>> = vec![None; history.len()];
    let mut alone = Vec::new();
    for (index, record) in past.records.iter().enumerate() {
        match positions.get(index).copied().flatten() {
            Some(position) if record_of[position].is_none() => record_of[position] = Some(record),
            _ => alone.push(Update::of_record(record)),
        }
    }
    let mut updates: Vec<Update> = record_of
        .into_iter()
        .enumerate()
        .filter(|(position, record)| record.is_some() || !history[*position].accepted_risks.is_empty())
        .map(|(position, record)| Update::of_entry(history, position, record))
        .chain(alone)
        .collect();
    // Stable: what began in the same second stays in the order of the history.
    updates.sort_by_key(|update| std::cmp::Reverse(update.when().and_then(time)));
    History { updates, lacks_records: past.from_files && past.records.is_empty() }
}

impl Update {
    /// When it was accepted, if known.
    #[must_use]
    pub fn when(&self) -> Option<&str> {
        self.accepted_time.as_deref().or(self.started_time.as_deref())
    }

    fn of_record(record: &UpdateRecord) -> Self {
        let (spec, status) = (&record.spec, record.status.clone().unwrap_or_default());
        Self {
            version: given(&spec.to),
            from: given(&spec.from),
            update_type: spec.update_type.clone(),
            image: given(&spec.image),
            by: Some(spec.by),
            accepted_time: given(&spec.accepted_time),
            started_time: status.started_time,
            completed_time: status.completed_time,
            outcome: status.outcome,
            verified: status.verified,
            accepted_risks: spec.accepted_risks.clone(),
            overrides: spec.overrides.clone(),
            record: record.metadata.name.clone(),
            in_history: false,
        }
    }

    /// The outcome is taken from the entry: a record may have been dumped earlier, or its operator may be gone.
    fn of_entry(history: &[HistoryEntry], position: usize, record: Option<&UpdateRecord>) -> Self {
        let entry = &history[position];
        let mut update = record.map_or_else(|| Self::without_record(history, position), Self::of_record);
        let completed = entry.state == HistoryState::Completed;
        update.version = update.version.or_else(|| given(&entry.version));
        update.image = update.image.or_else(|| given(&entry.image));
        update.started_time = given(&entry.started_time).or(update.started_time);
        update.in_history = !entry.accepted_risks.is_empty();
        update.outcome = match (completed, position) {
            (true, _) => Outcome::Completed,
            (false, 0) => Outcome::Pending,
            (false, _) => Outcome::Abandoned,
        };
        update.completed_time = if completed { given(&entry.completion_time) } else { None };
        update.verified = completed.then_some(entry.verified);
        if update.accepted_risks.is_empty() {
            update.accepted_risks.clone_from(&entry.accepted_risks);
        }
        update
    }

    fn without_record(history: &[HistoryEntry], position: usize) -> Self {
        let (from, update_type) = classify_entry(&history[position..]);
        Self {
            version: None,
            from: given(from),
            update_type: update_type.as_str().to_owned(),
            image: None,
            by: None,
            accepted_time: None,
            started_time: None,
            completed_time: None,
            outcome: Outcome::Pending,
            verified: None,
            accepted_risks: String::new(),
            overrides: Vec::new(),
            record: None,
            in_history: false,
        }
    }
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn record(name: &str, to: &str, accepted: &str, status: &Value) -> Value {
        json!({"apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord", "metadata": {"name": name},
               "spec": {"from": "4.21.1", "to": to, "type": "patch", "image": format!("r@sha256:{to}"), "overrides": [],
                        "acceptedRisks": "recorded", "by": "Bridge", "acceptedTime": accepted},
               "status": status})
    }

    fn entry(version: &str, state: &str, started: &str, risks: &str) -> Value {
        json!({"version": version, "image": format!("mirror@sha256:{version}"), "state": state, "startedTime": started,
               "completionTime": "2026-01-09T00:00:00Z", "verified": true, "acceptedRisks": risks})
    }

    fn at(day: u32) -> String {
        format!("2026-01-0{day}T00:00:00Z")
    }

    fn merged(records: &Value, history: &Value) -> Vec<Update> {
        let cluster_version = ClusterVersion::from_value(json!({"status": {"history": history}})).unwrap();
        let records = serde_json::from_value(records.clone()).unwrap();
        merge(&Past { cluster_version: Some(cluster_version), records, from_files: true }).updates
    }

    fn rows(updates: &[Update]) -> Vec<(&str, Option<&str>, Outcome, bool)> {
        updates
            .iter()
            .map(|update| {
                (update.version.as_deref().unwrap_or(""), update.record.as_deref(), update.outcome, update.in_history)
            })
            .collect()
    }

    #[rstest]
    #[case::both(json!([record("a", "4.21.2", &at(2), &json!({"startedTime": at(3)}))]),
        json!([entry("4.21.2", "Completed", &at(3), "text")]),
        &[("4.21.2", Some("a"), Outcome::Completed, true)])]
    #[case::the_history_lost_it(json!([record("a", "4.21.2", &at(2), &json!({"startedTime": at(3)}))]),
        json!([entry("4.21.2", "Completed", &at(3), "")]),
        &[("4.21.2", Some("a"), Outcome::Completed, false)])]
    #[case::never_followed(json!([record("a", "4.21.2", &at(2), &json!(null))]),
        json!([entry("4.21.2", "Partial", &at(3), "Forced through blocking failures: text")]),
        &[("4.21.2", Some("a"), Outcome::Pending, true)])]
    #[case::of_a_later_update(json!([record("a", "4.21.2", &at(4), &json!(null))]),
        json!([entry("4.21.2", "Completed", &at(3), "text")]),
        &[("4.21.2", Some("a"), Outcome::Pending, false), ("4.21.2", None, Outcome::Completed, true)])]
    #[case::twice(json!([record("a", "4.21.2", &at(1), &json!({"startedTime": at(1)})),
                         record("a-2", "4.21.2", &at(3), &json!({"startedTime": at(3)}))]),
        json!([entry("4.21.2", "Completed", &at(3), "text"), entry("4.21.1", "Completed", &at(2), ""),
               entry("4.21.2", "Completed", &at(1), "")]),
        &[("4.21.2", Some("a-2"), Outcome::Completed, true), ("4.21.2", Some("a"), Outcome::Completed, false)])]
    #[case::only_a_record(json!([record("a", "4.21.2", &at(2), &json!({"outcome": "Abandoned"}))]), json!([]),
        &[("4.21.2", Some("a"), Outcome::Abandoned, false)])]
    #[case::only_an_entry(json!([]), json!([entry("4.21.3", "Partial", &at(3), ""), entry("4.21.2", "Partial", &at(2), "text")]),
        &[("4.21.2", None, Outcome::Abandoned, true)])]
    #[case::newest_first(json!([record("a", "4.21.4", &at(4), &json!({"outcome": "Abandoned"}))]),
        json!([entry("4.21.5", "Completed", &at(5), "text"), entry("4.21.3", "Completed", &at(3), "text")]),
        &[("4.21.5", None, Outcome::Completed, true), ("4.21.4", Some("a"), Outcome::Abandoned, false),
          ("4.21.3", None, Outcome::Completed, true)])]
    fn one_update_is_one_entry(
        #[case] records: Value,
        #[case] history: Value,
        #[case] expected: &[(&str, Option<&str>, Outcome, bool)],
    ) {
        assert_eq!(rows(&merged(&records, &history)), expected);
    }

    #[test]
    fn fields_without_a_record_are_taken_from_the_history() {
        let history = json!([
            entry("4.21.1", "Completed", &at(4), "text"),
            entry("4.21.2", "Completed", &at(3), ""),
            entry("4.21.1", "Completed", &at(2), ""),
            entry("4.20.9", "Completed", &at(1), "older")
        ]);
        let updates = merged(&json!([]), &history);
        let [rollback, oldest] = updates.as_slice() else { panic!("{updates:#?}") };
        assert_eq!((rollback.from.as_deref(), rollback.update_type.as_str()), (Some("4.21.2"), "rollback"));
        assert_eq!((oldest.from.as_deref(), oldest.update_type.as_str(), oldest.by), (None, "unknown", None));
    }
}
