//! The sessions that are connected to a mount: those that its node has said are there, until it says that they are not.
//!
//! Kept apart from the answers owed to sessions, which outlive them: who comes back is connected again, and still hears
//! what it was answered.

use crate::limits::{CONNECTED_MAX, CONNECTED_OF_ONE_MAX};
use crate::session::expired;
use imbl::OrdMap;
use isx_anchors::sum::DigestSum;
use isx_anchors::wire::{Reader, Wire, WireError};
use isx_row::{Code, Error, Principal, SessionId};

/// The connected sessions of a mount.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presence {
    connected: OrdMap<SessionId, Connected>,
    /// How many each has.
    of_principals: OrdMap<Principal, usize>,
    sum: DigestSum,
}

/// A connected session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Whose it is.
    pub principal: Principal,
    /// It ended, its hook has run, and rows of it are left to be removed.
    pub leaving: bool,
}

/// A connected session in the format of snapshots and of the state hash.
pub(crate) struct PresenceRecord(SessionId, Connected);

impl Presence {
    pub(crate) fn get(&self, session: SessionId) -> Option<Connected> {
        self.connected.get(&session).copied()
    }

    /// Whether a call of this principal under the session may run.
    pub(crate) fn has(&self, session: SessionId, principal: &Principal) -> bool {
        self.get(session).is_some_and(|connected| connected.principal == *principal && !connected.leaving)
    }

    /// Whether a session may be connected that is not.
    ///
    /// # Errors
    /// `expired` for another's session, `busy` at a bound or while rows of the session's end are being removed.
    pub(crate) fn check(&self, session: SessionId, principal: &Principal) -> Result<(), Error> {
        let busy = |text: String| Err(Error::new(Code::Busy, text));
        match self.get(session) {
            Some(connected) if connected.principal != *principal => Err(expired()),
            Some(connected) if connected.leaving => busy("rows of the session's end are being removed".into()),
            Some(_) => Ok(()),
            None if self.connected.len() >= CONNECTED_MAX => busy(format!("over CONNECTED_MAX = {CONNECTED_MAX}")),
            None if self.count_of(principal) >= CONNECTED_OF_ONE_MAX => {
                busy(format!("over CONNECTED_OF_ONE_MAX = {CONNECTED_OF_ONE_MAX}"))
            }
            None => Ok(()),
        }
    }

    fn count_of(&self, principal: &Principal) -> usize {
        self.of_principals.get(principal).copied().unwrap_or(0)
    }

    /// Puts a session in place, or takes it out.
    pub(crate) fn set(&mut self, session: SessionId, connected: Option<Connected>) {
        if let Some(before) = self.connected.remove(&session) {
            self.sum.remove(&PresenceRecord(session, before).to_wire());
            match self.count_of(&before.principal) {
                0 | 1 => drop(self.of_principals.remove(&before.principal)),
                count => drop(self.of_principals.insert(before.principal, count - 1)),
            }
        }
        if let Some(connected) = connected {
            self.of_principals.insert(connected.principal, self.count_of(&connected.principal) + 1);
            self.sum.add(&PresenceRecord(session, connected).to_wire());
            self.connected.insert(session, connected);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionId, Connected)> {
        self.connected.iter().map(|(session, connected)| (*session, *connected))
    }

    /// The hash over the sessions, kept as they change.
    pub(crate) fn hash_into(&self, out: &mut Vec<u8>) {
        self.sum.bytes().put(out);
    }

    /// The sessions as canonical records, in the order in which [`Presence::restore`] takes them.
    pub(crate) fn records(&self) -> impl Iterator<Item = PresenceRecord> + use<> {
        self.connected.clone().into_iter().map(|(session, connected)| PresenceRecord(session, connected))
    }

    /// Takes the next record of a snapshot.
    ///
    /// # Errors
    /// `Canonical` when it does not fit those before.
    pub(crate) fn restore(&mut self, PresenceRecord(session, connected): PresenceRecord) -> Result<(), WireError> {
        if self.connected.len() >= CONNECTED_MAX || self.connected.get_max().is_some_and(|(last, _)| *last >= session) {
            return Err(WireError::Canonical("a connected session is out of order"));
        }
        self.set(session, Some(connected));
        Ok(())
    }
}

impl Wire for PresenceRecord {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.principal.put(out);
        self.1.leaving.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let session = Wire::take(reader)?;
        Ok(Self(session, Connected { principal: Wire::take(reader)?, leaving: Wire::take(reader)? }))
    }
}
