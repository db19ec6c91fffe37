//! The machine: records in, jobs out, results in.

use crate::cache::Cache;
use crate::error::WalError;
use crate::fetch::{Fetch, Item};
use crate::format::{self, Frame, HEADER_BYTES, ROLL_BYTES, Salt};
use crate::index::{GroupLog, Place, Slot};
use crate::job::{Done, Job, Outcome, Step};
use crate::limits::{
    BATCH_BYTES_MAX, CACHE_BYTES, GROUPS_MAX, PENDING_BYTES_MAX, RECORD_BYTES_MAX, SEGMENT_BYTES_FIRST,
    SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, STATE_BYTES_MAX,
};
use crate::planted::{Bug, Planted};
use crate::record::{Entry, Group, LogIdentity, Record, State, Ticket};
use crate::recovery::{self, Recovered};
use isx_port::{Disk, File};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of its segments, which nothing else uses.
    pub dir: String,
    /// Whose log it is.
    pub identity: LogIdentity,
    /// Bytes of the first segment; each is twice as long as the one before.
    pub segment_bytes_first: u64,
    /// Bytes of the longest segment.
    pub segment_bytes_max: u64,
    /// Bytes of durable entries kept in memory.
    pub cache_bytes: usize,
    pub(crate) planted: Planted,
}

impl Options {
    /// The defaults of [`crate::limits`].
    pub fn new(dir: impl Into<String>, identity: LogIdentity) -> Self {
        Self {
            dir: dir.into(),
            identity,
            segment_bytes_first: SEGMENT_BYTES_FIRST,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            cache_bytes: CACHE_BYTES,
            planted: Planted::NONE,
        }
    }

    /// The size of a segment after one of `before` bytes that must take at least `needed`.
    pub(crate) fn segment_bytes(&self, before: Option<u64>, needed: u64) -> u64 {
        let max = self.segment_bytes_longest();
        let wanted = before.map_or(self.segment_bytes_first, |before| before.saturating_mul(2));
        wanted.clamp(SEGMENT_BYTES_MIN, max).max(needed)
    }

    /// Bytes of a segment at most, unless one batch needs more.
    fn segment_bytes_longest(&self) -> u64 {
        self.segment_bytes_max.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
    }
}

/// What a job's result means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Every record up to this ticket is durable.
    pub durable: Ticket,
    /// The disk is full: nothing of the job counts, nothing is lost, and [`Wal::take_job`] gives it again. Wait before.
    pub full: bool,
}

/// A group whose old entries keep segments from being removed: snapshot and purge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Laggard {
    /// The group.
    pub group: Group,
    /// Its oldest entry.
    pub first: u64,
    /// Bytes of segments from that entry on.
    pub held_bytes: u64,
}

/// A segment on disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) size: u64,
    /// It may be removed when everything up to this sequence is durable: what drops its last entries.
    pub(crate) released_at: u64,
}

/// Where the next batch goes.
pub(crate) struct Tail {
    pub(crate) file: Arc<dyn File>,
    pub(crate) offset: u64,
    pub(crate) batch: u64,
    pub(crate) chain: u32,
}

struct Queued {
    sequence: u64,
    group: Group,
    record: Record,
}

enum Running {
    Idle,
    Out,
    /// The disk was full.
    Stalled(Job),
}

/// The log of one node. See the crate's head.
pub struct Wal {
    options: Options,
    groups: BTreeMap<Group, GroupLog>,
    /// The groups' states as of the last record that a job took: what the next segment begins with.
    placed: BTreeMap<Group, State>,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// Without a gap, oldest first; the last one is written.
    segments: VecDeque<Segment>,
    tail: Tail,
    running: Running,
    submitted: u64,
    durable: u64,
    sealing: bool,
    cache: Cache,
    fatal: Option<String>,
}

impl fmt::Debug for Wal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Wal");
        debug.field("submitted", &self.submitted).field("durable", &self.durable).field("fatal", &self.fatal);
        debug.field("segments", &self.segments.len()).finish_non_exhaustive()
    }
}

impl Wal {
    /// Recovers the log in `options.dir`, or begins one where there is none. Blocks. What it returns is durable.
    ///
    /// # Errors
    /// `Damaged`, `Lost`, `Foreign`, `Version`: nothing was changed. `Disk`: try again, or give space.
    pub fn open(disk: &dyn Disk, options: Options) -> Result<(Self, Recovered), WalError> {
        recovery::open(disk, options)
    }

    pub(crate) fn recovered(
        options: Options,
        groups: BTreeMap<Group, GroupLog>,
        segments: VecDeque<Segment>,
        tail: Tail,
        sequence: u64,
        cache: Cache,
    ) -> Self {
        let placed = groups.iter().map(|(group, log)| (*group, log.state.clone())).collect();
        Self {
            options,
            groups,
            placed,
            queue: VecDeque::new(),
            queued_bytes: 0,
            segments,
            tail,
            running: Running::Idle,
            submitted: sequence,
            durable: sequence,
            sealing: false,
            cache,
            fatal: None,
        }
    }

    /// Takes a record: readable now, durable when a completion reaches the ticket.
    ///
    /// # Errors
    /// Nothing was submitted: `Gap`, `TooLarge`, `TooManyGroups` are the caller's; `Busy` and `Full` pass; `Fatal` stays.
    pub fn submit(&mut self, group: Group, record: Record) -> Result<Ticket, WalError> {
        self.admit(group, &record)?;
        self.submitted += 1;
        let sequence = self.submitted;
        let log = self.groups.entry(group).or_default();
        let dropped = log.apply(sequence, &record, None);
        self.release(&dropped, sequence);
        if let Record::Entry(entry) = &record {
            self.cache.insert(sequence, group, entry.index, entry.payload.len());
            self.evict();
        }
        self.queued_bytes += format::record_bytes(record.payload().len());
        self.queue.push_back(Queued { sequence, group, record });
        Ok(Ticket(sequence))
    }

    fn admit(&self, group: Group, record: &Record) -> Result<(), WalError> {
        if let Some(text) = &self.fatal {
            return Err(WalError::Fatal { text: text.clone() });
        }
        let bytes = record.payload().len();
        let bytes_max = if matches!(record, Record::Entry(_)) { RECORD_BYTES_MAX } else { STATE_BYTES_MAX };
        if bytes > bytes_max {
            return Err(WalError::TooLarge { bytes, bytes_max });
        }
        if self.queued_bytes + format::record_bytes(bytes) > PENDING_BYTES_MAX {
            return Err(if self.is_full() { WalError::Full } else { WalError::Busy });
        }
        let state = self.groups.get(&group).map(|log| &log.state);
        if state.is_none() && self.groups.len() >= GROUPS_MAX {
            return Err(WalError::TooManyGroups);
        }
        match record {
            Record::Entry(Entry { index, .. }) if !state.unwrap_or(&State::default()).expects(*index) => {
                let expected = state.and_then(|state| state.next).unwrap_or(0);
                Err(WalError::Gap { group, expected, found: *index })
            }
            _ => Ok(()),
        }
    }

    /// Lets go of entries that the record `sequence` dropped.
    fn release(&mut self, dropped: &[Slot], sequence: u64) {
        for slot in dropped {
            self.cache.remove(slot.sequence);
            if let Some(place) = slot.place
                && let Some(segment) = self.segment_mut(place.segment)
            {
                segment.released_at = sequence;
            }
        }
    }

    fn segment_mut(&mut self, number: u64) -> Option<&mut Segment> {
        let first = self.segments.front()?.number;
        self.segments.get_mut(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    fn evict(&mut self) {
        while let Some((group, index)) = self.cache.evict(self.durable) {
            if let Some(slot) = self.groups.get_mut(&group).and_then(|log| log.get_mut(index)) {
                slot.payload = None;
            }
        }
    }

    /// What is to be written now, unless a job is out or there is nothing.
    pub fn take_job(&mut self) -> Option<Job> {
        if self.fatal.is_some() {
            return None;
        }
        match mem::replace(&mut self.running, Running::Out) {
            Running::Idle => {}
            Running::Out => return None,
            Running::Stalled(job) => return Some(job),
        }
        let number = self.segments.back().map_or(0, |segment| segment.number);
        let chain = self.tail.chain;
        let removals = self.reclaim();
        let early = self.options.planted.has(Bug::RemovedEarly);
        let mut steps = VecDeque::new();
        if early {
            steps.extend(removals.iter().map(|number| Step::Remove { number: *number }));
        }
        let records = self.drain();
        if !records.is_empty() || mem::take(&mut self.sealing) {
            self.place(records, &mut steps);
        }
        if !early {
            steps.extend(removals.iter().map(|number| Step::Remove { number: *number }));
        }
        if steps.is_empty() {
            self.running = Running::Idle;
            return None;
        }
        let upto = Ticket(self.queue.front().map_or(self.submitted, |queued| queued.sequence - 1));
        Some(Job {
            dir: self.options.dir.clone(),
            identity: self.options.identity,
            file: self.tail.file.clone(),
            number,
            chain,
            steps,
            upto: if self.options.planted.has(Bug::VoteReordered) { Ticket(self.submitted) } else { upto },
            planted: self.options.planted,
        })
    }

    /// The oldest segments that nothing durable needs.
    fn reclaim(&mut self) -> Vec<u64> {
        let mut free = Vec::new();
        // Before its first batch the last segment holds no copy of the groups' states: the one before is needed.
        if self.tail.offset == HEADER_BYTES {
            return free;
        }
        let early = self.options.planted.has(Bug::RemovedEarly);
        let oldest = self.groups.values().filter_map(GroupLog::oldest).min().unwrap_or(u64::MAX);
        while let [first, _, ..] = self.segments.make_contiguous()
            && first.number < oldest
            && (first.released_at <= self.durable || early)
        {
            free.push(first.number);
            self.segments.pop_front();
        }
        free
    }

    /// The records of the next batch, in order.
    fn drain(&mut self) -> Vec<Queued> {
        let mut bytes = 0;
        let fits = self.queue.iter().take_while(|queued| {
            bytes += format::record_bytes(queued.record.payload().len());
            bytes <= BATCH_BYTES_MAX
        });
        let count = fits.count();
        let mut records: Vec<Queued> = self.queue.drain(..count).collect();
        if self.options.planted.has(Bug::VoteReordered) && records.len() > 1 {
            let (votes, others) = records.into_iter().partition(|queued| matches!(queued.record, Record::Vote(_)));
            records = others;
            let votes: Vec<Queued> = votes;
            votes.into_iter().rev().for_each(|vote| self.queue.push_front(vote));
        }
        self.queued_bytes -=
            records.iter().map(|queued| format::record_bytes(queued.record.payload().len())).sum::<usize>();
        records
    }

    /// Gives records their places: in this segment, or in a new one that begins with the groups' states.
    fn place(&mut self, records: Vec<Queued>, steps: &mut VecDeque<Step>) {
        let sequence = records.first().map_or(self.submitted + 1, |queued| queued.sequence);
        let record_bytes: usize =
            records.iter().map(|queued| format::record_bytes(queued.record.payload().len())).sum();
        let mut frames = if self.tail.offset == HEADER_BYTES { self.checkpoint() } else { Vec::new() };
        let needed = |frames: &[Frame]| {
            format::batch_bytes(frames.iter().map(Frame::bytes).sum::<usize>() + record_bytes) as u64
        };
        let segment = self.segments.back().copied();
        let size = segment.map_or(0, |segment| segment.size);
        // One that is longer than segments are to be by now is left as soon as there is something in it.
        let is_over = size > self.options.segment_bytes_longest() && self.tail.offset > HEADER_BYTES;
        if is_over || self.tail.offset + needed(&frames) + ROLL_BYTES > size {
            frames = self.checkpoint();
            let next = segment.map_or(1, |segment| segment.number + 1);
            let size = self.options.segment_bytes(Some(size), HEADER_BYTES + needed(&frames) + ROLL_BYTES);
            steps.push_back(Step::Roll { next, size, offset: self.tail.offset, batch: self.tail.batch, sequence });
            self.segments.push_back(Segment { number: next, size, released_at: 0 });
            self.tail.offset = HEADER_BYTES;
            self.tail.batch += 1;
        }
        let number = self.segments.back().map_or(0, |segment| segment.number);
        let copied: usize = frames.iter().map(Frame::bytes).sum();
        let mut offset = self.tail.offset + (format::BATCH_HEAD_BYTES + copied) as u64;
        for queued in records {
            self.locate(&queued, Place { segment: number, offset });
            self.placed.entry(queued.group).or_default().apply(&queued.record);
            let frame = Frame::submitted(queued.sequence, queued.group, &queued.record);
            offset += frame.bytes() as u64;
            frames.push(frame);
        }
        steps.push_back(Step::Batch { offset: self.tail.offset, batch: self.tail.batch, sequence, frames });
        self.tail.offset = offset + format::BATCH_END_BYTES as u64;
        self.tail.batch += 1;
    }

    fn locate(&mut self, queued: &Queued, place: Place) {
        let Record::Entry(entry) = &queued.record else { return };
        let slot = self.groups.get_mut(&queued.group).and_then(|log| log.get_mut(entry.index));
        match slot.filter(|slot| slot.sequence == queued.sequence) {
            Some(slot) => slot.place = Some(place),
            None => {
                // Dropped by a record that is still queued: the segment is needed until that one is durable.
                let submitted = self.submitted;
                if let Some(segment) = self.segment_mut(place.segment) {
                    segment.released_at = submitted;
                }
            }
        }
    }

    fn checkpoint(&self) -> Vec<Frame> {
        self.placed.iter().flat_map(|(group, state)| Frame::copies(*group, state)).collect()
    }

    /// Takes a job's result.
    ///
    /// # Errors
    /// `Fatal`: the disk failed; nothing more will be durable and the process must end.
    pub fn completed(&mut self, done: Done) -> Result<Completion, WalError> {
        let full = match done.0 {
            Outcome::Finished { file, chain, upto } => {
                self.tail.file = file;
                self.tail.chain = chain;
                self.durable = upto.0;
                self.running = Running::Idle;
                self.evict();
                false
            }
            Outcome::Full(job) => {
                self.running = Running::Stalled(job);
                true
            }
            Outcome::Failed(error) => {
                let text = error.to_string();
                self.fatal = Some(text.clone());
                return Err(WalError::Fatal { text });
            }
        };
        Ok(Completion { durable: Ticket(self.durable), full })
    }

    /// Makes the next job write a batch even if nothing was submitted: it proves that the one before was durable, so
    /// that not even its loss can pass for a torn write. For an orderly stop.
    pub fn seal(&mut self) {
        self.sealing = true;
    }

    /// Whether the last job found the disk full: what is submitted waits.
    pub fn is_full(&self) -> bool {
        matches!(self.running, Running::Stalled(_))
    }

    /// The ticket of the last record submitted.
    pub fn submitted(&self) -> Ticket {
        Ticket(self.submitted)
    }

    /// Every record up to this ticket is durable.
    pub fn durable(&self) -> Ticket {
        Ticket(self.durable)
    }

    /// The groups that ever had a record.
    pub fn groups(&self) -> impl Iterator<Item = Group> + '_ {
        self.groups.keys().copied()
    }

    /// A group's vote, marks and next index, as submitted. Cheap.
    pub fn state(&self, group: Group) -> State {
        self.groups.get(&group).map(|log| log.state.clone()).unwrap_or_default()
    }

    /// The indexes of a group's entries, as submitted.
    pub fn range(&self, group: Group) -> Range<u64> {
        self.groups.get(&group).map_or(0..0, GroupLog::range)
    }

    /// An entry's term.
    pub fn term(&self, group: Group, index: u64) -> Option<u64> {
        self.groups.get(&group)?.get(index).map(|slot| slot.term)
    }

    /// The entries of `range` that exist, from its start, up to `bytes_max` bytes of payload but at least one.
    pub fn entries(&self, group: Group, range: Range<u64>, bytes_max: usize) -> Fetch {
        let mut items = Vec::new();
        let mut bytes = 0_usize;
        if let Some(log) = self.groups.get(&group) {
            let held = log.range();
            for index in range.start.max(held.start)..range.end.min(held.end) {
                let Some(slot) = log.get(index) else { break };
                bytes = bytes.saturating_add(slot.payload_bytes);
                if bytes > bytes_max && !items.is_empty() {
                    break;
                }
                items.extend(self.item(index, slot));
            }
        }
        Fetch { dir: self.options.dir.clone(), group, items }
    }

    fn item(&self, index: u64, slot: &Slot) -> Option<Item> {
        let Slot { sequence, term, payload_bytes, .. } = *slot;
        if let Some(payload) = slot.payload.clone() {
            return Some(Item::Memory(Entry { index, term, payload }));
        }
        let place = slot.place?;
        let salt = Salt::new(self.options.identity, place.segment, self.options.planted);
        Some(Item::Disk { index, term, sequence, payload_bytes, place, salt })
    }

    /// The groups whose entries reach back further than the last `segments` segments, the furthest first.
    pub fn laggards(&self, segments: usize) -> Vec<Laggard> {
        let Some(last) = self.segments.back() else { return Vec::new() };
        let recent = last.number.saturating_sub((segments as u64).saturating_sub(1));
        let mut found: Vec<(u64, Laggard)> = Vec::new();
        for (group, log) in &self.groups {
            let Some(oldest) = log.oldest().filter(|oldest| *oldest < recent) else { continue };
            let held = self.segments.iter().filter(|segment| segment.number >= oldest);
            let held_bytes = held.map(|segment| segment.size).sum();
            found.push((oldest, Laggard { group: *group, first: log.range().start, held_bytes }));
        }
        found.sort_by_key(|(oldest, laggard)| (*oldest, laggard.group));
        found.into_iter().map(|(_, laggard)| laggard).collect()
    }
}
