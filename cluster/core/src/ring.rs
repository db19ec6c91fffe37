//! The change ring: a mount's last transactions, so that any replica continues a subscription.

use crate::limits::{RING_BYTES_MAX, TRANSACTION_BYTES, TRANSACTIONS_PAGE_MAX};
use imbl::OrdMap;
use isx_anchors::wire::{Wire, put_bytes};
use isx_row::{ContentHash, Revision};
use isx_store::Changes;
use std::sync::Arc;

/// A committed transaction that changed rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The revision it committed.
    pub revision: Revision,
    /// The rows it changed.
    pub changes: Changes,
}

/// Where a subscription continues.
#[derive(Clone, Debug, PartialEq)]
pub enum Resume {
    /// The transactions after the revision asked for, without gap; at most [`TRANSACTIONS_PAGE_MAX`].
    Continue {
        /// The transactions that changed rows, by revision.
        transactions: Vec<Arc<Transaction>>,
        /// Continue after this revision.
        through: Revision,
    },
    /// Transactions after the revision asked for are no longer kept: send the rows of this revision, then continue
    /// after it.
    Reset(Revision),
    /// This replica is not as far as the revision asked for; here is how far it is.
    Ahead(Revision),
}

/// The ring.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ring {
    transactions: OrdMap<Revision, Arc<Transaction>>,
    /// Every transaction after this revision is here.
    floor: Revision,
    bytes: usize,
    /// Chained over every transaction since the mount was made: two rings with the same head and floor are the same.
    head: [u8; 32],
}

impl Ring {
    /// A ring that begins at a revision, for a restore.
    pub(crate) fn begin(floor: Revision, head: [u8; 32]) -> Self {
        Self { floor, head, ..Self::default() }
    }

    /// Takes a transaction, newer than all before; drops the oldest above the bound.
    pub(crate) fn push(&mut self, transaction: Arc<Transaction>) {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.head);
        put_transaction(&transaction, &mut bytes);
        self.head = ContentHash::of(&bytes).digest;
        self.keep(transaction);
    }

    /// Forgets every transaction: who is not at this revision begins again.
    pub(crate) fn forget(&mut self, floor: Revision) {
        *self = Self { floor, head: self.head, ..Self::default() };
    }

    /// Takes a transaction of a snapshot, whose head counts it already.
    pub(crate) fn keep(&mut self, transaction: Arc<Transaction>) {
        self.bytes += cost(&transaction);
        self.transactions.insert(transaction.revision, transaction);
        while self.bytes > RING_BYTES_MAX {
            let Some((revision, oldest)) = self.transactions.get_min().cloned() else { break };
            self.transactions.remove(&revision);
            self.bytes -= cost(&oldest);
            self.floor = revision;
        }
    }

    /// What follows a revision, for a mount that is at `current`.
    pub(crate) fn after(&self, revision: Revision, current: Revision) -> Resume {
        if revision > current {
            return Resume::Ahead(current);
        }
        if revision < self.floor {
            return Resume::Reset(current);
        }
        let rest = self.transactions.range(revision.next()..).map(|(_, transaction)| Arc::clone(transaction));
        let transactions: Vec<_> = rest.take(TRANSACTIONS_PAGE_MAX).collect();
        let through = match transactions.last() {
            Some(last) if transactions.len() == TRANSACTIONS_PAGE_MAX => last.revision,
            _ => current,
        };
        Resume::Continue { transactions, through }
    }

    /// Bytes that its transactions take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// Floor and head, which tell the whole ring.
    pub(crate) fn hash_into(&self, out: &mut Vec<u8>) {
        self.floor.put(out);
        self.head.put(out);
    }

    /// The revision after which every transaction is here, and the head.
    pub(crate) fn bounds(&self) -> (Revision, [u8; 32]) {
        (self.floor, self.head)
    }

    /// The transactions, oldest first.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = Arc<Transaction>> + use<> {
        self.transactions.clone().into_iter().map(|(_, transaction)| transaction)
    }
}

fn cost(transaction: &Transaction) -> usize {
    TRANSACTION_BYTES + transaction.changes.encoded_len()
}

/// Appends revision and changes.
pub(crate) fn put_transaction(transaction: &Transaction, out: &mut Vec<u8>) {
    transaction.revision.put(out);
    let mut changes = Vec::new();
    transaction.changes.encode(&mut changes);
    put_bytes(&changes, out);
}
