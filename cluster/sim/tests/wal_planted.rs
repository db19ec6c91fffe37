//! The judges of the log bite: every bug that can be planted in it is caught.
#![allow(clippy::print_stdout, reason = "the table of what caught which bug")]

use expect_test::expect;
use isx_sim::disk::{Fault, Report, Setup, crash_points_with, rot_points};
use isx_wal::{Bug, Options};

const SEEDS: u64 = 4;
const OPERATIONS: usize = 80;

/// The first way in which the bug shows, by the cheapest judge.
fn caught(bug: Bug) -> String {
    let configure = |options: &mut Options| options.plant(bug);
    let setup = |seed, fault| Setup { seed, operations: OPERATIONS, fault, configure: &configure };
    let told = |judge: &str, seed: u64, report: Report| {
        (report.failed > 0).then(|| {
            println!("{bug:?}: {}", report.failures[0]);
            format!("{bug:?}: {judge}, seed {seed}")
        })
    };
    let crash = (0..SEEDS).find_map(|seed| told("crash points", seed, crash_points_with(setup(seed, None))));
    let failed_sync = || {
        let fault = |seed| Some(Fault::Sync { after: 5 + seed });
        (0..SEEDS).find_map(|seed| told("failed sync", seed, crash_points_with(setup(seed, fault(seed)))))
    };
    let rot = || told("rot", 0, rot_points(Setup { operations: 40, ..setup(0, None) }));
    crash.or_else(failed_sync).or_else(rot).unwrap_or_else(|| format!("{bug:?}: missed"))
}

#[test]
fn every_planted_bug_is_caught() {
    let table: Vec<String> = Bug::ALL.iter().map(|bug| caught(*bug)).collect();
    expect![[r#"
        AckBeforeSync: crash points, seed 0
        IgnoreSyncError: failed sync, seed 0
        RetrySync: failed sync, seed 0
        ChecksumIgnored: crash points, seed 0
        CutAtBadChecksum: rot, seed 0
        DirectoryUnsynced: crash points, seed 0
        VoteUnsynced: crash points, seed 0
        VoteReordered: crash points, seed 0
        RemovedEarly: crash points, seed 0
        RecoveryUnsynced: crash points, seed 0
        TailKept: crash points, seed 0"#]]
    .assert_eq(&table.join("\n"));
}
