//! A node over given ports, in two steps: its log is opened, then callers are let in.
//!
//! Between the two whoever composes it notes that its log has begun: what callers hear of must be a loss if it is gone.

use crate::accounts::Accounts;
use crate::blobs::Blobs;
use crate::budget::{Budgets, Governor, Machine};
use crate::gate::Gate;
use crate::limits::LEADER_WITHIN;
use crate::metered::Metered;
use crate::planted::Planted;
use crate::presence::Presence;
use crate::saga;
use crate::shared::{Shared, on, unexpected};
use crate::upkeep::upkeep;
use crate::values::Values;
use futures::future::{Either, select};
use isx_anchors::{Name, Reply};
use isx_cluster::{Outcome, Request};
use isx_exec::Exec;
use isx_port::{Clock, DiskError, Lane, PeerId, Ports};
use isx_raft::{MOUNTS, Raft, TREE};
use isx_row::{Code, Error, HomeId};
use isx_vat::authority::Authority;
use isx_vat::{Vats, serve};
use std::sync::Arc;
use tokio::sync::watch;

/// What a node is made of.
pub struct Parts {
    /// Network, disk, clock, randomness and tasks.
    pub ports: Ports,
    /// Runs modules; those that were published are loaded into it.
    pub exec: Arc<Exec>,
    /// Who it is among its voters.
    pub raft: isx_raft::Options,
    /// How a peer is written for people.
    pub peer_text: fn(PeerId) -> String,
    /// The id of its home.
    pub home: HomeId,
    /// The name its home would like to have.
    pub alias: Name,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// Where its gateway listens, if it has one.
    pub http: Option<String>,
    /// Gives the owner's root at login.
    pub secret: [u8; 32],
    /// Whether callers without a right are let in to what is public.
    pub public: bool,
    /// What it may take of its machine.
    pub budgets: Budgets,
    /// What it takes of it; none where that can not be said, and only state is held to its budget.
    pub machine: Option<Arc<dyn Machine>>,
}

/// Why a node of given parts did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The log or a snapshot can not be used.
    #[error(transparent)]
    Raft(#[from] isx_raft::StartError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A part refused, and says why.
    #[error(transparent)]
    Refused(#[from] Error),
}

impl ServeError {
    /// The code that says what to do about it.
    pub fn code(&self) -> Code {
        match self {
            Self::Raft(error) => error.code(),
            Self::Disk(DiskError::Full { .. }) => Code::Busy,
            Self::Disk(_) => Code::Fatal,
            Self::Refused(error) => error.code,
        }
    }
}

/// A node whose log is open and that answers nobody.
pub struct Opened {
    parts: Parts,
    blobs: Blobs,
    raft: Raft,
    metered: Arc<Metered>,
    pub(crate) planted: Planted,
}

impl Opened {
    /// Loads the published modules and opens the log.
    ///
    /// # Errors
    /// See [`ServeError`].
    ///
    /// # Cancel safety
    /// As [`Raft::start`].
    pub async fn open(parts: Parts) -> Result<Self, ServeError> {
        let (disk, clock, exec) = (parts.ports.disk.clone(), parts.ports.clock.clone(), parts.exec.clone());
        let loaded = on(&*parts.ports.spawn, Lane::Publish, move || {
            Ok(Blobs::open(disk, clock).inspect(|blobs| load_all(blobs, &exec)))
        });
        let blobs = loaded.await??;
        let (exec, clock) = (parts.exec.clone(), parts.ports.clock.clone());
        let metered = Arc::new(Metered { exec, clock, accounts: Accounts::default() });
        let raft = Raft::start(parts.ports.clone(), parts.raft.clone(), metered.clone()).await?;
        Ok(Self { parts, blobs, raft, metered, planted: Planted::NONE })
    }

    /// Its groups.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// Joins its home, completes what an earlier life left under way and lets callers in, whose connections `vats`
    /// drives.
    ///
    /// # Errors
    /// See [`ServeError`].
    ///
    /// # Cancel safety
    /// Dropping the future lets nobody in; the log is closed with the last task.
    pub async fn serve(self, vats: Vats) -> Result<Serving, ServeError> {
        let Self { parts, blobs, raft, metered, planted } = self;
        let Parts { ports, exec, peer_text, home, alias, addresses, http, secret, public, budgets, machine, .. } =
            parts;
        for group in [TREE, MOUNTS] {
            raft.wait_leader(group, ports.clock.now().after(LEADER_WITHIN)).await?;
        }
        let join = Request::Join { peer: ports.net.local().0, home, alias, addresses: addresses.clone() };
        let (home, alias) = match raft.propose(TREE, join, ports.clock.now().after(LEADER_WITHIN)).await? {
            Outcome::Tree(Reply::Home(anchor, alias)) => (anchor, alias),
            Outcome::Refused(error) => return Err(error.into()),
            other => return Err(unexpected(&other).into()),
        };
        let started = ports.clock.now();
        let (stopping, _) = watch::channel(false);
        let (callers, _) = watch::channel(0);
        let warnings = Vec::new();
        let presence = Presence::new(ports.clock.clone());
        let governor = Governor::new(budgets, machine, ports.clock.clone());
        // Before anybody asks: what is full already takes nothing more.
        governor.look();
        let shared = Arc::new(Shared {
            ports,
            raft,
            exec,
            metered,
            blobs,
            logs: Arc::default(),
            presence,
            gauges: Arc::default(),
            values: Values::new(governor.kept_bytes()),
            governor,
            peer_text,
            home,
            alias,
            addresses,
            http,
            started,
            warnings,
            stopping,
            callers,
            planted,
        });
        let logs = shared.logs.clone().keep(shared.raft.follow(MOUNTS)?);
        shared.ports.spawn.spawn("logs", Box::pin(logs));
        saga::drive(&shared).await?;
        let incoming = shared.ports.net.accept(isx_vat::PROTOCOL);
        let incoming = incoming.map_err(|error| Error::new(Code::Fatal, error.to_string()))?;
        let gate = Arc::new(Gate { shared: shared.clone(), secret, public });
        let clock = shared.ports.clock.clone();
        shared.ports.spawn.spawn("accept", Box::pin(accept(incoming, gate, vats, clock)));
        // Who was there in the life before can come back from here on.
        let upkeep = upkeep(Arc::downgrade(&shared), shared.ports.clock.clone());
        shared.ports.spawn.spawn("upkeep", Box::pin(upkeep));
        Ok(Serving { shared })
    }
}

/// A node that answers callers. It does so until its tasks are ended, whether this is held or not.
pub struct Serving {
    pub(crate) shared: Arc<Shared>,
}

impl Serving {
    /// Completes when somebody asked the node to stop, or when it must end: then with the reason.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn ended(&self) -> Option<String> {
        let mut stopping = self.shared.stopping.subscribe();
        let asked = stopping.wait_for(|stopping| *stopping);
        let failed = self.shared.raft.failed();
        futures::pin_mut!(asked, failed);
        match select(asked, failed).await {
            Either::Left(_) => None,
            Either::Right((reason, _)) => Some(reason),
        }
    }
}

/// Has every published module ready before the log is applied. One that is damaged is left: a mount that needs it
/// waits, and says so.
fn load_all(blobs: &Blobs, exec: &Exec) {
    for hash in blobs.hashes() {
        let loaded = blobs.read(&hash).and_then(|bytes| match isx_exec::is_program(&bytes) {
            true => Ok(()),
            false => exec.add(&bytes).map(drop),
        });
        if let Err(error) = loaded {
            tracing::error!(%error, blob = %hash, "a published module can not be loaded");
        }
    }
}

/// Lets callers in: a task accepts their connections, `vats` drives them.
async fn accept(mut incoming: Box<dyn isx_port::Incoming>, gate: Arc<Gate>, vats: Vats, clock: Arc<dyn Clock>) {
    let authority = Arc::new(Authority::default());
    while let Some((peer, stream)) = incoming.next().await {
        // Beyond its bound the stream is dropped, which the peer sees as a closed connection.
        if let Err(error) = vats.drive(serve(stream, peer, gate.clone(), &authority, clock.clone())) {
            tracing::warn!(%error, "a connection was refused");
        }
    }
}
