//! How the groups of a node are, and what they have done.

use super::{Raft, Running};
use crate::batch::not_leader;
use crate::figures::{GroupFigures, LogFigures};
use isx_cluster::Hold;
use isx_port::PeerId;
use isx_row::Error;
use isx_wal::Group;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use std::collections::BTreeMap;

/// What a node is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It decides the order.
    Leader,
    /// It asks for votes.
    Candidate,
    /// It follows a leader, and votes.
    Follower,
    /// It follows without a vote, or stops.
    Learner,
}

/// The state of one group on this node. Indexes are positions in the group's log.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// What this node is.
    pub role: Role,
    /// The term.
    pub term: u64,
    /// The leader, if known.
    pub leader: Option<u64>,
    /// The members and their peers, and whether each votes.
    pub members: BTreeMap<u64, (PeerId, Voting)>,
    /// The last entry, whether durable or not.
    pub last: Option<u64>,
    /// The last entry known to be committed.
    pub committed: Option<u64>,
    /// The last entry applied.
    pub applied: Option<u64>,
    /// The last entry of the snapshot.
    pub snapshot: Option<u64>,
    /// The last entry dropped from the log.
    pub purged: Option<u64>,
    /// Why the group waits instead of applying.
    pub hold: Option<Hold>,
    /// Why consensus ended.
    pub failure: Option<String>,
}

/// Whether a member votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voting {
    /// It votes.
    Voter,
    /// It follows.
    Learner,
}

impl Raft {
    /// The term in which this node leads a group, as far as it knows: another may lead by now.
    ///
    /// # Errors
    /// `not_leader`, `held`, and `not_found` for a group that is not here.
    pub fn leads(&self, group: Group) -> Result<u64, Error> {
        let running = self.group(group)?;
        running.shared.check_serves()?;
        let metrics = running.raft.metrics();
        let metrics = metrics.borrow_watched();
        match metrics.state {
            ServerState::Leader => Ok(metrics.current_term),
            _ => Err(not_leader(metrics.current_leader)),
        }
    }

    /// The state of each group.
    pub fn status(&self) -> BTreeMap<Group, GroupStatus> {
        self.inner.groups.iter().map(|(group, running)| (Group(*group), status(running))).collect()
    }

    /// How the log does.
    pub fn log_figures(&self) -> LogFigures {
        self.inner.log.figures()
    }

    /// What each group has done.
    pub fn group_figures(&self) -> BTreeMap<Group, GroupFigures> {
        let figures = |running: &Running| {
            let (waiting_count, waiting_bytes) = running.queue.waiting();
            let measures = &running.shared.measures;
            GroupFigures {
                applies: measures.applies.read(),
                requests: measures.requests.read(),
                snapshots: measures.snapshots.read(),
                waiting_count,
                waiting_bytes,
            }
        };
        self.inner.groups.iter().map(|(group, running)| (Group(*group), figures(running))).collect()
    }
}

fn status(running: &Running) -> GroupStatus {
    let metrics = running.raft.metrics();
    let metrics = metrics.borrow_watched();
    let membership = metrics.membership_config.membership();
    let voters: Vec<u64> = membership.voter_ids().collect();
    let voting = |id: &u64| if voters.contains(id) { Voting::Voter } else { Voting::Learner };
    let published = running.shared.published();
    GroupStatus {
        role: match metrics.state {
            ServerState::Leader => Role::Leader,
            ServerState::Candidate => Role::Candidate,
            ServerState::Follower => Role::Follower,
            ServerState::Learner | ServerState::Shutdown => Role::Learner,
        },
        term: metrics.current_term,
        leader: metrics.current_leader,
        members: membership.nodes().map(|(id, member)| (*id, (member.peer, voting(id)))).collect(),
        last: metrics.last_log_index,
        committed: metrics.local_committed.map(|id| id.index),
        applied: published.applied.map(|id| id.index),
        snapshot: metrics.snapshot.map(|id| id.index),
        purged: metrics.purged.map(|id| id.index),
        hold: published.hold.clone(),
        failure: metrics.running_state.as_ref().err().map(ToString::to_string),
    }
}
