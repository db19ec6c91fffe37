//! Carries messages between mounts: a leader delivers what waits in the outboxes of its mounts, in order, and settles what
//! was answered. What is lost on the way, or done twice, is done again and changes nothing.

use crate::batch::Queue;
use crate::limits::{DELIVER_AGAIN, DELIVER_BYTES_MAX, DELIVER_MAX, TICK_WITHIN};
use crate::replica::Shared;
use futures::future::join_all;
use isx_cluster::{Outcome, Outgoing, Request};
use isx_port::Clock;
use isx_row::{Code, Error};
use std::sync::{Arc, Weak};

/// What a round came to.
enum Round {
    /// There is nothing to deliver.
    Idle,
    /// What there was is settled.
    Settled,
    /// Some of it is to be tried again.
    Again,
}

/// Delivers until the group is gone. Holds nothing of it while it waits.
pub(crate) async fn run((queue, shared): (Weak<Queue>, Weak<Shared>), clock: Arc<dyn Clock>) {
    let Some(sent) = shared.upgrade().map(|shared| shared.sent.clone()) else { return };
    loop {
        let round = {
            let (Some(queue), Some(shared)) = (queue.upgrade(), shared.upgrade()) else { return };
            if shared.is_stopping() {
                return;
            }
            round(&queue, &shared, &*clock).await
        };
        match round {
            Round::Idle => sent.notified().await,
            Round::Settled => {}
            Round::Again => clock.sleep_until(clock.now().after(DELIVER_AGAIN)).await,
        }
    }
}

async fn round(queue: &Queue, shared: &Shared, clock: &dyn Clock) -> Round {
    let view = shared.published().view.clone();
    if !view.has_outgoing() {
        return Round::Idle;
    }
    if !shared.may_propose() {
        return Round::Again;
    }
    let outgoing = view.outgoing(DELIVER_MAX, DELIVER_BYTES_MAX);
    drop(view);
    let deadline = clock.now().after(TICK_WITHIN);
    // Polled in order the first time, which is the order in which they are queued.
    let deliveries: Vec<Request> = outgoing.iter().map(deliver).collect();
    let delivered = join_all(deliveries.iter().map(|request| queue.propose(request, deadline))).await;
    let settles = outgoing.iter().zip(delivered).filter_map(|(one, delivered)| settle(one, delivered));
    let settles: Vec<Request> = settles.collect();
    let settled = join_all(settles.iter().map(|request| queue.propose(request, deadline))).await;
    match settled.len() == deliveries.len() && settled.iter().all(|settled| matches!(settled, Ok(Outcome::Done))) {
        true => Round::Settled,
        false => Round::Again,
    }
}

fn deliver(outgoing: &Outgoing) -> Request {
    let Outgoing { from, to, number, done_below, message } = outgoing.clone();
    Request::Deliver { from, to, number, done_below, message: Box::new(message) }
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
