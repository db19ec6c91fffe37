//! What is to be done to the disk, in order; performed away from the log, where it may block.

use crate::format::{self, Frame, HEADER_BYTES, Header, Salt};
use crate::planted::{Bug, Planted};
use crate::record::{LogIdentity, Ticket};
use isx_port::{Disk, DiskError, File, OpenMode};
use std::collections::VecDeque;
use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

/// A segment's path.
pub(crate) fn path(dir: &str, number: u64) -> String {
    format!("{dir}/{number:016x}.log")
}

/// The path of a segment that is being made.
pub(crate) fn path_new(dir: &str, number: u64) -> String {
    format!("{dir}/{number:016x}.new")
}

/// One step; each leaves the disk so that recovery knows where it stopped.
#[derive(Debug)]
pub(crate) enum Step {
    /// Makes the next segment durable, closes the one before, and goes on in the new one.
    Roll { next: u64, size: u64, offset: u64, batch: u64, sequence: u64 },
    /// Writes a batch and syncs it.
    Batch { offset: u64, batch: u64, sequence: u64, frames: Vec<Frame> },
    /// Removes the oldest segment; durable before the next one is removed, so that no gap can appear.
    Remove { number: u64 },
}

/// Work for a lane that may block: some writes ending in a sync. At most one is out at a time.
pub struct Job {
    pub(crate) dir: String,
    pub(crate) identity: LogIdentity,
    /// The segment that is written, and its number.
    pub(crate) file: Arc<dyn File>,
    pub(crate) number: u64,
    /// The crc at the end of the last batch written.
    pub(crate) chain: u32,
    pub(crate) steps: VecDeque<Step>,
    pub(crate) upto: Ticket,
    pub(crate) planted: Planted,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("upto", &self.upto).field("steps", &self.steps.len()).finish()
    }
}

/// What became of a job.
#[derive(Debug)]
pub struct Done(pub(crate) Outcome);

pub(crate) enum Outcome {
    Finished {
        file: Arc<dyn File>,
        chain: u32,
        upto: Ticket,
    },
    /// Nothing of the step that failed counts; the rest of the job can be performed again.
    Full(Job),
    Failed(DiskError),
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished { upto, .. } => write!(f, "Finished({upto:?})"),
            Self::Full(job) => write!(f, "Full({job:?})"),
            Self::Failed(error) => write!(f, "Failed({error})"),
        }
    }
}

impl Job {
    /// Writes and syncs; blocks. The result goes to [`crate::Wal::completed`], whatever it is. A job that is dropped
    /// leaves the log waiting for ever.
    pub fn perform(mut self, disk: &dyn Disk) -> Done {
        loop {
            let Some(step) = self.steps.pop_front() else {
                return Done(Outcome::Finished { file: self.file, chain: self.chain, upto: self.upto });
            };
            match self.step(&step, disk) {
                Ok(()) => {}
                Err(DiskError::Full { .. }) => {
                    self.steps.push_front(step);
                    return Done(Outcome::Full(self));
                }
                Err(error) => return Done(Outcome::Failed(error)),
            }
        }
    }

    fn step(&mut self, step: &Step, disk: &dyn Disk) -> Result<(), DiskError> {
        match step {
            Step::Roll { next, size, offset, batch, sequence } => {
                let frames = [Frame::roll(*next)];
                let salt = Salt::new(self.identity, self.number, self.planted);
                let (bytes, chain) = format::encode_batch(salt, *offset, (*batch, *sequence, self.chain), &frames);
                let header =
                    Header { identity: self.identity, number: *next, size: *size, first_batch: *batch + 1, chain };
                let file = create(&self.dir, &header, disk, self.planted)?;
                self.file.write_at(*offset, &bytes)?;
                self.sync()?;
                self.file = file;
                self.number = *next;
                self.chain = chain;
                Ok(())
            }
            Step::Batch { offset, batch, sequence, frames } => {
                let salt = Salt::new(self.identity, self.number, self.planted);
                let (bytes, chain) = format::encode_batch(salt, *offset, (*batch, *sequence, self.chain), frames);
                self.file.write_at(*offset, &bytes)?;
                let votes = frames.iter().all(|frame| frame.kind == format::Kind::Vote);
                if !(votes && self.planted.has(Bug::VoteUnsynced)) {
                    self.sync()?;
                }
                self.chain = chain;
                Ok(())
            }
            Step::Remove { number } => match disk.remove(&path(&self.dir, *number)) {
                Ok(()) | Err(DiskError::NotFound { .. }) => disk.sync_dir(&self.dir),
                Err(error) => Err(error),
            },
        }
    }

    fn sync(&self) -> Result<(), DiskError> {
        if self.planted.has(Bug::AckBeforeSync) {
            return Ok(());
        }
        match sync(&*self.file) {
            Err(_) if self.planted.has(Bug::IgnoreSyncError) => Ok(()),
            Err(_) if self.planted.has(Bug::RetrySync) => self.file.sync(),
            result => result,
        }
    }
}

/// Syncs; a sync that fails for want of space is as final as any other, and must not pass for a job to be repeated.
fn sync(file: &dyn File) -> Result<(), DiskError> {
    file.sync().map_err(|error| match error {
        DiskError::Full { path } => {
            DiskError::Io { path, kind: ErrorKind::StorageFull, text: "no space at a sync".to_owned() }
        }
        error => error,
    })
}

/// Makes an empty segment durable under its name. A full disk leaves nothing behind.
pub(crate) fn create(
    dir: &str,
    header: &Header,
    disk: &dyn Disk,
    planted: Planted,
) -> Result<Arc<dyn File>, DiskError> {
    let new = path_new(dir, header.number);
    match disk.remove(&new) {
        Ok(()) | Err(DiskError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let file: Arc<dyn File> = Arc::from(disk.open(&new, OpenMode::CreateNew)?);
    let prepared = file.allocate(header.size.max(HEADER_BYTES)).and_then(|()| file.write_at(0, &header.encode()));
    if let Err(error) = prepared {
        // Best effort: whatever stays is removed by the next attempt or by recovery.
        let _ = disk.remove(&new);
        return Err(error);
    }
    sync(&*file)?;
    disk.rename(&new, &path(dir, header.number))?;
    if !planted.has(Bug::DirectoryUnsynced) {
        disk.sync_dir(dir)?;
    }
    Ok(file)
}
