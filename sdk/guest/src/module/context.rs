//! What a function is told about its call, and the door to its tables.

use crate::module::failure::error_of;
use crate::module::port::context as host;
use crate::module::table::{Db, Read, Write};
use isx_row::{Error, Principal, SessionId, Time};

/// What a reducer is given: the mount's tables, and what the entry says about the call.
#[derive(Debug)]
pub struct ReducerContext {
    /// The tables, through one method for each: `ctx.db.greeting()`.
    pub db: Db<Write>,
}

impl ReducerContext {
    #[doc(hidden)]
    pub fn __begin() -> Self {
        Self { db: Db::new() }
    }

    /// Who calls. Hooks see the one whose call set them off; those that no call sets off see who
    /// made the mount, or whose session came or went.
    pub fn caller(&self) -> Principal {
        caller()
    }

    /// The session of the call, if it has one.
    pub fn session(&self) -> Option<SessionId> {
        host::session().and_then(|bytes| bytes.try_into().ok()).map(SessionId)
    }

    /// Log time: the same on every replica, never going back.
    pub fn time(&self) -> Time {
        Time(host::time())
    }

    /// The next 64 bits of the call's random stream: the same on every replica and known to all of them, so good for ids
    /// and shuffles, not for secrets.
    ///
    /// # Errors
    /// As [`ReducerContext::random_bytes`].
    pub fn random(&self) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.random_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Fills `bytes` from the call's random stream.
    ///
    /// # Errors
    /// `limit` above 4,096 bytes at once.
    pub fn random_bytes(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let random = host::random(length).map_err(error_of)?;
        for (byte, value) in bytes.iter_mut().zip(random) {
            *byte = value;
        }
        Ok(())
    }
}

/// What a query is given: the mount's tables, to read, at one revision.
#[derive(Debug)]
pub struct QueryContext {
    /// The tables, through one method for each: `ctx.db.greeting()`.
    pub db: Db<Read>,
}

impl QueryContext {
    #[doc(hidden)]
    pub fn __begin() -> Self {
        Self { db: Db::new() }
    }

    /// Who asks.
    pub fn caller(&self) -> Principal {
        caller()
    }

    /// The time of the revision that is read.
    pub fn time(&self) -> Time {
        Time(host::time())
    }
}

/// What a view is given: the mount's tables, to read, and who asks. It has no time and no random: its rows stay as they are
/// until a table that it reads changes.
#[derive(Debug)]
pub struct ViewContext {
    /// The tables, through one method for each: `ctx.db.greeting()`.
    pub db: Db<Read>,
}

impl ViewContext {
    #[doc(hidden)]
    pub fn __begin() -> Self {
        Self { db: Db::new() }
    }

    /// Who asks.
    pub fn caller(&self) -> Principal {
        caller()
    }
}

fn caller() -> Principal {
    // The contract says 32 bytes; a host that breaks it gets a principal that nobody is.
    host::caller().try_into().map_or(Principal([0; 32]), Principal)
}
