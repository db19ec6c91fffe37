//! What a leader has to carry on with: messages between mounts, and rows that move to a new module.
//!
//! It delivers what waits in the outboxes of its mounts, in order, and settles what was answered. What is lost on the way, or
//! done twice, is done again and changes nothing.
//!
//! Each pair of mounts has a turn of its own: one that does not take its messages is tried again after a pause, with one of
//! them, and keeps no other waiting.

use crate::batch::Queue;
use crate::limits::{
    DELIVER_AGAIN, DELIVER_BYTES_MAX, DELIVER_EACH_BYTES_MAX, DELIVER_EACH_MAX, DELIVER_MAX, DELIVER_WITHIN,
};
use crate::replica::Shared;
use futures::future::{join, join_all, select};
use isx_cluster::{Outcome, Outgoing, Request};
use isx_port::{Clock, Instant};
use isx_row::{Code, Error, MountId};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Weak};

/// Pairs of mounts that wait, and until when.
type Waiting = BTreeMap<(MountId, MountId), Instant>;

/// Delivers until the group is gone. Holds nothing of it while there is nothing to do.
pub(crate) async fn run((queue, shared): (Weak<Queue>, Weak<Shared>), clock: Arc<dyn Clock>) {
    let Some(sent) = shared.upgrade().map(|shared| shared.sent.clone()) else { return };
    let mut waiting = Waiting::new();
    loop {
        let progress = {
            let (Some(queue), Some(shared)) = (queue.upgrade(), shared.upgrade()) else { return };
            if shared.is_stopping() {
                return;
            }
            round(&queue, &shared, &*clock, &mut waiting).await
        };
        match progress {
            None => {
                waiting.clear();
                sent.notified().await;
            }
            Some(0) => {
                let pause = clock.sleep_until(clock.now().after(DELIVER_AGAIN));
                drop(select(pin!(sent.notified()), pause).await);
            }
            Some(_) => {}
        }
    }
}

/// Delivers and settles what has its turn; how many messages, or none when there is nothing to deliver at all.
async fn round(queue: &Queue, shared: &Shared, clock: &dyn Clock, waiting: &mut Waiting) -> Option<usize> {
    let view = shared.published().view.clone();
    if !view.has_outgoing() {
        return None;
    }
    let now = clock.now();
    if !shared.may_propose() {
        return Some(0);
    }
    let outgoing = turn(view.outgoing(DELIVER_EACH_MAX, DELIVER_EACH_BYTES_MAX), waiting, now);
    let deadline = now.after(DELIVER_WITHIN);
    let migrations = migrate(queue, view.migrating(), deadline);
    drop(view);
    // Polled in order the first time, which is the order in which they are queued.
    let deliveries: Vec<Request> = outgoing.iter().map(deliver).collect();
    let delivered = join_all(deliveries.iter().map(|request| queue.propose(request, deadline)));
    let (moved, delivered) = join(migrations, delivered).await;
    waiting.retain(|_, until| *until > now);
    let mut settles = Vec::new();
    for (one, delivered) in outgoing.iter().zip(delivered) {
        match settle(one, delivered) {
            Some(settle) => settles.push(settle),
            None => drop(waiting.insert((one.from, one.to), clock.now().after(DELIVER_AGAIN))),
        }
    }
    let settled = join_all(settles.iter().map(|request| queue.propose(request, deadline))).await;
    Some(moved + settled.iter().filter(|settled| settled.is_ok()).count())
}

/// Moves the next rows of each mount whose rows move; how many went on.
async fn migrate(queue: &Queue, migrating: Vec<(MountId, u64)>, deadline: Instant) -> usize {
    let next: Vec<Request> = migrating.into_iter().map(|(mount, moved)| Request::Migrate { mount, moved }).collect();
    let done = join_all(next.iter().map(|request| queue.propose(request, deadline))).await;
    done.iter().filter(|done| matches!(done, Ok(Outcome::Migrating { .. } | Outcome::Mounted { .. }))).count()
}

/// What is delivered in this round: of a pair that waits nothing, of one that has waited its first, and not too much of all.
fn turn(outgoing: Vec<Outgoing>, waiting: &Waiting, now: Instant) -> Vec<Outgoing> {
    let (mut bytes, mut last) = (0, None);
    let mut turn: Vec<Outgoing> = Vec::new();
    for one in outgoing {
        let pair = (one.from, one.to);
        let is_first = last.replace(pair) != Some(pair);
        let has_turn = match waiting.get(&pair) {
            Some(until) => is_first && *until <= now,
            None => true,
        };
        bytes += one.message.payload.len();
        let fits = turn.len() < DELIVER_MAX && bytes <= DELIVER_BYTES_MAX;
        if has_turn && (fits || turn.is_empty()) {
            turn.push(one);
        }
    }
    turn
}

fn deliver(outgoing: &Outgoing) -> Request {
    let Outgoing { from, incarnation, to, number, done_below, message } = outgoing.clone();
    Request::Deliver { from, incarnation, to, number, done_below, message: Box::new(message) }
}

/// What is to be said to the sender; none when the message is to be delivered again.
fn settle(outgoing: &Outgoing, delivered: Result<Outcome, Error>) -> Option<Request> {
    let answer = match delivered {
        Ok(Outcome::Delivered(answer)) => answer,
        Ok(Outcome::Refused(error)) if error.code == Code::Gone => {
            let text = "the message had arrived, and what it was answered is not known any more";
            Outcome::Refused(Error::new(Code::Unknown, text)).to_bytes()
        }
        Ok(other) => {
            tracing::debug!(?other, "a message waits");
            return None;
        }
        Err(error) => {
            tracing::debug!(%error, "a message was not delivered");
            return None;
        }
    };
    let Outgoing { from, to, number, .. } = *outgoing;
    Some(Request::Settle { mount: from, to, number, answer })
}
