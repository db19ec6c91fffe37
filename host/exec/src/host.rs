//! What an instance's store holds for the host functions: the tables, whose call it is, and what became of it.

use crate::access::Access;
use crate::bundle::Bundle;
use crate::code::Code;
use crate::limits::{HOOK_DEPTH_MAX, HOOKS_MAX, MEMORY_BYTES_MAX, TABLE_ELEMENTS_MAX};
use crate::log::Log;
use crate::random::Random;
use isx_row::schema::{Right, RowEvent};
use isx_row::{Code as ErrorCode, Error, MountId, Principal, SessionId, Time};
use isx_store::{
    Changes, Database, Invocation, Listener, Message, MessageKind, Reads, Savepoint, TableId, Transaction,
};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use wasmtime::ResourceLimiter;
use wasmtime::component::{ComponentType, Lift, Lower};

/// The data of an instance's store.
pub(crate) struct Host {
    pub(crate) code: Arc<Code>,
    /// Absent but while a call runs: start functions find none.
    pub(crate) tables: Tables,
    pub(crate) context: Context,
    /// Of the function that runs now.
    pub(crate) access: Access,
    depth: u8,
    pub(crate) hooks: VecDeque<PendingHook>,
    hooks_left: usize,
    /// Host functions that the running call has called.
    pub(crate) host_calls: u64,
    pub(crate) log: Log,
    /// Bytes of the instance's memory.
    pub(crate) memory_bytes: usize,
    /// What the running call has read, if it is of a view.
    pub(crate) reads: Option<Reads>,
}

/// The tables of a mount, as calls see them. They move into the instance that runs a call, and back.
#[derive(Default)]
pub(crate) struct Tables {
    /// For each table of the module's schema, by position.
    ids: Vec<Option<TableId>>,
    /// Hooks of other mounts that hear of changes here.
    listeners: Vec<Listener>,
    state: State,
    /// The mounts that calls reach into from here.
    pub(crate) bundle: Bundle,
}

/// A place in the transactions of tables and their bundle to roll back to.
pub(crate) struct Savepoints {
    own: Option<Savepoint>,
    bundle: Vec<Savepoints>,
}

/// What calls may do with the tables.
#[derive(Default)]
enum State {
    /// They are elsewhere.
    #[default]
    Absent,
    /// One transaction after another.
    Change(Transaction<Database>),
    /// Read a version.
    Read(Database),
}

/// What the entry says about a call.
#[derive(Clone)]
pub(crate) struct Context {
    /// Whose function runs.
    pub(crate) mount: MountId,
    pub(crate) caller: Principal,
    pub(crate) session: Option<SessionId>,
    pub(crate) time: Time,
    /// How many messages led to the call.
    pub(crate) hops: u8,
    /// None in queries.
    pub(crate) random: Option<Random>,
    /// Whether nothing may be changed.
    pub(crate) is_query: bool,
}

impl Context {
    /// Of a call at this log time; without random that of a query.
    pub(crate) fn new(call: &Invocation<'_>, time: Time, random: Option<Random>) -> Self {
        let Invocation { mount, caller, session, hops, .. } = *call;
        Self { mount, caller, session, time, hops, is_query: random.is_none(), random }
    }
}

/// A hook that an event has set off and that has not run yet.
pub(crate) struct PendingHook {
    /// Its position among the module's functions.
    pub(crate) function: usize,
    pub(crate) arguments: Vec<u8>,
    pub(crate) depth: u8,
}

/// `fault` of the guest contract.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Fault {
    pub(crate) code: u16,
    pub(crate) text: String,
}

/// `refusal` of the guest contract.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Refusal {
    pub(crate) detail: Vec<u8>,
    pub(crate) text: String,
}

/// `failure` of the guest contract.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum GuestFailure {
    #[component(name = "application")]
    Application(Refusal),
    #[component(name = "fault")]
    Fault(Fault),
    #[component(name = "absent")]
    Absent,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { code: error.code as u16, text: error.text }
    }
}

/// Ends the running call from within a host function, with this error.
#[derive(Debug)]
pub(crate) struct Stop(pub(crate) Error);

impl Stop {
    pub(crate) fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self(Error::new(code, text))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Stop {}

impl Tables {
    /// The tables of a root, to change at this log time.
    pub(crate) fn to_change(code: &Code, root: Database, time: Time) -> Self {
        let ids = ids(code, &root);
        let mut transaction = root.into_transaction();
        transaction.set_time(time);
        let listeners = transaction.database().listeners();
        Self { ids, listeners, state: State::Change(transaction), bundle: Bundle::default() }
    }

    /// The tables of a version, to read.
    pub(crate) fn to_read(code: &Code, root: Database) -> Self {
        let (listeners, bundle) = Default::default();
        Self { ids: ids(code, &root), listeners, state: State::Read(root), bundle }
    }

    /// The root between calls, to look at.
    pub(crate) fn root(&self) -> Option<&Database> {
        match &self.state {
            State::Change(transaction) => Some(transaction.database()),
            State::Read(database) => Some(database),
            State::Absent => None,
        }
    }

    /// Keeps what the last call did.
    pub(crate) fn commit(&mut self) -> Changes {
        match &mut self.state {
            State::Change(transaction) => transaction.commit(),
            State::Read(_) | State::Absent => Changes::default(),
        }
    }

    /// Undoes what is not committed, in the bundle too.
    pub(crate) fn rollback(&mut self) {
        if let State::Change(transaction) = &mut self.state {
            transaction.rollback();
        }
        self.bundle.rollback();
    }

    /// A place to roll back to.
    pub(crate) fn savepoints(&self) -> Savepoints {
        let own = match &self.state {
            State::Change(transaction) => Some(transaction.savepoint()),
            State::Read(_) | State::Absent => None,
        };
        Savepoints { own, bundle: self.bundle.savepoints() }
    }

    /// Undoes what was done since.
    pub(crate) fn rollback_to(&mut self, savepoints: &Savepoints) {
        if let (State::Change(transaction), Some(own)) = (&mut self.state, savepoints.own) {
            transaction.rollback_to(own);
        }
        self.bundle.rollback_to(&savepoints.bundle);
    }

    /// The root, with what was committed.
    pub(crate) fn into_database(self) -> Database {
        match self.state {
            State::Change(transaction) => transaction.into_database(),
            State::Read(database) => database,
            State::Absent => Database::default(),
        }
    }
}

fn ids(code: &Code, root: &Database) -> Vec<Option<TableId>> {
    code.schema.tables.iter().map(|table| root.table(&table.name)).collect()
}

impl Host {
    /// The data of an instance that has not started yet.
    pub(crate) fn new(code: Arc<Code>) -> Self {
        Self {
            code,
            tables: Tables::default(),
            context: Context {
                mount: MountId::default(),
                caller: Principal([0; 32]),
                session: None,
                time: Time(0),
                hops: 0,
                random: None,
                is_query: true,
            },
            access: Access::default(),
            depth: 0,
            hooks: VecDeque::new(),
            hooks_left: 0,
            host_calls: 0,
            log: Log::default(),
            memory_bytes: 0,
            reads: None,
        }
    }

    /// Makes ready for a call.
    pub(crate) fn begin(&mut self, tables: Tables, context: Context, is_view: bool) {
        self.tables = tables;
        if let State::Change(transaction) = &mut self.tables.state {
            transaction.set_session(context.session);
        }
        self.context = context;
        self.hooks.clear();
        self.hooks_left = HOOKS_MAX;
        self.host_calls = 0;
        self.log = Log::default();
        self.reads = is_view.then(Reads::default);
    }

    /// Enters a function of the call: the called one at depth 0, or a hook.
    pub(crate) fn enter(&mut self, access: Access, depth: u8) {
        self.access = access;
        self.depth = depth;
    }

    /// The root as the running call sees it.
    ///
    /// # Errors
    /// Ends a start function that asks.
    pub(crate) fn database(&self) -> Result<&Database, Stop> {
        self.tables.root().ok_or_else(start_function)
    }

    /// The table with this number of the guest contract, if the running function may do this with it.
    ///
    /// # Errors
    /// Ends the call: `denied`.
    pub(crate) fn permit(&self, number: u32, right: Right) -> Result<TableId, Stop> {
        let position = number as usize;
        let id = self.tables.ids.get(position).copied().flatten();
        let id = id.ok_or_else(|| Stop::new(ErrorCode::Denied, format!("no table has the number {number}")))?;
        match self.access.allows(right, position) {
            true => Ok(id),
            false => {
                let name = self.code.schema.tables.get(position).map_or("", |table| table.name.as_str());
                let text = format!("the function does not declare {}({name})", right.word());
                Err(Stop::new(ErrorCode::Denied, text))
            }
        }
    }

    /// The transaction of the running call.
    ///
    /// # Errors
    /// Ends a query that changes something.
    pub(crate) fn transaction(&mut self) -> Result<&mut Transaction<Database>, Stop> {
        match &mut self.tables.state {
            State::Absent => Err(start_function()),
            State::Change(transaction) if !self.context.is_query => Ok(transaction),
            State::Change(_) | State::Read(_) => Err(Stop::new(ErrorCode::Denied, "a query changes nothing")),
        }
    }

    /// How many hooks an event on a table sets off, and how many hooks of other mounts hear of it.
    pub(crate) fn hook_counts(&self, table: u32, event: RowEvent) -> (usize, usize) {
        (self.code.hooks(table as usize, event).len(), self.listeners(table, event).count())
    }

    fn listeners(&self, table: u32, event: RowEvent) -> impl Iterator<Item = &Listener> {
        let name = self.code.schema.tables.get(table as usize).map(|table| table.name.as_str());
        self.tables.listeners.iter().filter(move |one| one.event == event && Some(one.table.as_str()) == name)
    }

    /// Sets off the hooks of an event: they run when the function that runs now has ended. Those of other mounts get a message.
    ///
    /// # Errors
    /// Ends the call: `limit`.
    pub(crate) fn set_off(&mut self, table: u32, event: RowEvent, rows: &[&[u8]]) -> Result<(), Stop> {
        // That rows move to a new module is no event.
        if self.database()?.is_moving() {
            return Ok(());
        }
        let code = Arc::clone(&self.code);
        for &function in code.hooks(table as usize, event) {
            if self.depth >= HOOK_DEPTH_MAX {
                let text = format!("hooks set off hooks more than HOOK_DEPTH_MAX ({HOOK_DEPTH_MAX}) levels deep");
                return Err(Stop::new(ErrorCode::Limit, text));
            }
            let left = self.hooks_left.checked_sub(1);
            self.hooks_left = left.ok_or_else(|| {
                Stop::new(ErrorCode::Limit, format!("a call sets off more than HOOKS_MAX ({HOOKS_MAX}) hooks"))
            })?;
            let arguments = code.hook_arguments(table as usize, rows);
            self.hooks.push_back(PendingHook { function, arguments, depth: self.depth + 1 });
        }
        if self.tables.listeners.is_empty() {
            return Ok(());
        }
        let heard: Vec<Listener> = self.listeners(table, event).cloned().collect();
        let id = self.tables.ids.get(table as usize).copied().flatten();
        let hops = self.context.hops.saturating_add(1);
        for listener in heard {
            let id = id.ok_or_else(|| Stop::new(ErrorCode::NotFound, format!("table {table}")))?;
            self.transaction()?.tell(&listener, id, rows, hops).map_err(Stop)?;
        }
        Ok(())
    }
}

impl Host {
    /// Sends a call to another mount; gives its number.
    ///
    /// # Errors
    /// Ends a query.
    pub(crate) fn send(&mut self, path: &str, name: &str, payload: Vec<u8>) -> Result<Result<u64, Error>, Stop> {
        if self.database()?.is_moving() {
            let text = "nothing is sent while rows move to a new module: send from its `upgrade` hook";
            return Ok(Err(Error::new(ErrorCode::Denied, text)));
        }
        let hops = self.context.hops.saturating_add(1);
        let sent = match self.code.sent(path, name) {
            Some(sent) => sent,
            None => {
                return Ok(Err(Error::new(
                    ErrorCode::NotFound,
                    format!("the module declares no {name:.64} of {path:.255}"),
                )));
            }
        };
        if !matches!(sent.arguments.validate(&payload), Ok(0)) {
            return Ok(Err(Error::new(ErrorCode::BadArguments, format!("{name} of {path} has other arguments"))));
        }
        let signature = sent.signature;
        let transaction = self.transaction()?;
        let Some(link) = transaction.database().linked(path) else {
            return Ok(Err(Error::new(ErrorCode::NotFound, format!("{path} is not linked: publish the module again"))));
        };
        let (path, name) = (path.to_owned(), name.to_owned());
        let message = Message { kind: MessageKind::Call, path, name, signature, payload, trusted: link.trusted, hops };
        Ok(transaction.send(&link.mount, &message))
    }

    /// Deletes a due row by its primary key; gives it as the arguments of the hook that waits for it. What its going sets
    /// off runs after that hook.
    ///
    /// # Errors
    /// Ends the call: `no_row`.
    pub(crate) fn take_due(&mut self, table: u32, key: &[u8]) -> Result<Vec<u8>, Stop> {
        let id = self.tables.ids.get(table as usize).copied().flatten();
        let id = id.ok_or_else(|| Stop::new(ErrorCode::NotFound, format!("table {table}")))?;
        let row = self.transaction()?.delete(id, key).map_err(Stop)?;
        self.depth = 0;
        self.set_off(table, RowEvent::Delete, &[&row])?;
        Ok(self.code.hook_arguments(table as usize, &[&row]))
    }
}

fn start_function() -> Stop {
    Stop::new(ErrorCode::Trap, "a start function may not use the guest contract")
}

/// Growth is granted or ends the call, beyond what the module itself declares too: an answer that a guest could act upon
/// would let it see how much the calls before it have left in its instance.
impl ResourceLimiter for Host {
    fn memory_growing(&mut self, _current: usize, desired: usize, declared: Option<usize>) -> wasmtime::Result<bool> {
        let grows = within("memory", desired, ("MEMORY_BYTES_MAX", MEMORY_BYTES_MAX), declared)?;
        self.memory_bytes = desired;
        Ok(grows)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(grow_failed(error))
    }

    fn table_growing(&mut self, _current: usize, desired: usize, declared: Option<usize>) -> wasmtime::Result<bool> {
        within("table of functions", desired, ("TABLE_ELEMENTS_MAX", TABLE_ELEMENTS_MAX), declared)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(grow_failed(error))
    }
}

fn within(what: &str, desired: usize, limit: (&str, usize), declared: Option<usize>) -> wasmtime::Result<bool> {
    let (name, max) = limit;
    let text = match declared {
        _ if desired > max => format!("the call needs a larger {what} than {name} ({max})"),
        Some(declared) if desired > declared => {
            format!("the call needs a larger {what} than its module declares ({declared})")
        }
        _ => return Ok(true),
    };
    Err(Stop::new(ErrorCode::Limit, text).into())
}

/// The machine's refusal is left as it is: it is no outcome of a call, see [`crate::instance::Instance::run`].
fn grow_failed(error: wasmtime::Error) -> wasmtime::Error {
    if error.is::<std::io::Error>() {
        return error;
    }
    Stop::new(ErrorCode::Limit, "the call needs more memory than the engine allows").into()
}
