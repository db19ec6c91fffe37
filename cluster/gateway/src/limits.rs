//! Bounds of HTTP.

use std::time::Duration;

/// Connections that are open at once; one more ends the oldest, so that who holds many keeps nobody away.
pub const CONNECTIONS_MAX: usize = 64;
/// How long a connection lives, from its acceptance to the last byte of its answer; then it is closed.
pub const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take to send its headers; then the connection is closed.
pub const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a request's line and headers; more is answered 431.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request; more are answered 431.
pub const HEADERS_MAX: usize = 64;
/// How long the next connection waits after one could not be accepted, mostly because the process has too many files open.
pub const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

const _: () = assert!(HEADERS_WITHIN.as_millis() < REQUEST_WITHIN.as_millis());
