//! Scans of every kind.

use isx::{Error, QueryContext, ReducerContext};

/// A thing in a room.
#[isx::table(public)]
#[index(btree, columns(rank, label))]
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Where.
    #[primary_key]
    pub room: u8,
    /// What.
    #[primary_key]
    pub name: String,
    /// How good.
    pub rank: i16,
    /// What is written on it.
    #[index(btree)]
    pub label: String,
}

/// Which items.
#[derive(Clone, Debug, PartialEq, isx::Typed)]
pub enum Which {
    /// By primary key, whole keys as bounds.
    #[tag(1)]
    Between((u8, String), (u8, String)),
    /// By primary key, those behind one.
    #[tag(2)]
    After(u8, String),
    /// By primary key, the first column given and the second bounded.
    #[tag(3)]
    InRoomFrom(u8, String),
    /// By primary key, the first column given and the beginning of the second.
    #[tag(4)]
    InRoomNamed(u8, String),
    /// By primary key, the first column given and the second behind one.
    #[tag(10)]
    InRoomAfter(u8, String),
    /// By primary key, the first column bounded.
    #[tag(5)]
    Rooms(u8, u8),
    /// By label, its beginning given.
    #[tag(6)]
    Labelled(String),
    /// By rank and label, the rank given and the label bounded.
    #[tag(7)]
    RankedBetween(i16, String, String),
    /// By rank and label, the rank given and the beginning of the label.
    #[tag(8)]
    RankedLabelled(i16, String),
    /// By rank and label, the rank bounded.
    #[tag(9)]
    RanksBelow(i16),
}

#[isx::reducer(public, inserts(item))]
fn store(ctx: &ReducerContext, items: Vec<Item>) -> Result<(), Error> {
    items.into_iter().try_for_each(|item| ctx.db.item().insert(item).map(drop))
}

#[isx::query(public, reads(item))]
fn items(ctx: &QueryContext, which: Which, reverse: bool, count: u32) -> Result<Vec<Item>, Error> {
    let items = ctx.db.item();
    let rows = match &which {
        Which::Between(from, to) => items.range(from.clone()..to.clone()),
        Which::After(room, name) => items.range(isx::after((*room, name.clone()))),
        Which::InRoomFrom(room, name) => items.range((*room, name.as_str()..)),
        Which::InRoomNamed(room, text) => items.range((*room, isx::prefix(text))),
        Which::InRoomAfter(room, name) => items.range((*room, isx::after(name.as_str()))),
        Which::Rooms(from, to) => items.range((*from..=*to,)),
        Which::Labelled(text) => items.range_by_label(isx::prefix(text)),
        Which::RankedBetween(rank, from, to) => items.range_by_rank_label((*rank, from.as_str()..to.as_str())),
        Which::RankedLabelled(rank, text) => items.range_by_rank_label((*rank, isx::prefix(text))),
        Which::RanksBelow(rank) => items.range_by_rank_label((..*rank,)),
    };
    let rows = if reverse { rows.reverse() } else { rows };
    rows.take(count as usize).collect()
}
