//! Clients: each has a session, asks one thing at a time, and asks again under the same sequence until it is answered.

use crate::executor::Life;
use crate::history::{Action, History, Operation};
use crate::random::Random;
use crate::world::World;
use futures::future::{Either, select};
use isx_cluster::twin::Twin;
use isx_cluster::{Outcome, QueryCall, ReducerCall, Request, SessionCall, View};
use isx_raft::{Consistency, Group, MOUNTS};
use isx_row::schema::Schedule;
use isx_row::schema::Way;
use isx_row::{
    Class, Code, Condition, Error, Incarnation, MountId, Principal, Sequence, SessionId, Signature, Span, Time, Value,
};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// The mount that everyone uses.
pub const MOUNT: MountId = MountId([7; 16]);
/// The mount that gives to [`TAKER`], to which it is linked.
pub(crate) const GIVER: MountId = MountId([8; 16]);
/// The mount that takes, and of which [`GIVER`] hears.
pub(crate) const TAKER: MountId = MountId([6; 16]);
/// When clients begin their sessions, as log time goes.
const BIRTH: Time = Time(1_767_225_600_000_000);
/// How long an attempt may take.
const ATTEMPT_WITHIN: Duration = Duration::from_millis(1500);
/// How long a client waits for a node that may be dead.
const PATIENCE: Duration = Duration::from_secs(3);
/// Of so many reads in a thousand the node asked is any.
const STRAY_PER_MILLE: u64 = 300;
/// Keys that are put where others hear of it: more than move to another module at once.
const TOLD: u64 = 60;
/// Of so many turns in a thousand at what may upgrade, one does.
const UPGRADE_PER_MILLE: u64 = 200;
/// Keys of registers; counters have the keys after them.
const REGISTERS: u64 = 3;
/// Keys of counters; cells of the tree have the keys after them.
const COUNTERS: u64 = 2;
/// The first cell.
pub(crate) const CELLS_FROM: u64 = REGISTERS + COUNTERS;

/// The key to which is added later, by timers.
const POSTPONED: u64 = 1000;
/// At most so much later, in microseconds.
const POSTPONED_US_MAX: u64 = 3_000_000;
/// How often the mount's schedule runs.
pub(crate) const BEAT: Span = Span(700_000);

/// A client.
pub struct Client {
    pub(crate) world: Arc<World>,
    history: History,
    pub(crate) random: Random,
    number: u64,
    session: SessionId,
    sequence: u64,
    /// The node that answered last.
    favourite: usize,
}

pub(crate) fn principal() -> Principal {
    Principal([9; 32])
}

/// Creates the mounts, whoever leads. Repeating it is harmless.
pub async fn create_mounts(world: &Arc<World>) {
    let mut client = Client::new(world.clone(), History::default(), 0);
    let modules =
        [(MOUNT, Twin::beating(1, Schedule::Every(BEAT))), (TAKER, Twin::module(1)), (GIVER, Twin::linked(1, TAKER))];
    for (mount, module) in modules {
        let request = Request::CreateMount { mount, incarnation: Incarnation(1), module, creator: principal() };
        client.insist(MOUNTS, &request, None).await;
    }
}

impl Client {
    /// Client `number`, with a session of its own.
    pub fn new(world: Arc<World>, history: History, number: u64) -> Self {
        let mut random = world.split("client");
        let session = SessionId::new(BIRTH, random.next());
        let favourite = random.below(world.nodes.len() as u64) as usize;
        Self { world, history, random, number, session, sequence: 0, favourite }
    }

    /// Asks until `end`.
    pub async fn run(mut self, end: Duration) {
        while self.world.executor.now() < end {
            match self.random.below(16) {
                0..=3 => self.put(end).await,
                4 | 5 => self.add(end).await,
                6 => self.add_if(end).await,
                7 | 8 => self.get().await,
                9 => self.total().await,
                10 => self.postpone(end).await,
                11 if self.random.per_mille(500) => self.give(end).await,
                11 => self.lend(end).await,
                12 => self.tell(end).await,
                13 if self.random.per_mille(UPGRADE_PER_MILLE) => self.upgrade(end).await,
                _ => self.cell().await,
            }
            let pause = self.random.range(1..30);
            self.world.sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn put(&mut self, end: Duration) {
        let key = self.random.below(REGISTERS);
        let value = self.random.next();
        let arguments = [Value::String(key.to_string()), Value::Bytes(value.to_le_bytes().to_vec())];
        let begin = self.world.executor.now();
        let done = self.reduce(MOUNT, "put", &arguments, end).await;
        self.note(key, Action::Put(value), begin, done.is_some());
    }

    async fn add(&mut self, end: Duration) {
        let key = REGISTERS + self.random.below(COUNTERS);
        let n = self.random.range(1..100);
        let begin = self.world.executor.now();
        let answer = self.reduce(MOUNT, "add", &[Value::String(key.to_string()), Value::U64(n)], end).await;
        let total = answer.and_then(|payload| match Twin::answer("add", &payload) {
            Ok(Value::U64(total)) => Some(total),
            other => {
                self.world.findings.report("client", format_args!("add answered {other:?}"));
                None
            }
        });
        self.note(key, Action::Add(n, total), begin, total.is_some());
    }

    /// Adds to a counter if it is what it was when looked at: what is answered then is that much more.
    async fn add_if(&mut self, end: Duration) {
        let key = REGISTERS + self.random.below(COUNTERS);
        let n = self.random.range(1..100);
        let Some(Value::U64(seen)) = self.query("total", key).await else { return };
        let condition = Twin::holds(&key.to_string(), seen);
        let begin = self.world.executor.now();
        let request = self.next(MOUNT, "add", &[Value::String(key.to_string()), Value::U64(n)], vec![condition]);
        match self.ask(&request, end).await {
            // It may happen yet.
            None => self.note(key, Action::Add(n, None), begin, false),
            Some(Outcome::Refused(error)) if error.code == Code::Conflict => {}
            Some(outcome) => {
                let answer = self.payload("add", outcome).map(|payload| Twin::answer("add", &payload));
                let Some(Ok(Value::U64(total))) = answer else { return };
                if total != seen + n {
                    let what = format_args!("{n} was added to {seen} and gave {total}").to_string();
                    self.world.findings.report("conditions", format_args!("{what}"));
                }
                self.note(key, Action::Add(n, Some(total)), begin, true);
            }
        }
    }

    async fn postpone(&mut self, end: Duration) {
        let (n, after) = (self.random.range(1..100), self.random.below(POSTPONED_US_MAX) as i64);
        let arguments = [Value::String(POSTPONED.to_string()), Value::U64(n), Value::Duration(Span(after))];
        let begin = self.world.executor.now();
        let done = self.reduce(MOUNT, "postpone", &arguments, end).await;
        self.note(POSTPONED, Action::Postpone(n), begin, done.is_some());
    }

    /// Lets one mount give to the other: what became of that is added up at the end.
    async fn give(&mut self, end: Duration) {
        let arguments = [Value::String("given".into()), Value::U64(self.random.range(1..100))];
        self.reduce(GIVER, "give", &arguments, end).await;
    }

    /// Moves between the mounts in one transaction, which sometimes fails at its end; the other waits while its rows move.
    async fn lend(&mut self, end: Duration) {
        let key = if self.random.per_mille(200) { "never" } else { "lent" };
        let arguments = [Value::String(key.into()), Value::U64(self.random.range(1..100))];
        let request = self.next(GIVER, "lend", &arguments, Vec::new());
        match self.ask(&request, end).await {
            Some(Outcome::Application { .. }) | None => {}
            Some(outcome) => drop(self.payload("lend", outcome)),
        }
    }

    /// Gives the mount that others hear of a module that its rows have to move to, once: it answers the same again.
    async fn upgrade(&mut self, end: Duration) {
        let upgrade =
            Request::Upgrade { mount: TAKER, expected: Twin::module(1).code, module: Twin::migrating(3), way: Way::On };
        self.insist(MOUNTS, &upgrade, Some(end)).await;
    }

    /// Changes what the other mount hears of.
    async fn tell(&mut self, end: Duration) {
        let key = format!("told {}", self.random.below(TOLD));
        let arguments = [Value::String(key.clone()), Value::Bytes(Vec::new())];
        if self.reduce(TAKER, "put", &arguments, end).await.is_some() {
            self.world.told.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        }
    }

    async fn get(&mut self) {
        let key = self.random.below(REGISTERS);
        let begin = self.world.executor.now();
        let Some(Value::Option(value)) = self.query("get", key).await else { return };
        let value = value.and_then(|value| match *value {
            Value::Bytes(bytes) => bytes.try_into().ok().map(u64::from_le_bytes),
            _ => None,
        });
        self.note(key, Action::Get(value), begin, true);
    }

    async fn total(&mut self) {
        let key = REGISTERS + self.random.below(COUNTERS);
        let begin = self.world.executor.now();
        if let Some(Value::U64(total)) = self.query("total", key).await {
            self.note(key, Action::Total(total), begin, true);
        }
    }

    pub(crate) fn note(&self, key: u64, action: Action, begin: Duration, heard: bool) {
        let end = heard.then(|| self.world.executor.now());
        self.history.note(Operation { key, client: self.number, action, begin, end });
    }

    /// Calls a reducer under a new sequence. `None`: the end came first.
    async fn reduce(&mut self, mount: MountId, name: &str, arguments: &[Value], end: Duration) -> Option<Vec<u8>> {
        let request = self.next(mount, name, arguments, Vec::new());
        let answer = self.ask(&request, end).await?;
        self.payload(name, answer)
    }

    /// The call of a reducer under a new sequence.
    fn next(&mut self, mount: MountId, name: &str, arguments: &[Value], conditions: Vec<Condition>) -> ReducerCall {
        self.sequence += 1;
        let (sequence, done_below) = (Sequence(self.sequence), Sequence(self.sequence));
        let session = Some(SessionCall { session: self.session, sequence, done_below });
        let call = ReducerCall::new(mount, name, Twin::arguments(name, arguments));
        ReducerCall { session, conditions, principal: principal(), trusted: true, ..call }
    }

    /// Makes a call; sometimes asks twice, and must hear the same. `None`: the end came first.
    async fn ask(&mut self, call: &ReducerCall, end: Duration) -> Option<Outcome> {
        let request = Request::Call(Box::new(call.clone()));
        let answer = self.insist(MOUNTS, &request, Some(end)).await?;
        let session = call.session?;
        self.world.durable.check(&self.world, &session);
        if self.random.per_mille(80)
            && let Some(again) = self.insist(MOUNTS, &request, Some(end)).await
            && again != answer
        {
            let what = format_args!("{session:?} was answered {answer:?}, then {again:?}").to_string();
            self.world.findings.report("exactly once", format_args!("{what}"));
        }
        Some(answer)
    }

    fn payload(&self, name: &str, outcome: Outcome) -> Option<Vec<u8>> {
        match outcome.into_answer() {
            Ok(answer) if answer.application_error.is_none() => Some(answer.payload),
            other => {
                self.world.findings.report("client", format_args!("{name} was answered {other:?}"));
                None
            }
        }
    }

    /// Asks one node after another until one answers.
    pub(crate) async fn insist(&mut self, group: Group, request: &Request, end: Option<Duration>) -> Option<Outcome> {
        loop {
            if end.is_some_and(|end| self.world.executor.now() >= end) {
                return None;
            }
            match self.attempt(group, request.clone()).await {
                // Rows of the mount move: nothing was done.
                Some(Ok(Outcome::Refused(error))) if error.class() == Class::Busy => self.look_elsewhere().await,
                Some(Ok(outcome)) => return Some(outcome),
                Some(Err(error)) if error.class() == Class::Refused => {
                    self.world.findings.report("client", format_args!("{request:?} was refused: {error}"));
                    return None;
                }
                _ => self.look_elsewhere().await,
            }
        }
    }

    pub(crate) async fn attempt(&mut self, group: Group, request: Request) -> Option<Result<Outcome, Error>> {
        let raft = self.world.raft(self.favourite)?;
        let deadline = self.world.deadline(self.favourite, ATTEMPT_WITHIN)?;
        let proposed = Box::pin(async move { raft.propose(group, request, deadline).await });
        self.with_patience(proposed).await
    }

    /// A node that dies never answers.
    async fn with_patience<T>(&self, asked: impl Future<Output = T> + Unpin) -> Option<T> {
        let late = self.world.executor.now() + PATIENCE;
        match select(asked, self.world.executor.sleep_until(Life::WORLD, late)).await {
            Either::Left((value, _)) => Some(value),
            Either::Right(_) => None,
        }
    }

    pub(crate) async fn look_elsewhere(&mut self) {
        self.favourite = self.random.below(self.world.nodes.len() as u64) as usize;
        let pause = self.random.range(5..100);
        self.world.sleep(Duration::from_millis(pause)).await;
    }

    async fn query(&mut self, name: &'static str, key: u64) -> Option<Value> {
        let view = self.read(MOUNTS).await?;
        let call = QueryCall {
            name: name.into(),
            signature: Signature::ANY,
            principal: principal(),
            trusted: true,
            payload: Twin::arguments(name, &[Value::String(key.to_string())]),
        };
        let answer = view.mount(&MOUNT)?.query(&Twin::default(), &call);
        match answer.and_then(|payload| Twin::answer(name, &payload)) {
            Ok(value) => Some(value),
            Err(error) => {
                self.world.findings.report("client", format_args!("{name} was refused: {error}"));
                None
            }
        }
    }

    /// The newest version of a group, if the node asked gives it.
    pub(crate) async fn read(&mut self, group: Group) -> Option<View> {
        // Some ask a node that may not lead: it must refuse rather than say what it knows.
        let asked = match self.random.per_mille(STRAY_PER_MILLE) {
            true => self.random.below(self.world.nodes.len() as u64) as usize,
            false => self.favourite,
        };
        let (raft, deadline) = (self.world.raft(asked), self.world.deadline(asked, ATTEMPT_WITHIN));
        let view = match (raft, deadline) {
            (Some(raft), Some(deadline)) => {
                let read = Box::pin(async move { raft.read(group, Consistency::Linearizable, deadline).await });
                self.with_patience(read).await
            }
            _ => None,
        };
        match view {
            Some(Ok(view)) => Some(view),
            _ => {
                if asked == self.favourite {
                    self.look_elsewhere().await;
                }
                None
            }
        }
    }
}

/// The keys of the counters, and of the sum to which is added later.
pub fn counters() -> impl Iterator<Item = u64> {
    (REGISTERS..REGISTERS + COUNTERS).chain([POSTPONED])
}
