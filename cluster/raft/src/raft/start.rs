//! Why a node's groups do not start, and what a person can do about it.

use isx_port::{DiskError, NetError};
use isx_row::Code;
use isx_wal::WalError;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log can not be opened. See the cause.
    #[error("the log")]
    Log(#[from] WalError),
    /// The snapshot of a group can not be loaded. Repair the node from its peers.
    #[error("the snapshot of group {group}: {text}")]
    Snapshot {
        /// The group.
        group: u64,
        /// What to do about it.
        code: Code,
        /// What is wrong.
        text: String,
    },
    /// The log is empty, although the node has voted before. Give it another id and let it join.
    #[error("the log of node {node} is gone")]
    Forgotten {
        /// The node.
        node: u64,
    },
    /// The log has entries that another execution id must apply. Start the old binary and stop it: that takes a
    /// snapshot, which any may load.
    #[error(
        "group {group} has entries above its snapshot that another version executes; start the old version and run `isx stop`"
    )]
    OtherExecution {
        /// The group.
        group: u64,
    },
    /// The network does not listen.
    #[error("the network")]
    Net(#[from] NetError),
    /// Consensus did not start.
    #[error("group {group}: {text}")]
    Group {
        /// The group.
        group: u64,
        /// What it said.
        text: String,
    },
}

impl StartError {
    /// The code that says what to do about it.
    pub fn code(&self) -> Code {
        match self {
            Self::Log(WalError::Damaged { .. } | WalError::Lost { .. } | WalError::Foreign { .. })
            | Self::Forgotten { .. } => Code::Damaged,
            Self::Log(WalError::Version { .. }) | Self::OtherExecution { .. } => Code::Unsupported,
            Self::Log(WalError::Full | WalError::Disk(DiskError::Full { .. })) => Code::Busy,
            Self::Snapshot { code, .. } => *code,
            Self::Log(_) | Self::Net(_) | Self::Group { .. } => Code::Fatal,
        }
    }
}
