//! What groups do beside calls: time, levels, members, and the saga of a mount over two groups.

use crate::stage::{NOW, ONE, Stage, add, bare, caller, create, word};
use isx_anchors::{BindingState, Caller, GroupId, Happening, Name, Operation, Path, Place, Reply};
use isx_cluster::twin::Twin;
use isx_cluster::{ModuleRecord, Outcome, Request};
use isx_row::schema::Way;
use isx_row::{HomeId, Incarnation, MountId, Principal, Time, Value};
use std::sync::Arc;

const NODE: [u8; 32] = [7; 32];

fn tree(operation: Operation) -> Request {
    Request::Tree { caller: Caller { who: Principal::of_peer(&NODE), trusted: true }, operation }
}

fn join(peer: u8, home: u8) -> Request {
    let alias = Name::new("beta").unwrap();
    Request::Join { peer: [peer; 32], home: HomeId([home; 16]), alias, addresses: vec![] }
}

#[test]
fn time_never_goes_back() {
    let mut stage = Stage::mounted();
    stage.time = Time(NOW.0 + 50);
    stage.one(Request::Tick);
    let after = stage.machine.state_hash();
    stage.time = Time(NOW.0 + 10);
    assert_eq!(stage.apply(vec![(0, Request::Tick)]).time, Time(NOW.0 + 50));
    assert_eq!(stage.machine.state_hash(), after, "a tick twice is harmless");
    stage.one(bare(add(ONE, "a", 1)));
    assert_eq!(stage.machine.view().mount(&ONE).unwrap().changed(), Time(NOW.0 + 50));
}

#[test]
fn a_mount_from_reservation_to_removal() {
    let mut zero = Stage::bare(GroupId::TREE);
    let mut one = Stage::bare(GroupId::MOUNTS);
    zero.one(join(7, 1));
    let place = Place::absolute(Path::parse("/beta/counter").unwrap());
    let reserve = || {
        let place = place.clone();
        tree(Operation::Reserve { place, mount: ONE, group: GroupId::MOUNTS, public: true, plan: b"plan".to_vec() })
    };
    let Outcome::Tree(Reply::Binding(_, binding)) = zero.one(reserve()) else { panic!("not reserved") };
    assert_eq!(binding.state, BindingState::Creating);
    // Every step twice.
    assert_eq!(zero.one(reserve()), zero.one(reserve()));
    let incarnation = binding.incarnation;
    let create = || Request::CreateMount { mount: ONE, incarnation, module: Twin::module(0), creator: caller() };
    assert_eq!(one.one(create()), one.one(create()));
    assert_eq!(one.query(ONE, "get", "init"), Value::Option(Some(Box::new(Value::Bytes(vec![])))));
    let ready = zero.all(vec![tree(Operation::Ready { mount: ONE }), tree(Operation::Ready { mount: ONE })]);
    assert_eq!(ready[0], ready[1]);
    let anyone = Caller { who: Principal::anonymous(), trusted: false };
    let view = zero.machine.view();
    assert_eq!(view.tree().unwrap().resolve(&anyone, &place).unwrap().1.mount, ONE);
    assert_eq!(view.tree().unwrap().pending().count(), 0);
    // The home's node can not leave behind its mounts.
    assert_eq!(word(&zero.one(Request::Leave { peer: NODE })), "conflict");

    zero.one(tree(Operation::Retire { place: place.clone() }));
    assert_eq!(zero.machine.view().tree().unwrap().pending().count(), 1);
    let dropped = one.apply(vec![(0, Request::DropMount { mount: ONE }), (0, Request::DropMount { mount: ONE })]);
    assert_eq!(dropped.outcomes, [Outcome::Done, Outcome::Done]);
    assert_eq!(dropped.effects.dropped, [ONE]);
    // A late step of the creation does not bring it back.
    assert_eq!(word(&one.one(create())), "gone");
    let cleared =
        zero.apply(vec![(0, tree(Operation::Clear { mount: ONE })), (0, tree(Operation::Clear { mount: ONE }))]);
    assert_eq!(cleared.outcomes, [Outcome::Tree(Reply::Done), Outcome::Tree(Reply::Done)]);
    let happened: Vec<_> = cleared.effects.tree.iter().map(|change| change.happening).collect();
    assert_eq!(happened, [Happening::Mount, Happening::Removed]);
    assert_eq!(word(&zero.one(Request::Leave { peer: NODE })), "done");
}

#[test]
fn creations_that_are_refused() {
    let mut stage = Stage::mounted();
    let three = MountId([3; 16]);
    let with = |module: ModuleRecord| Request::CreateMount {
        mount: three,
        incarnation: Incarnation(1),
        module: Arc::new(module),
        creator: caller(),
    };
    let module = Twin::module(0);
    let before = stage.machine.state_hash();
    let bad = ModuleRecord { schema: b"junk".to_vec(), ..ModuleRecord::clone(&module) };
    assert_eq!(word(&stage.one(with(bad))), "malformed");
    // Its `init` hook finds no room.
    let limits = isx_store::Limits { bytes_max: 1, rows_max: 1 };
    assert_eq!(word(&stage.one(with(ModuleRecord { limits, ..ModuleRecord::clone(&module) }))), "limit");
    assert_eq!(stage.machine.state_hash(), before);
    let other = Request::CreateMount { mount: ONE, incarnation: Incarnation(6), module, creator: caller() };
    assert_eq!(word(&stage.one(other)), "taken");
}

#[test]
fn upgrades() {
    let mut stage = Stage::mounted();
    stage.one(bare(add(ONE, "a", 3)));
    let upgrade = |from: u8, to: u8| Request::Upgrade {
        mount: ONE,
        expected: Twin::module(from).code,
        module: Twin::module(to),
        way: Way::On,
    };
    assert_eq!(word(&stage.one(upgrade(1, 2))), "conflict");
    assert_eq!(word(&stage.one(upgrade(0, 1))), "mounted at 3, version 2");
    assert_eq!(word(&stage.one(upgrade(0, 1))), "mounted at 3, version 2");
    assert_eq!(stage.query(ONE, "total", "a"), Value::U64(3));
    assert_eq!(word(&stage.one(upgrade(1, 0))), "mounted at 4, version 3");
    let limits = isx_store::Limits { bytes_max: 1, rows_max: 1 };
    let module = Arc::new(ModuleRecord { limits, ..ModuleRecord::clone(&Twin::module(0)) });
    stage.one(Request::Upgrade { mount: ONE, expected: module.code, module, way: Way::On });
    assert_eq!(word(&stage.one(bare(add(ONE, "new", 3)))), "limit");
    assert_eq!(
        word(&stage.one(Request::Upgrade {
            mount: MountId([8; 16]),
            expected: Twin::module(0).code,
            module: Twin::module(1),
            way: Way::On,
        })),
        "not_found"
    );
    stage.machine.audit().unwrap();
}

#[test]
fn requests_of_another_group() {
    let mut zero = Stage::bare(GroupId::TREE);
    let before = zero.machine.view().tree().unwrap().state_hash();
    let words: Vec<_> = zero
        .all(vec![create(ONE), bare(add(ONE, "a", 1)), Request::DropMount { mount: ONE }])
        .iter()
        .map(word)
        .collect();
    assert_eq!(words, ["bad_arguments", "not_found", "bad_arguments"]);
    assert_eq!(zero.machine.view().tree().unwrap().state_hash(), before);
    let mut one = Stage::mounted();
    let words: Vec<_> = one.all(vec![join(7, 1), tree(Operation::Ready { mount: ONE })]).iter().map(word).collect();
    assert_eq!(words, ["bad_arguments", "bad_arguments"]);
}

#[test]
fn members_and_levels() {
    let mut zero = Stage::bare(GroupId::TREE);
    let words: Vec<_> = zero
        .all(vec![
            join(7, 1),
            join(7, 1),
            join(7, 2),
            join(8, 1),
            join(8, 2),
            Request::Raise { level: 1 },
            Request::Raise { level: 2 },
            Request::Leave { peer: [99; 32] },
        ])
        .iter()
        .map(word)
        .collect();
    assert_eq!(words, ["tree", "tree", "taken", "taken", "tree", "done", "unsupported", "done"]);
    let view = zero.machine.view();
    let alias = |home: u8| view.tree().unwrap().home(&HomeId([home; 16])).unwrap().aliases[0].to_string();
    assert_eq!((alias(1), alias(2)), ("beta".into(), "beta-2".into()));
}
