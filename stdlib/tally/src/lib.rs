//! Counts by key: a module of durable counters that many callers raise at once.
//!
//! Each key has a row in `counter`; the sum over all keys is kept beside them in the one row of `sum`, so that
//! reading it does not read them all. Counts never wrap: what would pass the largest `u64`, or fall below zero, is
//! refused and changes nothing.
//! Each reducer moves counter and sum by the same amount, in one transaction; a counter at zero has no row.

use isx::{Error, QueryContext, ReducerContext, ViewContext};

isx::module!(public);

/// A key that has been counted.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What is counted.
    #[primary_key]
    pub key: String,
    /// How often; never zero.
    #[index(btree)]
    pub count: u64,
}

/// The sum over all keys: one row.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Always [`SUM`].
    #[primary_key]
    pub id: u8,
    /// The sum.
    pub count: u64,
}

/// The key of the one row of `sum`.
const SUM: u8 = 0;
/// Rows that `top` answers at most: what fits into an answer with keys of usual length.
const TOP_MAX: u32 = 1_000;

/// Raises the counter of `key` by `n`; answers its new count.
#[isx::reducer(public, reads(counter, sum), inserts(counter, sum), updates(counter, sum))]
fn add(ctx: &ReducerContext, key: String, n: u64) -> Result<u64, Error> {
    let counters = ctx.db.counter();
    let old = counters.get(&key)?;
    if n == 0 {
        return Ok(old.map_or(0, |row| row.count));
    }
    let count = match old {
        Some(old) => {
            let count = raised(old.count, n)?;
            counters.update(&Counter { key, count })?;
            count
        }
        None => counters.insert(Counter { key, count: n })?.count,
    };
    let sums = ctx.db.sum();
    match sums.get(&SUM)? {
        Some(old) => sums.update(&Sum { id: SUM, count: raised(old.count, n)? })?,
        None => {
            sums.insert(Sum { id: SUM, count: n })?;
        }
    }
    Ok(count)
}

/// Lowers the counter of `key` by `n`; answers its new count. At zero its row goes.
#[isx::reducer(public, reads(counter, sum), updates(counter, sum), deletes(counter))]
fn remove(ctx: &ReducerContext, key: String, n: u64) -> Result<u64, Error> {
    let counters = ctx.db.counter();
    let count = lowered(counters.get(&key)?.map_or(0, |row| row.count), n)?;
    if n == 0 {
        return Ok(count);
    }
    if count == 0 {
        counters.delete(&key)?;
    } else {
        counters.update(&Counter { key, count })?;
    }
    let sums = ctx.db.sum();
    let sum = sums.get(&SUM)?.map_or(0, |row| row.count);
    sums.update(&Sum { id: SUM, count: lowered(sum, n)? })?;
    Ok(count)
}

/// The count of `key`; zero for a key that was never counted.
#[isx::query(public, reads(counter))]
fn get(ctx: &QueryContext, key: String) -> Result<u64, Error> {
    Ok(ctx.db.counter().get(&key)?.map_or(0, |row| row.count))
}

/// The `n` keys with the highest counts, highest first; keys with equal counts by key, last first. At most 1,000.
#[isx::query(public, reads(counter))]
fn top(ctx: &QueryContext, n: u32) -> Result<Vec<(String, u64)>, Error> {
    let rows = ctx.db.counter().range_by_count(..).reverse();
    rows.take(n.min(TOP_MAX) as usize).map(|row| row.map(|row| (row.key, row.count))).collect()
}

/// The counters of at least `least`, lowest first, as they come and go.
#[isx::view(public, reads(counter))]
fn above(ctx: &ViewContext, least: u64) -> Result<Vec<Counter>, Error> {
    ctx.db.counter().range_by_count(least..).collect()
}

/// The sum of all counters.
#[isx::query(public, reads(sum))]
fn total(ctx: &QueryContext) -> Result<u64, Error> {
    Ok(ctx.db.sum().get(&SUM)?.map_or(0, |row| row.count))
}

fn raised(count: u64, n: u64) -> Result<u64, Error> {
    count.checked_add(n).ok_or_else(|| isx::refused(format!("{count} and {n} more is above what a counter holds")))
}

fn lowered(count: u64, n: u64) -> Result<u64, Error> {
    count.checked_sub(n).ok_or_else(|| isx::refused(format!("there are {count}, fewer than {n}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_testing::{Module, Refused};

    #[test]
    fn counters_and_their_sum_move_together() -> Result<(), Refused> {
        let mut module = Module::new();
        assert_eq!(module.call(add, ("a".into(), 3))?, 3);
        assert_eq!(module.call(add, ("b".into(), 5))?, 5);
        assert_eq!(module.call(remove, ("a".into(), 3))?, 0);
        assert_eq!(module.query(top, (9,))?, [("b".to_string(), 5)], "at zero a row goes");
        assert_eq!(module.view(above, (5,))?, [Counter { key: "b".into(), count: 5 }]);
        assert_eq!(module.view(above, (6,))?, []);
        let full = module.call(add, ("c".into(), u64::MAX)).unwrap_err();
        assert!(full.to_string().starts_with("application: 5 and"), "{full}");
        assert_eq!((module.query(total, ())?, module.query(get, ("c".into(),))?), (5, 0), "all of it was rolled back");
        assert!(module.call(remove, ("b".into(), 6)).is_err());
        Ok(())
    }

    #[test]
    fn raised_and_lowered_stay_in_bounds() {
        assert_eq!(raised(2, 3), Ok(5));
        assert_eq!(raised(u64::MAX, 0), Ok(u64::MAX));
        assert!(raised(u64::MAX, 1).is_err());
        assert_eq!(lowered(5, 5), Ok(0));
        assert!(lowered(4, 5).is_err());
    }
}
