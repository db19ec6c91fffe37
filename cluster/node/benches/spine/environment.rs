//! What the figures were measured on.

use std::fs;
use std::path::{Path, PathBuf};

/// Where state folders are made: on the disk of the build, as a temporary folder may be memory.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// Prints it.
pub fn print() {
    let unknown = || "unknown".to_string();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("processor  {}, {cores} cores", processor().unwrap_or_else(unknown));
    println!("kernel     {}", line("/proc/sys/kernel/osrelease").unwrap_or_else(unknown));
    println!("load       {}", line("/proc/loadavg").unwrap_or_else(unknown));
    println!("fsync      fdatasync of preallocated files on {}", file_system(&folder()).unwrap_or_else(unknown));
    let profile = if cfg!(debug_assertions) { "debug: the figures say nothing about a release" } else { "release" };
    println!("profile    {profile}");
}

fn line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_string())
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let model = text.lines().find(|line| line.starts_with("model name"))?;
    Some(model.split_once(':')?.1.trim().to_string())
}

/// The type of the file system with the longest mount point above the folder.
fn file_system(folder: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let points = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = points.filter(|(point, _)| folder.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_string())
}

/// Bytes of this process in memory.
pub fn resident_bytes() -> crate::Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    Ok(line.split_whitespace().nth(1).ok_or("VmRSS without a number")?.parse::<u64>()? * 1024)
}
