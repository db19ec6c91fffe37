//! No bugs: the twin of the file that plants them for tests.

use crate::link::Generation;
use isx_iface::SessionCall;

/// The bugs whose places the code names.
#[derive(Clone, Copy)]
pub(crate) enum Bug {
    OnceTwice,
    CursorForgotten,
}

/// Nothing is planted.
pub(crate) struct Planted;

impl Planted {
    pub(crate) const fn none() -> Self {
        Self
    }

    pub(crate) fn has(&self, _: Bug) -> bool {
        false
    }

    pub(crate) fn numbered(&self, call: SessionCall, _: Generation) -> SessionCall {
        call
    }
}
