//! What a crash leaves of operations that no sync covered: six models.

use super::{Operation, State};

/// What a crash does to unsynced operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// None survives.
    DropUnsynced,
    /// All are still there: the process was killed, the kernel lives. They are no more durable than before, so that a
    /// later loss of power may take them.
    KeepAll,
    /// The first ones survive, the last of them perhaps in part.
    Prefix,
    /// Of each write every aligned unit of so many bytes survives or not; other operations survive or not.
    Torn {
        /// 512 or 4096.
        unit_bytes: u64,
    },
    /// Any set of whole writes survives, and the first changes of names.
    Reordered,
    /// All writes survive; of changes of names the first ones, or none.
    LostNames,
}

impl Crash {
    /// The six models; tearing comes in two sizes.
    pub const ALL: &'static [Self] = &[
        Self::DropUnsynced,
        Self::KeepAll,
        Self::Prefix,
        Self::Torn { unit_bytes: 512 },
        Self::Torn { unit_bytes: 4096 },
        Self::Reordered,
        Self::LostNames,
    ];
}

/// The state that a machine finds after the crash.
pub(super) fn crash(state: &State, model: Crash, random: &mut dyn FnMut() -> u64) -> State {
    if model == Crash::KeepAll {
        return state.fork();
    }
    let mut after = state.durable();
    let prefix = below(random, state.pending.len() + 1);
    let name_changes = state.pending.iter().filter(|operation| operation.changes_names()).count();
    let names_kept = if random() & 1 == 0 { 0 } else { below(random, name_changes + 1) };
    let mut names_seen = 0;
    for (position, operation) in state.pending.iter().enumerate() {
        let name_kept = names_seen < names_kept;
        names_seen += usize::from(operation.changes_names());
        match model {
            Crash::DropUnsynced | Crash::KeepAll => {}
            Crash::Prefix if position < prefix => after.survive(operation),
            Crash::Prefix if position == prefix => survive_in_part(&mut after, operation, random),
            Crash::Prefix => {}
            Crash::Torn { unit_bytes } => survive_torn(&mut after, operation, unit_bytes, random),
            Crash::Reordered | Crash::LostNames if operation.changes_names() => {
                if name_kept {
                    after.survive(operation);
                }
            }
            Crash::Reordered => {
                if random() & 1 == 0 {
                    after.survive(operation);
                }
            }
            Crash::LostNames => after.survive(operation),
        }
    }
    after.settle();
    after
}

pub(super) fn below(random: &mut dyn FnMut() -> u64, bound: usize) -> usize {
    (random() % bound.max(1) as u64) as usize
}

/// The first bytes of a write.
fn survive_in_part(after: &mut State, operation: &Operation, random: &mut dyn FnMut() -> u64) {
    if let Operation::Write { file, offset, bytes } = operation {
        let kept = below(random, bytes.len() + 1);
        after.survive(&Operation::Write { file: *file, offset: *offset, bytes: bytes[..kept].into() });
    }
}

fn survive_torn(after: &mut State, operation: &Operation, unit_bytes: u64, random: &mut dyn FnMut() -> u64) {
    let Operation::Write { file, offset, bytes } = operation else {
        if random() & 1 == 0 {
            after.survive(operation);
        }
        return;
    };
    let mut at = 0;
    while at < bytes.len() {
        let place = offset + at as u64;
        let end = ((place / unit_bytes + 1) * unit_bytes - offset).min(bytes.len() as u64) as usize;
        if random() & 1 == 0 {
            after.survive(&Operation::Write { file: *file, offset: place, bytes: bytes[at..end].into() });
        }
        at = end;
    }
}
