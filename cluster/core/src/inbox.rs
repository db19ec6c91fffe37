//! What a mount has heard of others: the number of the last message of each, and what those that are not settled yet were
//! answered.
//!
//! A message is taken once and in order: the next number runs, one that ran before is answered as it was then, any other
//! waits for those before it. Nothing of a sender that was heard once is forgotten while that is there, so a late copy never
//! runs again.

use crate::limits::{INBOX_ANSWERS_BYTES_MAX, INBOX_SENDERS_MAX, OUTCOME_BYTES_MAX};
use crate::outcome::Outcome;
use imbl::OrdMap;
use isx_anchors::sum::DigestSum;
use isx_anchors::wire::{Reader, Wire, WireError, put_bytes};
use isx_row::{Code, Error, Incarnation, MountId};

/// The inbox of a mount.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inbox {
    /// The last number heard of each, in its present incarnation.
    last: OrdMap<MountId, (Incarnation, u64)>,
    answers: OrdMap<(MountId, u64), Vec<u8>>,
    /// Bytes of `answers`.
    bytes: usize,
    sum: DigestSum,
}

/// Whether a message is to run.
pub(crate) enum Arrival {
    /// It is the next.
    Next,
    /// It ran, and was answered so: an outcome.
    Answered(Vec<u8>),
}

/// A part of an inbox in the format of snapshots and of the state hash.
#[derive(Clone)]
pub(crate) enum InboxRecord {
    Last(MountId, Incarnation, u64),
    Answer(MountId, u64, Vec<u8>),
}

impl Inbox {
    /// Notes which answers of a sender are settled, and says what is to become of its message.
    ///
    /// # Errors
    /// `conflict` for a message before whose turn it is, `gone` for one that was settled, `busy` at a bound.
    pub(crate) fn admit(
        &mut self,
        (from, incarnation): (MountId, Incarnation),
        number: u64,
        done_below: u64,
    ) -> Result<Arrival, Error> {
        let gone = |text: String| Err(Error::new(Code::Gone, text));
        let last = match self.last.get(&from).copied() {
            Some((known, _)) if known > incarnation => return gone("the sender has begun anew since".into()),
            // It begins anew, and with it its numbers.
            Some((known, _)) if known < incarnation => {
                self.forget(from);
                None
            }
            known => known.map(|(_, last)| last),
        };
        let settled: Vec<u64> =
            self.answers.range((from, 0)..(from, done_below)).map(|((_, number), _)| *number).collect();
        settled.into_iter().for_each(|number| self.set_answer(from, number, None));
        match last {
            None if self.last.len() >= INBOX_SENDERS_MAX => {
                Err(Error::new(Code::Busy, format!("over INBOX_SENDERS_MAX = {INBOX_SENDERS_MAX}")))
            }
            // What a sender had settled with this mount's life before is not asked for again.
            None if number == done_below => Ok(Arrival::Next),
            Some(last) if number == last.saturating_add(1) => Ok(Arrival::Next),
            Some(last) if number <= last => match self.answers.get(&(from, number)) {
                Some(answer) => Ok(Arrival::Answered(answer.clone())),
                None => gone(format!("message {number} was answered and settled")),
            },
            _ => Err(Error::new(Code::Conflict, format!("message {number} comes before its turn"))),
        }
    }

    /// Forgets a sender that is no more.
    pub(crate) fn forget(&mut self, from: MountId) {
        if let Some((incarnation, last)) = self.last.remove(&from) {
            self.sum.remove(&InboxRecord::Last(from, incarnation, last).to_wire());
        }
        let answers: Vec<u64> =
            self.answers.range((from, 0)..=(from, u64::MAX)).map(|((_, number), _)| *number).collect();
        answers.into_iter().for_each(|number| self.set_answer(from, number, None));
    }

    /// Notes what the next message of a sender was answered.
    pub(crate) fn answer(&mut self, (from, incarnation): (MountId, Incarnation), number: u64, outcome: &Outcome) {
        if let Some((known, last)) = self.last.insert(from, (incarnation, number)) {
            self.sum.remove(&InboxRecord::Last(from, known, last).to_wire());
        }
        self.sum.add(&InboxRecord::Last(from, incarnation, number).to_wire());
        let whole = outcome.to_wire();
        let kept = if self.bytes + whole.len() <= INBOX_ANSWERS_BYTES_MAX { whole } else { outcome.kept() };
        self.set_answer(from, number, Some(kept));
    }

    fn set_answer(&mut self, from: MountId, number: u64, answer: Option<Vec<u8>>) {
        if let Some(before) = self.answers.remove(&(from, number)) {
            self.bytes = self.bytes.saturating_sub(before.len());
            self.sum.remove(&InboxRecord::Answer(from, number, before).to_wire());
        }
        if let Some(answer) = answer {
            self.bytes += answer.len();
            self.sum.add(&InboxRecord::Answer(from, number, answer.clone()).to_wire());
            self.answers.insert((from, number), answer);
        }
    }

    /// The hash over the inbox, kept as it changes.
    pub(crate) fn hash_into(&self, out: &mut Vec<u8>) {
        self.sum.bytes().put(out);
    }

    /// The inbox as canonical records, in the order in which [`Inbox::restore`] takes them.
    pub(crate) fn records(&self) -> impl Iterator<Item = InboxRecord> + use<> {
        let last = self.last.clone().into_iter();
        let last = last.map(|(from, (incarnation, number))| InboxRecord::Last(from, incarnation, number));
        let answers = self.answers.clone().into_iter();
        last.chain(answers.map(|((from, number), answer)| InboxRecord::Answer(from, number, answer)))
    }

    /// Takes the next record of a snapshot.
    ///
    /// # Errors
    /// `Canonical` when it does not fit those before.
    pub(crate) fn restore(&mut self, record: InboxRecord) -> Result<(), WireError> {
        let follows = match &record {
            InboxRecord::Last(from, ..) => {
                self.answers.is_empty()
                    && self.last.len() < INBOX_SENDERS_MAX
                    && self.last.get_max().is_none_or(|(last, _)| last < from)
            }
            InboxRecord::Answer(from, number, _) => {
                self.last.get(from).is_some_and(|(_, last)| number <= last)
                    && self.answers.get_max().is_none_or(|(last, _)| *last < (*from, *number))
            }
        };
        if !follows {
            return Err(WireError::Canonical("a record of an inbox is out of order"));
        }
        match record {
            InboxRecord::Last(from, incarnation, number) => {
                self.sum.add(&InboxRecord::Last(from, incarnation, number).to_wire());
                self.last.insert(from, (incarnation, number));
            }
            InboxRecord::Answer(from, number, answer) => self.set_answer(from, number, Some(answer)),
        }
        Ok(())
    }
}

impl Wire for InboxRecord {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Last(from, incarnation, number) => {
                out.push(1);
                from.put(out);
                incarnation.put(out);
                number.put(out);
            }
            Self::Answer(from, number, answer) => {
                out.push(2);
                from.put(out);
                number.put(out);
                put_bytes(answer, out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match u8::take(reader)? {
            1 => Self::Last(Wire::take(reader)?, Wire::take(reader)?, Wire::take(reader)?),
            2 => {
                let (from, number) = (Wire::take(reader)?, Wire::take(reader)?);
                Self::Answer(from, number, reader.bytes(OUTCOME_BYTES_MAX, "OUTCOME_BYTES_MAX")?.to_vec())
            }
            _ => return Err(WireError::Canonical("no such record of an inbox")),
        })
    }
}
