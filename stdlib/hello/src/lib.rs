//! Keeps greetings: the smallest module with one of each: a table, a reducer, a query, a hook.

use isx::{Error, QueryContext, ReducerContext, Time};

isx::module!(public);

/// A greeting.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Numbered from 1.
    #[primary_key(auto_inc)]
    pub id: u64,
    /// Who is greeted.
    #[index(btree)]
    pub name: String,
    /// When, by log time.
    #[created_at]
    pub at: Time,
}

/// How often somebody was greeted.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeted {
    /// Who.
    #[primary_key]
    pub name: String,
    /// How often.
    pub count: u64,
}

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 200;
/// Greetings that a query answers at most.
const GREETINGS_MAX: usize = 100;

/// Greets; answers the number of the greeting.
#[isx::reducer(public, inserts(greeting))]
fn greet(ctx: &ReducerContext, name: String) -> Result<u64, Error> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(isx::refused(format!("a name has 1 to {NAME_BYTES_MAX} bytes, not {}", name.len())));
    }
    Ok(ctx.db.greeting().insert(Greeting { id: 0, name, at: Time(0) })?.id)
}

/// Counts greetings as they come, in the same transaction.
#[isx::reducer(on = "greeting.insert", reads(greeted), inserts(greeted), updates(greeted))]
fn count(ctx: &ReducerContext, row: Greeting) -> Result<(), Error> {
    let greeted = ctx.db.greeted();
    match greeted.get(&row.name)? {
        Some(Greeted { name, count }) => greeted.update(&Greeted { name, count: count.saturating_add(1) }),
        None => greeted.insert(Greeted { name: row.name, count: 1 }).map(drop),
    }
}

/// The greetings of a name, oldest first; at most 100.
#[isx::query(public, reads(greeting))]
fn greetings_for(ctx: &QueryContext, name: String) -> Result<Vec<Greeting>, Error> {
    ctx.db.greeting().by_name(&name).take(GREETINGS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_testing::{Module, Refused};

    #[test]
    fn greetings_are_kept_and_counted() -> Result<(), Refused> {
        let mut module = Module::new();
        assert_eq!(module.call(greet, ("ada".into(),))?, 1);
        assert_eq!(module.call(greet, ("ada".into(),))?, 2);
        assert_eq!(module.query(greetings_for, ("ada".into(),))?.len(), 2);
        assert!(module.call(greet, (String::new(),)).is_err());
        assert!(module.call(greet, ("x".repeat(201),)).is_err());
        Ok(())
    }
}
