//! What every object of a node shares, and the questions they all ask.

use crate::blobs::Blobs;
use crate::budget::{Demand, Full, Governor, Taken};
use crate::gauges::Gauges;
use crate::limits::{CALL_WITHIN, CALL_WITHIN_MAX};
use crate::logs::Logs;
use crate::metered::Metered;
use crate::planted::Planted;
use crate::presence::Presence;
use crate::values::Values;
use isx_anchors::{AnchorId, Caller, Name, Operation, Path, Place, Reply, Tree};
use isx_cluster::{MountView, Outcome, Request, View};
use isx_exec::Exec;
use isx_iface::Delivery;
use isx_port::{Instant, Lane, PeerId, Ports, Spawn};
use isx_raft::{Consistency, Group, MOUNTS, Raft, TREE};
use isx_row::{Code, ContentHash, Error, MountId, Principal};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The parts of a running node.
pub(crate) struct Shared {
    pub(crate) ports: Ports,
    pub(crate) raft: Raft,
    pub(crate) exec: Arc<Exec>,
    /// The same, counted.
    pub(crate) metered: Arc<Metered>,
    pub(crate) blobs: Blobs,
    pub(crate) logs: Arc<Logs>,
    pub(crate) presence: Arc<Presence>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) governor: Governor,
    /// Of volatile tables.
    pub(crate) values: Values,
    /// How a peer is written for people.
    pub(crate) peer_text: fn(PeerId) -> String,
    /// The anchor of the node's home, and its alias.
    pub(crate) home: AnchorId,
    pub(crate) alias: Name,
    pub(crate) addresses: Vec<String>,
    /// Where its gateway listens, if it has one.
    pub(crate) http: Option<String>,
    pub(crate) started: Instant,
    pub(crate) warnings: Vec<String>,
    /// Set when somebody asks the node to stop.
    pub(crate) stopping: watch::Sender<bool>,
    /// Logins that are alive.
    pub(crate) callers: watch::Sender<usize>,
    pub(crate) planted: Planted,
}

/// Who holds an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    pub(crate) principal: Principal,
    /// Whether it has the owner's rights.
    pub(crate) owner: bool,
}

impl Who {
    pub(crate) fn caller(self) -> Caller {
        Caller { who: self.principal, trusted: self.owner }
    }

    /// Refuses callers without the owner's rights as if the thing were not there.
    pub(crate) fn owner_only(self, thing: &str) -> Result<(), Error> {
        if self.owner { Ok(()) } else { Err(Error::new(Code::NotFound, format!("{thing} is not found"))) }
    }
}

/// The node itself, for the steps that no caller may take.
pub(crate) fn cluster() -> Caller {
    Caller { who: Principal::anonymous(), trusted: true }
}

impl Shared {
    /// When a call that says this must have its outcome.
    pub(crate) fn deadline(&self, delivery: &Delivery) -> Instant {
        self.within(delivery.within.unwrap_or(CALL_WITHIN))
    }

    /// The deadline of what says nothing.
    pub(crate) fn soon(&self) -> Instant {
        self.within(CALL_WITHIN)
    }

    fn within(&self, within: Duration) -> Instant {
        self.ports.clock.now().after(within.min(CALL_WITHIN_MAX))
    }

    /// The tree, as new as anything acknowledged.
    pub(crate) async fn tree_view(&self) -> Result<View, Error> {
        self.raft.read(TREE, Consistency::Linearizable, self.soon()).await
    }

    /// Applies an operation to the tree.
    pub(crate) async fn tree(&self, caller: Caller, operation: Operation) -> Result<Reply, Error> {
        let _taken = self.admit_operation(&operation)?;
        match self.raft.propose(TREE, Request::Tree { caller, operation }, self.soon()).await? {
            Outcome::Tree(reply) => Ok(reply),
            Outcome::Refused(error) => Err(error),
            other => Err(unexpected(&other)),
        }
    }

    /// Admits an operation that makes the tree larger; of a saga the step that begins it.
    fn admit_operation(&self, operation: &Operation) -> Result<Option<Taken<'_>>, Error> {
        let bytes = match operation {
            Operation::Make { .. } => 0,
            Operation::Set { value, .. } | Operation::Swap { new: Some(value), .. } => value.len(),
            Operation::Reserve { plan, .. } => plan.len(),
            _ => return Ok(None),
        };
        self.governor.admit(&self.raft, Demand::growing(bytes)).map(Some).map_err(Full::refuse)
    }

    /// Proposes to the mounts' group.
    pub(crate) async fn mounts(&self, request: Request) -> Result<Outcome, Error> {
        match self.raft.propose(MOUNTS, request, self.soon()).await? {
            Outcome::Refused(error) => Err(error),
            outcome => Ok(outcome),
        }
    }

    /// The place that an absolute path names; `/self` is this node's home.
    pub(crate) fn place(&self, path: &str) -> Result<Place, Error> {
        let path = Path::parse(path)?;
        match path.names().split_first() {
            Some((home, below)) if home.as_str() == "self" => {
                let below = below.iter().try_fold(Path::default(), |path, name| path.join(name.clone()))?;
                Ok(Place { at: self.home, path: below })
            }
            _ => Ok(Place { at: AnchorId::ROOT, path }),
        }
    }

    /// Runs what takes a module in: it blocks or computes for long, and delays neither snapshots nor followers.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        body: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.on(Lane::Publish, body).await
    }

    /// Runs on a lane.
    pub(crate) async fn on<T: Send + 'static>(
        &self,
        lane: Lane,
        body: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        on(&*self.ports.spawn, lane, body).await
    }

    /// Has the module of a published blob ready to run.
    pub(crate) async fn load(self: &Arc<Self>, code: ContentHash) -> Result<(), Error> {
        if self.exec.schema(&code).is_some() {
            return Ok(());
        }
        let shared = self.clone();
        self.blocking(move || shared.exec.add(&shared.blobs.read(&code)?).map(drop)).await?;
        self.raft.poke();
        Ok(())
    }
}

/// Runs on a lane.
pub(crate) async fn on<T: Send + 'static>(
    spawn: &dyn Spawn,
    lane: Lane,
    body: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (done, result) = futures::channel::oneshot::channel();
    let job = Box::new(move || {
        // Who asked may have gone. What others do has to be done all the same, of a view the answer is all there is.
        let is_wanted = !matches!(lane, Lane::View(_)) || !done.is_canceled();
        if is_wanted {
            let _ = done.send(body());
        }
    });
    spawn.run(lane, job).await;
    result.await.unwrap_or_else(|_| Err(Error::new(Code::Unknown, "the node is stopping")))
}

/// A mount in a view of its group.
pub(crate) fn mount_in<'a>(view: &'a View, mount: &MountId) -> Result<MountView<'a>, Error> {
    view.mount(mount).ok_or_else(|| Error::new(Code::Gone, "the mount was removed"))
}

/// The tree of a view of group 0.
pub(crate) fn tree_of(view: &View) -> Result<&Tree, Error> {
    view.tree().ok_or_else(|| Error::new(Code::Fatal, "group 0 keeps no tree"))
}

pub(crate) fn unexpected(outcome: &Outcome) -> Error {
    Error::new(Code::Fatal, format!("a proposal got an outcome of another kind: {outcome:?}"))
}

/// The Raft group of a mount.
pub(crate) fn group(of: isx_anchors::GroupId) -> Group {
    Group(u64::from(of.0))
}
