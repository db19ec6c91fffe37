//! Stops a workload on a log after each of its disk operations, under each crash model, and judges what recovers.
//!
//! The log is one stream, so the judgement is sharp: what recovery gives must be exactly the state after the first `n`
//! records submitted, with `n` at least what was acknowledged and at most what was submitted when the crash came. The
//! model that this is compared with shares no code with the log.

use super::crash::below;
use super::model::{Model, random_record};
use super::{Crash, Fault, Operation, SimDisk};
use crate::random::Random;
use isx_wal::{Group, LogIdentity, Options, Record, Wal, WalError};

const DIR: &str = "wal";
const IDENTITY: LogIdentity = LogIdentity(*b"crash-point-node");
/// Failures that a report describes; more are counted.
const FAILURES_TOLD_MAX: usize = 8;

/// What a run of crash points varies.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// Decides everything.
    pub seed: u64,
    /// How many disk operations the workload does, each of which is a crash point.
    pub operations: usize,
    /// Something that goes wrong on the way.
    pub fault: Option<Fault>,
    /// Changes the log's options.
    pub configure: &'a dyn Fn(&mut Options),
}

/// What the crash points showed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many crashes, or damaged disks.
    pub points: usize,
    /// How many recoveries, those of crashed recoveries and of second lives included.
    pub recoveries: usize,
    /// How many torn tails were cut.
    pub cuts: usize,
    /// How many records the workload submitted.
    pub records: usize,
    /// How many times something was wrong.
    pub failed: usize,
    /// The first of them, each with its operation and model.
    pub failures: Vec<String>,
}

impl Report {
    pub(super) fn judge(&mut self, place: impl FnOnce() -> String, verdict: Result<(), String>) {
        if let Err(text) = verdict {
            self.failed += 1;
            if self.failures.len() < FAILURES_TOLD_MAX {
                self.failures.push(format!("{}: {text}", place()));
            }
        }
    }
}

/// Every operation of a workload × six models, on a sound disk.
pub fn crash_points(seed: u64, operations: usize) -> Report {
    crash_points_with(Setup { seed, operations, fault: None, configure: &|_| {} })
}

/// As [`crash_points`], with a fault or other options.
pub fn crash_points_with(setup: Setup<'_>) -> Report {
    let mut random = Random::new(setup.seed);
    let run = Run::new(setup, &mut random);
    let mut report = Report { records: run.models.len() - 1, ..Report::default() };
    if let Some(text) = &run.wrong {
        report.judge(|| "workload".to_owned(), Err(text.clone()));
    }
    let disk = SimDisk::new();
    for at in 0..=run.operations.len() {
        if let Some(operation) = at.checked_sub(1).and_then(|before| run.operations.get(before)) {
            disk.apply(operation);
        }
        for model in Crash::ALL {
            report.points += 1;
            let crashed = disk.crash(*model, &mut || random.next());
            let verdict = life_after(&run, at, &crashed, &mut random, &mut report);
            report.judge(|| format!("operation {at}, {model:?}"), verdict);
        }
    }
    report
}

/// Recovers after a crash, and again after a crash during that; then lives on, crashes and recovers once more.
fn life_after(
    run: &Run<'_>,
    at: usize,
    crashed: &SimDisk,
    random: &mut Random,
    report: &mut Report,
) -> Result<(), String> {
    let (acknowledged, submitted) = run.bounds(at);
    let before = crashed.fork();
    crashed.record();
    let (mut wal, found) =
        recover(run, crashed, acknowledged, submitted, report).map_err(|text| format!("recovery: {text}"))?;

    let steps = crashed.recorded();
    let stop = below(&mut || random.next(), steps.len() + 1);
    steps[..stop].iter().for_each(|operation| before.apply(operation));
    let again = before.crash(any_model(random), &mut || random.next());
    recover(run, &again, acknowledged, submitted, report).map_err(|text| format!("recovery of a recovery: {text}"))?;

    // What recovery returned was shown to raft: it may not be lost any more, whatever is written after it.
    let mut oracle = vec![run.models[found].clone()];
    let mut kept = 0;
    if random.next() & 1 == 0 {
        for _ in 0..1 + random.next() % 3 {
            let (group, record) = random_record(&oracle[oracle.len() - 1], random);
            oracle.push(oracle[oracle.len() - 1].after(group, &record));
            wal.submit(group, record).map_err(|error| format!("second life: {error}"))?;
        }
        while let Some(job) = wal.take_job() {
            wal.completed(job.perform(crashed)).map_err(|error| format!("second life: {error}"))?;
        }
        kept = oracle.len() - 1;
    }
    let third = crashed.crash(any_model(random), &mut || random.next());
    report.recoveries += 1;
    let (wal, _) = Wal::open(&third, run.options()).map_err(|error| format!("after a second life: {error}"))?;
    let number = wal.durable().0.checked_sub(found as u64).map(|number| number as usize);
    match number.and_then(|number| oracle.get(number).filter(|_| number >= kept)) {
        Some(model) => model.compare(&wal, &third).map_err(|text| format!("after a second life: {text}")),
        None => Err(format!("after a second life: {} records, expected {}", wal.durable().0, found + kept)),
    }
}

fn any_model(random: &mut Random) -> Crash {
    Crash::ALL[below(&mut || random.next(), Crash::ALL.len())]
}

/// Opens the log and finds which prefix of the stream it holds.
fn recover(
    run: &Run<'_>,
    disk: &SimDisk,
    acknowledged: u64,
    submitted: u64,
    report: &mut Report,
) -> Result<(Wal, usize), String> {
    report.recoveries += 1;
    let (wal, recovered) = Wal::open(disk, run.options()).map_err(|error| error.to_string())?;
    report.cuts += usize::from(recovered.cut.is_some());
    let found = recovered.durable.0;
    if found < acknowledged {
        return Err(format!("{found} records, but {acknowledged} were acknowledged"));
    }
    if found > submitted {
        return Err(format!("{found} records, but only {submitted} were submitted"));
    }
    run.models[found as usize].compare(&wal, disk)?;
    Ok((wal, found as usize))
}

/// A workload that was run once, and what it must leave after any of its operations.
pub(super) struct Run<'a> {
    setup: Setup<'a>,
    pub(super) operations: Vec<Operation>,
    /// The state after each record.
    pub(super) models: Vec<Model>,
    /// After so many operations so many records were acknowledged.
    acknowledged: Vec<(usize, u64)>,
    /// After so many operations so many records had been submitted.
    submitted: Vec<(usize, u64)>,
    /// Something that was wrong without a crash.
    pub(super) wrong: Option<String>,
}

impl<'a> Run<'a> {
    pub(super) fn new(setup: Setup<'a>, random: &mut Random) -> Self {
        let (operations, models) = (Vec::new(), vec![Model::default()]);
        let mut run = Self { setup, operations, models, acknowledged: Vec::new(), submitted: Vec::new(), wrong: None };
        let disk = SimDisk::new();
        disk.record();
        if let Some(fault) = setup.fault {
            disk.plant(fault);
        }
        if let Err(text) = run.work(&disk, random) {
            run.wrong = Some(text);
        }
        run.operations = disk.recorded();
        run
    }

    pub(super) fn options(&self) -> Options {
        let mut options = Options::new(DIR, IDENTITY);
        options.segment_bytes_first = 4096;
        options.segment_bytes_max = 16 * 1024;
        options.cache_bytes = 2048;
        (self.setup.configure)(&mut options);
        options
    }

    fn work(&mut self, disk: &SimDisk, random: &mut Random) -> Result<(), String> {
        let mut wal = match Wal::open(disk, self.options()) {
            Ok((wal, _)) => wal,
            Err(WalError::Disk(_)) if self.setup.fault.is_some() => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        while (disk.operation_count() as usize) < self.setup.operations {
            let some = 1 + random.next() % 4;
            self.submit(&mut wal, disk, random, some)?;
            let Some(job) = wal.take_job() else { continue };
            // What is submitted while a job is out goes with the next.
            let more = random.next() % 3;
            self.submit(&mut wal, disk, random, more)?;
            let done = job.perform(disk);
            match wal.completed(done) {
                Ok(completion) => self.acknowledged.push((disk.operation_count() as usize, completion.durable.0)),
                Err(WalError::Fatal { .. }) if self.setup.fault.is_some() => return refuses_everything(&mut wal),
                Err(error) => return Err(error.to_string()),
            }
            self.last_model().compare(&wal, disk).map_err(|text| format!("without a crash: {text}"))?;
        }
        while let Some(job) = wal.take_job() {
            let completion = wal.completed(job.perform(disk)).map_err(|error| error.to_string())?;
            self.acknowledged.push((disk.operation_count() as usize, completion.durable.0));
        }
        Ok(())
    }

    pub(super) fn last_model(&self) -> &Model {
        &self.models[self.models.len() - 1]
    }

    fn submit(&mut self, wal: &mut Wal, disk: &SimDisk, random: &mut Random, count: u64) -> Result<(), String> {
        for _ in 0..count {
            let (group, record) = random_record(self.last_model(), random);
            self.models.push(self.last_model().after(group, &record));
            let ticket = wal.submit(group, record).map_err(|error| error.to_string())?;
            self.submitted.push((disk.operation_count() as usize, ticket.0));
        }
        Ok(())
    }

    /// How many records were acknowledged, and submitted, when `at` operations were done.
    fn bounds(&self, at: usize) -> (u64, u64) {
        let last = |list: &[(usize, u64)], before: usize| {
            list[..list.partition_point(|(done, _)| *done <= before)].last().map_or(0, |(_, number)| *number)
        };
        (last(&self.acknowledged, at), last(&self.submitted, at))
    }
}

fn refuses_everything(wal: &mut Wal) -> Result<(), String> {
    let refused = matches!(wal.submit(Group(0), Record::Truncate { from: 0 }), Err(WalError::Fatal { .. }));
    if refused && wal.take_job().is_none() { Ok(()) } else { Err("a failed log goes on".to_owned()) }
}
