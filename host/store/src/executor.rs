//! The seam between the replicated machine and whatever runs module code.

use crate::{Changes, Database, Reads};
use isx_row::{Code, ContentHash, Error, MountId, Principal, Revision, SessionId, Signature, Time};

/// What decides whether two executors end in the same state: engine, its configuration, compile target with named
/// features, fuel table, codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExecutionId(pub [u8; 32]);

/// What an entry gives to each of its calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryContext {
    /// Log time.
    pub time: Time,
    /// The entry's randomness; each call's stream is derived from it and the call's place.
    pub seed: [u8; 32],
}

/// Why a function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody called it.
    Call,
    /// Its event happened: it is a hook, and the arguments are the event's.
    Hook,
    /// A row is due: it is the hook of that, and the arguments are the row's primary key. The row is deleted in the hook's
    /// transaction, before the hook runs with it.
    Due,
}

/// One call of a reducer or query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation<'a> {
    /// Whose function it is: for accounts, and the caller of what it calls in other mounts.
    pub mount: MountId,
    /// Why it runs.
    pub cause: Cause,
    /// The function's name.
    pub name: &'a str,
    /// The signature the caller was typed against; [`Signature::ANY`] for callers that read the schema.
    pub signature: Signature,
    /// The encoded arguments; see [`Cause`].
    pub arguments: &'a [u8],
    /// Who calls.
    pub caller: Principal,
    /// Whether the caller holds a reference the owner gave: private members answer to it alone.
    pub trusted: bool,
    /// The session, if any.
    pub session: Option<SessionId>,
    /// How many messages between mounts led to it.
    pub hops: u8,
    /// The call's place within its entry: part of its random stream, so that batches can be cut anywhere.
    pub place: u64,
    /// Fuel it may use.
    pub fuel_max: u64,
}

/// Another mount that calls reach into, within their own transaction: of the bundle of the mount that they are of.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The mount.
    pub mount: MountId,
    /// Its code.
    pub code: ContentHash,
    /// Its tables.
    pub root: Database,
}

impl Joined {
    /// Why a mount that is linked at a path is not to be called.
    pub fn gone(path: &str) -> Error {
        let text = format!(
            "{path} was removed, or is not reached from here: hooks on `init`, `upgrade` and moved rows call no other module, \
             native tests have none"
        );
        Error::new(Code::Gone, text)
    }
}

/// What a call did in another mount.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinedChanges {
    /// The mount.
    pub mount: MountId,
    /// The rows it changed there; empty after an error.
    pub changes: Changes,
    /// Lines that were logged there, as [`Executed::log`].
    pub log: Vec<(u8, String)>,
}

/// What a call did.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    /// The encoded answer, or why everything was rolled back. `Code::Application` carries the module's own error in
    /// [`Executed::detail`].
    pub outcome: Result<Vec<u8>, Error>,
    /// The module's own typed error, encoded.
    pub detail: Option<Vec<u8>>,
    /// Fuel used; equal on every replica.
    pub fuel: u64,
    /// Host functions it called. For accounts.
    pub host_calls: u64,
    /// The rows it changed; empty after an error.
    pub changes: Changes,
    /// Lines it logged, bounded: (level, text). Not replicated state.
    pub log: Vec<(u8, String)>,
    /// Of a view: what it read, which is all that its rows depend on beside the module, the arguments and the caller.
    pub reads: Reads,
    /// What it did in other mounts of the bundle; those where it did nothing are left out.
    pub joined: Vec<JoinedChanges>,
}

impl Executed {
    /// What a call did that was ended before it began.
    pub fn refused(error: Error) -> Self {
        let (changes, log, reads, joined) = Default::default();
        Self { outcome: Err(error), detail: None, fuel: 0, host_calls: 0, changes, log, reads, joined }
    }
}

/// Why calls can not be executed here and now. Never an answer to a caller: the replica waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The module's code is not here yet.
    NoCode(ContentHash),
    /// The call at this position killed its process twice.
    Poisoned {
        /// Position in the list given to [`Executor::execute`].
        position: usize,
    },
    /// A process died while the call at this position was applied, and it could not be tried in a child now.
    Untried {
        /// Position in the list given to [`Executor::execute`].
        position: usize,
    },
}

/// Runs module code. Deterministic: equal databases, contexts and calls give equal results wherever the execution ids
/// are equal, however the calls are cut into lists.
pub trait Executor: Send + Sync + 'static {
    /// The execution id.
    fn execution_id(&self) -> ExecutionId;

    /// Whether the code is here, compiled.
    fn has(&self, code: &ContentHash) -> bool;

    /// Executes calls in order, each one transaction on `root` and on the roots of `joined`, which its functions may call
    /// into: committed with its outcome, or rolled back.
    ///
    /// # Errors
    /// [`Hold`] when the replica must wait; the roots are unchanged then.
    fn execute_joined(
        &self,
        code: &ContentHash,
        root: &mut Database,
        entry: &EntryContext,
        calls: &[Invocation<'_>],
        joined: &mut [Joined],
    ) -> Result<Vec<Executed>, Hold>;

    /// [`Executor::execute_joined`] of calls that reach into no other mount.
    ///
    /// # Errors
    /// As that.
    fn execute(
        &self,
        code: &ContentHash,
        root: &mut Database,
        entry: &EntryContext,
        calls: &[Invocation<'_>],
    ) -> Result<Vec<Executed>, Hold> {
        self.execute_joined(code, root, entry, calls, &mut [])
    }

    /// Runs a query on a version; gives its failure, or `busy` when the code is not here, as the outcome. `at` is the
    /// version's log time, which views are refused; random is refused to all.
    fn query(&self, code: &ContentHash, root: &Database, at: (Revision, Time), call: &Invocation<'_>) -> Executed;
}
