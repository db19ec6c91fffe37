//! Which sessions are alive on this node: while somebody holds an object of their mount over which they have called or
//! follow, and so while their connection lasts.

use crate::limits::{SESSION_GRACE, SESSIONS_PER_OBJECT_MAX};
use isx_port::{Clock, Instant};
use isx_row::{Code, Error, MountId, Principal, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A session of a mount, and whose it is: the number alone says nothing, others may have seen it.
pub(crate) type Key = (MountId, SessionId, Principal);

/// The sessions that are or were held, and since when they are not.
pub(crate) struct Presence {
    clock: Arc<dyn Clock>,
    seen: Mutex<BTreeMap<Key, Seen>>,
}

enum Seen {
    /// By so many objects.
    Held(usize),
    /// Last then.
    Released(Instant),
}

/// Keeps the sessions alive that call over one object.
pub(crate) struct Held {
    presence: Arc<Presence>,
    mount: MountId,
    principal: Principal,
    sessions: Mutex<Vec<SessionId>>,
    /// That of calls without one.
    own: Mutex<Option<SessionId>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Presence {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, seen: Mutex::default() })
    }

    /// What an object of a mount holds for its holder: nothing yet.
    pub(crate) fn of(self: &Arc<Self>, mount: MountId, principal: Principal) -> Held {
        Held { presence: self.clone(), mount, principal, sessions: Mutex::default(), own: Mutex::default() }
    }

    /// Whether somebody holds the session.
    pub(crate) fn is_held(&self, key: &Key) -> bool {
        matches!(lock(&self.seen).get(key), Some(Seen::Held(_)))
    }

    /// Those of the connected sessions that nobody has held for [`SESSION_GRACE`]. One that was never held, as after a
    /// start, is let go now.
    pub(crate) fn gone(&self, connected: &BTreeSet<Key>) -> Vec<Key> {
        let now = self.clock.now();
        let mut seen = lock(&self.seen);
        seen.retain(|key, seen| matches!(seen, Seen::Held(_)) || connected.contains(key));
        let is_gone = |key: &&Key| match seen.entry(**key).or_insert(Seen::Released(now)) {
            Seen::Held(_) => false,
            Seen::Released(since) => now.since(*since) >= SESSION_GRACE,
        };
        connected.iter().filter(is_gone).copied().collect()
    }
}

impl Held {
    /// The session of calls that say none: it lasts as long as the object.
    ///
    /// # Errors
    /// As [`Held::hold`].
    pub(crate) fn own(&self, make: impl FnOnce() -> SessionId) -> Result<SessionId, Error> {
        let own = *lock(&self.own).get_or_insert_with(make);
        self.hold(own).map(|_| own)
    }

    /// A session calls; whether it does for the first time over this object.
    ///
    /// # Errors
    /// `limit` for one session too many over one object.
    pub(crate) fn hold(&self, session: SessionId) -> Result<bool, Error> {
        let mut sessions = lock(&self.sessions);
        // A caller has one session for each reference, and so mostly for each object.
        if sessions.contains(&session) {
            return Ok(false);
        }
        if sessions.len() >= SESSIONS_PER_OBJECT_MAX {
            let text = format!("over SESSIONS_PER_OBJECT_MAX = {SESSIONS_PER_OBJECT_MAX}: obtain the object again");
            return Err(Error::new(Code::Limit, text));
        }
        sessions.push(session);
        let mut seen = lock(&self.presence.seen);
        let seen = seen.entry((self.mount, session, self.principal)).or_insert(Seen::Held(0));
        *seen = match seen {
            Seen::Held(count) => Seen::Held(*count + 1),
            Seen::Released(_) => Seen::Held(1),
        };
        Ok(true)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let now = self.presence.clock.now();
        let mut seen = lock(&self.presence.seen);
        for session in lock(&self.sessions).drain(..) {
            let Some(seen) = seen.get_mut(&(self.mount, session, self.principal)) else { continue };
            *seen = match seen {
                Seen::Held(count) if *count > 1 => Seen::Held(*count - 1),
                _ => Seen::Released(now),
            };
        }
    }
}
