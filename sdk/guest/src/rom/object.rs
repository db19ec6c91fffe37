//! Object handles of the host as [`Object`]s.

use super::bindings::isx::host::objects;
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt, stream};
use isx_iface::{Answer, Call, Item, Items, Object, ObjectRef, async_trait, payload};
use isx_row::{Code, Error, Incarnation, Revision, Signature, Typed, condition};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An object that the host keeps for us.
pub(super) struct Remote {
    handle: objects::Object,
}

/// A future that never leaves the one thread of a ROM.
struct OneThread<'a, T>(LocalBoxFuture<'a, T>);

// SAFETY: a ROM is WebAssembly without threads: nothing is ever sent.
#[allow(unsafe_code, reason = "the bindings' futures are not Send, and objects must be")]
unsafe impl<T> Send for OneThread<'_, T> {}

impl<T> Future for OneThread<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.0.poll_unpin(context)
    }
}

fn one_thread<'a, T>(future: impl Future<Output = T> + 'a) -> OneThread<'a, T> {
    OneThread(future.boxed_local())
}

impl Remote {
    pub(super) fn new(handle: objects::Object) -> Self {
        Self { handle }
    }
}

fn error(failure: objects::Failure) -> Error {
    let code = Code::from_number(failure.code).unwrap_or(Code::Unsupported);
    Error { code, text: failure.text, retry_after_ms: failure.retry_after_ms }
}

fn bytes(signature: Signature) -> Vec<u8> {
    if signature == Signature::ANY { Vec::new() } else { signature.0.to_vec() }
}

#[async_trait]
impl Object for Remote {
    async fn call(&self, call: Call) -> Result<Answer, Error> {
        if !call.objects.is_empty() {
            return Err(Error::new(Code::Unsupported, "a ROM can not pass objects along in this version"));
        }
        let within_ms = call.delivery.within.map(|within| u32::try_from(within.as_millis()).unwrap_or(u32::MAX));
        let conditions = condition::encode(&call.conditions)?;
        let signature = bytes(call.signature);
        let answer = self.handle.call(call.method, signature, call.payload, Vec::new(), conditions, within_ms);
        let answer = one_thread(answer).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(objects::Failure { detail: Some(detail), .. }) => {
                return Ok(Answer { application_error: Some(detail), ..Answer::default() });
            }
            Err(failure) => return Err(error(failure)),
        };
        let objects = answer.objects.into_iter().map(|handle| Arc::new(Remote::new(handle)) as ObjectRef);
        Ok(Answer {
            payload: answer.payload,
            objects: objects.collect(),
            revision: answer.revision.map(Revision),
            application_error: None,
        })
    }

    async fn batch(&self, calls: Vec<Call>) -> Vec<Result<Answer, Error>> {
        // The host coalesces calls in flight.
        futures::future::join_all(calls.into_iter().map(|call| self.call(call))).await
    }

    async fn stream(&self, call: Call) -> Result<Items, Error> {
        let items =
            one_thread(self.handle.follow(call.method, bytes(call.signature), call.payload)).await.map_err(error)?;
        Ok(stream::unfold(Some(items), |items| async move {
            let items = items?;
            match one_thread(items.next()).await {
                Ok(None) => None,
                Ok(Some(item)) => {
                    let cursor = (Incarnation(item.incarnation), Revision(item.revision));
                    Some((Ok(Item { cursor, payload: item.payload }), Some(items)))
                }
                Err(failure) => Some((Err(error(failure)), None)),
            }
        })
        .boxed())
    }

    async fn whois(&self) -> Result<String, Error> {
        Err(Error::new(Code::Unsupported, "a ROM knows what it walked to"))
    }
}

/// Calls a reducer or query with typed arguments, a tuple, and a typed answer.
///
/// # Errors
/// See [`Code`]; `application` for the module's own error.
///
/// # Cancel safety
/// Dropping the future abandons the answer; the call may happen all the same.
pub async fn call<A: Typed>(object: &ObjectRef, method: &str, arguments: impl Typed) -> Result<A, Error> {
    let call = Call {
        method: method.into(),
        signature: Signature::ANY,
        payload: payload::encode(&arguments)?,
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery: isx_iface::Delivery::default(),
    };
    payload::value_of(&object.call(call).await?)
}
