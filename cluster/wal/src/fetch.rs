//! Reading entries, from memory or from disk.

use crate::error::WalError;
use crate::format::{self, Frame, Kind, Salt};
use crate::index::Place;
use crate::job::path;
use crate::record::{Entry, Group};
use isx_port::{Disk, DiskError, File, OpenMode};
use std::collections::BTreeMap;

/// An entry and where to find it.
#[derive(Debug)]
pub(crate) enum Item {
    Memory(Entry),
    Disk { index: u64, term: u64, sequence: u64, payload_bytes: usize, place: Place, salt: Salt },
}

/// Entries asked for: read them where it may block, without holding the log.
#[derive(Debug)]
pub struct Fetch {
    pub(crate) dir: String,
    pub(crate) group: Group,
    pub(crate) items: Vec<Item>,
}

impl Fetch {
    /// Whether all entries are in memory, so that [`Fetch::perform`] does not block.
    pub fn is_ready(&self) -> bool {
        self.items.iter().all(|item| matches!(item, Item::Memory(_)))
    }

    /// How many entries there will be.
    pub fn count(&self) -> usize {
        self.items.len()
    }

    /// The entries, by index. Each is checked against its checksum and against what and where it must be.
    ///
    /// # Errors
    /// `Purged` if a segment was removed meanwhile, `Damaged` if bytes changed, `Disk` if it could not be read.
    pub fn perform(self, disk: &dyn Disk) -> Result<Vec<Entry>, WalError> {
        let mut files = BTreeMap::new();
        self.items.into_iter().map(|item| read(&self.dir, self.group, item, disk, &mut files)).collect()
    }
}

fn read(
    dir: &str,
    group: Group,
    item: Item,
    disk: &dyn Disk,
    files: &mut BTreeMap<u64, Box<dyn File>>,
) -> Result<Entry, WalError> {
    let (index, term, sequence, payload_bytes, place, salt) = match item {
        Item::Memory(entry) => return Ok(entry),
        Item::Disk { index, term, sequence, payload_bytes, place, salt } => {
            (index, term, sequence, payload_bytes, place, salt)
        }
    };
    let file = path(dir, place.segment);
    let mut bytes = vec![0; format::record_bytes(payload_bytes)];
    if let std::collections::btree_map::Entry::Vacant(vacant) = files.entry(place.segment) {
        match disk.open(&file, OpenMode::Read) {
            Ok(open) => vacant.insert(open),
            Err(DiskError::NotFound { .. }) => return Err(WalError::Purged { group, index }),
            Err(error) => return Err(error.into()),
        };
    }
    let damaged = |what| WalError::Damaged { file: file.clone(), offset: place.offset, what };
    let open = files.get(&place.segment).ok_or_else(|| damaged("no such segment"))?;
    open.read_at(place.offset, &mut bytes)?;
    let (frame, _) = Frame::decode(&bytes, salt, place.offset).ok_or_else(|| damaged("a record's checksum"))?;
    let found = (frame.kind, frame.copy, frame.group, frame.sequence, frame.index, frame.term, frame.payload.len());
    if found != (Kind::Entry, false, group, sequence, index, term, payload_bytes) {
        return Err(damaged("another record stands here"));
    }
    Ok(Entry { index, term, payload: frame.payload })
}
