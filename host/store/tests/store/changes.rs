//! The encoding of changes, and which changes are refused.

use crate::tables::{counter, counters, id_key, schema};
use expect_test::expect;
use isx_row::Code;
use isx_store::{Changes, Database, TableId};

const COUNTER: TableId = TableId(0);

/// A root, and what a transaction on it did.
fn sample() -> (Database, Changes) {
    let mut database = Database::new(schema(vec![counters(true)])).unwrap();
    let mut transaction = database.begin();
    transaction.insert(COUNTER, &counter(0, "a", 1)).unwrap();
    transaction.insert(COUNTER, &counter(0, "b", 2)).unwrap();
    transaction.commit();
    let before = database.clone();
    let mut transaction = database.begin();
    transaction.insert(COUNTER, &counter(0, "c", 3)).unwrap();
    transaction.update(COUNTER, &counter(1, "d", 4)).unwrap();
    transaction.delete(COUNTER, &id_key(2)).unwrap();
    (before, transaction.commit())
}

fn encoded(changes: &Changes) -> Vec<u8> {
    let mut bytes = Vec::new();
    changes.encode(&mut bytes);
    bytes
}

#[test]
fn the_encoding_is_fixed() {
    let bytes = encoded(&sample().1);
    let lines: Vec<String> = bytes
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    expect![[r#"
        01 03 00 00 00 01 00 00 00 00 00 02 08 00 00 00
        00 00 00 00 00 03 17 00 00 00 01 00 03 00 00 00
        00 00 00 00 01 00 00 00 03 00 00 00 00 00 00 00
        63 00 00 03 08 00 00 00 00 00 00 00 00 01 17 00
        00 00 01 00 01 00 00 00 00 00 00 00 01 00 00 00
        01 00 00 00 00 00 00 00 61 17 00 00 00 01 00 01
        00 00 00 00 00 00 00 01 00 00 00 04 00 00 00 00
        00 00 00 64 00 00 01 08 00 00 00 00 00 00 00 00
        02 17 00 00 00 01 00 02 00 00 00 00 00 00 00 01
        00 00 00 02 00 00 00 00 00 00 00 62 00 00 03 00
        00 00 00 00 00 00"#]]
    .assert_eq(&lines.join("\n"));
}

/// Whatever bit is turned over: refused, or other changes with their own one encoding.
#[test]
fn mutations_are_refused() {
    let (before, changes) = sample();
    let bytes = encoded(&changes);
    let mut installed = before.clone();
    installed.install(&changes).unwrap();
    for place in 0..bytes.len() {
        assert!(Changes::decode(&bytes[..place]).is_err());
        for bit in 0..8 {
            let mut mutated = bytes.clone();
            mutated[place] ^= 1 << bit;
            let Ok(read) = Changes::decode(&mutated) else { continue };
            assert_eq!(encoded(&read), mutated);
            let mut replica = before.clone();
            match replica.install(&read) {
                Ok(()) => assert_ne!(replica.state_hash(), installed.state_hash()),
                Err(_) => assert_eq!(replica.state_hash(), before.state_hash()),
            }
            replica.audit().unwrap();
        }
    }
    let mut trailing = bytes;
    trailing.push(0);
    assert_eq!(Changes::decode(&trailing).unwrap_err().code, Code::Malformed);
}

#[test]
fn changes_of_another_state_are_refused() {
    let (mut before, changes) = sample();
    before.install(&changes).unwrap();
    let after = before.state_hash();
    assert_eq!(before.install(&changes).unwrap_err().code, Code::Conflict);
    assert_eq!(before.state_hash(), after);
    let mut empty = Database::new(schema(vec![])).unwrap();
    assert_eq!(empty.install(&changes).unwrap_err().code, Code::NotFound);
}
