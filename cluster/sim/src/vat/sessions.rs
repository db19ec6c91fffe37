//! Sessions of a module that has to know of them: they last as long as who has them, over a restart of the node too.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use crate::disk::Crash;
use crate::random::Random;
use crate::vat::dial::{Dialled, Right};
use crate::vat::{ConfigureNode, Modules, Program, STACK_BYTES};
use crate::world::{self, World};
use isx_iface::anchor::MountLimits;
use isx_iface::publish::{mount_or_upgrade, upload};
use isx_iface::{Anchor, Call, Host, ObjectRef};
use isx_port::Clock;
use isx_row::typed::{decode_answer, encode_arguments};
use isx_row::{SessionId, Signature, Time, Typed};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Longer than a node takes to find a connection dead, a session may be away, and the node takes to see that it is.
const LONG: Duration = Duration::from_secs(45);
const SHORT: Duration = Duration::from_secs(6);

async fn ask<A: Typed, T: Typed>(object: &ObjectRef, method: &str, arguments: A) -> T {
    let (method, payload) = (method.to_string(), encode_arguments(&arguments).unwrap());
    let call = Call {
        method,
        signature: Signature::ANY,
        payload,
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery: Default::default(),
    };
    decode_answer(&object.call(call).await.unwrap().payload).unwrap()
}

/// A program that has appeared under this name.
async fn appear(world: &Arc<World>, name: &str) -> (Dialled, ObjectRef) {
    let program = Dialled::new(world, Right::Owner);
    let object = program.host().walk("/self/probe".into()).await.unwrap().object().await.unwrap();
    let row: (SessionId, String) = ask(&object, "appear", (name.to_string(),)).await;
    assert_eq!(row.1, name);
    (program, object)
}

async fn names(object: &ObjectRef) -> Vec<String> {
    let mut names: Vec<String> = ask(object, "online_names", ()).await;
    names.sort();
    names
}

/// Waits, and asks for something each second: who asks is there.
async fn wait(world: &Arc<World>, object: &ObjectRef, long: Duration) {
    let end = world.executor.now() + long;
    while world.executor.now() < end {
        world.sleep(Duration::from_secs(1)).await;
        names(object).await;
    }
}

async fn story(world: Arc<World>, component: Vec<u8>) {
    world.start(0);
    let publisher = Dialled::new(&world, Right::Owner);
    let code = upload(&publisher.host(), &component, |_| ()).await.unwrap();
    let home = publisher.host().walk("/self".into()).await.unwrap();
    let session = SessionId::new(Time(publisher.clock.wall().unix_us), 1);
    let limits = MountLimits { fuel_max: None, table_bytes_max: None };
    mount_or_upgrade(&home, "probe", code, limits, session).await.unwrap();

    let (_ada, object) = appear(&world, "ada").await;
    let (bob, _object_of_bob) = appear(&world, "bob").await;
    assert_eq!(names(&object).await, ["ada", "bob"]);
    world.end_caller(bob.life);
    wait(&world, &object, SHORT).await;
    assert_eq!(names(&object).await, ["ada", "bob"], "he may come back");
    wait(&world, &object, LONG - SHORT).await;
    assert_eq!(names(&object).await, ["ada"]);
    assert_eq!(ask::<_, u64>(&object, "passed", ("out".to_string(),)).await, 1);

    // The node loses all it knew of who is there; one of two comes back.
    let (cyd, _object_of_cyd) = appear(&world, "cyd").await;
    world.kill(0, Crash::KeepAll, &mut Random::new(1));
    world.end_caller(cyd.life);
    world.start(0);
    wait(&world, &object, SHORT).await;
    assert_eq!(names(&object).await, ["ada", "cyd"]);
    wait(&world, &object, LONG).await;
    assert_eq!(names(&object).await, ["ada"]);
    assert_eq!(ask::<_, u64>(&object, "passed", ("in".to_string(),)).await, 3, "ada never went");
}

#[test]
fn a_session_ends_when_whoever_had_it_is_gone_and_not_before() {
    let folder = std::env::var_os("ISX_GUESTS").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(3).unwrap().join("guests")
    });
    let file = folder.join("probe.wasm");
    let run = move || {
        let modules = Modules::of_file(&file).unwrap();
        let component = modules.variant(0);
        let program = Program::new(modules, ConfigureNode::default());
        let world = World::of(1, 1, Arc::new(|_, _| ()), world::Program::Node(program));
        world.net.set_weather(crate::net::Weather::fair());
        let done = world.executor.block_on(Duration::from_secs(300), story(world.clone(), component));
        world.end_all();
        assert_eq!(done, Some(()), "the world stands still");
    };
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap().join().unwrap();
}
