//! A few seeds of whole clusters; `isx-sim` runs many.

use isx_cluster::Request;
use isx_port::{Disk, Instant, OpenMode};
use isx_raft::{MOUNTS, Raft};
use isx_row::Class;
use isx_sim::disk::Fault;
use isx_sim::{HISTORY_BYTES_MAX, Options, Report, World, run};
use std::sync::Arc;
use std::time::Duration;

fn check(seed: u64, voters: u64) -> Report {
    let report = run(seed, Options { voters, duration: Duration::from_secs(10) });
    let text = || format!("{}\n{:#?}", report.lines.join("\n"), report.findings);
    assert!(report.findings.is_empty(), "seed {seed}, {voters} voters:\n{}", text());
    assert!(report.answered > 50, "seed {seed}, {voters} voters: only {} calls\n{}", report.answered, text());
    report
}

#[test]
fn one_voter() {
    (1..=4).for_each(|seed| drop(check(seed, 1)));
}

#[test]
fn three_voters() {
    (1..=4).for_each(|seed| drop(check(seed, 3)));
}

/// A snapshot waits for room while a newer one is installed, which it must not replace.
#[test]
fn an_old_snapshot_replaces_no_newer_one() {
    let report = run(1166, Options { voters: 3, ..Options::default() });
    assert_eq!(report.findings, Vec::<String>::new());
}

#[test]
fn one_seed_is_one_run() {
    for voters in [1, 3] {
        let (first, second) = (check(11, voters), check(11, voters));
        assert_eq!((first.hash, first.steps), (second.hash, second.steps), "{voters} voters");
        assert_eq!(first.lines, second.lines);
    }
}

/// Runs `story` on a lone voter that leads.
fn on_a_leader<F: Future<Output = ()> + Send + 'static>(story: impl FnOnce(Arc<World>, Raft) -> F + Send + 'static) {
    let world = World::new(1, 1);
    world.start(0);
    let main = {
        let world = world.clone();
        async move {
            let raft = loop {
                if let Some(raft) = world.raft(0) {
                    break raft;
                }
                world.sleep(Duration::from_millis(10)).await;
            };
            raft.wait_leader(MOUNTS, within(&world)).await.expect("a lone voter leads");
            story(world, raft).await;
        }
    };
    assert_eq!(world.executor.block_on(Duration::from_secs(60), main), Some(()));
}

fn within(world: &World) -> Instant {
    world.deadline(0, Duration::from_secs(5)).expect("the node is up")
}

#[test]
fn a_failed_sync_ends_the_node() {
    on_a_leader(|world, raft| async move {
        raft.propose(MOUNTS, Request::Tick, within(&world)).await.expect("a sound disk");
        world.disk(0).expect("the node has a disk").plant(Fault::Sync { after: 0 });
        let refused = raft.propose(MOUNTS, Request::Tick, within(&world)).await.expect_err("its sync fails");
        assert_eq!(refused.class(), Class::Unknown, "{refused}");
        let failure = raft.failed().await;
        assert!(!failure.is_empty());
        assert!(raft.propose(MOUNTS, Request::Tick, within(&world)).await.is_err(), "after {failure}");
    });
}

#[test]
fn a_snapshot_waits_for_room() {
    on_a_leader(|world, raft| async move {
        let disk = world.disk(0).expect("the node has a disk");
        disk.set_capacity(Some(disk.used_bytes()));
        for _ in 0..200 {
            raft.propose(MOUNTS, Request::Tick, within(&world)).await.expect("the log has its room");
        }
        world.sleep(Duration::from_secs(2)).await;
        let status = || raft.status().remove(&MOUNTS).expect("the group");
        assert_eq!((status().snapshot, status().failure), (None, None));
        disk.set_capacity(None);
        world.sleep(Duration::from_secs(2)).await;
        assert!(status().snapshot.is_some(), "{:?}", status());
    });
}

#[test]
fn history_is_bounded_in_bytes() {
    on_a_leader(|world, raft| async move {
        for _ in 0..3000 {
            raft.propose(MOUNTS, Request::Tick, within(&world)).await.expect("a sound disk");
        }
        world.sleep(Duration::from_secs(2)).await;
        let disk = world.disk(0).expect("the node has a disk");
        let names = disk.list("hist/1").expect("a folder");
        let length = |name: &String| disk.open(&format!("hist/1/{name}"), OpenMode::Read)?.len();
        let bytes: u64 = names.iter().map(|name| length(name).expect("a file")).sum();
        let first: Option<u64> = names.first().and_then(|name| name.split('-').next()?.parse().ok());
        assert!(bytes <= HISTORY_BYTES_MAX && first > Some(0), "{bytes} bytes in {names:?}");
    });
}

#[test]
fn a_damaged_file_of_history_costs_the_past_and_nothing_else() {
    on_a_leader(|world, raft| async move {
        let tick = async |count: usize| {
            for _ in 0..count {
                raft.propose(MOUNTS, Request::Tick, within(&world)).await.expect("a sound log");
            }
            world.sleep(Duration::from_secs(2)).await;
            raft.status().remove(&MOUNTS).expect("the group")
        };
        let before = tick(200).await;
        let disk = world.disk(0).expect("the node has a disk");
        for name in disk.list("hist/1").expect("a folder") {
            let file = disk.open(&format!("hist/1/{name}"), OpenMode::ReadWrite).expect("a span");
            file.write_at(file.len().expect("a length") - 1, &[0xff]).expect("a sound disk");
        }
        let after = tick(200).await;
        assert_eq!(after.failure, None);
        assert!(after.snapshot > before.snapshot && after.snapshot.is_some(), "{before:?} {after:?}");
    });
}
