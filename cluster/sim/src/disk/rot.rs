//! Damages the disk of a log that was acknowledged whole, in every way of a list, and judges what opens.
//!
//! A damaged log must be refused, or the damage was harmless and every record is there. Nothing else: no loss, no other
//! entry.

use super::content::SECTOR_BYTES;
use super::crash::below;
use super::points::{Report, Run, Setup};
use super::{Operation, SimDisk};
use crate::random::Random;
use isx_port::Disk;
use isx_wal::{Wal, WalError};

/// Bits between two flips in the part of a segment that was never written.
const EMPTY_STRIDE_BITS: usize = 997;
/// Bits between two flips of a sealed log: all were tried before it was sealed.
const SEALED_STRIDE_BITS: usize = 61;

/// Flips every bit, swaps sectors, turns sectors back to an older version, loses and misdirects writes, removes and
/// exchanges segments.
///
/// Flips are tried on the log as a crash leaves it, too: there no later batch proves that the last one was synced. The
/// others could there pass for a write that never happened, which nothing on the disk can tell.
pub fn rot_points(setup: Setup<'_>) -> Report {
    let mut random = Random::new(setup.seed);
    let mut run = Run::new(setup, &mut random);
    let mut report = Report { records: run.models.len() - 1, ..Report::default() };
    if let Some(text) = &run.wrong {
        report.judge(|| "workload".to_owned(), Err(text.clone()));
        return report;
    }
    flip_bits(&run, 1, &mut report);
    if let Err(error) = seal(&mut run) {
        report.judge(|| "seal".to_owned(), Err(error.to_string()));
        return report;
    }
    flip_bits(&run, SEALED_STRIDE_BITS, &mut report);
    exchange_sectors(&run, &mut random, &mut report);
    spoil_writes(&run, &mut random, &mut report);
    exchange_files(&run, &mut report);
    report
}

/// Opens the log and closes it in order.
fn seal(run: &mut Run<'_>) -> Result<(), WalError> {
    let disk = repeated(&run.operations, |_, operation| Some(operation.clone()));
    disk.record();
    let (mut wal, _) = Wal::open(&disk, run.options())?;
    wal.seal();
    while let Some(job) = wal.take_job() {
        wal.completed(job.perform(&disk))?;
    }
    run.operations.extend(disk.recorded());
    Ok(())
}

/// The disk after the operations, each changed or left out by `change`.
fn repeated(operations: &[Operation], change: impl Fn(usize, &Operation) -> Option<Operation>) -> SimDisk {
    let disk = SimDisk::new();
    let changed = operations.iter().enumerate().filter_map(|(position, operation)| change(position, operation));
    changed.for_each(|operation| disk.apply(&operation));
    disk
}

fn intact(run: &Run<'_>) -> SimDisk {
    repeated(&run.operations, |_, operation| Some(operation.clone()))
}

/// Refused, or all there.
fn judge(run: &Run<'_>, disk: &SimDisk, report: &mut Report, place: impl FnOnce() -> String) {
    report.points += 1;
    let verdict = match Wal::open(disk, run.options()) {
        Err(WalError::Damaged { .. } | WalError::Lost { .. } | WalError::Version { .. } | WalError::Foreign { .. }) => {
            Ok(())
        }
        Err(error) => Err(error.to_string()),
        Ok((wal, _)) => {
            report.recoveries += 1;
            run.last_model().compare(&wal, disk)
        }
    };
    report.judge(place, verdict);
}

fn flip_bits(run: &Run<'_>, stride_bits: usize, report: &mut Report) {
    let intact = intact(run);
    for path in intact.paths() {
        let contents = intact.contents(&path).unwrap_or_default();
        let written = contents.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1) * 8;
        let empty = (written..contents.len() as u64 * 8).step_by(EMPTY_STRIDE_BITS);
        for bit in (0..written).step_by(stride_bits).chain(empty) {
            let disk = intact.fork();
            disk.flip(&path, bit);
            judge(run, &disk, report, || format!("{path}: bit {bit} flipped"));
        }
    }
}

/// Every sector is put in the place of another, and of its own older version.
fn exchange_sectors(run: &Run<'_>, random: &mut Random, report: &mut Report) {
    let intact = intact(run);
    let half = below(&mut || random.next(), run.operations.len());
    let older = repeated(&run.operations[..half], |_, operation| Some(operation.clone()));
    for path in intact.paths() {
        let contents = intact.contents(&path).unwrap_or_default();
        let sectors: Vec<&[u8]> = contents.chunks(SECTOR_BYTES as usize).collect();
        let before = older.contents(&path).unwrap_or_default();
        for (number, sector) in sectors.iter().enumerate() {
            let offset = number as u64 * SECTOR_BYTES;
            let other = below(&mut || random.next(), sectors.len());
            let swapped = intact.fork();
            swapped.corrupt(&path, offset, sectors[other]);
            swapped.corrupt(&path, other as u64 * SECTOR_BYTES, sector);
            judge(run, &swapped, report, || format!("{path}: sectors {number} and {other} swapped"));
            if let Some(stale) = before.get(offset as usize..offset as usize + sector.len()) {
                let reverted = intact.fork();
                reverted.corrupt(&path, offset, stale);
                judge(run, &reverted, report, || format!("{path}: sector {number} as after operation {half}"));
            }
        }
    }
}

/// Every write is lost, and misdirected.
fn spoil_writes(run: &Run<'_>, random: &mut Random, report: &mut Report) {
    for (position, operation) in run.operations.iter().enumerate() {
        let Operation::Write { file, bytes, .. } = operation else { continue };
        let lost = repeated(&run.operations, |at, operation| (at != position).then(|| operation.clone()));
        judge(run, &lost, report, || format!("operation {position}: write lost"));
        let offset = below(&mut || random.next(), 8) as u64 * SECTOR_BYTES;
        let elsewhere = Operation::Write { file: *file, offset, bytes: bytes.clone() };
        let misdirected = repeated(&run.operations, |at, operation| {
            Some(if at == position { elsewhere.clone() } else { operation.clone() })
        });
        judge(run, &misdirected, report, || format!("operation {position}: written at {offset}"));
    }
}

/// Every segment is missing, and in the place of each other.
fn exchange_files(run: &Run<'_>, report: &mut Report) {
    let intact = intact(run);
    for path in intact.paths() {
        let disk = intact.fork();
        if disk.paths().len() > 1 {
            let removed = disk.remove(&path);
            judge(run, &disk, report, || format!("{path}: removed ({removed:?})"));
        }
        for other in intact.paths().iter().filter(|other| **other != path) {
            let disk = intact.fork();
            let contents = intact.contents(other).unwrap_or_default();
            disk.corrupt(&path, 0, &contents);
            judge(run, &disk, report, || format!("{path}: replaced by {other}"));
        }
    }
}
