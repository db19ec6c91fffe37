//! A mount in a snapshot: what it is beside its tables, and how it is put together again.

use super::malformed;
use crate::inbox::Inbox;
use crate::limits::MODULES_EARLIER_MAX;
use crate::mount::Mount;
use crate::moving::Moving;
use crate::presence::Presence;
use crate::request::ModuleRecord;
use crate::ring::Ring;
use crate::session::Sessions;
use crate::timers::{Timers, Timetable};
use isx_anchors::wire::{Reader, Wire, WireError};
use isx_row::{ContentHash, Error, MountId, Revision, Time};
use isx_store::Database;
use std::sync::Arc;

/// A mount without its tables.
pub(super) struct MountParts {
    pub(super) head: MountHead,
    pub(super) sessions: Sessions,
    pub(super) presence: Presence,
    pub(super) inbox: Inbox,
    pub(super) ring: Ring,
}

/// What a mount is beside its tables, sessions and transactions, in a snapshot.
pub(super) struct MountHead {
    pub(super) mount: MountId,
    incarnation: isx_row::Incarnation,
    pub(super) revision: Revision,
    changed: Time,
    version: u64,
    module_since: Revision,
    earlier: Vec<(ContentHash, Revision)>,
    creator: isx_row::Principal,
    module: ModuleRecord,
    pub(super) ring_floor: Revision,
    pub(super) ring_head: [u8; 32],
    timers: Timers,
    moving: Moving,
}

impl MountHead {
    pub(super) fn of(mount: &Mount) -> Self {
        let (ring_floor, ring_head) = mount.ring.bounds();
        Self {
            mount: mount.id,
            incarnation: mount.incarnation,
            revision: mount.revision,
            changed: mount.changed,
            version: mount.version,
            module_since: mount.module_since,
            earlier: mount.earlier.clone(),
            creator: mount.creator,
            module: ModuleRecord::clone(&mount.module),
            ring_floor,
            ring_head,
            timers: mount.timers.clone(),
            moving: mount.moving.clone(),
        }
    }
}

impl MountParts {
    pub(super) fn into_mount(self, mut database: Database) -> Result<Mount, Error> {
        let Self { head, sessions, presence, inbox, ring } = self;
        database.set_moving(head.moving.is_candidate());
        let timetable = Timetable::new(&database);
        if !head.timers.fit(&timetable) {
            return Err(malformed("the schedules are not those of the module"));
        }
        if head.module_since > head.revision.next() {
            return Err(malformed("the module is of a revision that has not come"));
        }
        let joins = head.module.joins(database.schema());
        Ok(Mount {
            joins,
            id: head.mount,
            incarnation: head.incarnation,
            revision: head.revision,
            changed: head.changed,
            version: head.version,
            module_since: head.module_since,
            earlier: head.earlier,
            creator: head.creator,
            module: Arc::new(head.module),
            tracks_sessions: database.schema().tracks_sessions(),
            database,
            sessions,
            ring,
            timetable: Arc::new(timetable),
            timers: head.timers,
            presence,
            inbox,
            moving: head.moving,
        })
    }
}

impl Wire for MountHead {
    fn put(&self, out: &mut Vec<u8>) {
        self.mount.put(out);
        self.incarnation.put(out);
        self.revision.put(out);
        self.changed.put(out);
        self.version.put(out);
        self.module_since.put(out);
        put_earlier(&self.earlier, out);
        self.creator.put(out);
        self.module.put(out);
        self.ring_floor.put(out);
        self.ring_head.put(out);
        self.timers.put(out);
        self.moving.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            mount: Wire::take(reader)?,
            incarnation: Wire::take(reader)?,
            revision: Wire::take(reader)?,
            changed: Wire::take(reader)?,
            version: Wire::take(reader)?,
            module_since: Wire::take(reader)?,
            earlier: take_earlier(reader)?,
            creator: Wire::take(reader)?,
            module: Wire::take(reader)?,
            ring_floor: Wire::take(reader)?,
            ring_head: Wire::take(reader)?,
            timers: Wire::take(reader)?,
            moving: Wire::take(reader)?,
        })
    }
}

/// Appends the modules that a mount had before.
pub(crate) fn put_earlier(earlier: &[(ContentHash, Revision)], out: &mut Vec<u8>) {
    // At most MODULES_EARLIER_MAX.
    out.push(u8::try_from(earlier.len()).unwrap_or(u8::MAX));
    for (code, since) in earlier {
        code.put(out);
        since.put(out);
    }
}

fn take_earlier(reader: &mut Reader<'_>) -> Result<Vec<(ContentHash, Revision)>, WireError> {
    let count = usize::from(u8::take(reader)?);
    if count > MODULES_EARLIER_MAX {
        return Err(WireError::Limit("MODULES_EARLIER_MAX"));
    }
    (0..count).map(|_| Ok((Wire::take(reader)?, Wire::take(reader)?))).collect()
}
