//! Sessions for calls that take one.

use isx_row::{SessionId, Time};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::SystemTime;

/// A fresh session, for calls that must happen once however often they are asked.
pub fn session() -> SessionId {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // The standard library seeds this from the host's randomness.
    let random = RandomState::new().hash_one(since.as_nanos());
    SessionId::new(Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)), random)
}
