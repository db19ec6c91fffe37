//! Times that the host writes.

use isx::{Error, QueryContext, ReducerContext, Time};

/// A visitor.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// Who.
    #[primary_key]
    pub name: String,
    /// When he came first.
    #[created_at]
    pub came: Time,
    /// How often.
    pub count: u32,
    /// When he came last.
    #[updated_at]
    pub changed: Time,
}

/// What the hook was shown of a change.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Numbered.
    #[primary_key(auto_inc)]
    pub id: u64,
    /// The row before.
    pub old: Visit,
    /// The row after.
    pub new: Visit,
}

/// Notes a visit, and tries to have the times its own way.
#[isx::reducer(public, reads(visit), inserts(visit), updates(visit))]
fn come(ctx: &ReducerContext, name: String, forged: Time) -> Result<Visit, Error> {
    let visits = ctx.db.visit();
    match visits.get(&name)? {
        None => visits.insert(Visit { name, came: forged, count: 1, changed: forged }),
        Some(old) => {
            visits.update(&Visit { came: forged, count: old.count + 1, changed: forged, ..old })?;
            visits.get(&name)?.ok_or_else(|| isx::refused("it was just there"))
        }
    }
}

#[isx::reducer(on = "visit.update", inserts(seen))]
fn on_visit(ctx: &ReducerContext, old: Visit, new: Visit) -> Result<(), Error> {
    ctx.db.seen().insert(Seen { id: 0, old, new }).map(drop)
}

#[isx::query(public, reads(seen))]
fn seen_by_hook(ctx: &QueryContext) -> Result<Vec<Seen>, Error> {
    ctx.db.seen().scan().collect()
}
