//! What records describe, as constants.

use super::super::{IndexKind, RowEvent, TableKind};
use crate::desc::{FieldDesc, TypeDesc};

/// What a record describes.
#[derive(Clone, Copy, Debug)]
pub enum RecordDesc {
    /// The module itself: one record a module.
    Module(ModuleDesc),
    /// A table.
    Table(TableDesc),
    /// A reducer.
    Reducer(ReducerDesc),
    /// A query.
    Query(QueryDesc),
    /// Another module that is sent to.
    Link(LinkDesc),
}

/// The head of a [`Schema`].
#[derive(Clone, Copy, Debug)]
pub struct ModuleDesc {
    /// The module's name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Whether any principal may reach it.
    pub public: bool,
}

/// A [`crate::schema::Table`].
#[derive(Clone, Copy, Debug)]
pub struct TableDesc {
    /// The name.
    pub name: &'static str,
    /// How long its rows live.
    pub kind: TableKind,
    /// Whether callers that reach the module may read it.
    pub public: bool,
    /// The version written into its rows.
    pub version: u16,
    /// The columns in the order of the encoding.
    pub columns: &'static [ColumnDesc],
    /// Columns of the primary key, by position.
    pub primary_key: &'static [u16],
    /// The column that is numbered.
    pub auto_inc: Option<u16>,
    /// Secondary indexes, in any order.
    pub indexes: &'static [IndexDesc],
}

/// A [`crate::schema::Column`].
#[derive(Clone, Copy, Debug)]
pub struct ColumnDesc {
    /// The name.
    pub name: &'static str,
    /// The type.
    pub ty: &'static TypeDesc,
    /// What it holds where nobody writes it.
    pub default: Option<FillDesc>,
    /// The table version that introduced it.
    pub since: u16,
}

/// A [`crate::schema::Fill`].
#[derive(Clone, Copy, Debug)]
pub enum FillDesc {
    /// The standalone encoding of a value: `&5u64.to_le_bytes()`, `"text".as_bytes()`, `&[0]` for none.
    Value(&'static [u8]),
    /// The log time of the insert.
    Created,
    /// The log time of the last change.
    Updated,
    /// The session whose call inserted the row.
    Session,
    /// Who put the row.
    Caller,
}

/// A [`crate::schema::Index`].
#[derive(Clone, Copy, Debug)]
pub struct IndexDesc {
    /// The name.
    pub name: &'static str,
    /// Its columns, by position.
    pub columns: &'static [u16],
    /// How it is kept.
    pub kind: IndexKind,
    /// Whether two rows may share a key.
    pub unique: bool,
}

/// A [`crate::schema::Hook`].
#[derive(Clone, Copy, Debug)]
pub enum HookDesc {
    /// The mount was created.
    Init,
    /// A row of the own table changed.
    OwnTable(&'static str, RowEvent),
    /// The mount got this module in the place of another.
    Upgrade,
    /// A session began.
    Connect,
    /// A session ended.
    Disconnect,
    /// A time of a schedule came, this many microseconds after the one before.
    Every(i64),
    /// A time of a calendar came.
    Cron(&'static str),
    /// A row of the own table became due.
    Due(&'static str),
    /// The module replaces one with such a table, which can not be kept as it is.
    Migrate(&'static str),
    /// A row changed in a table of the mount at a path.
    OtherTable(&'static str, &'static str, RowEvent),
    /// What was sent to a reducer of the mount at a path was answered.
    Reply(&'static str, &'static str),
}

/// A [`crate::schema::Link`].
#[derive(Clone, Copy, Debug)]
pub struct LinkDesc {
    /// Where the other module is mounted.
    pub path: &'static str,
    /// The reducers that are sent to, in any order.
    pub sends: &'static [SentDesc],
    /// The functions that are called within transactions, in any order.
    pub joins: &'static [SentDesc],
}

/// A [`crate::schema::Sent`].
#[derive(Clone, Copy, Debug)]
pub struct SentDesc {
    /// The name.
    pub name: &'static str,
    /// The arguments.
    pub arguments: &'static [FieldDesc],
    /// The answer.
    pub answer: &'static TypeDesc,
}

/// A [`crate::schema::Access`]; the lists in any order.
#[derive(Clone, Copy, Debug)]
pub struct AccessDesc {
    /// Tables it reads.
    pub reads: &'static [&'static str],
    /// Tables it inserts into.
    pub inserts: &'static [&'static str],
    /// Tables it updates.
    pub updates: &'static [&'static str],
    /// Tables it deletes from.
    pub deletes: &'static [&'static str],
}

/// A [`crate::schema::Reducer`].
#[derive(Clone, Copy, Debug)]
pub struct ReducerDesc {
    /// The name.
    pub name: &'static str,
    /// Whether any principal that reaches the module may call it.
    pub public: bool,
    /// The arguments.
    pub arguments: &'static [FieldDesc],
    /// The answer.
    pub answer: &'static TypeDesc,
    /// The module's own error; `None` if it refuses with texts only.
    pub error: Option<&'static TypeDesc>,
    /// The event that runs it.
    pub hook: Option<HookDesc>,
    /// What it may touch; `None`: every own table.
    pub access: Option<AccessDesc>,
}

/// A [`crate::schema::Query`].
#[derive(Clone, Copy, Debug)]
pub struct QueryDesc {
    /// The name.
    pub name: &'static str,
    /// Whether any principal that reaches the module may call it.
    pub public: bool,
    /// The arguments.
    pub arguments: &'static [FieldDesc],
    /// The answer.
    pub answer: &'static TypeDesc,
    /// The module's own error; `None` if it refuses with texts only.
    pub error: Option<&'static TypeDesc>,
    /// Tables it reads, in any order; `None`: every own table.
    pub reads: Option<&'static [&'static str]>,
    /// Of a view: the fields that tell its rows apart.
    pub key: Option<&'static [&'static str]>,
}
