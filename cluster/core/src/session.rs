//! Exactly once: the answers a mount keeps, by session and sequence.
//!
//! A call is *admitted* before it runs and *answered* after; what admitting decides depends on the calls admitted before
//! and never on what they answered, so that a batch is decided as its calls would be one by one.
//!
//! An unknown session is new if it is young, and `expired` if it is old. What makes this safe is the *horizon*: whenever
//! a session is forgotten, for whatever reason, the horizon passes its birth, and what was born before the horizon is
//! never new again. So a forgotten call can be refused, never run twice. A birth far ahead of log time is refused, or
//! forgetting it would expire everybody else.

use crate::limits::{
    ANSWERS_MAX, SESSION_AHEAD, SESSION_IDLE, SESSION_YOUNG, SESSIONS_FORGOTTEN_PER_TICK_MAX, SESSIONS_MAX,
};
use crate::planted::{Bug, Planted};
use crate::request::SessionCall;
use imbl::{OrdMap, OrdSet};
use isx_anchors::sum::DigestSum;
use isx_anchors::wire::{Reader, Wire, WireError, put_bytes};
use isx_row::limits::SESSION_WINDOW;
use isx_row::{Code, Error, Principal, Sequence, SessionId, Time};
use std::sync::Arc;

/// The sessions of a mount.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    sessions: OrdMap<SessionId, Session>,
    /// By last use: who is forgotten first.
    by_use: OrdSet<(i64, SessionId)>,
    /// Answers kept or reserved, over all sessions.
    answer_count: usize,
    /// What was born before is not new.
    horizon: Time,
    sum: DigestSum,
}

/// A session.
#[derive(Clone, Debug)]
struct Session {
    /// Whose it is; to others it is not there.
    principal: Principal,
    done_below: Sequence,
    /// The second of log time in which it called last.
    used_s: i64,
    /// Encoded outcomes by sequence; an empty one is reserved for a call that has been admitted.
    answers: OrdMap<Sequence, Arc<[u8]>>,
}

/// What is decided of a call before it runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is to run, and its outcome to be kept.
    New,
    /// It was answered: the encoded outcome.
    Answered(Arc<[u8]>),
    /// It was admitted before, and is answered as that one will be.
    Pending,
}

/// A part of the sessions, in the format of snapshots and of the state hash.
pub(crate) enum SessionRecord {
    /// What was born before is not new.
    Horizon(Time),
    /// A session, before its answers.
    Session(SessionId, Principal, Sequence, i64),
    /// An answer.
    Answer(SessionId, Sequence, Arc<[u8]>),
}

impl Sessions {
    /// Decides a call.
    ///
    /// # Errors
    /// `expired` for a session that is unknown and old, or another's; `window` for a sequence that was done with or is
    /// too far ahead; `bad_arguments` for coordinates that make no sense. Nothing has changed then.
    pub(crate) fn admit(
        &mut self,
        call: &SessionCall,
        principal: &Principal,
        time: Time,
        planted: Planted,
    ) -> Result<Admission, Error> {
        let SessionCall { session: id, sequence, done_below } = *call;
        if sequence.0 == 0 || done_below > sequence {
            return Err(Error::new(Code::BadArguments, "a sequence is from 1 and not below its own done_below"));
        }
        let known = self.sessions.get(&id);
        match known {
            Some(session) if session.principal != *principal => return Err(expired()),
            Some(_) => (),
            None => self.check_birth(id, time)?,
        }
        let done_below = known.map_or(done_below, |session| session.done_below.max(done_below));
        if sequence < done_below {
            return Err(Error::new(Code::Window, "the sequence was done with before"));
        }
        if sequence.0 - done_below.0 >= SESSION_WINDOW {
            return Err(Error::new(Code::Window, format!("the sequence is {SESSION_WINDOW} or more above done_below")));
        }
        self.touch(id, principal, done_below, time, planted);
        let known = self.sessions.get(&id);
        let answer = known.and_then(|session| session.answers.get(&sequence)).cloned();
        match answer {
            Some(answer) if answer.is_empty() => return Ok(Admission::Pending),
            Some(_) if planted.has(Bug::RunAgain) => return Ok(Admission::New),
            Some(answer) => return Ok(Admission::Answered(answer)),
            None => (),
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.answers.insert(sequence, Arc::default());
            self.answer_count += 1;
        }
        while self.sessions.len() > SESSIONS_MAX || self.answer_count > ANSWERS_MAX {
            let Some((_, oldest)) = self.by_use.iter().find(|(_, other)| *other != id).copied() else { break };
            self.forget(oldest);
        }
        Ok(Admission::New)
    }

    /// Whether a session is this principal's, or may become it.
    ///
    /// # Errors
    /// `expired`, as [`Sessions::admit`].
    pub(crate) fn check(&self, id: SessionId, principal: &Principal, time: Time) -> Result<(), Error> {
        match self.sessions.get(&id) {
            Some(session) if session.principal != *principal => Err(expired()),
            Some(_) => Ok(()),
            None => self.check_birth(id, time),
        }
    }

    /// Whether a call was admitted before, so that it does not run again.
    pub(crate) fn has(&self, call: &SessionCall, principal: &Principal) -> bool {
        let session = self.sessions.get(&call.session).filter(|session| session.principal == *principal);
        session.is_some_and(|session| session.answers.contains_key(&call.sequence))
    }

    /// Keeps the outcome of an admitted call, unless it was done with or its session forgotten since.
    pub(crate) fn answer(&mut self, id: SessionId, sequence: Sequence, outcome: Vec<u8>) {
        let Some(kept) = self.sessions.get_mut(&id).and_then(|session| session.answers.get_mut(&sequence)) else {
            return;
        };
        *kept = outcome.into();
        self.sum.add(&SessionRecord::Answer(id, sequence, kept.clone()).to_wire());
    }

    /// Forgets sessions that have not called for long, some at a time.
    pub(crate) fn tick(&mut self, time: Time) {
        for _ in 0..SESSIONS_FORGOTTEN_PER_TICK_MAX {
            let Some(id) = self.idle(time) else { break };
            self.forget(id);
        }
    }

    /// Whether a tick has something to forget.
    pub(crate) fn is_due(&self, time: Time) -> bool {
        self.idle(time).is_some()
    }

    fn idle(&self, time: Time) -> Option<SessionId> {
        let idle_s = second(Time(time.0.saturating_sub(SESSION_IDLE.0)));
        self.by_use.get_min().filter(|(used_s, _)| *used_s < idle_s).map(|(_, id)| *id)
    }

    /// The hash over the sessions, kept as they change.
    pub(crate) fn hash_into(&self, out: &mut Vec<u8>) {
        SessionRecord::Horizon(self.horizon).put(out);
        self.sum.bytes().put(out);
    }

    /// The sessions as canonical records, in the order in which [`Sessions::restore`] takes them.
    pub(crate) fn records(&self) -> impl Iterator<Item = SessionRecord> + use<> {
        let Self { sessions, horizon, .. } = self.clone();
        std::iter::once(SessionRecord::Horizon(horizon)).chain(sessions.into_iter().flat_map(|(id, session)| {
            let answers = session.answers.into_iter().map(move |(sequence, answer)| (id, sequence, answer));
            std::iter::once(SessionRecord::Session(id, session.principal, session.done_below, session.used_s))
                .chain(answers.map(|(id, sequence, answer)| SessionRecord::Answer(id, sequence, answer)))
        }))
    }

    /// Takes the next record of a snapshot.
    ///
    /// # Errors
    /// `Canonical` when it does not fit those before.
    pub(crate) fn restore(&mut self, record: SessionRecord) -> Result<(), WireError> {
        match record {
            SessionRecord::Horizon(horizon) => self.horizon = horizon,
            SessionRecord::Session(id, principal, done_below, used_s) => {
                if self.sessions.len() >= SESSIONS_MAX || self.sessions.get_max().is_some_and(|(last, _)| *last >= id) {
                    return Err(WireError::Canonical("a session is out of order"));
                }
                self.put_session(id, Session { principal, done_below, used_s, answers: OrdMap::new() });
            }
            SessionRecord::Answer(id, sequence, answer) => {
                let wrong = WireError::Canonical("an answer is out of place");
                let session = self.sessions.get_mut(&id).ok_or(wrong)?;
                let last = session.answers.get_max().map_or(Sequence(0), |(last, _)| *last);
                let within = sequence.0.checked_sub(session.done_below.0).is_some_and(|ahead| ahead < SESSION_WINDOW);
                if answer.is_empty() || sequence <= last || !within || self.answer_count >= ANSWERS_MAX {
                    return Err(wrong);
                }
                session.answers.insert(sequence, answer.clone());
                self.answer_count += 1;
                self.sum.add(&SessionRecord::Answer(id, sequence, answer).to_wire());
            }
        }
        Ok(())
    }

    fn check_birth(&self, id: SessionId, time: Time) -> Result<(), Error> {
        let birth = id.birth();
        if birth < self.horizon || birth.0 < time.0.saturating_sub(SESSION_YOUNG.0) {
            return Err(expired());
        }
        if birth.0 > time.0.saturating_add(SESSION_AHEAD.0) {
            return Err(Error::new(Code::Expired, "the session is born in the future: take its birth from a node"));
        }
        Ok(())
    }

    /// Makes a session or notes its call, and drops the answers that were done with.
    fn touch(&mut self, id: SessionId, principal: &Principal, done_below: Sequence, time: Time, planted: Planted) {
        let used_s = second(time);
        match self.sessions.get(&id) {
            Some(session) if session.done_below == done_below && session.used_s == used_s => (),
            Some(session) => {
                let old = SessionRecord::Session(id, session.principal, session.done_below, session.used_s);
                self.sum.remove(&old.to_wire());
                self.by_use.remove(&(session.used_s, id));
                let dropped_below = if planted.has(Bug::DoneBelowOffByOne) { done_below.next() } else { done_below };
                let done: Vec<_> = session.answers.range(..dropped_below).map(|(sequence, _)| *sequence).collect();
                let Some(session) = self.sessions.get_mut(&id) else { return };
                session.done_below = done_below;
                session.used_s = used_s;
                for sequence in done {
                    let answer = session.answers.remove(&sequence);
                    if let Some(answer) = answer.filter(|answer| !answer.is_empty()) {
                        self.sum.remove(&SessionRecord::Answer(id, sequence, answer).to_wire());
                    }
                    self.answer_count -= 1;
                }
                self.by_use.insert((used_s, id));
                self.sum.add(&SessionRecord::Session(id, *principal, done_below, used_s).to_wire());
            }
            None => {
                self.put_session(id, Session { principal: *principal, done_below, used_s, answers: OrdMap::new() });
            }
        }
    }

    fn put_session(&mut self, id: SessionId, session: Session) {
        let record = SessionRecord::Session(id, session.principal, session.done_below, session.used_s);
        self.sum.add(&record.to_wire());
        self.by_use.insert((session.used_s, id));
        self.sessions.insert(id, session);
    }

    fn forget(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.by_use.remove(&(session.used_s, id));
        self.horizon = self.horizon.max(Time(id.birth().0.saturating_add(1)));
        self.answer_count -= session.answers.len();
        let record = SessionRecord::Session(id, session.principal, session.done_below, session.used_s);
        self.sum.remove(&record.to_wire());
        for (sequence, answer) in session.answers {
            if !answer.is_empty() {
                self.sum.remove(&SessionRecord::Answer(id, sequence, answer).to_wire());
            }
        }
    }
}

/// Sessions are ordered by whole seconds: a busy one is moved in the order once a second, not with every call.
fn second(time: Time) -> i64 {
    time.0.div_euclid(1_000_000)
}

pub(crate) fn expired() -> Error {
    Error::new(Code::Expired, "the session is not known any more")
}

impl Wire for SessionRecord {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Horizon(time) => {
                out.push(1);
                time.put(out);
            }
            Self::Session(id, principal, done_below, used_s) => {
                out.push(2);
                id.put(out);
                principal.put(out);
                done_below.put(out);
                used_s.put(out);
            }
            Self::Answer(id, sequence, answer) => {
                out.push(3);
                id.put(out);
                sequence.put(out);
                put_bytes(answer, out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match u8::take(reader)? {
            1 => Self::Horizon(Wire::take(reader)?),
            2 => Self::Session(Wire::take(reader)?, Wire::take(reader)?, Wire::take(reader)?, Wire::take(reader)?),
            3 => {
                let (id, sequence) = (Wire::take(reader)?, Wire::take(reader)?);
                // Whatever is kept, with its tags and an error's text, is below twice the bound on answers.
                let answer = reader.bytes(2 * crate::limits::ANSWER_KEPT_BYTES_MAX + 1024, "ANSWER_KEPT_BYTES_MAX")?;
                Self::Answer(id, sequence, answer.into())
            }
            _ => return Err(WireError::Canonical("no such record of sessions")),
        })
    }
}
