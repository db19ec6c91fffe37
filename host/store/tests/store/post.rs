//! Links, listeners and the outbox: what a transaction sends leaves with it or not at all, and a full database keeps nobody
//! from being told.

use crate::tables::{column, counter, counters, schema, table};
use isx_row::limits::VALUE_BYTES_MAX;
use isx_row::schema::RowEvent;
use isx_row::{Code, MountId, Signature, Type};
use isx_store::limits::{HOPS_MAX, LISTENERS_MAX, OUTBOX_MESSAGES_MAX};
use isx_store::{Database, Limits, Linked, Listener, Manifest, Message, MessageKind, Restore};

const OTHER: MountId = MountId([1; 16]);
const THIRD: MountId = MountId([2; 16]);

fn database() -> Database {
    Database::new(schema(vec![counters(false)])).unwrap().with_post().unwrap()
}

fn message(bytes: usize) -> Message {
    Message {
        kind: MessageKind::Call,
        path: "/self/other".into(),
        name: "add".into(),
        signature: Signature::ANY,
        payload: vec![7; bytes],
        trusted: true,
        hops: 1,
    }
}

fn listener(hook: &str) -> Listener {
    Listener { table: "counter".into(), event: RowEvent::Delete, mount: OTHER, hook: hook.into(), columns: 2 }
}

#[test]
fn what_is_refused_leaves_no_gap_in_the_numbers() {
    let mut database = database();
    let mut transaction = database.begin();
    assert_eq!(transaction.send(&OTHER, &message(1)), Ok(1));
    let too_large = transaction.send(&OTHER, &message(VALUE_BYTES_MAX)).unwrap_err();
    assert_eq!(too_large.code, Code::Limit);
    let too_far = transaction.send(&OTHER, &Message { hops: HOPS_MAX + 1, ..message(1) }).unwrap_err();
    assert!(too_far.text.contains("HOPS_MAX"), "{too_far}");
    // A transaction that is full by what it has sent.
    let full = loop {
        if let Err(error) = transaction.send(&THIRD, &message(200_000)) {
            break error;
        }
    };
    assert!(full.text.contains("TRANSACTION_BYTES_MAX"), "{full}");
    let changes = transaction.commit();
    let sent: Vec<u64> = database.outbox(usize::MAX, usize::MAX).iter().map(|(_, number, _)| *number).collect();
    let last = database.sent(&THIRD);
    assert_eq!(sent, [1].into_iter().chain(1..=last).collect::<Vec<_>>());
    assert_eq!(database.begin().send(&OTHER, &message(1)), Ok(2));
    database.audit().unwrap();

    let mut replica = self::database();
    replica.install(&changes).unwrap();
    assert_eq!(replica.state_hash(), database.state_hash(), "the rest was rolled back");
}

#[test]
fn what_waits_for_one_mount_is_bounded_and_nobody_elses() {
    let mut database = database();
    for _ in 0..OUTBOX_MESSAGES_MAX / 4096 {
        let mut transaction = database.begin();
        for _ in 0..4096 {
            transaction.send(&OTHER, &message(1)).unwrap();
        }
        transaction.commit();
    }
    let mut transaction = database.begin();
    let full = transaction.send(&OTHER, &message(1)).unwrap_err();
    assert!(full.code == Code::Limit && full.text.contains(&OTHER.to_string()), "{full}");
    assert_eq!(transaction.send(&THIRD, &message(1)), Ok(1));
    // What is listened to can always be said.
    let listen =
        Message { kind: MessageKind::Listen, payload: Listener::list(&[listener("a")]).unwrap(), ..message(0) };
    assert_eq!(transaction.send(&OTHER, &listen), Ok(OUTBOX_MESSAGES_MAX + 1));
    assert_eq!(transaction.settle(&OTHER, 1).unwrap(), Some(message(1)));
    assert_eq!(transaction.settle(&OTHER, 1).unwrap(), None);
    assert!(transaction.settle(&OTHER, 2).unwrap().is_some());
    assert_eq!(transaction.send(&OTHER, &message(1)), Ok(OUTBOX_MESSAGES_MAX + 2));
    transaction.commit();
    assert_eq!(database.receivers(), [OTHER, THIRD]);
    let some = database.outbox(3, usize::MAX);
    assert_eq!(
        some.iter().map(|(to, number, _)| (*to, *number)).collect::<Vec<_>>(),
        [(OTHER, 3), (OTHER, 4), (OTHER, 5), (THIRD, 1)]
    );
    assert_eq!(database.outbox(1000, 0).len(), 2, "one at least of each");
    assert!(database.is_telling());
    database.audit().unwrap();
}

#[test]
fn a_full_database_is_emptied_although_somebody_listens() {
    let mut database = database();
    let mut transaction = database.begin();
    transaction.set_listeners(&OTHER, &[listener("gone")]).unwrap();
    let id = transaction.table("counter").unwrap();
    let rows: Vec<_> = (0..50).map(|_| transaction.insert(id, &counter(0, "a", 1)).unwrap()).collect();
    transaction.commit();
    database.set_limits(Limits { bytes_max: 1, rows_max: 1 });
    let keys: Vec<_> = rows.iter().map(|row| database.key_of(id, row).unwrap()).collect();
    let mut transaction = database.begin();
    for key in keys {
        let old = transaction.delete(id, &key).unwrap();
        transaction.tell(&listener("gone"), id, &[&old], 1).unwrap();
    }
    transaction.commit();
    assert_eq!((database.row_count(id), database.outbox_len()), (Some(0), 50));
    assert!(database.outbox(1, 0).iter().all(|(_, _, message)| message.path == "counter.delete"));
}

#[test]
fn rows_are_told_by_the_columns_that_are_known() {
    let mixed = vec![column("id", Type::U64), column("name", Type::String), column("text", Type::String)];
    let database = Database::new(schema(vec![table("mixed", mixed.clone(), &[0], vec![])])).unwrap();
    let id = database.table("mixed").unwrap();
    let fields: Vec<_> =
        mixed.iter().map(|one| isx_row::Field { name: one.name.clone(), ty: one.ty.clone() }).collect();
    let value = |text: &str| isx_row::Value::String(text.into());
    let row =
        isx_row::codec::encode_record(1, &fields, &[isx_row::Value::U64(7), value("ada"), value("long")]).unwrap();
    for columns in 1..=3 {
        let ty = Type::Struct(fields[..columns].to_vec());
        let argument = [isx_row::Field { name: "row".into(), ty }];
        let arguments = database.hook_arguments(id, columns as u16, &[&row]).unwrap();
        let (_, values) = isx_row::codec::decode_record(&argument, &arguments).unwrap();
        let isx_row::Value::Struct(values) = &values[0] else { panic!("a row is a struct") };
        assert_eq!(values.len(), columns);
    }
    assert_eq!(database.hook_arguments(id, 4, &[&row]).unwrap_err().code, Code::Malformed);
}

#[test]
fn links_and_listeners_are_replaced_and_restored() {
    let mut database = database();
    let link = |path: &str, mount, trusted| Linked { path: path.into(), mount, trusted };
    let mut transaction = database.begin();
    transaction.set_links(&[link("/self/a", OTHER, true), link("/self/b", THIRD, false)]).unwrap();
    transaction.set_links(&[link("/self/b", OTHER, true)]).unwrap();
    transaction.set_listeners(&OTHER, &[listener("a"), listener("b")]).unwrap();
    transaction.set_listeners(&THIRD, &[Listener { mount: THIRD, ..listener("c") }]).unwrap();
    transaction.set_listeners(&OTHER, &[listener("b")]).unwrap();
    let many: Vec<Listener> = (0..LISTENERS_MAX).map(|number| listener(&format!("hook_{number}"))).collect();
    assert_eq!(transaction.set_listeners(&OTHER, &many).unwrap_err().code, Code::Limit);
    transaction.rollback();
    transaction.set_links(&[link("/self/b", OTHER, true)]).unwrap();
    transaction.set_listeners(&OTHER, &[listener("b")]).unwrap();
    transaction.send(&OTHER, &message(3)).unwrap();
    drop(transaction.commit());

    let mut snapshot = database.snapshot();
    let chunks: Vec<_> = snapshot.by_ref().collect();
    let manifest = Manifest::decode(&snapshot.manifest().encode().unwrap()).unwrap();
    let mut restore = Restore::new(manifest);
    chunks.iter().for_each(|chunk| restore.put(&chunk.bytes).unwrap());
    let restored = restore.finish().unwrap();
    assert_eq!(restored.linked("/self/b"), Some(link("/self/b", OTHER, true)));
    assert_eq!((restored.linked("/self/a"), restored.listeners()), (None, vec![listener("b")]));
    assert_eq!(restored.outbox(9, 9), database.outbox(9, 9));
    assert_eq!(Listener::read_list(&Listener::list(&many).unwrap()).unwrap(), many);
    assert!(Listener::read_list(&[1, 0, 0, 0, 9]).is_err());
    // Another schema keeps them.
    let upgraded = restored
        .with_schema(schema(vec![counters(false), table("more", vec![column("id", Type::U64)], &[0], vec![])]))
        .unwrap();
    assert_eq!(upgraded.outbox(9, 9), database.outbox(9, 9));
    assert!(upgraded.is_post(upgraded.table(".outbox").unwrap()) && !upgraded.is_post(upgraded.table("more").unwrap()));
    upgraded.audit().unwrap();
}
