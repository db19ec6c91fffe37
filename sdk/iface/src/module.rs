//! `Module`: the administration of a mount. What the mounted module itself does is the mounted object's interface.

use crate::usage::FunctionUsage;
use crate::{interface, record};
use isx_row::{Bytes, Code, ContentHash, Error, MountId, Time};

record! {
    /// A mount as it is.
    pub struct Description {
        /// The mount's id, made once.
        pub mount: MountId,
        /// The group that keeps it.
        pub group: u64,
        /// `active`, or the step of the saga it is in: `creating`, `upgrading`, `unmounted`, `removing`.
        pub state: String,
        /// The module's code.
        pub code: ContentHash,
        /// Changes on restore and re-creation.
        pub incarnation: u64,
        /// Committed transactions.
        pub revision: u64,
        /// Rows of all tables.
        pub rows_count: u64,
        /// Bytes of all tables.
        pub table_bytes: u64,
        /// Bytes of the whole schema.
        pub schema_bytes: u32,
        /// The canonical schema from the offset asked for, at most `CHUNK_BYTES_MAX` of it.
        pub schema: Bytes,
    }

    /// A line that the module logged.
    pub struct LogLine {
        /// Counts the mount's lines, from 1 at the node's start.
        pub number: u64,
        /// The log time of the call that wrote it.
        pub time: Time,
        /// 1 error, 2 warning, 3 information, 4 debugging, 5 tracing.
        pub level: u8,
        /// One line, without control characters.
        pub text: String,
    }

    /// Lines of a mount, in order.
    pub struct LogPart {
        /// The lines; none where lines were dropped and no other is there yet.
        pub lines: Vec<LogLine>,
        /// Lines before these that are not kept any more.
        pub dropped_count: u64,
        /// Whether these are the last ones there are now.
        pub newest: bool,
    }

    /// A row that a call would change.
    pub struct RowChanged {
        /// The table.
        pub table: String,
        /// The encoded row that is there; none for one that would come.
        pub old: Option<Bytes>,
        /// The encoded row that would be there; none for one that would go.
        pub new: Option<Bytes>,
    }

    /// Why a call would be refused.
    pub struct WouldRefuse {
        /// The code's stable number.
        pub code: u16,
        /// What it says, for people.
        pub text: String,
        /// The module's own typed error, encoded.
        pub detail: Option<Bytes>,
    }

    /// What a call would do.
    pub struct DryRun {
        /// The revision that it was tried on.
        pub revision: u64,
        /// The encoded answer; none when it would be refused.
        pub answer: Option<Bytes>,
        /// Why it would be refused.
        pub refused: Option<WouldRefuse>,
        /// Fuel it would use.
        pub fuel: u64,
        /// The rows that it would change, in the order in which it touches them: as many as fit a page.
        pub changes: Vec<RowChanged>,
        /// How many it would change.
        pub changes_count: u64,
        /// Messages that it would send to other mounts.
        pub messages_count: u64,
        /// What it would log, at most a page of it.
        pub log: Vec<String>,
    }

    /// Rows of a table, in key order, of one revision.
    pub struct Rows {
        /// The revision read.
        pub revision: u64,
        /// The encoded rows; at most `PAGE_COUNT_MAX`.
        pub rows: Vec<Bytes>,
        /// The memcomparable key to continue after; none when this is the last page.
        pub next: Option<Bytes>,
    }
}

interface! {
    /// The administration of a mount, for those with its owner's rights.
    ///
    /// Alive as long as the `Host` it was obtained from; when the mount is removed its calls answer `gone`.
    "isx.Module": trait Module, stub ModuleStub, served by serve_module {
        /// The mount as it is, with the schema from `schema_offset`. Idempotent. [`describe`] reads it all.
        call fn describe(schema_offset: u32) -> Description;

        /// Rows of `table` after the memcomparable key `after`, from the first when absent; at most `limit`, which is
        /// bounded by `PAGE_COUNT_MAX`. A later page may be of a later revision. Idempotent.
        ///
        /// Errors: `not_found` when there is no such table.
        call fn rows(table: String, after: Option<Bytes>, limit: u32) -> Rows;

        /// What the module logged on this node, after the line `after`, from the oldest kept when absent; then what it logs.
        /// Kept in memory, bounded; a node that was started again has what its log made it do again.
        stream fn log(after: Option<u64>) -> LogPart;

        /// What a call of a reducer would do now, without doing it; no session, no effect, no entry. Time and random are those of
        /// this moment on this node.
        ///
        /// Errors: `busy` when the module's code is not here yet. What the call itself is refused with is in the answer.
        call fn dry_run(reducer: String, arguments: Bytes) -> DryRun;

        /// What the calls of each function came to on this node since it started, by name. Idempotent.
        call fn usage() -> Vec<FunctionUsage>;

        /// Puts a published module in place of the present one, with the data there is. The same code twice is
        /// harmless.
        ///
        /// Errors: `incompatible`, naming table and column; `not_found` when no such blob was published.
        call fn upgrade(code: ContentHash) -> ();
    }
}

/// The mount as it is, with its whole schema.
///
/// # Errors
/// As [`Module::describe`]; `conflict` when the mount was upgraded between two chunks.
///
/// # Cancel safety
/// Reads only.
pub async fn describe(module: &impl Module) -> Result<Description, Error> {
    let mut whole = module.describe(0).await?;
    while whole.schema.0.len() < whole.schema_bytes as usize {
        let offset = u32::try_from(whole.schema.0.len()).unwrap_or(u32::MAX);
        let next = module.describe(offset).await?;
        if next.code != whole.code || next.schema.0.is_empty() {
            return Err(Error::new(Code::Conflict, "the mount was upgraded meanwhile"));
        }
        whole.schema.0.extend(next.schema.0);
    }
    Ok(whole)
}
