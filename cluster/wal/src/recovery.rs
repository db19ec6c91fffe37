//! From the files of a folder to a log: reads every segment, cuts a torn tail, refuses damage.

use crate::cache::Cache;
use crate::error::WalError;
use crate::format::{BatchHead, Frame, HEADER_BYTES, Header, HeaderFault, Kind, Salt};
use crate::index::{GroupLog, Place};
use crate::job::{create, path, path_new};
use crate::limits::SEGMENT_BYTES_MAX;
use crate::planted::Bug;
use crate::record::{Group, Record, State, Ticket};
use crate::tail::{self, Expected, Found, Window};
use crate::wal::{Options, Segment, Tail, Wal};
use isx_port::{Disk, DiskError, File, OpenMode};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// What opening a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// There was no log: one was begun.
    pub created: bool,
    /// The last record found; all are durable now.
    pub durable: Ticket,
    /// The torn tail that was cut, if any.
    pub cut: Option<Cut>,
    /// How many segments there are.
    pub segment_count: usize,
}

/// A torn tail of bytes that were never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: String,
    /// Where its sound part ends.
    pub offset: u64,
    /// How many bytes after that were cut.
    pub bytes: u64,
}

pub(crate) fn open(disk: &dyn Disk, options: Options) -> Result<(Wal, Recovered), WalError> {
    make_dir(disk, &options.dir)?;
    let numbers = segments(disk, &options.dir)?;
    if numbers.is_empty() {
        return begin(disk, options);
    }
    let mut replay = Replay::new(&options);
    let (mut before, mut last) = (None, None);
    for (position, number) in numbers.iter().enumerate() {
        let read = replay.segment(disk, *number)?;
        match (&read.stop, numbers.get(position + 1)) {
            (Stop::Rolled, Some(_)) => before = Some(read),
            (Stop::Rolled, None) => return Err(damaged(&path(&options.dir, number + 1), 0, "the segment is missing")),
            (Stop::At { .. }, None) => last = Some(read),
            (Stop::At { .. }, Some(next)) => {
                // A segment is made before the one in use is closed: a crash in between leaves it unused.
                if position + 2 < numbers.len() || !unused(disk, &options.dir, *next)? {
                    let what = "the segment is not closed, but the next one is in use";
                    return Err(damaged(&path(&options.dir, *number), read.offset, what));
                }
                disk.remove(&path(&options.dir, *next))?;
                last = Some(read);
                break;
            }
        }
    }
    replay.check_complete()?;
    let Some(read) = last else {
        return Err(damaged(&options.dir, 0, "no segment ends the log"));
    };
    settle(disk, &options, before.as_ref(), &read)?;
    Ok(replay.finish(read))
}

fn damaged(file: &str, offset: u64, what: &'static str) -> WalError {
    WalError::Damaged { file: file.to_owned(), offset, what }
}

/// Makes the folder and its entries in the folders above durable.
fn make_dir(disk: &dyn Disk, dir: &str) -> Result<(), WalError> {
    disk.create_dir(dir)?;
    let mut folder = dir;
    while let Some((above, _)) = folder.rsplit_once('/') {
        disk.sync_dir(above)?;
        folder = above;
    }
    Ok(disk.sync_dir("")?)
}

/// The numbers of the segments, which leave none out; unfinished ones are removed.
fn segments(disk: &dyn Disk, dir: &str) -> Result<Vec<u64>, WalError> {
    let mut numbers = Vec::new();
    for name in disk.list(dir)? {
        let Some((stem, kind)) = name.rsplit_once('.') else { continue };
        let Ok(number) = u64::from_str_radix(stem, 16) else { continue };
        if kind == "log" && path(dir, number).ends_with(&name) {
            numbers.push(number);
        } else if kind == "new" && path_new(dir, number).ends_with(&name) {
            disk.remove(&path_new(dir, number))?;
        }
    }
    numbers.sort_unstable();
    match numbers.windows(2).find(|pair| pair[0].checked_add(1) != Some(pair[1])) {
        Some(gap) => Err(damaged(&path(dir, gap[0].saturating_add(1)), 0, "the segment is missing")),
        None => Ok(numbers),
    }
}

fn begin(disk: &dyn Disk, options: Options) -> Result<(Wal, Recovered), WalError> {
    let size = options.segment_bytes(None, HEADER_BYTES);
    let header = Header { identity: options.identity, number: 1, size, first_batch: 1, chain: 0 };
    let file = create(&options.dir, &header, disk, options.planted)?;
    let tail = Tail { file, offset: HEADER_BYTES, batch: 1, chain: 0 };
    let segments = VecDeque::from([Segment { number: 1, size, released_at: 0 }]);
    let cache = Cache::new(options.cache_bytes);
    let wal = Wal::recovered(options, BTreeMap::new(), segments, tail, 0, cache);
    Ok((wal, Recovered { created: true, durable: Ticket(0), cut: None, segment_count: 1 }))
}

/// Whether a segment holds nothing but its header.
fn unused(disk: &dyn Disk, dir: &str, number: u64) -> Result<bool, WalError> {
    let file = disk.open(&path(dir, number), OpenMode::Read)?;
    let mut window = Window::new(&*file, HEADER_BYTES)?;
    Ok(window.end_of_content(HEADER_BYTES)?.is_none())
}

/// Makes what was read the durable truth, for raft is about to rely on it: a killed process may have left it in the
/// kernel's memory only. That is the last batch: it was begun when the one before was synced. A sync alone is not
/// enough: after a failed one the kernel may show bytes that it will never write, unless they are written again.
///
/// What follows the last batch is cut and zero, be it a torn batch or nothing: a cut may have been lost likewise.
fn settle(disk: &dyn Disk, options: &Options, before: Option<&Read>, read: &Read) -> Result<(), WalError> {
    if let (Some(before), None) = (before, &read.last_batch) {
        rewrite(before)?;
        sync(before, options)?;
    }
    rewrite(read)?;
    if !options.planted.has(Bug::TailKept) {
        read.file.truncate(read.offset)?;
    }
    match read.file.allocate(read.header.size) {
        // Without room the segment grows as it is written, and a full disk shows then.
        Ok(()) | Err(DiskError::Full { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    sync(read, options)?;
    Ok(disk.sync_dir(&options.dir)?)
}

fn rewrite(read: &Read) -> Result<(), WalError> {
    if let Some(batch) = &read.last_batch {
        let mut bytes = vec![0; (batch.end - batch.start) as usize];
        read.file.read_at(batch.start, &mut bytes)?;
        read.file.write_at(batch.start, &bytes)?;
    }
    Ok(())
}

fn sync(read: &Read, options: &Options) -> Result<(), WalError> {
    if options.planted.has(Bug::RecoveryUnsynced) {
        return Ok(());
    }
    Ok(read.file.sync()?)
}

/// Where reading a segment stopped.
enum Stop {
    /// At the record that says that the next segment goes on.
    Rolled,
    /// Before nothing, or before a torn batch that ends at `torn`.
    At { torn: Option<u64> },
}

struct Read {
    number: u64,
    header: Header,
    file: Arc<dyn File>,
    /// Where its sound part ends.
    offset: u64,
    /// Where the last of its batches lies.
    last_batch: Option<Range<u64>>,
    stop: Stop,
}

struct Replay<'a> {
    options: &'a Options,
    groups: BTreeMap<Group, GroupLog>,
    segments: VecDeque<Segment>,
    expected: Option<Expected>,
    /// The sequence of the next submitted record, once known.
    next: Option<u64>,
    /// Whether a submitted record was read: before, copied states tell what was in segments that are gone.
    begun: bool,
    cache: Cache,
}

impl<'a> Replay<'a> {
    fn new(options: &'a Options) -> Self {
        Self {
            options,
            groups: BTreeMap::new(),
            segments: VecDeque::new(),
            expected: None,
            next: None,
            begun: false,
            cache: Cache::new(options.cache_bytes),
        }
    }

    fn segment(&mut self, disk: &dyn Disk, number: u64) -> Result<Read, WalError> {
        let name = path(&self.options.dir, number);
        let file: Arc<dyn File> = Arc::from(disk.open(&name, OpenMode::ReadWrite)?);
        let header = self.header(&*file, &name, number)?;
        self.segments.push_back(Segment { number, size: header.size, released_at: 0 });
        let salt = Salt::new(self.options.identity, number, self.options.planted);
        let mut window = Window::new(&*file, header.size)?;
        let mut expected = Expected { number: header.first_batch, chain: header.chain };
        let mut offset = HEADER_BYTES;
        let mut last_batch = None;
        let stop = loop {
            match tail::next(&mut window, salt, offset, expected, self.options.planted)? {
                Found::End => break Stop::At { torn: None },
                Found::Torn { end } => break Stop::At { torn: Some(end) },
                Found::Damaged { offset, what } => return Err(damaged(&name, offset, what)),
                Found::Batch { head, frames, end, chain } => {
                    let rolled = frames.last().is_some_and(|(_, frame)| frame.kind == Kind::Roll);
                    let first = offset == HEADER_BYTES && !rolled;
                    self.batch(&head, frames, number, first).map_err(|what| damaged(&name, offset, what))?;
                    last_batch = Some(offset..end);
                    offset = end;
                    expected = Expected { number: expected.number.saturating_add(1), chain };
                    if rolled {
                        break Stop::Rolled;
                    }
                }
            }
        };
        self.expected = Some(expected);
        drop(window);
        Ok(Read { number, header, file, offset, last_batch, stop })
    }

    fn header(&self, file: &dyn File, name: &str, number: u64) -> Result<Header, WalError> {
        let length = file.len()?;
        if !(HEADER_BYTES..=SEGMENT_BYTES_MAX).contains(&length) {
            return Err(damaged(name, length, "the file's length"));
        }
        let mut bytes = [0; HEADER_BYTES as usize];
        file.read_at(0, &mut bytes)?;
        let header = Header::decode(&bytes).map_err(|fault| match fault {
            HeaderFault::Damaged => damaged(name, 0, "the segment's header"),
            HeaderFault::Version(found) => WalError::Version { file: name.to_owned(), found },
        })?;
        if header.identity != self.options.identity {
            return Err(WalError::Foreign { file: name.to_owned() });
        }
        if header.number != number || header.size > SEGMENT_BYTES_MAX {
            return Err(damaged(name, 0, "another segment's header"));
        }
        let follows = |expected: Expected| (expected.number, expected.chain) == (header.first_batch, header.chain);
        if !self.expected.is_none_or(follows) {
            return Err(damaged(name, 0, "a segment that does not follow the one before it"));
        }
        Ok(header)
    }

    /// Takes a batch; says what is wrong with it.
    fn batch(
        &mut self,
        head: &BatchHead,
        frames: Vec<(u64, Frame)>,
        segment: u64,
        first: bool,
    ) -> Result<(), &'static str> {
        let mut next = self.next.unwrap_or(head.first_sequence);
        if next != head.first_sequence {
            return Err("records are missing before the batch");
        }
        let copies = frames.iter().take_while(|(_, frame)| frame.copy).count();
        let mut copied: BTreeMap<Group, State> = BTreeMap::new();
        for (_, frame) in &frames[..copies] {
            copy(&mut copied, frame)?;
        }
        if first {
            self.compare(copied)?;
        }
        for (offset, frame) in &frames[copies..] {
            if frame.copy || frame.sequence != next {
                return Err("records are out of order");
            }
            next = next.checked_add(1).ok_or("a sequence too large")?;
            let record = frame.record().ok_or("a record of the wrong kind")?;
            self.record(frame.group, frame.sequence, &record, Place { segment, offset: *offset })?;
            self.begun = true;
        }
        self.next = Some(next);
        Ok(())
    }

    /// Compares the states at a segment's beginning with what was replayed, or begins with them.
    fn compare(&mut self, copied: BTreeMap<Group, State>) -> Result<(), &'static str> {
        if !self.begun {
            self.groups = copied.into_iter().map(|(group, state)| (group, GroupLog::adopt(state))).collect();
            return Ok(());
        }
        let same = self.groups.len() == copied.len()
            && self.groups.iter().all(|(group, log)| copied.get(group) == Some(&log.state));
        if same { Ok(()) } else { Err("the copied states are not those of the segments before") }
    }

    fn record(&mut self, group: Group, sequence: u64, record: &Record, place: Place) -> Result<(), &'static str> {
        let log = self.groups.entry(group).or_default();
        if let Record::Entry(entry) = record {
            if !log.state.expects(entry.index) {
                return Err("an entry does not follow the one before it");
            }
            self.cache.insert(sequence, group, entry.index, entry.payload.len());
        }
        for dropped in log.apply(sequence, record, Some(place)) {
            self.cache.remove(dropped.sequence);
        }
        while let Some((group, index)) = self.cache.evict(u64::MAX) {
            if let Some(slot) = self.groups.get_mut(&group).and_then(|log| log.get_mut(index)) {
                slot.payload = None;
            }
        }
        Ok(())
    }

    fn check_complete(&self) -> Result<(), WalError> {
        let lost = self.groups.iter().find_map(|(group, log)| log.lost().map(|upto| (*group, upto)));
        lost.map_or(Ok(()), |(group, upto)| Err(WalError::Lost { group, upto }))
    }

    fn finish(self, read: Read) -> (Wal, Recovered) {
        let expected = self.expected.unwrap_or(Expected { number: read.header.first_batch, chain: read.header.chain });
        let tail = Tail { file: read.file, offset: read.offset, batch: expected.number, chain: expected.chain };
        let sequence = self.next.map_or(0, |next| next.saturating_sub(1));
        let cut = match read.stop {
            Stop::At { torn: Some(end) } => {
                Some(Cut { file: path(&self.options.dir, read.number), offset: read.offset, bytes: end - read.offset })
            }
            _ => None,
        };
        let recovered =
            Recovered { created: false, durable: Ticket(sequence), cut, segment_count: self.segments.len() };
        (Wal::recovered(self.options.clone(), self.groups, self.segments, tail, sequence, self.cache), recovered)
    }
}

/// Adds a copied record to the states at a segment's beginning.
fn copy(copied: &mut BTreeMap<Group, State>, frame: &Frame) -> Result<(), &'static str> {
    match frame.kind {
        Kind::Base => {
            let next = (frame.term == 1).then_some(frame.index);
            copied.insert(frame.group, State { next, ..State::default() });
        }
        Kind::Roll => {}
        Kind::Entry | Kind::Truncate => return Err("a copied entry"),
        Kind::Vote | Kind::Purge | Kind::Committed | Kind::Meta => {
            let state = copied.get_mut(&frame.group).ok_or("a copied record without its group")?;
            state.apply(&frame.record().ok_or("a record of the wrong kind")?);
        }
    }
    Ok(())
}
