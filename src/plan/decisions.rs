//! What a CVO has decided on a request: pure. The history shows that it accepted a release; `ReleaseAccepted` or
//! `Invalid` shows that it refuses one.

use serde_json::Value;

use crate::{
    api::{ClusterVersion, ConditionStatus, HistoryState, UpdateRecord, names::condition},
    gate::{
        Decision, Snapshot, Source, Step, UpdateType, Verdict, message,
        request::{self, Standing},
        update::classify_entry,
    },
    plan::{
        bridge::{ForceDecision, skip_reason::SkipReason},
        events::{EventContent, Reason, blocked, requested_update, update},
        newest_entry::EntryStart,
        record_match,
        role::owns_force,
    },
};

/// A decision of a CVO, with its events and its labels in metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CvoDecision {
    /// Which decision it is.
    pub subject: Subject,
    /// The kind of update.
    pub update_type: UpdateType,
    /// How it was decided.
    pub decision: Decision,
    /// The events.
    pub events: Vec<EventContent>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An update has begun: its entry in the history, by version, image and the time at which it began.
    Entry {
        /// Its version, image and `startedTime`.
        entry: [String; 3],
        /// An UpdateRecord is about it already.
        is_recorded: bool,
    },
    /// A request was refused.
    Request {
        /// `spec.desiredUpdate`.
        request: Value,
        /// The step that failed.
        step: Step,
    },
}

/// What was reported of the newest entry and of the present request, each once. A process that starts does not know
/// what others have reported, so it may report the current state again.
#[derive(Clone, Debug, Default)]
pub struct Reported {
    entry: Option<[String; 3]>,
    request: Value,
    steps: Vec<Step>,
    /// True once it has read the history as the leader.
    looked: bool,
}

impl Reported {
    /// The decisions that weren't reported yet, which they are from now on.
    pub fn news(&mut self, snapshot: &Snapshot, decided: Vec<CvoDecision>) -> Vec<CvoDecision> {
        let request = snapshot.cluster_version.spec.desired_update.as_ref().map_or(&Value::Null, |update| &update.raw);
        if self.request != *request {
            self.request = request.clone();
            self.steps.clear();
        }
        let is_first_look = !std::mem::replace(&mut self.looked, true);
        decided.into_iter().filter(|decided| self.is_news(&decided.subject, is_first_look)).collect()
    }

    /// Another replica leads now, and reports.
    pub fn steps_down(&mut self) {
        self.looked = false;
    }

    /// The newest entry is one of a release that was reported as forced.
    pub fn is_known(&mut self, cluster_version: &ClusterVersion) {
        self.entry = cluster_version.history().first().map(entry_of);
    }

    fn is_news(&mut self, subject: &Subject, is_first_look: bool) -> bool {
        match subject {
            Subject::Entry { entry, is_recorded } => {
                let is_news = self.entry.as_ref() != Some(entry);
                self.entry = Some(entry.clone());
                // The writer of the record has reported it.
                is_news && !(is_first_look && *is_recorded)
            }
            Subject::Request { step, .. } => {
                let is_news = !self.steps.contains(step);
                if is_news {
                    self.steps.push(*step);
                }
                is_news
            }
        }
    }
}

fn entry_of(entry: &crate::api::HistoryEntry) -> [String; 3] {
    [entry.version.clone(), entry.image.clone(), entry.started_time.clone()]
}

/// What the CVO has decided on the newest update and on the request.
#[must_use]
pub fn of_cvo(
    snapshot: &Snapshot,
    verdict: &Verdict,
    force: Option<&ForceDecision>,
    records: &Source<Vec<UpdateRecord>>,
    start: EntryStart,
) -> Vec<CvoDecision> {
    let accepted = accepted(&snapshot.cluster_version, records, start);
    accepted.into_iter().chain(refused(snapshot, verdict, force)).collect()
}

/// An update that has begun, or was completed since this process watches. The first entry is the installation, which
/// was not requested.
fn accepted(
    cluster_version: &ClusterVersion,
    records: &Source<Vec<UpdateRecord>>,
    start: EntryStart,
) -> Option<CvoDecision> {
    let [front, older @ ..] = cluster_version.history() else { return None };
    if older.is_empty() || (front.state == HistoryState::Completed && !start.is_new) {
        return None;
    }
    let (from, update_type) = classify_entry(cluster_version.history());
    let to = if front.version.is_empty() { &front.image } else { &front.version };
    let update = update(from, to, update_type);
    let overrides = message::overrides(cluster_version);
    let is_under_overrides = !overrides.is_empty() && !start.without_overrides;
    let how = match front.accepted_risks.as_str() {
        "" if is_under_overrides => format!(" while overrides are set: {overrides}"),
        "" => ".".to_owned(),
        risks => format!(" with accepted risks: {}", message::sanitize(risks)),
    };
    let mut events = vec![EventContent { reason: Reason::UpdateAccepted, note: format!("{update} goes ahead{how}") }];
    let asked_with_force = cluster_version.spec.desired_update.as_ref().is_some_and(|request| request.force)
        && !owns_force(cluster_version)
        && record_match::asks_for(cluster_version, front.id());
    if is_under_overrides && (record_match::is_forced(front) || asked_with_force) {
        let note = format!("{update} was forced while overrides are set: {overrides}");
        events.push(EventContent { reason: Reason::ForcedPastOverrides, note });
    }
    let is_recorded = matches!(records, Source::Read(records) if record_match::has_record(records, front));
    let subject = Subject::Entry { entry: entry_of(front), is_recorded };
    Some(CvoDecision { subject, update_type, decision: Decision::Allowed, events })
}

/// The request that the CVO refuses, unless the bridge lets it through or may within moments.
fn refused(snapshot: &Snapshot, verdict: &Verdict, force: Option<&ForceDecision>) -> Option<CvoDecision> {
    let cluster_version = &snapshot.cluster_version;
    let target_verdict = verdict.request().filter(|target_verdict| !target_verdict.is_current)?;
    let is_invalid =
        cluster_version.condition(condition::INVALID).is_some_and(|found| found.status == ConditionStatus::True);
    let step = match request::word(cluster_version).map(request::standing) {
        Some(Standing::RefusedForOverrides) => Step::PreconditionChecks,
        Some(Standing::Refused(step)) => step,
        // Its message may not name the request. Our own verdict is also that this request is invalid.
        _ if is_invalid && target_verdict.failed_step == Some(Step::Invalid) => Step::Invalid,
        Some(Standing::Accepted | Standing::Undecided) | None => return None,
    };
    let skip_reason = match force {
        Some(Ok(_)) => return None,
        Some(Err(skip_reason)) => Some(*skip_reason),
        None => None,
    };
    if target_verdict.decision() == Decision::Allowed && skip_reason.is_none_or(SkipReason::may_pass) {
        return None;
    }
    let note = match (target_verdict.decision(), skip_reason) {
        (Decision::Allowed, Some(skip_reason)) => {
            format!("{} is blocked: {}", requested_update(cluster_version, target_verdict), skip_reason.message())
        }
        (Decision::Allowed | Decision::Blocked, _) => blocked(cluster_version, target_verdict),
    };
    let request = cluster_version.spec.desired_update.as_ref().map_or(Value::Null, |update| update.raw.clone());
    Some(CvoDecision {
        subject: Subject::Request { request, step },
        update_type: target_verdict.update_type,
        decision: Decision::Blocked,
        events: vec![EventContent { reason: Reason::UpdateBlocked, note }],
    })
}
