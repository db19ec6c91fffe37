//! What time alone makes due.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use isx_cluster::limits::SESSION_IDLE;
use isx_cluster::twin::Twin;
use isx_cluster::{Hold, Outcome, ReducerCall, Request, SessionCall};
use isx_raft::MOUNTS;
use isx_row::schema::Schedule;
use isx_row::{Code, Incarnation, MountId, Principal, Sequence, SessionId, Span, Time, Value};
use isx_sim::World;
use std::sync::Arc;
use std::time::Duration;

const MOUNT: MountId = MountId([7; 16]);
const OWNER: Principal = Principal([9; 32]);

fn add(session: SessionId) -> Request {
    let session = Some(SessionCall { session, sequence: Sequence(1), done_below: Sequence(1) });
    let arguments = Twin::arguments("add", &[Value::String("a".into()), Value::U64(1)]);
    let call = ReducerCall::new(MOUNT, "add", arguments);
    Request::Call(Box::new(ReducerCall { session, principal: OWNER, trusted: true, ..call }))
}

async fn propose(world: &Arc<World>, request: Request) -> Outcome {
    let raft = world.raft(0).unwrap();
    raft.propose(MOUNTS, request, world.deadline(0, Duration::from_secs(5)).unwrap()).await.unwrap()
}

fn applied(world: &Arc<World>) -> u64 {
    world.raft(0).unwrap().view(MOUNTS).unwrap().applied()
}

/// A session that nobody uses is forgotten although nobody calls; until then an idle group writes nothing, and neither
/// after.
#[test]
fn time_alone_ends_sessions() {
    let world = World::new(5, 1);
    world.start(0);
    let main = {
        let world = world.clone();
        async move {
            world.sleep(Duration::from_secs(2)).await;
            let create = Request::CreateMount {
                mount: MOUNT,
                incarnation: Incarnation(1),
                module: Twin::module(1),
                creator: OWNER,
            };
            propose(&world, create).await;
            let now: Time = world.raft(0).unwrap().view(MOUNTS).unwrap().time();
            let session = SessionId::new(now, 1);
            let first = propose(&world, add(session)).await;
            assert!(matches!(first, Outcome::Answer { .. }), "{first:?}");
            assert_eq!(propose(&world, add(session)).await, first, "its answer is kept");

            let quiet = applied(&world);
            let idle = Duration::from_micros(u64::try_from(SESSION_IDLE.0).unwrap());
            world.sleep(idle - Duration::from_secs(120)).await;
            assert_eq!(applied(&world), quiet, "nothing is due, and nothing is written");
            world.sleep(Duration::from_secs(240)).await;
            assert_eq!(applied(&world), quiet + 1, "one tick forgets it");
            world.sleep(Duration::from_secs(240)).await;
            assert_eq!(applied(&world), quiet + 1, "and no other follows");
            let refused = propose(&world, add(session)).await;
            assert!(matches!(&refused, Outcome::Refused(error) if error.code == Code::Expired), "{refused:?}");
        }
    };
    assert_eq!(world.executor.block_on(Duration::from_secs(2 * 3600), main), Some(()));
}

/// Timers of a held group come while it is held, and are not in the way of what ends the hold.
#[test]
fn a_held_group_hears_what_ends_its_hold() {
    let world = World::new(5, 1);
    world.start(0);
    let main = {
        let world = world.clone();
        async move {
            world.sleep(Duration::from_secs(2)).await;
            let create = Request::CreateMount {
                mount: MOUNT,
                incarnation: Incarnation(1),
                module: Twin::beating(1, Schedule::Every(Span(250_000))),
                creator: OWNER,
            };
            propose(&world, create).await;
            let arguments = [Value::String("poison".into()), Value::U64(1), Value::Duration(Span(1_000_000))];
            let call = ReducerCall::new(MOUNT, "postpone", Twin::arguments("postpone", &arguments));
            propose(&world, Request::Call(Box::new(call))).await;
            world.sleep(Duration::from_secs(120)).await;
            let raft = world.raft(0).unwrap();
            let (held, index) = {
                let status = &raft.status()[&MOUNTS];
                (status.hold.clone(), status.applied.unwrap() + 1)
            };
            let Some(Hold::Poisoned { position }) = held else { panic!("not held by the row that is due: {held:?}") };
            let deadline = || world.deadline(0, Duration::from_secs(5)).unwrap();
            let refused = raft.propose(MOUNTS, Request::Tick, deadline()).await.unwrap_err();
            assert_eq!(refused.code, Code::Held);
            let skip = Request::Skip { index, position: position as u32 };
            assert_eq!(raft.propose(MOUNTS, skip, deadline()).await.unwrap(), Outcome::Done);
            assert!(raft.status()[&MOUNTS].hold.is_none());
            let before = applied(&world);
            world.sleep(Duration::from_secs(5)).await;
            assert!(applied(&world) > before + 10, "its schedule goes on");
        }
    };
    assert_eq!(world.executor.block_on(Duration::from_secs(3600), main), Some(()));
}
