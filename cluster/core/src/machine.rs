//! The machine: entry in, outcomes and effects out.

use crate::apply::{Engine, Run, check, is_one_list};
use crate::entry::{Entry, Mode, Record};
use crate::group::Group;
use crate::outcome::Outcome;
use crate::planted::Planted;
use crate::ring::Transaction;
use crate::view::View;
use isx_anchors::{GroupId, TreeChange};
use isx_row::{ContentHash, Error, Incarnation, MountId, Revision, Time};
use isx_store::{ExecutionId, Executor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// The replicated machine of one group.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(crate) group: Group,
    /// Calls to pass over: (index, position). Known from entries further on in the log; not replicated state.
    skips: BTreeSet<(u64, u32)>,
    pub(crate) planted: Planted,
}

/// What applying an entry gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The entry's index.
    pub index: u64,
    /// Log time after it.
    pub time: Time,
    /// One outcome a request, in order.
    pub outcomes: Vec<Outcome>,
    /// What leaves after it.
    pub effects: Effects,
}

/// What leaves after an entry: for subscribers, watchers and logs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// By mount, what it committed.
    pub mounts: BTreeMap<MountId, MountEffects>,
    /// Mounts that were dropped: their subscribers end.
    pub dropped: Vec<MountId>,
    /// Changes of the tree.
    pub tree: Vec<TreeChange>,
    /// What modules logged. Not replicated.
    pub log: Vec<LogLine>,
}

impl Effects {
    /// Rows that were inserted, updated or deleted.
    pub fn changes_count(&self) -> usize {
        let transactions = self.mounts.values().flat_map(|mount| &mount.transactions);
        transactions.map(|transaction| transaction.changes.len()).sum()
    }
}

/// What a mount committed in an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct MountEffects {
    /// The incarnation.
    pub incarnation: Incarnation,
    /// The revision after the entry.
    pub revision: Revision,
    /// The transactions that changed rows, in order.
    pub transactions: Vec<Arc<Transaction>>,
}

/// A line that a module logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The mount.
    pub mount: MountId,
    /// The log time of the entry.
    pub time: Time,
    /// The level.
    pub level: u8,
    /// The text.
    pub text: String,
}

/// Why an entry can not be applied here and now. Never an answer to a caller: the replica waits, and nothing has
/// changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The code is not here yet: fetch it and apply again.
    NoCode(ContentHash),
    /// The call at this position killed its process twice: `isx cluster skip` passes over it.
    Poisoned {
        /// Position of the request in the entry.
        position: usize,
    },
    /// A process died while the call at this position was applied, and no child could be made to try it in: apply again.
    Untried {
        /// Position of the request in the entry.
        position: usize,
    },
    /// The entry's calls were checked under another execution id: run the binary that has it.
    Execution {
        /// The entry's.
        entry: ExecutionId,
        /// The executor's.
        here: ExecutionId,
    },
    /// The entry uses formats that this code does not know: run a newer binary.
    Level {
        /// The level it needs.
        needs: u16,
    },
    /// What the entry says that a call did does not fit the state here: this replica or the proposer is wrong.
    Diverged {
        /// Position of the request in the entry.
        position: usize,
    },
    /// The entry was applied before.
    Applied {
        /// The last one that was.
        applied: u64,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCode(code) => write!(f, "the code {code} is not here; `isx publish` brings it"),
            Self::Poisoned { position } => write!(f, "the call at position {position} killed its process twice"),
            Self::Untried { position } => {
                write!(f, "the call at position {position} killed its process and can not be tried in another one yet")
            }
            Self::Execution { .. } => f.write_str("the entry was made under another execution id"),
            Self::Level { needs } => write!(f, "the entry needs feature level {needs}"),
            Self::Diverged { position } => write!(f, "the effects at position {position} do not fit the state here"),
            Self::Applied { applied } => write!(f, "the entries up to {applied} were applied before"),
        }
    }
}

impl std::error::Error for Hold {}

impl Machine {
    /// The machine of a group before its first entry.
    pub fn new(group: GroupId, execution: ExecutionId) -> Self {
        Self::from_group(Group::new(group, execution), Planted::NONE)
    }

    pub(crate) fn from_group(group: Group, planted: Planted) -> Self {
        Self { group, skips: BTreeSet::new(), planted }
    }

    /// Applies the entry at an index. Indexes grow; those of entries that are not the machine's are left out.
    ///
    /// # Errors
    /// [`Hold`] when the replica must wait; the machine is as it was then.
    pub fn apply(&mut self, index: u64, entry: &Entry, executor: &dyn Executor) -> Result<Applied, Hold> {
        check(&self.group, index, entry, executor)?;
        let engine = match entry.mode {
            Mode::Calls => Engine::Execute(executor),
            Mode::Effects => Engine::Install,
        };
        let aside = (!is_one_list(&self.group, entry)).then(|| self.group.clone());
        match Run::new(index, entry, &self.skips, engine, self.planted).apply(&mut self.group) {
            Ok((applied, _)) => {
                self.skips = self.skips.split_off(&(index + 1, 0));
                Ok(applied)
            }
            Err(hold) => {
                if let Some(aside) = aside {
                    self.group = aside;
                }
                Err(hold)
            }
        }
    }

    /// The same entry in mode `effects`: with what its calls do when it is applied here at that index. The machine
    /// stays as it is.
    ///
    /// # Errors
    /// [`Hold`] as [`Machine::apply`].
    pub fn with_effects(&self, index: u64, entry: &Entry, executor: &dyn Executor) -> Result<Entry, Hold> {
        check(&self.group, index, entry, executor)?;
        let mut group = self.group.clone();
        let engine = Engine::Record(executor, BTreeMap::new());
        let mut effects = match Run::new(index, entry, &self.skips, engine, self.planted).apply(&mut group)? {
            (_, Engine::Record(_, effects)) => effects,
            _ => BTreeMap::new(),
        };
        let records = entry
            .records
            .iter()
            .enumerate()
            .map(|(position, record)| Record { effect: effects.remove(&position), ..record.clone() });
        Ok(Entry { header: entry.header, mode: Mode::Effects, records: records.collect() })
    }

    /// Notes that a call is passed over when its entry is applied. Whoever finds the machine held reads on in the
    /// committed log for [`crate::Request::Skip`], notes what it names, and applies the held entry again.
    ///
    /// A skip may be committed only while every voter is held at that entry: one that has applied it has another
    /// state, which the state hashes show.
    pub fn skip(&mut self, index: u64, position: u32) {
        self.skips.insert((index, position));
    }

    /// The group.
    pub fn group(&self) -> GroupId {
        self.group.id
    }

    /// The index of the last entry applied.
    pub fn applied(&self) -> u64 {
        self.group.applied
    }

    /// The hash over everything replicated, after the last entry. It does not depend on how batches were cut.
    pub fn state_hash(&self) -> [u8; 32] {
        self.group.state_hash()
    }

    /// The version after the last entry: stays as it is, and costs nothing.
    pub fn view(&self) -> View {
        View::new(self.group.clone())
    }

    /// Computes from what is kept what is kept as it changes, and compares. Costs time in proportion to the rows: for
    /// scrubs and tests.
    ///
    /// # Errors
    /// `fatal`, naming what is damaged.
    pub fn audit(&self) -> Result<(), Error> {
        self.view().audit()
    }
}
