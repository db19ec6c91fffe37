//! Typed handles to the mount's tables: rows in and out as structs, keys as values.
//!
//! `#[isx::table]` makes for each table a method on [`Db`] and a handle that derefs to [`Handle`]. Rows and keys cross to
//! the host in the canonical encoding; scans come in chunks.

use crate::module::failure::error_of;
use crate::module::key::Key;
use crate::module::port::tables as host;
use crate::module::rows::Rows;
use crate::module::within::Within;
use isx_row::codec::CodecError;
use isx_row::{Code, Error, Typed};
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};

/// A struct that is the row of a table. Implemented by `#[isx::table]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the row of a table",
    note = "put `#[isx::table]` on the struct; a view of other rows says what tells them apart: `#[isx::view(key(field))]`"
)]
pub trait Table: Typed {
    /// The table's name.
    const NAME: &'static str;
    /// The table's version, written into its rows.
    const VERSION: u16;
    /// Whether the host writes into inserted rows: a number, the time.
    const HOST_WRITES: bool;
    /// The primary key's columns.
    const KEY_COLUMNS: &'static [&'static str];
    /// The primary key: its column's type, or a tuple of its columns' types.
    type Key: Typed;

    #[doc(hidden)]
    fn __number() -> &'static Number;
}

/// What no row has: `#[isx::table(volatile)]` asks for it where a function would use such a table.
#[diagnostic::on_unimplemented(
    message = "a volatile table is used by no reducer, query or view",
    label = "clients put rows into it (`isx put PATH:table`, `TABLE.put` of the mount's object) and follow it",
    note = "what functions are to see is put by a reducer into a durable or session table"
)]
pub trait OfFunctions {
    /// What there is no way to come by.
    fn never() -> Infallible;
}

/// The right of queries: reading.
#[derive(Clone, Copy, Debug)]
pub enum Read {}

/// The right of reducers: reading and changing.
#[derive(Clone, Copy, Debug)]
pub enum Write {}

/// The tables of the mount, as this call's transaction sees them; `A` is [`Read`] or [`Write`].
pub struct Db<A> {
    access: PhantomData<A>,
}

impl<A> Db<A> {
    pub(crate) fn new() -> Self {
        Self { access: PhantomData }
    }

    /// The handle of a table by its row: what `ctx.db.greeting()` is made of.
    pub fn table<R: Table>(&self) -> Handle<R, A> {
        Handle { row: PhantomData, access: PhantomData }
    }
}

impl<A> fmt::Debug for Db<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Db")
    }
}

/// A table with rows `R`; `A` is [`Read`] or [`Write`].
pub struct Handle<R, A> {
    row: PhantomData<fn() -> R>,
    access: PhantomData<A>,
}

impl<R: Table, A> Handle<R, A> {
    /// The row under a primary key.
    ///
    /// # Errors
    /// `limit` for a key that is too long.
    pub fn get<K: Key<R::Key> + ?Sized>(&self, key: &K) -> Result<Option<R>, Error> {
        host::get(number::<R>()?, &encoded(key)?).map_err(error_of)?.map(|row| decode_row(&row)).transpose()
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// None that a module could do anything about.
    pub fn count(&self) -> Result<u64, Error> {
        host::count(number::<R>()?).map_err(error_of)
    }

    /// All rows by primary key.
    pub fn scan(&self) -> Rows<R> {
        self.range(..)
    }

    /// Rows whose primary key lies within bounds, by that key; [`Within`] says which bounds there are.
    pub fn range(&self, bounds: impl Within<R::Key>) -> Rows<R> {
        Rows::new(range::<R, _>(None, &bounds))
    }

    #[doc(hidden)]
    pub fn __find<C: Typed, K: Key<C> + ?Sized>(&self, index: &Index, key: &K) -> Result<Option<R>, Error> {
        let table = number::<R>()?;
        let row = host::find(table, index.number(table)?, &encoded(key)?).map_err(error_of)?;
        row.map(|row| decode_row(&row)).transpose()
    }

    #[doc(hidden)]
    pub fn __equal<C: Typed, K: Key<C> + ?Sized>(&self, index: &Index, key: &K) -> Rows<R> {
        Rows::new(equal::<R, C, K>(index, key))
    }

    #[doc(hidden)]
    pub fn __range<C: Typed>(&self, index: &Index, bounds: impl Within<C>) -> Rows<R> {
        Rows::new(range::<R, C>(Some(index), &bounds))
    }
}

impl<R: Table> Handle<R, Write> {
    /// Inserts a row; returns it as stored: a numbered key that is 0 gets its number, `created_at` and `updated_at` the log
    /// time, whatever the row has in them.
    ///
    /// # Errors
    /// `duplicate` when its primary key or a unique index has the key already, `limit` when the mount is full or the row
    /// too large.
    pub fn insert(&self, row: R) -> Result<R, Error> {
        let stored = host::insert(number::<R>()?, &encode_row(&row)).map_err(error_of)?;
        if R::HOST_WRITES { decode_row(&stored) } else { Ok(row) }
    }

    /// Puts the row in the place of the one with its primary key. What the row has in `created_at` and `updated_at` is not
    /// looked at: the one stays, the other gets the log time.
    ///
    /// # Errors
    /// `no_row` when there is none, `duplicate` when a unique index has the key already, `limit` as for inserts.
    pub fn update(&self, row: &R) -> Result<(), Error> {
        host::update(number::<R>()?, &encode_row(row)).map_err(error_of)
    }

    /// Deletes the row under a primary key; returns it if there was one.
    ///
    /// # Errors
    /// `limit` for a key that is too long.
    pub fn delete<K: Key<R::Key> + ?Sized>(&self, key: &K) -> Result<Option<R>, Error> {
        host::delete(number::<R>()?, &encoded(key)?).map_err(error_of)?.map(|row| decode_row(&row)).transpose()
    }
}

impl<R: Table, A> fmt::Debug for Handle<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", R::NAME)
    }
}

/// The number that the host gave to a table or an index; asked for once an instance, as it never changes.
#[derive(Debug, Default)]
pub struct Number(AtomicU32);

impl Number {
    /// A number not asked for yet.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    fn get(&self, ask: impl FnOnce() -> Result<u32, host::Fault>) -> Result<u32, Error> {
        // 0: not asked yet. An instance runs one call at a time: no ordering is needed.
        match self.0.load(Ordering::Relaxed) {
            0 => {
                let number = ask().map_err(error_of)?;
                self.0.store(number.wrapping_add(1), Ordering::Relaxed);
                Ok(number)
            }
            known => Ok(known - 1),
        }
    }
}

/// An index by name. Made by `#[isx::table]`.
#[derive(Debug)]
pub struct Index {
    name: &'static str,
    number: Number,
}

impl Index {
    /// The index called `name`.
    pub const fn new(name: &'static str) -> Self {
        Self { name, number: Number::new() }
    }

    fn number(&self, table: u32) -> Result<u32, Error> {
        self.number.get(|| host::index(table, self.name))
    }
}

pub(crate) fn decode_row<R: Table>(bytes: &[u8]) -> Result<R, Error> {
    let damaged = || Error::new(Code::Malformed, format!("a row of table `{}` does not decode", R::NAME));
    let record = bytes.strip_prefix(&R::VERSION.to_le_bytes()).ok_or_else(damaged)?;
    R::decode(record).map_err(|_| damaged())
}

fn encode_row<R: Table>(row: &R) -> Vec<u8> {
    let mut bytes = R::VERSION.to_le_bytes().to_vec();
    row.encode(&mut bytes);
    bytes
}

fn number<R: Table>() -> Result<u32, Error> {
    // A module's code and its schema are one component: its own tables need no signature.
    R::__number().get(|| host::open(R::NAME, &[]))
}

fn encoded<C, K: Key<C> + ?Sized>(key: &K) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    key.append(&mut bytes).map_err(too_long)?;
    Ok(bytes)
}

fn equal<R: Table, C: Typed, K: Key<C> + ?Sized>(index: &Index, key: &K) -> Result<host::Range, Error> {
    let table = number::<R>()?;
    let index = index.number(table)?;
    let bound = host::Bound::Included(encoded(key)?);
    Ok(host::Range { table, index, lower: bound.clone(), upper: bound, direction: host::Direction::Ascending })
}

fn range<R: Table, C>(index: Option<&Index>, within: &impl Within<C>) -> Result<host::Range, Error> {
    let table = number::<R>()?;
    let index = index.map_or(Ok(0), |index| index.number(table))?;
    let (lower, upper) = within.__bounds(&[]).map_err(too_long)?;
    Ok(host::Range { table, index, lower, upper, direction: host::Direction::Ascending })
}

fn too_long(error: CodecError) -> Error {
    Error::new(Code::Limit, format!("the key is refused: {error}"))
}
