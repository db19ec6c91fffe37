//! Who is there: rows of sessions.

use isx::{Error, QueryContext, ReducerContext, SessionId};

/// Somebody who is there.
#[isx::table(public, session)]
#[derive(Clone, Debug, PartialEq)]
pub struct Online {
    /// Whose row it is.
    #[primary_key]
    #[session]
    pub session: SessionId,
    /// What he calls himself.
    pub name: String,
}

/// How many came and went.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// Which way.
    #[primary_key]
    pub way: String,
    /// How many.
    pub count: u64,
}

fn pass(ctx: &ReducerContext, way: &str) -> Result<(), Error> {
    let passages = ctx.db.passage();
    match passages.get(way)? {
        Some(passage) => passages.update(&Passage { count: passage.count + 1, ..passage }),
        None => passages.insert(Passage { way: way.into(), count: 1 }).map(drop),
    }
}

#[isx::reducer(on = "connect", reads(passage), inserts(passage), updates(passage))]
fn on_connect(ctx: &ReducerContext) -> Result<(), Error> {
    pass(ctx, "in")
}

/// The rows of who leaves are still there.
#[isx::reducer(on = "disconnect", reads(online, passage), inserts(passage), updates(passage))]
fn on_disconnect(ctx: &ReducerContext) -> Result<(), Error> {
    match ctx.session().map(|session| ctx.db.online().get(&session)).transpose()?.flatten() {
        Some(_) => pass(ctx, "out"),
        None => pass(ctx, "out without a name"),
    }
}

/// Says who is there, and tries to say it of somebody else.
#[isx::reducer(public, inserts(online))]
fn appear(ctx: &ReducerContext, name: String) -> Result<Online, Error> {
    ctx.db.online().insert(Online { session: SessionId([7; 16]), name })
}

#[isx::query(public, reads(passage))]
fn passed(ctx: &QueryContext, way: String) -> Result<u64, Error> {
    Ok(ctx.db.passage().get(&way)?.map_or(0, |passage| passage.count))
}

#[isx::query(public, reads(online))]
fn online_names(ctx: &QueryContext) -> Result<Vec<String>, Error> {
    ctx.db.online().scan().map(|row| Ok(row?.name)).collect()
}
