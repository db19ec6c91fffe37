//! Runs seeds and says which fail: `isx-sim --seeds N --seed FIRST --seconds S`.
#![allow(clippy::print_stdout, reason = "a program for people")]

use isx_sim::{Options, Report, run};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the seeds did together.
#[derive(Default)]
struct Total {
    failed: u64,
    answered: usize,
    simulated: Duration,
}

impl Total {
    fn add(&mut self, seed: u64, report: &Report, trace: bool) {
        self.answered += report.answered;
        self.simulated += report.simulated;
        if trace || !report.findings.is_empty() {
            report.lines.iter().for_each(|line| println!("{line}"));
        }
        if !report.findings.is_empty() {
            self.failed += 1;
            println!("seed {seed} ({} voters) fails:", report.voters);
            report.findings.iter().for_each(|finding| println!("  {finding}"));
            println!("  replay: cargo xtask sim --seeds 1 --seed {seed}");
        }
    }
}

fn main() -> ExitCode {
    let (mut seeds, mut first, mut seconds, mut trace) = (1, 1, 30, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|value| value.parse::<u64>().ok());
        let given = match argument.as_str() {
            "--seeds" => number().map(|value| seeds = value),
            "--seed" => number().map(|value| first = value),
            "--seconds" => number().map(|value| seconds = value),
            "--trace" => {
                trace = true;
                Some(())
            }
            _ => None,
        };
        if given.is_none() {
            println!("usage: isx-sim [--seeds N] [--seed FIRST] [--seconds S] [--trace]");
            return ExitCode::from(2);
        }
    }
    let options = Options { duration: Duration::from_secs(seconds), ..Options::default() };
    let began = Instant::now();
    // A seed has one thread; the machine has several.
    let (next, total) = (AtomicU64::new(first), Mutex::new(Total::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first.saturating_add(seeds) {
                        break;
                    }
                    let report = run(seed, options);
                    total.lock().unwrap_or_else(PoisonError::into_inner).add(seed, &report, trace);
                }
            });
        }
    });
    let Total { failed, answered, simulated } = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let took = began.elapsed();
    let speed = simulated.as_secs_f64() / took.as_secs_f64().max(1e-9);
    println!(
        "{seeds} seeds, {failed} failed, {answered} calls answered, {:.0} simulated seconds in {:.1} s: {speed:.0} x real time",
        simulated.as_secs_f64(),
        took.as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
