//! The exactly-once context of one reference: numbers its calls and keeps them inside the window.

use isx_iface::SessionCall;
use isx_row::limits::SESSION_WINDOW;
use isx_row::{Sequence, SessionId};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Numbers calls from 1. At most [`SESSION_WINDOW`] numbers separate the oldest call in flight from the newest: beyond
/// it callers wait, which is the back-pressure of the SDK.
pub(crate) struct Session {
    id: SessionId,
    numbers: Mutex<Numbers>,
    freed: Notify,
}

struct Numbers {
    next: Sequence,
    in_flight: BTreeSet<Sequence>,
}

impl Numbers {
    fn done_below(&self) -> Sequence {
        self.in_flight.first().copied().unwrap_or(self.next)
    }
}

/// A number taken; given back when dropped.
pub(crate) struct Ticket {
    session: Arc<Session>,
    sequence: Sequence,
}

impl Session {
    pub(crate) fn new(id: SessionId) -> Arc<Self> {
        let numbers = Numbers { next: Sequence(1), in_flight: BTreeSet::new() };
        Arc::new(Self { id, numbers: Mutex::new(numbers), freed: Notify::new() })
    }

    /// Takes the next number, waiting while the window is full.
    pub(crate) async fn ticket(self: &Arc<Self>) -> Ticket {
        loop {
            // Registered before looking, so that a number given back in between is not missed.
            let freed = self.freed.notified();
            if let Some(sequence) = self.take() {
                return Ticket { session: self.clone(), sequence };
            }
            freed.await;
        }
    }

    /// What says that the session is there, and calls nothing: the number 0 is no call's.
    pub(crate) fn present(&self) -> SessionCall {
        SessionCall { session: self.id, sequence: Sequence(0), done_below: Sequence(0) }
    }

    fn take(&self) -> Option<Sequence> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = numbers.next;
        if sequence.0 - numbers.done_below().0 >= SESSION_WINDOW {
            return None;
        }
        numbers.next = sequence.next();
        numbers.in_flight.insert(sequence);
        Some(sequence)
    }
}

impl Ticket {
    /// The coordinates to send now; `done_below` grows between two tries of one call.
    pub(crate) fn coordinates(&self) -> SessionCall {
        let numbers = self.session.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        SessionCall { session: self.session.id, sequence: self.sequence, done_below: numbers.done_below() }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let opened = {
            let mut numbers = self.session.numbers.lock().unwrap_or_else(PoisonError::into_inner);
            let before = numbers.done_below();
            numbers.in_flight.remove(&self.sequence);
            numbers.done_below().0 - before.0
        };
        // One caller for each number that the window opened by, in the order of their waiting.
        (0..opened).for_each(|_| self.session.freed.notify_one());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;

    #[test]
    fn the_window_stays_closed_until_the_oldest_call_is_done() {
        let session = Session::new(SessionId([7; 16]));
        let mut tickets: Vec<_> = (0..SESSION_WINDOW).map(|_| block_on(session.ticket())).collect();
        assert!(session.ticket().now_or_never().is_none(), "the window is full");

        drop(tickets.pop());
        assert!(session.ticket().now_or_never().is_none(), "the oldest is still in flight");

        drop(tickets.remove(0));
        let next = session.ticket().now_or_never().expect("the window moved");
        assert_eq!(next.coordinates().sequence, Sequence(SESSION_WINDOW + 1));
        assert_eq!(next.coordinates().done_below, Sequence(2));
    }

    #[test]
    fn done_below_follows_the_oldest_call_in_flight() {
        let session = Session::new(SessionId([7; 16]));
        let first = block_on(session.ticket());
        let second = block_on(session.ticket());
        assert_eq!(second.coordinates().done_below, Sequence(1));
        drop(first);
        assert_eq!(second.coordinates().done_below, Sequence(2));
    }

    #[test]
    fn as_many_callers_go_on_as_the_window_opened_by_in_the_order_of_their_waiting() {
        let session = Session::new(SessionId([7; 16]));
        let mut tickets: Vec<_> = (0..SESSION_WINDOW).map(|_| block_on(session.ticket())).collect();
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(session.ticket())).collect();
        assert!(waiting.iter_mut().all(|ticket| ticket.now_or_never().is_none()), "the window is full");

        // The second and third are done first: the window opens by three when the first is.
        tickets.drain(1..3).for_each(drop);
        assert!(waiting.iter_mut().all(|ticket| ticket.now_or_never().is_none()), "the oldest is still in flight");
        drop(tickets.remove(0));
        let taken: Vec<Ticket> = waiting.iter_mut().filter_map(|ticket| ticket.now_or_never()).collect();
        let numbers: Vec<_> = taken.iter().map(|ticket| ticket.sequence.0 - SESSION_WINDOW).collect();
        assert_eq!(numbers, [1, 2, 3]);
    }
}
