//! Keeping what a snapshot covers, before it is written.

use super::{History, Mark, Span};
use crate::past::read;
use crate::replica::Shared;
use crate::snapshot::SnapshotError;
use isx_port::DiskError;
use std::sync::Arc;

/// What becomes of the present snapshot when another replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// It goes.
    Goes,
    /// History is begun from it.
    Stays,
}

impl Shared {
    /// Puts the entries up to an index that history lacks into it; durable when this returns. Where that fails a gap is left,
    /// and the past is begun behind it: the snapshot and the log do not depend on it.
    pub(crate) async fn keep_history(self: &Arc<Self>, upto: Option<u64>, end: &Mark) -> Replaced {
        let (Some(history), Some(upto)) = (self.history.clone(), upto) else { return Replaced::Goes };
        if let Err(error) = self.fill_history(&history, upto, end).await {
            tracing::error!(group = self.group, %error, "history has a gap: the past before it can not be asked");
        }
        // What can not be gone on from across a gap begins with the present snapshot.
        let current = self.store().current().and_then(|held| held.manifest().last_index());
        match current.is_some_and(|current| history.wants_base(current, &self.store().bases())) {
            true => Replaced::Stays,
            false => Replaced::Goes,
        }
    }

    async fn fill_history(
        self: &Arc<Self>,
        history: &Arc<History>,
        upto: u64,
        end: &Mark,
    ) -> Result<(), SnapshotError> {
        let unread = |error: isx_row::Error| SnapshotError::Machine(error);
        let Some((mut log, _)) = self.log_and_committed() else { return Ok(()) };
        let mut bases = self.store().bases();
        let current = self.store().current().and_then(|held| held.manifest().last_index());
        bases.extend(current.filter(|current| history.wants_base(*current, &bases)));
        let (mut index, begin) = history.next();
        let mut span = history.span(index, begin);
        while index <= upto {
            let entries = read(&mut log, index, upto).await.map_err(unread)?;
            match entries.first() {
                Some((first, _)) if *first == index => {}
                // A snapshot of another node came between: the past is begun behind what is not here.
                Some((first, _)) => span = history.span(*first, None),
                None => return Ok(()),
            }
            let (filling, rest) = (history.clone(), span);
            let (full, rest) = self.store().on_lane(move |_| Ok(filling.fill(rest, entries))).await?;
            for span in full {
                self.put_span(history, span, &bases).await?;
            }
            (span, index) = rest;
        }
        if span.head.first <= upto {
            span.head.end = Some(end.clone());
            self.put_span(history, span, &bases).await?;
        }
        Ok(())
    }

    /// Puts a span; on a full disk the oldest gives way, and nothing waits.
    async fn put_span(
        self: &Arc<Self>,
        history: &Arc<History>,
        span: Span,
        bases: &[u64],
    ) -> Result<(), SnapshotError> {
        let (history, bases, span) = (history.clone(), bases.to_vec(), Arc::new(span));
        loop {
            let (putting, span, bases) = (history.clone(), span.clone(), bases.clone());
            match self.store().on_lane(move |_| putting.put(Span::clone(&span), &bases)).await {
                Err(SnapshotError::Disk(DiskError::Full { .. })) if self.give_way().await? => {}
                done => return done,
            }
        }
    }
}
