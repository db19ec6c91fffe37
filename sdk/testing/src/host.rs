//! The host of a call: what `host/exec` does for an instance, for code that runs here.

use crate::access::Access;
use crate::limits::{
    HOOK_DEPTH_MAX, HOOKS_MAX, LOG_LINE_BYTES_MAX, LOG_LINES_MAX, RANDOM_BYTES_MAX, SCAN_CHUNK_BYTES_MAX,
};
use crate::random::Random;
use isx::__rt::Port;
use isx::__rt::bindings::isx::module::log::Level;
use isx::__rt::bindings::isx::module::tables::{Bound, Chunk, Direction, Fault, Range};
use isx_row::codec::Layout;
use isx_row::schema::{Hook, Right, RowEvent, Schema, hook_arguments};
use isx_row::{Code, Error, Principal, SessionId, Time};
use isx_store::{Database, IndexId, Joined, Message, MessageKind, Position, Row, Scan, TableId, Transaction};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops;
use std::panic::resume_unwind;
use std::sync::Arc;

/// A host, shared with the code that runs.
pub(crate) struct Host {
    schema: Arc<Schema>,
    call: RefCell<Call>,
}

/// A call as it runs.
pub(crate) struct Call {
    pub(crate) tables: Transaction<Database>,
    context: Context,
    random: Random,
    access: Access,
    depth: u8,
    hooks: VecDeque<PendingHook>,
    hooks_left: usize,
    pub(crate) log: Vec<(String, String)>,
}

/// What a call is told.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) caller: Principal,
    pub(crate) session: Option<SessionId>,
    pub(crate) time: Time,
    /// The entry's seed, and the call's place.
    pub(crate) random: ([u8; 32], u64),
}

/// A hook that an event has set off and that has not run yet.
pub(crate) struct PendingHook {
    /// Its position among the schema's reducers.
    pub(crate) reducer: usize,
    pub(crate) arguments: Vec<u8>,
    pub(crate) depth: u8,
}

/// Ends the running call from within a host function.
pub(crate) struct Stop(pub(crate) Error);

fn stop(code: Code, text: impl Into<String>) -> ! {
    resume_unwind(Box::new(Stop(Error::new(code, text))))
}

impl Host {
    /// The host of one call.
    pub(crate) fn new(schema: Arc<Schema>, tables: Transaction<Database>, context: Context) -> Self {
        let call = Call {
            tables,
            random: Random::new(context.random),
            context,
            access: Access::Query(Some(Vec::new())),
            depth: 0,
            hooks: VecDeque::new(),
            hooks_left: HOOKS_MAX,
            log: Vec::new(),
        };
        Self { schema, call: RefCell::new(call) }
    }

    /// Enters a function of the call: the called one at depth 0, or a hook.
    pub(crate) fn enter(&self, access: Access, depth: u8) {
        let mut call = self.call.borrow_mut();
        (call.access, call.depth) = (access, depth);
    }

    /// The next hook to run.
    pub(crate) fn next_hook(&self) -> Option<PendingHook> {
        self.call.borrow_mut().hooks.pop_front()
    }

    /// What is left of the call.
    pub(crate) fn into_call(self) -> Call {
        self.call.into_inner()
    }

    /// The table with this number of the guest contract, if the running function may do this with it.
    fn permit(&self, number: u32, right: Right) -> TableId {
        let call = self.call.borrow();
        let Some(table) = self.schema.tables.get(number as usize) else {
            stop(Code::Denied, format!("no table has the number {number}"));
        };
        if !call.access.allows(right, &table.name) {
            stop(Code::Denied, format!("the function does not declare {}({})", right.word(), table.name));
        }
        match call.tables.table(&table.name) {
            Some(id) => id,
            None => stop(Code::Denied, format!("no table has the number {number}")),
        }
    }

    /// Sets off the hooks of an event: they run when the function that runs now has ended.
    fn set_off(&self, table: u32, event: RowEvent, rows: &[&Row]) {
        let Some(table) = self.schema.tables.get(table as usize) else { return };
        let call = &mut *self.call.borrow_mut();
        for (reducer, hook) in self.schema.reducers.iter().enumerate() {
            let its = matches!(&hook.hook, Some(Hook::OwnTable { table: name, event: its }) if *name == table.name && *its == event);
            if !its {
                continue;
            }
            if call.depth >= HOOK_DEPTH_MAX {
                let text = format!("hooks set off hooks more than HOOK_DEPTH_MAX ({HOOK_DEPTH_MAX}) levels deep");
                stop(Code::Limit, text);
            }
            call.hooks_left = match call.hooks_left.checked_sub(1) {
                Some(left) => left,
                None => stop(Code::Limit, format!("a call sets off more than HOOKS_MAX ({HOOKS_MAX}) hooks")),
            };
            let fixed = isx_row::codec::fixed_width(&table.row_type()).is_some();
            let rows: Vec<&[u8]> = rows.iter().map(|row| &***row).collect();
            let arguments = hook_arguments(fixed, &rows);
            call.hooks.push_back(PendingHook { reducer, arguments, depth: call.depth + 1 });
        }
    }
}

fn fault(error: Error) -> Fault {
    Fault { code: error.code as u16, text: error.text }
}

fn refuse<T>(code: Code, text: String) -> Result<T, Fault> {
    Err(fault(Error::new(code, text)))
}

/// The index with this number of the guest contract; none for the primary key.
fn index_id(number: u32) -> Result<Option<IndexId>, Fault> {
    let Some(position) = number.checked_sub(1) else { return Ok(None) };
    match u16::try_from(position) {
        Ok(position) => Ok(Some(IndexId(position))),
        Err(_) => refuse(Code::NotFound, format!("index number {number}")),
    }
}

fn bound(bound: &Bound) -> ops::Bound<&[u8]> {
    match bound {
        Bound::Unbounded => ops::Bound::Unbounded,
        Bound::Included(key) => ops::Bound::Included(key),
        Bound::Excluded(key) => ops::Bound::Excluded(key),
    }
}

impl Port for Host {
    fn open(&self, name: &str) -> Result<u32, Fault> {
        let position = self.schema.tables.iter().position(|table| table.name == name);
        if self.schema.table(name).is_some_and(|table| !table.kind.is_stored()) {
            return refuse(Code::Unsupported, format!("table {name:.64} is volatile: no function reads or writes it"));
        }
        match position.and_then(|position| u32::try_from(position).ok()) {
            Some(number) => Ok(number),
            None => refuse(Code::NotFound, format!("table {name:.64}")),
        }
    }

    fn index(&self, table: u32, name: &str) -> Result<u32, Fault> {
        let table = self.schema.tables.get(table as usize);
        let position = table.and_then(|table| table.indexes.iter().position(|index| index.name == name));
        match position.and_then(|position| u32::try_from(position + 1).ok()) {
            Some(number) => Ok(number),
            None => refuse(Code::NotFound, format!("index {name:.64}")),
        }
    }

    fn count(&self, table: u32) -> Result<u64, Fault> {
        let id = self.permit(table, Right::Read);
        Ok(self.call.borrow().tables.database().row_count(id).unwrap_or(0))
    }

    fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let id = self.permit(table, Right::Read);
        let row = self.call.borrow().tables.get(id, key).map_err(fault)?;
        Ok(row.map(|row| row.to_vec()))
    }

    fn find(&self, table: u32, index: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let id = self.permit(table, Right::Read);
        let tables = &self.call.borrow().tables;
        let row = match index_id(index)? {
            None => tables.get(id, key),
            Some(index) => tables.find(id, index, key),
        };
        Ok(row.map_err(fault)?.map(|row| row.to_vec()))
    }

    fn insert(&self, table: u32, row: &[u8]) -> Result<Vec<u8>, Fault> {
        let id = self.permit(table, Right::Insert);
        let stored = self.call.borrow_mut().tables.insert(id, row).map_err(fault)?;
        self.set_off(table, RowEvent::Insert, &[&stored]);
        Ok(stored.to_vec())
    }

    fn update(&self, table: u32, row: &[u8]) -> Result<(), Fault> {
        let id = self.permit(table, Right::Update);
        let (old, new) = self.call.borrow_mut().tables.update(id, row).map_err(fault)?;
        self.set_off(table, RowEvent::Update, &[&old, &new]);
        Ok(())
    }

    fn delete(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let id = self.permit(table, Right::Delete);
        let deleted = self.call.borrow_mut().tables.delete(id, key);
        match deleted {
            Ok(old) => {
                self.set_off(table, RowEvent::Delete, &[&old]);
                Ok(Some(old.to_vec()))
            }
            Err(error) if error.code == Code::NoRow => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    fn scan(&self, range: &Range, after: Option<&[u8]>, rows_max: u32) -> Result<Chunk, Fault> {
        let table = self.permit(range.table, Right::Read);
        let direction = match range.direction {
            Direction::Ascending => isx_store::Direction::Ascending,
            Direction::Descending => isx_store::Direction::Descending,
        };
        let (lower, upper) = (bound(&range.lower), bound(&range.upper));
        let scan = Scan { table, index: index_id(range.index)?, lower, upper, direction };
        let after = after.map(|after| Position::from_bytes(after.to_vec()));
        let rows_max = if rows_max == 0 { usize::MAX } else { rows_max as usize };
        let tables = &self.call.borrow().tables;
        let chunk = tables.scan(&scan, after.as_ref(), rows_max, SCAN_CHUNK_BYTES_MAX).map_err(fault)?;
        let mut rows = Vec::new();
        for (_, row) in &chunk.rows {
            // A stored row is within VALUE_BYTES_MAX.
            rows.extend_from_slice(&u32::try_from(row.len()).unwrap_or(u32::MAX).to_le_bytes());
            rows.extend_from_slice(row);
        }
        Ok(Chunk { rows, next: chunk.next.map(|position| position.as_bytes().to_vec()) })
    }

    fn caller(&self) -> Vec<u8> {
        self.call.borrow().context.caller.0.to_vec()
    }

    fn session(&self) -> Option<Vec<u8>> {
        self.call.borrow().context.session.map(|session| session.0.to_vec())
    }

    fn time(&self) -> i64 {
        self.call.borrow().context.time.0
    }

    fn random(&self, length: u32) -> Result<Vec<u8>, Fault> {
        if length > RANDOM_BYTES_MAX {
            return refuse(Code::Limit, format!("random of {length} bytes; RANDOM_BYTES_MAX is {RANDOM_BYTES_MAX}"));
        }
        Ok(self.call.borrow_mut().random.take(length))
    }

    fn send(&self, path: &str, reducer: &str, arguments: &[u8]) -> Result<u64, Fault> {
        let sent = self.schema.link(path).and_then(|link| link.sent(reducer));
        let Some(sent) = sent else {
            return refuse(Code::NotFound, format!("the module declares no {reducer:.64} of {path:.255}"));
        };
        if !matches!(Layout::new(sent.arguments.iter().map(|field| &field.ty)).validate(arguments), Ok(0)) {
            return refuse(Code::BadArguments, format!("{reducer} of {path} has other arguments"));
        }
        let call = &mut *self.call.borrow_mut();
        let link = call.tables.database().linked(path);
        let Some(link) = link else {
            return refuse(Code::NotFound, format!("{path} is not linked: publish the module again"));
        };
        let message = Message {
            kind: MessageKind::Call,
            path: path.into(),
            name: reducer.into(),
            signature: sent.signature(),
            payload: arguments.to_vec(),
            trusted: link.trusted,
            hops: 1,
        };
        call.tables.send(&link.mount, &message).map_err(fault)
    }

    fn call(&self, path: &str, function: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
        match self.schema.link(path).and_then(|link| link.joined(function)) {
            Some(_) => Err(fault(Joined::gone(path))),
            None => refuse(
                Code::NotFound,
                format!("the module does not declare that it calls {function:.64} of {path:.255}"),
            ),
        }
    }

    fn write(&self, level: Level, text: &str) {
        let level = match level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };
        let log = &mut self.call.borrow_mut().log;
        if log.len() < LOG_LINES_MAX {
            log.push((level.to_string(), cut(text, LOG_LINE_BYTES_MAX).to_string()));
        }
    }
}

/// The longest beginning of `text` within so many bytes.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}
