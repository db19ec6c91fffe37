//! What calls cost a node: counted where they run, by function and by mount.

use crate::record;
use isx_row::{MountId, Span};

record! {
    /// What a node did for calls since it started. Replicas count alike what they apply alike, each for itself.
    #[derive(Default)]
    pub struct Usage {
        /// Calls that were run: of reducers and hooks at apply, of queries where they were asked. What a session is answered
        /// from memory is not run.
        pub calls: u64,
        /// Of them those that the module answered with an error of its own.
        pub application: u64,
        /// Those that trapped or used up their fuel.
        pub trapped: u64,
        /// Those that were refused otherwise: for arguments, rights, limits, names.
        pub refused: u64,
        /// Those that could not be run now.
        pub busy: u64,
        /// Those that failed in any other way.
        pub failed: u64,
        /// Fuel used.
        pub fuel: u64,
        /// Host functions called.
        pub host_calls: u64,
        /// Bytes of arguments.
        pub in_bytes: u64,
        /// Bytes of answers.
        pub out_bytes: u64,
        /// Rows inserted, updated and deleted.
        pub rows_changed: u64,
        /// Time that a thread was at it. Calls that run together share theirs by the fuel they used.
        pub wall: Span,
    }

    /// What one function of a mount came to.
    pub struct FunctionUsage {
        /// The function; empty for what is counted together: names that are no function, and functions over the bound.
        pub function: String,
        /// What it came to.
        pub usage: Usage,
    }

    /// What one mount came to.
    pub struct MountUsage {
        /// The mount; none for what is counted together: mounts over the bound.
        pub mount: Option<MountId>,
        /// Where it is mounted; none when it is not.
        pub path: Option<String>,
        /// What all its functions came to.
        pub usage: Usage,
    }

    /// Mounts, by id.
    pub struct Usages {
        /// At most `PAGE_COUNT_MAX`.
        pub mounts: Vec<MountUsage>,
        /// The mount to continue after; none when this is the last page.
        pub next: Option<MountId>,
    }
}

impl Usage {
    /// Adds what else there is.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.application += other.application;
        self.trapped += other.trapped;
        self.refused += other.refused;
        self.busy += other.busy;
        self.failed += other.failed;
        self.fuel += other.fuel;
        self.host_calls += other.host_calls;
        self.in_bytes += other.in_bytes;
        self.out_bytes += other.out_bytes;
        self.rows_changed += other.rows_changed;
        self.wall.0 += other.wall.0;
    }

    /// Calls that ended with an answer.
    pub fn answered(&self) -> u64 {
        self.calls - self.application - self.trapped - self.refused - self.busy - self.failed
    }
}
