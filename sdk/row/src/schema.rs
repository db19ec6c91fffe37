//! The schema of a module: what it has, read from bytes, never executed.
//!
//! # Invariants
//! - A schema has one encoding, and every other byte string is refused: `tests/schema.rs`.
//! - Every rule of [`Schema::check`] refuses its breach by name: `tests/schema.rs`.
//! - What the store refuses as an upgrade is a difference that says so: `tests/differences.rs`.
//! - Records made at compile time lift to the schema they describe, in any order: `tests/section.rs`.

mod canonical;
mod check;
mod difference;
mod link;
mod migration;
pub mod record;
mod volatile;

pub use difference::{Change, Difference, Effect};
pub use link::{Link, Sent};
pub use migration::{Fate, Way};
pub use volatile::Doing;

use crate::codec::Layout;
use crate::error::Error;
use crate::ids::{Signature, Span};
use crate::types::{Field, Type};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Everything a module declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The module's name.
    pub name: String,
    /// Its version, as in its manifest.
    pub version: String,
    /// Whether any principal may reach it; private modules are reachable only with a reference the owner gave.
    pub public: bool,
    /// Tables, sorted by name. No two of tables, reducers and queries share a name.
    pub tables: Vec<Table>,
    /// Reducers, sorted by name.
    pub reducers: Vec<Reducer>,
    /// Queries, sorted by name.
    pub queries: Vec<Query>,
    /// Other modules that it sends to or hears of, sorted by path.
    pub links: Vec<Link>,
}

/// How long a table's rows live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum TableKind {
    /// Until deleted.
    #[default]
    Durable = 1,
    /// Until their session ends.
    Session = 2,
    /// For one transaction: inserted, never updated or deleted; without indexes and numbering.
    Event = 3,
    /// Never stored: last values kept by the mount's leader for subscribers, put and deleted by callers; without indexes and
    /// numbering, never read by functions.
    Volatile = 4,
}

impl TableKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Durable, Self::Session, Self::Event, Self::Volatile];

    /// Whether it is a table of the store, which functions use.
    pub fn is_stored(self) -> bool {
        self != Self::Volatile
    }

    /// As its attribute says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Session => "session",
            Self::Event => "event",
            Self::Volatile => "volatile",
        }
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The name.
    pub name: String,
    /// How long its rows live.
    pub kind: TableKind,
    /// Whether callers that reach the module may read it.
    pub public: bool,
    /// The version written into its rows; grows when columns are added.
    pub version: u16,
    /// The columns in the order of the encoding.
    pub columns: Vec<Column>,
    /// Columns of the primary key, by position; at least one, none added later.
    pub primary_key: Vec<u16>,
    /// The column that is numbered from 1 when inserted as 0; an integer column of the primary key.
    pub auto_inc: Option<u16>,
    /// Secondary indexes, sorted by name.
    pub indexes: Vec<Index>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: String,
    /// The type.
    pub ty: Type,
    /// What it holds where nobody writes it; required for columns added later.
    pub default: Option<Fill>,
    /// The table version that introduced it, from 1; never less than that of the column before.
    pub since: u16,
}

/// What a column holds where nobody writes it. At most one column of a table is [`Fill::Created`] and one
/// [`Fill::Updated`]; neither is in the primary key. Tables of sessions have one [`Fill::Session`], others none. Volatile
/// tables have one [`Fill::Caller`] and no other, others none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fill {
    /// In rows older than the column: the value of this standalone encoding.
    Value(Vec<u8>),
    /// A time: the log time at which the row was inserted, written by the host whatever guests give. [`Fill::TIMELESS`] in
    /// rows older than the column.
    Created,
    /// A time: the log time at which the row was inserted or last updated, otherwise as [`Fill::Created`].
    Updated,
    /// A uuid: the session whose call inserted the row, written by the host whatever guests give; with it the row goes.
    /// There from the start, and kept in the index [`Fill::SESSION`].
    Session,
    /// A principal: who put the row, written by the host. A part of the primary key, so that everybody has rows of his own and
    /// nobody puts another's.
    Caller,
}

impl Fill {
    /// The time of rows older than the column that says when they came or changed: nobody noted it.
    pub const TIMELESS: [u8; 8] = [0; 8];
    /// The index of a table of sessions that finds the rows of one: over that column alone, not unique.
    pub const SESSION: &'static str = "session";

    /// The standalone encoding of what rows older than the column have in it.
    pub fn older(&self) -> &[u8] {
        match self {
            Self::Value(value) => value,
            Self::Created | Self::Updated => &Self::TIMELESS,
            // No row is older.
            Self::Session | Self::Caller => &[],
        }
    }
}

/// How an index is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IndexKind {
    /// Ordered: ranges and prefixes.
    Btree = 1,
    /// Equality only; iterates in key order all the same.
    Hash = 2,
}

/// A secondary index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The name.
    pub name: String,
    /// Its columns, by position.
    pub columns: Vec<u16>,
    /// How it is kept.
    pub kind: IndexKind,
    /// Whether two rows may share a key.
    pub unique: bool,
}

/// What a reducer may touch, by table name, each list sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Tables it reads.
    pub reads: Vec<String>,
    /// Tables it inserts into.
    pub inserts: Vec<String>,
    /// Tables it updates.
    pub updates: Vec<String>,
    /// Tables it deletes from.
    pub deletes: Vec<String>,
}

/// What is done with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Its rows are read.
    Read,
    /// Rows are inserted.
    Insert,
    /// Rows are updated.
    Update,
    /// Rows are deleted.
    Delete,
}

impl Right {
    /// As the declaration of a reducer names it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Insert => "inserts",
            Self::Update => "updates",
            Self::Delete => "deletes",
        }
    }
}

/// The encoded arguments of a hook on a table: the row of the event, or the old and the new one, as the table's present
/// version has them. `fixed` when the table's row, as a struct, has a fixed width.
pub fn hook_arguments(fixed: bool, rows: &[&[u8]]) -> Vec<u8> {
    // A struct is encoded as the record within its row, which follows the row's version.
    let bodies = rows.iter().map(|row| row.get(2..).unwrap_or_default());
    let mut arguments = Vec::from([0, 0]);
    if !fixed {
        let mut end = 0_u32;
        for body in bodies.clone() {
            end = end.saturating_add(u32::try_from(body.len()).unwrap_or(u32::MAX));
            arguments.extend_from_slice(&end.to_le_bytes());
        }
    }
    bodies.for_each(|body| arguments.extend_from_slice(body));
    arguments
}

/// What may happen to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RowEvent {
    /// A row came.
    Insert = 1,
    /// A row changed.
    Update = 2,
    /// A row went.
    Delete = 3,
}

/// The event that runs a reducer; such a reducer is called by nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// The mount was created.
    Init,
    /// The mount got this module in the place of another. Takes nothing, or the other's version as a string; when it
    /// fails there is no upgrade.
    Upgrade,
    /// A session began to call the mount, before its first call; when it fails that is refused. Takes nothing.
    Connect,
    /// A session ended, and its rows are still there. Takes nothing.
    Disconnect,
    /// A row of an own table changed, in the same transaction. The arguments are rows of the table as structs: the
    /// new one for `insert`, the old and the new one for `update`, the old one for `delete`.
    OwnTable {
        /// The table's name.
        table: String,
        /// What happened.
        event: RowEvent,
    },
    /// A row changed in a table of another module: heard of after that committed, once and in order. The arguments are rows
    /// as for [`Hook::OwnTable`], as structs of the table's columns or of the first of them.
    OtherTable {
        /// The path of the other's mount.
        path: String,
        /// The table's name.
        table: String,
        /// What happened.
        event: RowEvent,
    },
    /// A call that was sent to another module was answered or refused. Takes the number that sending gave, a u64, and
    /// [`Sent::reply`].
    Reply {
        /// The path of the other's mount.
        path: String,
        /// The reducer that was sent to.
        reducer: String,
    },
    /// The module replaces one whose table can not be kept as it is: called with each of that table's rows, in the order of
    /// their keys. Of the tables before it sees those that stay, and what hooks like it have written: those that move are empty
    /// at first. Nothing else is set off, and nothing can be sent. The argument is the row as it was, as a struct of its columns or of
    /// the first of them. When one fails nothing is replaced.
    Migrate {
        /// The table's name, of the module before.
        table: String,
    },
    /// Log time reached the next of the schedule's times. Takes nothing, or as a u64 how many of them have passed since it
    /// ran last, from 1: those that were missed run once.
    Schedule(Schedule),
    /// Log time reached the time in a row's column [`Hook::DUE`]: takes the row, which is deleted in the same transaction;
    /// when the hook fails the row goes all the same.
    Due {
        /// The table's name.
        table: String,
    },
}

impl Hook {
    /// The index of a table whose rows become due: of one time, not unique.
    pub const DUE: &'static str = "due";
}

/// As its attribute says it.
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init => f.write_str("on init"),
            Self::Upgrade => f.write_str("on upgrade"),
            Self::Connect => f.write_str("on connect"),
            Self::Disconnect => f.write_str("on disconnect"),
            Self::OwnTable { table, event: RowEvent::Insert } => write!(f, "on {table}.insert"),
            Self::OwnTable { table, event: RowEvent::Update } => write!(f, "on {table}.update"),
            Self::OwnTable { table, event: RowEvent::Delete } => write!(f, "on {table}.delete"),
            Self::OtherTable { path, table, event: RowEvent::Insert } => write!(f, "on {path}:{table}.insert"),
            Self::OtherTable { path, table, event: RowEvent::Update } => write!(f, "on {path}:{table}.update"),
            Self::OtherTable { path, table, event: RowEvent::Delete } => write!(f, "on {path}:{table}.delete"),
            Self::Reply { path, reducer } => write!(f, "on {path}:{reducer}.reply"),
            Self::Due { table } => write!(f, "on {table}.due"),
            Self::Migrate { table } => write!(f, "on {table}.migrate"),
            Self::Schedule(Schedule::Cron(calendar)) => write!(f, "cron {calendar}"),
            Self::Schedule(Schedule::Every(Span(distance))) => {
                let units = [(86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s")];
                let unit = units.into_iter().find(|(unit_us, _)| distance % unit_us == 0);
                let (unit_us, unit) = unit.unwrap_or((1_000, "ms"));
                write!(f, "every {}{unit}", distance / unit_us)
            }
        }
    }
}

/// Times that come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At this distance from each other, from the moment on at which the mount got the hook.
    Every(Span),
    /// As a calendar has them, in UTC: [`Cron`](crate::cron::Cron).
    Cron(String),
}

/// A deterministic transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reducer {
    /// The name.
    pub name: String,
    /// Whether any principal that reaches the module may call it.
    pub public: bool,
    /// The arguments.
    pub arguments: Vec<Field>,
    /// The answer; an empty tuple for none.
    pub answer: Type,
    /// The module's own error; `None` if it refuses with texts only.
    pub error: Option<Type>,
    /// The event that runs it, if it is a hook.
    pub hook: Option<Hook>,
    /// What it may touch; `None`: every own table.
    pub access: Option<Access>,
}

/// A read-only function. With a key it is a view: its rows are of the tables and of who asks alone, and can be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The name.
    pub name: String,
    /// Whether any principal that reaches the module may call it.
    pub public: bool,
    /// The arguments.
    pub arguments: Vec<Field>,
    /// The answer.
    pub answer: Type,
    /// The module's own error; `None` if it refuses with texts only.
    pub error: Option<Type>,
    /// Tables it reads; `None`: every own table.
    pub reads: Option<Vec<String>>,
    /// Of a view, whose answer is a list of structs: the fields that tell its rows apart.
    pub key: Option<Vec<String>>,
}

impl Schema {
    /// The canonical bytes of the schema: `isxs`, a u16 format version, the u32 length of the content, the first 4
    /// bytes of the BLAKE3 of these and the content, the content.
    ///
    /// # Errors
    /// `limit` or `malformed` when the schema breaks a rule of [`Schema::check`].
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        canonical::encode(self)
    }

    /// Reads canonical bytes; refuses any other encoding and every schema that [`Schema::check`] refuses.
    ///
    /// # Errors
    /// `limit` or `malformed`, naming what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let schema = canonical::decode(bytes)?;
        schema.check()?;
        Ok(schema)
    }

    /// Checks every rule that does not need another schema.
    ///
    /// # Errors
    /// `limit` or `malformed`, naming the table, function or column and the cure.
    pub fn check(&self) -> Result<(), Error> {
        check::schema(self)
    }

    /// Assembles the schema from the self-describing records of a module's custom section ([`record`]), in any order.
    ///
    /// # Errors
    /// `malformed` when a record is damaged, doubled or contradicts another, and as [`Schema::check`].
    pub fn lift(section: &[u8]) -> Result<Self, Error> {
        let schema = record::lift(section)?;
        schema.check()?;
        Ok(schema)
    }

    /// Whether the module has to know when sessions begin and end.
    pub fn tracks_sessions(&self) -> bool {
        let is_hook = |reducer: &Reducer| matches!(reducer.hook, Some(Hook::Connect | Hook::Disconnect));
        self.tables.iter().any(|table| table.kind == TableKind::Session) || self.reducers.iter().any(is_hook)
    }

    /// What can be followed under `name`: a table, or a view as a table of its rows.
    pub fn followed(&self, name: &str) -> Option<Cow<'_, Table>> {
        let view = || self.query(name).and_then(Query::rows).map(Cow::Owned);
        self.table(name).map(Cow::Borrowed).or_else(view)
    }

    /// The tables of the store: all but volatile ones.
    pub fn stored(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| table.kind.is_stored())
    }

    /// The table called `name`.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The reducer called `name`.
    pub fn reducer(&self, name: &str) -> Option<&Reducer> {
        self.reducers.iter().find(|reducer| reducer.name == name)
    }

    /// The query called `name`.
    pub fn query(&self, name: &str) -> Option<&Query> {
        self.queries.iter().find(|query| query.name == name)
    }
}

impl Table {
    /// The signature: the first 16 bytes of BLAKE3-256 over `isx:signature:table\0` and the canonical name, columns
    /// with their types, and primary key. Indexes, defaults and visibility may change without it.
    pub fn signature(&self) -> Signature {
        let mut content = Vec::new();
        canonical::put_table_identity(&mut content, self);
        signature_of(b"isx:signature:table\0", &content)
    }

    /// The columns that rows of `version` have: the first ones.
    pub fn columns_at(&self, version: u16) -> &[Column] {
        let count = self.columns.iter().take_while(|column| column.since <= version).count();
        self.columns.get(..count).unwrap_or(&self.columns)
    }

    /// The layout of rows of `version`.
    pub fn layout(&self, version: u16) -> Layout {
        Layout::new(self.columns_at(version).iter().map(|column| &column.ty))
    }

    /// The position of the column called `name`.
    pub fn column(&self, name: &str) -> Option<u16> {
        self.columns.iter().position(|column| column.name == name).and_then(|index| u16::try_from(index).ok())
    }

    /// The type of a row.
    pub fn row_type(&self) -> Type {
        let field = |column: &Column| Field { name: column.name.clone(), ty: column.ty.clone() };
        Type::Struct(self.columns.iter().map(field).collect())
    }
}

impl Reducer {
    /// The signature: [`signature`] of name, arguments and answer.
    pub fn signature(&self) -> Signature {
        signature(&self.name, &self.arguments, &self.answer)
    }
}

impl Query {
    /// The signature: [`signature`] of name, arguments and answer.
    pub fn signature(&self) -> Signature {
        signature(&self.name, &self.arguments, &self.answer)
    }

    /// The rows of a view as those of a table, which is how they are followed; none of other queries.
    pub fn rows(&self) -> Option<Table> {
        let (Some(key), Type::List(row)) = (&self.key, &self.answer) else { return None };
        let Type::Struct(fields) = &**row else { return None };
        let column =
            |Field { name, ty }: &Field| Column { name: name.clone(), ty: ty.clone(), default: None, since: 1 };
        let table = Table {
            name: self.name.clone(),
            kind: TableKind::default(),
            public: self.public,
            version: 1,
            columns: fields.iter().map(column).collect(),
            primary_key: Vec::new(),
            auto_inc: None,
            indexes: Vec::new(),
        };
        let primary_key = key.iter().map(|name| table.column(name)).collect::<Option<_>>()?;
        Some(Table { primary_key, ..table })
    }
}

/// The signature of a function, whatever serves it: the first 16 bytes of BLAKE3-256 over `isx:signature\0`, the
/// canonical encoding of the name, of the arguments' names and types in order, and of the answer's type.
pub fn signature(name: &str, arguments: &[Field], answer: &Type) -> Signature {
    let mut content = Vec::new();
    canonical::put_name(&mut content, name);
    canonical::put_fields(&mut content, arguments);
    canonical::put_type(&mut content, answer);
    signature_of(b"isx:signature\0", &content)
}

fn signature_of(domain: &[u8], content: &[u8]) -> Signature {
    let mut hasher = blake3::Hasher::new();
    hasher.update(domain);
    hasher.update(content);
    let mut signature = [0; 16];
    hasher.finalize_xof().fill(&mut signature);
    Signature(signature)
}
