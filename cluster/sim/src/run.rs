//! One run: a world from a seed, clients and harm, then healing, then judgement.

use crate::client::{Client, MOUNT, create_mount};
use crate::history::{Action, History};
use crate::oracle::{agreement, batches, convergence, exactly_once, linear, raft};
use crate::world::{Configure, World};
use crate::{Life, nemesis, tree};
use isx_cluster::QueryCall;
use isx_cluster::twin::Twin;
use isx_raft::MOUNTS;
use isx_row::{Principal, Signature, Value};
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Clients of a run: with many of them entries hold more than one request.
const CLIENTS: Range<u64> = 2..8;
/// How often the oracles look.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a run varies beside its seed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Voters; 0 lets the seed choose 1 or 3.
    pub voters: u64,
    /// Simulated time before the world heals.
    pub duration: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { voters: 0, duration: Duration::from_secs(30) }
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Voters.
    pub voters: u64,
    /// What is wrong; nothing, if all is well.
    pub findings: Vec<String>,
    /// Calls that were answered.
    pub answered: usize,
    /// Queries and calls noted.
    pub operations: usize,
    /// The hash of everything that happened, disks included.
    pub hash: u64,
    /// Steps of the executor.
    pub steps: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// The last lines of the trace.
    pub lines: Vec<String>,
}

/// Runs a seed.
pub fn run(seed: u64, options: Options) -> Report {
    run_with(seed, options, Arc::new(|_, _| ()))
}

/// Runs a seed with nodes that have other options.
pub fn run_with(seed: u64, options: Options, configure: Configure) -> Report {
    let voters = match options.voters {
        0 if seed.is_multiple_of(4) => 1,
        0 => 3,
        given => given,
    };
    let world = World::new_with(seed, voters, configure);
    let history = History::default();
    let agreement: Arc<Mutex<agreement::Agreement>> = Arc::default();
    let end = options.duration;
    let main = play(world.clone(), history.clone(), agreement.clone(), end);
    // Everything after the end has bounds of its own; this one only catches a world that stands still.
    let end = end + Duration::from_secs(120);
    let ran = catch_unwind(AssertUnwindSafe(|| world.executor.block_on(end, main)));
    let finished = match ran {
        Ok(finished) => {
            if finished.is_none() {
                world.findings.report("run", format_args!("the world stands still"));
            }
            finished
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            world.findings.report("panic", format_args!("{text}"));
            None
        }
    };
    raft::match_logs(&world);
    if world.findings.all().is_empty() {
        batches::check(&world, &agreement.lock().unwrap_or_else(PoisonError::into_inner));
    }
    let operations = history.all();
    linear::check(&operations, &world.findings);
    if let Some(totals) = finished {
        exactly_once::check(&operations, &totals, &world.findings);
    }
    let report = Report {
        seed,
        voters,
        findings: world.findings.all(),
        answered: operations
            .iter()
            .filter(|one| one.end.is_some() && matches!(one.action, Action::Put(_) | Action::Add(..)))
            .count(),
        operations: operations.len(),
        hash: world.trace.hash(),
        steps: world.trace.steps(),
        simulated: world.executor.now(),
        lines: world.trace.lines(),
    };
    for index in 0..world.nodes.len() {
        // Breaks the circle of world, executor, tasks and world.
        world.kill(index, crate::disk::Crash::KeepAll, &mut crate::Random::new(0));
    }
    world.executor.kill(Life::WORLD);
    report
}

/// The story of a run; gives the counters at the end.
async fn play(
    world: Arc<World>,
    history: History,
    agreement: Arc<Mutex<agreement::Agreement>>,
    end: Duration,
) -> BTreeMap<u64, u64> {
    for index in 0..world.nodes.len() {
        world.start(index);
    }
    let watch = {
        let world = world.clone();
        async move {
            let mut invariants = raft::Invariants::default();
            loop {
                agreement.lock().unwrap_or_else(PoisonError::into_inner).look(&world);
                invariants.look(&world);
                world.sleep(LOOK_EVERY).await;
            }
        }
    };
    world.executor.spawn(Life::WORLD, "oracles", Box::pin(watch));
    world.executor.spawn(Life::WORLD, "supervisor", Box::pin(nemesis::supervise(world.clone())));
    create_mount(&world).await;
    if let Err(error) = Client::new(world.clone(), history.clone(), 0).make_home().await {
        world.findings.report("client", format_args!("no home: {error}"));
    }
    let count = world.split("clients").range(CLIENTS);
    let clients = (1..=count).map(|number| Client::new(world.clone(), history.clone(), number).run(end));
    // Harm ends before the clients do, so that they finish in a sound world.
    let harm = nemesis::harm(world.clone(), end.mul_f64(0.8));
    let mounts = Client::new(world.clone(), history.clone(), count + 1).mounts(end);
    futures::future::join3(futures::future::join_all(clients), mounts, harm).await;
    convergence::wait(&world).await;
    tree::check(&world, MOUNT);
    totals(&world)
}

fn totals(world: &Arc<World>) -> BTreeMap<u64, u64> {
    let view = world.up().first().and_then(|index| world.raft(*index)).and_then(|raft| raft.view(MOUNTS).ok());
    let total = |key: u64| {
        let call = QueryCall {
            name: "total".into(),
            signature: Signature::ANY,
            principal: Principal([9; 32]),
            trusted: true,
            payload: Twin::arguments("total", &[Value::String(key.to_string())]),
        };
        let answer = view.as_ref()?.mount(&MOUNT)?.query(&Twin::default(), &call).ok()?;
        match Twin::answer("total", &answer) {
            Ok(Value::U64(total)) => Some((key, total)),
            _ => None,
        }
    };
    crate::client::counters().filter_map(total).collect()
}
