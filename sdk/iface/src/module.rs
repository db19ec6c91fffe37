//! `Module`: the administration of a mount. What the mounted module itself does is the mounted object's interface.

use crate::limits::CHUNK_BYTES_MAX;
use crate::usage::FunctionUsage;
use crate::{choice, interface, record};
use isx_row::limits::SCHEMA_BYTES_MAX;
use isx_row::{Bytes, Code, Condition, ContentHash, Error, MountId, Principal, Time};

choice! {
    /// What kind of request a step is of.
    pub enum StepKind {
        /// A call of a reducer.
        Call = 1,
        /// The mount was made.
        Create = 2,
        /// The mount got another module.
        Upgrade = 3,
        /// A schedule or a row was due.
        Timer = 4,
        /// A session came.
        Connect = 5,
        /// A session went.
        Disconnect = 6,
        /// A message of another mount came, or one that was sent to it was answered.
        Message = 7,
    }
}

record! {
    /// A moment of a mount's past: one of the two.
    pub struct At {
        /// When the mount came to this revision.
        pub revision: Option<u64>,
        /// This log time.
        pub time: Option<Time>,
    }

    /// What a query of a version answered.
    pub struct Asked {
        /// The revision read.
        pub revision: u64,
        /// The answer: a record of one member.
        pub payload: Bytes,
    }

    /// What one request did to a mount.
    pub struct Step {
        /// The revision it committed; of what committed nothing, the one before.
        pub revision: u64,
        /// Whether it committed.
        pub committed: bool,
        /// Log time.
        pub time: Time,
        /// What kind of request it was.
        pub kind: StepKind,
        /// The reducer or hook that ran; empty where none did.
        pub name: String,
        /// On whose behalf.
        pub principal: Principal,
        /// Tells the calls of one cause apart from others, 16 bytes; zero where no call did it.
        pub trace: Bytes,
        /// `ok`, or the code of what it was refused with.
        pub outcome: String,
        /// Why it was refused; empty if it was not.
        pub text: String,
        /// Rows inserted, updated or deleted.
        pub rows_count: u32,
    }

    /// Steps in order.
    pub struct Steps {
        /// The steps.
        pub steps: Vec<Step>,
        /// The revision behind which they begin.
        pub from: u64,
        /// Whether older ones may be kept.
        pub more: bool,
        /// Calls among them that committed nothing and were too many to tell.
        pub untold_count: u64,
    }

    /// The step that last changed a row.
    pub struct Blamed {
        /// The step; none when nothing that is kept did.
        pub step: Option<Step>,
        /// The revision behind which was looked.
        pub from: u64,
    }

    /// What came of applying a mount's past again.
    pub struct Replayed {
        /// The revision it began behind; 0 for the mount's beginning.
        pub from: u64,
        /// The revision it ended at.
        pub to: u64,
        /// How often it was compared with what is kept.
        pub compared_count: u64,
        /// If it differs: the first revision that may be the first that does.
        pub differs_from: Option<u64>,
        /// If it differs: the last revision that may be the first that does.
        pub differs_to: Option<u64>,
    }

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
        /// The modules it had before, oldest first: the last of them.
        pub earlier: Vec<Earlier>,
        /// The canonical schema from the offset asked for, at most `CHUNK_BYTES_MAX` of it.
        pub schema: Bytes,
    }

    /// A module that the mount had.
    pub struct Earlier {
        /// Its code.
        pub code: ContentHash,
        /// The revision at which it got it.
        pub since: u64,
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

    /// An upgrade, done or begun.
    pub struct Upgraded {
        /// How many rows have to move to the tables of the new module; none when it is done.
        pub rows_to_move: Option<u64>,
    }

    /// Rows that moved to the tables of a new module.
    pub struct Migrated {
        /// How many have.
        pub moved: u64,
        /// How many there are.
        pub rows: u64,
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
        /// Other mounts that it would call into and change.
        pub joined: Vec<JoinedRun>,
        /// What it would log, at most a page of it.
        pub log: Vec<String>,
    }

    /// What a call would do in another mount.
    pub struct JoinedRun {
        /// The path under which the module knows it, or the mount's number where only one that it calls does.
        pub path: String,
        /// How many rows it would change.
        pub changes_count: u64,
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
        /// Errors: `not_found` when there is no such table; `unsupported` for the past of a volatile one.
        call fn rows(table: String, after: Option<Bytes>, limit: u32) -> Rows;

        /// What the module logged on this node, after the line `after`, from the oldest kept when absent; then what it logs.
        /// Kept in memory, bounded; a node that was started again has what its log made it do again.
        stream fn log(after: Option<u64>) -> LogPart;

        /// What a call of a reducer would do now, without doing it; no session, no effect, no entry. Time and random are those of
        /// this moment on this node.
        ///
        /// Errors: `busy` when the module's code is not here yet. What the call itself, or a precondition, is refused with is in
        /// the answer.
        call fn dry_run(reducer: String, arguments: Bytes, conditions: Vec<Condition>) -> DryRun;

        /// What the calls of each function came to on this node since it started, by name. Idempotent.
        call fn usage() -> Vec<FunctionUsage>;

        /// Puts a published module in place of the present one, with the data there is; where rows do not fit it, that has only
        /// begun, and [`Module::migration`] tells when it is done. The same code twice is harmless.
        ///
        /// With `back` it goes back to a module that it had before, from this one: columns and tables that this has and the
        /// earlier does not know are lost.
        ///
        /// Errors: `incompatible`, naming table and column; `not_found` when no such blob was published, or with `back` for a
        /// module that it never had; `conflict` when it has another by now than it is to go back from.
        call fn upgrade(code: ContentHash, back: Option<ContentHash>) -> Upgraded;

        /// What the moving of rows to a module has come to, now and then until it is done; ends at once when none move.
        ///
        /// Errors: `application` when a row could not be moved: then the mount is as it was. Idempotent.
        stream fn migration(code: ContentHash) -> Migrated;

        /// What an upgrade to a published module would come to, all rows moved and its hook run, without doing it. Idempotent.
        ///
        /// Errors: as [`Module::upgrade`] and [`Module::migration`].
        call fn try_upgrade(code: ContentHash, back: Option<ContentHash>) -> Migrated;

        /// The canonical schema of a module that it has or had, from an offset, at most `CHUNK_BYTES_MAX` of it. Idempotent.
        ///
        /// Errors: `not_found` for a module that it never had, or whose code is not there any more.
        call fn schema_of(code: ContentHash, offset: u32) -> Bytes;

        /// Asks a query of the module, whose arguments are of the schema that [`Module::describe`] gives. Idempotent.
        ///
        /// Errors: `not_found` when there is no such query, and what it answers itself.
        call fn ask(name: String, arguments: Bytes) -> Asked;

        /// The administration as of a moment of the past: what it describes, its rows and its queries are those of that
        /// revision, which is found again whenever it is asked. It changes nothing. Idempotent.
        ///
        /// Errors: `too_old`, naming the oldest that is kept; `conflict` for the future; `not_found` for a time before the
        /// mount; `limit` when it does not fit in memory; `busy` when too many ask.
        object fn at(at: At) -> ModuleStub;

        /// The last steps before the revision `before`, before the future when absent; at most `limit` revisions of them,
        /// bounded by `PAGE_COUNT_MAX`, and the calls among them that committed nothing. Idempotent.
        call fn history(before: Option<u64>, limit: u32) -> Steps;

        /// The step that last changed the row of `table` with this memcomparable primary key. Idempotent.
        ///
        /// Errors: `not_found` when there is no such table.
        call fn blame(table: String, key: Bytes) -> Blamed;

        /// Applies what is kept of the past again, up to the revision `to` or the present, and compares it with what is kept.
        /// Idempotent.
        ///
        /// Errors: as [`Module::at`].
        call fn replay(to: Option<u64>) -> Replayed;
    }
}

/// The whole canonical schema of a module that a mount has or had.
///
/// # Errors
/// As [`Module::schema_of`].
///
/// # Cancel safety
/// Reads only.
pub async fn schema_of(module: &impl Module, code: ContentHash) -> Result<Vec<u8>, Error> {
    let mut schema = Vec::new();
    loop {
        let Bytes(next) = module.schema_of(code, u32::try_from(schema.len()).unwrap_or(u32::MAX)).await?;
        let is_last = next.len() < CHUNK_BYTES_MAX;
        schema.extend(next);
        if is_last || schema.len() > SCHEMA_BYTES_MAX {
            return Ok(schema);
        }
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
