//! What is submitted to the log and what it keeps of it.

use std::sync::Arc;

/// Bytes that the log keeps and does not read.
pub type Bytes = Arc<[u8]>;

/// A raft group of this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(pub u64);

/// Whose log it is: a node in a cluster. A log of another identity is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIdentity(pub [u8; 16]);

/// The place of a submitted record in the log's one stream. Durable up to a ticket means: all tickets up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One entry of a group's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its raft index: one more than the entry before it.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// What the log keeps for raft, with raft's own idea of the entry's id in it.
    pub payload: Bytes,
}

/// One thing to make durable for a group. Records of all groups stay in the order in which they were submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Replaces the group's vote.
    Vote(Bytes),
    /// Appends an entry.
    Entry(Entry),
    /// Drops the entries from `from` on.
    Truncate {
        /// The first index dropped.
        from: u64,
    },
    /// Drops the entries up to `upto`, because a snapshot covers them. May lie beyond the last entry.
    Purge {
        /// The last index dropped.
        upto: u64,
        /// Raft's own id of that entry, which outlives it.
        mark: Bytes,
    },
    /// Replaces what raft knows to be committed.
    Committed(Bytes),
    /// Replaces the group's small opaque state.
    Meta(Bytes),
}

impl Record {
    pub(crate) fn payload(&self) -> &[u8] {
        match self {
            Self::Vote(bytes) | Self::Committed(bytes) | Self::Meta(bytes) => bytes,
            Self::Entry(entry) => &entry.payload,
            Self::Truncate { .. } => &[],
            Self::Purge { mark, .. } => mark,
        }
    }
}

/// Up to where a group's log was purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purged {
    /// The last index dropped.
    pub upto: u64,
    /// Raft's own id of that entry.
    pub mark: Bytes,
}

/// What a group has besides its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The last vote.
    pub vote: Option<Bytes>,
    /// The last commit mark.
    pub committed: Option<Bytes>,
    /// The last meta record.
    pub meta: Option<Bytes>,
    /// The furthest purge.
    pub purged: Option<Purged>,
    /// The index that the next entry must have; none: any, nothing was appended or purged.
    pub next: Option<u64>,
}

impl State {
    /// Whether `index` may be appended now.
    pub(crate) fn expects(&self, index: u64) -> bool {
        index < u64::MAX && self.next.is_none_or(|next| next == index)
    }

    /// What `record` does to the state. The caller has checked an entry's index.
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Vote(vote) => self.vote = Some(vote.clone()),
            Record::Committed(committed) => self.committed = Some(committed.clone()),
            Record::Meta(meta) => self.meta = Some(meta.clone()),
            Record::Entry(entry) => self.next = Some(entry.index.saturating_add(1)),
            Record::Truncate { from } => {
                let kept = self.purged.as_ref().map_or(0, |purged| purged.upto.saturating_add(1));
                self.next = self.next.map(|next| next.min((*from).max(kept)));
            }
            Record::Purge { upto, mark } => {
                if self.purged.as_ref().is_none_or(|purged| purged.upto < *upto) {
                    self.purged = Some(Purged { upto: *upto, mark: mark.clone() });
                    let after = upto.saturating_add(1);
                    self.next = Some(self.next.map_or(after, |next| next.max(after)));
                }
            }
        }
    }
}
