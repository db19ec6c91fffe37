//! History: what is kept of a group of mounts beside its log and its snapshot, so that its past can be rebuilt.
//!
//! Entries go from the log into spans, files of `hist/<group>`, before the snapshot that covers them is written; only
//! behind a snapshot does the log drop entries, so each is durable in one place or the other. Now and then the snapshot that
//! a new one replaces stays as a base to begin from; bases share the chunks that are alike. So the log's own recovery knows
//! nothing of history, and a damaged file of it costs the past and nothing else. Rejected: a log that drops its entries
//! later. Its recovery reads all it has, and it would have all of history.
//!
//! What is older than the rule says, or more than its bytes, goes: the oldest base (or the group's beginning) with the
//! entries up to the next. A disk that is full takes the oldest, too, before anything waits for room.

mod keep;
mod span;

pub(crate) use keep::Replaced;
pub(crate) use span::{Kept, Mark, Span, SpanHead};

use crate::limits::{
    HISTORY_BASE_BYTES, HISTORY_BASE_SNAPSHOTS, HISTORY_BASES_MAX, HISTORY_BYTES_MAX, HISTORY_MERGE_BYTES,
    HISTORY_SPAN_BYTES_MAX,
};
use crate::snapshot::{SnapshotError, Store, put_file};
use isx_cluster::{Entry, Request};
use isx_port::{Disk, DiskError, OpenMode, Ports};
use isx_row::{ContentHash, MountId, Revision, Span as TimeSpan, Time};
use isx_store::ExecutionId;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const NEW: &str = ".new";

/// How far back the past of mounts is kept at least, unless it has more bytes than are given to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// What is kept.
    pub rule: Rule,
    /// Bytes it may take.
    pub bytes_max: u64,
    /// Bytes of entries behind a base after which another is kept.
    pub base_bytes: u64,
}

/// What is kept of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Everything.
    All,
    /// What is so young by log time.
    Age(TimeSpan),
    /// So many last revisions of each mount.
    Revisions(u64),
}

/// Units of an age in a rule, the longest first, in seconds.
const UNITS: [(&str, i64); 4] = [("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1)];

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Revisions(count) => count.fmt(f),
            Self::Age(age) => {
                let seconds = age.0 / 1_000_000;
                let (word, unit) = UNITS.into_iter().find(|(_, unit)| seconds % unit == 0).unwrap_or(("s", 1));
                write!(f, "{}{word}", seconds / unit)
            }
        }
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        if let Ok(count) = text.parse() {
            return Ok(Self::Revisions(count));
        }
        let age = UNITS.into_iter().find_map(|(word, unit)| {
            let number: i64 = text.strip_suffix(word)?.parse().ok()?;
            number.checked_mul(unit * 1_000_000).filter(|age| *age >= 0)
        });
        age.map(|age| Self::Age(TimeSpan(age))).ok_or_else(|| {
            "what is kept of the past is an age like 7d or 12h, a count of revisions, or all".to_string()
        })
    }
}

impl Default for Retention {
    /// A week, within [`HISTORY_BYTES_MAX`].
    fn default() -> Self {
        let week = TimeSpan(7 * 24 * 3600 * 1_000_000);
        Self { rule: Rule::Age(week), bytes_max: HISTORY_BYTES_MAX, base_bytes: HISTORY_BASE_BYTES }
    }
}

/// Where the past can be begun: with the group itself, or after the last entry of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The index of that entry; none for the group's beginning.
    pub(crate) index: Option<u64>,
    pub(crate) mark: Mark,
}

impl Start {
    /// The index of the first entry behind it.
    pub(crate) fn next(&self) -> u64 {
        self.index.map_or(0, |index| index.saturating_add(1))
    }
}

/// The history of one group. What touches files blocks: it belongs on [`isx_port::Lane::Snapshot`] or
/// [`isx_port::Lane::Past`].
pub(crate) struct History {
    disk: Arc<dyn Disk>,
    dir: String,
    retention: Retention,
    execution: ExecutionId,
    /// Entries behind a base after which another is kept.
    base_entries: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By first index; none overlaps another.
    spans: BTreeMap<u64, Stored>,
    /// Where the mounts were at the present snapshot.
    current: Option<(u64, Mark)>,
}

/// A span on the disk.
#[derive(Clone, Debug)]
struct Stored {
    head: SpanHead,
    bytes: u64,
}

impl State {
    /// The spans that follow each other without a gap up to `last`, of one execution id: the first index of them.
    fn chain(&self, last: u64, execution: ExecutionId) -> u64 {
        let mut first = last.saturating_add(1);
        for stored in self.spans.values().rev().filter(|stored| stored.head.first <= last) {
            if stored.head.last.saturating_add(1) < first || stored.head.execution != execution {
                break;
            }
            first = stored.head.first;
        }
        first
    }

    /// Where the mounts were after an entry.
    fn mark(&self, index: u64) -> Option<&Mark> {
        if let Some((current, mark)) = &self.current
            && *current == index
        {
            return Some(mark);
        }
        let before = self.spans.range(..=index).next_back();
        let before =
            before.filter(|(_, stored)| stored.head.last == index).and_then(|(_, stored)| stored.head.end.as_ref());
        before.or_else(|| self.spans.get(&index.saturating_add(1))?.head.begin.as_ref())
    }
}

impl History {
    /// Reads what is there, and removes what a crash left. Blocks.
    pub(crate) fn open(
        ports: &Ports,
        group: u64,
        retention: Retention,
        (execution, entries_per_snapshot): (ExecutionId, u64),
    ) -> Result<Self, SnapshotError> {
        let (disk, dir) = (ports.disk.clone(), format!("hist/{group}"));
        disk.create_dir(&dir)?;
        disk.sync_dir("hist")?;
        disk.sync_dir("")?;
        let base_entries = entries_per_snapshot.saturating_mul(HISTORY_BASE_SNAPSHOTS);
        let history = Self { disk, dir, retention, execution, base_entries, state: Mutex::default() };
        let mut spans: BTreeMap<u64, Stored> = BTreeMap::new();
        for name in history.disk.list(&history.dir)? {
            let path = history.path(&name);
            if name.ends_with(NEW) {
                history.disk.remove(&path)?;
                continue;
            }
            match history.read_head(&path) {
                Ok(stored) => {
                    // A crash between writing a longer one and removing what went into it leaves both.
                    let overlaps = spans.values().next_back().filter(|before| before.head.last >= stored.head.first);
                    if let Some(head) = overlaps.map(|before| before.head.clone()) {
                        let (keeps, goes) =
                            if stored.head.last > head.last { (Some(stored), head) } else { (None, stored.head) };
                        history.disk.remove(&history.path_of(&goes))?;
                        if let Some(stored) = keeps {
                            spans.remove(&goes.first);
                            spans.insert(stored.head.first, stored);
                        }
                        continue;
                    }
                    spans.insert(stored.head.first, stored);
                }
                // It is left where it is, for a person to look at.
                Err(error) => {
                    tracing::error!(%error, path, "a file of history is damaged; what it held is not known any more")
                }
            }
        }
        history.state().spans = spans;
        Ok(history)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    fn path_of(&self, head: &SpanHead) -> String {
        self.path(&format!("{:020}-{:020}", head.first, head.last))
    }

    fn read_head(&self, path: &str) -> Result<Stored, SnapshotError> {
        let file = self.disk.open(path, OpenMode::Read)?;
        let bytes = file.len()?;
        let part = |length: usize| {
            if bytes < length as u64 {
                return Err(SnapshotError::Damaged { file: path.into(), what: "a span that ends too early" });
            }
            let mut part = vec![0; length];
            file.read_at(0, &mut part)?;
            Ok(part)
        };
        let head = span::decode_head(&part(span::head_bytes(&part(span::prefix_bytes())?)?)?)?;
        if self.path_of(&head) != path {
            return Err(SnapshotError::Damaged { file: path.into(), what: "a span under a name that is not its own" });
        }
        Ok(Stored { head, bytes })
    }

    /// The machine is at an index now, with these mounts, by a snapshot that is the present one.
    pub(crate) fn at_snapshot(&self, index: u64, mark: Mark) {
        self.state().current = Some((index, mark));
    }

    /// Whether a span has an index.
    pub(crate) fn has(&self, index: u64) -> bool {
        let state = self.state();
        state.spans.range(..=index).next_back().is_some_and(|(_, stored)| stored.head.last >= index)
    }

    /// The first index that is not kept yet, of entries behind the present snapshot; and where the mounts were before it.
    pub(crate) fn next(&self) -> (u64, Option<Mark>) {
        let state = self.state();
        let kept = state.spans.values().next_back().map(|stored| stored.head.last);
        let current = state.current.as_ref().map(|(index, _)| *index);
        match kept.max(current) {
            Some(last) => (last.saturating_add(1), state.mark(last).cloned()),
            None => (0, Some(Mark::default())),
        }
    }

    /// A span that begins there.
    pub(crate) fn span(&self, first: u64, begin: Option<Mark>) -> Span {
        Span::new(first, self.execution, begin)
    }

    /// Fills spans with entries that follow; gives those that are full, and the last with the index behind it.
    pub(crate) fn fill(&self, mut span: Span, entries: Vec<(u64, Option<Vec<u8>>)>) -> (Vec<Span>, (Span, u64)) {
        let (mut full, mut next) = (Vec::new(), span.head.first);
        for (index, entry) in entries {
            span.head.skips.extend(entry.as_deref().map(skips_of).unwrap_or_default());
            span.push(index, entry.as_deref());
            next = index.saturating_add(1);
            if span.len() >= HISTORY_SPAN_BYTES_MAX {
                full.push(std::mem::replace(&mut span, self.span(next, None)));
            }
        }
        (full, (span, next))
    }

    /// Keeps a span behind what is kept; durable when this returns. Blocks.
    pub(crate) fn put(&self, span: Span, bases: &[u64]) -> Result<(), SnapshotError> {
        let last = self.state().spans.values().next_back().cloned();
        let merges = |last: &Stored| {
            last.head.last.saturating_add(1) == span.head.first
                && last.head.execution == span.head.execution
                && last.bytes < HISTORY_MERGE_BYTES
                && last.bytes as usize + span.len() <= HISTORY_SPAN_BYTES_MAX
                && !bases.contains(&last.head.last)
        };
        let (whole, merged) = match last.filter(merges).map(|last| (self.read(&last.head), last.head)) {
            Some((Ok(mut whole), head)) => {
                whole.append(span);
                (whole, Some(head))
            }
            Some((Err(error), head)) => {
                // It is left where it is, for a person to look at.
                tracing::error!(%error, "what a file of history held is not known any more");
                self.state().spans.remove(&head.first);
                (span, None)
            }
            None => (span, None),
        };
        let contents = whole.encode();
        put_file(&*self.disk, &self.path_of(&whole.head), &contents)?;
        self.disk.sync_dir(&self.dir)?;
        if let Some(merged) = merged {
            self.remove(&merged)?;
        }
        let bytes = contents.len() as u64;
        self.state().spans.insert(whole.head.first, Stored { head: whole.head, bytes });
        Ok(())
    }

    fn remove(&self, head: &SpanHead) -> Result<(), SnapshotError> {
        match self.disk.remove(&self.path_of(head)) {
            Ok(()) | Err(DiskError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&self, head: &SpanHead) -> Result<Span, SnapshotError> {
        let path = self.path_of(head);
        let file = self.disk.open(&path, OpenMode::Read)?;
        let length = usize::try_from(file.len()?).unwrap_or(usize::MAX);
        if length > 4 * HISTORY_SPAN_BYTES_MAX {
            return Err(SnapshotError::Damaged { file: path, what: "a span of an impossible length" });
        }
        let mut bytes = vec![0; length];
        file.read_at(0, &mut bytes)?;
        let span = Span::decode(&bytes);
        span.map_err(|_| SnapshotError::Damaged { file: path, what: "a damaged span" })
    }

    /// The entries of the span that has an index, from that on, and the index after its last; none where no span has it.
    /// Blocks.
    pub(crate) fn entries(&self, index: u64) -> Result<Option<(Vec<Kept>, u64)>, SnapshotError> {
        let head = {
            let state = self.state();
            let stored = state.spans.range(..=index).next_back().map(|(_, stored)| &stored.head);
            stored.filter(|head| head.last >= index && head.execution == self.execution).cloned()
        };
        let Some(head) = head else { return Ok(None) };
        let mut entries = self.read(&head)?.entries()?;
        entries.retain(|(at, _)| *at >= index);
        Ok(Some((entries, head.last.saturating_add(1))))
    }

    /// Calls of entries from an index on that spans say were passed over.
    pub(crate) fn skips(&self, from: u64) -> Vec<(u64, u32)> {
        let state = self.state();
        state
            .spans
            .values()
            .flat_map(|stored| &stored.head.skips)
            .copied()
            .filter(|(index, _)| *index >= from)
            .collect()
    }

    /// Whether the present snapshot is to stay as a base when another replaces it.
    pub(crate) fn wants_base(&self, index: u64, bases: &[u64]) -> bool {
        let state = self.state();
        // One that goes on beyond it was written for a snapshot that a crash prevented, and can not be begun within.
        if state.spans.range(..=index).next_back().is_some_and(|(_, stored)| stored.head.last > index) {
            return false;
        }
        // What is behind it may be of another version of isx, or not be there.
        let first = state.chain(index, self.execution);
        let before = bases.iter().rev().find(|base| **base < index && base.saturating_add(1) >= first);
        let (from, mark) = match before {
            Some(base) => (base.saturating_add(1), state.mark(*base).cloned()),
            None if first == 0 => (0, Some(Mark::default())),
            None => return true,
        };
        // What is not to be kept for long can go in small parts only.
        let is_long = mark.zip(state.mark(index)).is_some_and(|(mark, now)| self.is_old(&mark, now));
        let bytes: u64 = state.spans.range(from..=index).map(|(_, stored)| stored.bytes).sum();
        is_long || index.saturating_sub(from) >= self.base_entries || bytes >= self.retention.base_bytes
    }

    /// Where the past can be begun and gone on from up to the present, the oldest first.
    pub(crate) fn starts(&self, bases: &[u64]) -> Vec<Start> {
        let state = self.state();
        let current = state.current.as_ref().map(|(index, _)| *index);
        let first = current.map_or(0, |current| state.chain(current, self.execution));
        let known = bases.iter().copied().filter(|base| Some(*base) < current && base.saturating_add(1) >= first);
        let beginning = (first == 0).then(|| Start { index: None, mark: Mark::default() });
        let at = |index| Some(Start { index: Some(index), mark: state.mark(index)?.clone() });
        beginning.into_iter().chain(known.chain(current).filter_map(at)).collect()
    }

    /// Removes what is older than is to be kept. Blocks.
    pub(crate) fn enforce(&self, store: &Store) -> Result<(), SnapshotError> {
        let Some((current, now)) = self.state().current.clone() else { return Ok(()) };
        let mut account = Account::of(store);
        loop {
            let bases = store.bases();
            let spans: u64 = self.state().spans.values().map(|stored| stored.bytes).sum();
            let too_many = spans + account.bytes > self.retention.bytes_max || bases.len() > HISTORY_BASES_MAX;
            let Some(end) = self.oldest_end(&bases, current) else { break };
            let old = self.state().mark(end).is_some_and(|mark| self.is_old(mark, &now));
            if !too_many && !old {
                break;
            }
            if !self.drop_until(store, &bases, end, &mut account)? {
                break;
            }
        }
        store.collect()
    }

    /// Makes room on a full disk: the oldest goes. Whether there was anything. Blocks.
    pub(crate) fn give_way(&self, store: &Store) -> Result<bool, SnapshotError> {
        let Some(current) = self.state().current.as_ref().map(|(index, _)| *index) else { return Ok(false) };
        let bases = store.bases();
        let Some(end) = self.oldest_end(&bases, current) else { return Ok(false) };
        let dropped = self.drop_until(store, &bases, end, &mut Account::default())?;
        store.collect()?;
        Ok(dropped)
    }

    /// Where the oldest part of what is kept ends: at the next base, or at the present snapshot.
    fn oldest_end(&self, bases: &[u64], current: u64) -> Option<u64> {
        let spans = self.state().spans.values().next().map(|stored| stored.head.first);
        let first = spans.into_iter().chain(bases.first().map(|base| base.saturating_add(1))).min()?;
        // A base before all spans begins the oldest part; one at their end ends it.
        bases.iter().copied().find(|base| *base >= first).into_iter().chain([current]).min()
    }

    /// Whether what ends there is older than is to be kept.
    fn is_old(&self, mark: &Mark, now: &Mark) -> bool {
        match self.retention.rule {
            Rule::All => false,
            Rule::Age(age) => mark.time.0 < now.time.0.saturating_sub(age.0),
            Rule::Revisions(count) => {
                let before = |mount: &MountId| mark.revision(mount).unwrap_or(Revision(0));
                now.mounts().all(|(mount, revision)| before(mount).0.saturating_add(count) <= revision.0)
            }
        }
    }

    /// Drops the bases before an index and the entries up to it; whether there were any. The base goes first: entries without
    /// one are of no use, and the next to go.
    fn drop_until(&self, store: &Store, bases: &[u64], end: u64, account: &mut Account) -> Result<bool, SnapshotError> {
        let mut dropped = false;
        for base in bases.iter().take_while(|base| **base < end) {
            account.remove(store, *base);
            store.drop_base(*base)?;
            dropped = true;
        }
        let heads: Vec<SpanHead> = {
            let state = self.state();
            state.spans.values().map(|stored| stored.head.clone()).take_while(|head| head.last <= end).collect()
        };
        for head in heads {
            self.remove(&head)?;
            self.state().spans.remove(&head.first);
            dropped = true;
        }
        Ok(dropped)
    }
}

/// The calls that an entry says are passed over.
pub(crate) fn skips_of(entry: &[u8]) -> Vec<(u64, u32)> {
    let Ok(entry) = Entry::decode(entry) else { return Vec::new() };
    let skip = |request: &Request| match request {
        Request::Skip { index, position } => Some((*index, *position)),
        _ => None,
    };
    entry.records.iter().filter_map(|record| skip(&record.request)).collect()
}

/// Bytes of bases, and of chunks that only they name.
#[derive(Default)]
struct Account {
    bytes: u64,
    chunks: BTreeMap<ContentHash, (usize, u64)>,
}

impl Account {
    fn of(store: &Store) -> Self {
        let mut account = Self::default();
        let current = store.chunks_of_current();
        for base in store.bases() {
            let Some((bytes, chunks)) = store.base_chunks(base) else { continue };
            account.bytes += bytes;
            for (hash, bytes) in chunks {
                if current.contains(&hash) {
                    continue;
                }
                let counted = account.chunks.entry(hash).or_insert((0, u64::from(bytes)));
                counted.0 += 1;
                if counted.0 == 1 {
                    account.bytes += counted.1;
                }
            }
        }
        account
    }

    fn remove(&mut self, store: &Store, base: u64) {
        let Some((bytes, chunks)) = store.base_chunks(base) else { return };
        self.bytes = self.bytes.saturating_sub(bytes);
        for (hash, _) in chunks {
            if let Some(counted) = self.chunks.get_mut(&hash) {
                counted.0 -= 1;
                if counted.0 == 0 {
                    self.bytes = self.bytes.saturating_sub(counted.1);
                    self.chunks.remove(&hash);
                }
            }
        }
    }
}

/// Log time of the oldest that is kept, and the revision of a mount there, for who asked for older.
pub(crate) fn oldest(starts: &[Start], mount: &MountId) -> Option<(Option<Revision>, Time)> {
    starts.first().map(|start| (start.mark.revision(mount), start.mark.time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        let seconds = |seconds: i64| Rule::Age(TimeSpan(seconds * 1_000_000));
        let rules =
            [("all", Rule::All), ("100", Rule::Revisions(100)), ("7d", seconds(7 * 86_400)), ("90m", seconds(5400))];
        for (text, rule) in rules.into_iter().chain([("12h", seconds(43_200)), ("61s", seconds(61))]) {
            assert_eq!((text.parse(), rule.to_string()), (Ok(rule), text.to_string()));
        }
        for wrong in ["", "much", "-1", "-1d", "7w", "d", "99999999999999999999d"] {
            assert!(wrong.parse::<Rule>().is_err(), "{wrong:?}");
        }
    }
}
