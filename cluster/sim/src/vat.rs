//! Seeds of a whole node: clients call a module in WebAssembly over vat connections, follow its table, swap cells, and a
//! publisher mounts, upgrades and removes; the nemesis does its harm.
//!
//! Everything is the real thing but the ports: isx-client and isx-vat over simulated streams, isx-node over a simulated
//! disk, isx-exec. capnp-rpc walks maps of random order, so two runs of such a seed need not be the same.

mod caller;
mod dial;
mod follower;
mod ledger;
mod modules;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]
mod probe;
mod program;
mod publisher;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod upkeep;
#[cfg(test)]
mod views;
#[cfg(test)]
mod volatile;

pub use modules::Modules;
pub(crate) use program::Program;

use crate::history::{Action, History, Operation};
use crate::oracle::{agreement, convergence};
use crate::run::{Kind, Options, Report, finish, judge, report, watch};
use crate::world::World;
use crate::{nemesis, world};
use caller::Caller;
use dial::Dialled;
use follower::Follower;
use ledger::Ledger;
use publisher::Publisher;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Clients of a run; each makes several calls at once.
const CALLERS: Range<u64> = 2..5;
/// Followers of the table.
const FOLLOWERS: Range<u64> = 1..4;
/// Stack of the thread that runs a seed: the module's, and below it the simulation's.
const STACK_BYTES: usize = 2 * isx_exec::limits::THREAD_STACK_BYTES;
/// How long a healed world may take to answer and to tell its followers.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// Changes what a run is made of.
#[derive(Clone)]
pub struct ConfigureNode {
    /// Changes a node before it answers.
    pub node: Arc<dyn Fn(&mut isx_node::Opened) + Send + Sync>,
    /// Changes a client before it dials.
    pub client: Arc<dyn Fn(&isx_client::Client) + Send + Sync>,
}

impl Default for ConfigureNode {
    fn default() -> Self {
        Self { node: Arc::new(|_| ()), client: Arc::new(|_| ()) }
    }
}

/// Runs a seed of [`Kind::Node`].
pub fn run_node(seed: u64, options: Options, modules: &Arc<Modules>) -> Report {
    run_node_with(seed, options, modules, ConfigureNode::default())
}

/// Runs a seed of [`Kind::Node`] whose node and clients are others.
pub fn run_node_with(seed: u64, options: Options, modules: &Arc<Modules>, configure: ConfigureNode) -> Report {
    let modules = modules.clone();
    let run = move || {
        let program = Program::new(modules, configure);
        let world = World::of(seed, 1, Arc::new(|_, _| ()), world::Program::Node(program));
        let history = History::default();
        let agreement: Arc<Mutex<agreement::Agreement>> = Arc::default();
        let story = play(world.clone(), history.clone(), agreement.clone(), options.duration);
        finish(&world, options.duration, story);
        judge(&world, &agreement, &history);
        report(seed, Kind::Node, &world, &history)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(format!("seed-{seed}")).stack_size(STACK_BYTES);
        match thread.spawn_scoped(scope, run).map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(report)) => report,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => panic!("no thread for a seed: {error}"),
        }
    })
}

/// The story of a run.
async fn play(world: Arc<World>, history: History, agreement: Arc<Mutex<agreement::Agreement>>, end: Duration) {
    world.start(0);
    watch(&world, &agreement);
    let mut random = world.split("clients");
    let ledger = Ledger::default();
    // Harm ends before the clients do, so that they finish in a sound world.
    let harm = nemesis::harm(world.clone(), end.mul_f64(0.8));
    let mut publisher = Publisher::new(&world);
    let story = async {
        publisher.publish_first(&ledger).await;
        let follower = |number| Follower::begin(&world, number, world.split("follower"));
        let followers: Vec<Arc<Follower>> = (0..random.range(FOLLOWERS)).map(follower).collect();
        let count = random.range(CALLERS);
        let caller = |number| Caller::new(&world, number, random.split("caller"), history.clone(), ledger.clone());
        let callers: Vec<Caller> = (1..=count).map(caller).collect();
        let calls = futures::future::join_all(callers.iter().map(|caller| caller.run(end)));
        futures::future::join(calls, publisher.run(end)).await;
        followers
    };
    let (followers, ()) = futures::future::join(story, harm).await;
    convergence::wait(&world).await;
    settle(&world, &history, &ledger, &followers).await;
}

/// What everybody must agree on in a world that has come together.
async fn settle(world: &Arc<World>, history: &History, ledger: &Ledger, followers: &[Arc<Follower>]) {
    let wrong = |what: std::fmt::Arguments<'_>| world.findings.report("settled", what);
    let last = Dialled::new(world, dial::Right::Owner);
    for key in caller::keys() {
        let begin = world.executor.now();
        match caller::count(&last, key, SETTLED_WITHIN).await {
            Ok(total) => {
                let (action, end) = (Action::Total(total), Some(world.executor.now()));
                history.note(Operation { key, client: 0, action, begin, end });
            }
            Err(error) => wrong(format_args!("key {key} can not be read: {error}")),
        }
    }
    let rows = match caller::rows(&last).await {
        Ok(rows) => rows,
        Err(error) => return wrong(format_args!("the rows can not be read: {error}")),
    };
    let sum: u64 = rows.values().sum();
    match caller::sum(&last, SETTLED_WITHIN).await {
        Ok(told) if told == sum => {}
        told => wrong(format_args!("the counters are {sum} together, the sum is {told:?}")),
    }
    let late = world.executor.now() + SETTLED_WITHIN;
    for follower in followers {
        while !follower.has(&rows) && world.executor.now() < late {
            world.sleep(Duration::from_millis(50)).await;
        }
        follower.judge(&rows, ledger);
    }
}
