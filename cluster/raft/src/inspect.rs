//! Reads a node's log without starting it: for tools, and for oracles that judge what is on a disk.

use crate::format;
use crate::types::Payload;
use isx_port::Disk;
use isx_wal::{Group, Wal, WalError};

/// The durable log of a group.
#[derive(Clone, Debug)]
pub struct DurableGroup {
    /// Index and term of the last entry dropped behind a snapshot.
    pub purged: Option<(u64, u64)>,
    /// The entries.
    pub entries: Vec<DurableEntry>,
}

/// An entry.
#[derive(Clone, Debug)]
pub struct DurableEntry {
    /// Its index.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The bytes of the machine's entry; none for a leader's first entry and a membership.
    pub command: Option<Vec<u8>>,
}

/// The machine's entry in the payload of an entry of the log; none for a leader's first entry, a membership, or what is
/// no payload.
pub fn command(payload: &[u8]) -> Option<&[u8]> {
    payload.strip_prefix(&format::COMMAND_PREFIX)
}

/// Reads what is durable of a node's group; `None` if there is no log. Recovers the log, so give it a copy of the disk. Blocks.
///
/// # Errors
/// What opening the log found wrong.
pub fn durable_group(
    disk: &dyn Disk,
    cluster: [u8; 16],
    node: u64,
    group: Group,
) -> Result<Option<DurableGroup>, WalError> {
    let options = isx_wal::Options::new(crate::log::DIR, crate::log::identity(&cluster, node));
    let (wal, recovered) = Wal::open(disk, options)?;
    if recovered.created {
        return Ok(None);
    }
    let entries = wal.entries(group, wal.range(group), usize::MAX).perform(disk)?;
    let entries = entries.into_iter().map(|entry| DurableEntry {
        index: entry.index,
        term: entry.term,
        command: match format::payload_from_bytes(entry.payload) {
            Ok(Payload::Normal(command)) => Some(command.entry().to_vec()),
            _ => None,
        },
    });
    let purged = wal.state(group).purged.map(|purged| {
        let id = format::read_log_id(&mut format::Reader::new(&purged.mark));
        (purged.upto, id.map_or(0, |id| id.leader_id.term))
    });
    Ok(Some(DurableGroup { purged, entries: entries.collect() }))
}
