//! What the process and its state folder take of the machine.

use crate::budget::{Machine, Space};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of a block as file systems count them.
const BLOCK_BYTES: u64 = 512;

/// What is taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// Bytes of memory that are resident.
    pub(crate) memory_bytes: u64,
    /// Processor time since the process began.
    pub(crate) cpu: Duration,
    pub(crate) space: Space,
}

/// Measures, and remembers for a while, so that asking costs nothing.
pub(crate) struct Meter {
    folder: PathBuf,
    last: Mutex<Option<(Instant, Measured)>>,
}

impl Meter {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), last: Mutex::default() }
    }

    /// What is taken, as it was at most `age` ago. Blocks when it has to look.
    pub(crate) fn read(&self, age: Duration) -> Measured {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, measured)) if at.elapsed() <= age => measured,
            _ => {
                let measured = Measured { memory_bytes: memory_bytes(), cpu: cpu(), space: space(&self.folder) };
                *last = Some((Instant::now(), measured));
                measured
            }
        }
    }
}

impl Machine for Meter {
    fn cpu(&self) -> Duration {
        cpu() + children_cpu()
    }

    fn space(&self) -> Space {
        self.read(Duration::ZERO).space
    }
}

/// Bytes of memory of this process that are resident.
pub fn memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * page_size() as u64
}

/// Processor time of this process, all threads together.
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Processor time of children of this process that have ended and were waited for.
fn children_cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name stands in brackets and may have any character; behind it the state is the third member, these are the
    // sixteenth and the seventeenth: proc_pid_stat(5).
    let (_, members) = text.rsplit_once(')').unwrap_or_default();
    let ticks: u64 = members.split_whitespace().skip(13).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / clock_ticks_per_second().max(1))
}

/// What the files of a state folder take. One that goes meanwhile takes nothing.
pub fn space(folder: &Path) -> Space {
    let mut space = Space::default();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let bytes = taken(&entry);
        match entry.file_name().to_str() {
            Some("wal") => space.log_bytes += bytes,
            Some("hist") => space.history_bytes += bytes,
            Some("blobs") => space.blob_bytes += bytes,
            _ => space.rest_bytes += bytes,
        }
    }
    space
}

fn taken(entry: &fs::DirEntry) -> u64 {
    match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            fs::read_dir(entry.path()).into_iter().flatten().flatten().map(|entry| taken(&entry)).sum()
        }
        Ok(metadata) => metadata.blocks() * BLOCK_BYTES,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_by_part_and_the_process_takes_something() {
        let folder = tempfile::tempdir().unwrap();
        for (part, kib) in [("wal", 64), ("blobs", 128), ("hist/1", 256), ("snap/1", 32)] {
            fs::create_dir_all(folder.path().join(part)).unwrap();
            fs::write(folder.path().join(part).join("file"), vec![1; kib * 1024]).unwrap();
        }
        fs::write(folder.path().join("key"), [1; 36]).unwrap();
        let space = space(folder.path());
        assert!(space.log_bytes >= 64 * 1024 && space.log_bytes < 96 * 1024, "{space:?}");
        assert!(space.blob_bytes >= 128 * 1024 && space.blob_bytes < 160 * 1024, "{space:?}");
        assert!(space.history_bytes >= 256 * 1024 && space.history_bytes < 288 * 1024, "{space:?}");
        assert!(space.rest_bytes >= 32 * 1024 && space.rest_bytes < 64 * 1024, "{space:?}");
        let meter = Meter::new(folder.path());
        let first = meter.read(Duration::ZERO);
        assert!(first.memory_bytes > 1024 * 1024 && first.cpu > Duration::ZERO);
        assert_eq!(meter.read(Duration::from_secs(3600)).cpu, first.cpu, "it is remembered");
    }
}
