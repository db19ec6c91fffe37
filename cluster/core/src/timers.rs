//! What time alone sets off in a mount: schedules, and rows that are due.
//!
//! When a schedule runs next is replicated state; when a row is due stands in the row. Whoever leads the group looks for
//! the first of all of them and proposes [`Fire`](crate::Request::Fire), which runs the one that is first by log time, if
//! that is reached by then: so a proposal too early, or one too many, does nothing.

use crate::limits::MISSED_MAX;
use crate::planted::{Bug, Planted};
use isx_anchors::wire::{Reader, Wire, WireError, put_bytes, put_count};
use isx_row::codec::encode_record;
use isx_row::cron::Cron;
use isx_row::limits::{FUNCTIONS_MAX, NAME_BYTES_MAX};
use isx_row::schema::{Hook, Schedule, Schema};
use isx_row::{Field, Time, Type, Value, key};
use isx_store::{Database, IndexId, TableId};
use std::collections::BTreeMap;

/// A module's hooks that time sets off, read from its schema.
#[derive(Debug, Default)]
pub(crate) struct Timetable {
    schedules: BTreeMap<String, Scheduled>,
    dues: Vec<DueTable>,
}

/// A hook with a schedule.
#[derive(Debug)]
struct Scheduled {
    schedule: Schedule,
    times: Times,
    arguments: Vec<Field>,
}

/// A schedule made ready.
#[derive(Clone, Copy, Debug)]
enum Times {
    /// At this distance in microseconds.
    Every(i64),
    Cron(Cron),
}

/// A table whose rows become due, and the hook that waits for them.
#[derive(Debug)]
struct DueTable {
    hook: String,
    table: TableId,
    index: IndexId,
}

/// When a mount's schedules run next, by hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timers(BTreeMap<String, Time>);

/// What is to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Firing {
    pub(crate) hook: String,
    /// The hook's arguments, or the primary key of the row.
    pub(crate) arguments: Vec<u8>,
    pub(crate) what: What,
}

/// Why it runs, and what has to be done about that.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A schedule, which runs again then.
    Schedule(Time),
    /// A row of this table, which goes.
    Row(TableId),
}

impl Timetable {
    pub(crate) fn new(database: &Database) -> Self {
        let mut timetable = Self::default();
        for reducer in &database.schema().reducers {
            let hook = reducer.name.clone();
            match &reducer.hook {
                Some(Hook::Schedule(schedule)) => {
                    let times = match schedule {
                        Schedule::Every(distance) => Some(Times::Every(distance.0.max(1))),
                        Schedule::Cron(calendar) => Cron::parse(calendar).ok().map(Times::Cron),
                    };
                    // The schema was checked: it has no calendar that does not parse.
                    let Some(times) = times else { continue };
                    let (schedule, arguments) = (schedule.clone(), reducer.arguments.clone());
                    timetable.schedules.insert(hook, Scheduled { schedule, times, arguments });
                }
                Some(Hook::Due { table }) => {
                    let table = database.table(table);
                    let index = table.and_then(|table| database.index(table, Hook::DUE));
                    timetable.dues.extend(table.zip(index).map(|(table, index)| DueTable { hook, table, index }));
                }
                _ => (),
            }
        }
        timetable
    }

    /// When the schedules run next, from this log time on; those that `before` had alike go on as they were.
    pub(crate) fn begin(&self, time: Time, before: &Self, timers: &Timers) -> Timers {
        let next = self.schedules.iter().map(|(hook, scheduled)| {
            let same = before.schedules.get(hook).is_some_and(|before| before.schedule == scheduled.schedule);
            let kept = timers.0.get(hook).filter(|_| same).copied();
            (hook.clone(), kept.unwrap_or_else(|| scheduled.times.next(time)))
        });
        Timers(next.collect())
    }

    /// When the first of all runs.
    pub(crate) fn next(&self, timers: &Timers, database: &Database) -> Option<Time> {
        let rows = self.dues.iter().filter_map(|due| due.first(database));
        timers.0.values().copied().chain(rows.map(|(time, _)| time)).min()
    }

    /// How many are to run by `time`, counted up to `max`.
    pub(crate) fn count(&self, timers: &Timers, database: &Database, time: Time, max: usize) -> usize {
        let schedules = timers.0.values().filter(|next| **next <= time).count();
        let due_now = |table: &DueTable| table.rows(database).take_while(|(due, _)| *due <= time).take(max).count();
        (schedules + self.dues.iter().map(due_now).sum::<usize>()).min(max)
    }

    /// What is to run first by `time`: the earliest; of those, the first by the hook's name.
    pub(crate) fn first(&self, timers: &Timers, database: &Database, time: Time, planted: Planted) -> Option<Firing> {
        let schedules = timers.0.iter().map(|(hook, next)| (*next, hook, None));
        let rows = self.dues.iter().filter_map(|due| {
            let (time, key) = due.first(database)?;
            Some((time, &due.hook, Some((due.table, key))))
        });
        let first = schedules.chain(rows).min_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let (due, hook, row) = first.filter(|(due, ..)| *due <= time)?;
        let (arguments, what) = match row {
            Some((table, key)) => (key.to_vec(), What::Row(table)),
            None => {
                let scheduled = self.schedules.get(hook)?;
                let (count, next) = scheduled.times.pass(due, time);
                let count = [Value::U64(if planted.has(Bug::MissedForgotten) { 1 } else { count })];
                let given = count.get(..scheduled.arguments.len()).unwrap_or_default();
                (encode_record(0, &scheduled.arguments, given).unwrap_or_default(), What::Schedule(next))
            }
        };
        Some(Firing { hook: hook.clone(), arguments, what })
    }
}

impl DueTable {
    /// The rows by when they are due: that, and the primary key.
    fn rows<'a>(&self, database: &'a Database) -> impl Iterator<Item = (Time, &'a [u8])> + use<'a> {
        let entries = database.entries(self.table, self.index).ok();
        entries.into_iter().flatten().filter_map(|(indexed, primary)| match key::split(&Type::Time, indexed) {
            Ok((Value::Time(time), [])) => Some((time, primary)),
            _ => None,
        })
    }

    fn first<'a>(&self, database: &'a Database) -> Option<(Time, &'a [u8])> {
        self.rows(database).next()
    }
}

impl Times {
    /// The first time after this one.
    fn next(self, time: Time) -> Time {
        match self {
            Self::Every(distance) => Time(time.0.saturating_add(distance)),
            Self::Cron(cron) => cron.next_after(time).unwrap_or(Time(i64::MAX)),
        }
    }

    /// How many times have passed from `due`, which has, to `now`; and the next one. Of a calendar so many are counted
    /// and no more.
    fn pass(self, due: Time, now: Time) -> (u64, Time) {
        match self {
            Self::Every(distance) => {
                let more = now.0.saturating_sub(due.0).max(0) / distance;
                let next = due.0.saturating_add(more.saturating_add(1).saturating_mul(distance));
                (more.unsigned_abs().saturating_add(1), Time(next))
            }
            Self::Cron(_) => {
                let (mut count, mut next) = (1, self.next(due));
                while next <= now && count < MISSED_MAX {
                    (count, next) = (count + 1, self.next(next));
                }
                (count, if next <= now { self.next(now) } else { next })
            }
        }
    }
}

impl Timers {
    /// A schedule runs next then.
    pub(crate) fn set(&mut self, hook: &str, next: Time) {
        if let Some(time) = self.0.get_mut(hook) {
            *time = next;
        }
    }

    /// The schedules by hook, and when each runs next.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Time)> {
        self.0.iter().map(|(hook, next)| (hook.as_str(), *next))
    }

    /// Whether these are of the schedules that a module has.
    pub(crate) fn fit(&self, timetable: &Timetable) -> bool {
        self.0.keys().eq(timetable.schedules.keys())
    }
}

impl Wire for Timers {
    fn put(&self, out: &mut Vec<u8>) {
        put_count(self.0.len(), out);
        for (hook, next) in &self.0 {
            put_bytes(hook.as_bytes(), out);
            next.put(out);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut timers = BTreeMap::new();
        for _ in 0..reader.count(FUNCTIONS_MAX, "FUNCTIONS_MAX")? {
            let hook = reader.text(NAME_BYTES_MAX, "NAME_BYTES_MAX")?.to_owned();
            if timers.last_key_value().is_some_and(|(last, _)| *last >= hook) {
                return Err(WireError::Canonical("a schedule is out of order"));
            }
            timers.insert(hook, Wire::take(reader)?);
        }
        Ok(Self(timers))
    }
}

/// The hook of a schema that is set off by this event, with the arguments it takes.
pub(crate) fn hook_on<'a>(schema: &'a Schema, event: &Hook) -> Option<(&'a str, &'a [Field])> {
    let reducer = schema.reducers.iter().find(|reducer| reducer.hook.as_ref() == Some(event))?;
    Some((&reducer.name, &reducer.arguments))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

    use super::*;
    use isx_row::schema::{Column, Index, IndexKind, Reducer, Table, TableKind};
    use std::sync::Arc;

    fn database(tables: &[&str]) -> Database {
        let column = |name: &str, ty| Column { name: name.into(), ty, default: None, since: 1 };
        let table = |name: &&str| Table {
            name: (*name).into(),
            kind: TableKind::Durable,
            public: true,
            version: 1,
            columns: vec![column("id", Type::U64), column("at", Type::Time)],
            primary_key: vec![0],
            auto_inc: None,
            indexes: vec![Index { name: Hook::DUE.into(), columns: vec![1], kind: IndexKind::Btree, unique: false }],
        };
        let tables: Vec<Table> = tables.iter().map(table).collect();
        let hook = |table: &Table| Reducer {
            name: format!("on_{}", table.name),
            public: false,
            arguments: vec![Field { name: "row".into(), ty: table.row_type() }],
            answer: Type::UNIT,
            error: None,
            hook: Some(Hook::Due { table: table.name.clone() }),
            access: None,
        };
        let reducers = tables.iter().map(hook).collect();
        let schema = Schema { name: "m".into(), version: "1".into(), tables, reducers, ..Schema::default() };
        Database::new(Arc::new(schema)).unwrap()
    }

    fn insert(database: &mut Database, table: &str, id: u64, at: i64) {
        let id_of = database.table(table).unwrap();
        let fields = [Field { name: "id".into(), ty: Type::U64 }, Field { name: "at".into(), ty: Type::Time }];
        let row = encode_record(1, &fields, &[Value::U64(id), Value::Time(Time(at))]).unwrap();
        let mut transaction = database.begin();
        transaction.insert(id_of, &row).unwrap();
        transaction.commit();
    }

    #[test]
    fn tables_do_not_hide_each_others_due_rows() {
        let mut database = database(&["alarm", "zed"]);
        insert(&mut database, "alarm", 1, 100);
        (0..5).for_each(|id| insert(&mut database, "zed", id, id as i64));
        let (timetable, timers) = (Timetable::new(&database), Timers::default());
        assert_eq!(timetable.next(&timers, &database), Some(Time(0)));
        let count = |time, max| timetable.count(&timers, &database, Time(time), max);
        assert_eq!([count(-1, 9), count(2, 9), count(50, 9), count(100, 9), count(100, 3)], [0, 3, 5, 6, 3]);
        let first = timetable.first(&timers, &database, Time(50), Planted::NONE).unwrap();
        assert_eq!(first.hook, "on_zed");
    }
}
