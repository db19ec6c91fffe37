//! Rows that become due.

use isx::{Error, QueryContext, ReducerContext, Span, Time};

/// An alarm.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// Numbered.
    #[primary_key(auto_inc)]
    pub id: u64,
    /// What it says.
    pub text: String,
    /// When it rings.
    #[due]
    pub at: Time,
}

/// What happened to alarms, in order.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq)]
pub struct Ring {
    /// Numbered.
    #[primary_key(auto_inc)]
    pub id: u64,
    /// What.
    pub what: String,
    /// To which.
    pub alarm: Alarm,
}

#[isx::reducer(public, inserts(alarm))]
fn wake_at(ctx: &ReducerContext, text: String, after: Span) -> Result<u64, Error> {
    let at = Time(ctx.time().0 + after.0);
    Ok(ctx.db.alarm().insert(Alarm { id: 0, text, at })?.id)
}

#[isx::reducer(on = "alarm.due", inserts(ring))]
fn on_due(ctx: &ReducerContext, row: Alarm) -> Result<(), Error> {
    ctx.db.ring().insert(Ring { id: 0, what: "due".into(), alarm: row.clone() })?;
    match row.text.as_str() {
        "refused" => Err(isx::refused("as asked")),
        "trap" => panic!("as asked"),
        _ => Ok(()),
    }
}

#[isx::reducer(on = "alarm.delete", inserts(ring))]
fn on_gone(ctx: &ReducerContext, row: Alarm) -> Result<(), Error> {
    ctx.db.ring().insert(Ring { id: 0, what: "gone".into(), alarm: row }).map(drop)
}

#[isx::query(public, reads(ring))]
fn rings(ctx: &QueryContext) -> Result<Vec<Ring>, Error> {
    ctx.db.ring().scan().collect()
}

/// What a schedule has counted.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq)]
pub struct Pulse {
    /// There is one.
    #[primary_key]
    pub id: u8,
    /// How many of its times have passed.
    pub count: u64,
}

#[isx::reducer(every = "250ms", reads(pulse), inserts(pulse), updates(pulse))]
fn beat(ctx: &ReducerContext, count: u64) -> Result<(), Error> {
    let pulses = ctx.db.pulse();
    match pulses.get(&0)? {
        None => pulses.insert(Pulse { id: 0, count }).map(drop),
        Some(pulse) => pulses.update(&Pulse { count: pulse.count + count, ..pulse }),
    }
}

#[isx::query(public, reads(pulse))]
fn beats(ctx: &QueryContext) -> Result<u64, Error> {
    Ok(ctx.db.pulse().get(&0)?.map_or(0, |pulse| pulse.count))
}

#[isx::reducer(on = "upgrade", inserts(ring))]
fn on_upgrade(ctx: &ReducerContext, from: String) -> Result<(), Error> {
    let alarm = Alarm { id: 0, text: from, at: ctx.time() };
    ctx.db.ring().insert(Ring { id: 0, what: "upgraded".into(), alarm }).map(drop)
}
