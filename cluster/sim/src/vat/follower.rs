//! Followers: each has tally's table, or a view of it, as the stream of its changes tells it, and sees that none is missing or
//! comes twice.

use crate::random::Random;
use crate::vat::caller::{self, MOUNT};
use crate::vat::dial::{Dialled, Right};
use crate::vat::ledger::{Ledger, Move};
use crate::world::World;
use futures::StreamExt;
use isx_iface::payload::encode;
use isx_iface::table::{Changed, RowChange, Step, follow, follow_view};
use isx_iface::{Anchor, Host};
use isx_row::typed::decode_record;
use isx_row::{Bytes, Class, Error, Incarnation, Revision, Signature};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The table, and the view of its rows from a count on.
const TABLE: &str = "counter";
const VIEW: &str = "above";
/// Of so many followers in a thousand it is the view, from one of these counts on: beyond those of many rows, which together
/// are more than a view may have.
const VIEW_PER_MILLE: u64 = 500;
const LEAST: Range<u64> = 400..2_000;
/// After so many steps in a thousand the program is started again: it has its cursor and its rows, or nothing.
const AGAIN_PER_MILLE: u64 = 5;
const ANEW_PER_MILLE: u64 = 30;

/// A follower.
pub(crate) struct Follower {
    world: Arc<World>,
    number: u64,
    /// From which count on it follows the view; the table if none.
    least: Option<u64>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    cursor: Option<(Incarnation, Revision)>,
    rows: BTreeMap<String, u64>,
    /// It has been there from the beginning, when there were no rows: what it saw move is all that ever moved.
    whole: bool,
    /// It was there before, and lost what it had.
    anew: bool,
    moves: BTreeMap<(u64, Move), u64>,
    /// It may have to begin again: what became of a view between two lives is not kept.
    is_view: bool,
}

impl Follower {
    /// Begins to follow.
    pub(crate) fn begin(world: &Arc<World>, number: u64, mut random: Random) -> Arc<Self> {
        let least = random.per_mille(VIEW_PER_MILLE).then(|| random.range(LEAST));
        let seen = Mutex::new(Seen { is_view: least.is_some(), ..Seen::default() });
        let follower = Arc::new(Self { world: world.clone(), number, least, seen });
        let right = if random.per_mille(500) { Right::Owner } else { Right::Stranger };
        let program = Dialled::new(world, right);
        let (life, following) = (program.life, follower.clone());
        let task = async move {
            loop {
                if let Err(error) = following.follow(&program, &mut random).await
                    && !matches!(error.class(), Class::Unknown | Class::Fatal)
                {
                    following.wrong(format_args!("the stream ended with {}: {error}", error.code.word()));
                }
                following.world.sleep(Duration::from_millis(20)).await;
            }
        };
        world.executor.spawn(life, "follower", Box::pin(task));
        follower
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows from the cursor on, until the stream ends or the program does.
    async fn follow(&self, program: &Dialled, random: &mut Random) -> Result<(), Error> {
        let object = program.host().walk(MOUNT.into()).await?.object().await?;
        let cursor = self.seen().cursor;
        let mut steps = match self.least {
            None => follow(&object, TABLE, cursor).await?,
            Some(least) => follow_view(&object, (VIEW, Signature::ANY), encode(&(least,))?, cursor).await?,
        };
        while let Some(step) = steps.next().await {
            if let Err(wrong) = self.seen().step(step?) {
                self.wrong(format_args!("{wrong}"));
            }
            if random.per_mille(ANEW_PER_MILLE) {
                *self.seen() = Seen { anew: true, is_view: self.least.is_some(), ..Seen::default() };
                break;
            }
            if random.per_mille(AGAIN_PER_MILLE) {
                break;
            }
        }
        Ok(())
    }

    /// Whether it has these rows.
    pub(crate) fn has(&self, rows: &BTreeMap<String, u64>) -> bool {
        self.seen().rows == self.followed(rows)
    }

    /// What it follows of the rows of the table.
    fn followed(&self, rows: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let least = self.least.unwrap_or(0);
        rows.iter().filter(|(_, count)| **count >= least).map(|(key, count)| (key.clone(), *count)).collect()
    }

    /// Judges what it saw of a world that has come together.
    pub(crate) fn judge(&self, rows: &BTreeMap<String, u64>, ledger: &Ledger) {
        let seen = self.seen();
        if seen.rows != self.followed(rows) {
            let (least, cursor) = (self.least, seen.cursor);
            self.wrong(format_args!("from {least:?} it has {:?} at {cursor:?}, the table is {rows:?}", seen.rows));
        }
        if self.least.is_some() {
            return;
        }
        ledger.judge(&seen.moves, seen.whole).into_iter().for_each(|wrong| self.wrong(format_args!("{wrong}")));
    }

    fn wrong(&self, what: std::fmt::Arguments<'_>) {
        let at = self.world.executor.now();
        self.world.findings.report("follower", format_args!("{} at {at:?}: {what}", self.number));
    }
}

impl Seen {
    fn step(&mut self, step: Step) -> Result<(), String> {
        let cursor = (step.incarnation, step.revision);
        let before = self.cursor.replace(cursor);
        if step.reset {
            // The rings of these runs hold everything, and the mount has one incarnation.
            if let Some(before) = before.filter(|before| !self.is_view || before.1 >= cursor.1) {
                return Err(format!("after {before:?} it begins again at {cursor:?}"));
            }
            self.rows.clear();
            for change in &step.changes {
                let (key, count) = row(&change.new)?.ok_or("a row that is present is missing")?;
                self.rows.insert(key, count);
            }
            self.whole = self.rows.is_empty() && !self.anew;
            return Ok(());
        }
        if before.is_none_or(|before| before.0 != cursor.0 || before.1 >= cursor.1) {
            return Err(format!("after {before:?} comes {cursor:?}"));
        }
        step.changes.iter().try_for_each(|change| self.change(change))
    }

    fn change(&mut self, change: &Changed) -> Result<(), String> {
        let (old, new) = (row(&change.old)?, row(&change.new)?);
        let key = old.as_ref().or(new.as_ref()).ok_or("a change of nothing")?.0.clone();
        let had = self.rows.get(&key).copied();
        let (told, now) = (old.map(|(_, count)| count), new.map(|(_, count)| count));
        match now {
            Some(now) => self.rows.insert(key.clone(), now),
            None => self.rows.remove(&key),
        };
        let moved = Move::between(told.unwrap_or(0), now.unwrap_or(0));
        if let Some(key) = caller::key(&key).filter(|key| caller::moves_once(*key, moved)) {
            *self.moves.entry((key, moved)).or_insert(0) += 1;
        }
        let what = match (told, now) {
            (None, _) => RowChange::Insert,
            (Some(_), Some(_)) => RowChange::Update,
            (Some(_), None) => RowChange::Delete,
        };
        if told == had && change.what == what {
            Ok(())
        } else {
            Err(format!("{key} was {had:?}, and {:?} says from {told:?} to {now:?}", change.what))
        }
    }
}

/// A row of the table.
fn row(bytes: &Option<Bytes>) -> Result<Option<(String, u64)>, String> {
    let row = bytes.as_ref().map(|Bytes(bytes)| decode_record::<(String, u64)>(bytes)).transpose();
    row.map(|row| row.map(|(_, row)| row)).map_err(|error| format!("a row does not decode: {error}"))
}
