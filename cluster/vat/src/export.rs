//! Our objects as the peer calls them.

use crate::limits::{
    BATCH_ANSWER_BYTES_MAX, BATCH_CALLS_MAX, CALL_WITHIN, CALL_WITHIN_MAX, STREAM_BYTES_MAX, STREAM_CREDIT_MAX,
};
use crate::object_capnp::{object, source};
use crate::references::{Held, References};
use crate::wire::{read_call, write_failure, write_item, write_outcome};
use futures::future::{Either, select};
use futures::{FutureExt, StreamExt};
use isx_iface::{Answer, Call, Item, Items, ObjectRef};
use isx_row::{Code, Error};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// An object of ours.
pub(crate) struct Exported {
    object: ObjectRef,
    references: Rc<References>,
    _held: Option<Held>,
}

impl Exported {
    /// What the connection begins with is not counted.
    pub(crate) fn new(object: ObjectRef, references: Rc<References>, held: Option<Held>) -> Self {
        Self { object, references, _held: held }
    }

    /// The output of `body`, or `deadline` when the calls' time is over.
    async fn within<T>(&self, within: Duration, body: impl Future<Output = T>) -> Result<T, Error> {
        let deadline = self.references.clock.now().after(within);
        // Begun when the body waits: most do not, or not for long.
        let late = async { self.references.clock.sleep_until(deadline).await };
        futures::pin_mut!(body, late);
        match select(body, late).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(_) => Err(Error::new(Code::Deadline, "the time of the call is over")),
        }
    }

    async fn answer(&self, call: Result<Call, Error>) -> Result<Answer, Error> {
        let call = call?;
        let _held = self.references.hold_call(call.bytes())?;
        self.within(time_of(&call), self.object.call(call)).await?
    }

    async fn answer_batch(&self, calls: Vec<Result<Call, Error>>) -> Vec<Result<Answer, Error>> {
        let bytes = calls.iter().flatten().map(|call| call.bytes()).sum();
        let _held = match self.references.hold_call(bytes) {
            Ok(held) => held,
            Err(error) => return calls.iter().map(|_| Err(error.clone())).collect(),
        };
        let (mut refused, mut readable) = (Vec::with_capacity(calls.len()), Vec::with_capacity(calls.len()));
        for call in calls {
            match call {
                Ok(call) => {
                    refused.push(None);
                    readable.push(call);
                }
                Err(error) => refused.push(Some(error)),
            }
        }
        // Each callee bounds its own call; the slowest bounds the batch.
        let within = readable.iter().map(time_of).max().unwrap_or(CALL_WITHIN);
        let outcomes = self.within(within, self.object.batch(readable)).await;
        let (mut outcomes, lost) = match outcomes {
            Ok(outcomes) => (outcomes.into_iter(), Error::new(Code::Unknown, "the batch was not answered in full")),
            Err(error) => (Vec::new().into_iter(), error),
        };
        let mut answer_bytes = 0;
        let mut answer = |refused: Option<Error>| {
            let answer = match refused {
                Some(error) => Err(error),
                None => outcomes.next().unwrap_or_else(|| Err(lost.clone())),
            }?;
            answer_bytes += answer.payload.len();
            if answer_bytes > BATCH_ANSWER_BYTES_MAX {
                return Err(Error::new(
                    Code::Unknown,
                    "BATCH_ANSWER_BYTES_MAX: the answers of the batch are too large",
                ));
            }
            Ok(answer)
        };
        refused.into_iter().map(&mut answer).collect()
    }

    async fn open(&self, call: Result<Call, Error>) -> Result<source::Client, Error> {
        let call = call?;
        let held = self.references.hold_stream()?;
        let items = self.within(time_of(&call), self.object.stream(call)).await??;
        Ok(capnp_rpc::new_client(Source { items: RefCell::new(Some(items)), _held: held }))
    }
}

/// How long a call may take.
fn time_of(call: &Call) -> Duration {
    call.delivery.within.unwrap_or(CALL_WITHIN).min(CALL_WITHIN_MAX)
}

impl object::Server for Exported {
    async fn call(self: Rc<Self>, params: object::CallParams, mut results: object::CallResults) -> capnp::Result<()> {
        let call = read_call(&self.references, params.get()?.get_call()?);
        // The message's memory is free while the call runs.
        drop(params);
        let outcome = self.answer(call).await;
        let first = write_outcome(&self.references, outcome, results.get().init_outcome());
        if let Some(first) = first {
            results.get().set_first(first);
        }
        Ok(())
    }

    async fn batch(
        self: Rc<Self>,
        params: object::BatchParams,
        mut results: object::BatchResults,
    ) -> capnp::Result<()> {
        let list = params.get()?.get_calls()?;
        if list.len() as usize > BATCH_CALLS_MAX {
            return Err(capnp::Error::failed("BATCH_CALLS_MAX: too many calls in one batch".into()));
        }
        let calls = list.iter().map(|call| read_call(&self.references, call)).collect();
        drop(params);
        let answers = self.answer_batch(calls).await;
        let mut outcomes = results.get().init_outcomes(answers.len() as u32);
        for (position, answer) in (0..).zip(answers) {
            write_outcome(&self.references, answer, outcomes.reborrow().get(position));
        }
        Ok(())
    }

    async fn stream(
        self: Rc<Self>,
        params: object::StreamParams,
        mut results: object::StreamResults,
    ) -> capnp::Result<()> {
        let call = read_call(&self.references, params.get()?.get_call()?);
        drop(params);
        match self.open(call).await {
            Ok(source) => results.get().set_source(source),
            Err(error) => write_failure(&error, results.get().init_failure()),
        }
        Ok(())
    }

    async fn whois(self: Rc<Self>, _: object::WhoisParams, mut results: object::WhoisResults) -> capnp::Result<()> {
        let name = match self.references.hold_call(0) {
            Ok(_held) => self.within(CALL_WITHIN, self.object.whois()).await.flatten(),
            Err(error) => Err(error),
        };
        match name {
            Ok(name) => results.get().set_name(name.as_str()),
            Err(error) => write_failure(&error, results.get().init_failure()),
        }
        Ok(())
    }

    async fn save(self: Rc<Self>, _: object::SaveParams, mut results: object::SaveResults) -> capnp::Result<()> {
        let error = Error::new(Code::Unsupported, "this node does not save references");
        write_failure(&error, results.get().init_failure());
        Ok(())
    }
}

/// A stream of ours: gives items for credit.
struct Source {
    /// Taken while a `next` waits for items.
    items: RefCell<Option<Items>>,
    _held: Held,
}

impl source::Server for Source {
    async fn next(self: Rc<Self>, params: source::NextParams, mut results: source::NextResults) -> capnp::Result<()> {
        let credit = params.get()?.get_count().clamp(1, STREAM_CREDIT_MAX);
        // Taken before anything waits; a `next` that is dropped takes the stream with it.
        let taken = self.items.borrow_mut().take();
        let Some(mut items) = taken else {
            let error = Error::new(Code::Gone, "the stream has ended, or another `next` is waiting");
            write_failure(&error, results.get().init_failure());
            return Ok(());
        };
        let (ready, end) = gather(&mut items, credit as usize).await;
        let mut to = results.get();
        to.set_ended(end.is_some());
        if let Some(Some(error)) = &end {
            write_failure(error, to.reborrow().init_failure());
        }
        let mut list = to.init_items(ready.len() as u32);
        for (position, item) in (0..).zip(&ready) {
            write_item(item, list.reborrow().get(position));
        }
        if end.is_none() {
            *self.items.borrow_mut() = Some(items);
        }
        Ok(())
    }
}

/// How a stream ended: by itself, or with an error.
type End = Option<Error>;

/// Waits for an item, then takes those that are ready, within credit and bytes.
async fn gather(items: &mut Items, credit: usize) -> (Vec<Item>, Option<End>) {
    let (mut ready, mut bytes) = (Vec::new(), 0);
    let mut next = items.next().await;
    loop {
        match next {
            Some(Ok(item)) => {
                bytes += item.payload.len();
                ready.push(item);
            }
            Some(Err(error)) => return (ready, Some(Some(error))),
            None => return (ready, Some(None)),
        }
        if ready.len() >= credit || bytes >= STREAM_BYTES_MAX {
            return (ready, None);
        }
        match items.next().now_or_never() {
            Some(more) => next = more,
            None => return (ready, None),
        }
    }
}
