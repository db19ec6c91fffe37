//! The node that a machine runs: isx-node over the machine's ports.

use crate::executor::Life;
use crate::findings::causes;
use crate::local::local;
use crate::random::Random;
use crate::vat::ConfigureNode;
use crate::vat::modules::Modules;
use crate::world::{End, Node, World};
use isx_anchors::Name;
use isx_exec::{Exec, MemoryMark, NoTrial};
use isx_node::{Opened, Parts, ServeError};
use isx_port::{PeerId, Ports};
use isx_row::{Error, HomeId};
use isx_vat::vats;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of the node's home.
const ALIAS: &str = "alpha";
/// Gives the owner's rights at login. A real node makes one at each start, and who dials reads it there.
pub(crate) const SECRET: [u8; 32] = [5; 32];

/// A node of one voter, as isx-node starts them.
pub(crate) struct Program {
    modules: Arc<Modules>,
    /// How many variants were made; they are numbered from 0.
    variants: AtomicU64,
    pub(crate) configure: ConfigureNode,
    /// What names the calls being applied outlives the process.
    mark: Arc<MemoryMark>,
}

impl Program {
    pub(crate) fn new(modules: Arc<Modules>, configure: ConfigureNode) -> Self {
        Self { modules, variants: AtomicU64::new(0), configure, mark: Arc::default() }
    }

    fn executor(&self, mark: Arc<MemoryMark>) -> Result<Exec, Error> {
        Exec::new(isx_exec::Ports { compile: self.modules.clone(), trial: Arc::new(NoTrial), mark, cache: None })
    }

    /// A variant of the module that nobody has seen, or one that somebody may have.
    pub(crate) fn variant(&self, random: &mut Random) -> Vec<u8> {
        let made = self.variants.load(Ordering::Relaxed);
        let number = if random.per_mille(500) { made } else { random.below(made + 1) };
        self.variants.fetch_max(number + 1, Ordering::Relaxed);
        self.modules.variant(number)
    }

    /// An executor of an oracle, with every module there is.
    pub(crate) fn executor_with_all(&self) -> Result<Arc<Exec>, Error> {
        let exec = self.executor(Arc::default())?;
        (0..self.variants.load(Ordering::Relaxed))
            .try_for_each(|number| exec.add(&self.modules.variant(number)).map(drop))?;
        Ok(Arc::new(exec))
    }

    /// One life of the node.
    pub(crate) async fn run(
        &self,
        world: &Arc<World>,
        node: &Node,
        life: Life,
        ports: Ports,
        options: isx_raft::Options,
    ) -> End {
        match self.serve(world, node, life, ports, options).await {
            Ok(end) => end,
            Err(error) => End::NotStarted(causes(&error)),
        }
    }

    async fn serve(
        &self,
        world: &Arc<World>,
        node: &Node,
        life: Life,
        ports: Ports,
        options: isx_raft::Options,
    ) -> Result<End, ServeError> {
        let (vats, driving) = vats();
        world.executor.spawn(life, "vats", local(driving.drive()));
        let parts = Parts {
            ports,
            exec: Arc::new(self.executor(self.mark.clone())?),
            raft: options,
            peer_text,
            home: HomeId([1; 16]),
            alias: Name::new(ALIAS)?,
            addresses: Vec::new(),
            http: None,
            secret: SECRET,
            public: true,
            budgets: isx_node::Budgets::default(),
            machine: None,
        };
        let mut opened = Opened::open(parts).await?;
        (self.configure.node)(&mut opened);
        world.opened(node, opened.raft());
        let serving = opened.serve(vats).await?;
        world.say(format_args!("node {} answers", node.id));
        Ok(End::Failed(serving.ended().await.unwrap_or_else(|| "somebody stopped it".into())))
    }
}

fn peer_text(peer: PeerId) -> String {
    peer.0.iter().map(|byte| format!("{byte:02x}")).collect()
}
