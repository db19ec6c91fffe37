//! The log alone: records of 128 bytes, so many at a time, each time written and synced before the next.

use crate::figure::{Target, micros, print, quantile};
use crate::{Outcome, environment};
use isx_node::real::Folder;
use isx_port::{Disk, File, OpenMode};
use isx_wal::{Entry, Group, LogIdentity, Options, Record, Wal};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const RECORD: [u8; 128] = [7; 128];
const GROUP: Group = Group(1);
/// Entries after which the older ones are purged, so that segments are removed as in a node.
const PURGE_ENTRIES: u64 = 256 * 1024;
/// How long each size is measured.
const ROUND: Duration = Duration::from_millis(500);

/// Prints the figures.
pub fn measure() -> Outcome<()> {
    let mut log = Log::new()?;
    for count in [1, 128, 1024] {
        let round = log.round(count, ROUND)?;
        let name = |what: &str| format!("log, {count} records at a time, {what}");
        print(&name("accepted"), round.accepted, "records/s", Target::None);
        print(&name("fsynced"), round.fsynced, "records/s", Target::None);
    }
    let mut synced = Synced::new()?;
    let mut times = (0..500).map(|_| synced.sync()).collect::<Outcome<Vec<_>>>()?;
    print("bare fdatasync of 512 bytes, median", quantile(&mut times, 0.5), "us", Target::None);
    print("bare fdatasync of 512 bytes, p99", quantile(&mut times, 0.99), "us", Target::None);
    Ok(())
}

/// A log in a folder of its own.
pub struct Log {
    wal: Wal,
    disk: Folder,
    next: u64,
    _folder: TempDir,
}

/// Records a second.
pub struct Round {
    /// Into memory.
    pub accepted: f64,
    /// Onto disk.
    pub fsynced: f64,
}

impl Log {
    pub fn new() -> Outcome<Self> {
        let folder = tempfile::tempdir_in(environment::folder())?;
        let disk = Folder::new(folder.path());
        let (wal, _) = Wal::open(&disk, Options::new("wal", LogIdentity([7; 16])))?;
        Ok(Self { wal, disk, next: 1, _folder: folder })
    }

    /// Logs `count` records at a time for so long.
    pub fn round(&mut self, count: u64, during: Duration) -> Outcome<Round> {
        let payload: Arc<[u8]> = RECORD.as_slice().into();
        let begun = Instant::now();
        let (mut records, mut accepting) = (0, Duration::ZERO);
        while begun.elapsed() < during {
            let submitted = Instant::now();
            for _ in 0..count {
                self.wal.submit(GROUP, Record::Entry(Entry { index: self.next, term: 1, payload: payload.clone() }))?;
                self.next += 1;
            }
            accepting += submitted.elapsed();
            self.sync()?;
            records += count;
            if self.next % PURGE_ENTRIES < count {
                self.wal.submit(GROUP, Record::Purge { upto: self.next - 1, mark: Arc::from([]) })?;
            }
        }
        let rate = |time: Duration| records as f64 / time.as_secs_f64();
        Ok(Round { accepted: rate(accepting), fsynced: rate(begun.elapsed()) })
    }

    fn sync(&mut self) -> Outcome<()> {
        while let Some(job) = self.wal.take_job() {
            let done = job.perform(&self.disk);
            if self.wal.completed(done)?.full {
                return Err("the disk is full".into());
            }
        }
        Ok(())
    }
}

/// A preallocated file that is written and synced, and nothing else.
pub struct Synced {
    file: Box<dyn File>,
    offset: u64,
    _folder: TempDir,
}

impl Synced {
    const FILE_BYTES: u64 = 4 * 1024 * 1024;
    const WRITE: [u8; 512] = [7; 512];

    pub fn new() -> Outcome<Self> {
        let folder = tempfile::tempdir_in(environment::folder())?;
        let file = Folder::new(folder.path()).open("synced", OpenMode::CreateNew)?;
        file.allocate(Self::FILE_BYTES)?;
        file.sync()?;
        Ok(Self { file, offset: 0, _folder: folder })
    }

    /// Microseconds of one write and its sync.
    pub fn sync(&mut self) -> Outcome<f64> {
        let begun = Instant::now();
        self.file.write_at(self.offset, &Self::WRITE)?;
        self.file.sync()?;
        self.offset = (self.offset + Self::WRITE.len() as u64) % Self::FILE_BYTES;
        Ok(micros(begun.elapsed()))
    }
}
