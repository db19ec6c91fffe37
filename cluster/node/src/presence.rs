//! Which sessions are alive on this node, and the end of those that are not.
//!
//! A session is alive while somebody holds an object of its mount over which it has called: while its connection lasts.
//! What is connected in the state and alive nowhere for [`SESSION_GRACE`] is ended by an entry; so are, after a start, the
//! sessions of the life before that nobody took up again. With one node that is all there is to know; of several, each
//! would have to say by a lease whom it serves.

use crate::limits::{SESSION_GRACE, SESSIONS_LOOK_EVERY, SESSIONS_PER_OBJECT_MAX};
use crate::shared::Shared;
use isx_cluster::Request;
use isx_port::{Clock, Instant};
use isx_raft::MOUNTS;
use isx_row::{Code, Error, MountId, SessionId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

type Key = (MountId, SessionId);

/// How many objects hold a session.
#[derive(Default)]
pub(crate) struct Presence(Mutex<BTreeMap<Key, usize>>);

/// Keeps the sessions alive that call over one object.
pub(crate) struct Held {
    presence: Arc<Presence>,
    mount: MountId,
    sessions: Mutex<Vec<SessionId>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Presence {
    /// What an object of a mount holds: nothing yet.
    pub(crate) fn of(self: &Arc<Self>, mount: MountId) -> Held {
        Held { presence: self.clone(), mount, sessions: Mutex::default() }
    }

    fn is_alive(&self, key: &Key) -> bool {
        lock(&self.0).contains_key(key)
    }
}

impl Held {
    /// A session calls.
    ///
    /// # Errors
    /// `limit` for one session too many over one object.
    pub(crate) fn hold(&self, session: SessionId) -> Result<(), Error> {
        let mut sessions = lock(&self.sessions);
        // A caller has one session for each reference, and so mostly for each object.
        if sessions.contains(&session) {
            return Ok(());
        }
        if sessions.len() >= SESSIONS_PER_OBJECT_MAX {
            let text = format!("over SESSIONS_PER_OBJECT_MAX = {SESSIONS_PER_OBJECT_MAX}: obtain the object again");
            return Err(Error::new(Code::Limit, text));
        }
        sessions.push(session);
        *lock(&self.presence.0).entry((self.mount, session)).or_insert(0) += 1;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut alive = lock(&self.presence.0);
        for session in lock(&self.sessions).drain(..) {
            let key = (self.mount, session);
            let left = alive.get(&key).map_or(0, |count| count.saturating_sub(1));
            match left {
                0 => drop(alive.remove(&key)),
                left => drop(alive.insert(key, left)),
            }
        }
    }
}

/// Ends sessions until the node is gone. Holds nothing of it while it waits.
pub(crate) async fn end_sessions(shared: Weak<Shared>, clock: Arc<dyn Clock>) {
    let mut missing: BTreeMap<Key, Instant> = BTreeMap::new();
    loop {
        clock.sleep_until(clock.now().after(SESSIONS_LOOK_EVERY)).await;
        let Some(shared) = shared.upgrade() else { return };
        let now = clock.now();
        let since = std::mem::take(&mut missing);
        missing = gone(&shared).into_iter().map(|key| (key, since.get(&key).copied().unwrap_or(now))).collect();
        let ended: Vec<Key> =
            missing.iter().filter(|(_, since)| now.since(**since) >= SESSION_GRACE).map(|(key, _)| *key).collect();
        for (mount, session) in ended {
            // One that has more rows than go at once is there at the next look, and goes on.
            if let Err(error) = shared.mounts(Request::Disconnect { mount, session }).await {
                tracing::debug!(%error, "a session was not ended; it is tried again");
                break;
            }
        }
    }
}

/// The sessions that are connected and not alive.
fn gone(shared: &Shared) -> Vec<Key> {
    let Ok(view) = shared.raft.view(MOUNTS) else { return Vec::new() };
    let connected = view.mounts().flat_map(|mount| mount.connected().map(move |session| (mount.id(), session)));
    connected.filter(|key| !shared.presence.is_alive(key)).collect()
}
