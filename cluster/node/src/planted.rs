//! Known bugs, put back by tests to see that they are caught.

/// A bug that a node could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A call reaches the log without its session.
    SessionForgotten,
    /// A stream that continues after a cursor begins with what is new.
    ResumeSkips,
    /// A stream that continues after a cursor begins one transaction too early.
    ResumeRepeats,
    /// Who follows a view does not hear that its rows are others.
    ViewUnheard,
    /// A view that continues after a cursor continues whatever has changed since.
    ViewResumes,
    /// A blob is kept without a sync.
    BlobUnsynced,
    /// A row of a volatile table outlives its session.
    ValueStays,
}

impl Bug {
    /// Every bug that can be planted.
    pub const ALL: &'static [Self] = &[
        Self::SessionForgotten,
        Self::ResumeSkips,
        Self::ResumeRepeats,
        Self::ViewUnheard,
        Self::ViewResumes,
        Self::BlobUnsynced,
        Self::ValueStays,
    ];
}

/// The bug planted, if any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planted(Option<Bug>);

impl Planted {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn has(self, bug: Bug) -> bool {
        self.0 == Some(bug)
    }
}

impl crate::Opened {
    /// Plants `bug`. For tests.
    pub fn plant(&mut self, bug: Bug) {
        self.planted = Planted(Some(bug));
    }
}
