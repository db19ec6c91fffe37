//! Limits of consensus. Each has a unit and says what happens at it.

use std::time::Duration;

/// Bytes of one entry: a larger one is refused wherever it comes from.
pub const ENTRY_BYTES_MAX: usize = isx_cluster::limits::ENTRY_BYTES_MAX;
/// Bytes of an entry that its requests share: a leader cuts its batches here.
pub const ENTRY_ROOM_BYTES: usize = isx_cluster::limits::ENTRY_ROOM_BYTES;
/// Bytes of entries in one append message; the next entries wait for the next message. One entry always fits.
pub const APPEND_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a frame between nodes; a longer one ends the stream before anything is allocated.
pub const FRAME_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Append messages sent to a peer and not yet answered; the next waits.
pub const APPENDS_IN_FLIGHT_MAX: usize = 32;
/// Frames queued on one stream; the sender waits.
pub const FRAMES_QUEUED_MAX: usize = 64;
/// Streams that one member may have open to us; more are dropped.
pub const STREAMS_PER_PEER_MAX: usize = 64;
/// Bytes of the longest segment of the log that options may ask for; more is lowered to it.
pub const LOG_SEGMENT_BYTES_MAX: u64 = isx_wal::limits::SEGMENT_BYTES_MAX;
/// Segments of the log behind which a group's entries may reach back; one that has older ones gets a snapshot and drops them, as
/// they keep every later segment.
pub const LOG_SEGMENTS_BEHIND: usize = 8;
/// Requests waiting to be proposed in a group; at the bound a caller waits for room until its deadline, then `busy`.
pub const REQUESTS_QUEUED_MAX: usize = 16 * 1024;
/// Bytes of requests waiting to be proposed in a group; as [`REQUESTS_QUEUED_MAX`].
pub const REQUESTS_QUEUED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Requests in one entry; further ones go into the next.
pub const REQUESTS_PER_ENTRY_MAX: usize = isx_cluster::limits::ENTRY_REQUESTS_MAX;
/// Entries proposed and not yet applied: one on its way to the disks, one being applied. Requests queue behind them and
/// fill the next; with more, entries would be smaller and their fixed costs more.
pub const ENTRIES_IN_FLIGHT_MAX: usize = 2;
/// Entries applied in one job, so that other work of the group gets its turn.
pub const ENTRIES_PER_APPLY_MAX: usize = 64;
/// Calls and changes of entries behind which the apply lane drops the version before by itself; behind more of them another
/// lane does.
pub const REPLACED_HERE_MAX: usize = 32;
/// Members of a group, voters and learners; more are refused.
pub const MEMBERS_MAX: usize = 64;
/// Bytes of a snapshot's manifest, in files and on the wire; larger is refused before it is allocated.
/// This bounds a snapshot to some fifty thousand chunks.
pub const MANIFEST_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of one chunk of a snapshot, in files and on the wire; larger is refused before it is allocated.
pub const CHUNK_BYTES_MAX: usize = isx_cluster::limits::CHUNK_BYTES_MAX;
/// Entries whose effects are kept for followers; one further behind reads the change rings of the view instead.
pub const EFFECTS_KEPT_MAX: usize = 256;
/// Entries between two snapshots of a group.
pub const ENTRIES_PER_SNAPSHOT: u64 = 4096;
/// Entries kept behind a snapshot, so that a follower that is a little behind needs no snapshot.
pub const ENTRIES_KEPT: u64 = 512;

/// Bytes of history that a group of mounts keeps beside its log and its snapshot: entries, older snapshots, and chunks that
/// only those name. At the bound the oldest goes, whatever the rule of retention says, and asking for it is `too_old`.
pub const HISTORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes of entries in one file of history; the next begin another.
pub const HISTORY_SPAN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a file of history below which the next snapshot's entries are put into it, too: small ones would be many.
pub const HISTORY_MERGE_BYTES: u64 = 256 * 1024;
/// Bytes of entries behind an older snapshot after which another is kept: what is applied again to come to a revision.
pub const HISTORY_BASE_BYTES: u64 = 16 * 1024 * 1024;
/// Snapshots whose entries are kept behind one older snapshot, after which another is kept; as [`HISTORY_BASE_BYTES`].
pub const HISTORY_BASE_SNAPSHOTS: u64 = 16;
/// Older snapshots of a group; at the bound the oldest goes, with the entries behind it.
pub const HISTORY_BASES_MAX: usize = 256;
/// Bytes of a snapshot from which the past is rebuilt in memory, and of all that were and are still held; a larger one is
/// refused with `limit`, and for another the one that rests longest goes.
pub const PAST_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Versions of the past that are held for who asks again; the one that rests longest goes.
pub const PASTS_MAX: usize = 4;
/// Callers of a group that wait while the past is rebuilt for one; more are `busy`.
pub const PASTS_WAITING_MAX: usize = 16;
/// Entries applied again in one job, so that others of the lane get their turn and whoever gave up is noticed.
pub const PAST_ENTRIES_PER_JOB: usize = 64;

/// How long opening a stream to a peer may take.
pub const DIAL_WITHIN: Duration = Duration::from_secs(2);
/// How long a peer may take to answer an append or a chunk; then the stream is given up.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a peer may take to install a snapshot it has received.
pub const INSTALL_WITHIN: Duration = Duration::from_secs(60);
/// How long stopping may take before the rest is abandoned: everything acknowledged is in the log already. As long as a disk
/// that others write to at full speed takes for the syncs of a few snapshots.
pub const STOP_WITHIN: Duration = Duration::from_secs(60);

/// How often a leader looks for what time has made due. What is due is hours old: nobody waits for it.
pub const TICK_EVERY: Duration = Duration::from_secs(30);
/// How long it waits for a tick's outcome; then it looks again at the next time.
pub const TICK_WITHIN: Duration = Duration::from_secs(30);
/// How long a timer waits that could not be fired, because another node leads or the group is held.
pub const FIRE_AGAIN: Duration = Duration::from_millis(250);
/// The least pause between two rounds of timers: each is an entry.
pub const FIRE_PAUSE: Duration = Duration::from_millis(10);
/// Timers fired at once; the next follow when those are applied.
pub const FIRES_MAX: usize = 256;

/// Messages from one mount to another that are delivered at once; the next follow when these are settled.
pub const DELIVER_EACH_MAX: usize = 64;
/// Bytes of them.
pub const DELIVER_EACH_BYTES_MAX: usize = 512 * 1024;
/// Messages of all mounts that are delivered at once.
pub const DELIVER_MAX: usize = 1024;
/// Bytes of them: callers share the queue.
pub const DELIVER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a delivery waits for its outcome; then it is made again.
pub const DELIVER_WITHIN: Duration = Duration::from_secs(30);
/// How long messages wait that could not be delivered, because another node leads, the group is held or the receiver is
/// full.
pub const DELIVER_AGAIN: Duration = Duration::from_millis(250);

/// How often a leader shows itself.
pub const HEARTBEAT: Duration = Duration::from_millis(100);
/// The shortest time without a leader before an election; wide, because a busy two-core machine delays everything.
pub const ELECTION_MIN: Duration = Duration::from_millis(500);
/// The longest time without a leader before an election.
pub const ELECTION_MAX: Duration = Duration::from_millis(1000);

const _: () = assert!(FRAME_BYTES_MAX > APPEND_BYTES_MAX + ENTRY_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX > CHUNK_BYTES_MAX + 4096);
const _: () = assert!(FRAME_BYTES_MAX > MANIFEST_BYTES_MAX + 4096);
const _: () = assert!(APPENDS_IN_FLIGHT_MAX <= FRAMES_QUEUED_MAX);
const _: () = assert!(ELECTION_MIN.as_millis() >= 3 * HEARTBEAT.as_millis());
const _: () = assert!(ENTRIES_KEPT < ENTRIES_PER_SNAPSHOT);
const _: () = assert!(HISTORY_MERGE_BYTES < HISTORY_SPAN_BYTES_MAX as u64);
