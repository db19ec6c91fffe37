//! Machines that run isx-raft, or a whole node, over a simulated disk, network, clock and executor, and can be killed and
//! started again.

use crate::clock::{SimClock, SimEntropy};
use crate::disk::{Crash, Fault, SimDisk};
use crate::executor::{Executor, LaneTimes, Life};
use crate::findings::{Findings, causes};
use crate::net::{SimNet, Weather};
use crate::oracle::durable::Durable;
use crate::random::Random;
use crate::trace::Trace;
use crate::vat;
use isx_cluster::twin::Twin;
use isx_port::{Clock, Instant, PeerId, Ports};
use isx_raft::{Options, Origin, Raft, Retention, Rule};
use isx_row::Span;
use isx_store::Executor as ModuleExecutor;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The cluster that is simulated.
pub const CLUSTER: [u8; 16] = *b"simulated-isx-01";
/// Entries between snapshots: few, so that they happen often.
const ENTRIES_PER_SNAPSHOT: u64 = 120;
/// Bytes of history that a node keeps.
pub const HISTORY_BYTES_MAX: u64 = 128 * 1024;

/// Changes the options of a node, given its number.
pub type Configure = Arc<dyn Fn(u64, &mut Options) + Send + Sync>;

/// What machines run.
pub(crate) enum Program {
    /// isx-raft alone, over the twin of a module.
    Raft,
    /// A whole node.
    Node(vat::Program),
}

/// How a process ended that nobody killed.
pub(crate) enum End {
    /// It did not start.
    NotStarted(String),
    /// It failed later.
    Failed(String),
}

/// One machine.
pub struct Node {
    /// Its Raft id.
    pub id: u64,
    /// Its identity on the network.
    pub peer: PeerId,
    drift_ppm: i64,
    wall_offset_us: Arc<AtomicI64>,
    state: Mutex<NodeState>,
}

struct NodeState {
    disk: SimDisk,
    life: Option<Life>,
    clock: Option<Arc<SimClock>>,
    raft: Option<Raft>,
    /// It has been up once: an empty log would be a loss.
    origin: Origin,
    /// A fault was planted on its disk in this life.
    faulty: bool,
    /// Its process has ended by itself.
    ended: bool,
}

/// The whole simulated world.
pub struct World {
    /// Runs everything.
    pub executor: Executor,
    /// Connects everything.
    pub net: SimNet,
    /// What happened.
    pub trace: Trace,
    /// What is wrong.
    pub findings: Findings,
    /// The machines.
    pub nodes: Vec<Node>,
    /// What is durable on their disks.
    pub durable: Durable,
    /// Keys that were put where another mount hears of it, and acknowledged.
    pub(crate) told: Mutex<BTreeSet<String>>,
    pub(crate) program: Program,
    configure: Configure,
    lives: AtomicU64,
    random: Mutex<Random>,
    /// Peers that are no machines: callers, with the lives of their programs.
    callers: Mutex<Vec<(PeerId, Life)>>,
}

impl World {
    /// A world of stopped machines.
    pub fn new(seed: u64, voters: u64) -> Arc<Self> {
        Self::new_with(seed, voters, Arc::new(|_, _| ()))
    }

    /// A world of stopped machines whose nodes have other options.
    pub fn new_with(seed: u64, voters: u64, configure: Configure) -> Arc<Self> {
        Self::of(seed, voters, configure, Program::Raft)
    }

    /// A world of stopped machines that run `program`.
    pub(crate) fn of(seed: u64, voters: u64, configure: Configure, program: Program) -> Arc<Self> {
        let mut random = Random::new(seed);
        let trace = Trace::default();
        let executor = Executor::new(random.split("executor"), LaneTimes::default(), trace.clone());
        let net = SimNet::new(executor.clone(), random.split("net"), Weather::fair());
        let nodes = (1..=voters).map(|id| Node::new(id, &mut random)).collect();
        Arc::new(Self {
            executor,
            net,
            trace,
            findings: Findings::default(),
            nodes,
            durable: Durable::default(),
            told: Mutex::default(),
            program,
            configure,
            lives: AtomicU64::new(1),
            random: Mutex::new(random.split("world")),
            callers: Mutex::default(),
        })
    }

    fn callers(&self) -> MutexGuard<'_, Vec<(PeerId, Life)>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A life that begins now.
    fn born(&self) -> Life {
        Life(self.lives.fetch_add(1, Ordering::Relaxed))
    }

    /// Another peer of the network, which is no machine.
    pub(crate) fn caller(&self) -> (PeerId, Life) {
        let mut callers = self.callers();
        let mut peer = [0xca; 32];
        peer[..8].copy_from_slice(&(callers.len() as u64).to_be_bytes());
        let caller = (PeerId(peer), self.born());
        callers.push(caller);
        caller
    }

    /// Ends a program where it stands, and its connections.
    #[cfg(test)]
    pub(crate) fn end_caller(&self, life: Life) {
        let mut callers = self.callers();
        let place = callers.iter().position(|(_, one)| *one == life).expect("a program that runs");
        let (peer, life) = callers.remove(place);
        self.net.kill(peer, life);
        self.executor.kill(life);
    }

    /// Every peer of the network.
    pub(crate) fn peers(&self) -> Vec<PeerId> {
        let machines = self.nodes.iter().map(|node| node.peer);
        machines.chain(self.callers().iter().map(|(peer, _)| *peer)).collect()
    }

    /// Ends everything: machines, callers and the world's own tasks.
    pub(crate) fn end_all(&self) {
        // Breaks the circle of world, executor, tasks and world.
        for index in 0..self.nodes.len() {
            self.kill(index, Crash::KeepAll, &mut Random::new(0));
        }
        let callers = std::mem::take(&mut *self.callers());
        callers.into_iter().for_each(|(_, life)| self.executor.kill(life));
        self.executor.kill(Life::WORLD);
    }

    /// What applies the modules that machines run.
    pub(crate) fn module_executor(&self) -> Result<Arc<dyn ModuleExecutor>, isx_row::Error> {
        match &self.program {
            Program::Raft => Ok(Arc::new(Twin::default())),
            Program::Node(program) => Ok(program.executor_with_all()?),
        }
    }

    /// A generator of its own for a part of the world.
    pub fn split(&self, name: &str) -> Random {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).split(name)
    }

    /// Says something in the trace.
    pub fn say(&self, what: std::fmt::Arguments<'_>) {
        self.trace.say(self.executor.now(), what);
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        let at = self.executor.now() + duration;
        self.executor.sleep_until(Life::WORLD, at).await;
    }

    /// Starts a stopped machine.
    pub fn start(self: &Arc<Self>, index: usize) {
        let Some(node) = self.nodes.get(index) else { return };
        let life = self.born();
        let clock = Arc::new(SimClock::new(self.executor.clone(), life, node.drift_ppm, node.wall_offset_us.clone()));
        let (disk, origin) = {
            let mut state = node.state();
            if state.life.is_some() {
                return;
            }
            state.life = Some(life);
            state.clock = Some(clock.clone());
            (state.disk.clone(), state.origin)
        };
        let ports = Ports {
            net: self.net.port(node.peer, life),
            disk: Arc::new(disk),
            clock,
            entropy: Arc::new(SimEntropy::new(self.split("entropy"))),
            spawn: self.executor.spawner(life),
        };
        let founders: BTreeMap<u64, PeerId> = self.nodes.iter().map(|node| (node.id, node.peer)).collect();
        let mut options = Options::new(node.id, CLUSTER, founders, origin);
        options.entries_per_snapshot = ENTRIES_PER_SNAPSHOT;
        options.history = history(node.id);
        (self.configure)(node.id, &mut options);
        self.say(format_args!("node {} starts as life {}", node.id, life.0));
        let world = self.clone();
        let main = async move {
            let Some(node) = world.nodes.get(index) else { return };
            let end = match &world.program {
                Program::Raft => match Raft::start(ports, options, Arc::new(Twin::default())).await {
                    Ok(raft) => {
                        world.opened(node, &raft);
                        crate::oracle::ring::follow(&world, life, node.id, &raft);
                        End::Failed(raft.failed().await)
                    }
                    Err(error) => End::NotStarted(causes(&error)),
                },
                Program::Node(program) => program.run(&world, node, life, ports, options).await,
            };
            world.ended(node, end);
        };
        self.executor.spawn(life, "node", Box::pin(main));
    }

    /// A machine's log is open.
    pub(crate) fn opened(&self, node: &Node, raft: &Raft) {
        let mut state = node.state();
        state.raft = Some(raft.clone());
        state.origin = Origin::Existing;
    }

    fn ended(&self, node: &Node, end: End) {
        let (faulty, bounded) = {
            let state = node.state();
            (state.faulty, state.disk.is_bounded())
        };
        match end {
            End::NotStarted(why) => self.end(node, faulty || bounded, format_args!("did not start: {why}")),
            // A full disk is waited out.
            End::Failed(why) => self.end(node, faulty, format_args!("failed: {why}")),
        }
    }

    /// A process ended by itself: excused, if its disk was made to fail.
    fn end(&self, node: &Node, excused: bool, what: std::fmt::Arguments<'_>) {
        if excused {
            self.say(format_args!("node {} {what}", node.id));
            node.state().ended = true;
        } else {
            self.findings.report("node", format_args!("node {} {what}", node.id));
        }
    }

    /// Plants a fault on a machine's disk: from now on its process may end by itself.
    pub(crate) fn plant(&self, index: usize, fault: Fault) {
        let Some(node) = self.nodes.get(index) else { return };
        self.say(format_args!("the disk of node {} gets {fault:?}", node.id));
        let mut state = node.state();
        state.faulty = true;
        state.disk.plant(fault);
    }

    /// Whether a machine's disk does what it is told.
    pub(crate) fn is_sound(&self, index: usize) -> bool {
        self.nodes.get(index).is_some_and(|node| {
            let state = node.state();
            !state.faulty && !state.disk.is_bounded()
        })
    }

    /// Whether a machine's process has ended by itself.
    pub(crate) fn has_ended(&self, index: usize) -> bool {
        self.nodes.get(index).is_some_and(|node| node.state().ended)
    }

    /// Cuts the power of a machine: its disk is what the model leaves.
    pub fn kill(&self, index: usize, model: Crash, random: &mut Random) {
        let Some(node) = self.nodes.get(index) else { return };
        let (life, raft) = {
            let mut state = node.state();
            (state.life.take(), state.raft.take())
        };
        let Some(life) = life else { return };
        self.durable.follow(self, index);
        self.say(format_args!("node {} loses power: {model:?}", node.id));
        self.net.kill(node.peer, life);
        self.executor.kill(life);
        drop(raft);
        let mut state = node.state();
        state.clock = None;
        (state.faulty, state.ended) = (false, false);
        state.disk = state.disk.crash(model, &mut || random.next());
    }

    /// The machines that are up, by index.
    pub fn up(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.raft(*index).is_some()).collect()
    }

    /// A machine's Raft, while it is up.
    pub fn raft(&self, index: usize) -> Option<Raft> {
        self.nodes.get(index)?.state().raft.clone()
    }

    /// The life of a machine.
    pub fn life(&self, index: usize) -> Option<Life> {
        self.nodes.get(index)?.state().life
    }

    /// A machine's disk as it is now.
    pub fn disk(&self, index: usize) -> Option<SimDisk> {
        Some(self.nodes.get(index)?.state().disk.clone())
    }

    /// A deadline by a machine's clock.
    pub fn deadline(&self, index: usize, within: Duration) -> Option<Instant> {
        let clock = self.nodes.get(index)?.state().clock.clone()?;
        Some(clock.now().after(within))
    }

    /// Moves a machine's wall clock.
    pub fn jump(&self, index: usize, by_us: i64) {
        if let Some(node) = self.nodes.get(index) {
            node.wall_offset_us.store(by_us, Ordering::Relaxed);
        }
    }
}

/// What a node keeps of the past: little, so that its limits are met, and each by another rule.
fn history(node: u64) -> Retention {
    let rule = match node % 3 {
        1 => Rule::All,
        2 => Rule::Revisions(400),
        _ => Rule::Age(Span(4_000_000)),
    };
    Retention { rule, bytes_max: HISTORY_BYTES_MAX, base_bytes: 24 * 1024 }
}

impl Node {
    fn new(id: u64, random: &mut Random) -> Self {
        let mut peer = [0; 32];
        peer[..8].copy_from_slice(&id.to_be_bytes());
        let drift = random.below(400) as i64 - 200;
        let state = NodeState {
            disk: SimDisk::new(),
            life: None,
            clock: None,
            raft: None,
            origin: Origin::New,
            faulty: false,
            ended: false,
        };
        Self { id, peer: PeerId(peer), drift_ppm: drift, wall_offset_us: Arc::default(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, NodeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
