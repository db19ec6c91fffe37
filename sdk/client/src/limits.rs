//! Bounds of the client.

use isx_row::limits::{SESSION_WINDOW, VALUE_BYTES_MAX};
use std::time::Duration;

/// Calls in one batch; more wait for the next, so that one batch can not hold back the answers of many.
pub const BATCH_CALLS_MAX: usize = 256;
/// Bytes of payload in one batch; more wait for the next.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;
/// Batches in flight for each reference: one being answered, one on its way; more calls wait and coalesce.
pub const BATCHES_IN_FLIGHT_MAX: usize = 2;
/// How long a call that says nothing waits for its outcome, where nothing else is said: then it answers `deadline`.
pub const CALL_WITHIN: Duration = Duration::from_secs(60);
/// How long one address may take to answer a dial; then the next is tried.
pub const DIAL_WITHIN: Duration = Duration::from_secs(5);
/// The first pause before dialling again; doubles up to [`PAUSE_MAX`], with jitter against reconnect storms.
pub const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause before dialling again.
pub const PAUSE_MAX: Duration = Duration::from_secs(1);

const _: () = assert!(BATCH_BYTES_MAX >= VALUE_BYTES_MAX, "every call fits into a batch");
const _: () = assert!((BATCH_CALLS_MAX * BATCHES_IN_FLIGHT_MAX) as u64 <= SESSION_WINDOW);
