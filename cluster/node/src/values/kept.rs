//! The last values of one table: the newest row of each key, in the order in which they came, and what went of late.
//!
//! Each change has the next version. Who follows says up to which version it has been told, and is told for each key that
//! changed since what it has now: however slow it is, nothing is queued for it. Deletions are remembered for a while; who was
//! told less than what is forgotten of them begins again.

use crate::limits::{VALUES_GONE_BYTES_MAX, VALUES_GONE_MAX};
use isx_iface::table::RowChange;
use isx_row::schema::Table;
use isx_row::{Incarnation, Principal, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;

/// What a value costs beside its key and row.
const VALUE_BYTES: usize = 256;

/// A memcomparable primary key.
pub(super) type Key = Arc<[u8]>;
/// An encoded row.
pub(crate) type Row = Arc<[u8]>;

/// Whose a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) principal: Principal,
    /// With it the value goes.
    pub(crate) session: SessionId,
    /// The call's number in its session, in which calls may come in another order; 0 for one without.
    pub(crate) sequence: u64,
}

/// The last values of a table.
pub(super) struct Kept {
    /// The table whose rows they are.
    pub(super) declared: Arc<Table>,
    /// Tells them from those of a life before.
    life: Incarnation,
    /// That of the last change.
    version: u64,
    values: BTreeMap<Key, Value>,
    /// The keys of those that are there, by their last change.
    changed: BTreeMap<u64, Key>,
    /// What went, by when.
    gone: BTreeMap<u64, Gone>,
    gone_bytes: usize,
    /// How many rows each has.
    of_principals: BTreeMap<Principal, usize>,
    /// Deletions up to this version may be forgotten.
    forgotten: u64,
    told: watch::Sender<u64>,
}

/// A key that has a row, or had one of late.
struct Value {
    holder: Holder,
    row: Option<Row>,
    /// When it came, and changed last.
    came: u64,
    changed: u64,
}

/// A row that went.
struct Gone {
    key: Key,
    row: Row,
    came: u64,
}

/// What somebody who follows is told.
pub(crate) struct Told {
    /// What was told before is void.
    pub(crate) reset: bool,
    /// Where it is then.
    pub(crate) cursor: (Incarnation, u64),
    /// What became of each row; of one that went the last there was.
    pub(crate) changes: Vec<(RowChange, Row)>,
}

/// What a change does to the room that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) rows: isize,
    pub(super) bytes: isize,
}

impl Kept {
    pub(super) fn new(declared: Arc<Table>, life: Incarnation) -> Self {
        let (told, _) = watch::channel(0);
        Self {
            declared,
            life,
            version: 0,
            values: BTreeMap::new(),
            changed: BTreeMap::new(),
            gone: BTreeMap::new(),
            gone_bytes: 0,
            of_principals: BTreeMap::new(),
            forgotten: 0,
            told,
        }
    }

    /// Hears of each change, and of the end.
    pub(super) fn hear(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    /// The room that all of them take.
    pub(super) fn taken(&self) -> Taken {
        let there = self.values.iter().filter_map(|(key, value)| Some(cost(key, value.row.as_ref()?)));
        let bytes = there.sum::<usize>() + self.gone_bytes;
        Taken { rows: self.changed.len() as isize, bytes: bytes as isize }
    }

    /// What putting this row would take, of whose it is one; none where something newer of that session is there.
    pub(super) fn would_take(&self, key: &[u8], row: &[u8], holder: &Holder) -> Option<Taken> {
        let value = self.values.get(key);
        if value.is_some_and(|value| value.is_newer(holder)) {
            return None;
        }
        let before = value.and_then(|value| value.row.as_ref()).map(|row| cost(key, row));
        let bytes = cost(key, row) as isize - before.unwrap_or(0) as isize;
        Some(Taken { rows: isize::from(before.is_none()), bytes })
    }

    /// Puts a row in the place of the one with its key, unless something newer of its session is there.
    pub(super) fn put(&mut self, key: &[u8], row: &[u8], holder: Holder) {
        if self.would_take(key, row, &holder).is_none() {
            return;
        }
        if let Some(value) = self.values.get_mut(key)
            && value.row.as_deref() == Some(row)
        {
            // Nobody need hear of it.
            value.holder = holder;
            return;
        }
        self.version += 1;
        let version = self.version;
        let key: Key = Arc::from(key);
        let before = self.values.remove(&key);
        let came = before.as_ref().filter(|before| before.row.is_some()).map_or(version, |before| before.came);
        if let Some(before) = &before {
            self.changed.remove(&before.changed);
        }
        if before.is_none_or(|before| before.row.is_none()) {
            *self.of_principals.entry(holder.principal).or_insert(0) += 1;
        }
        self.changed.insert(version, key.clone());
        self.values.insert(key, Value { holder, row: Some(Arc::from(row)), came, changed: version });
        self.told.send_replace(version);
    }

    /// Deletes the row with a key, unless something newer of that session is there; what that gives back.
    pub(super) fn delete(&mut self, key: &[u8], holder: Holder) -> Taken {
        let Some(value) = self.values.get_mut(key).filter(|value| !value.is_newer(&holder)) else {
            return Taken::default();
        };
        let Some(row) = value.row.take() else {
            // It went before: what was put between the two, and comes late, does not bring it back.
            value.holder = holder;
            return Taken::default();
        };
        self.version += 1;
        let key: Key = Arc::from(key);
        let before = cost(&key, &row) as isize;
        self.changed.remove(&value.changed);
        match self.of_principals.get_mut(&value.holder.principal) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.of_principals.remove(&value.holder.principal)),
        }
        (value.changed, value.holder) = (self.version, holder);
        let gone = Gone { row, came: value.came, key };
        let gone_before = self.gone_bytes as isize;
        self.gone_bytes += gone.bytes();
        self.gone.insert(self.version, gone);
        while self.gone.len() > VALUES_GONE_MAX || self.gone_bytes > VALUES_GONE_BYTES_MAX {
            self.forget_oldest();
        }
        self.told.send_replace(self.version);
        Taken { rows: -1, bytes: self.gone_bytes as isize - gone_before - before }
    }

    /// Deletes what these sessions hold; what that gives back.
    pub(super) fn end(&mut self, is_ended: impl Fn(&Holder) -> bool) -> Taken {
        let ended = self.values.iter().filter(|(_, value)| value.row.is_some() && is_ended(&value.holder));
        let ended: Vec<(Key, Holder)> = ended.map(|(key, value)| (key.clone(), value.holder)).collect();
        ended.into_iter().fold(Taken::default(), |taken, (key, holder)| taken.and(self.delete(&key, holder)))
    }

    /// Forgets what went; what that gives back.
    pub(super) fn forget(&mut self) -> Taken {
        let bytes = self.gone_bytes as isize;
        while !self.gone.is_empty() {
            self.forget_oldest();
        }
        Taken { rows: 0, bytes: -bytes }
    }

    fn forget_oldest(&mut self) {
        let Some((version, gone)) = self.gone.pop_first() else { return };
        self.gone_bytes = self.gone_bytes.saturating_sub(gone.bytes());
        self.forgotten = version;
        if self.values.get(&gone.key).is_some_and(|value| value.row.is_none() && value.changed == version) {
            self.values.remove(&gone.key);
        }
    }

    /// Whose values are there.
    pub(super) fn holders(&self) -> impl Iterator<Item = &Holder> {
        self.values.values().filter(|value| value.row.is_some()).map(|value| &value.holder)
    }

    /// How many rows one has.
    pub(super) fn count_of(&self, principal: &Principal) -> usize {
        self.of_principals.get(principal).copied().unwrap_or(0)
    }

    /// The rows behind a key, in the order of keys.
    pub(super) fn rows(&self, after: Option<&[u8]>) -> impl Iterator<Item = (&Key, &Row)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let values = self.values.range::<[u8], _>((after.map_or(Unbounded, Excluded), Unbounded));
        values.filter_map(|(key, value)| Some((key, value.row.as_ref()?)))
    }

    /// What somebody is to be told who was told up to this cursor; none when that is all.
    pub(super) fn tell(&self, after: Option<(Incarnation, u64)>) -> Option<Told> {
        let cursor = (self.life, self.version);
        match after {
            Some((life, seen)) if life == self.life && (self.forgotten..=self.version).contains(&seen) => {
                (seen < self.version).then(|| Told { reset: false, cursor, changes: self.changes_after(seen) })
            }
            _ => {
                let changes = self.rows(None).map(|(_, row)| (RowChange::Present, row.clone())).collect();
                Some(Told { reset: true, cursor, changes })
            }
        }
    }

    /// What became of each row that somebody knew, or knows now.
    fn changes_after(&self, seen: u64) -> Vec<(RowChange, Row)> {
        // What it knew and went since, each once: what is there again is another row of the same key.
        let mut known: BTreeMap<&Key, &Row> = BTreeMap::new();
        for gone in self.gone.range(seen + 1..).map(|(_, gone)| gone) {
            if gone.came <= seen {
                known.insert(&gone.key, &gone.row);
            }
        }
        let mut changes = Vec::new();
        let mut there = BTreeSet::new();
        for (_, key) in self.changed.range(seen + 1..) {
            let Some((value, row)) = self.values.get(key).and_then(|value| Some((value, value.row.as_ref()?))) else {
                continue;
            };
            there.insert(key);
            let what = match value.came <= seen || known.contains_key(key) {
                true => RowChange::Update,
                false => RowChange::Insert,
            };
            changes.push((what, row.clone()));
        }
        let went = known.into_iter().filter(|(key, _)| !there.contains(*key));
        changes.extend(went.map(|(_, row)| (RowChange::Delete, row.clone())));
        changes
    }
}

impl Value {
    /// Whether this is what a later call of the same session left.
    fn is_newer(&self, than: &Holder) -> bool {
        self.holder.session == than.session && than.sequence != 0 && self.holder.sequence > than.sequence
    }
}

impl Gone {
    fn bytes(&self) -> usize {
        cost(&self.key, &self.row)
    }
}

impl Taken {
    pub(super) fn and(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, bytes: self.bytes + other.bytes }
    }
}

fn cost(key: &[u8], row: &[u8]) -> usize {
    VALUE_BYTES + 2 * key.len() + row.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_row::schema::TableKind;

    fn kept() -> Kept {
        let table = Table {
            name: "cursor".into(),
            kind: TableKind::Volatile,
            public: true,
            version: 1,
            columns: Vec::new(),
            primary_key: Vec::new(),
            auto_inc: None,
            indexes: Vec::new(),
        };
        Kept::new(Arc::new(table), Incarnation(7))
    }

    fn holder(session: u8, sequence: u64) -> Holder {
        Holder { principal: Principal([session; 32]), session: SessionId([session; 16]), sequence }
    }

    /// Somebody who follows: what it was told, and up to where.
    #[derive(Default)]
    struct Follower {
        at: Option<(Incarnation, u64)>,
        rows: BTreeSet<Vec<u8>>,
        resets: usize,
    }

    /// A row is its key and a number.
    fn key_of(row: &[u8]) -> &[u8] {
        &row[..1]
    }

    impl Follower {
        fn hear(&mut self, kept: &Kept) {
            let Some(Told { reset, cursor, changes }) = kept.tell(self.at) else { return };
            assert!(self.at != Some(cursor), "it was told that already");
            self.at = Some(cursor);
            if reset {
                self.rows.clear();
                self.resets += 1;
            }
            for (what, row) in changes {
                let had = self.rows.iter().find(|had| key_of(had) == key_of(&row)).cloned();
                let had = had.is_some_and(|had| self.rows.remove(&had));
                let expected = match what {
                    RowChange::Present | RowChange::Insert => false,
                    RowChange::Update | RowChange::Delete => true,
                };
                assert_eq!(had, expected, "{what:?} of {row:?}");
                if what != RowChange::Delete {
                    self.rows.insert(row.to_vec());
                }
            }
            let there: BTreeSet<Vec<u8>> = kept.rows(None).map(|(_, row)| row.to_vec()).collect();
            assert_eq!(self.rows, there);
        }
    }

    #[test]
    fn who_follows_has_what_there_is_at_any_pace() {
        let mut kept = kept();
        let mut state: u64 = 1;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut followers: Vec<Follower> = (0..6).map(|_| Follower::default()).collect();
        let (mut room, steps) = (kept.taken(), 60_000_u64);
        for step in 0..steps {
            let key = [random(12) as u8];
            let taken = match random(7) {
                0..4 => {
                    let row = [key[0], random(3) as u8];
                    let taken = kept.would_take(&key, &row, &holder(key[0], 0)).unwrap();
                    kept.put(&key, &row, holder(key[0], 0));
                    taken
                }
                4 => kept.end(|holder| holder.session == SessionId([key[0]; 16])),
                _ => kept.delete(&key, holder(key[0], 0)),
            };
            room = room.and(taken);
            // One hears of everything, the last of very little.
            for (number, follower) in followers.iter_mut().enumerate() {
                if step % 7_u64.pow(number as u32) == 0 {
                    follower.hear(&kept);
                }
            }
            if step % 1000 == 0 {
                assert_eq!(room, kept.taken(), "at {step}");
                assert_eq!(kept.holders().count(), kept.of_principals.values().sum::<usize>());
            }
        }
        assert_eq!(followers[0].resets, 1, "only at the beginning");
        assert!(followers[5].resets > 1, "what it missed is forgotten");
        assert!(kept.gone.len() <= VALUES_GONE_MAX && kept.values.len() <= 12, "{}", kept.gone.len());
        room = room.and(kept.forget());
        assert_eq!((room, kept.gone.len()), (kept.taken(), 0));
        assert_eq!(kept.values.len(), kept.changed.len(), "only what is there");
    }

    #[test]
    fn what_a_session_put_later_stands() {
        let mut kept = kept();
        let rows = |kept: &Kept| kept.rows(None).map(|(_, row)| row[1]).collect::<Vec<u8>>();
        kept.put(b"k", b"k2", holder(1, 2));
        kept.put(b"k", b"k1", holder(1, 1));
        assert_eq!(rows(&kept), *b"2", "asked again over another connection");
        assert_eq!(kept.delete(b"k", holder(1, 1)), Taken::default());
        assert!(kept.delete(b"k", holder(1, 4)).rows == -1);
        kept.put(b"k", b"k3", holder(1, 3));
        assert_eq!(rows(&kept), b"", "it was deleted after that");
        kept.put(b"k", b"k1", holder(2, 1));
        kept.put(b"k", b"k0", holder(2, 0));
        assert_eq!(rows(&kept), *b"0", "another session, and one without numbers");
    }

    #[test]
    fn a_cursor_of_another_life_begins_again() {
        let mut kept = kept();
        kept.put(b"k", b"k1", holder(1, 1));
        for after in [None, Some((Incarnation(6), 1)), Some((Incarnation(7), 2))] {
            assert!(kept.tell(after).is_some_and(|told| told.reset && told.changes.len() == 1), "{after:?}");
        }
        assert!(kept.tell(Some((Incarnation(7), 1))).is_none());
    }
}
