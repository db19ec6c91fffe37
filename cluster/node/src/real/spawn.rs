//! Tasks on the tokio runtime, and a thread for each lane.

use futures::channel::oneshot;
use futures::future::BoxFuture;
use isx_port::{Job, Lane, Spawn, Task};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// Bytes of stack for lanes that run no module code.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Tasks run on the runtime; each lane is a thread made at its first job and ended with the last handle.
#[derive(Clone)]
pub struct Threads {
    runtime: tokio::runtime::Handle,
    lanes: Arc<Mutex<BTreeMap<Lane, mpsc::Sender<Job>>>>,
    apply_stack_bytes: usize,
}

impl Threads {
    /// An executor over `runtime`; lanes that run module code get `apply_stack_bytes` of stack.
    pub fn new(runtime: tokio::runtime::Handle, apply_stack_bytes: usize) -> Self {
        Self { runtime, lanes: Arc::default(), apply_stack_bytes }
    }

    fn start(&self, lane: Lane) -> mpsc::Sender<Job> {
        let (sender, jobs) = mpsc::channel::<Job>();
        let (name, stack_bytes) = match lane {
            Lane::Disk => ("isx-disk".into(), STACK_BYTES),
            Lane::Snapshot => ("isx-snapshot".into(), STACK_BYTES),
            Lane::Publish => ("isx-publish".into(), STACK_BYTES),
            Lane::Apply(group) => (format!("isx-apply-{group}"), self.apply_stack_bytes),
            Lane::Query(group) => (format!("isx-query-{group}"), self.apply_stack_bytes),
            Lane::View(group) => (format!("isx-view-{group}"), self.apply_stack_bytes),
            Lane::Past(group) => (format!("isx-past-{group}"), self.apply_stack_bytes),
        };
        let thread = std::thread::Builder::new().name(name).stack_size(stack_bytes);
        let work = move || {
            for job in jobs {
                // A job that panics left its group's state half done: the process ends, the log has everything.
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!(?lane, "a job panicked; the process ends");
                    std::process::abort();
                }
            }
        };
        if let Err(error) = thread.spawn(work) {
            // Without the thread the lane's jobs are dropped, and their waiters see it: the node stops in order.
            tracing::error!(%error, ?lane, "no thread for a lane");
        }
        sender
    }
}

impl Spawn for Threads {
    fn spawn(&self, _name: &'static str, task: Task) {
        self.runtime.spawn(task);
    }

    fn run(&self, lane: Lane, job: Job) -> BoxFuture<'static, ()> {
        let (done, waiting) = oneshot::channel::<()>();
        let job: Job = Box::new(move || {
            job();
            // A waiter that went away does not want to know.
            let _ = done.send(());
        });
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = lanes.entry(lane).or_insert_with(|| self.start(lane));
        // A lane whose thread is gone drops the job, which ends the wait.
        let _ = sender.send(job);
        Box::pin(async move {
            let _ = waiting.await;
        })
    }
}
