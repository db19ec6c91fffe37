//! The end of sessions that nobody has any more.
//!
//! What is connected in the state and held nowhere for [`SESSION_GRACE`](crate::limits::SESSION_GRACE) is ended by an
//! entry; so are, after a start, the sessions of the life before that nobody took up again. With one node that is all
//! there is to know; of several, each would have to say by a lease whom it serves.

use crate::limits::SESSIONS_ENDED_MAX;
use crate::planted::Bug;
use crate::presence::Key;
use crate::shared::Shared;
use futures::future::join_all;
use isx_cluster::{Migration, Request};
use isx_raft::MOUNTS;
use std::collections::BTreeSet;

/// Ends the sessions that are to end now.
pub(crate) async fn end_sessions(shared: &Shared) {
    // As many at a time as go into an entry, so that who comes back meanwhile is not ended by an old list.
    while let Some(ended) = ended(shared).filter(|ended| !ended.is_empty()) {
        let ends = ended.into_iter().map(|(mount, session, _)| shared.mounts(Request::Disconnect { mount, session }));
        if let Some(error) = join_all(ends).await.into_iter().find_map(Result::err) {
            tracing::debug!(%error, "a session was not ended; it is tried again");
            return;
        }
    }
}

/// Sessions to end, so many at most: those that began to leave, and those that nobody has.
fn ended(shared: &Shared) -> Option<Vec<Key>> {
    let view = shared.raft.view(MOUNTS).ok()?;
    let (mut leaving, mut staying) = (Vec::new(), BTreeSet::new());
    // Those of a mount whose rows move wait until they have.
    for mount in view.mounts().filter(|mount| !matches!(view.migration(&mount.id()), Some(Migration::Moving { .. }))) {
        for (session, connected) in mount.connected() {
            let key = (mount.id(), session, connected.principal);
            match connected.leaving {
                true => leaving.push(key),
                false => drop(staying.insert(key)),
            }
        }
    }
    // Those that have rows of volatile tables, which the state knows nothing of, end at once.
    let known = staying.union(&shared.values.sessions()).copied().collect();
    let gone: BTreeSet<Key> =
        shared.presence.gone(&known).into_iter().filter(|key| !shared.presence.is_held(key)).collect();
    if !shared.planted.has(Bug::ValueStays) {
        shared.values.end(&gone);
    }
    let gone = gone.intersection(&staying).copied();
    Some(leaving.into_iter().chain(gone).take(SESSIONS_ENDED_MAX).collect())
}
