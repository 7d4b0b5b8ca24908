//! What the model remembers of the pure functions, by the numbers of their arguments.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    api::UpdateRecord,
    controller::{
        apply::ApplyError,
        model::{
            Defences, Replica, State,
            actors::{self, Wish},
            laws::{self, Broken},
            server::Stored,
        },
    },
    gate::{Snapshot, Source, evaluate, testing},
    plan::{
        Kind, PlanInput, RecordState, Write,
        bridge::{self, skip_reason::SkipReason, testing::CONFIRMED, unforce},
        front::Began,
        made_at_once, plan, record_state,
        role::{CvoLease, Role},
        update_records::RecordWrite,
    },
};

/// The number of an object, of a list of records, or of a write.
pub type Id = u16;

/// What a replica remembers from one turn to the next, as far as it matters to the next plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outlook {
    pub failing: Failing,
    /// The generation that was forced.
    pub forced: Option<i64>,
    /// Whether the text of an update that began at that move was put back, a bit for each.
    pub restored: u32,
}

/// Kinds of write that wait after a failure, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Failing(u8);

impl Failing {
    pub fn add(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u8;
    }

    fn kinds(self) -> impl Iterator<Item = Kind> {
        let all = [Kind::History, Kind::Conditions, Kind::Force, Kind::Unforce, Kind::Restore, Kind::Record];
        all.into_iter().filter(move |kind| self.0 & (1 << *kind as u8) != 0)
    }
}

/// What a request made of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Landing {
    pub object: Id,
    pub records: Id,
    pub broken: Broken,
}

/// What the API server answers.
type Answer = Result<Landing, fn(String) -> ApplyError>;

#[derive(Debug)]
struct Known<T> {
    ids: HashMap<String, Id>,
    items: Vec<Arc<T>>,
}

impl<T> Known<T> {
    fn new() -> Self {
        Self { ids: HashMap::new(), items: Vec::new() }
    }

    fn id(&mut self, item: T, text: String) -> Id {
        *self.ids.entry(text).or_insert_with(|| {
            self.items.push(Arc::new(item));
            Id::try_from(self.items.len() - 1).unwrap()
        })
    }

    fn get(&self, id: Id) -> Arc<T> {
        self.items[usize::from(id)].clone()
    }
}

pub struct Memory {
    role: Role,
    defences: Defences,
    objects: Known<Value>,
    records: Known<Vec<UpdateRecord>>,
    writes: Known<Write>,
    plans: HashMap<(Id, Id, Outlook, u8), [Option<Id>; 2]>,
    landings: HashMap<(Id, Id, Id, bool, u8), Answer>,
    moves: HashMap<(Id, u8, Option<Wish>), Option<Id>>,
    counts: HashMap<(Id, Id), ([u8; 2], [u8; 2])>,
    /// How it ends when a state is left alone.
    pub ends: HashMap<State, bool>,
}

/// Ten minutes a move, so that an entry is told from the next one of the same release.
pub fn time(clock: u8) -> String {
    format!("2026-01-01T{:02}:{:02}:00Z", clock / 6, clock % 6 * 10)
}

impl Memory {
    pub fn new(role: Role, defences: Defences) -> Self {
        Self {
            role,
            defences,
            objects: Known::new(),
            records: Known::new(),
            writes: Known::new(),
            plans: HashMap::new(),
            landings: HashMap::new(),
            moves: HashMap::new(),
            counts: HashMap::new(),
            ends: HashMap::new(),
        }
    }

    pub fn first(&mut self) -> (Id, Id) {
        (self.object_id(actors::cluster()), self.records_id(Vec::new()))
    }

    fn object_id(&mut self, object: Value) -> Id {
        let text = object.to_string();
        self.objects.id(object, text)
    }

    fn records_id(&mut self, records: Vec<UpdateRecord>) -> Id {
        let text = serde_json::to_string(&records).unwrap();
        self.records.id(records, text)
    }

    pub fn object(&self, id: Id) -> Arc<Value> {
        self.objects.get(id)
    }

    pub fn records(&self, id: Id) -> Arc<Vec<UpdateRecord>> {
        self.records.get(id)
    }

    pub fn write(&self, id: Id) -> Arc<Write> {
        self.writes.get(id)
    }

    pub fn generation(&self, id: Id) -> i64 {
        self.object(id)["metadata"]["generation"].as_i64().unwrap()
    }

    /// Whether the newest update has ended in between, or another one has taken its place.
    pub fn moves_on(&self, before: Id, after: Id) -> bool {
        let front = |id: Id| {
            let front = &self.object(id)["status"]["history"][0];
            [front["state"].clone(), front["startedTime"].clone()]
        };
        front(before) != front(after)
    }

    /// Whether the newest update has accepted risks, and no UpdateRecord yet.
    pub fn is_unrecorded(&self, object: Id, records: Id) -> bool {
        laws::is_unrecorded(&self.object(object), &self.records(records))
    }

    /// The move at which the newest update began, as a bit.
    pub fn started(&self, id: Id) -> u32 {
        let object = self.object(id);
        (0..32).filter(|at| object["status"]["history"][0]["startedTime"] == time(*at)).map(|at| 1 << at).sum()
    }

    /// How often each release stands in the history, and in the records.
    pub fn counts(&mut self, object: Id, records: Id) -> ([u8; 2], [u8; 2]) {
        let Self { counts, objects, records: lists, .. } = self;
        *counts.entry((object, records)).or_insert_with(|| laws::counts(&objects.get(object), &lists.get(records)))
    }

    /// What a replica has seen of the records, and its own write, which it needn't wait to see.
    pub fn upserted(&mut self, seen: Id, stored: Id, write: &RecordWrite) -> Id {
        let name = match write {
            RecordWrite::Create(record) => record.metadata.name.as_deref().unwrap(),
            RecordWrite::Status { name, .. } | RecordWrite::Delete { name, .. } => name,
        };
        let is_it = |record: &UpdateRecord| record.metadata.name.as_deref() == Some(name);
        let (mut seen, stored) = ((*self.records(seen)).clone(), self.records(stored));
        let written = stored.iter().find(|record| is_it(record));
        match seen.iter_mut().find(|record| is_it(record)) {
            Some(known) => known.clone_from(written.unwrap()),
            None => seen.extend(written.cloned()),
        }
        self.records_id(seen)
    }

    /// The object after a wish of the administrator, or after the move of whoever applies updates.
    pub fn moved(&mut self, object: Id, clock: u8, wish: Option<Wish>) -> Option<Id> {
        if let Some(known) = self.moves.get(&(object, clock, wish)) {
            return *known;
        }
        let (before, now) = (self.object(object), time(clock));
        let after = match wish {
            Some(wish) => actors::wish(&before, wish),
            None if self.role == Role::Bridge => actors::cvo(&before, &now),
            None => actors::updater(&before, &now),
        };
        let after = after.map(|after| self.object_id(after));
        self.moves.insert((object, clock, wish), after);
        after
    }

    /// The writes that are made first on what a replica has seen, one or two.
    pub fn planned(&mut self, replica: &Replica, clock: u8) -> [Option<Id>; 2] {
        let key = (replica.object, replica.records, replica.outlook, clock);
        if let Some(known) = self.plans.get(&key) {
            return *known;
        }
        let mut planned = [None; 2];
        for (place, write) in planned.iter_mut().zip(self.plan(replica, clock)) {
            let text = format!("{write:?}");
            *place = Some(self.writes.id(write, text));
        }
        self.plans.insert(key, planned);
        planned
    }

    fn plan(&self, replica: &Replica, clock: u8) -> Vec<Write> {
        let snapshot = Snapshot {
            now: time(clock).parse().unwrap(),
            authority: self.role.authority(),
            cluster_operators: Source::NotServed,
            ..testing::requested(&self.object(replica.object))
        };
        let Outlook { failing, forced, restored } = replica.outlook;
        let forced_already = forced == Some(snapshot.cluster_version.metadata.generation);
        let force_patch = (self.role == Role::Bridge).then(|| {
            let candidate = bridge::candidate(&snapshot)?;
            if forced_already { Err(SkipReason::Forced) } else { bridge::confirm(candidate, &CONFIRMED) }
        });
        let failing: Vec<_> = failing.kinds().map(|kind| (kind, String::new())).collect();
        let is_failing = failing.iter().any(|(kind, _)| *kind == Kind::History);
        let restored: Vec<String> = (0..32).filter(|at| restored & (1 << at) != 0).map(time).collect();
        let verdict = evaluate(&snapshot);
        let records = Source::Read((*self.records(replica.records)).clone());
        let in_history = if is_failing { RecordState::Failing } else { RecordState::Possible };
        let judged = (&snapshot, &verdict, self.role);
        // As after a start: nobody has seen how the newest update began.
        let began = Began::default();
        // No ClusterOperator keeps the force here: their health is no part of the protocol.
        let unforcing = unforce::decide(&snapshot.cluster_version, &Source::Read(Vec::new()), &records, began);
        made_at_once(plan(&PlanInput {
            snapshot: &snapshot,
            verdict: &verdict,
            role: self.role,
            why: "",
            operator: &Source::NotServed,
            records: &records,
            force_patch: force_patch.as_ref(),
            began,
            record_state: record_state(in_history, judged, &records, began, &failing),
            unforcing: unforcing.as_ref(),
            failing: &failing,
            problems: &[],
            degraded_after: Duration::ZERO,
            cvo: CvoLease::Unknown,
            restored: &restored,
        }))
    }

    pub fn landed(
        &mut self,
        (object, records): (Id, Id),
        write: Id,
        fresh: bool,
        clock: u8,
    ) -> Result<Landing, ApplyError> {
        let key = (object, records, write, fresh, clock);
        let known = self.landings.get(&key).copied();
        known
            .unwrap_or_else(|| {
                let answer = self.land((object, records), write, fresh, clock);
                self.landings.insert(key, answer);
                answer
            })
            .map_err(|error| error(String::new()))
    }

    fn land(&mut self, (object, records): (Id, Id), write: Id, fresh: bool, clock: u8) -> Answer {
        let write = self.write(write);
        let before = Stored { object: (*self.object(object)).clone(), records: (*self.records(records)).clone() };
        match before.take(&write, fresh, &time(clock), self.defences) {
            Ok(after) => {
                let broken = Broken::by(&write, &before, &after);
                Ok(Landing { object: self.object_id(after.object), records: self.records_id(after.records), broken })
            }
            Err(ApplyError::Stale(_)) => Err(ApplyError::Stale),
            Err(ApplyError::Invalid(_)) => Err(ApplyError::Invalid),
            Err(ApplyError::Gone) => Err(|_| ApplyError::Gone),
            Err(other) => panic!("{other}"),
        }
    }
}
