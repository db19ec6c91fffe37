//! No bugs: the twin of the file that plants them for tests.

/// The bugs whose places the code names.
#[derive(Clone, Copy)]
pub(crate) enum Bug {
    SessionForgotten,
    ResumeSkips,
    ResumeRepeats,
    ViewUnheard,
    ViewResumes,
    BlobUnsynced,
    ValueStays,
}

/// Nothing is planted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planted;

impl Planted {
    pub(crate) const NONE: Self = Self;

    pub(crate) fn has(self, _: Bug) -> bool {
        false
    }
}
