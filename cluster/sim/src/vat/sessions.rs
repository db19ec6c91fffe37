//! Sessions of a module that has to know of them: they last as long as who has them, over a restart of the node too.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use crate::disk::Crash;
use crate::random::Random;
use crate::vat::dial::{Dialled, Right};
use crate::vat::probe::{self, Probe, ask, object};
use crate::world::World;
use isx_iface::ObjectRef;
use isx_row::SessionId;
use std::sync::Arc;
use std::time::Duration;

/// Longer than a node takes to find a connection dead, a session may be away, and the node takes to see that it is.
const LONG: Duration = Duration::from_secs(45);
const SHORT: Duration = Duration::from_secs(6);

/// A program that has appeared under this name.
async fn appear(world: &Arc<World>, name: &str) -> (Dialled, ObjectRef) {
    let program = Dialled::new(world, Right::Owner);
    let object = object(&program).await.unwrap();
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

async fn story(world: Arc<World>, probe: Arc<Probe>) {
    world.start(0);
    probe.publish(&world, 0).await;

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
    probe::run(1, story);
}
