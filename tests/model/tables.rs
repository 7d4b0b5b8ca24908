//! Cached results of the pure functions, by the ids of their arguments.

use std::{
    collections::HashMap,
    mem::{Discriminant, discriminant},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use upgrade_gate::{
    api::{ClusterVersion, UpdateRecord},
    gate::{Snapshot, Source, Target},
    plan::{
        Write,
        moment::Moment,
        recovery::{Recovery, WriteError},
        role::{CvoLease, Mode, Role},
        step::{Memory, Next, Observation, Question, Settings, step},
        write::RecordWrite,
    },
};

use crate::{
    Safeguards, State,
    actors::{self, AdminAction},
    invariants::{self, Violations},
    relative::relative,
    server::Stored,
};

/// The id of an object, a list of records, a write or a memory.
pub type Id = u16;

/// What a replica does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It sends one or two writes.
    Write([Option<Id>; 2]),
    /// It reads the ClusterVersion.
    Read,
    Rest,
}

/// The cluster after a request.
#[derive(Clone, Copy, Debug)]
pub struct Landing {
    pub object: Id,
    pub records: Id,
    pub violations: Violations,
}

/// The API server's answer.
type Answer = Result<Landing, fn(String) -> WriteError>;

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

/// The memory of a replica, and its current time.
#[derive(Clone, Debug)]
struct Remembered {
    memory: Memory,
    now: Moment,
}

/// The input of a step: the memory, the object, the records, the time, and whether the replica leads.
type Look = (Id, Id, Id, u8, bool);

pub struct Tables {
    role: Role,
    safeguards: Safeguards,
    objects: Known<Value>,
    records: Known<Vec<UpdateRecord>>,
    writes: Known<Write>,
    memories: Known<Remembered>,
    looks: HashMap<Look, (Id, Outcome)>,
    wrote: HashMap<(Id, Id, Id), Id>,
    failed: HashMap<(Id, Id, Discriminant<WriteError>), (Id, Recovery)>,
    read: HashMap<Id, Id>,
    turned: HashMap<Id, Id>,
    waited: HashMap<Id, Option<Id>>,
    landings: HashMap<(Id, Id, Id, bool, u8), Answer>,
    moves: HashMap<(Id, u8, Option<AdminAction>), Option<Id>>,
    counts: HashMap<(Id, Id), ([u8; 2], [u8; 2])>,
    /// Whether a state reaches the expected end if nothing else happens.
    pub ends: HashMap<State, bool>,
}

/// Ten minutes for each action, so that two entries of one release have different start times.
pub fn time(clock: u8) -> String {
    format!("2026-01-01T{:02}:{:02}:00Z", clock / 6, clock % 6 * 10)
}

/// When a replica starts, and how much time passes during a wait: more than any deadline.
const START: Moment = Moment(Duration::from_hours(24));
pub const WAIT: Duration = Duration::from_hours(1);

impl Tables {
    pub fn new(role: Role, safeguards: Safeguards) -> Self {
        Self {
            role,
            safeguards,
            objects: Known::new(),
            records: Known::new(),
            writes: Known::new(),
            memories: Known::new(),
            looks: HashMap::new(),
            wrote: HashMap::new(),
            failed: HashMap::new(),
            read: HashMap::new(),
            turned: HashMap::new(),
            waited: HashMap::new(),
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

    fn memory_id(&mut self, memory: Memory, now: Moment) -> Id {
        let text = relative(&format!("{memory:?}"), now);
        self.memories.id(Remembered { memory, now }, text)
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

    /// Whether the newest update has ended in between, or another one has started.
    pub fn starts_next_update(&self, before: Id, after: Id) -> bool {
        let front = |id: Id| {
            let front = &self.object(id)["status"]["history"][0];
            [front["state"].clone(), front["startedTime"].clone()]
        };
        front(before) != front(after)
    }

    /// Whether the newest update has accepted risks, and no UpdateRecord yet.
    pub fn is_unrecorded(&self, object: Id, records: Id) -> bool {
        invariants::is_unrecorded(&self.object(object), &self.records(records))
    }

    /// How often each release is in the history, and in the records.
    pub fn counts(&mut self, object: Id, records: Id) -> ([u8; 2], [u8; 2]) {
        let Self { counts, objects, records: lists, .. } = self;
        *counts
            .entry((object, records))
            .or_insert_with(|| invariants::counts(&objects.get(object), &lists.get(records)))
    }

    /// The records that a replica has seen, with its own write, which it adds to its cache at once.
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

    /// The object after an action of the administrator, or of the updater or CVO.
    pub fn acted(&mut self, object: Id, clock: u8, action: Option<AdminAction>) -> Option<Id> {
        if let Some(known) = self.moves.get(&(object, clock, action)) {
            return *known;
        }
        let (before, now) = (self.object(object), time(clock));
        let after = match action {
            Some(action) => actors::administrator(&before, action),
            None if self.role == Role::Bridge => actors::cvo(&before, &now),
            None => actors::updater(&before, &now),
        };
        let after = after.map(|after| self.object_id(after));
        self.moves.insert((object, clock, action), after);
        after
    }

    /// The memory of a process that has just started.
    pub fn started(&mut self) -> Id {
        let mode = match self.role {
            Role::Bridge => Mode::Bridge,
            Role::Replace => Mode::Replace,
            Role::Guard | Role::Undecided | Role::Observe => unreachable!("{:?} isn't modelled", self.role),
        };
        let settings = Settings { mode, vacant_after: Duration::MAX, degraded_after: Duration::MAX };
        self.memory_id(Memory::new(settings), START)
    }

    /// Steps until the replica writes, reads the ClusterVersion or has nothing to do. Returns the memory and the outcome.
    pub fn step_until_outcome(&mut self, look: Look) -> (Id, Outcome) {
        if let Some(known) = self.looks.get(&look) {
            return *known;
        }
        let (memory, object, records, clock, leads) = look;
        let Remembered { mut memory, now } = (*self.memories.get(memory)).clone();
        let next = self.steps(&mut memory, (object, records), clock, leads, now);
        let outcome = match next {
            Next::Write(writes) => {
                let mut ids = [None; 2];
                for (id, write) in ids.iter_mut().zip(writes) {
                    let text = format!("{write:?}");
                    *id = Some(self.writes.id(write, text));
                }
                Outcome::Write(ids)
            }
            Next::Ask(Question::ClusterVersion) => Outcome::Read,
            Next::Rest | Next::Ask(_) => {
                memory.begin_turn();
                Outcome::Rest
            }
        };
        let answer = (self.memory_id(memory, now), outcome);
        self.looks.insert(look, answer);
        answer
    }

    fn steps(&self, memory: &mut Memory, (object, records): (Id, Id), clock: u8, leads: bool, now: Moment) -> Next {
        let cluster_version = ClusterVersion::from_value((*self.object(object)).clone()).unwrap();
        let records = Source::Read((*self.records(records)).clone());
        let mut snapshot = Snapshot {
            now: time(clock).parse().unwrap(),
            targets: Target::requested(&cluster_version).into_iter().collect(),
            cluster_version,
            // The model has no ClusterOperators: their health is not part of the protocol.
            cluster_operators: Source::Read(Vec::new()),
            admin_gates: Source::Read(Some([].into())),
            admin_acks: Source::Read(Some([].into())),
            authority: memory.authority(),
        };
        loop {
            snapshot.authority = memory.authority();
            let operator = Source::NotServed;
            let observation = Observation { snapshot: &snapshot, operator: &operator, records: &records, leads };
            match step(memory, &observation, now).next {
                Next::Ask(Question::Policy) => memory.answer_policy(true),
                Next::Ask(Question::CvoLease) => memory.answer_cvo_lease(CvoLease::Fresh, now),
                Next::Ask(Question::Snapshot) => {}
                next @ (Next::Ask(Question::ClusterVersion) | Next::Write(_) | Next::Rest) => return next,
            }
        }
    }

    fn changed<T>(&mut self, memory: Id, change: impl FnOnce(&mut Memory, Moment) -> T) -> (Id, T) {
        let Remembered { mut memory, now } = (*self.memories.get(memory)).clone();
        let answer = change(&mut memory, now);
        (self.memory_id(memory, now), answer)
    }

    /// The memory after a successful write with this object as its result.
    pub fn wrote(&mut self, memory: Id, write: Id, after: Id) -> Id {
        if let Some(known) = self.wrote.get(&(memory, write, after)) {
            return *known;
        }
        let object = ClusterVersion::from_value((*self.object(after)).clone()).unwrap();
        let made = self.write(write);
        let (id, _) = self.changed(memory, |memory, now| memory.wrote(&made, &object, now));
        self.wrote.insert((memory, write, after), id);
        id
    }

    /// The memory after a failed write, and the recovery. The text of an error makes no difference.
    pub fn failed(&mut self, memory: Id, write: Id, error: &WriteError) -> (Id, Recovery) {
        let key = (memory, write, discriminant(error));
        if let Some(known) = self.failed.get(&key) {
            return *known;
        }
        let kind = self.write(write).kind();
        let answer = self.changed(memory, |memory, now| memory.failed(kind, error, now).recovery);
        self.failed.insert(key, answer);
        answer
    }

    /// The memory after the ClusterVersion was read.
    pub fn read(&mut self, memory: Id) -> Id {
        if let Some(known) = self.read.get(&memory) {
            return *known;
        }
        let (id, ()) = self.changed(memory, |memory, now| memory.answer_cluster_version(Ok(true), now));
        self.read.insert(memory, id);
        id
    }

    /// The memory after all writes of a turn are answered: the next turn starts.
    pub fn turned(&mut self, memory: Id) -> Id {
        if let Some(known) = self.turned.get(&memory) {
            return *known;
        }
        let (id, ()) = self.changed(memory, |memory, _| memory.begin_turn());
        self.turned.insert(memory, id);
        id
    }

    /// The memory after every backoff has ended; `None` if there is none.
    pub fn waited(&mut self, memory: Id) -> Option<Id> {
        if let Some(known) = self.waited.get(&memory) {
            return *known;
        }
        let Remembered { memory: waiting, now } = (*self.memories.get(memory)).clone();
        let id = waiting.next_deadline(Some(now)).map(|_| self.memory_id(waiting, now + WAIT));
        self.waited.insert(memory, id);
        id
    }

    pub fn landed(
        &mut self,
        (object, records): (Id, Id),
        write: Id,
        fresh: bool,
        clock: u8,
    ) -> Result<Landing, WriteError> {
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
        match before.take(&write, fresh, &time(clock), self.safeguards) {
            Ok(after) => {
                let violations = Violations::by(&write, &before, &after);
                Ok(Landing {
                    object: self.object_id(after.object),
                    records: self.records_id(after.records),
                    violations,
                })
            }
            Err(WriteError::Stale(_)) => Err(WriteError::Stale),
            Err(WriteError::Invalid(_)) => Err(WriteError::Invalid),
            Err(WriteError::Gone) => Err(|_| WriteError::Gone),
            Err(other) => panic!("{other}"),
        }
    }
}
