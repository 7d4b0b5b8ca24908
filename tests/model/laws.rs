//! The laws, on raw objects and by other means than the gate's. What a write breaks is seen when it lands, and kept in
//! the state; whether a state that is left alone comes to rest, and where, is tried out from every single one.

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

/// Moves until a state that is left alone has come to rest, with much to spare.
const MOVES: usize = 80;

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    Accepted,
    Entries,
    Records,
    Lost,
    Foreign,
    Late,
    Force,
    Unforce,
}

impl Law {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "a minor is accepted without a risk or by force only",
            Self::Entries => "one request has one entry in the history",
            Self::Records => "one request has one UpdateRecord",
            Self::Lost => "what is recorded stays",
            Self::Foreign => "a write changes nothing that is somebody else's",
            Self::Late => "what lands after a lease has ended was under way when it did",
            Self::Unforce => "only a force of the bridge is removed, and only after its update",
            Self::Force => "force is written under the bridge's conditions only",
        }
    }
}

/// That, left alone, every state comes to rest where it should.
pub const REST: &str = "left alone, the cluster comes to rest in the right state";

/// That the model gets anywhere.
pub const COMPLETED: &str = "an update with an accepted risk is completed";

/// The laws that were broken so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Broken(u8);

impl Broken {
    fn mark(&mut self, law: Law, is_broken: bool) {
        self.0 |= u8::from(is_broken) << law as u8;
    }

    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn has(self, law: Law) -> bool {
        self.0 & (1 << law as u8) != 0
    }

    /// What a write of ours breaks.
    pub fn by(write: &Write, before: &Stored, after: &Stored) -> Self {
        let mut broken = Self::default();
        let (old, new) = (&before.object, &after.object);
        let lost = before.records.iter().any(|old| !after.records.iter().any(|new| continues(old, new)));
        broken.mark(Law::Lost, lost || loses_an_entry(old, new));
        match write {
            Write::Conditions(_) => {
                let accepted = condition(new, "ReleaseAccepted")["status"] == "True";
                broken.mark(Law::Accepted, accepted && requested(new).is_some() && !is_allowed(new));
                let kept = |object: &Value| without(object, &["Upgradeable", "ReleaseAccepted"], false);
                broken.mark(Law::Foreign, kept(old) != kept(new));
            }
            Write::History(_) | Write::Restore(_) => {
                broken.mark(Law::Foreign, without(old, &[], true) != without(new, &[], true) || rewrites(old, new));
            }
            Write::Force(_) => {
                broken.mark(Law::Force, !may_force(old));
                let mut unforced = new.clone();
                unforced["spec"]["desiredUpdate"] = old["spec"]["desiredUpdate"].clone();
                broken.mark(Law::Foreign, without(old, &[], false) != without(&unforced, &[], false));
            }
            Write::Unforce(_) => {
                broken.mark(Law::Unforce, !may_unforce(old));
                let mut kept = old.clone();
                let request = kept["spec"]["desiredUpdate"].as_object_mut().unwrap();
                request.remove("force");
                if owns(old, "image") {
                    request.remove("image");
                }
                broken.mark(Law::Foreign, without(&kept, &[], false) != without(new, &[], false));
            }
            _ => broken.mark(Law::Foreign, old != new),
        }
        broken
    }

    /// What a state breaks.
    pub fn in_state(mut self, tables: &mut Tables, state: &State) -> Self {
        let (entries, records) = tables.counts(state.object, state.records);
        let more = |counts: [u8; 2]| counts.iter().zip(state.asked).any(|(count, asked)| *count > asked);
        self.mark(Law::Entries, more(entries));
        self.mark(Law::Records, more(records));
        self.mark(Law::Late, state.replicas.iter().any(|replica| replica.late > 2));
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

/// Whether what is asked for may go ahead, the way a person would say it.
fn is_allowed(object: &Value) -> bool {
    let current = object["status"]["desired"]["version"].as_str().unwrap();
    let risk = has_override(object) || condition(object, "Progressing")["status"] == "True";
    match requested(object) {
        Some(PATCH) => current < PATCH,
        Some(_) => is_forced(object) || !risk,
        None => true,
    }
}

/// Whether a request may be forced: a patch that the CVO refuses, in its message on this very release, for overrides.
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

/// Whether a force may be removed: one of the bridge's, on an update that is completed.
fn may_unforce(object: &Value) -> bool {
    let front = &history(object)[0];
    let request = &object["spec"]["desiredUpdate"];
    is_forced(object)
        && owns(object, "force")
        && front["state"] == "Completed"
        && (front["version"] == request["version"] && front["image"] == request["image"])
        && condition(object, "Progressing")["status"] == "False"
}

/// Whether that field of the request is the bridge's.
fn owns(object: &Value, field: &str) -> bool {
    let entries = object["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().any(|entry| {
        entry["manager"] == "upgrade-gate"
            && entry["fieldsV1"]["f:spec"]["f:desiredUpdate"].get(format!("f:{field}")).is_some()
    })
}

/// What is left of an object without these conditions, the history if so, and what the API server counts by itself.
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

/// Whether an entry is gone, or the text of one.
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

/// Whether anything of an older entry is changed but a text or an end that it hadn't yet.
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

/// Whether a record is the same one, further on.
fn continues(old: &UpdateRecord, new: &UpdateRecord) -> bool {
    old.metadata.name == new.metadata.name && old.spec == new.spec
}

/// Whether everything is as it should be in the end.
fn is_right(role: Role, object: &Value, records: &[UpdateRecord]) -> bool {
    let risk = has_override(object) || condition(object, "Progressing")["status"] == "True";
    let upgradeable = condition(object, "Upgradeable")["status"] == json!(if risk { "False" } else { "True" });
    let waits = requested(object).is_some();
    let refused = condition(object, "ReleaseAccepted")["status"] == "False";
    let finished =
        condition(object, "Progressing")["status"] != "True" && waits == refused && !(waits && is_allowed(object));
    // A CVO of 4.21 accepts no update under overrides but by force: what runs without a text began before they were set.
    let accepted = |record: &UpdateRecord| {
        record.spec.by == AcceptedBy::Gate && !record.spec.accepted_risks.starts_with("Overrides were set while")
    };
    let forced = role != Role::Bridge || !records.iter().any(accepted);
    let unforced = !(is_forced(object) && owns(object, "force"));
    upgradeable && finished && forced && unforced && is_accounted_for(role, object, records)
}

/// Whether each update that went ahead with an accepted risk has its record, which says how it ended.
fn is_accounted_for(role: Role, object: &Value, records: &[UpdateRecord]) -> bool {
    let of = |entry: &Value| -> Vec<&UpdateRecord> {
        let started = |record: &&UpdateRecord| {
            let status = record.status.as_ref();
            status.is_some_and(|status| json!(status.started_time) == entry["startedTime"])
        };
        records.iter().filter(started).collect()
    };
    // It was forced once, and is still asked for.
    let may_come = |record: &UpdateRecord| requested(object) == Some(&record.spec.to);
    let ended = |record: &UpdateRecord| record.status.as_ref().map(|status| status.outcome);
    let told = |entry: &Value| match of(entry).as_slice() {
        // A CVO forgets what it accepted, and the record is what is left.
        [] => text(entry).is_empty(),
        [record] if entry["state"] == "Completed" => ended(record) == Some(Outcome::Completed),
        [record] => ended(record) == Some(Outcome::Abandoned) || may_come(record),
        _ => false,
    };
    let pending = |record: &&UpdateRecord| ended(record).is_none_or(|outcome| outcome == Outcome::Pending);
    let settled = records.iter().filter(pending).all(may_come);
    let kept = role == Role::Bridge || records.iter().all(|record| record.spec.accepted_risks.contains("Precondition"));
    let somewhere = records.iter().all(|record| record.spec.from != record.spec.to);
    settled && kept && somewhere && history(object).iter().all(told)
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

/// Leaves a state alone, and says whether it comes to rest where it should.
fn comes_to_rest(model: &Protocol, state: &State) -> bool {
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
        match model.left_alone(tables, here) {
            Some(next) => way.push(next),
            None => break is_right(model.role, &tables.object(here.object), &tables.records(here.records)),
        }
    };
    tables.ends.extend(way.into_iter().map(|state| (state, end)));
    end
}

pub fn properties() -> Vec<Property<Protocol>> {
    macro_rules! never_broken {
        ($law:expr) => {
            Property::always($law.name(), |_, state: &State| !state.broken.has($law))
        };
    }
    vec![
        never_broken!(Law::Accepted),
        never_broken!(Law::Entries),
        never_broken!(Law::Records),
        never_broken!(Law::Lost),
        never_broken!(Law::Foreign),
        never_broken!(Law::Late),
        never_broken!(Law::Force),
        never_broken!(Law::Unforce),
        Property::always(REST, comes_to_rest),
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
