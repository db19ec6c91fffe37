//! Callers: each drives the mounted tally through one reference of isx-client, several calls at once, and swaps a cell of
//! the tree.

use crate::history::{Action, History, Operation};
use crate::random::Random;
use crate::vat::dial::{Dialled, Right, WITHIN};
use crate::vat::ledger::{Known, Ledger, Move};
use crate::world::World;
use isx_iface::limits::PAGE_COUNT_MAX;
use isx_iface::payload::{encode, value_of};
use isx_iface::{Anchor, AnchorStub, Answer, Call, Delivery, Host, Module, ObjectRef};
use isx_port::Clock;
use isx_row::typed::{Typed, decode_record};
use isx_row::{Bytes, Class, Code, Error, Signature};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Where the publisher mounts tally.
pub(crate) const MOUNT: &str = "/self/tally";
/// Counters that are added to and taken from.
const COUNTERS: u64 = 3;
/// The counter after them is taken from until nothing is left, so that its row goes and comes.
const EMPTIED: u64 = COUNTERS;
/// Cells have the keys after the counters.
const CELLS_FROM: u64 = EMPTIED + 1;
const CELLS: u64 = 2;
/// The first of many rows, and how many they are: more than travel in one part of a stream.
const MANY_FROM: u64 = 1_000;
const MANY: u64 = isx_node::limits::FOLLOW_ROWS_MAX as u64 + 44;
const MANY_NAME_BYTES: usize = isx_row::limits::KEY_BYTES_MAX / 2;
const _: () = assert!(MANY as usize * MANY_NAME_BYTES > isx_vat::limits::STREAM_BYTES_MAX);
/// Calls that a caller makes at once.
const AT_ONCE: Range<u64> = 1..5;
/// Of so many calls in a thousand the caller does not wait long.
const HASTY_PER_MILLE: u64 = 60;
/// How long it waits then.
const HASTY_WITHIN: Duration = Duration::from_millis(400);
/// How much later than a call's time its answer may come.
const LATE_MAX: Duration = Duration::from_millis(100);

/// The keys of all counters.
pub(crate) fn keys() -> Range<u64> {
    0..COUNTERS + 1
}

/// The name of a counter; those of many rows are long, so that the rows do not fit into one message.
fn name(key: u64) -> String {
    let padding = if key >= MANY_FROM { MANY_NAME_BYTES } else { 0 };
    format!("counter-{key}-{:0>padding$}", "")
}

/// The counter of a name.
pub(crate) fn key(name: &str) -> Option<u64> {
    name.strip_prefix("counter-")?.split('-').next()?.parse().ok()
}

/// Whether one call of the run moves the counter so, and no other.
pub(crate) fn moves_once(key: u64, moved: Move) -> bool {
    key != EMPTIED || matches!(moved, Move::Up(_))
}

/// Gives the table many rows, with as many calls at once.
pub(crate) async fn add_many(program: &Dialled, ledger: &Ledger) {
    let Ok(object) = tally(program).await else { return };
    let add = async |key: u64| {
        let n = ledger.amount();
        ledger.note(key, Move::Up(n), Known::Asked);
        let Ok(payload) = encode(&(name(key), n)) else { return };
        if object.call(call("add", payload, WITHIN)).await.is_ok() {
            ledger.note(key, Move::Up(n), Known::Done);
        }
    };
    futures::future::join_all((MANY_FROM..MANY_FROM + MANY).map(add)).await;
}

pub(crate) fn call(method: &str, payload: Vec<u8>, within: Duration) -> Call {
    let delivery = Delivery { within: Some(within), ..Delivery::default() };
    Call {
        method: method.into(),
        signature: Signature::ANY,
        payload,
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery,
    }
}

async fn tally(program: &Dialled) -> Result<ObjectRef, Error> {
    program.host().walk(MOUNT.into()).await?.object().await
}

async fn query<T: Typed>(program: &Dialled, method: &str, payload: Vec<u8>, within: Duration) -> Result<T, Error> {
    value_of(&tally(program).await?.call(call(method, payload, within)).await?)
}

/// Reads a counter.
pub(crate) async fn count(program: &Dialled, key: u64, within: Duration) -> Result<u64, Error> {
    query(program, "get", encode(&(name(key),))?, within).await
}

/// Reads all counters, as the owner.
pub(crate) async fn rows(program: &Dialled) -> Result<BTreeMap<String, u64>, Error> {
    let module = program.host().walk(MOUNT.into()).await?.module().await?;
    let (mut rows, mut after) = (BTreeMap::new(), None);
    loop {
        let page = module.rows("counter".into(), after, PAGE_COUNT_MAX as u32).await?;
        for Bytes(row) in &page.rows {
            let row = decode_record(row).map_err(|error| Error::new(Code::Malformed, format!("a row: {error}")))?;
            rows.extend([row.1]);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(rows),
        }
    }
}

/// Reads the sum of all counters.
pub(crate) async fn sum(program: &Dialled, within: Duration) -> Result<u64, Error> {
    query(program, "total", encode(&())?, within).await
}

/// A caller.
pub(crate) struct Caller {
    world: Arc<World>,
    program: Dialled,
    number: u64,
    random: Random,
    history: History,
    ledger: Ledger,
}

impl Caller {
    pub(crate) fn new(world: &Arc<World>, number: u64, random: Random, history: History, ledger: Ledger) -> Self {
        // Cells are the owner's; what tally has is anybody's.
        let right = if number.is_multiple_of(2) { Right::Owner } else { Right::Stranger };
        Self { world: world.clone(), program: Dialled::new(world, right), number, random, history, ledger }
    }

    /// Calls until `end`.
    pub(crate) async fn run(&self, end: Duration) {
        let mut random = self.random.clone();
        let cells = self.cells(end, random.split("cells"));
        let count = random.range(AT_ONCE);
        let calls = (0..count).map(|_| self.lane(end, random.split("lane")));
        futures::future::join(futures::future::join_all(calls), cells).await;
    }

    /// One call after another.
    async fn lane(&self, end: Duration, mut random: Random) {
        while self.world.executor.now() < end {
            let object = match tally(&self.program).await {
                Ok(object) => object,
                Err(error) => {
                    self.unexpected("the mount", &error);
                    self.world.sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // A reference is a session; it is used for a while.
            for _ in 0..random.range(20..200) {
                if self.world.executor.now() >= end {
                    return;
                }
                let pause = random.below(4);
                self.world.sleep(Duration::from_millis(pause * pause * random.below(20))).await;
                let key = random.below(COUNTERS);
                match random.below(10) {
                    0..=4 => self.add(&object, key, &mut random).await,
                    5 => self.take(&object, key, &mut random).await,
                    6 => self.empty(&object, &mut random).await,
                    _ => drop(self.get(&object, key, &mut random).await),
                }
            }
        }
    }

    /// Makes a call; none when its outcome is not known.
    async fn ask(
        &self,
        object: &ObjectRef,
        method: &str,
        payload: Vec<u8>,
        random: &mut Random,
    ) -> Option<Result<Answer, Error>> {
        let within = if random.per_mille(HASTY_PER_MILLE) { HASTY_WITHIN } else { WITHIN };
        let begin = self.program.clock.now();
        let answer = object.call(call(method, payload, within)).await;
        let took = self.program.clock.now().since(begin);
        if took > within + LATE_MAX {
            self.wrong(format_args!("{method} was to be answered within {within:?}, and was after {took:?}"));
        }
        match answer {
            Err(error) if matches!(error.class(), Class::Unknown | Class::Fatal) => None,
            Err(error) if error.code != Code::Application => {
                self.unexpected(method, &error);
                None
            }
            answer => Some(answer),
        }
    }

    /// The count that a call answered; none when nothing was answered.
    fn told(&self, method: &str, answer: Option<Result<Answer, Error>>) -> Option<Option<u64>> {
        Some(match answer? {
            Err(_) => None,
            Ok(answer) => match value_of(&answer) {
                Ok(count) => Some(count),
                Err(error) => {
                    self.unexpected(method, &error);
                    return None;
                }
            },
        })
    }

    async fn add(&self, object: &ObjectRef, key: u64, random: &mut Random) {
        let (n, begin) = (self.ledger.amount(), self.world.executor.now());
        let Some(payload) = self.arguments(key, n) else { return };
        self.ledger.note(key, Move::Up(n), Known::Asked);
        let told = self.told("add", self.ask(object, "add", payload.clone(), random).await);
        match told {
            Some(None) => return self.wrong(format_args!("add was refused")),
            Some(Some(_)) => {
                self.ledger.note(key, Move::Up(n), Known::Done);
                self.world.durable.check_only(&self.world, "add", &payload);
            }
            None => {}
        }
        self.note(key, Action::Add(n, told.flatten()), begin, told.is_some());
    }

    async fn take(&self, object: &ObjectRef, key: u64, random: &mut Random) {
        let (n, begin) = (self.ledger.amount(), self.world.executor.now());
        let Some(payload) = self.arguments(key, n) else { return };
        self.ledger.note(key, Move::Down(n), Known::Asked);
        let told = self.told("remove", self.ask(object, "remove", payload, random).await);
        match told {
            Some(None) => self.ledger.note(key, Move::Down(n), Known::Refused),
            Some(Some(_)) => self.ledger.note(key, Move::Down(n), Known::Done),
            None => {}
        }
        self.note(key, Action::Take(n, told), begin, told.is_some());
    }

    /// Takes what is in the counter that is emptied, or adds to it.
    async fn empty(&self, object: &ObjectRef, random: &mut Random) {
        match self.get(object, EMPTIED, random).await {
            Some(0) => self.add(object, EMPTIED, random).await,
            Some(n) => {
                let begin = self.world.executor.now();
                let Some(payload) = self.arguments(EMPTIED, n) else { return };
                let told = self.told("remove", self.ask(object, "remove", payload, random).await);
                self.note(EMPTIED, Action::Take(n, told), begin, told.is_some());
            }
            None => {}
        }
    }

    async fn get(&self, object: &ObjectRef, key: u64, random: &mut Random) -> Option<u64> {
        let begin = self.world.executor.now();
        let payload = encode(&(name(key),)).ok()?;
        let total = self.told("get", self.ask(object, "get", payload, random).await).flatten()?;
        self.note(key, Action::Total(total), begin, true);
        Some(total)
    }

    /// Reads and swaps cells, if they are this caller's to see. A swap is not asked again, so it may stay unknown.
    async fn cells(&self, end: Duration, mut random: Random) {
        while self.number.is_multiple_of(2) && self.world.executor.now() < end {
            let key = CELLS_FROM + random.below(CELLS);
            if let Err(error) = self.cell(key, &mut random).await
                && !matches!(error.class(), Class::Unknown | Class::Fatal)
            {
                self.unexpected("a cell", &error);
            }
            self.world.sleep(Duration::from_millis(random.range(5..60))).await;
        }
    }

    async fn cell(&self, key: u64, random: &mut Random) -> Result<(), Error> {
        let home = self.program.host().walk("/self".into()).await?;
        let cell: AnchorStub = home.make(format!("cell-{key}")).await?;
        let begin = self.world.executor.now();
        let found = cell.get().await?.and_then(|Bytes(bytes)| bytes.try_into().ok().map(u64::from_le_bytes));
        self.note(key, Action::Get(found), begin, true);
        let (begin, new) = (self.world.executor.now(), random.next());
        let bytes = |value: u64| Bytes(value.to_le_bytes().to_vec());
        let swapped = cell.swap(found.map(bytes), Some(bytes(new))).await;
        let unheard = swapped.as_ref().is_err_and(|error| matches!(error.class(), Class::Unknown | Class::Fatal));
        if swapped.is_ok() || unheard {
            self.note(key, Action::Swap(found, new, swapped.as_ref().ok().copied()), begin, swapped.is_ok());
        }
        swapped.map(drop)
    }

    fn arguments(&self, key: u64, n: u64) -> Option<Vec<u8>> {
        encode(&(name(key), n)).map_err(|error| self.unexpected("arguments", &error)).ok()
    }

    fn note(&self, key: u64, action: Action, begin: Duration, heard: bool) {
        let end = heard.then(|| self.world.executor.now());
        self.history.note(Operation { key, client: self.number, action, begin, end });
    }

    fn unexpected(&self, what: &str, error: &Error) {
        // Nothing came of it in time, or the node that was asked is done: it may have happened.
        if !matches!(error.class(), Class::Unknown | Class::Fatal) {
            self.wrong(format_args!("{what} answered {}: {error}", error.code.word()));
        }
    }

    fn wrong(&self, what: std::fmt::Arguments<'_>) {
        self.world
            .findings
            .report("caller", format_args!("{} at {:?}: {what}", self.number, self.world.executor.now()));
    }
}
