//! The invariants, checked on raw objects without the code under test. Violations by a write are found when it is applied,
//! and kept in the state. That the cluster reaches the expected end is checked from every state.

use serde_json::{Value, json};
use stateright::Property;

use upgrade_gate::{
    api::{AcceptedBy, Outcome, UpdateRecord},
    plan::{Write, role::Role},
};

use crate::{
    Protocol, State,
    actors::{MINOR, PATCH, condition, has_override, image, is_forced, requested},
    server::Stored,
    tables::Tables,
};

/// More steps than any state needs to reach its end without faults.
const MOVES: usize = 80;

/// An invariant; the name says what always holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    Accepted,
    Entries,
    Records,
    Lost,
    Foreign,
    Late,
    Force,
    Unforce,
}

impl Invariant {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "a minor is accepted only without a risk or by force",
            Self::Entries => "one request has one entry in the history",
            Self::Records => "one request has one UpdateRecord",
            Self::Lost => "no entry, text or record is lost",
            Self::Foreign => "a write changes no field of another writer",
            Self::Late => "a write that is applied after the Lease has expired was in flight when it expired",
            Self::Unforce => "only a force of the bridge is removed, and only after its update",
            Self::Force => "force is set only under the bridge's conditions",
        }
    }
}

/// From every state the cluster reaches the expected end if nothing else happens.
pub const REACHES_EXPECTED_END: &str = "the cluster reaches the expected end if nothing else happens";

/// Shows that the model makes progress.
pub const COMPLETED: &str = "an update with an accepted risk is completed";

/// The invariants that were violated so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Violations(u8);

impl Violations {
    fn mark(&mut self, invariant: Invariant, is_broken: bool) {
        self.0 |= u8::from(is_broken) << invariant as u8;
    }

    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn has(self, invariant: Invariant) -> bool {
        self.0 & (1 << invariant as u8) != 0
    }

    /// The violations by a write of the operator.
    pub fn by(write: &Write, before: &Stored, after: &Stored) -> Self {
        let mut violations = Self::default();
        let (old, new) = (&before.object, &after.object);
        let lost = before.records.iter().any(|old| !after.records.iter().any(|new| continues(old, new)));
        violations.mark(Invariant::Lost, lost || loses_an_entry(old, new));
        match write {
            Write::Conditions(_) => {
                let accepted = condition(new, "ReleaseAccepted")["status"] == "True";
                violations.mark(Invariant::Accepted, accepted && requested(new).is_some() && !is_allowed(new));
                let kept = |object: &Value| without(object, &["Upgradeable", "ReleaseAccepted"], false);
                violations.mark(Invariant::Foreign, kept(old) != kept(new));
            }
            Write::History(_) | Write::Restore(_) => {
                violations
                    .mark(Invariant::Foreign, without(old, &[], true) != without(new, &[], true) || rewrites(old, new));
            }
            Write::Force(_) => {
                violations.mark(Invariant::Force, !may_force(old));
                let mut unforced = new.clone();
                unforced["spec"]["desiredUpdate"] = old["spec"]["desiredUpdate"].clone();
                violations.mark(Invariant::Foreign, without(old, &[], false) != without(&unforced, &[], false));
            }
            Write::Unforce(_) => {
                violations.mark(Invariant::Unforce, !may_unforce(old));
                let mut kept = old.clone();
                let request = kept["spec"]["desiredUpdate"].as_object_mut().unwrap();
                request.remove("force");
                if owns(old, "image") {
                    request.remove("image");
                }
                violations.mark(Invariant::Foreign, without(&kept, &[], false) != without(new, &[], false));
            }
            _ => violations.mark(Invariant::Foreign, old != new),
        }
        violations
    }

    /// Adds the violations of a state.
    pub fn in_state(mut self, tables: &mut Tables, state: &State) -> Self {
        let (entries, records) = tables.counts(state.object, state.records);
        let more = |counts: [u8; 2]| counts.iter().zip(state.asked).any(|(count, asked)| *count > asked);
        self.mark(Invariant::Entries, more(entries));
        self.mark(Invariant::Records, more(records));
        self.mark(Invariant::Late, state.replicas.iter().any(|replica| replica.late > 2));
        self
    }
}

/// Entries of the patch and of the minor in the history, and UpdateRecords.
pub fn counts(object: &Value, records: &[UpdateRecord]) -> ([u8; 2], [u8; 2]) {
    let count = |matches: &dyn Fn(&str) -> usize| [PATCH, MINOR].map(|version| u8::try_from(matches(version)).unwrap());
    let entries = |version: &str| history(object).iter().filter(|entry| entry["version"] == version).count();
    let records = |version: &str| records.iter().filter(|record| record.spec.to == version).count();
    (count(&entries), count(&records))
}

fn history(object: &Value) -> &[Value] {
    object["status"]["history"].as_array().unwrap()
}

/// Whether the request may be accepted, by the rules of the documentation.
fn is_allowed(object: &Value) -> bool {
    let current = object["status"]["desired"]["version"].as_str().unwrap();
    let risk = has_override(object) || condition(object, "Progressing")["status"] == "True";
    match requested(object) {
        Some(PATCH) => current < PATCH,
        Some(_) => is_forced(object) || !risk,
        None => true,
    }
}

/// Whether a request may be forced: a patch that the CVO refuses for overrides, in a message about this release.
fn may_force(object: &Value) -> bool {
    let refused = condition(object, "ReleaseAccepted");
    let message = refused["message"].as_str().unwrap_or_default();
    requested(object) == Some(PATCH)
        && is_allowed(object)
        && !is_forced(object)
        && has_override(object)
        && (refused["status"] == "False" && refused["reason"] == "PreconditionChecks")
        && (message.contains(&format!("\"{PATCH}\"")) && message.contains(&image(PATCH)))
}

/// Whether a force may be removed: it was set by the bridge, and its update has completed.
fn may_unforce(object: &Value) -> bool {
    let front = &history(object)[0];
    let request = &object["spec"]["desiredUpdate"];
    is_forced(object)
        && owns(object, "force")
        && front["state"] == "Completed"
        && (front["version"] == request["version"] && front["image"] == request["image"])
        && condition(object, "Progressing")["status"] == "False"
}

/// Whether the bridge owns that field of the request.
fn owns(object: &Value, field: &str) -> bool {
    let entries = object["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().any(|entry| {
        entry["manager"] == "upgrade-gate"
            && entry["fieldsV1"]["f:spec"]["f:desiredUpdate"].get(format!("f:{field}")).is_some()
    })
}

/// The object without its metadata, without conditions of these kinds, and without the history if `history` is set.
fn without(object: &Value, kinds: &[&str], history: bool) -> Value {
    let mut object = object.clone();
    object["metadata"] = Value::Null;
    object["status"]["conditions"]
        .as_array_mut()
        .unwrap()
        .retain(|found| !kinds.iter().any(|kind| found["type"] == *kind));
    if history {
        object["status"]["history"] = Value::Null;
    }
    object
}

/// Whether an entry, or its text, was lost.
fn loses_an_entry(old: &Value, new: &Value) -> bool {
    let kept = |entry: &Value| {
        history(new).iter().any(|found| {
            found["startedTime"] == entry["startedTime"]
                && found["version"] == entry["version"]
                && (text(entry).is_empty() || text(found) == text(entry))
        })
    };
    !history(old).iter().all(kept)
}

fn text(entry: &Value) -> &str {
    entry["acceptedRisks"].as_str().unwrap_or_default()
}

/// Whether an older entry was changed other than by adding a missing text or completion time.
fn rewrites(old: &Value, new: &Value) -> bool {
    let grown = history(new).len() - history(old).len();
    let same = |(old, new): (&Value, &Value)| {
        let (mut old, mut new) = (old.clone(), new.clone());
        let field = if grown == 0 { "acceptedRisks" } else { "completionTime" };
        if old[field].as_str().is_none_or(str::is_empty) {
            (old[field], new[field]) = (Value::Null, Value::Null);
        }
        old == new
    };
    grown > 1 || !history(old).iter().zip(&history(new)[grown..]).all(same)
}

/// Whether `new` is a later state of the record `old`.
fn continues(old: &UpdateRecord, new: &UpdateRecord) -> bool {
    old.metadata.name == new.metadata.name && old.spec == new.spec
}

/// Whether this is the expected end.
fn is_expected_end(role: Role, object: &Value, records: &[UpdateRecord]) -> bool {
    let risk = has_override(object) || condition(object, "Progressing")["status"] == "True";
    let upgradeable = condition(object, "Upgradeable")["status"] == json!(if risk { "False" } else { "True" });
    let waits = requested(object).is_some();
    let refused = condition(object, "ReleaseAccepted")["status"] == "False";
    let finished =
        condition(object, "Progressing")["status"] != "True" && waits == refused && !(waits && is_allowed(object));
    // A CVO of 4.21 accepts an update under overrides only by force, unless it began before they were set.
    let accepted = |record: &UpdateRecord| record.spec.by == AcceptedBy::Gate && !began_before_overrides(record);
    let forced = role != Role::Bridge || !records.iter().any(accepted);
    let unforced = !(is_forced(object) && owns(object, "force"));
    upgradeable && finished && forced && unforced && is_accounted_for(role, object, records)
}

/// Whether overrides were set only while this update was in progress, so that nothing was accepted at its start.
fn began_before_overrides(record: &UpdateRecord) -> bool {
    record.spec.accepted_risks.starts_with("Overrides were set while")
}

/// Whether each update with accepted risks has its record, with its outcome.
fn is_accounted_for(role: Role, object: &Value, records: &[UpdateRecord]) -> bool {
    let of = |entry: &Value| -> Vec<&UpdateRecord> {
        let started = |record: &&UpdateRecord| {
            let status = record.status.as_ref();
            status.is_some_and(|status| json!(status.started_time) == entry["startedTime"])
        };
        records.iter().filter(started).collect()
    };
    // It was forced once, and is still requested.
    let may_come = |record: &UpdateRecord| requested(object) == Some(&record.spec.to);
    let ended = |record: &UpdateRecord| record.status.as_ref().map(|status| status.outcome);
    let has_its_record = |entry: &Value| match of(entry).as_slice() {
        // A CVO erases accepted risks; only the record is left.
        [] => text(entry).is_empty(),
        [record] if entry["state"] == "Completed" => ended(record) == Some(Outcome::Completed),
        [record] => ended(record) == Some(Outcome::Abandoned) || may_come(record),
        _ => false,
    };
    let pending = |record: &&UpdateRecord| ended(record).is_none_or(|outcome| outcome == Outcome::Pending);
    let settled = records.iter().filter(pending).all(may_come);
    let has_text =
        |record: &UpdateRecord| began_before_overrides(record) || record.spec.accepted_risks.contains("Precondition");
    let kept = role == Role::Bridge || records.iter().all(has_text);
    let somewhere = records.iter().all(|record| record.spec.from != record.spec.to);
    settled && kept && somewhere && history(object).iter().all(has_its_record)
}

/// Whether the newest update has accepted risks, and no record that follows it.
pub fn is_unrecorded(object: &Value, records: &[UpdateRecord]) -> bool {
    let front = &history(object)[0];
    let follows = |record: &UpdateRecord| {
        front["version"] == json!(record.spec.to)
            && record.status.as_ref().is_none_or(|status| status.outcome == Outcome::Pending)
    };
    front["state"] == "Partial" && !text(front).is_empty() && !records.iter().any(follows)
}

/// Whether the cluster reaches the expected end from this state if nothing else happens.
fn reaches_expected_end(model: &Protocol, state: &State) -> bool {
    let tables = &mut *model.tables.lock().unwrap();
    let mut way = vec![state.clone()];
    let end = loop {
        let here = &way[way.len() - 1];
        if let Some(&known) = tables.ends.get(here) {
            break known;
        }
        if way.len() > MOVES {
            break false;
        }
        match model.continue_without_faults(tables, here) {
            Some(next) => way.push(next),
            None => break is_expected_end(model.role, &tables.object(here.object), &tables.records(here.records)),
        }
    };
    tables.ends.extend(way.into_iter().map(|state| (state, end)));
    end
}

pub fn properties() -> Vec<Property<Protocol>> {
    macro_rules! always_holds {
        ($invariant:expr) => {
            Property::always($invariant.name(), |_, state: &State| !state.violations.has($invariant))
        };
    }
    vec![
        always_holds!(Invariant::Accepted),
        always_holds!(Invariant::Entries),
        always_holds!(Invariant::Records),
        always_holds!(Invariant::Lost),
        always_holds!(Invariant::Foreign),
        always_holds!(Invariant::Late),
        always_holds!(Invariant::Force),
        always_holds!(Invariant::Unforce),
        Property::always(REACHES_EXPECTED_END, reaches_expected_end),
        Property::sometimes(COMPLETED, |model: &Protocol, state: &State| {
            model
                .tables
                .lock()
                .unwrap()
                .records(state.records)
                .iter()
                .any(|record| record.status.as_ref().is_some_and(|status| status.outcome == Outcome::Completed))
        }),
    ]
}
