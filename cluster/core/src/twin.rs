//! The twin of an executor: one small module written in Rust over the store, for tests that need no WebAssembly.
//!
//! Tables `kv` (key string, value bytes), `count` (key string, total u64) and `later` (id u64, key string, at time, n
//! u64). Reducers: `put(key, value)`; `add(key, n) -> total`; `postpone(key, n, after)` adds so much later; `draw(key) -> number` adds a number of the call's random stream; `fail(key)` writes and then
//! answers the module's own error; `large(bytes) -> bytes` answers that many bytes; `poison()` holds whoever runs it, as does
//! a due row of the key `poison`.
//! Queries: `get(key) -> option<bytes>`, `total(key) -> u64`. The `init` hook puts `init` into `kv`;
//! with a schedule, `beat(count)` adds to the key `beat`. With a link, see [`Twin::linked`].

use crate::request::ModuleRecord;
use isx_row::codec::{decode_record, encode_record};
use isx_row::schema::{
    Column, Fill, Hook, Index, IndexKind, Link, Query, Reducer, RowEvent, Schedule, Schema, Sent, Table, TableKind,
};
use isx_row::{
    Bytes, Code, Condition, ContentHash, Error, Field, MountId, Revision, RowKey, SessionId, Signature, Time, Type,
    Value, key,
};
use isx_store::{
    Cause, Changes, Database, EntryContext, Executed, ExecutionId, Executor, Hold, Invocation, Joined, JoinedChanges,
    Limits, Linked, Message, MessageKind, Reads, Transaction,
};
use std::sync::Arc;

/// The executor. Every code is here but the one it is told to be without.
#[derive(Clone, Debug, Default)]
pub struct Twin {
    /// The code that is not here.
    pub missing: Option<ContentHash>,
    /// The execution id.
    pub execution: u8,
}

impl Twin {
    /// The number of sessions that a module which tracks them refuses.
    pub const REFUSED: u64 = u64::MAX;

    /// The module's record. Records of different `generation` differ in their code, and the tables of all are alike.
    pub fn module(generation: u8) -> Arc<ModuleRecord> {
        Self::record(generation, With::Nothing)
    }

    /// The same with a hook that this schedule runs.
    pub fn beating(generation: u8, schedule: Schedule) -> Arc<ModuleRecord> {
        Self::record(generation, With::Beat(schedule))
    }

    /// The same with a table `online` (session uuid, key string), a reducer `enter(key)` that inserts into it, and hooks:
    /// `came` adds 1 to the key `came`, and refuses sessions of the number [`Twin::REFUSED`]; `went` adds to the key `went` how many
    /// rows are online.
    pub fn tracking(generation: u8) -> Arc<ModuleRecord> {
        Self::record(generation, With::Sessions)
    }

    /// The same with a link to another mount of a twin. A reducer `give(key, n)` takes n of the key and sends `add(key, n)` there,
    /// `lend(key, n)` adds it there in the same transaction, and fails after that for the key `never`;
    /// hooks: `given` adds 1 to the key `answered`, or `refused`, for each of them, `heard` adds 1 to the key `heard` for each key
    /// that is put into the other's table `kv`, `changed` for each that is put again.
    pub fn linked(generation: u8, to: MountId) -> Arc<ModuleRecord> {
        let links = vec![Linked { path: OTHER.into(), mount: to, trusted: false }];
        Arc::new(ModuleRecord { links, ..ModuleRecord::clone(&Self::record(generation, With::Link)) })
    }

    /// The same with a column `content` of the table `kv`, which the rows of that of any other twin do not fit: a hook puts them
    /// into it, and adds 1 to the key `moved` for each; that of the key `never` it refuses.
    pub fn migrating(generation: u8) -> Arc<ModuleRecord> {
        Self::record(generation, With::Migration)
    }

    /// The same with a column `seen` of the table `kv`, which rows of any other twin have the default of, and a table `puts`, into
    /// which the keys go that are put.
    pub fn wider(generation: u8) -> Arc<ModuleRecord> {
        Self::record(generation, With::More)
    }

    fn record(generation: u8, with: With) -> Arc<ModuleRecord> {
        let schema = schema(with).encode().unwrap_or_default();
        let code = ContentHash::of(&[b"isx:twin", &[generation][..]].concat());
        Arc::new(ModuleRecord {
            code,
            schema,
            fuel_max: 1_000,
            limits: Limits::default(),
            config: Vec::new(),
            links: Vec::new(),
        })
    }

    /// The arguments of a reducer or query, encoded. Empty when they are not of its types.
    pub fn arguments(function: &str, values: &[Value]) -> Vec<u8> {
        let schema = schema_of(function);
        let reducer = schema.reducer(function).map(|reducer| &reducer.arguments);
        let fields = reducer.or_else(|| schema.query(function).map(|query| &query.arguments));
        fields.and_then(|fields| encode_record(0, fields, values).ok()).unwrap_or_default()
    }

    /// The precondition that a counter has this total.
    pub fn holds(name: &str, total: u64) -> Condition {
        let mut bytes = Vec::new();
        // A name is no longer than a key.
        let _ = key::append(&Type::String, name.as_bytes(), &mut bytes);
        let row = RowKey { table: "count".into(), signature: Signature::ANY, key: Bytes(bytes) };
        Condition::Holds { row, column: "total".into(), value: Bytes(total.to_le_bytes().to_vec()) }
    }

    /// The value of an answer, decoded.
    ///
    /// # Errors
    /// `malformed` when it is not of the function's answer.
    pub fn answer(function: &str, bytes: &[u8]) -> Result<Value, Error> {
        let schema = schema_of(function);
        let reducer = schema.reducer(function).map(|reducer| &reducer.answer);
        let ty = reducer.or_else(|| schema.query(function).map(|query| &query.answer)).cloned();
        let ty = ty.ok_or_else(|| Error::new(Code::NotFound, function))?;
        let (_, values) = decode_record(&[field("answer", ty)], bytes).map_err(malformed)?;
        values.into_iter().next().ok_or_else(|| Error::new(Code::Malformed, "no answer"))
    }
}

/// What a module has beside what all have.
enum With {
    Nothing,
    Beat(Schedule),
    Sessions,
    Link,
    Migration,
    More,
}

/// What the column `seen` has in it.
const SEEN: u64 = 7;

/// The path of the mount that a twin is linked to.
const OTHER: &str = "/self/other";

/// A schema that has a function, if any has.
fn schema_of(function: &str) -> Schema {
    let linked = schema(With::Link);
    if linked.reducer(function).is_some() { linked } else { schema(With::Sessions) }
}

fn schema(with: With) -> Schema {
    let column = |name: &str, ty| Column { name: name.into(), ty, default: None, since: 1 };
    let table = |name: &str, value: &str, ty| Table {
        name: name.into(),
        kind: TableKind::Durable,
        public: true,
        version: 1,
        columns: vec![column("key", Type::String), column(value, ty)],
        primary_key: vec![0],
        auto_inc: None,
        indexes: vec![],
    };
    let reducer = |name: &str, arguments: &[Field], answer| Reducer {
        name: name.into(),
        public: true,
        arguments: arguments.to_vec(),
        answer,
        error: None,
        hook: None,
        access: None,
    };
    let query = |name: &str, answer| Query {
        name: name.into(),
        public: true,
        arguments: vec![field("key", Type::String)],
        answer,
        error: None,
        reads: None,
        key: None,
    };
    let (key, none) = (field("key", Type::String), Type::Tuple(vec![]));
    let later = Table {
        name: "later".into(),
        columns: vec![
            column("id", Type::U64),
            column("key", Type::String),
            column("at", Type::Time),
            column("n", Type::U64),
        ],
        auto_inc: Some(0),
        indexes: vec![Index { name: Hook::DUE.into(), columns: vec![2], kind: IndexKind::Btree, unique: false }],
        ..table("later", "n", Type::U64)
    };
    let mature = Field { name: "row".into(), ty: later.row_type() };
    let mut reducers = vec![
        reducer("add", &[key.clone(), field("n", Type::U64)], Type::U64),
        reducer("draw", std::slice::from_ref(&key), Type::U64),
        reducer("fail", std::slice::from_ref(&key), none.clone()),
        Reducer { hook: Some(Hook::Init), ..reducer("init", &[], none.clone()) },
        reducer("large", &[field("bytes", Type::U32)], Type::Bytes),
        Reducer { hook: Some(Hook::Due { table: "later".into() }), ..reducer("mature", &[mature], none.clone()) },
        reducer("poison", &[], none.clone()),
        reducer("postpone", &[key.clone(), field("n", Type::U64), field("after", Type::Duration)], none.clone()),
        reducer("put", &[key, field("value", Type::Bytes)], none.clone()),
    ];
    let mut tables = vec![table("count", "total", Type::U64), table("kv", "value", Type::Bytes), later];
    let hook = |name: &str, arguments: &[Field], hook| Reducer {
        hook: Some(hook),
        ..reducer(name, arguments, Type::Tuple(vec![]))
    };
    let mut links = Vec::new();
    match with {
        With::Nothing => (),
        With::More => {
            tables.push(table("puts", "times", Type::U64));
            if let Some(kv) = tables.iter_mut().find(|table| table.name == "kv") {
                kv.version = 2;
                let default = Some(Fill::Value(SEEN.to_le_bytes().to_vec()));
                kv.columns.push(Column { default, since: 2, ..column("seen", Type::U64) });
            }
        }
        With::Migration => {
            let row = Type::Struct(vec![field("key", Type::String), field("value", Type::Bytes)]);
            reducers.push(hook("moves", &[field("old", row)], Hook::Migrate { table: "kv".into() }));
            let kv = tables.iter_mut().filter(|table| table.name == "kv").flat_map(|table| &mut table.columns);
            kv.filter(|column| column.name == "value").for_each(|column| column.name = "content".into());
        }
        With::Link => {
            let sent = [field("key", Type::String), field("n", Type::U64)];
            reducers.push(reducer("give", &sent, Type::U64));
            let reply = field("reply", Sent::reply(&Type::U64));
            let given = Hook::Reply { path: OTHER.into(), reducer: "add".into() };
            reducers.push(hook("given", &[field("number", Type::U64), reply], given));
            let row = |name: &str| field(name, Type::Struct(vec![field("key", Type::String)]));
            let on = |event| Hook::OtherTable { path: OTHER.into(), table: "kv".into(), event };
            reducers.push(hook("heard", &[row("row")], on(RowEvent::Insert)));
            reducers.push(hook("changed", &[row("old"), row("new")], on(RowEvent::Update)));
            reducers.push(reducer("lend", &sent, Type::U64));
            let known = vec![Sent { name: "add".into(), arguments: sent.to_vec(), answer: Type::U64 }];
            links.push(Link { path: OTHER.into(), sends: known.clone(), joins: known });
        }
        With::Beat(schedule) => reducers.push(hook("beat", &[field("count", Type::U64)], Hook::Schedule(schedule))),
        With::Sessions => {
            reducers.push(hook("came", &[], Hook::Connect));
            reducers.push(hook("went", &[], Hook::Disconnect));
            reducers.push(reducer("enter", &[field("key", Type::String)], none));
            let session = Column { default: Some(Fill::Session), ..column("session", Type::Uuid) };
            let index =
                |name: &str| Index { name: name.into(), columns: vec![0], kind: IndexKind::Btree, unique: false };
            tables.push(Table {
                kind: TableKind::Session,
                public: false,
                columns: vec![session, column("key", Type::String)],
                primary_key: vec![0, 1],
                indexes: vec![index(Fill::SESSION)],
                ..table("online", "key", Type::String)
            });
        }
    }
    reducers.sort_by(|a, b| a.name.cmp(&b.name));
    Schema {
        links,
        name: "twin".into(),
        version: "1.0.0".into(),
        public: true,
        tables,
        reducers,
        queries: vec![query("get", Type::Option(Box::new(Type::Bytes))), query("total", Type::U64)],
    }
}

impl Executor for Twin {
    fn execution_id(&self) -> ExecutionId {
        ExecutionId([self.execution; 32])
    }

    fn has(&self, code: &ContentHash) -> bool {
        self.missing != Some(*code)
    }

    fn execute_joined(
        &self,
        code: &ContentHash,
        root: &mut Database,
        entry: &EntryContext,
        calls: &[Invocation<'_>],
        joined: &mut [Joined],
    ) -> Result<Vec<Executed>, Hold> {
        if let Some(missing) = [code].into_iter().chain(joined.iter().map(|one| &one.code)).find(|code| !self.has(code))
        {
            return Err(Hold::NoCode(*missing));
        }
        if let Some(position) = calls.iter().position(|call| is_poison(root, call)) {
            return Err(Hold::Poisoned { position });
        }
        Ok(calls.iter().map(|call| run(root, entry, call, joined)).collect())
    }

    fn query(&self, code: &ContentHash, root: &Database, _at: (Revision, Time), call: &Invocation<'_>) -> Executed {
        let answer = match self.has(code) {
            true => ask(root, call),
            false => Err(Error::new(Code::Busy, "the code is not here")),
        };
        match answer {
            Ok(bytes) => Executed { outcome: Ok(bytes), fuel: 1, ..nothing() },
            Err(error) => Executed::refused(error),
        }
    }
}

/// What a call did that did nothing.
fn nothing() -> Executed {
    Executed {
        outcome: Ok(Vec::new()),
        detail: None,
        fuel: 0,
        host_calls: 0,
        changes: Changes::default(),
        log: Vec::new(),
        reads: Reads::default(),
        joined: Vec::new(),
    }
}

fn ask(root: &Database, call: &Invocation<'_>) -> Result<Vec<u8>, Error> {
    let (query, arguments) = match root.schema().query(call.name) {
        Some(query) => (query, decode_record(&query.arguments, call.arguments).map_err(bad_arguments)?.1),
        None => return Err(Error::new(Code::NotFound, "no such query")),
    };
    let (table, missing) = if query.name == "get" { ("kv", Value::Option(None)) } else { ("count", Value::U64(0)) };
    let value = match read(root, table, arguments.first())? {
        Some(value) if query.name == "get" => Value::Option(Some(Box::new(value))),
        Some(value) => value,
        None => missing,
    };
    encode_record(0, &[field("answer", query.answer.clone())], &[value]).map_err(malformed)
}

/// Whether a call holds whoever runs it: `poison`, or the hook of a due row of that key.
fn is_poison(root: &Database, call: &Invocation<'_>) -> bool {
    if call.cause != Cause::Due {
        return call.name == "poison";
    }
    let row = root.table("later").and_then(|table| root.get(table, call.arguments).ok().flatten());
    let row = row.and_then(|row| decode_record(&fields(root, "later"), &row).ok());
    row.is_some_and(|(_, row)| row.get(1) == Some(&Value::String("poison".into())))
}

/// Runs one call in a transaction.
fn run(root: &mut Database, entry: &EntryContext, call: &Invocation<'_>, joined: &mut [Joined]) -> Executed {
    let mut transaction = root.begin();
    transaction.set_session(call.session);
    let mut elsewhere = Vec::new();
    let done = match call.cause {
        Cause::Call if call.name == "lend" => lend(&mut transaction, call, joined, &mut elsewhere),
        Cause::Call => reduce(&mut transaction, entry, call),
        Cause::Hook => hook(&mut transaction, call),
        Cause::Due => due(&mut transaction, call),
    };
    let log = vec![(1, format!("ran {}", call.name))];
    match done {
        Ok(bytes) => {
            // So many rows that some requests move them.
            let fuel = if call.name == "moves" { 100 } else { 1 };
            Executed { outcome: Ok(bytes), fuel, changes: transaction.commit(), log, joined: elsewhere, ..nothing() }
        }
        Err(error) => {
            let detail = (error.code == Code::Application).then(|| error.text.clone().into_bytes());
            Executed { outcome: Err(error), detail, fuel: 1, log, ..nothing() }
        }
    }
}

fn hook(transaction: &mut Transaction<&mut Database>, call: &Invocation<'_>) -> Result<Vec<u8>, Error> {
    match call.name {
        "came" if call.session.is_some_and(|one| one == SessionId::new(one.birth(), Twin::REFUSED)) => {
            return Err(Error::new(Code::Application, "not you"));
        }
        "came" => drop(add(transaction, &Value::String("came".into()), 1)?),
        "went" => {
            let online = transaction.table("online").and_then(|table| transaction.database().row_count(table));
            add(transaction, &Value::String("went".into()), online.unwrap_or(0))?;
        }
        "given" => {
            let schema = Arc::clone(transaction.database().schema());
            let takes = schema.reducer("given").map(|given| given.arguments.clone()).unwrap_or_default();
            let given = decode_record(&takes, call.arguments).map_err(bad_arguments)?.1;
            let key = if matches!(given.as_slice(), [_, Value::Enum(1, _)]) { "answered" } else { "refused" };
            add(transaction, &Value::String(key.into()), 1)?;
        }
        "moves" => {
            let schema = Arc::clone(transaction.database().schema());
            let takes = schema.reducer("moves").map(|moves| moves.arguments.clone()).unwrap_or_default();
            let old = decode_record(&takes, call.arguments).map_err(bad_arguments)?.1.pop();
            let Some(Value::Struct(row)) = old else { return Err(Error::new(Code::BadArguments, "moves")) };
            let [key, value] = row.as_slice() else { return Err(Error::new(Code::BadArguments, "moves")) };
            if *key == Value::String("never".into()) {
                return Err(Error::new(Code::Application, "it fails, as asked"));
            }
            write(transaction, "kv", key.clone(), value.clone())?;
            add(transaction, &Value::String("moved".into()), 1)?;
        }
        "heard" | "changed" => drop(add(transaction, &Value::String(call.name.into()), 1)?),
        "init" => write(transaction, "kv", Value::String("init".into()), Value::Bytes(vec![]))?,
        "beat" => {
            let schema = Arc::clone(transaction.database().schema());
            let takes = schema.reducer("beat").map(|beat| beat.arguments.clone()).unwrap_or_default();
            let count = decode_record(&takes, call.arguments).map_err(bad_arguments)?.1;
            let [Value::U64(count)] = count.as_slice() else { return Err(Error::new(Code::BadArguments, "beat")) };
            add(transaction, &Value::String("beat".into()), *count)?;
        }
        name => return Err(Error::new(Code::NotFound, name)),
    }
    answer(transaction, call.name, Value::Tuple(vec![]))
}

/// Adds what a due row says, unless it is of the key `never`: that fails.
fn due(transaction: &mut Transaction<&mut Database>, call: &Invocation<'_>) -> Result<Vec<u8>, Error> {
    let table = transaction.table("later").ok_or_else(|| Error::new(Code::NotFound, "later"))?;
    let row = transaction.delete(table, call.arguments)?;
    let row = decode_record(&fields(transaction.database(), "later"), &row).map_err(malformed)?.1;
    let [_, key, _, Value::U64(n)] = row.as_slice() else { return Err(Error::new(Code::Malformed, "later")) };
    add(transaction, key, *n)?;
    match key {
        Value::String(key) if key == "never" => Err(Error::new(Code::Application, "it fails, as asked")),
        _ => answer(transaction, call.name, Value::Tuple(vec![])),
    }
}

fn reduce(
    transaction: &mut Transaction<&mut Database>,
    entry: &EntryContext,
    call: &Invocation<'_>,
) -> Result<Vec<u8>, Error> {
    let schema = Arc::clone(transaction.database().schema());
    let reducer = schema.reducer(call.name).filter(|reducer| reducer.hook.is_none());
    let reducer = reducer.ok_or_else(|| Error::new(Code::NotFound, "no such reducer"))?;
    let arguments = decode_record(&reducer.arguments, call.arguments).map_err(bad_arguments)?.1;
    let value = match (call.name, arguments.as_slice()) {
        ("put", [key, value]) => {
            write(transaction, "kv", key.clone(), value.clone())?;
            if transaction.table("puts").is_some() {
                write(transaction, "puts", key.clone(), Value::U64(1))?;
            }
            Value::Tuple(vec![])
        }
        ("add", [key, Value::U64(n)]) => add(transaction, key, *n)?,
        ("give", [key, Value::U64(n)]) => {
            let left = add(transaction, key, n.wrapping_neg())?;
            let link = transaction.database().linked(OTHER);
            let link = link.ok_or_else(|| Error::new(Code::NotFound, "the link"))?;
            let message = Message {
                kind: MessageKind::Call,
                path: OTHER.into(),
                name: "add".into(),
                signature: Signature::ANY,
                payload: Twin::arguments("add", &arguments),
                trusted: link.trusted,
                hops: call.hops.saturating_add(1),
            };
            transaction.send(&link.mount, &message)?;
            left
        }
        ("draw", [key]) => add(transaction, key, draw(entry, call.place))?,
        ("postpone", [key, Value::U64(n), Value::Duration(after)]) => {
            let table = transaction.table("later").ok_or_else(|| Error::new(Code::NotFound, "later"))?;
            let at = Value::Time(Time(entry.time.0.saturating_add(after.0)));
            let row = [Value::U64(0), key.clone(), at, Value::U64(*n)];
            let row = encode_record(1, &fields(transaction.database(), "later"), &row).map_err(malformed)?;
            transaction.insert(table, &row)?;
            Value::Tuple(vec![])
        }
        ("enter", [key]) => {
            let table = transaction.table("online").ok_or_else(|| Error::new(Code::NotFound, "online"))?;
            let row = [Value::Uuid([0; 16]), key.clone()];
            let row = encode_record(1, &fields(transaction.database(), "online"), &row).map_err(malformed)?;
            transaction.insert(table, &row)?;
            Value::Tuple(vec![])
        }
        ("fail", [key]) => {
            write(transaction, "kv", key.clone(), Value::Bytes(vec![1]))?;
            return Err(Error::new(Code::Application, "it fails, as asked"));
        }
        ("large", [Value::U32(bytes)]) => Value::Bytes(vec![7; *bytes as usize % (200 * 1024)]),
        _ => return Err(Error::new(Code::BadArguments, "no such arguments")),
    };
    answer(transaction, call.name, value)
}

/// Takes of a key here and adds to it there, or neither.
fn lend(
    transaction: &mut Transaction<&mut Database>,
    call: &Invocation<'_>,
    joined: &mut [Joined],
    elsewhere: &mut Vec<JoinedChanges>,
) -> Result<Vec<u8>, Error> {
    let schema = Arc::clone(transaction.database().schema());
    let reducer = schema.reducer(call.name).ok_or_else(|| Error::new(Code::NotFound, "no such reducer"))?;
    let arguments = decode_record(&reducer.arguments, call.arguments).map_err(bad_arguments)?.1;
    let [key, Value::U64(n)] = arguments.as_slice() else { return Err(Error::new(Code::BadArguments, "lend")) };
    let link = transaction.database().linked(OTHER).ok_or_else(|| Error::new(Code::NotFound, "the link"))?;
    let other = joined.iter_mut().find(|joined| joined.mount == link.mount);
    // As a module that passes on what it is told.
    let other = other.ok_or_else(|| Error::new(Code::Application, Joined::gone(OTHER).text))?;
    let left = add(transaction, key, n.wrapping_neg())?;
    let mut there = other.root.begin();
    add(&mut there, key, *n)?;
    if *key == Value::String("never".into()) {
        return Err(Error::new(Code::Application, "it fails, as asked"));
    }
    let answer = answer(transaction, call.name, left)?;
    elsewhere.push(JoinedChanges { mount: link.mount, changes: there.commit(), log: vec![(1, "ran add".into())] });
    Ok(answer)
}

/// A number of a call's random stream, small enough to be summed.
fn draw(entry: &EntryContext, place: u64) -> u64 {
    let mut bytes = entry.seed.to_vec();
    bytes.extend_from_slice(&place.to_le_bytes());
    bytes.extend_from_slice(&entry.time.0.to_le_bytes());
    u64::from(ContentHash::of(&bytes).digest[0])
}

fn add(transaction: &mut Transaction<&mut Database>, key: &Value, n: u64) -> Result<Value, Error> {
    let before = match read(transaction.database(), "count", Some(key))? {
        Some(Value::U64(total)) => total,
        _ => 0,
    };
    let total = Value::U64(before.wrapping_add(n));
    write(transaction, "count", key.clone(), total.clone())?;
    Ok(total)
}

fn write(transaction: &mut Transaction<&mut Database>, table: &str, key: Value, value: Value) -> Result<(), Error> {
    let id = transaction.table(table).ok_or_else(|| Error::new(Code::NotFound, table))?;
    let there = read(transaction.database(), table, Some(&key))?.is_some();
    let version = transaction.database().table_schema(id).map_or(1, |table| table.version);
    let fields = fields(transaction.database(), table);
    let mut values = vec![key, value];
    values.resize(fields.len(), Value::U64(SEEN));
    let row = encode_record(version, &fields, &values).map_err(malformed)?;
    let (event, rows) = match there {
        true => transaction.update(id, &row).map(|(old, new)| (RowEvent::Update, vec![old, new]))?,
        false => (RowEvent::Insert, vec![transaction.insert(id, &row)?]),
    };
    let rows: Vec<&[u8]> = rows.iter().map(|row| &**row).collect();
    if transaction.database().is_moving() {
        return Ok(());
    }
    for listener in transaction.database().listeners() {
        if listener.table == table && listener.event == event {
            transaction.tell(&listener, id, &rows, 1)?;
        }
    }
    Ok(())
}

/// The second column of the row under a key.
fn read(root: &Database, table: &str, key: Option<&Value>) -> Result<Option<Value>, Error> {
    let (Some(id), Some(value)) = (root.table(table), key) else { return Ok(None) };
    let mut bytes = Vec::new();
    key::append_value(&Type::String, value, &mut bytes).map_err(malformed)?;
    let Some(row) = root.get(id, &bytes)? else { return Ok(None) };
    Ok(decode_record(&fields(root, table), &row).map_err(malformed)?.1.into_iter().nth(1))
}

fn fields(root: &Database, table: &str) -> Vec<Field> {
    let columns = root.schema().table(table).map(|table| table.columns.as_slice()).unwrap_or_default();
    columns.iter().map(|column| field(&column.name, column.ty.clone())).collect()
}

fn answer(transaction: &Transaction<&mut Database>, reducer: &str, value: Value) -> Result<Vec<u8>, Error> {
    let ty = transaction.database().schema().reducer(reducer).map(|reducer| reducer.answer.clone());
    let ty = ty.ok_or_else(|| Error::new(Code::NotFound, reducer))?;
    encode_record(0, &[field("answer", ty)], &[value]).map_err(malformed)
}

fn field(name: &str, ty: Type) -> Field {
    Field { name: name.into(), ty }
}

fn malformed(error: isx_row::codec::CodecError) -> Error {
    Error::new(Code::Malformed, error.to_string())
}

fn bad_arguments(error: isx_row::codec::CodecError) -> Error {
    Error::new(Code::BadArguments, error.to_string())
}
