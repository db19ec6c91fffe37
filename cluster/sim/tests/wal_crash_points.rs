//! Every disk operation of a workload is a crash point under six models, and every kind of damage is tried.

use isx_sim::disk::{Fault, Setup, crash_points, crash_points_with, rot_points};

fn setup(seed: u64, operations: usize) -> Setup<'static> {
    Setup { seed, operations, fault: None, configure: &|_| {} }
}

#[test]
fn no_crash_point_loses_or_invents_anything() {
    for seed in 0..4 {
        let report = crash_points(seed, 200);
        assert_eq!(report.failures, Vec::<String>::new(), "seed {seed}: {} failed", report.failed);
        assert!(report.points >= 1400 && report.cuts > 50, "the workload does not tear: {report:?}");
    }
}

#[test]
fn a_failed_sync_is_final() {
    for seed in 0..8 {
        let fault = Some(Fault::Sync { after: 2 * seed });
        let report = crash_points_with(Setup { fault, ..setup(seed, 60) });
        assert_eq!(report.failures, Vec::<String>::new(), "seed {seed}: {} failed", report.failed);
    }
}

#[test]
fn a_failed_write_is_final() {
    for seed in 0..4 {
        let fault = Some(Fault::Write { after: 3 * seed });
        let report = crash_points_with(Setup { fault, ..setup(seed, 60) });
        assert_eq!(report.failures, Vec::<String>::new(), "seed {seed}: {} failed", report.failed);
    }
}

#[test]
fn every_flipped_bit_is_refused_or_harmless() {
    let report = rot_points(setup(1, 40));
    assert_eq!(report.failures, Vec::<String>::new(), "{} failed", report.failed);
    assert!(report.points > 50_000, "{report:?}");
}
