//! A model of the write protocol, explored exhaustively within bounds: two replicas with a Lease, whose watches lag,
//! which crash, lose answers and lose the Lease at any moment; an administrator; and an updater or a CVO. A replica
//! decides by the shipped `plan::step`, so the model cannot differ from it; the model adds what `reconcile` does between
//! two awaits.
//!
//! Results of pure functions are cached, so that a state costs a few look-ups. A state holds the ids of objects, and of a
//! view of the ClusterVersion whether it is the latest.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test says what it expects by panicking")]
#![allow(clippy::disallowed_methods, reason = "the figures say how long the exploration took")]

mod actors;
mod explore;
mod invariants;
mod relative;
mod server;
mod tables;

use std::sync::Mutex;

use stateright::{Model, Property};

use self::{
    actors::{ADMIN_ACTIONS, AdminAction},
    invariants::Violations,
    tables::{Id, Outcome, Tables},
};
use upgrade_gate::plan::{
    Write,
    recovery::{Recovery, WriteError},
    role::Role,
};

/// How often each kind of event may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Bounds {
    admin_actions: u8,
    crashes: u8,
    /// Requests whose answer is lost. Each was lost too, was applied, or is applied at any later time.
    lost_answers: u8,
    /// How often the Lease expires while its holder is paused or partitioned.
    expiries: u8,
}

/// The safeguards against late writes. A seeded bug removes one.
#[derive(Clone, Copy, Debug)]
struct Safeguards {
    resource_version: bool,
    tests: bool,
    lease: bool,
}

const ALL: Safeguards = Safeguards { resource_version: true, tests: true, lease: true };

struct Protocol {
    role: Role,
    bounds: Bounds,
    safeguards: Safeguards,
    tables: Mutex<Tables>,
}

/// The state of the whole model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    object: Id,
    records: Id,
    /// Whether the first replica holds the Lease. The two are interchangeable.
    is_held: bool,
    replicas: [Replica; 2],
    /// Requests in flight whose answer is lost.
    unanswered: Vec<Request>,
    left: Bounds,
    /// Number of actions of others than the replicas, ten minutes apart.
    clock: u8,
    /// How often the patch and the minor were requested.
    asked: [u8; 2],
    violations: Violations,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Replica {
    object: Id,
    is_latest: bool,
    records: Id,
    /// Requests in flight. Nothing is planned until they are answered.
    sent: [Option<Request>; 2],
    /// The memory of its loop.
    memory: Id,
    /// Its writes that were applied after it had lost the Lease; two may have been in flight.
    late: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Request {
    write: Id,
    /// Whether it was planned on the current ClusterVersion.
    fresh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Admin(AdminAction),
    /// The updater or the CVO.
    Follow,
    /// A watch delivers the latest ClusterVersion, or the latest records.
    SeeObject(usize),
    SeeRecords(usize),
    /// A replica steps, and sends its first writes.
    Send(usize),
    /// A write in flight is applied, and the replica gets the answer.
    Answer(usize, usize),
    GiveUp(usize, usize),
    /// The backoff after a failure ends.
    Retry(usize),
    /// The leader crashes. A standby has no state to lose.
    Crash,
    Expire,
    Acquire(usize),
    /// A request whose answer was lost is applied, or is lost too.
    Land(usize),
    Lose(usize),
}

impl Protocol {
    fn new(role: Role, bounds: Bounds, safeguards: Safeguards) -> Self {
        Self { role, bounds, safeguards, tables: Mutex::new(Tables::new(role, safeguards)) }
    }

    fn step(&self, tables: &mut Tables, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Admin(action) => {
                state.left.admin_actions = state.left.admin_actions.checked_sub(1)?;
                let object = tables.acted(state.object, state.clock, Some(action))?;
                match action {
                    AdminAction::Patch => state.asked[0] += 1,
                    AdminAction::Minor | AdminAction::Force => state.asked[1] += 1,
                    AdminAction::Override | AdminAction::Clear => {}
                }
                state.set_object(object);
                state.clock += 1;
            }
            Action::Follow => {
                let object = tables.acted(state.object, state.clock, None)?;
                // No update ends before its record is written.
                if tables.starts_next_update(before.object, object)
                    && tables.is_unrecorded(before.object, before.records)
                {
                    return None;
                }
                state.set_object(object);
                state.clock += 1;
            }
            Action::SeeObject(at) => {
                state.sees_object(at);
                self.step_as_standby(tables, &mut state, at);
            }
            Action::SeeRecords(at) => {
                state.replicas[at].records = state.records;
                self.step_as_standby(tables, &mut state, at);
            }
            Action::Send(at) => {
                let replica = &state.replicas[at];
                if !self.may_write(&state, at) || replica.is_waiting() {
                    return None;
                }
                let (memory, outcome) =
                    tables.step_until_outcome((replica.memory, replica.object, replica.records, state.clock, true));
                let fresh = replica.is_latest;
                state.replicas[at].memory = memory;
                match outcome {
                    Outcome::Write(writes) => {
                        state.replicas[at].sent = writes.map(|write| write.map(|write| Request { write, fresh }));
                    }
                    Outcome::Read => state.read_object(tables, at),
                    Outcome::Rest => {}
                }
            }
            Action::Answer(at, which) => {
                let request = state.replicas[at].sent[which].take()?;
                if !state.leads(at) {
                    state.replicas[at].late += 1;
                }
                let answer = state.apply_request(tables, request);
                self.handle_answer(tables, &mut state, at, request.write, answer);
            }
            Action::GiveUp(at, which) => {
                state.left.lost_answers = state.left.lost_answers.checked_sub(1)?;
                let request = state.replicas[at].sent[which].take()?;
                state.unanswered.push(request);
                self.handle_answer(tables, &mut state, at, request.write, Err(WriteError::Unanswered(String::new())));
            }
            Action::Retry(at) => state.replicas[at].memory = tables.waited(before.replicas[at].memory)?,
            Action::Crash => {
                state.left.crashes = state.left.crashes.checked_sub(1)?;
                state.unanswered.extend(state.replicas[0].sent.into_iter().flatten());
                state.replicas[0] = Replica::started(tables, (state.object, state.records), state.clock);
            }
            Action::Expire => {
                state.left.expiries = state.left.expiries.checked_sub(1)?;
                state.is_held = false;
                let holder = &mut state.replicas[0];
                holder.late = 0;
                self.step_as_standby(tables, &mut state, 0);
            }
            Action::Acquire(at) => {
                state.is_held = true;
                state.replicas.swap(0, at);
            }
            Action::Land(index) => {
                let request = state.unanswered.remove(index);
                let _ = state.apply_request(tables, request);
            }
            Action::Lose(index) => {
                state.unanswered.remove(index);
            }
        }
        state.unanswered.sort_unstable();
        if !state.is_held {
            state.replicas.sort_unstable();
        }
        state.violations = state.violations.in_state(tables, &state);
        (state != *before).then_some(state)
    }

    /// The next step if nothing is requested and nothing fails any more, the least favourable first.
    fn continue_without_faults(&self, tables: &mut Tables, state: &State) -> Option<State> {
        let land = (0..state.unanswered.len().min(1)).map(Action::Land);
        let acquire = [0, 1].into_iter().filter(|_| !state.is_held).map(Action::Acquire);
        let answer = [0, 1].into_iter().flat_map(|at| [Action::Answer(at, 0), Action::Answer(at, 1)]);
        let see = [0, 1].into_iter().flat_map(|at| [Action::SeeObject(at), Action::SeeRecords(at)]);
        let lead = [0, 1].into_iter().flat_map(|at| [Action::Retry(at), Action::Send(at)]);
        let mut actions = land.chain(acquire).chain(answer).chain(see).chain(lead).chain([Action::Follow]);
        actions.find_map(|action| self.step(tables, state, action))
    }

    fn may_write(&self, state: &State, at: usize) -> bool {
        state.leads(at) || !self.safeguards.lease
    }

    /// A step of a replica that is not the leader, once it has no request in flight.
    fn step_as_standby(&self, tables: &mut Tables, state: &mut State, at: usize) {
        let replica = state.replicas[at];
        if !self.may_write(state, at) && !replica.is_waiting() {
            let look = (replica.memory, replica.object, replica.records, state.clock, false);
            state.replicas[at].memory = tables.step_until_outcome(look).0;
        }
    }

    /// Processes an answer, as `reconcile` does.
    fn handle_answer(
        &self,
        tables: &mut Tables,
        state: &mut State,
        at: usize,
        write: Id,
        answer: Result<(), WriteError>,
    ) {
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
                    // The read may return a later state than the one that caused the conflict.
                    Recovery::Read => state.read_object(tables, at),
                    Recovery::Await | Recovery::Skip | Recovery::Stop => {}
                }
            }
        }
        if !state.replicas[at].is_waiting() {
            state.replicas[at].memory = tables.turned(state.replicas[at].memory);
            self.step_as_standby(tables, state, at);
        }
    }
}

impl State {
    fn leads(&self, at: usize) -> bool {
        self.is_held && at == 0
    }

    fn set_object(&mut self, object: Id) {
        if self.object != object {
            self.object = object;
            for replica in &mut self.replicas {
                replica.is_latest = false;
                replica.sent.iter_mut().flatten().for_each(|request| request.fresh = false);
            }
            self.unanswered.iter_mut().for_each(|request| request.fresh = false);
        }
    }

    fn sees_object(&mut self, at: usize) {
        (self.replicas[at].object, self.replicas[at].is_latest) = (self.object, true);
    }

    /// The API server applies a request.
    fn apply_request(&mut self, tables: &mut Tables, request: Request) -> Result<(), WriteError> {
        let landing = tables.landed((self.object, self.records), request.write, request.fresh, self.clock)?;
        self.violations.add(landing.violations);
        self.set_object(landing.object);
        self.records = landing.records;
        Ok(())
    }

    /// A replica reads the ClusterVersion.
    fn read_object(&mut self, tables: &mut Tables, at: usize) {
        self.sees_object(at);
        self.replicas[at].memory = tables.read(self.replicas[at].memory);
    }
}

impl Replica {
    fn is_waiting(&self) -> bool {
        self.sent.iter().any(Option::is_some)
    }

    /// A process that has just started and filled its caches.
    fn started(tables: &mut Tables, (object, records): (Id, Id), clock: u8) -> Self {
        let started = tables.started();
        let (memory, _) = tables.step_until_outcome((started, object, records, clock, false));
        Self { object, is_latest: true, records, sent: [None; 2], memory, late: 0 }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut tables = self.tables.lock().unwrap();
        let (object, records) = tables.first();
        let with_override = tables.acted(object, 0, Some(AdminAction::Override));
        let start = |object| {
            let replica = Replica::started(&mut tables, (object, records), 0);
            State {
                object,
                records,
                is_held: false,
                replicas: [replica, replica],
                unanswered: Vec::new(),
                left: self.bounds,
                clock: 0,
                asked: [0, 0],
                violations: Violations::default(),
            }
        };
        [object].into_iter().chain(with_override).map(start).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(ADMIN_ACTIONS.map(Action::Admin));
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
        actions.extend((0..state.unanswered.len()).flat_map(|index| [Action::Land(index), Action::Lose(index)]));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.step(&mut self.tables.lock().unwrap(), state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::properties()
    }
}
