//! The last values of volatile tables: in the memory of the node that leads a mount, for those who follow them.
//!
//! They are in no log and no snapshot: what ends the node's lead, the mount or the table's declaration ends them, and whoever
//! follows begins again. Values are of their callers' sessions and go with those.

mod kept;

pub(crate) use kept::{Holder, Row, Told};

use crate::limits::{VALUE_ROW_BYTES_MAX, VALUES_ALL_BYTES_MAX, VALUES_BYTES_MAX, VALUES_OF_ONE_MAX, VALUES_ROWS_MAX};
use crate::presence::Key as SessionKey;
use crate::shared::{Shared, Who, mount_in};
use isx_iface::payload::encode_value;
use isx_iface::{Answer, Call};
use isx_raft::Group;
use isx_row::codec::Layout;
use isx_row::schema::{Doing, Schema, Table};
use isx_row::{Code, Error, Incarnation, MountId, Principal, SessionId, Signature, key};
use kept::{Kept, Taken};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// When who found a bound of the node may try again.
const RETRY_AFTER_MS: u32 = 500;

/// The last values that a node keeps.
pub(crate) struct Values {
    mounts: Mutex<BTreeMap<MountId, OfMount>>,
    /// Bytes of all of them.
    bytes: Arc<AtomicU64>,
}

/// Those of a mount.
struct OfMount {
    reign: Reign,
    tables: BTreeMap<String, Kept>,
    taken: Taken,
}

/// While it lasts values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    group: Group,
    /// The term in which this node leads.
    term: u64,
    /// The mount's.
    incarnation: Incarnation,
}

/// A table whose values are meant.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) mount: MountId,
    pub(crate) reign: Reign,
    pub(crate) table: Arc<Table>,
    /// Names the values' life if it begins now.
    pub(crate) life: Incarnation,
}

/// What a look at a table's values gives.
pub(crate) struct Look {
    /// What is to be told; none when nothing is new.
    pub(crate) told: Option<Told>,
    /// Hears of the next change, and of the values' end.
    pub(crate) hear: watch::Receiver<u64>,
}

/// A row to put, or the key of one to delete: of who calls, whatever he says.
struct Change {
    key: Vec<u8>,
    /// None to delete.
    row: Option<Vec<u8>>,
}

impl Values {
    /// None; their bytes are counted here.
    pub(crate) fn new(bytes: Arc<AtomicU64>) -> Self {
        Self { mounts: Mutex::default(), bytes }
    }

    fn mounts(&self) -> MutexGuard<'_, BTreeMap<MountId, OfMount>> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be told to somebody who was told up to this cursor.
    pub(crate) fn look(&self, place: &Place, after: Option<(Incarnation, u64)>) -> Look {
        let mut mounts = self.mounts();
        let kept = self.of_mount(&mut mounts, place).table(place, &self.bytes);
        Look { told: kept.tell(after), hear: kept.hear() }
    }

    /// The rows behind a key with their keys, in the order of keys: at most so many.
    pub(crate) fn rows(&self, place: &Place, after: Option<&[u8]>, count_max: usize) -> Vec<(Arc<[u8]>, Row)> {
        let mut mounts = self.mounts();
        let kept = self.of_mount(&mut mounts, place).table(place, &self.bytes);
        kept.rows(after).take(count_max).map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// Puts a row, or deletes one.
    ///
    /// # Errors
    /// `limit` over a bound of a row, a caller or a mount, `busy` over that of the node; deleting works.
    fn change(&self, place: &Place, change: &Change, holder: Holder) -> Result<(), Error> {
        let mut mounts = self.mounts();
        let of_mount = self.of_mount(&mut mounts, place);
        let Some(row) = &change.row else {
            let back = of_mount.table(place, &self.bytes).delete(&change.key, holder);
            of_mount.take(back, &self.bytes);
            return Ok(());
        };
        let Some(taken) = of_mount.table(place, &self.bytes).would_take(&change.key, row, &holder) else {
            return Ok(());
        };
        of_mount.check(taken, &holder.principal, self)?;
        of_mount.table(place, &self.bytes).put(&change.key, row, holder);
        of_mount.take(taken, &self.bytes);
        Ok(())
    }

    /// The values of a mount, begun anew when another reign has begun.
    fn of_mount<'a>(&self, mounts: &'a mut BTreeMap<MountId, OfMount>, place: &Place) -> &'a mut OfMount {
        let new = || OfMount { reign: place.reign, tables: BTreeMap::new(), taken: Taken::default() };
        let of_mount = mounts.entry(place.mount).or_insert_with(new);
        if of_mount.reign != place.reign {
            of_mount.clear(&self.bytes);
            of_mount.reign = place.reign;
        }
        of_mount
    }

    /// How many rows of each mount, and what they take.
    #[cfg(feature = "real")]
    pub(crate) fn usage(&self) -> Vec<(MountId, u64, u64)> {
        let count = |of: isize| u64::try_from(of).unwrap_or(0);
        self.mounts().iter().map(|(id, of)| (*id, count(of.taken.rows), count(of.taken.bytes))).collect()
    }

    /// The sessions that hold values.
    pub(crate) fn sessions(&self) -> BTreeSet<SessionKey> {
        let mounts = self.mounts();
        let holders = mounts.iter().flat_map(|(mount, of)| of.tables.values().map(move |kept| (mount, kept)));
        holders
            .flat_map(|(mount, kept)| kept.holders().map(|holder| (*mount, holder.session, holder.principal)))
            .collect()
    }

    /// Deletes what these sessions hold.
    pub(crate) fn end(&self, ended: &BTreeSet<SessionKey>) {
        for (mount, of_mount) in self.mounts().iter_mut() {
            let is_ended = |holder: &Holder| ended.contains(&(*mount, holder.session, holder.principal));
            let back = of_mount.tables.values_mut().map(|kept| kept.end(is_ended)).fold(Taken::default(), Taken::and);
            of_mount.take(back, &self.bytes);
        }
    }

    /// Forgets the values of mounts that are gone, that this node leads no more, or whose table is gone.
    pub(crate) fn retain(&self, is_kept: impl Fn(&MountId, &Reign, &str) -> bool) {
        self.mounts().retain(|mount, of_mount| {
            let gone = |name: &String| !is_kept(mount, &of_mount.reign, name);
            let gone: Vec<String> = of_mount.tables.keys().filter(|name| gone(name)).cloned().collect();
            for name in gone {
                of_mount.drop_table(&name, &self.bytes);
            }
            !of_mount.tables.is_empty()
        });
    }
}

impl OfMount {
    /// The values of a table, begun anew when it has become another.
    fn table(&mut self, place: &Place, bytes: &AtomicU64) -> &mut Kept {
        let name = &place.table.name;
        let keeps = |kept: &Kept| *place.table == *kept.declared || place.table.keeps_values_of(&kept.declared);
        if !self.tables.get(name).is_none_or(keeps) {
            self.drop_table(name, bytes);
        }
        let kept = || Kept::new(place.table.clone(), place.life);
        self.tables.entry(name.clone()).or_insert_with(kept)
    }

    /// Whether there is room for more of somebody; what went is forgotten first.
    fn check(&mut self, more: Taken, principal: &Principal, values: &Values) -> Result<(), Error> {
        let limit =
            |name: &str, max: usize, cure: &str| Err(Error::new(Code::Limit, format!("over {name} = {max}: {cure}")));
        let of_one: usize = self.tables.values().map(|kept| kept.count_of(principal)).sum();
        if more.rows > 0 && of_one >= VALUES_OF_ONE_MAX {
            return limit("VALUES_OF_ONE_MAX", VALUES_OF_ONE_MAX, "delete rows of yours first");
        }
        if more.rows > 0 && self.taken.rows >= VALUES_ROWS_MAX as isize {
            return limit("VALUES_ROWS_MAX", VALUES_ROWS_MAX, "others' rows go when their sessions end");
        }
        let all = || values.bytes.load(Ordering::Relaxed) as isize + more.bytes;
        if self.taken.and(more).bytes > VALUES_BYTES_MAX as isize || all() > VALUES_ALL_BYTES_MAX as isize {
            let back = self.tables.values_mut().map(Kept::forget).fold(Taken::default(), Taken::and);
            self.take(back, &values.bytes);
        }
        if more.bytes > 0 && self.taken.and(more).bytes > VALUES_BYTES_MAX as isize {
            return limit("VALUES_BYTES_MAX", VALUES_BYTES_MAX, "put smaller rows, or delete rows of yours first");
        }
        if more.bytes > 0 && all() > VALUES_ALL_BYTES_MAX as isize {
            let text = format!(
                "over VALUES_ALL_BYTES_MAX = {VALUES_ALL_BYTES_MAX}: the volatile tables of this node are full"
            );
            return Err(Error { retry_after_ms: Some(RETRY_AFTER_MS), ..Error::new(Code::Busy, text) });
        }
        Ok(())
    }

    fn take(&mut self, taken: Taken, bytes: &AtomicU64) {
        self.taken = self.taken.and(taken);
        match u64::try_from(taken.bytes) {
            Ok(more) => bytes.fetch_add(more, Ordering::Relaxed),
            Err(_) => bytes.fetch_sub(taken.bytes.unsigned_abs() as u64, Ordering::Relaxed),
        };
    }

    fn drop_table(&mut self, name: &str, bytes: &AtomicU64) {
        if let Some(kept) = self.tables.remove(name) {
            let Taken { rows, bytes: its } = kept.taken();
            self.take(Taken { rows: -rows, bytes: -its }, bytes);
        }
    }

    fn clear(&mut self, bytes: &AtomicU64) {
        let names: Vec<String> = self.tables.keys().cloned().collect();
        names.iter().for_each(|name| self.drop_table(name, bytes));
    }
}

/// Whether somebody may put into a table and follow it.
pub(crate) fn is_visible(schema: &Schema, table: &Table, who: Who) -> bool {
    who.owner || schema.public && table.public
}

impl Shared {
    /// Where the values of a mount's table are kept, if it is here.
    ///
    /// # Errors
    /// `not_leader` where another node keeps them, `gone` when the mount was removed, `stale_bindings` when the table is another
    /// by now.
    pub(crate) fn values_of(&self, group: Group, mount: MountId, table: Arc<Table>) -> Result<Place, Error> {
        let term = self.raft.leads(group)?;
        let view = self.raft.view(group)?;
        let there = mount_in(&view, &mount)?;
        // Who comes with a declaration from before an upgrade is not to end the values of the present one.
        let schema = there.database().schema();
        let keeps = |now: &Table| *now == *table || now.keeps_values_of(&table);
        if !schema.table(&table.name).is_some_and(keeps) {
            return Err(Error::new(Code::StaleBindings, format!("table {} is another now", table.name)));
        }
        let incarnation = there.incarnation();
        // Never that of what can not be continued.
        let life = Incarnation(self.ports.entropy.next_u64().max(1));
        Ok(Place { mount, reign: Reign { group, term, incarnation }, table, life })
    }

    /// Whether values of a mount's table are still this node's to keep.
    pub(crate) fn keeps_values(&self, mount: &MountId, reign: &Reign, table: &str) -> bool {
        let Ok(view) = self.raft.view(reign.group) else { return false };
        let Some(mount) = view.mount(mount) else { return false };
        let has = || mount.database().schema().table(table).is_some_and(|table| !table.kind.is_stored());
        let leads = self.raft.leads(reign.group).is_ok_and(|term| term == reign.term);
        leads && mount.incarnation() == reign.incarnation && has()
    }

    /// Puts or deletes a row of a caller, at once.
    ///
    /// # Errors
    /// `stale_bindings` for another signature, `bad_arguments`, `limit`, `busy`, and as [`Shared::values_of`].
    pub(crate) fn put_value(
        &self,
        (group, mount): (Group, MountId),
        (table, doing): (Arc<Table>, Doing),
        call: &Call,
        holder: Holder,
    ) -> Result<Answer, Error> {
        if call.signature != Signature::ANY && call.signature != table.signature() {
            return Err(Error::new(Code::StaleBindings, format!("table {} has other columns", table.name)));
        }
        if !call.conditions.is_empty() {
            let text = format!("{} has no preconditions: it changes no state", call.method);
            return Err(Error::new(Code::Unsupported, text));
        }
        let change = Change::read(&table, doing, &call.payload, &holder.principal)?;
        let place = self.values_of(group, mount, table)?;
        if let Some(row) = &change.row {
            self.governor.admit_kept(&self.raft, row.len())?;
        }
        self.values.change(&place, &change, holder)?;
        Ok(Answer { payload: encode_value(())?, ..Answer::default() })
    }

    /// A session for values that are put without one: it lasts as long as the object over which they were.
    pub(crate) fn own_session(&self) -> SessionId {
        let birth = isx_row::Time(self.ports.clock.wall().unix_us);
        SessionId::new(birth, self.ports.entropy.next_u64())
    }
}

impl Change {
    /// Reads the arguments of putting or deleting: the columns that the caller gives, in the place of the other stands who
    /// he is.
    fn read(table: &Table, doing: Doing, arguments: &[u8], caller: &Principal) -> Result<Self, Error> {
        let wrong = |why: &dyn std::fmt::Display| {
            Error::new(Code::BadArguments, format!("{}: {why}", doing.method(&table.name)))
        };
        let given = table.given(doing);
        let layout = Layout::new(given.iter().filter_map(|position| table.columns.get(*position)).map(|one| &one.ty));
        match layout.validate(arguments).map_err(|error| wrong(&error))? {
            0 => {}
            _ => return Err(wrong(&"arguments have version 0")),
        }
        let member = |position: usize| match given.iter().position(|one| *one == position) {
            Some(index) => layout.member(arguments, index),
            None => Some(&caller.0[..]),
        };
        let mut key = Vec::new();
        for position in table.primary_key.iter().map(|position| usize::from(*position)) {
            let (column, member) = table.columns.get(position).zip(member(position)).ok_or_else(|| wrong(&"no key"))?;
            key::append(&column.ty, member, &mut key).map_err(|error| wrong(&error))?;
        }
        if doing == Doing::Delete {
            return Ok(Self { key, row: None });
        }
        let members: Option<Vec<&[u8]>> = (0..table.columns.len()).map(member).collect();
        let members = members.ok_or_else(|| wrong(&"a column is missing"))?;
        let row = table.layout(table.version).assemble(table.version, &members).map_err(|error| wrong(&error))?;
        if row.len() > VALUE_ROW_BYTES_MAX {
            let text = format!("a row of {} bytes is over VALUE_ROW_BYTES_MAX = {VALUE_ROW_BYTES_MAX}", row.len());
            return Err(Error::new(Code::Limit, format!("{}: {text}", doing.method(&table.name))));
        }
        Ok(Self { key, row: Some(row) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_raft::MOUNTS;
    use isx_row::Type;
    use isx_row::schema::{Column, Fill, TableKind};

    fn table(name: &str) -> Arc<Table> {
        let who = Column { name: "who".into(), ty: Type::Principal, default: Some(Fill::Caller), since: 1 };
        let x = Column { name: "x".into(), ty: Type::Bytes, default: None, since: 1 };
        Arc::new(Table {
            name: name.into(),
            kind: TableKind::Volatile,
            public: true,
            version: 1,
            columns: vec![who, x],
            primary_key: vec![0],
            auto_inc: None,
            indexes: vec![],
        })
    }

    fn place(mount: u8, name: &str) -> Place {
        let reign = Reign { group: MOUNTS, term: 1, incarnation: Incarnation(1) };
        Place { mount: MountId([mount; 16]), reign, table: table(name), life: Incarnation(9) }
    }

    fn values() -> Values {
        Values::new(Arc::default())
    }

    fn who(number: usize) -> Principal {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Principal(id)
    }

    fn put(values: &Values, place: &Place, caller: Principal, key: usize, bytes: usize) -> Result<(), Error> {
        let key = [&caller.0[..], &key.to_be_bytes()].concat();
        let holder = Holder { principal: caller, session: SessionId([1; 16]), sequence: 0 };
        values.change(place, &Change { key, row: Some(vec![7; bytes]) }, holder)
    }

    fn delete(values: &Values, place: &Place, caller: Principal, key: usize) {
        let key = [&caller.0[..], &key.to_be_bytes()].concat();
        let holder = Holder { principal: caller, session: SessionId([1; 16]), sequence: 0 };
        values.change(place, &Change { key, row: None }, holder).unwrap();
    }

    fn bytes(values: &Values) -> u64 {
        values.bytes.load(Ordering::Relaxed)
    }

    fn said(done: Result<(), Error>) -> String {
        done.unwrap_err().to_string()
    }

    #[test]
    fn nobody_fills_a_mount_alone_and_nobody_more_than_it_holds() {
        let (values, place) = (values(), place(1, "a"));
        (0..VALUES_OF_ONE_MAX).for_each(|key| put(&values, &place, who(0), key, 10).unwrap());
        let other = Place { table: table("b"), ..place.clone() };
        assert!(said(put(&values, &other, who(0), 99, 10)).contains("VALUES_OF_ONE_MAX"), "of all tables");
        put(&values, &place, who(0), 3, 20).unwrap();
        delete(&values, &place, who(0), 4);
        put(&values, &place, who(0), 99, 10).unwrap();
        for caller in 1..VALUES_ROWS_MAX / VALUES_OF_ONE_MAX {
            (0..VALUES_OF_ONE_MAX).for_each(|key| put(&values, &place, who(caller), key, 10).unwrap());
        }
        assert!(said(put(&values, &place, who(5000), 0, 10)).contains("VALUES_ROWS_MAX"));
        values.end(&BTreeSet::from([(place.mount, SessionId([1; 16]), who(7))]));
        put(&values, &place, who(5000), 0, 10).unwrap();
    }

    #[test]
    fn bytes_are_bounded_and_deleting_works() {
        let (values, first) = (values(), place(1, "a"));
        let fill = |place: &Place| {
            (0..VALUES_ROWS_MAX).find_map(|number| {
                let (caller, key) = (who(number / VALUES_OF_ONE_MAX), number % VALUES_OF_ONE_MAX);
                put(&values, place, caller, key, VALUE_ROW_BYTES_MAX).err()
            })
        };
        assert!(fill(&first).is_some_and(|error| error.text.contains("VALUES_BYTES_MAX") && error.code == Code::Limit));
        let full = bytes(&values);
        assert!(full > VALUES_BYTES_MAX as u64 * 9 / 10 && full <= VALUES_BYTES_MAX as u64, "{full}");
        // What went is forgotten where there is no room for both.
        delete(&values, &first, who(0), 0);
        put(&values, &first, who(0), 0, VALUE_ROW_BYTES_MAX).unwrap();
        let mounts = (2..=u8::MAX).map(|mount| place(mount, "a"));
        let busy = mounts.filter_map(|place| fill(&place)).find(|error| error.code == Code::Busy).unwrap();
        assert!(busy.text.contains("VALUES_ALL_BYTES_MAX") && busy.retry_after_ms.is_some(), "{busy}");
        assert!(bytes(&values) <= VALUES_ALL_BYTES_MAX as u64);
        delete(&values, &first, who(0), 0);
        values.retain(|mount, _, _| *mount == first.mount);
        assert!(bytes(&values) <= full, "only the first is left");
        values.retain(|_, _, _| false);
        assert_eq!((bytes(&values), values.mounts().len()), (0, 0));
    }

    #[test]
    fn another_reign_or_another_row_begins_anew() {
        let (values, first) = (values(), place(1, "a"));
        put(&values, &first, who(0), 0, 10).unwrap();
        let look = values.look(&first, None);
        let (life, version) = look.told.unwrap().cursor;
        assert!(values.look(&first, Some((life, version))).told.is_none());
        let mut other = Table::clone(&first.table);
        other.public = false;
        let private = Place { table: Arc::new(other.clone()), ..first.clone() };
        assert!(values.look(&private, Some((life, version))).told.is_none(), "the rows are the same");
        other.columns[1].ty = Type::String;
        let again = [
            Place { table: Arc::new(other), life: Incarnation(10), ..first.clone() },
            Place { reign: Reign { term: 2, ..first.reign }, life: Incarnation(11), ..first.clone() },
            Place {
                reign: Reign { term: 2, incarnation: Incarnation(2), ..first.reign },
                life: Incarnation(12),
                ..first.clone()
            },
        ];
        for place in again {
            put(&values, &place, who(0), 0, 10).unwrap();
            delete(&values, &place, who(0), 0);
            let told = values.look(&place, Some((life, version))).told.unwrap();
            assert!(told.reset && told.changes.is_empty() && told.cursor.0 == place.life);
        }
        assert!(look.hear.has_changed().is_err(), "who heard of the first knows that they ended");
    }

    #[test]
    fn a_row_is_what_its_caller_gives_and_who_he_is() {
        let table = table("a");
        let payload = isx_row::typed::encode_arguments(&(isx_row::Bytes(vec![1, 2]),)).unwrap();
        let Change { key, row } = Change::read(&table, Doing::Put, &payload, &who(5)).unwrap();
        assert_eq!(key, who(5).0);
        let (_, row): (_, (Principal, isx_row::Bytes)) = isx_row::typed::decode_record(&row.unwrap()).unwrap();
        assert_eq!(row, (who(5), isx_row::Bytes(vec![1, 2])));
        let none = isx_row::typed::encode_arguments(&()).unwrap();
        assert!(Change::read(&table, Doing::Delete, &none, &who(5)).is_ok_and(|change| change.row.is_none()));
        for cut in 0..payload.len() {
            let refused = Change::read(&table, Doing::Put, &payload[..cut], &who(5)).err().unwrap();
            assert!(refused.code == Code::BadArguments && refused.text.contains("a.put"), "{refused}");
        }
        let mut versioned = payload;
        versioned[0] = 1;
        assert_eq!(Change::read(&table, Doing::Put, &versioned, &who(5)).err().unwrap().code, Code::BadArguments);
    }
}
