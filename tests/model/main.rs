//! A model of the write protocol, explored exhaustively within bounds: two replicas with a lease, whose watches lag,
//! which crash, give up on answers and lose the lease at any moment; an administrator, and an updater or a CVO. What a
//! replica decides is the code itself, `plan::step`, so the model can't drift from it; around it is what `reconcile` does
//! between two awaits.
//!
//! What is pure is remembered, so that a state costs some look-ups. Objects are known by a number, and a view of
//! the ClusterVersion by whether it is the latest.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test says what it expects by panicking")]
#![allow(clippy::disallowed_methods, reason = "the figures say how long the exploration took")]

mod actors;
mod explore;
mod laws;
mod server;
mod tables;

use std::sync::Mutex;

use stateright::{Model, Property};

use self::{
    actors::{WISHES, Wish},
    laws::Broken,
    tables::{Id, Outcome, Tables},
};
use upgrade_gate::plan::{
    Write,
    recovery::{Recovery, WriteError},
    role::Role,
};

/// What may go wrong, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Bounds {
    wishes: u8,
    crashes: u8,
    /// Requests whose answer isn't waited for: each may have been lost, be made already, or be made at any later time.
    silences: u8,
    /// Times that the lease runs out while its holder is paused or cut off.
    expiries: u8,
}

/// What keeps a late write from doing harm; a seeded bug takes one away.
#[derive(Clone, Copy, Debug)]
struct Defences {
    resource_version: bool,
    tests: bool,
    lease: bool,
}

const ALL: Defences = Defences { resource_version: true, tests: true, lease: true };

struct Protocol {
    role: Role,
    bounds: Bounds,
    defences: Defences,
    tables: Mutex<Tables>,
}

/// Everything, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    object: Id,
    records: Id,
    /// The first replica holds the lease: which of the two it is doesn't matter.
    is_held: bool,
    replicas: [Replica; 2],
    /// Requests that are under way, and that nobody waits for.
    adrift: Vec<Request>,
    left: Bounds,
    /// Moves of anybody but the replicas, each ten minutes apart.
    clock: u8,
    /// How often the patch and the minor were asked for.
    asked: [u8; 2],
    broken: Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Replica {
    object: Id,
    is_latest: bool,
    records: Id,
    /// What is under way; nothing else is planned meanwhile.
    sent: [Option<Request>; 2],
    /// The memory of its loop.
    memory: Id,
    /// Writes of its own that landed after it had lost the lease; two may have been under way.
    late: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Request {
    write: Id,
    /// It was planned on the ClusterVersion as it is.
    fresh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Wish(Wish),
    /// The updater or the CVO.
    Follow,
    /// A watch tells of the latest ClusterVersion, or of the latest records.
    SeeObject(usize),
    SeeRecords(usize),
    /// A replica steps, and sends what is written first.
    Send(usize),
    /// One of the writes that are under way is made, and the replica has its answer.
    Answer(usize, usize),
    GiveUp(usize, usize),
    /// The wait after a failure is over.
    Retry(usize),
    /// Of the leader: a standby that crashes has nothing to lose.
    Crash,
    Expire,
    Acquire(usize),
    /// A request that is adrift is made after all, or lost.
    Land(usize),
    Lose(usize),
}

impl Protocol {
    fn new(role: Role, bounds: Bounds, defences: Defences) -> Self {
        Self { role, bounds, defences, tables: Mutex::new(Tables::new(role, defences)) }
    }

    fn step(&self, tables: &mut Tables, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Wish(wish) => {
                state.left.wishes = state.left.wishes.checked_sub(1)?;
                let object = tables.moved(state.object, state.clock, Some(wish))?;
                match wish {
                    Wish::Patch => state.asked[0] += 1,
                    Wish::Minor | Wish::Force => state.asked[1] += 1,
                    Wish::Override | Wish::Clear => {}
                }
                state.becomes(object);
                state.clock += 1;
            }
            Action::Follow => {
                let object = tables.moved(state.object, state.clock, None)?;
                // No update is so fast that its record isn't written meanwhile.
                if tables.moves_on(before.object, object) && tables.is_unrecorded(before.object, before.records) {
                    return None;
                }
                state.becomes(object);
                state.clock += 1;
            }
            Action::SeeObject(at) => {
                state.sees_object(at);
                self.stands_by(tables, &mut state, at);
            }
            Action::SeeRecords(at) => {
                state.replicas[at].records = state.records;
                self.stands_by(tables, &mut state, at);
            }
            Action::Send(at) => {
                let replica = &state.replicas[at];
                if !self.may_write(&state, at) || replica.is_waiting() {
                    return None;
                }
                let (memory, outcome) =
                    tables.looked((replica.memory, replica.object, replica.records, state.clock, true));
                let fresh = replica.is_latest;
                state.replicas[at].memory = memory;
                match outcome {
                    Outcome::Write(writes) => {
                        state.replicas[at].sent = writes.map(|write| write.map(|write| Request { write, fresh }));
                    }
                    Outcome::Read => state.reads(tables, at),
                    Outcome::Rest => {}
                }
            }
            Action::Answer(at, which) => {
                let request = state.replicas[at].sent[which].take()?;
                if !state.leads(at) {
                    state.replicas[at].late += 1;
                }
                let answer = state.takes(tables, request);
                self.hears(tables, &mut state, at, request.write, answer);
            }
            Action::GiveUp(at, which) => {
                state.left.silences = state.left.silences.checked_sub(1)?;
                let request = state.replicas[at].sent[which].take()?;
                state.adrift.push(request);
                self.hears(tables, &mut state, at, request.write, Err(WriteError::Unanswered(String::new())));
            }
            Action::Retry(at) => state.replicas[at].memory = tables.waited(before.replicas[at].memory)?,
            Action::Crash => {
                state.left.crashes = state.left.crashes.checked_sub(1)?;
                state.adrift.extend(state.replicas[0].sent.into_iter().flatten());
                state.replicas[0] = Replica::started(tables, (state.object, state.records), state.clock);
            }
            Action::Expire => {
                state.left.expiries = state.left.expiries.checked_sub(1)?;
                state.is_held = false;
                let holder = &mut state.replicas[0];
                holder.late = 0;
                self.stands_by(tables, &mut state, 0);
            }
            Action::Acquire(at) => {
                state.is_held = true;
                state.replicas.swap(0, at);
            }
            Action::Land(index) => {
                let request = state.adrift.remove(index);
                let _ = state.takes(tables, request);
            }
            Action::Lose(index) => {
                state.adrift.remove(index);
            }
        }
        state.adrift.sort_unstable();
        if !state.is_held {
            state.replicas.sort_unstable();
        }
        state.broken = state.broken.in_state(tables, &state);
        (state != *before).then_some(state)
    }

    /// What happens next when nobody asks for anything and nothing goes wrong any more; the worst first.
    fn left_alone(&self, tables: &mut Tables, state: &State) -> Option<State> {
        let land = (0..state.adrift.len().min(1)).map(Action::Land);
        let acquire = [0, 1].into_iter().filter(|_| !state.is_held).map(Action::Acquire);
        let answer = [0, 1].into_iter().flat_map(|at| [Action::Answer(at, 0), Action::Answer(at, 1)]);
        let see = [0, 1].into_iter().flat_map(|at| [Action::SeeObject(at), Action::SeeRecords(at)]);
        let lead = [0, 1].into_iter().flat_map(|at| [Action::Retry(at), Action::Send(at)]);
        let mut actions = land.chain(acquire).chain(answer).chain(see).chain(lead).chain([Action::Follow]);
        actions.find_map(|action| self.step(tables, state, action))
    }

    fn may_write(&self, state: &State, at: usize) -> bool {
        state.leads(at) || !self.defences.lease
    }

    /// A replica that doesn't lead looks at what it has seen, once nothing of its own is under way.
    fn stands_by(&self, tables: &mut Tables, state: &mut State, at: usize) {
        let replica = state.replicas[at];
        if !self.may_write(state, at) && !replica.is_waiting() {
            let look = (replica.memory, replica.object, replica.records, state.clock, false);
            state.replicas[at].memory = tables.looked(look).0;
        }
    }

    /// A replica takes an answer in, as `reconcile` does.
    fn hears(&self, tables: &mut Tables, state: &mut State, at: usize, write: Id, answer: Result<(), WriteError>) {
        let made = tables.write(write);
        match answer {
            Ok(()) => {
                if let Write::Record(write) = &*made {
                    let seen = state.replicas[at].records;
                    state.replicas[at].records = tables.upserted(seen, state.records, write);
                } else {
                    state.sees_object(at);
                }
                let replica = &mut state.replicas[at];
                replica.memory = tables.wrote(replica.memory, write, replica.object);
            }
            Err(error) => {
                let (memory, recovery) = tables.failed(state.replicas[at].memory, write, &error);
                state.replicas[at].memory = memory;
                match recovery {
                    // The read may be of a later state than the conflict was about.
                    Recovery::Read => state.reads(tables, at),
                    Recovery::Await | Recovery::Skip | Recovery::Stop => {}
                }
            }
        }
        if !state.replicas[at].is_waiting() {
            state.replicas[at].memory = tables.turned(state.replicas[at].memory);
            self.stands_by(tables, state, at);
        }
    }
}

impl State {
    fn leads(&self, at: usize) -> bool {
        self.is_held && at == 0
    }

    fn becomes(&mut self, object: Id) {
        if self.object != object {
            self.object = object;
            for replica in &mut self.replicas {
                replica.is_latest = false;
                replica.sent.iter_mut().flatten().for_each(|request| request.fresh = false);
            }
            self.adrift.iter_mut().for_each(|request| request.fresh = false);
        }
    }

    fn sees_object(&mut self, at: usize) {
        (self.replicas[at].object, self.replicas[at].is_latest) = (self.object, true);
    }

    /// The API server takes a request.
    fn takes(&mut self, tables: &mut Tables, request: Request) -> Result<(), WriteError> {
        let landing = tables.landed((self.object, self.records), request.write, request.fresh, self.clock)?;
        self.broken.add(landing.broken);
        self.becomes(landing.object);
        self.records = landing.records;
        Ok(())
    }

    /// A replica reads the ClusterVersion.
    fn reads(&mut self, tables: &mut Tables, at: usize) {
        self.sees_object(at);
        self.replicas[at].memory = tables.read(self.replicas[at].memory);
    }
}

impl Replica {
    fn is_waiting(&self) -> bool {
        self.sent.iter().any(Option::is_some)
    }

    /// A process that has listed everything.
    fn started(tables: &mut Tables, (object, records): (Id, Id), clock: u8) -> Self {
        let started = tables.started();
        let (memory, _) = tables.looked((started, object, records, clock, false));
        Self { object, is_latest: true, records, sent: [None; 2], memory, late: 0 }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut tables = self.tables.lock().unwrap();
        let (object, records) = tables.first();
        let with_override = tables.moved(object, 0, Some(Wish::Override));
        let start = |object| {
            let replica = Replica::started(&mut tables, (object, records), 0);
            State {
                object,
                records,
                is_held: false,
                replicas: [replica, replica],
                adrift: Vec::new(),
                left: self.bounds,
                clock: 0,
                asked: [0, 0],
                broken: Broken::default(),
            }
        };
        [object].into_iter().chain(with_override).map(start).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(WISHES.map(Action::Wish));
        actions.push(Action::Follow);
        for at in [0, 1] {
            let replica = &state.replicas[at];
            if !state.is_held {
                actions.push(Action::Acquire(at));
            }
            actions.extend([Action::SeeObject(at), Action::SeeRecords(at)]);
            for which in (0..2).filter(|which| replica.sent[*which].is_some()) {
                actions.extend([Action::Answer(at, which), Action::GiveUp(at, which)]);
            }
            if !replica.is_waiting() {
                actions.extend([Action::Retry(at), Action::Send(at)]);
            }
        }
        if state.is_held {
            actions.extend([Action::Crash, Action::Expire]);
        }
        actions.extend((0..state.adrift.len()).flat_map(|index| [Action::Land(index), Action::Lose(index)]));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.step(&mut self.tables.lock().unwrap(), state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        laws::properties()
    }
}
