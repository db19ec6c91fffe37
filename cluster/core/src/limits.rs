//! Limits of the replicated machine. Each has a unit and says what happens at it.

use isx_row::Span;
use isx_row::limits::{LINK_PATH_BYTES_MAX, LINKS_MAX, SESSION_WINDOW, VALUE_BYTES_MAX};

/// Bytes of an encoded entry that holds calls; a batch ends before it, a larger entry is refused.
pub const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of an entry that its requests share; the rest is its head.
pub const ENTRY_ROOM_BYTES: usize = ENTRY_BYTES_MAX - 64;
/// Bytes of an encoded entry that holds effects too: what one entry's calls did, under the store's bound on a
/// transaction each; a batch whose effects are larger is refused and must be cut smaller.
pub const EFFECTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Requests of an entry; a batch ends there.
pub const ENTRY_REQUESTS_MAX: usize = 8192;
/// Bytes of an encoded request; a larger one is refused before the log.
pub const REQUEST_BYTES_MAX: usize = 768 * 1024;
pub use isx_store::limits::HOPS_MAX;
/// Locators passed with a call; more are refused.
pub const LOCATORS_MAX: usize = 64;
/// Bytes of a locator; longer is refused.
pub const LOCATOR_BYTES_MAX: usize = 1024;

/// Rows that one request of a migration moves, if a call's fuel is not used up before; the next goes on.
pub const MIGRATE_ROWS_MAX: usize = 1024;
/// Bytes of them.
pub const MIGRATE_BYTES_MAX: usize = 512 * 1024;
/// Rows after which is looked at the fuel used: so much more than a call a request of a migration may take.
pub const MIGRATE_SLICE_ROWS: usize = 16;
/// Mounts of a group whose rows move at once, as they are there twice meanwhile; another is `busy`.
pub const MIGRATIONS_MAX: usize = 4;
/// Mounts of a group; one more is refused.
pub const MOUNTS_MAX: usize = 1024;
/// Other mounts that calls of one reach into within their transactions, one through another; publishing what reaches into more
/// is refused, as each call has them all at hand.
pub const BUNDLE_MOUNTS_MAX: usize = 16;
/// Dropped mounts remembered, so that a late step cannot bring one back; at the bound dropping waits (`busy`).
pub const TOMBSTONES_MAX: usize = 65_536;
/// Log time after which a dropped mount is forgotten: no step of its saga is under way any more.
pub const TOMBSTONE_AGE: Span = Span(24 * 3600 * 1_000_000);
/// Bytes of a mount's schema; larger is refused at publish.
pub const MOUNT_SCHEMA_BYTES_MAX: usize = 512 * 1024;
/// Bytes of a mount's configuration; larger is refused at publish.
pub const MOUNT_CONFIG_BYTES_MAX: usize = 64 * 1024;

/// Sessions of a mount; at the bound the least recently used one is forgotten, and older unknown ones are `expired`.
pub const SESSIONS_MAX: usize = 4096;
/// Answers a mount keeps over all its sessions; at the bound the least recently used sessions are forgotten.
pub const ANSWERS_MAX: usize = 65_536;
/// Bytes of an answer that is kept whole; of a larger one the hash is kept, and asking again is answered with it.
pub const ANSWER_KEPT_BYTES_MAX: usize = 1024;
/// Age by log time at which an unknown session is no longer taken for new.
pub const SESSION_YOUNG: Span = Span(3600 * 1_000_000);
/// How far ahead of log time a new session's birth may be; further is refused, its clock is wrong.
pub const SESSION_AHEAD: Span = Span(5 * 60 * 1_000_000);
/// Log time without a call after which a tick forgets a session.
pub const SESSION_IDLE: Span = Span(3600 * 1_000_000);
/// Sessions of a mount that one tick forgets; the next goes on.
pub const SESSIONS_FORGOTTEN_PER_TICK_MAX: usize = 256;

/// Sessions connected to a mount whose module has to know; at the bound more are `busy`.
pub const CONNECTED_MAX: usize = 4096;
/// Of them, sessions of one principal; at the bound its further ones are `busy`.
pub const CONNECTED_OF_ONE_MAX: usize = 256;
/// Rows of an ended session that one request removes; the next goes on.
pub const SESSION_ROWS_REMOVED_MAX: usize = 1024;
/// Times of a calendar that are counted as missed; what passed beyond is not counted.
pub const MISSED_MAX: u64 = 1000;

/// Mounts that a mount has had messages of; one more is told `busy`.
pub const INBOX_SENDERS_MAX: usize = 4096;
/// Bytes of answers to messages that a mount keeps whole until they are settled; beyond, of an answer over
/// [`ANSWER_KEPT_BYTES_MAX`] the hash is kept.
pub const INBOX_ANSWERS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a mount's change ring; at the bound the oldest transactions go, and cursors before them get a reset.
pub const RING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes a transaction in the ring counts for beside its changes.
pub const TRANSACTION_BYTES: usize = 64;
/// Transactions handed out at once to who continues a subscription; it asks again for more.
pub const TRANSACTIONS_PAGE_MAX: usize = 1024;

/// Modules that a mount had before and that are known by their codes, to go back to; the oldest go.
pub const MODULES_EARLIER_MAX: usize = 16;

/// Members of a cluster; one more is refused.
pub const MEMBERS_MAX: usize = 256;
/// Addresses of a member; more are refused.
pub const ADDRESSES_MAX: usize = 16;
/// Bytes of an address; longer is refused.
pub const ADDRESS_BYTES_MAX: usize = 256;

/// Bytes of a snapshot chunk; larger is refused.
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Chunks of a snapshot: what a group may hold, in chunks of the least size and as much again.
pub const CHUNKS_MAX: usize = 1024 * 1024;
/// Bytes of one item of a snapshot's state: a mount's table of chunks is the largest.
pub const ITEM_BYTES_MAX: usize = isx_store::limits::MANIFEST_BYTES_MAX + 1024;

/// Bytes of an encoded outcome that a message got: a whole answer and what is around it.
pub const OUTCOME_BYTES_MAX: usize = VALUE_BYTES_MAX + 8 * 1024;

const _: () = assert!(REQUEST_BYTES_MAX + 1024 < ENTRY_BYTES_MAX);
const _: () = assert!(VALUE_BYTES_MAX + LOCATORS_MAX * (LOCATOR_BYTES_MAX + 4) + 1024 < REQUEST_BYTES_MAX);
/// Bytes of the links of a module, as requests and plans have them.
pub const LINKS_BYTES_MAX: usize = LINKS_MAX * (LINK_PATH_BYTES_MAX + 24);

const _: () = assert!(MOUNT_SCHEMA_BYTES_MAX + MOUNT_CONFIG_BYTES_MAX + LINKS_BYTES_MAX + 1024 < REQUEST_BYTES_MAX);
// A session whose window is full fits, so that forgetting others always makes room for the one that calls.
const _: () = assert!(SESSION_WINDOW as usize <= ANSWERS_MAX);
// Who is forgotten for idleness is too old to be taken for new.
const _: () = assert!(SESSION_IDLE.0 >= SESSION_AHEAD.0);
const _: () = assert!(isx_store::limits::CHUNK_BYTES_MAX <= CHUNK_BYTES_MAX);
