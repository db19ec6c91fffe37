//! What a database keeps of other mounts, beside the module's tables: the mounts it is linked to, those that listen to its
//! tables, and the messages that wait to be delivered to them.
//!
//! These are tables as any other, under names that no module can give, with ids behind those that were there when the first
//! of it was needed. So a message leaves with the transaction that sends it or not at all, and snapshots, changes, hashes
//! and the account cover it. A message has a number, from 1 for each mount it goes to and without gaps, which its row has
//! until it is settled.

use crate::database::Database;
use crate::limits::{HOPS_MAX, LISTENERS_MAX, OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX};
use crate::packed::Row;
use crate::plan::{Plan, TableId};
use crate::scan::Scan;
use crate::transaction::Transaction;
use isx_row::codec::Layout;
use isx_row::limits::LINKS_MAX;
use isx_row::schema::{Column, RowEvent, Table, TableKind};
use isx_row::{Code, Error, MountId, Signature, Type, key};
use std::borrow::BorrowMut;
use std::ops::Bound;
use std::sync::{Arc, LazyLock};

/// A mount that a module is linked to, as it was when the module was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The path that the module has for it.
    pub path: String,
    /// The mount.
    pub mount: MountId,
    /// Whether who published the module holds a reference of the mount's owner: then private members answer to it.
    pub trusted: bool,
}

/// A hook of another mount that hears of changes in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The table.
    pub table: String,
    /// The event.
    pub event: RowEvent,
    /// The mount that listens.
    pub mount: MountId,
    /// Its hook.
    pub hook: String,
    /// How many columns of a row it knows: the first ones.
    pub columns: u16,
}

/// What a mount tells another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: MessageKind,
    /// The path under which the sender knows the receiver; for [`MessageKind::Rows`] table and event, as
    /// [`Listener::event`] has them; for [`MessageKind::Listen`] none.
    pub path: String,
    /// The reducer or hook; for [`MessageKind::Listen`] none.
    pub name: String,
    /// As the sender knows the reducer.
    pub signature: Signature,
    /// The arguments; for [`MessageKind::Listen`] what [`Listener::list`] makes.
    pub payload: Vec<u8>,
    /// Whether private members answer to it.
    pub trusted: bool,
    /// How many messages one after the other led to it, itself included.
    pub hops: u8,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageKind {
    /// A call of a reducer.
    Call = 1,
    /// Rows for a hook that listens.
    Rows = 2,
    /// The hooks of the sender that listen from now on, in the place of those before.
    Listen = 3,
}

impl MessageKind {
    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Call, Self::Rows, Self::Listen].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// The tables, in the order of their ids.
const NAMES: [&str; 4] = [".link", ".listener", ".outbox", ".outlet"];
const LINK: usize = 0;
const LISTENER: usize = 1;
const OUTBOX: usize = 2;
const OUTLET: usize = 3;

/// A table of the system with the layout of its rows.
struct Kept {
    table: Table,
    layout: Layout,
}

static TABLES: LazyLock<[Kept; 4]> = LazyLock::new(|| {
    let text = |name| (name, Type::String);
    let mount = |name| (name, Type::Uuid);
    [
        kept(NAMES[LINK], &[text("path"), mount("mount"), ("trusted", Type::Bool)], &[0]),
        kept(
            NAMES[LISTENER],
            &[text("table"), ("event", Type::U8), mount("mount"), text("hook"), ("columns", Type::U16)],
            &[0, 1, 2, 3],
        ),
        kept(
            NAMES[OUTBOX],
            &[
                mount("to"),
                ("number", Type::U64),
                ("kind", Type::U8),
                text("path"),
                text("name"),
                ("signature", Type::Uuid),
                ("payload", Type::Bytes),
                ("trusted", Type::Bool),
                ("hops", Type::U8),
            ],
            &[0, 1],
        ),
        kept(NAMES[OUTLET], &[mount("to"), ("last", Type::U64), ("waiting", Type::U64), ("bytes", Type::U64)], &[0]),
    ]
});

fn kept(name: &str, columns: &[(&str, Type)], primary_key: &[u16]) -> Kept {
    let column = |(name, ty): &(&str, Type)| Column { name: (*name).into(), ty: ty.clone(), default: None, since: 1 };
    let table = Table {
        name: name.into(),
        kind: TableKind::Durable,
        public: false,
        version: 1,
        columns: columns.iter().map(column).collect(),
        primary_key: primary_key.to_vec(),
        auto_inc: None,
        indexes: Vec::new(),
    };
    Kept { layout: table.layout(1), table }
}

/// The declaration of a table of the system.
pub(crate) fn table(name: &str) -> Option<Table> {
    if is_gone(name) {
        return Some(kept(name, &[("nothing", Type::U8)], &[0]).table);
    }
    TABLES.iter().map(|kept| &kept.table).find(|table| table.name == name).cloned()
}

/// What the names of tables begin with that keep the place of one that is gone.
const GONE: &str = ".gone";

/// The name of the empty table that has the id of one that is gone, until another gets it.
pub(crate) fn gone(id: usize) -> String {
    format!("{GONE}{id}")
}

/// Whether a table keeps the place of one that is gone.
pub(crate) fn is_gone(name: &str) -> bool {
    name.strip_prefix(GONE).is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A row of one of the tables, from the standalone encodings of its columns.
fn row(table: usize, members: &[&[u8]]) -> Result<Vec<u8>, Error> {
    TABLES[table].layout.assemble(1, members).map_err(Error::from)
}

/// What was sent to a mount.
#[derive(Clone, Copy, Default)]
struct Outlet {
    /// The last number.
    last: u64,
    /// Messages that are not settled.
    waiting: u64,
    /// Bytes of them.
    bytes: u64,
}

/// Reads the columns of a stored row.
struct Columns<'a>(&'static Layout, &'a Row);

impl Columns<'_> {
    fn of(table: usize, row: &Row) -> Columns<'_> {
        Columns(&TABLES[table].layout, row)
    }

    fn bytes(&self, column: usize) -> &[u8] {
        self.0.member(self.1, column).unwrap_or_default()
    }

    fn text(&self, column: usize) -> String {
        String::from_utf8_lossy(self.bytes(column)).into_owned()
    }

    fn array<const N: usize>(&self, column: usize) -> [u8; N] {
        self.bytes(column).first_chunk().copied().unwrap_or([0; N])
    }

    fn u64(&self, column: usize) -> u64 {
        u64::from_le_bytes(self.array(column))
    }

    fn u8(&self, column: usize) -> u8 {
        u8::from_le_bytes(self.array(column))
    }

    fn flag(&self, column: usize) -> bool {
        self.u8(column) == 1
    }

    fn listener(&self) -> Option<Listener> {
        let event = match self.u8(1) {
            1 => RowEvent::Insert,
            2 => RowEvent::Update,
            3 => RowEvent::Delete,
            _ => return None,
        };
        let columns = u16::from_le_bytes(self.array(4));
        Some(Listener { table: self.text(0), event, mount: MountId(self.array(2)), hook: self.text(3), columns })
    }

    fn message(&self) -> Option<Message> {
        Some(Message {
            kind: MessageKind::from_number(self.u8(2))?,
            path: self.text(3),
            name: self.text(4),
            signature: Signature(self.array(5)),
            payload: self.bytes(6).to_vec(),
            trusted: self.flag(7),
            hops: self.u8(8),
        })
    }
}

impl Listener {
    /// Table and event in one word.
    pub fn event(&self) -> String {
        event_of(&self.table, self.event)
    }

    fn row(&self) -> Result<Vec<u8>, Error> {
        let columns = self.columns.to_le_bytes();
        row(LISTENER, &[self.table.as_bytes(), &[self.event as u8], &self.mount.0, self.hook.as_bytes(), &columns])
    }

    /// A list of listeners as a message carries it: each its row, with a length before it (u32, little-endian).
    ///
    /// # Errors
    /// `limit` when one is too long.
    pub fn list(listeners: &[Self]) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for listener in listeners {
            let row = listener.row()?;
            bytes.extend_from_slice(&(row.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&row);
        }
        Ok(bytes)
    }

    /// Reads what [`Listener::list`] made.
    ///
    /// # Errors
    /// `malformed` for anything else.
    pub fn read_list(bytes: &[u8]) -> Result<Vec<Self>, Error> {
        let malformed = || Error::new(Code::Malformed, "not a list of listeners");
        let mut reader = crate::reader::Reader::new(bytes);
        let mut listeners = Vec::new();
        while !reader.is_empty() {
            let row = reader.block(isx_row::limits::VALUE_BYTES_MAX).ok_or_else(malformed)?;
            TABLES[LISTENER].layout.validate(row).map_err(|_| malformed())?;
            listeners.push(Columns::of(LISTENER, &Row::new(row)).listener().ok_or_else(malformed)?);
        }
        Ok(listeners)
    }
}

impl Database {
    /// The same root with the tables of the system, which it may have already.
    ///
    /// # Errors
    /// `limit` when there is no id left for them.
    pub fn with_post(&self) -> Result<Self, Error> {
        if self.post(OUTBOX).is_some() {
            return Ok(self.clone());
        }
        let present = self.plan.tables.iter().map(|plan| plan.table.name.as_str());
        let plan = Plan::new(Arc::clone(&self.plan.schema), present.chain(NAMES))?;
        let mut tables = self.tables.clone();
        tables.extend(plan.tables.iter().skip(tables.len()).map(crate::table::TableState::new));
        Ok(Self { plan: Arc::new(plan), tables, usage: self.usage, limits: self.limits, is_moving: self.is_moving })
    }

    /// Whether a table is one of the system's, which no function and no subscriber sees.
    pub fn is_post(&self, table: TableId) -> bool {
        self.plan.table(table).is_ok_and(|plan| plan.is_post)
    }

    /// Whether a table is the outbox: each row that comes is a message.
    pub fn is_outbox(&self, table: TableId) -> bool {
        self.post(OUTBOX) == Some(table)
    }

    fn post(&self, table: usize) -> Option<TableId> {
        self.table(NAMES.get(table)?)
    }

    /// The mount that a path stands for.
    pub fn linked(&self, path: &str) -> Option<Linked> {
        let row = self.get(self.post(LINK)?, &keys(&[(&Type::String, path.as_bytes())])?).ok()??;
        let columns = Columns::of(LINK, &row);
        Some(Linked { path: columns.text(0), mount: MountId(columns.array(1)), trusted: columns.flag(2) })
    }

    /// Who listens to the tables.
    pub fn listeners(&self) -> Vec<Listener> {
        let Some((_, state)) = self.post(LISTENER).and_then(|table| self.parts(table).ok()) else { return Vec::new() };
        state.rows.values().filter_map(|row| Columns::of(LISTENER, row).listener()).collect()
    }

    /// The number of messages that are not settled.
    pub fn outbox_len(&self) -> u64 {
        self.post(OUTBOX).and_then(|table| self.row_count(table)).unwrap_or(0)
    }

    /// How many messages were ever sent to a mount.
    pub fn sent(&self, to: &MountId) -> u64 {
        self.outlet(to).last
    }

    /// The mounts that messages were ever sent to.
    pub fn receivers(&self) -> Vec<MountId> {
        let Some((_, state)) = self.post(OUTLET).and_then(|table| self.parts(table).ok()) else { return Vec::new() };
        state.rows.values().map(|row| MountId(Columns::of(OUTLET, row).array(0))).collect()
    }

    fn outlet(&self, to: &MountId) -> Outlet {
        let row = self.post(OUTLET).zip(keys(&[(&Type::Uuid, &to.0)]));
        let row = row.and_then(|(outlet, key)| self.get(outlet, &key).ok().flatten());
        row.map_or(Outlet::default(), |row| {
            let columns = Columns::of(OUTLET, &row);
            Outlet { last: columns.u64(1), waiting: columns.u64(2), bytes: columns.u64(3) }
        })
    }

    /// Whether a mount has yet to hear what listens to it. Costs time in proportion to the messages.
    pub fn is_telling(&self) -> bool {
        let state = self.post(OUTBOX).and_then(|table| self.parts(table).ok()).map(|(_, state)| state);
        let is_listen = |row: &Row| Columns::of(OUTBOX, row).u8(2) == MessageKind::Listen as u8;
        state.is_some_and(|state| state.rows.values().any(is_listen))
    }

    /// The oldest messages that are not settled, in the order of their numbers: one at least for each mount they go to, and
    /// otherwise at most so many, and so many bytes.
    pub fn outbox(&self, count_max: usize, bytes_max: usize) -> Vec<(MountId, u64, Message)> {
        let Some((_, state)) = self.post(OUTBOX).and_then(|table| self.parts(table).ok()) else { return Vec::new() };
        let mut found = Vec::new();
        let mut from: Bound<Vec<u8>> = Bound::Unbounded;
        loop {
            let mut to = None;
            let (mut count, mut bytes) = (0_usize, 0_usize);
            let mut full = false;
            for (_, row) in state.rows.range::<_, [u8]>((from.as_ref().map(Vec::as_slice), Bound::Unbounded)) {
                let columns = Columns::of(OUTBOX, row);
                let goes = MountId(columns.array(0));
                if to.replace(goes) != Some(goes) {
                    (count, bytes) = (0, 0);
                }
                (count, bytes) = (count + 1, bytes + row.len());
                full = count > 1 && (count > count_max || bytes > bytes_max);
                if full {
                    break;
                }
                found.extend(columns.message().map(|message| (goes, columns.u64(1), message)));
            }
            // On to the mount after this one.
            let last = to.filter(|_| full).and_then(|to| keys(&[(&Type::Uuid, &to.0), (&Type::U64, &[u8::MAX; 8])]));
            match last {
                Some(last) => from = Bound::Excluded(last),
                None => return found,
            }
        }
    }

    /// The arguments of a hook that knows the first columns of these rows of a table.
    ///
    /// # Errors
    /// `not_found` for a table that is not there, `malformed` when it has not so many columns.
    pub fn hook_arguments(&self, table: TableId, columns: u16, rows: &[&[u8]]) -> Result<Vec<u8>, Error> {
        let table = self.table_schema(table).ok_or_else(|| crate::plan::no_table(table))?;
        let known = table.columns.get(..usize::from(columns));
        let known =
            known.ok_or_else(|| Error::new(Code::Malformed, format!("table {}: so many columns", table.name)))?;
        let (whole, part) = (table.layout(table.version), Layout::new(known.iter().map(|column| &column.ty)));
        let cut = |row: &&[u8]| {
            let members: Option<Vec<&[u8]>> = (0..known.len()).map(|column| whole.member(row, column)).collect();
            part.assemble(0, &members.unwrap_or_default()).map_err(Error::from)
        };
        let rows: Vec<Vec<u8>> = rows.iter().map(cut).collect::<Result<_, _>>()?;
        let fixed = known.iter().all(|column| isx_row::codec::fixed_width(&column.ty).is_some());
        Ok(isx_row::schema::hook_arguments(fixed, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>()))
    }
}

impl<D: BorrowMut<Database>> Transaction<D> {
    /// Puts a message into the outbox; gives its number. The database's limits do not count here, so that a full one can be
    /// emptied: what waits for one mount has bounds of its own.
    ///
    /// # Errors
    /// `limit` when too much waits for that mount, the message is too large or led to by too many, or the transaction is
    /// too large; nothing was changed then.
    pub fn send(&mut self, to: &MountId, message: &Message) -> Result<u64, Error> {
        let limit = |text: String| Err(Error::new(Code::Limit, text));
        let before = self.database().outlet(to);
        if message.hops > HOPS_MAX {
            return limit(format!("messages led to messages more than HOPS_MAX ({HOPS_MAX}) times"));
        }
        let number = before.last.saturating_add(1);
        let Message { kind, path, name, signature, payload, trusted, hops } = message;
        let members: [&[u8]; 9] = [
            &to.0,
            &number.to_le_bytes(),
            &[*kind as u8],
            path.as_bytes(),
            name.as_bytes(),
            &signature.0,
            payload,
            &[u8::from(*trusted)],
            &[*hops],
        ];
        let row = row(OUTBOX, &members)?;
        let after = Outlet {
            last: number,
            waiting: before.waiting.saturating_add(1),
            bytes: before.bytes.saturating_add(row.len() as u64),
        };
        // What is listened to can always be said: it may be what makes room.
        let is_full = after.waiting > OUTBOX_MESSAGES_MAX || after.bytes > OUTBOX_BYTES_MAX;
        if is_full && *kind != MessageKind::Listen {
            return limit(format!(
                "too much waits to be delivered to mount {to}: OUTBOX_MESSAGES_MAX ({OUTBOX_MESSAGES_MAX}) or \
                 OUTBOX_BYTES_MAX ({OUTBOX_BYTES_MAX})"
            ));
        }
        let (outbox, savepoint) = (self.post(OUTBOX)?, self.savepoint());
        let sent = self.put_kept(outbox, &row).and_then(|()| self.set_outlet(to, &after));
        if sent.is_err() {
            self.rollback_to(savepoint);
        }
        sent.map(|()| number)
    }

    fn set_outlet(&mut self, to: &MountId, outlet: &Outlet) -> Result<(), Error> {
        let Outlet { last, waiting, bytes } = outlet;
        let table = self.post(OUTLET)?;
        self.put_kept(table, &row(OUTLET, &[&to.0, &last.to_le_bytes(), &waiting.to_le_bytes(), &bytes.to_le_bytes()])?)
    }

    /// Puts a row into one of the system's tables, in the place of the one with its key.
    fn put_kept(&mut self, table: TableId, row: &[u8]) -> Result<(), Error> {
        match self.insert(table, row) {
            Err(error) if error.code == Code::Duplicate => self.update(table, row).map(drop),
            inserted => inserted.map(drop),
        }
    }

    /// Tells a mount of a change in a table: the row that came or went, or the old and the new one.
    ///
    /// # Errors
    /// As [`Transaction::send`].
    pub fn tell(&mut self, listener: &Listener, table: TableId, rows: &[&[u8]], hops: u8) -> Result<u64, Error> {
        let message = Message {
            kind: MessageKind::Rows,
            path: listener.event(),
            name: listener.hook.clone(),
            signature: Signature::ANY,
            payload: self.database().hook_arguments(table, listener.columns, rows)?,
            trusted: false,
            hops,
        };
        self.send(&listener.mount, &message)
    }

    /// Takes a message out of the outbox; none when it is not there.
    ///
    /// # Errors
    /// `limit` when the transaction is too large.
    pub fn settle(&mut self, to: &MountId, number: u64) -> Result<Option<Message>, Error> {
        let outbox = self.database().post(OUTBOX);
        let key = keys(&[(&Type::Uuid, &to.0), (&Type::U64, &number.to_le_bytes())]);
        let Some((outbox, key)) = outbox.zip(key) else { return Ok(None) };
        let row = match self.delete(outbox, &key) {
            Ok(row) => row,
            Err(error) if error.code == Code::NoRow => return Ok(None),
            Err(error) => return Err(error),
        };
        let Outlet { last, waiting, bytes } = self.database().outlet(to);
        let (waiting, bytes) = (waiting.saturating_sub(1), bytes.saturating_sub(row.len() as u64));
        self.set_outlet(to, &Outlet { last, waiting, bytes })?;
        Ok(Columns::of(OUTBOX, &row).message())
    }

    /// Puts the mounts that paths stand for in the place of those before.
    ///
    /// # Errors
    /// `limit` when the transaction is too large.
    pub fn set_links(&mut self, links: &[Linked]) -> Result<(), Error> {
        let table = self.post(LINK)?;
        self.clear(table, |_| true)?;
        for Linked { path, mount, trusted } in links.iter().take(LINKS_MAX) {
            self.put_kept(table, &row(LINK, &[path.as_bytes(), &mount.0, &[u8::from(*trusted)]])?)?;
        }
        Ok(())
    }

    /// Puts the hooks of a mount that listen in the place of those before.
    ///
    /// # Errors
    /// `limit` when there are too many.
    pub fn set_listeners(&mut self, mount: &MountId, listeners: &[Listener]) -> Result<(), Error> {
        let table = self.post(LISTENER)?;
        self.clear(table, |row| Columns::of(LISTENER, row).array(2) == mount.0)?;
        let there = self.database().row_count(table).unwrap_or(0);
        if there.saturating_add(listeners.len() as u64) > LISTENERS_MAX {
            return Err(Error::new(Code::Limit, format!("over LISTENERS_MAX = {LISTENERS_MAX}")));
        }
        for listener in listeners {
            self.put_kept(table, &listener.row()?)?;
        }
        Ok(())
    }

    fn post(&self, table: usize) -> Result<TableId, Error> {
        let missing = || Error::new(Code::Fatal, "the mount keeps no post");
        self.database().post(table).ok_or_else(missing)
    }

    /// Deletes the rows of one of the system's tables for which `goes`; they are few.
    fn clear(&mut self, table: TableId, goes: impl Fn(&Row) -> bool) -> Result<(), Error> {
        let mut after = None;
        loop {
            let chunk = self.scan(&Scan::all(table), after.as_ref(), usize::MAX, usize::MAX)?;
            for (key, _) in chunk.rows.iter().filter(|(_, row)| goes(row)) {
                self.delete(table, key)?;
            }
            after = chunk.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// An event on a table, as messages name it.
pub fn event_of(table: &str, event: RowEvent) -> String {
    let event = match event {
        RowEvent::Insert => "insert",
        RowEvent::Update => "update",
        RowEvent::Delete => "delete",
    };
    format!("{table}.{event}")
}

/// The key of these columns; none when it is too long.
fn keys(columns: &[(&Type, &[u8])]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    columns.iter().try_for_each(|(ty, member)| key::append(ty, member, &mut bytes)).ok()?;
    Some(bytes)
}
