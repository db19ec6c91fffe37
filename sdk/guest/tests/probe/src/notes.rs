//! Views: notes that are for somebody, rooms that one is in.

use isx::{Principal, ReducerContext, Result, ViewContext};

/// A note.
#[isx::table]
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Its number.
    #[primary_key]
    pub id: u64,
    /// Whom it is for.
    #[index(btree)]
    pub to: Principal,
    /// The room in which it hangs.
    #[index(hash)]
    pub room: u32,
    /// What it says.
    pub text: String,
}

/// Who is in a room.
#[isx::table]
pub struct Member {
    /// The room.
    #[primary_key]
    pub room: u32,
    /// Who.
    #[primary_key]
    pub who: Principal,
}

/// What is shown of a note.
#[derive(Clone, Debug, PartialEq, isx::Typed)]
pub struct Shown {
    /// The note's number.
    pub id: u64,
    /// How long it is.
    pub length: u32,
}

#[isx::reducer(public)]
fn hang(ctx: &ReducerContext, id: u64, to: Principal, room: u32, text: String) -> Result<()> {
    let note = Note { id, to, room, text };
    match ctx.db.note().get(&id)? {
        None => ctx.db.note().insert(note).map(drop),
        Some(_) => ctx.db.note().update(&note),
    }
}

#[isx::reducer(public)]
fn tear(ctx: &ReducerContext, id: u64) -> Result<()> {
    ctx.db.note().delete(&id).map(drop)
}

#[isx::reducer(public)]
fn enter(ctx: &ReducerContext, room: u32) -> Result<()> {
    ctx.db.member().insert(Member { room, who: ctx.caller() }).map(drop)
}

#[isx::reducer(public)]
fn leave(ctx: &ReducerContext, room: u32) -> Result<()> {
    ctx.db.member().delete(&(room, ctx.caller())).map(drop)
}

/// The notes that are for who asks.
#[isx::view(public)]
fn mine(ctx: &ViewContext) -> Result<Vec<Note>> {
    ctx.db.note().by_to(&ctx.caller()).collect()
}

/// What hangs in a room, for those who are in it.
#[isx::view(public, key(id), reads(note, member))]
fn hanging(ctx: &ViewContext, room: u32) -> Result<Vec<Shown>> {
    if ctx.db.member().get(&(room, ctx.caller()))?.is_none() {
        return Ok(Vec::new());
    }
    let shown = |note: Note| Shown { id: note.id, length: u32::try_from(note.text.len()).unwrap_or(u32::MAX) };
    ctx.db.note().by_room(&room).map(|note| note.map(shown)).collect()
}

/// All of them, whoever they are for: not for everybody.
#[isx::view]
fn every(ctx: &ViewContext) -> Result<Vec<Note>> {
    ctx.db.note().scan().collect()
}

/// Two rows with one key.
#[isx::view(public, key(length))]
fn doubled(ctx: &ViewContext) -> Result<Vec<Shown>> {
    ctx.db.note().scan().map(|note| note.map(|note| Shown { id: note.id, length: 0 })).collect()
}
