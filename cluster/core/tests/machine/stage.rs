//! What the tests play on: a machine with the twin, a clock that stands still, and requests in short words.

use isx_anchors::GroupId;
use isx_cluster::twin::Twin;
use isx_cluster::{
    Applied, Entry, EntryHeader, FEATURE_LEVEL, Hold, Machine, Mode, Outcome, QueryCall, Record, ReducerCall, Request,
    Restore, SessionCall,
};
use isx_row::schema::Way;
use isx_row::{
    Condition, Incarnation, MountId, Principal, Revision, RowKey, Sequence, SessionId, Signature, Span, Time, Value,
};
use isx_store::Executor;
use proptest::prelude::*;

/// Log time of the tests, unless they say otherwise: some time after zero.
pub const NOW: Time = Time(1_700_000_000_000_000);
pub const ONE: MountId = MountId([1; 16]);
pub const TWO: MountId = MountId([2; 16]);

#[derive(Clone)]
pub struct Stage {
    pub machine: Machine,
    pub twin: Twin,
    pub time: Time,
}

pub fn caller() -> Principal {
    Principal::of_peer(&[9; 32])
}

impl Stage {
    /// A group without mounts.
    pub fn bare(group: GroupId) -> Self {
        let twin = Twin::default();
        Self { machine: Machine::new(group, twin.execution_id()), twin, time: NOW }
    }

    /// A group with mounts [`ONE`] and [`TWO`].
    pub fn mounted() -> Self {
        let mut stage = Self::bare(GroupId::MOUNTS);
        stage.all(vec![create(ONE), create(TWO), create_tracking()]);
        stage
    }

    pub fn entry(&self, records: Vec<(u64, Request)>) -> Entry {
        let header = EntryHeader { level: FEATURE_LEVEL, execution: self.twin.execution_id(), time: self.time };
        let records = records.into_iter().map(|(nonce, request)| Record { nonce, request, effect: None });
        Entry { header, mode: Mode::Calls, records: records.collect() }
    }

    pub fn try_apply(&mut self, entry: &Entry) -> Result<Applied, Hold> {
        // What is applied has been in the log.
        let entry = Entry::decode(&entry.encode().unwrap()).unwrap();
        self.machine.apply(self.machine.applied() + 1, &entry, &self.twin)
    }

    pub fn apply(&mut self, records: Vec<(u64, Request)>) -> Applied {
        let entry = self.entry(records);
        self.try_apply(&entry).unwrap()
    }

    /// Applies requests in one entry and gives their outcomes.
    pub fn all(&mut self, requests: Vec<Request>) -> Vec<Outcome> {
        self.apply(requests.into_iter().zip(1..).map(|(request, nonce)| (nonce, request)).collect()).outcomes
    }

    /// Applies one request.
    pub fn one(&mut self, request: Request) -> Outcome {
        self.all(vec![request]).remove(0)
    }

    pub fn query(&self, mount: MountId, query: &str, key: &str) -> Value {
        let payload = Twin::arguments(query, &[Value::String(key.into())]);
        let call =
            QueryCall { name: query.into(), signature: Signature::ANY, principal: caller(), trusted: false, payload };
        let answer = self.machine.view().mount(&mount).unwrap().query(&self.twin, &call).unwrap();
        Twin::answer(query, &answer).unwrap()
    }

    /// The machine restored from a snapshot of this one.
    pub fn restored(&self) -> Self {
        let mut snapshot = self.machine.view().snapshot();
        let chunks: Vec<_> = snapshot.by_ref().collect();
        let mut restore = Restore::new(&snapshot.finish().unwrap()).unwrap();
        while let Some(expected) = restore.expected() {
            let chunk = chunks.iter().find(|chunk| chunk.hash == expected.hash).unwrap();
            restore.put(&chunk.bytes).unwrap();
        }
        Self { machine: restore.finish().unwrap(), ..self.clone() }
    }
}

pub fn create(mount: MountId) -> Request {
    Request::CreateMount { mount, incarnation: Incarnation(5), module: Twin::module(0), creator: caller() }
}

/// Has to know of its sessions.
pub const FOUR: MountId = MountId([4; 16]);

fn create_tracking() -> Request {
    Request::CreateMount { mount: FOUR, incarnation: Incarnation(5), module: Twin::tracking(0), creator: caller() }
}

/// A call of a mount's reducer without a session.
pub fn call(mount: MountId, name: &str, values: &[Value]) -> ReducerCall {
    ReducerCall { principal: caller(), ..ReducerCall::new(mount, name, Twin::arguments(name, values)) }
}

pub fn add(mount: MountId, key: &str, n: u64) -> ReducerCall {
    call(mount, "add", &[Value::String(key.into()), Value::U64(n)])
}

pub fn put(mount: MountId, key: &str, value: Vec<u8>) -> ReducerCall {
    call(mount, "put", &[Value::String(key.into()), Value::Bytes(value)])
}

/// A session born now.
pub fn session(number: u64) -> SessionId {
    SessionId::new(NOW, number)
}

/// The call under coordinates of a session.
pub fn within(mut call: ReducerCall, session: SessionId, sequence: u64, done_below: u64) -> Request {
    call.session = Some(SessionCall { session, sequence: Sequence(sequence), done_below: Sequence(done_below.max(1)) });
    bare(call)
}

pub fn bare(call: ReducerCall) -> Request {
    Request::Call(Box::new(call))
}

/// The number that `add` answered.
pub fn total(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Answer { payload, .. } => match Twin::answer("add", payload).unwrap() {
            Value::U64(total) => total,
            other => panic!("not a number: {other:?}"),
        },
        other => panic!("no answer: {other:?}"),
    }
}

/// An outcome in one word.
pub fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answer { revision, .. } => format!("answer at {revision}"),
        Outcome::Application { .. } => "application".into(),
        Outcome::Large { bytes, .. } => format!("large {bytes}"),
        Outcome::Refused(error) => error.code.word().into(),
        Outcome::Tree(_) => "tree".into(),
        Outcome::Mounted { revision, version, .. } => format!("mounted at {revision}, version {version}"),
        Outcome::Done => "done".into(),
        Outcome::Unconnected => "unconnected".into(),
        Outcome::Delivered(_) => "delivered".into(),
        Outcome::Migrating { .. } => "migrating".into(),
    }
}

/// Requests as they come: few mounts, sessions, sequences and keys, so that they meet.
pub fn requests(count: usize) -> impl Strategy<Value = Vec<(u64, Request)>> {
    prop::collection::vec((any::<u64>(), request()), 1..count)
}

fn request() -> impl Strategy<Value = Request> {
    let mount = prop_oneof![6 => Just(ONE), 3 => Just(TWO), 3 => Just(FOUR), 1 => Just(MountId([3; 16]))];
    let key = prop_oneof![Just("a"), Just("b"), Just("c")];
    let reducer = (0..100_u32, key, any::<u8>());
    let session = prop::option::weighted(0.8, (0..4_u64, 1..6_u64, 0..3_u64));
    let least = prop::option::weighted(0.1, 0..8_u64);
    let expected = prop::option::weighted(0.15, (0..4_u8, 0..3_u8));
    let called = (mount, reducer, session, (least, expected));
    let called = called.prop_map(|(mount, (which, key, n), coordinates, (least, expected))| {
        let name = Value::String(key.into());
        let mut made = match which {
            0..40 => add(mount, key, u64::from(n)),
            40..60 => put(mount, key, vec![n; usize::from(n)]),
            60..75 => call(mount, "draw", &[name]),
            75..85 => call(mount, "fail", &[name]),
            85..90 => call(mount, "large", &[Value::U32(u32::from(n) * 10)]),
            90..92 => call(mount, "missing", &[]),
            92..95 => call(mount, "enter", &[name]),
            // Due at once, or never in these tests.
            _ => call(mount, "postpone", &[name, Value::U64(u64::from(n)), Value::Duration(Span(i64::from(n % 2)))]),
        };
        made.revision_min = least.map(Revision);
        made.conditions = expected.map(|(which, n)| condition(which, key, n)).into_iter().collect();
        match coordinates {
            // Some sessions are somebody else's, some too old.
            Some((3, sequence, _)) => within(made, SessionId::new(Time(0), 3), sequence, 1),
            Some((number, sequence, back)) => within(made, session_of(number), sequence, sequence.saturating_sub(back)),
            None => bare(made),
        }
    });
    prop_oneof![
        40 => called,
        1 => Just(Request::Tick),
        3 => Just(Request::Fire { mount: ONE }),
        3 => (0..4_u64).prop_map(|number| {
            Request::Connect { mount: FOUR, session: session_of(number), principal: caller() }
        }),
        2 => (0..4_u64).prop_map(|number| Request::Disconnect { mount: FOUR, session: session_of(number) }),
        1 => Just(create(MountId([3; 16]))),
        1 => Just(Request::DropMount { mount: MountId([3; 16]) }),
        1 => Just(Request::Upgrade { mount: ONE, expected: Twin::module(0).code, module: Twin::module(1), way: Way::On }),
        1 => Just(Request::Upgrade { mount: TWO, expected: Twin::module(0).code, module: Twin::migrating(2), way: Way::On }),
        1 => Just(Request::Upgrade { mount: TWO, expected: Twin::module(0).code, module: Twin::wider(3), way: Way::On }),
        2 => Just(Request::Upgrade { mount: TWO, expected: Twin::wider(3).code, module: Twin::module(0), way: Way::Back }),
        3 => (0..4_u64).prop_map(|moved| Request::Migrate { mount: TWO, moved }),
    ]
}

/// A precondition that may hold or not.
fn condition(which: u8, key: &str, n: u8) -> Condition {
    match which {
        0 => Condition::At { revision: Revision(u64::from(n)), incarnation: None },
        1 => Condition::Absent(counter(key)),
        2 => Condition::Present(counter(key)),
        _ => Twin::holds(key, u64::from(n)),
    }
}

/// The row of a key in the table of counters.
pub fn counter(key: &str) -> RowKey {
    Twin::holds(key, 0).row().unwrap().clone()
}

fn session_of(number: u64) -> SessionId {
    session(number)
}
