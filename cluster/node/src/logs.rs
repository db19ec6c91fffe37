//! What modules log: kept by mount, bounded, and given to whoever follows.
//!
//! Lines are no state: each node keeps what its own executor heard, in memory.

use crate::limits::{LOG_BYTES_MAX, LOG_LINES_MAX, LOG_PART_LINES_MAX, LOGS_BYTES_MAX};
use crate::source::{self, Source};
use futures::stream::BoxStream;
use isx_cluster::Effects;
use isx_iface::module::{LogLine, LogPart};
use isx_raft::Follow;
use isx_row::{Code, Error, MountId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Bytes that a line takes besides its text.
const LINE_BYTES: usize = 64;
/// Bytes of lines in one part.
const PART_BYTES_MAX: usize = LOG_BYTES_MAX / 4;

/// The logs of a node's mounts.
#[derive(Default)]
pub(crate) struct Logs {
    kept: Mutex<Kept>,
    /// A line came, or a mount went.
    changed: Notify,
}

#[derive(Default)]
struct Kept {
    mounts: BTreeMap<MountId, Lines>,
    bytes: usize,
    /// Lines that went for newer ones.
    dropped_count: u64,
}

/// The last lines of a mount.
#[derive(Default)]
struct Lines {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// The number of the last line; those that the node has missed are counted.
    last: u64,
}

impl Lines {
    fn push(&mut self, line: &isx_cluster::LogLine) -> usize {
        self.last += 1;
        let line = LogLine { number: self.last, time: line.time, level: line.level, text: line.text.clone() };
        let bytes = LINE_BYTES + line.text.len();
        self.bytes += bytes;
        self.lines.push_back(line);
        bytes
    }

    /// Drops the oldest; the bytes that gives.
    fn pop(&mut self) -> usize {
        let bytes = self.lines.pop_front().map_or(0, |line| LINE_BYTES + line.text.len());
        self.bytes -= bytes;
        bytes
    }

    /// The lines after a number, as many as one part has. A number that was never given is of an earlier life of the node.
    fn after(&self, number: u64) -> Option<LogPart> {
        let number = if number > self.last { 0 } else { number };
        let first = self.lines.iter().find(|line| line.number > number)?.number;
        let mut bytes = 0;
        let fits = |line: &&LogLine| {
            bytes += LINE_BYTES + line.text.len();
            bytes <= PART_BYTES_MAX
        };
        let later = self.lines.iter().skip_while(|line| line.number <= number);
        let lines: Vec<LogLine> = later.take(LOG_PART_LINES_MAX).take_while(fits).cloned().collect();
        let newest = lines.last().is_some_and(|line| line.number == self.last);
        Some(LogPart { lines, dropped_count: first - number - 1, newest })
    }
}

impl Kept {
    fn note(&mut self, effects: &Effects) {
        for line in &effects.log {
            let lines = self.mounts.entry(line.mount).or_default();
            self.bytes += lines.push(line);
            while lines.lines.len() > LOG_LINES_MAX || lines.bytes > LOG_BYTES_MAX {
                self.bytes -= lines.pop();
                self.dropped_count += 1;
            }
            while self.bytes > LOGS_BYTES_MAX
                && let Some(most) = self.mounts.values_mut().max_by_key(|lines| lines.bytes)
            {
                self.bytes -= most.pop();
                self.dropped_count += 1;
            }
        }
        for mount in &effects.dropped {
            self.bytes -= self.mounts.remove(mount).map_or(0, |lines| lines.bytes);
        }
    }
}

impl Logs {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines that were dropped for newer ones since the start.
    #[cfg(feature = "real")]
    pub(crate) fn dropped_count(&self) -> u64 {
        self.kept().dropped_count
    }

    /// Keeps what the group's entries log, until the node stops.
    pub(crate) async fn keep(self: Arc<Self>, mut follow: Follow) {
        while let Some(change) = follow.next().await {
            match &change.effects {
                Some(effects) => {
                    let mut kept = self.kept();
                    effects.iter().for_each(|effects| kept.note(effects));
                }
                // More was applied at once than is remembered: how many lines that is nobody knows.
                None => tracing::warn!("lines of modules were missed"),
            }
            self.changed.notify_waiters();
        }
    }

    /// The lines of a mount after a number, then those that come; ends with `gone` when `is_there` says no more.
    pub(crate) fn follow(
        self: &Arc<Self>,
        mount: MountId,
        after: u64,
        is_there: impl Fn() -> bool + Send + Sync + 'static,
    ) -> BoxStream<'static, Result<LogPart, Error>> {
        let following = Following { logs: self.clone(), mount, after, told: false, is_there };
        source::stream(following)
    }
}

struct Following<F> {
    logs: Arc<Logs>,
    mount: MountId,
    after: u64,
    /// Whether it was told that it has all there is.
    told: bool,
    is_there: F,
}

impl<F: Fn() -> bool + Send + Sync + 'static> Source for Following<F> {
    type Item = LogPart;

    async fn next(&mut self) -> Option<Result<LogPart, Error>> {
        let logs = self.logs.clone();
        loop {
            let changed = logs.changed.notified();
            if !(self.is_there)() {
                return Some(Err(Error::new(Code::Gone, "the mount was removed")));
            }
            let part = logs.kept().mounts.get(&self.mount).and_then(|lines| lines.after(self.after));
            if let Some(part) = part {
                self.after = part.lines.last().map_or(self.after, |line| line.number);
                self.told |= part.newest;
                return Some(Ok(part));
            }
            if !self.told {
                self.told = true;
                return Some(Ok(LogPart { lines: Vec::new(), dropped_count: 0, newest: true }));
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};
    use isx_row::Time;

    fn mount(number: u8) -> MountId {
        MountId([number; 16])
    }

    fn effects(number: u8, texts: &[&str]) -> Effects {
        let line = |text: &&str| isx_cluster::LogLine {
            mount: mount(number),
            time: Time(1),
            level: 3,
            text: (*text).to_string(),
        };
        Effects { log: texts.iter().map(line).collect(), ..Effects::default() }
    }

    fn logs(all: &[Effects]) -> Arc<Logs> {
        let logs = Logs::default();
        all.iter().for_each(|effects| logs.kept().note(effects));
        Arc::new(logs)
    }

    fn texts(part: &LogPart) -> Vec<&str> {
        part.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_follower_hears_what_was_and_what_comes() {
        let logs = logs(&[effects(1, &["a", "b"]), effects(2, &["other"])]);
        let mut lines = logs.follow(mount(1), 0, || true);
        let part = lines.next().now_or_never().unwrap().unwrap().unwrap();
        assert_eq!((texts(&part), part.dropped_count, part.newest), (vec!["a", "b"], 0, true));
        let mut next = lines.next();
        assert!((&mut next).now_or_never().is_none(), "it waits");
        logs.kept().note(&effects(1, &["c"]));
        logs.changed.notify_waiters();
        assert_eq!(texts(&next.now_or_never().unwrap().unwrap().unwrap()), ["c"]);
    }

    #[test]
    fn a_quiet_mount_says_so_at_once_and_a_removed_one_ends() {
        let quiet = logs(&[]).follow(mount(1), 0, || true).next().now_or_never().unwrap().unwrap().unwrap();
        assert!(quiet.lines.is_empty() && quiet.newest);
        let gone = logs(&[]).follow(mount(1), 0, || false).next().now_or_never().unwrap().unwrap();
        assert_eq!(gone.unwrap_err().code, Code::Gone);
    }

    #[test]
    fn a_number_of_an_earlier_life_means_all_lines() {
        let logs = logs(&[effects(1, &["a", "b"])]);
        assert_eq!(texts(&logs.kept().mounts[&mount(1)].after(7).unwrap()), ["a", "b"]);
        assert_eq!(texts(&logs.kept().mounts[&mount(1)].after(1).unwrap()), ["b"]);
        assert!(logs.kept().mounts[&mount(1)].after(2).is_none());
    }

    #[test]
    fn a_loud_mount_loses_its_oldest_lines_and_followers_hear_how_many() {
        let logs = logs(&[effects(2, &["quiet"])]);
        let long = "x".repeat(4096);
        for _ in 0..LOG_LINES_MAX + 10 {
            logs.kept().note(&effects(1, &[&long]));
        }
        let kept = logs.kept();
        let loud = &kept.mounts[&mount(1)];
        assert!(loud.bytes <= LOG_BYTES_MAX && kept.bytes <= LOGS_BYTES_MAX);
        assert_eq!(kept.bytes, kept.mounts.values().map(|lines| lines.bytes).sum::<usize>());
        let part = loud.after(0).unwrap();
        assert_eq!(part.dropped_count + loud.lines.len() as u64, loud.last);
        assert_eq!(texts(&kept.mounts[&mount(2)].after(0).unwrap()), ["quiet"], "others keep theirs");
    }

    #[test]
    fn a_removed_mount_keeps_nothing() {
        let logs = logs(&[effects(1, &["a"])]);
        logs.kept().note(&Effects { dropped: vec![mount(1)], ..Effects::default() });
        assert!(logs.kept().mounts.is_empty() && logs.kept().bytes == 0);
    }
}
