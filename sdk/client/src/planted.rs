//! Known bugs, put back by tests to see that they are caught.

use crate::link::Generation;
use isx_iface::SessionCall;
use isx_row::Sequence;
use std::sync::OnceLock;

/// A bug that a client could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A reference has another session over each connection, in which calls are asked again.
    SessionAnew,
    /// Two calls that follow each other have one number.
    NumberedAlike,
    /// What may not be made twice is asked again.
    OnceTwice,
    /// A stream that broke is opened again where it was opened first.
    CursorForgotten,
}

impl Bug {
    /// Every bug that can be planted.
    pub const ALL: &'static [Self] = &[Self::SessionAnew, Self::NumberedAlike, Self::OnceTwice, Self::CursorForgotten];
}

/// The bug planted, if any.
pub(crate) struct Planted(OnceLock<Bug>);

impl Planted {
    pub(crate) const fn none() -> Self {
        Self(OnceLock::new())
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.0.get() == Some(&bug)
    }

    /// The coordinates with which a call is sent over a connection.
    pub(crate) fn numbered(&self, mut call: SessionCall, connection: Generation) -> SessionCall {
        if self.has(Bug::SessionAnew) {
            call.session.0[15] ^= connection.0 as u8;
        }
        if self.has(Bug::NumberedAlike) {
            call.sequence = Sequence(call.sequence.0 | 1);
        }
        call
    }
}

impl crate::Client {
    /// Plants `bug`, once. For tests.
    pub fn plant(&self, bug: Bug) {
        self.host.0.link.planted.0.get_or_init(|| bug);
    }
}
