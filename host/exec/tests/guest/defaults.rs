//! Rows from before an upgrade are read, scanned and updated as if their columns had always been there.

use crate::mount::Mount;
use isx_row::schema::Schema;
use isx_row::{Field, Type, Value, codec};
use isx_store::Database;
use probe::players::{Plan, Player};
use std::sync::Arc;

/// The schema as it was when `player` had its first two columns.
fn before(schema: &Schema) -> Schema {
    let mut schema = schema.clone();
    let player = schema.tables.iter_mut().find(|table| table.name == "player").unwrap();
    assert_eq!((player.version, player.columns.len()), (5, 6));
    player.columns.retain(|column| column.since == 1);
    player.version = 1;
    // Functions that name the row's type were another version's too.
    schema.reducers.clear();
    schema.queries.clear();
    schema
}

fn player(name: &str, score: u64) -> Player {
    let (room, rank, partner, plan) = ("lobby".to_owned(), -1, None, Plan::Free);
    Player { name: name.into(), score, room, rank, partner, plan }
}

#[test]
fn rows_from_before_an_upgrade_are_read_with_their_defaults() {
    let mut mount = Mount::new();
    let old = before(&mount.schema());
    let mut root = Database::new(Arc::new(old)).unwrap();
    let table = root.table("player").unwrap();
    let fields = [("name", Type::String), ("score", Type::U64)].map(|(name, ty)| Field { name: name.to_owned(), ty });
    let mut transaction = root.begin();
    for (name, score) in [("ada", 7), ("bob", 5), ("cyd", 6)] {
        let row = codec::encode_record(1, &fields, &[Value::String(name.to_owned()), Value::U64(score)]).unwrap();
        transaction.insert(table, &row).unwrap();
    }
    transaction.commit();
    mount.root = root.with_schema(mount.schema()).unwrap();

    let players: Vec<Player> = mount.query("players", ());
    assert_eq!(players, [player("bob", 5), player("cyd", 6), player("ada", 7)]);
    let bob: Player = mount.reduce("score", ("bob".to_owned(), 10_u64));
    assert_eq!(bob, player("bob", 15));
    let players: Vec<Player> = mount.query("players", ());
    assert_eq!(players, [player("cyd", 6), player("ada", 7), player("bob", 15)]);
    mount.root.audit().unwrap();
}
