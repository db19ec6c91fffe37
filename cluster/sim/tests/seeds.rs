//! A few seeds of whole clusters; `isx-sim` runs many.

use isx_sim::{Options, Report, run};
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

#[test]
fn one_seed_is_one_run() {
    for voters in [1, 3] {
        let (first, second) = (check(11, voters), check(11, voters));
        assert_eq!((first.hash, first.steps), (second.hash, second.steps), "{voters} voters");
        assert_eq!(first.lines, second.lines);
    }
}

/// Plants a fault on the disk of a lone voter that serves: the node must end, and acknowledge nothing more.
#[test]
fn a_failed_sync_ends_the_node() {
    use isx_cluster::Request;
    use isx_raft::MOUNTS;
    use isx_row::Class;
    use isx_sim::World;
    use isx_sim::disk::Fault;

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
            let within = || world.deadline(0, Duration::from_secs(5)).expect("the node is up");
            raft.wait_leader(MOUNTS, within()).await.expect("a lone voter leads");
            raft.propose(MOUNTS, Request::Tick, within()).await.expect("a sound disk");
            world.disk(0).expect("the node has a disk").plant(Fault::Sync { after: 0 });
            let refused = raft.propose(MOUNTS, Request::Tick, within()).await.expect_err("its sync fails");
            assert_eq!(refused.class(), Class::Unknown, "{refused}");
            let failure = raft.failed().await;
            assert!(!failure.is_empty());
            assert!(raft.propose(MOUNTS, Request::Tick, within()).await.is_err(), "after {failure}");
        }
    };
    let done = world.executor.block_on(Duration::from_secs(60), main);
    assert_eq!(done, Some(()));
}
