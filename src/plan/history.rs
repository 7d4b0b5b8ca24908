//! `status.history`, merged purely: which entry a request's accepted risks go to, and which entry leaves.
//!
//! The list is atomic and shared with the program that applies updates, so the result is never a new list, but the
//! change and the entries that were read.

use crate::{
    api::{ClusterVersion, ConditionStatus, HistoryEntry, HistoryState, UpdateRecord, names::condition},
    gate::{
        TargetVerdict, message,
        release::{is_current, same_release},
    },
    plan::{
        update_records::lost,
        write::{EntryWrite, HistoryWrite, TextWrite},
    },
};

/// Entries that stay, as the CRD and the CVO have it.
pub const LIMIT: usize = 100;
/// Entries that leave with one write, each by two operations: the API server takes at most 10,000 of these in a patch.
const LEAVING: usize = 1000;

/// Where in the history an accepted risk is missing.
enum Missing<'a> {
    /// The update's own entry is in front, without the text.
    Text(&'a HistoryEntry),
    /// The update has no entry yet.
    Entry,
}

/// The write that records the accepted risks of a request that goes ahead; `None` when there are none, or they
/// are recorded already. `now` is RFC 3339.
///
/// The program that applies the update completes its entry. A completed entry is not changed: a later verdict is not
/// what was accepted.
#[must_use]
pub fn record(cluster_version: &ClusterVersion, target_verdict: &TargetVerdict, now: &str) -> Option<HistoryWrite> {
    let resource_version = cluster_version.metadata.resource_version.clone();
    let text = message::accepted_risks(target_verdict);
    Some(match missing(cluster_version, target_verdict)? {
        Missing::Text(front) => {
            HistoryWrite::Text(TextWrite { resource_version, entry: Box::new(front.clone()), text })
        }
        Missing::Entry => {
            let history = cluster_version.history();
            HistoryWrite::Entry(Box::new(EntryWrite {
                resource_version,
                release: target_verdict.release.clone(),
                text,
                now: now.to_owned(),
                behind: history.first().cloned(),
                leaving: leaving(history, LIMIT).into_iter().map(|index| (index, history[index].clone())).collect(),
            }))
        }
    })
}

/// Whether a request goes ahead with accepted risks that the history doesn't have yet.
#[must_use]
pub fn is_unrecorded(cluster_version: &ClusterVersion, target_verdict: &TargetVerdict) -> bool {
    missing(cluster_version, target_verdict).is_some()
}

fn missing<'a>(cluster_version: &'a ClusterVersion, target_verdict: &TargetVerdict) -> Option<Missing<'a>> {
    if target_verdict.failed_step.is_some() || target_verdict.accepted_risks.is_empty() {
        return None;
    }
    match cluster_version.history().first() {
        Some(front)
            if front.state == HistoryState::Partial && same_release(front.id(), target_verdict.release.id()) =>
        {
            front.accepted_risks.is_empty().then_some(Missing::Text(front))
        }
        Some(_) | None => (!is_current(cluster_version, &target_verdict.release)).then_some(Missing::Entry),
    }
}

/// The write that puts the text of an UpdateRecord back into the completed entry that lost it: once for each entry,
/// and only while no other update is requested, because after a blocked request a CVO erases the text at every sync.
#[must_use]
pub fn restore(cluster_version: &ClusterVersion, records: &[UpdateRecord], is_restored: bool) -> Option<TextWrite> {
    let (entry, text) = lost(records, cluster_version)?;
    let accepted = cluster_version.condition(condition::RELEASE_ACCEPTED)?.status == ConditionStatus::True;
    let request = cluster_version.spec.desired_update.as_ref();
    let is_current = request.is_none_or(|request| same_release(entry.id(), request.id()));
    (accepted && is_current && !is_restored).then(|| TextWrite {
        resource_version: cluster_version.metadata.resource_version.clone(),
        entry: Box::new(entry.clone()),
        text: text.to_owned(),
    })
}

/// Indices in `history`, ascending, of the entries that leave when one more comes in front; at most [`LEAVING`].
fn leaving(history: &[HistoryEntry], limit: usize) -> Vec<usize> {
    let mut kept: Vec<(Option<usize>, &HistoryEntry)> = Vec::with_capacity(history.len() + 1);
    let in_front = HistoryEntry::default();
    kept.push((None, &in_front));
    kept.extend(history.iter().enumerate().map(|(index, entry)| (Some(index), entry)));
    let mut leaving = Vec::new();
    while kept.len() > limit.max(1) && leaving.len() < LEAVING {
        let entries: Vec<&HistoryEntry> = kept.iter().map(|(_, entry)| *entry).collect();
        let (index, _) = kept.remove(least_important(&entries));
        leaving.extend(index);
    }
    leaving.sort_unstable();
    leaving
}

/// The entry that the CVO's own pruning drops: the one with the lowest rank. Ranks are in hundredths; every
/// position from the front costs 1.01, which also keeps two entries from ranking alike.
fn least_important(entries: &[&HistoryEntry]) -> usize {
    const FOR_EVER: i64 = 100_000;
    const EDGE_OF_A_MINOR: i64 = 3_000;
    const PARTIAL_BETWEEN_MINORS: i64 = 2_000;
    const PARTIAL_BETWEEN_PATCHES: i64 = -2_000;
    const PER_POSITION: i64 = 101;
    const NEWEST: usize = 5;

    let completed = |entry: &HistoryEntry| entry.state == HistoryState::Completed;
    let newest_completed = entries.iter().position(|entry| completed(entry));
    let newer = last_before(entries.iter().copied(), completed);
    let mut older = last_before(entries.iter().rev().copied(), completed);
    older.reverse();
    let weight = |index: usize| {
        if index < NEWEST || index + 1 == entries.len() || newest_completed == Some(index) {
            return FOR_EVER;
        }
        let (newer, older, entry) = (newer[index], older[index], entries[index]);
        if completed(entry) {
            let edge = [newer, older]
                .iter()
                .any(|neighbour| neighbour.is_none_or(|neighbour| minor(entry) != minor(neighbour)));
            return if edge { EDGE_OF_A_MINOR } else { 0 };
        }
        match (newer, older) {
            (Some(newer), Some(older)) if minor(newer) != minor(older) => PARTIAL_BETWEEN_MINORS,
            (Some(newer), Some(older)) if patch(newer) != patch(older) => PARTIAL_BETWEEN_PATCHES,
            _ => 0,
        }
    };
    let mut position = 0;
    let ranks = (0..entries.len()).map(|index| {
        let rank = weight(index) - position;
        position += PER_POSITION;
        (rank, index)
    });
    ranks.min().map_or(0, |(_, index)| index)
}

/// For each item, the last one before it that fits.
fn last_before<T: Copy>(items: impl Iterator<Item = T>, fits: impl Fn(T) -> bool) -> Vec<Option<T>> {
    let mut last = None;
    items.map(|item| if fits(item) { last.replace(item) } else { last }).collect()
}

/// The text before the second dot. The versions need not be SemVer.
fn minor(entry: &HistoryEntry) -> Option<&str> {
    entry.version.split('.').nth(1)
}

fn patch(entry: &HistoryEntry) -> Option<&str> {
    entry.version.split('.').nth(2)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::gate::{Authority, Snapshot, evaluate, testing, testing::evaluate_to};

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn cluster(history: &Value) -> Value {
        json!({
            "metadata": {"resourceVersion": "7"},
            "spec": {
                "channel": "stable-4.21",
                "overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}],
                "desiredUpdate": {"version": "4.21.2"},
            },
            "status": {
                "desired": {"version": "4.21.1", "image": "one"},
                "history": history,
                "availableUpdates": [{"version": "4.21.2", "image": testing::TWO}],
            },
        })
    }

    /// Records the request of `object`, and returns the object as the API server would store it.
    fn recorded(object: &Value) -> Option<Value> {
        let snapshot = Snapshot { authority: Authority::Sole, ..testing::requested(object) };
        let verdict = evaluate(&snapshot);
        let patch = record(&snapshot.cluster_version, verdict.request().unwrap(), NOW)?.patch();
        let mut patched = object.clone();
        json_patch::patch(&mut patched, &patch).unwrap();
        Some(patched)
    }

    fn entry(state: &str, version: &str, image: &str) -> Value {
        json!({"state": state, "version": version, "image": image, "startedTime": "then", "completionTime": "then"})
    }

    #[test]
    fn an_accepted_risk_is_put_in_front_and_the_entry_left_behind_is_closed() {
        let behind = json!({"state": "Partial", "version": "4.21.1", "image": "one", "startedTime": "then",
                            "completionTime": null, "unknown": [1]});
        let patched = recorded(&cluster(&json!([behind]))).unwrap();
        let front = &patched["status"]["history"][0];
        assert_eq!(front["state"], "Partial");
        assert_eq!(front["version"], "4.21.2");
        assert_eq!(front["image"], testing::TWO);
        assert_eq!(front["startedTime"], NOW);
        assert_eq!(front["completionTime"], Value::Null);
        assert_eq!(front["verified"], false);
        let text = front["acceptedRisks"].as_str().unwrap();
        assert!(text.contains("\"ClusterVersionUpgradeable\"") && text.contains("\"ClusterVersionOverridesSet\""));
        assert!(text.contains("ClusterImagePolicy openshift"), "{text}");
        let mut closed = behind;
        closed["completionTime"] = json!(NOW);
        assert_eq!(patched["status"]["history"][1], closed);
        assert_eq!(patched["metadata"]["resourceVersion"], "7");
    }

    #[rstest]
    #[case::recorded(json!({"acceptedRisks": "something"}))]
    #[case::recorded_by_a_mirrors_name(json!({"acceptedRisks": "something", "image": ""}))]
    fn what_is_recorded_is_left_alone(#[case] fields: Value) {
        let mut front = entry("Partial", "4.21.2", testing::TWO);
        for (field, value) in fields.as_object().unwrap() {
            front[field] = value.clone();
        }
        assert_eq!(recorded(&cluster(&json!([front, entry("Completed", "4.21.1", "one")]))), None);
    }

    #[test]
    fn the_entry_that_is_already_there_gets_the_text_and_nothing_else() {
        let front = entry("Partial", "4.21.2", testing::TWO);
        let patched = recorded(&cluster(&json!([front, entry("Completed", "4.21.1", "one")]))).unwrap();
        let history = patched["status"]["history"].as_array().unwrap();
        assert_eq!(history.len(), 2);
        assert!(history[0]["acceptedRisks"].as_str().unwrap().contains("ClusterVersionOverridesSet"));
        assert_eq!(history[0]["completionTime"], "then");
        assert_eq!(history[1], entry("Completed", "4.21.1", "one"));
    }

    #[rstest]
    #[case::missing(json!(null))]
    #[case::empty(json!([]))]
    fn a_history_without_entries_gets_its_first(#[case] history: Value) {
        let patched = recorded(&cluster(&history)).unwrap();
        assert_eq!(patched["status"]["history"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_update_that_has_completed_is_not_touched_by_what_came_later() {
        let mut object = cluster(&json!([entry("Completed", "4.21.2", "two")]));
        object["status"]["desired"] = json!({"version": "4.21.2", "image": "two"});
        assert_eq!(recorded(&object), None);
    }

    #[test]
    fn a_changed_entry_fails_the_patch() {
        let object = cluster(&json!([entry("Completed", "4.21.1", "one")]));
        let cluster_version = ClusterVersion::from_value(object.clone()).unwrap();
        let target_verdict = evaluate_to(&cluster_version, "4.21.2");
        let patch = record(&cluster_version, &target_verdict, NOW).unwrap().patch();
        let mut changed = object;
        changed["status"]["history"][0]["verified"] = json!(true);
        assert!(json_patch::patch(&mut changed, &patch).is_err());
    }

    /// Histories as letters, newest first: `c` and `p` are Completed and Partial of 4.21, `C` and `P` of 4.20,
    /// each with a patch number of its own.
    fn entries(letters: &str) -> Vec<HistoryEntry> {
        let length = letters.len();
        letters
            .chars()
            .enumerate()
            .map(|(index, letter)| HistoryEntry {
                state: if letter.eq_ignore_ascii_case(&'c') { HistoryState::Completed } else { HistoryState::Partial },
                version: format!("4.{}.{}", if letter.is_lowercase() { 21 } else { 20 }, length - index),
                ..HistoryEntry::default()
            })
            .collect()
    }

    #[rstest]
    #[case::room_left("ccccc", 6, &[])]
    #[case::where_all_are_important_the_oldest("ccccc", 5, &[4])]
    #[case::a_partial_between_patches_goes_first("ccccccpcccc", 11, &[6])]
    #[case::else_the_oldest_in_the_middle_of_a_minor("ccccccccccc", 11, &[9])]
    #[case::the_edges_of_a_minor_stay("ccccccCC", 8, &[4])]
    #[case::a_partial_between_minors_goes_before_the_edges("cccccPCC", 8, &[5])]
    #[case::the_newest_completed_stays("ppppppcpC", 9, &[5])]
    #[case::several_at_once("ccccccccc", 7, &[5, 6, 7])]
    #[case::the_oldest_stays_even_where_it_is_partial("ccccccccccp", 11, &[8])]
    fn pruning(#[case] history: &str, #[case] limit: usize, #[case] expected: &[usize]) {
        assert_eq!(leaving(&entries(history), limit), expected);
    }

    /// A CVO keeps a hundred, but the CRD admits as many as fit into an object.
    #[test]
    fn a_history_of_thousands_is_pruned_a_thousand_at_a_time() {
        let history = vec![HistoryEntry::default(); 5000];
        let left = leaving(&history, LIMIT);
        assert_eq!((left.len(), left[0]), (1000, 3999));
    }

    #[test]
    fn a_partial_between_two_entries_of_one_version_ranks_like_any_other() {
        let mut history = entries("ccccccpccccc");
        assert_eq!(leaving(&history, 12), [6]);
        history[7].version = history[5].version.clone();
        assert_eq!(leaving(&history, 12), [10]);
    }

    const DIGEST: &str = "r@sha256:2222222222222222222222222222222222222222222222222222222222222222";

    /// A cluster that completed 4.21.2, whose CVO has erased what was accepted, after these changes to status and spec.
    fn erased(accepted: &str, request: &Value, text: &str) -> Value {
        let mut front = entry("Completed", "4.21.2", DIGEST);
        front["acceptedRisks"] = json!(text);
        json!({
            "metadata": {"resourceVersion": "7"},
            "spec": {"desiredUpdate": request},
            "status": {
                "desired": {"version": "4.21.2", "image": DIGEST},
                "history": [front],
                "conditions": [{"type": "ReleaseAccepted", "status": accepted}],
            },
        })
    }

    fn restored(object: &Value, before: &[String]) -> Option<Value> {
        let record = serde_json::from_value(json!({
            "apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord", "metadata": {"name": "a"},
            "spec": {"from": "4.21.1", "to": "4.21.2", "type": "patch", "image": DIGEST, "overrides": [],
                     "acceptedRisks": "what was accepted", "by": "Bridge", "acceptedTime": NOW},
            "status": {"outcome": "Completed", "startedTime": "then", "inHistory": true},
        }));
        let cluster_version = ClusterVersion::from_value(object.clone()).unwrap();
        let is_restored = before.contains(&cluster_version.history()[0].started_time);
        let patch = restore(&cluster_version, &[record.unwrap()], is_restored)?.patch();
        let mut patched = object.clone();
        json_patch::patch(&mut patched, &patch).unwrap();
        Some(patched)
    }

    #[rstest]
    #[case::nothing_asked_for(&json!(null))]
    #[case::still_asked_for(&json!({"version": "4.21.2", "image": DIGEST}))]
    #[case::by_its_version(&json!({"version": "4.21.2"}))]
    #[case::by_its_image(&json!({"image": DIGEST}))]
    fn a_text_that_was_erased_is_put_back_and_nothing_else(#[case] request: &Value) {
        let object = erased("True", request, "");
        let mut expected = object.clone();
        expected["status"]["history"][0]["acceptedRisks"] = json!("what was accepted");
        assert_eq!(restored(&object, &[]), Some(expected));
    }

    #[rstest]
    #[case::while_something_is_refused("False", &json!({"version": "4.21.2"}), "", "")]
    #[case::while_another_version_is_asked_for("True", &json!({"version": "4.21.3"}), "", "")]
    #[case::while_another_image_is_asked_for("True", &json!({"image": "r@sha256:3333"}), "", "")]
    #[case::where_it_is_there("True", &json!(null), "text", "")]
    #[case::a_second_time("True", &json!(null), "", "then")]
    fn nothing_is_put_back(#[case] accepted: &str, #[case] request: &Value, #[case] text: &str, #[case] before: &str) {
        assert_eq!(restored(&erased(accepted, request, text), &[before.to_owned()]), None);
    }
}
