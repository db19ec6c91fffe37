//! Runs seeds and says which fail: `isx-sim --seeds N --seed FIRST --seconds S`. A seed's number says its kind, unless
//! `--kind` does. Seeds of whole nodes run the tally that `--guests DIR` has, or `$ISX_GUESTS`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use isx_sim::{Kind, Modules, Options, Report, run, run_node};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str =
    "usage: isx-sim [--seeds N] [--seed FIRST] [--seconds S] [--kind raft|node] [--guests DIR] [--trace]";

/// What is asked for.
struct Asked {
    seeds: u64,
    first: u64,
    seconds: u64,
    kind: Option<Kind>,
    guests: Option<PathBuf>,
    trace: bool,
}

impl Asked {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let guests = std::env::var_os("ISX_GUESTS").map(PathBuf::from);
        let mut asked = Self { seeds: 1, first: 1, seconds: 30, kind: None, guests, trace: false };
        while let Some(argument) = arguments.next() {
            if argument == "--trace" {
                asked.trace = true;
                continue;
            }
            let value = arguments.next()?;
            match argument.as_str() {
                "--seeds" => asked.seeds = value.parse().ok()?,
                "--seed" => asked.first = value.parse().ok()?,
                "--seconds" => asked.seconds = value.parse().ok()?,
                "--guests" => asked.guests = Some(value.into()),
                "--kind" => asked.kind = Some(kind(&value)?),
                _ => return None,
            }
        }
        Some(asked)
    }

    fn kind(&self, seed: u64) -> Kind {
        self.kind.unwrap_or(Kind::of(seed))
    }

    /// What seeds of whole nodes publish, if there are such seeds.
    fn modules(&self) -> Result<Option<Arc<Modules>>, String> {
        if !(self.first..self.first.saturating_add(self.seeds)).any(|seed| self.kind(seed) == Kind::Node) {
            return Ok(None);
        }
        let folder = self.guests.as_ref().ok_or("seeds of whole nodes need --guests or $ISX_GUESTS")?;
        Modules::of_folder(folder).map(Some)
    }
}

fn kind(word: &str) -> Option<Kind> {
    [Kind::Raft, Kind::Node].into_iter().find(|kind| kind.word() == word)
}

/// What the seeds of a kind did together.
#[derive(Default)]
struct Total {
    seeds: u64,
    failed: u64,
    answered: usize,
    simulated: Duration,
    took: Duration,
}

impl Total {
    fn add(&mut self, report: &Report, took: Duration, trace: bool) {
        self.seeds += 1;
        self.answered += report.answered;
        self.simulated += report.simulated;
        self.took += took;
        if trace || !report.findings.is_empty() {
            report.lines.iter().for_each(|line| println!("{line}"));
        }
        if !report.findings.is_empty() {
            self.failed += 1;
            let Report { seed, kind, voters, findings, .. } = report;
            println!("seed {seed} ({}, {voters} voters) fails:", kind.word());
            findings.iter().for_each(|finding| println!("  {finding}"));
            if Kind::of(*seed) == *kind {
                println!("  replay: cargo xtask sim --seeds 1 --seed {seed}");
            } else {
                println!("  replay: isx-sim --kind {} --seeds 1 --seed {seed}", kind.word());
            }
        }
    }
}

/// Says on standard error how far the seeds are, now and then.
struct Progress {
    seeds: u64,
    told: Mutex<Instant>,
}

impl Progress {
    const EVERY: Duration = Duration::from_secs(10);

    fn note(&self, totals: &BTreeMap<&str, Total>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= Self::EVERY {
            *told = Instant::now();
            let count = |of: fn(&Total) -> u64| totals.values().map(of).sum::<u64>();
            eprintln!("{} of {} seeds, {} failed", count(|total| total.seeds), self.seeds, count(|total| total.failed));
        }
    }
}

fn main() -> ExitCode {
    let Some(asked) = Asked::read(std::env::args().skip(1)) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let modules = match asked.modules() {
        Ok(modules) => modules,
        Err(why) => {
            println!("{why}");
            return ExitCode::from(2);
        }
    };
    let options = Options { duration: Duration::from_secs(asked.seconds), ..Options::default() };
    let began = Instant::now();
    // A seed has one thread; the machine has several.
    let (next, totals) = (AtomicU64::new(asked.first), Mutex::new(BTreeMap::<&str, Total>::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let progress = Progress { seeds: asked.seeds, told: Mutex::new(began) };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= asked.first.saturating_add(asked.seeds) {
                        break;
                    }
                    let kind = asked.kind(seed);
                    let began = Instant::now();
                    let report = match &modules {
                        Some(modules) if kind == Kind::Node => run_node(seed, options, modules),
                        _ => run(seed, options),
                    };
                    let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
                    totals.entry(kind.word()).or_default().add(&report, began.elapsed(), asked.trace);
                    progress.note(&totals);
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut failed = 0;
    for (kind, total) in &totals {
        failed += total.failed;
        let simulated = total.simulated.as_secs_f64();
        println!(
            "{kind}: {} seeds, {} failed, {} calls answered, {simulated:.0} simulated seconds, {:.0} x real time on a thread",
            total.seeds,
            total.failed,
            total.answered,
            simulated / total.took.as_secs_f64().max(1e-9)
        );
    }
    let simulated: f64 = totals.values().map(|total| total.simulated.as_secs_f64()).sum();
    let took = began.elapsed().as_secs_f64();
    println!(
        "{} seeds, {failed} failed, {simulated:.0} simulated seconds in {took:.1} s: {:.0} x real time",
        asked.seeds,
        simulated / took.max(1e-9)
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
