//! Bounds of a node.

use std::time::Duration;

/// Uploads that may be open at once; one more is answered `busy`.
pub const UPLOADS_MAX: usize = 8;
/// How long an upload may rest before it is forgotten.
pub const UPLOAD_REST_MAX: Duration = Duration::from_secs(60);
/// Bytes of published blobs on disk; one more blob is refused with `limit`.
pub const BLOBS_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// How long a caller that says nothing waits for an outcome.
pub const CALL_WITHIN: Duration = Duration::from_secs(30);
/// The longest a caller may ask to wait.
pub const CALL_WITHIN_MAX: Duration = Duration::from_secs(600);
/// How long a starting node waits for a leader of its groups before it says what is missing.
pub const LEADER_WITHIN: Duration = Duration::from_secs(30);
/// How long a stopping node gives its callers to finish.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(2);
/// Rows that a follower of a table is sent at once; the next are read when these are taken.
pub const FOLLOW_ROWS_MAX: usize = 256;
/// Bytes of rows in one part of a step of a followed table; larger steps travel in several parts.
pub const FOLLOW_PART_BYTES_MAX: usize = 192 * 1024;
/// Revisions without a change in a followed table after which its follower is told how far the mount is.
pub const FOLLOW_PROGRESS_REVISIONS: u64 = 1024;
/// Views that are followed; more are refused.
pub const LIVE_VIEWS_MAX: usize = 16 * 1024;
/// Bytes of rows that followers of views have, which are kept to tell how they change; more are refused.
pub const LIVE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Changes that are looked through for one that touches what a view read; behind more it runs again unseen.
pub const LIVE_CHANGES_MAX: usize = 4096;
/// How long a followed view waits where too many wait already for the node's budget.
pub const LIVE_PAUSE: Duration = Duration::from_millis(500);
/// Bytes of one row of a volatile table; a larger one is refused: it is what changes all the time.
pub const VALUE_ROW_BYTES_MAX: usize = 16 * 1024;
/// Rows of a mount's volatile tables; more are refused.
pub const VALUES_ROWS_MAX: usize = 4096;
/// Rows that one principal has of them; more are refused, so that nobody keeps others out.
pub const VALUES_OF_ONE_MAX: usize = 64;
/// Bytes of a mount's volatile tables in memory; more are refused, deleting works.
pub const VALUES_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of those of all mounts; more are refused with `busy`, deleting works.
pub const VALUES_ALL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Deleted rows of a volatile table that are remembered for who follows it; who was told less begins again.
pub const VALUES_GONE_MAX: usize = 1024;
/// Bytes of them.
pub const VALUES_GONE_BYTES_MAX: usize = 256 * 1024;
/// The shortest time between two steps that a follower of a volatile table is told: what changes twice within it is told once.
pub const VALUES_STEP_EVERY: Duration = Duration::from_millis(10);
/// Lines that are kept of what a mount logged; the oldest go.
pub const LOG_LINES_MAX: usize = 4096;
/// Bytes of them; the oldest go.
pub const LOG_BYTES_MAX: usize = 512 * 1024;
/// Bytes of lines kept of all mounts; the oldest of the mount that has most go.
pub const LOGS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Lines in one part of a followed log.
pub const LOG_PART_LINES_MAX: usize = 256;
/// Mounts whose calls are counted apart; those of others are counted together.
pub const ACCOUNTS_MAX: usize = isx_cluster::limits::MOUNTS_MAX;
/// Functions of all mounts that are counted apart; others are counted together by mount.
pub const ACCOUNTS_FUNCTIONS_MAX: usize = 16 * 1024;
/// How long a write of the log may take before the node is said to ail.
pub const LOG_WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How long a group may take to answer whether it serves; then it does not.
pub const READY_WITHIN: Duration = Duration::from_secs(1);
/// How long what was measured of the machine is taken as it was; looking again costs a look at each file.
pub const MEASURED_FOR: Duration = Duration::from_secs(1);
/// Processor time that a node with a budget of it may use at once after it has used none, as time that passed.
pub const CPU_BURST: Duration = Duration::from_millis(200);
/// Processor time that a node may owe, as time that passes until it is made good; what is beyond is forgiven, so that nobody
/// waits for the compiling of a large module any longer.
pub const CPU_DEBT_MAX: Duration = Duration::from_secs(10);
/// How long what a node has used of its processor time is taken as it was.
pub const CPU_LOOK_EVERY: Duration = Duration::from_millis(10);
/// The longest that a call waits for processor time before it looks again whether there is some.
pub const CPU_WAIT_MAX: Duration = Duration::from_millis(250);
/// Calls that wait for processor time; more are `busy`.
pub const CPU_WAITING_MAX: usize = 16 * 1024;
/// The time over which is told what share of the processors a node uses, at least.
pub const CPU_WINDOW: Duration = Duration::from_secs(2);
/// The least processor time that a node can be held to, in thousandths of a processor: it uses some of it when idle.
pub const CPU_MILLI_LEAST: u64 = 50;
/// The least state that a node can be held to, in bytes: a mount's change ring alone may take a part of it.
pub const MEMORY_BYTES_LEAST: u64 = 32 * 1024 * 1024;
/// The least disk that a node can be held to, in bytes: its log takes some when it is empty.
pub const DISK_BYTES_LEAST: u64 = 64 * 1024 * 1024;
/// Bytes that a request is counted for beside its arguments, where a node has a budget of memory or disk.
pub const REQUEST_BYTES: u64 = 256;
/// How often a node with a budget of disk looks what its files take, at most; with many files more seldom.
pub const ROOM_LOOK_EVERY: Duration = Duration::from_millis(100);
/// Looks take one part in so many of the time at most.
pub const ROOM_LOOK_PARTS: u32 = 20;
/// The longest segment of the log is one part in so many of the disk that a node may take, so that little is only reserved.
pub const SEGMENT_PARTS: u64 = 16;
/// The longest segment of the log, in bytes, has so many at least.
pub const SEGMENT_BYTES_LEAST: u64 = 4 * 1024 * 1024;
/// Segments of the log that a node keeps room for beside what it counts; growth is refused before them, deletes go on.
pub const DISK_SEGMENTS: u64 = 2;
/// The log is made shorter when it takes one part in so many of the disk that a node may take.
pub const LOG_PARTS: u64 = 8;
/// Room is made, of the log and then of history, when less than one part in so many is left of the disk.
pub const MAKE_ROOM_PARTS: u64 = 4;
/// History takes one part in so many of the disk that a node may take, at most, beside its own bound.
pub const HISTORY_PARTS: u64 = 4;
/// What a caller is told to wait, in milliseconds, while the log is made shorter.
pub const RETRY_FOR_ROOM_MS: u32 = 500;
/// How long a session that nobody holds any more may come back before it ends.
pub const SESSION_GRACE: Duration = Duration::from_secs(10);
/// How long an upgrade may be tried that is not made: it holds the thread that looks into the past.
pub const MIGRATION_TRIED_WITHIN: Duration = Duration::from_secs(50);
/// How often is looked how many rows of a mount have moved, for who waits for that.
pub const MIGRATION_LOOK: Duration = Duration::from_millis(50);
/// How often a node looks for sessions that ended, and for counters of mounts that are gone.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(2);
/// Sessions that are ended at once; the next follow when those are applied.
pub const SESSIONS_ENDED_MAX: usize = 64;
/// Sessions that may call over one object; more are refused: a caller has one for each.
pub const SESSIONS_PER_OBJECT_MAX: usize = 8;
/// Fuel of one call where the mount's limits say nothing.
pub const CALL_FUEL: u64 = 1_000_000_000;

// The plan of a mount that is being made carries its links.
const _: () = assert!(isx_cluster::limits::LINKS_BYTES_MAX + 1024 < isx_anchors::limits::PLAN_BYTES_MAX);
// What is owed at most is waited for within what a call waits.
const _: () = assert!(CPU_DEBT_MAX.as_secs() < CALL_WITHIN.as_secs());
// The log fits beside what is kept for it, with history and a state.
const _: () = assert!(DISK_BYTES_LEAST >= 8 * SEGMENT_BYTES_LEAST && DISK_SEGMENTS < SEGMENT_PARTS / 4);
const _: () = assert!(MEMORY_BYTES_LEAST > isx_cluster::limits::RING_BYTES_MAX as u64);
const _: () = assert!(CALL_WITHIN.as_secs() <= CALL_WITHIN_MAX.as_secs());
const _: () = assert!(LOG_PART_LINES_MAX * 64 + LOG_BYTES_MAX / 4 < isx_row::limits::VALUE_BYTES_MAX);
const _: () = assert!(FOLLOW_PART_BYTES_MAX < isx_row::limits::VALUE_BYTES_MAX);
// A row travels in one part, and no caller can fill a mount.
const _: () = assert!(
    VALUE_ROW_BYTES_MAX < FOLLOW_PART_BYTES_MAX && VALUES_OF_ONE_MAX * VALUE_ROW_BYTES_MAX < VALUES_BYTES_MAX / 4
);
