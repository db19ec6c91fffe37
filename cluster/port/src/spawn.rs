//! Tasks, and lanes for work that blocks.

use futures::future::BoxFuture;

/// A task's body.
pub type Task = BoxFuture<'static, ()>;
/// Work that blocks or computes.
pub type Job = Box<dyn FnOnce() + Send + 'static>;

/// A lane runs its jobs one after another, in the order given; lanes run beside each other.
///
/// In a node each lane is a thread; in the simulator a job takes simulated time and may meet a crash before or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Writes and syncs of the log.
    Disk,
    /// Snapshot files: slow writes that must not delay the log.
    Snapshot,
    /// Taking modules in, one after the other: blobs, and a compiler that may take seconds.
    Publish,
    /// Applying the entries of a group; its stack covers nested module calls.
    Apply(u64),
    /// Queries of a group, which read a version and do not wait for apply.
    Query(u64),
    /// Views of a group that are followed, which must not keep queries waiting.
    View(u64),
    /// Applying entries of a group again, aside, for who asks of the past; its stack is as that of apply.
    Past(u64),
}

/// The executor of one node.
pub trait Spawn: Send + Sync + 'static {
    /// Runs `task` until it ends or the node does. `name` is for traces.
    fn spawn(&self, name: &'static str, task: Task);
    /// Runs `job` on `lane`; completes when it is done.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the job; the result is lost.
    fn run(&self, lane: Lane, job: Job) -> BoxFuture<'static, ()>;
}
