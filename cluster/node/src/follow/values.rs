//! Following a volatile table: its last values, then the newest of each that changes.
//!
//! A step is what became of the rows since the one before, however many changes that were: who is slow hears less of them, and
//! nothing waits for him but the rows that he is being told. Steps keep a distance in time, so that a hand that moves costs
//! each follower no more than that.

use super::item;
use crate::gauges::{Follower, LiveBytes};
use crate::limits::{FOLLOW_PART_BYTES_MAX, FOLLOW_ROWS_MAX, VALUES_STEP_EVERY};
use crate::shared::{Shared, Who, mount_in};
use crate::source::{self, Source};
use crate::values::{Place, Row, Told, is_visible};
use futures::future::{Either, select};
use isx_iface::table::{Changed, Part, RowChange};
use isx_iface::{Item, Items};
use isx_port::Instant;
use isx_raft::{Follow, Group};
use isx_row::schema::Table;
use isx_row::{Bytes, Code, ContentHash, Error, Incarnation, MountId, Revision};
use std::pin::pin;
use std::sync::Arc;

/// Bytes of a change that is being told, beside its row.
const TELLING_BYTES: usize = 64;

/// The table followed, by whom.
pub(crate) struct Asked {
    pub(crate) group: Group,
    pub(crate) mount: MountId,
    /// As it was when it was begun to be followed.
    pub(crate) table: Arc<Table>,
    pub(crate) who: Who,
}

/// The items of a volatile table after a cursor, or from its last values: a cursor is of one life of these, and its revision
/// counts their changes.
///
/// # Errors
/// `gone` when the mount is no longer there, `not_leader` where another node keeps them.
pub(crate) fn follow(
    shared: &Arc<Shared>,
    asked: Asked,
    after: Option<(Incarnation, Revision)>,
) -> Result<Items, Error> {
    // Followed before the first look, so that nothing falls between.
    let follow = shared.raft.follow(asked.group)?;
    let view = shared.raft.view(asked.group)?;
    shared.values_of(asked.group, asked.mount, asked.table.clone())?;
    let code = mount_in(&view, &asked.mount)?.module().code;
    let following = Following {
        shared: shared.clone(),
        _counted: shared.gauges.follower(),
        follow,
        code,
        asked,
        at: after.map(|(life, Revision(version))| (life, version)),
        telling: None,
        next_step: None,
    };
    Ok(source::stream(following))
}

struct Following {
    shared: Arc<Shared>,
    _counted: Follower,
    follow: Follow,
    /// The module that the table was compared with.
    code: ContentHash,
    asked: Asked,
    /// Up to where it was told.
    at: Option<(Incarnation, u64)>,
    telling: Option<Telling>,
    next_step: Option<Instant>,
}

/// A step that is being told, part by part.
struct Telling {
    told: Told,
    /// Where it was before.
    before: (Incarnation, u64),
    number: u32,
    /// So many changes were told.
    done: usize,
    _counted: LiveBytes,
}

impl Source for Following {
    type Item = Item;

    async fn next(&mut self) -> Option<Result<Item, Error>> {
        loop {
            if let Some(telling) = &mut self.telling {
                let (part, is_last) = match telling.part() {
                    Ok(part) => part,
                    Err(error) => return Some(Err(error)),
                };
                if is_last {
                    self.at = Some(telling.told.cursor);
                    self.telling = None;
                    self.next_step = Some(self.shared.ports.clock.now().after(VALUES_STEP_EVERY));
                }
                return Some(Ok(part));
            }
            if let Some(next_step) = self.next_step.take() {
                self.shared.ports.clock.sleep_until(next_step).await;
            }
            let look = match self.place() {
                Ok(place) => self.shared.values.look(&place, self.at),
                Err(error) => return Some(Err(error)),
            };
            if let Some(told) = look.told {
                // Rows that are replaced meanwhile live on here until they are told.
                let bytes = told.changes.iter().map(|(_, row)| row.len() + TELLING_BYTES).sum();
                let counted = match self.shared.gauges.live_bytes(bytes) {
                    Ok(counted) => counted,
                    Err(error) => return Some(Err(error)),
                };
                let before = self.at.unwrap_or_default();
                self.telling = Some(Telling { told, before, number: 0, done: 0, _counted: counted });
                continue;
            }
            let mut hear = look.hear;
            // The end of the values is news too: what comes after them, or why nothing does, shows at the next look.
            if let Either::Right((None, _)) = select(pin!(hear.changed()), pin!(self.follow.next())).await {
                return None;
            }
        }
    }
}

impl Following {
    /// Where the values are, if the table is still the one that was to be followed, and the follower's to see.
    fn place(&mut self) -> Result<Place, Error> {
        let Asked { group, mount, table, who } = &self.asked;
        let view = self.shared.raft.view(*group)?;
        let there = mount_in(&view, mount)?;
        if there.module().code != self.code {
            let name = &table.name;
            let schema = there.database().schema();
            let now = schema.table(name).filter(|now| is_visible(schema, now, *who));
            let now = now.ok_or_else(|| Error::new(Code::Gone, format!("table {name} is not there any more")))?;
            if !now.keeps_values_of(table) {
                return Err(Error::new(Code::StaleBindings, format!("table {name} is another now")));
            }
            self.code = there.module().code;
        }
        self.shared.values_of(*group, *mount, table.clone())
    }
}

impl Telling {
    /// The next part, and whether it is the last: only that has the cursor of the step.
    fn part(&mut self) -> Result<(Item, bool), Error> {
        let left = self.told.changes.get(self.done..).unwrap_or_default();
        let mut bytes = 0;
        let fits = |(_, row): &&(RowChange, Row)| {
            bytes += row.len() + 32;
            bytes <= FOLLOW_PART_BYTES_MAX
        };
        let count = left.iter().take(FOLLOW_ROWS_MAX).take_while(fits).count().max(1).min(left.len());
        let changes = left.get(..count).unwrap_or_default().iter().map(changed).collect();
        let last = count == left.len();
        let cursor = if last { self.told.cursor } else { self.before };
        // What is void can not be gone on from before it is whole.
        let cursor = if self.told.reset && !last { Default::default() } else { cursor };
        let part = Part { number: self.number, last, reset: self.told.reset, changes };
        (self.done, self.number) = (self.done + count, self.number.saturating_add(1));
        Ok((item((cursor.0, Revision(cursor.1)), part)?, last))
    }
}

fn changed((what, row): &(RowChange, Row)) -> Changed {
    let row = Some(Bytes(row.to_vec()));
    match what {
        RowChange::Delete => Changed { what: *what, old: row, new: None },
        _ => Changed { what: *what, old: None, new: row },
    }
}
