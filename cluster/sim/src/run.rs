//! One run: a world from a seed, clients and harm, then healing, then judgement.

use crate::client::{Client, GIVER, MOUNT, TAKER, create_mounts};
use crate::history::{Action, History};
use crate::oracle::{agreement, batches, convergence, exactly_once, linear, past, post, raft, timers};
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

/// What a seed is a run of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// isx-raft and what is below it, over the twin of a module: [`run`].
    Raft,
    /// A whole node and clients of it: [`run_node`](crate::run_node).
    Node,
}

impl Kind {
    /// The kind of a seed: every fifth is of a whole node.
    pub fn of(seed: u64) -> Self {
        if seed.is_multiple_of(5) { Self::Node } else { Self::Raft }
    }

    /// The kind in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::Node => "node",
        }
    }
}

/// What a run varies beside its seed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Voters of a run of [`Kind::Raft`]; 0 lets the seed choose 1 or 3.
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
    /// What it was a run of.
    pub kind: Kind,
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
    let main = play(world.clone(), history.clone(), agreement.clone(), options.duration);
    let finished = finish(&world, options.duration, main);
    judge(&world, &agreement, &history);
    if let Some(totals) = finished {
        exactly_once::check(&history.all(), &totals, &world.findings);
    }
    report(seed, Kind::Raft, &world, &history)
}

/// Runs a story whose harm and clients end at `end`; none if it does not come to its end.
pub(crate) fn finish<T: Send + 'static>(
    world: &Arc<World>,
    end: Duration,
    story: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    // Everything after the end has bounds of its own; this one only catches a world that stands still.
    let end = end + Duration::from_secs(120);
    match catch_unwind(AssertUnwindSafe(|| world.executor.block_on(end, story))) {
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
    }
}

/// Begins to look at the machines, and to start those whose process ends.
pub(crate) fn watch(world: &Arc<World>, agreement: &Arc<Mutex<agreement::Agreement>>) {
    let watch = {
        let (world, agreement) = (world.clone(), agreement.clone());
        async move {
            let mut invariants = raft::Invariants::default();
            let mut origin = timers::Origin::default();
            loop {
                origin.look(&world);
                agreement.lock().unwrap_or_else(PoisonError::into_inner).look(&world);
                invariants.look(&world);
                world.sleep(LOOK_EVERY).await;
            }
        }
    };
    world.executor.spawn(Life::WORLD, "oracles", Box::pin(watch));
    world.executor.spawn(Life::WORLD, "supervisor", Box::pin(nemesis::supervise(world.clone())));
}

/// Judges what a run leaves.
pub(crate) fn judge(world: &Arc<World>, agreement: &Mutex<agreement::Agreement>, history: &History) {
    raft::match_logs(world);
    if world.findings.all().is_empty() {
        batches::check(world, &agreement.lock().unwrap_or_else(PoisonError::into_inner));
    }
    linear::check(&history.all(), &world.findings);
}

/// What came of a run, whose world ends.
pub(crate) fn report(seed: u64, kind: Kind, world: &Arc<World>, history: &History) -> Report {
    let operations = history.all();
    let asks = |action: &Action| matches!(action, Action::Put(_) | Action::Add(..) | Action::Take(..));
    let report = Report {
        seed,
        kind,
        voters: world.nodes.len() as u64,
        findings: world.findings.all(),
        answered: operations.iter().filter(|one| one.end.is_some() && asks(&one.action)).count(),
        operations: operations.len(),
        hash: world.trace.hash(),
        steps: world.trace.steps(),
        simulated: world.executor.now(),
        lines: world.trace.lines(),
    };
    world.end_all();
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
    watch(&world, &agreement);
    let known = past::Known::watch(&world, LOOK_EVERY);
    create_mounts(&world).await;
    if let Err(error) = Client::new(world.clone(), history.clone(), 0).make_home().await {
        world.findings.report("client", format_args!("no home: {error}"));
    }
    let count = world.split("clients").range(CLIENTS);
    let clients = (1..=count).map(|number| Client::new(world.clone(), history.clone(), number).run(end));
    // Harm ends before the clients do, so that they finish in a sound world.
    let harm = nemesis::harm(world.clone(), end.mul_f64(0.8));
    let mounts = Client::new(world.clone(), history.clone(), count + 1).mounts(end);
    futures::future::join3(futures::future::join_all(clients), mounts, harm).await;
    timers::wait(&world).await;
    post::check(&world).await;
    convergence::wait(&world).await;
    known.check(&world).await;
    tree::check(&world, &[MOUNT, GIVER, TAKER]);
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
