//! Gives guests their vocabulary: modules declare tables, reducers and queries, and the SDK makes them callable.
//!
//! A module is a crate with [`module!`] at its root. [`macro@table`] makes a struct the row of a table and gives it a
//! typed handle, `ctx.db.NAME()`. [`macro@reducer`] and [`macro@query`] make functions callable by name. Each of them
//! also declares its item in the schema: bytes computed at compile time, kept in a custom section that hosts and tools
//! read without running anything. `isx build` makes the component.
//!
//! An error, a panic or a limit rolls the whole call back. What a reducer sees is its arguments, its tables and its
//! entry's context; what it keeps in statics may be gone at the next call and must never matter. Hash maps are [`Map`] and
//! [`Set`]: their order is the same on every replica. What libraries say through the crate `log` is in the call's
//! [`log`](mod@log).
//!
//! In a module's own tests, which run natively, `isx-testing` stands in for the host: reducers and queries on real tables.
//!
//! Knows nothing of the host side: it calls the contract in `sdk/wit`.
//!
//! # Invariants
//! - The schema's records are what the items say (`tests/module.rs`: `the_schema_is_what_the_items_say`).
//! - Every registered function is found by its name and no other (`tests/module.rs`: `functions_are_found_by_name`).
//! - A misused attribute is refused with its cure (`isx-macros`: `misuse_is_refused_with_its_cure`).
//!
//! # Example
//! ```
//! use isx::{Error, QueryContext, ReducerContext};
//!
//! isx::module!(public);
//!
//! #[isx::table(public)]
//! struct Greeting {
//!     #[primary_key(auto_inc)]
//!     id: u64,
//!     #[index(btree)]
//!     name: String,
//!     text: String,
//! }
//!
//! #[isx::reducer(public)]
//! fn greet(ctx: &ReducerContext, name: String) -> Result<u64, Error> {
//!     if name.is_empty() {
//!         return Err(isx::refused("whom to greet?"));
//!     }
//!     let text = format!("hello, {name}");
//!     Ok(ctx.db.greeting().insert(Greeting { id: 0, name, text })?.id)
//! }
//!
//! #[isx::reducer(on = "greeting.insert")]
//! fn on_greeting(_ctx: &ReducerContext, row: Greeting) {
//!     isx::log!(info, "{} was greeted", row.name);
//! }
//!
//! #[isx::query(public, reads(greeting))]
//! fn greetings_for(ctx: &QueryContext, name: String) -> Result<Vec<Greeting>, Error> {
//!     ctx.db.greeting().by_name(&name).collect()
//! }
//! ```

extern crate self as isx;

pub mod limits;
// Each kind of guest has its own contract: what one may import, the other must not name.
#[cfg(not(target_os = "wasi"))]
mod module;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub mod rom;

#[cfg(not(target_os = "wasi"))]
pub use module::{
    After, Db, Failed, Failure, FixedHasher, Handle, Key, Map, Prefix, QueryContext, Read, ReducerContext, Reply, Rows,
    Set, Table, ViewContext, Within, Write, after, log, prefix, refused,
};

#[doc(no_inline)]
pub use isx_row::{Bytes, Code, ContentHash, Error, Locator, Principal, SessionId, Signature, Span, Time, Typed, Uuid};

/// `Result` with isx's error.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Declares the module, once, at the root of its crate: its name and version are the package's. Private unless `public`:
/// reachable only with a reference that the owner gave.
pub use isx_macros::module;

/// The bytes of a component that was built before this one: `isx::embed!("tally")` gives `&'static [u8]`.
///
/// `isx build --embed tally=FILE` says which file. On the host, in unit tests, they are empty when nobody said.
pub use isx_macros::embed;

/// Makes an async function the main function of a ROM: `async fn main(host: Host) -> isx::rom::Result`.
pub use isx_macros::main;

/// Makes a struct the row of a table of this module.
///
/// On the struct: `public` (else private), `durable`, `session` (rows go when their session ends), `event` (rows exist for
/// one transaction) or `volatile` (below), `name = "…"` (else the struct's name in snake case), and below it
/// `#[index(btree, columns(a, b))]`.
///
/// On a column: `#[primary_key]` (several make one key, in order), `#[primary_key(auto_inc)]` (a 0 is numbered on insert),
/// `#[index(btree)]` (ranges, order), `#[index(hash)]` (equality), `#[unique]`; an index takes `name = "…"`. `#[due]` on one
/// column `at: Time` keeps the rows by when they are due, for the hook `on = "greeting.due"`.
///
/// A column that the table gets later stands behind the others, with what older rows have in it: `#[default(0)]`, a literal.
/// Rows are not touched; they are read as if the column had always been there.
///
/// `#[created_at] at: Time` and `#[updated_at] at: Time` are written by the host with log time: when the row was inserted,
/// and when it was inserted or last updated. At most one of each; no guest can write another time. Rows older than such a
/// column have `Time(0)` in it.
///
/// A table of sessions has one column `#[session] session: SessionId`, which may be its primary key: the host writes the
/// session whose call inserts the row, and removes the row when that session has ended. Rows that go so set off no hooks; the
/// hook `on = "disconnect"` still sees them.
///
/// A volatile table has what is worth nothing a moment later, as where a mouse is: last values in the memory of the node that
/// leads the mount, for those who follow the table. Callers put and delete its rows (`isx put`, `TABLE.put` of the mount's
/// object); nothing of that is in the log, no reducer, query, view or hook sees it, and a restart of the node, or an upgrade
/// that changes the row, forgets it. Its primary key has a column `#[caller] who: Principal` that the host writes, so that
/// everybody has rows of his own, which go when his session ends. Who follows gets the newest value of each row, and is told
/// no more of them than he takes.
///
/// ```
/// # isx::module!(public);
/// #[isx::table(public, volatile)]
/// struct Cursor {
///     #[primary_key]
///     #[caller]
///     who: isx::Principal,
///     x: f32,
///     y: f32,
/// }
/// ```
///
/// ```compile_fail
/// # isx::module!(public);
/// # #[isx::table(public, volatile)]
/// # struct Cursor { #[primary_key] #[caller] who: isx::Principal, x: f32 }
/// #[isx::reducer]
/// fn peek(ctx: &isx::ReducerContext) {
///     ctx.db.cursor(); // a volatile table is used by no reducer, query or view
/// }
/// ```
///
/// `ctx.db.greeting()` is the table: what [`Handle`] has, and for an index over `name` the methods `by_name(&key)` (or
/// `find_by_name(&key)` if it is unique) and, kept as a btree, `range_by_name(bounds)`; [`Within`] says which bounds. In
/// another Rust module, import the trait that gives it: `use tables::GreetingDb;`.
pub use isx_macros::table;

/// Makes a function a reducer: one transaction, deterministic, rolled back wholly when it fails.
///
/// Its first argument is `ctx: &ReducerContext`; the others are owned values. It returns nothing, a value, or a `Result`
/// with [`Error`], an error of its own ([`derive@Failure`]) or either ([`Failed`]). Private unless `public`.
///
/// An event makes it a hook, called by nothing else:
/// - `on = "init"`: the mount was created.
/// - `on = "upgrade"`: the mount got this module in the place of another; it may take `from: String`, the version before.
///   When it fails there is no upgrade.
/// - `on = "connect"`: a session calls a reducer for the first time, or again after it ended; when it fails its calls are
///   refused. `on = "disconnect"`: the session ended: nobody has called, asked or followed under it over a connection that
///   lasts, and did not come back within ten seconds. Both are on behalf of the caller, and `ctx.session()` says which.
/// - `on = "greeting.insert"`, `.update`, `.delete`: a row of an own table changed, in the same transaction; it takes `row`,
///   or `old` and `new`.
/// - `on = "greeting.migrate"`: the module takes the place of one whose table `greeting` it can not keep as it is; it takes
///   `old`, a struct of that table's columns or of the first of them, for each row. All rows move, or the upgrade is refused
///   and nothing has changed. Tables that move are empty at first; columns that the host writes are as the hook gives them; no
///   other hook runs, here or at other mounts, and nothing can be sent.
/// - `on = "greeting.due"`: log time has reached the row's column that is marked `#[due]`; it takes `row`, which is deleted
///   in the same transaction. To be run later or again, insert such a row.
/// - `on = "/self/hello:greeting.insert"`, `.update`, `.delete`: a row changed in a table of another module. It is heard of after
///   that committed, once, in order, and can not be refused; it takes `row`, or `old` and `new`: a struct of
///   `#[derive(isx::Typed)]` with the table's columns, or the first of them.
/// - `on = "/self/hello:greet.reply"`: what was sent there, see [`macro@send`], was answered or refused; it takes `number: u64`
///   and `reply: isx::Reply<Answer>`.
/// - `every = "500ms"` (`s`, `m`, `h`, `d`), from the moment on at which the mount got the hook; `cron = "30 3 * * mon-fri"`, in
///   UTC. It may take `count: u64`: how many of these times have passed since it ran last. Those that were missed run once.
///
/// What time sets off runs once, as a transaction of its own, on behalf of who made the mount; when it fails nothing of it is
/// kept but a line in the mount's log, and a due row goes all the same.
///
/// `reads(…)`, `inserts(…)`, `updates(…)`, `deletes(…)` declare what it touches: with any of them, all else is denied.
pub use isx_macros::reducer;

/// Declares another module and the reducers of it that this one sends calls of, under the path where it is mounted. Which
/// mount that is, is settled when this module is published; the other has to be there by then, and to fit.
///
/// ```
/// # isx::module!();
/// #[isx::send("/self/hello")]
/// trait Hello {
///     fn greet(name: String) -> u64;
/// }
///
/// #[isx::reducer]
/// fn welcome(ctx: &isx::ReducerContext, name: String) -> isx::Result<()> {
///     let number = Hello::greet(ctx, name)?;
///     isx::log!(info, "sent as number {number}");
///     Ok(())
/// }
///
/// #[isx::reducer(on = "/self/hello:greet.reply")]
/// fn greeted(_ctx: &isx::ReducerContext, number: u64, reply: isx::Reply<u64>) {
///     match reply {
///         isx::Reply::Answered(id) => isx::log!(info, "number {number} is greeting {id}"),
///         isx::Reply::Refused(error) => isx::log!(warn, "number {number}: {error}"),
///     }
/// }
/// ```
///
/// A call leaves when the sending transaction commits, and with it or not at all; it arrives once, after everything sent
/// there before, as a call of this mount and not of who called it. At most 16 messages lead to one another.
pub use isx_macros::send;

/// Declares another module and the functions of it that this one calls within its own transactions, under the path where it is
/// mounted. Which mount that is, is settled when this module is published; the other has to be there by then, and to fit. The
/// two are of one bundle from then on: placed, moved and backed up together.
///
/// ```
/// # isx::module!();
/// #[isx::together("/self/bank")]
/// trait Bank {
///     fn pay(to: String, amount: u64) -> u64;
/// }
///
/// #[isx::table]
/// pub struct Order {
///     #[primary_key(auto_inc)]
///     pub id: u64,
///     pub thing: String,
/// }
///
/// #[isx::reducer(public)]
/// fn order(ctx: &isx::ReducerContext, thing: String, price: u64) -> isx::Result<u64> {
///     let order = ctx.db.order().insert(Order { id: 0, thing })?;
///     Bank::pay(ctx, "shop".into(), price)?; // refused, there is no order either
///     Ok(order.id)
/// }
/// ```
///
/// The function runs at once, as a call of this mount and not of who called it, with the hooks it sets off, on this call's fuel.
/// What it did is kept when the outermost call commits. When it fails, what it did is undone, its caller gets the error and may
/// go on. A module that waits for what this call answers can not be called (`cycle`); calls are at most 4 modules deep. Calls of
/// this module wait while rows of one that it reaches into move to a new version of that. Queries are called as reducers are; hooks on `init`, `upgrade` and moved rows call none. What need not happen in the same transaction
/// is better sent: see [`macro@send`].
pub use isx_macros::together;

/// Makes a function a query: it reads and changes nothing.
///
/// As [`macro@reducer`], with `ctx: &QueryContext`, `public` and `reads(…)`.
pub use isx_macros::query;

/// Makes a function a view: rows of the tables for who asks, that callers read and follow as they do tables.
///
/// ```
/// # isx::module!(public);
/// #[isx::table]
/// pub struct Message {
///     #[primary_key(auto_inc)]
///     pub id: u64,
///     #[index(btree)]
///     pub to: isx::Principal,
///     pub text: String,
/// }
///
/// #[isx::view(public)]
/// fn inbox(ctx: &isx::ViewContext) -> isx::Result<Vec<Message>> {
///     ctx.db.message().by_to(&ctx.caller()).collect()
/// }
/// ```
///
/// Who follows it gets its rows, and then what is inserted, updated and deleted among them, whichever change of the tables
/// made it so: a row that an update gives to another leaves the one and comes to the other. The host notes what the function
/// reads, each row and range, and runs it again for a follower only when one of these has changed; indexes make that rare.
///
/// `ctx: &ViewContext` gives the tables and who asks, no time and no random. Beside it there may be arguments. The answer is a
/// `Vec` of a table's struct, whose rows the primary key tells apart, or of a `#[derive(isx::Typed)]` struct, with
/// `key(field, …)`; no two rows have one key, and together they are at most 256 KiB. `public` and `reads(…)` as for
/// [`macro@query`]; a view is also a query: it may be asked once, and of the past.
pub use isx_macros::view;

/// Gives a struct or an enum its isx type, so that columns, arguments and answers may have it. The variants of an enum have
/// explicit tags: `#[tag(1)]`.
pub use isx_macros::Typed;

/// Makes a type with `#[derive(isx::Typed)]` an error that reducers and queries may return: alone, or as [`Failed`] of it
/// where `?` is to take the errors of tables too.
pub use isx_macros::Failure;

/// What the macros expand to; nothing to write by hand.
#[doc(hidden)]
pub mod __rt {
    #[cfg(not(target_os = "wasi"))]
    pub use crate::module::rt::*;
    pub use inventory;
    pub use isx_row::codec::{CodecError, RecordReader, RecordWriter, slots_bytes};
    pub use isx_row::desc::{FieldDesc, TypeDesc, VariantDesc};
    pub use isx_row::typed::split_tag;
}
