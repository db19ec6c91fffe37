//! Bounds of one connection between vats. A peer that goes over one harms its own connection only.

use isx_row::limits::{NAME_BYTES_MAX, VALUE_BYTES_MAX};
use std::time::Duration;

/// Bytes of one message; a larger one ends the connection before it is allocated.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Pointers that a reader follows into a message's depth; deeper messages do not read. The wire's own types need 8.
pub const NESTING_MAX: i32 = 24;
/// Bytes of a method's name: a member's, or `table.event`; longer ones are refused.
pub const METHOD_BYTES_MAX: usize = 2 * NAME_BYTES_MAX + 1;
/// Bytes of an error's text on the wire; longer texts are cut.
pub const ERROR_TEXT_BYTES_MAX: usize = 1024;
/// References in one call or answer; more are refused.
pub const OBJECTS_PER_CALL_MAX: usize = 16;
/// References alive in each direction of a connection; beyond it none is handed out (`limit`).
pub const OBJECTS_MAX: usize = 10_000;
/// Calls in one batch; the caller cuts longer ones, the callee refuses them.
pub const BATCH_CALLS_MAX: usize = 1024;
/// Bytes of the payloads in one batch; the caller cuts there.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that wait to be sent on a connection; whoever writes more waits.
pub const UNSENT_BYTES_MAX: usize = 32 * 1024;
/// Bytes of the answers to one batch; the answers beyond it are `unknown`: made, and to be asked again.
pub const BATCH_ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Messages of a connection whose answers are outstanding; the caller waits there until its deadline, then `busy`.
pub const CALLS_IN_FLIGHT_MAX: usize = 1024;
/// Bytes of their payloads; the caller waits as above.
pub const CALL_BYTES_IN_FLIGHT_MAX: usize = 4 * 1024 * 1024;
/// Streams open on a connection; more are `busy`.
pub const STREAMS_MAX: usize = 256;
/// Items asked for at once: what a producer runs ahead of the wire.
pub const STREAM_CREDIT_MAX: u32 = 64;
/// Bytes of items after which an answer to `next` ends.
pub const STREAM_BYTES_MAX: usize = 512 * 1024;
/// Attempts to log in on one connection; after that it answers `busy`.
pub const LOGINS_MAX: u32 = 8;
/// Connections that one [`crate::Vats`] drives; more are `busy`.
pub const CONNECTIONS_MAX: usize = 4096;
/// How long a call that says nothing may take.
pub const CALL_WITHIN: Duration = Duration::from_secs(60);
/// How long any call may take, whatever it says.
pub const CALL_WITHIN_MAX: Duration = Duration::from_secs(600);
/// What the caller waits beyond a call's own time, so that the callee's word comes first.
pub const GRACE: Duration = Duration::from_millis(500);
/// How long a connection may stay without a login; then it is closed.
pub const LOGIN_WITHIN: Duration = Duration::from_secs(10);
/// How often the dialling side asks for a sign of life.
pub const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// How long it waits for one; then the connection is dead.
pub const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);
/// How long the serving side hears nothing before the connection is dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(20);
/// How long a peer may refuse to take bytes; then the connection is dead. Meanwhile nothing more is read from it.
pub const STALL_MAX: Duration = Duration::from_secs(10);
/// How often the serving side looks at the clock for the two bounds above.
pub const WATCH_EVERY: Duration = Duration::from_secs(5);

const _: () = assert!(BATCH_BYTES_MAX >= VALUE_BYTES_MAX && BATCH_BYTES_MAX <= CALL_BYTES_IN_FLIGHT_MAX);
const _: () = assert!(BATCH_ANSWER_BYTES_MAX + BATCH_BYTES_MAX < MESSAGE_BYTES_MAX);
const _: () = assert!(STREAM_BYTES_MAX + 2 * VALUE_BYTES_MAX < MESSAGE_BYTES_MAX);
const _: () = assert!(KEEPALIVE_EVERY.as_secs() + KEEPALIVE_WITHIN.as_secs() < SILENCE_MAX.as_secs());
