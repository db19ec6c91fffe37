//! What openraft is told of our types.

use crate::runtime::Runtime;
use isx_cluster::Outcome;
use isx_port::PeerId;
use openraft::vote::RaftLeaderId;
use std::fmt;
use std::sync::Arc;

openraft::declare_raft_types!(
    /// Standard Raft: at most one leader a term, and a log id is (term, index).
    pub(crate) Types:
        D = Command,
        R = Answers,
        NodeId = u64,
        Node = Member,
        Term = u64,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = Runtime,
);

pub(crate) type Raft = openraft::Raft<Types, crate::replica::Replica>;
pub(crate) type LeaderId = <Types as openraft::RaftTypeConfig>::LeaderId;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type LogId = openraft::LogId<<LeaderId as RaftLeaderId>::Committed>;
pub(crate) type Payload = openraft::EntryPayload<Command, u64, Member>;
pub(crate) type LogEntry = openraft::Entry<<LeaderId as RaftLeaderId>::Committed, Payload>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = openraft::StoredMembership<<LeaderId as RaftLeaderId>::Committed, u64, Member>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<<LeaderId as RaftLeaderId>::Committed, u64, Member>;
pub(crate) type Snapshot =
    openraft::Snapshot<<LeaderId as RaftLeaderId>::Committed, u64, Member, crate::snapshot::Held>;

/// The log id of `index` in `term`.
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, 0).to_committed(), index)
}

/// The encoded entry of the replicated machine, opaque to consensus, kept as the log keeps it: behind the two bytes that
/// [`crate::format`] begins a command with, so that log, memory and messages share one allocation.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command(Arc<[u8]>);

impl Command {
    /// A command from the machine's bytes.
    pub(crate) fn new(entry: &[u8]) -> Self {
        Self(crate::format::COMMAND_PREFIX.iter().chain(entry).copied().collect())
    }

    /// From bytes that begin with the prefix; the format has looked.
    pub(crate) fn from_encoded(encoded: Arc<[u8]>) -> Self {
        Self(encoded)
    }

    /// With the prefix.
    pub(crate) fn encoded(&self) -> &Arc<[u8]> {
        &self.0
    }

    /// The machine's bytes.
    pub(crate) fn entry(&self) -> &[u8] {
        self.0.get(crate::format::COMMAND_PREFIX.len()..).unwrap_or_default()
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.entry().len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What the requests of an entry came to, in their order.
#[derive(Debug)]
pub(crate) struct Answers(pub(crate) Vec<Outcome>);

/// Where a node of the group is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) peer: PeerId,
}

impl Default for Member {
    fn default() -> Self {
        Self { peer: PeerId([0; 32]) }
    }
}
