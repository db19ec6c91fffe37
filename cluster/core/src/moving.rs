//! A mount that gets a module whose tables its rows do not fit: they move, some with each request, into a candidate, a mount
//! that nobody can reach and that takes the place of its tables when the last has moved. Until then the mount answers
//! queries and its calls wait; when a row can not be moved the candidate goes, and the mount is as it was.

use crate::mount::Mount;
use isx_anchors::limits::ERROR_TEXT_BYTES_MAX;
use isx_anchors::wire::{Reader, Wire, WireError, put_bytes};
use isx_row::limits::KEY_BYTES_MAX;
use isx_row::schema::Way;
use isx_row::{Code, ContentHash, Error, MountId};
use isx_store::{How, Move};

/// What a mount has to do with the moving of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Moving {
    /// Nothing.
    #[default]
    No,
    /// Its rows move to the candidate, [`Mount::candidate_id`]; its calls wait.
    Waits,
    /// It is the candidate.
    Candidate {
        /// Which way the mount goes.
        way: Way,
        /// Rows that have moved.
        moved: u64,
        /// The table they move from, by its place among those that move.
        table: u16,
        /// The key of the last that has moved from it.
        after: Option<Vec<u8>>,
    },
    /// The last time it was tried, it failed.
    Failed {
        /// To be this module's.
        code: ContentHash,
        /// Why.
        text: String,
    },
}

impl Moving {
    /// Whether calls have to wait.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waits)
    }

    /// Whether it is a mount of its own, that may be reached.
    pub(crate) fn is_candidate(&self) -> bool {
        matches!(self, Self::Candidate { .. })
    }

    /// Whether nothing moves, to it or from it.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self, Self::No | Self::Failed { .. })
    }

    /// What calls are refused with that have to wait.
    pub(crate) fn busy() -> Error {
        let error = Error::new(Code::Busy, "the mount is being migrated: its rows move to a new module");
        Error { retry_after_ms: Some(RETRY_AFTER_MS), ..error }
    }
}

/// When who found a mount waiting may ask again.
const RETRY_AFTER_MS: u32 = 100;

impl Mount {
    /// The id of its candidate: one for each module it had, so that it is the same on every replica.
    pub(crate) fn candidate_id(&self) -> MountId {
        let mut bytes = b"isx:candidate\0".to_vec();
        self.id.put(&mut bytes);
        self.version.put(&mut bytes);
        let mut id = [0; 16];
        id.copy_from_slice(&ContentHash::of(&bytes).digest[..16]);
        MountId(id)
    }

    /// How many rows these moves are.
    pub(crate) fn rows_of(&self, moves: &[Move]) -> u64 {
        let stay = moves.iter().filter(|moved| moved.how != How::Lost);
        stay.filter_map(|moved| self.database.row_count(moved.table)).sum()
    }
}

pub(crate) fn put_way(way: Way, out: &mut Vec<u8>) {
    out.push(u8::from(way == Way::Back));
}

pub(crate) fn take_way(reader: &mut Reader<'_>) -> Result<Way, WireError> {
    Ok(if bool::take(reader)? { Way::Back } else { Way::On })
}

impl Wire for Moving {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::No => out.push(0),
            Self::Waits => out.push(1),
            Self::Candidate { way, moved, table, after } => {
                out.push(2);
                put_way(*way, out);
                moved.put(out);
                table.put(out);
                out.push(u8::from(after.is_some()));
                if let Some(after) = after {
                    put_bytes(after, out);
                }
            }
            Self::Failed { code, text } => {
                out.push(3);
                code.put(out);
                put_bytes(text.as_bytes(), out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match u8::take(reader)? {
            0 => Self::No,
            1 => Self::Waits,
            2 => Self::Candidate {
                way: take_way(reader)?,
                moved: Wire::take(reader)?,
                table: Wire::take(reader)?,
                after: match bool::take(reader)? {
                    true => Some(reader.bytes(KEY_BYTES_MAX, "KEY_BYTES_MAX")?.to_vec()),
                    false => None,
                },
            },
            3 => Self::Failed {
                code: Wire::take(reader)?,
                text: reader.text(ERROR_TEXT_BYTES_MAX, "ERROR_TEXT_BYTES_MAX")?.to_owned(),
            },
            _ => return Err(WireError::Canonical("no such state of moving")),
        })
    }
}
