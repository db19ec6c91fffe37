//! Columns that a table got later.

use isx::{Error, QueryContext, ReducerContext};

/// A player; `name` and `score` were there first.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq)]
pub struct Player {
    /// Who.
    #[primary_key]
    pub name: String,
    /// The sum of all games.
    #[index(btree)]
    pub score: u64,
    /// Where he plays.
    #[default("lobby")]
    pub room: String,
    /// How good he is.
    #[default(-1)]
    pub rank: i8,
    /// Whom he plays with.
    #[default(None)]
    pub partner: Option<String>,
    /// How he is paid for.
    #[default(Plan::Free)]
    pub plan: Plan,
}

/// How a player is paid for.
#[derive(Clone, Copy, Debug, PartialEq, isx::Typed)]
pub enum Plan {
    /// Not at all.
    #[tag(4)]
    Free,
    /// By himself.
    #[tag(9)]
    Paid,
}

#[isx::reducer(public, reads(player), updates(player))]
fn score(ctx: &ReducerContext, name: String, more: u64) -> Result<Player, Error> {
    let player = ctx.db.player().get(&name)?.ok_or_else(|| isx::refused("nobody"))?;
    let player = Player { score: player.score + more, ..player };
    ctx.db.player().update(&player)?;
    Ok(player)
}

#[isx::query(public, reads(player))]
fn players(ctx: &QueryContext) -> Result<Vec<Player>, Error> {
    ctx.db.player().range_by_score(..).collect()
}
