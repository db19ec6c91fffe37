//! The object: what can be called.

use crate::promise::{Promised, object_of};
use async_trait::async_trait;
use futures::stream::BoxStream;
use isx_row::{Condition, Error, Incarnation, Revision, Sequence, SessionId, Signature};
use std::sync::Arc;
use std::time::Duration;

/// An unforgeable reference to an object, on this side of the wire.
pub type ObjectRef = Arc<dyn Object>;

/// The exactly-once coordinates of a call: the answer to (session, sequence) never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCall {
    /// The caller's session.
    pub session: SessionId,
    /// The call's number in it.
    pub sequence: Sequence,
    /// Every sequence below has been answered and may be forgotten.
    pub done_below: Sequence,
}

/// How a call wants to be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Exactly-once coordinates; without them a call is made once and its outcome may stay unknown.
    pub session: Option<SessionCall>,
    /// How long the caller waits; the callee's own bound when absent.
    pub within: Option<Duration>,
    /// Answer from a state at least this new.
    pub revision_min: Option<Revision>,
    /// For streams: continue after this cursor; from the present state when absent.
    pub after: Option<(Incarnation, Revision)>,
}

/// A call of one method.
#[derive(Clone)]
pub struct Call {
    /// The method's name.
    pub method: String,
    /// The signature the caller was typed against; [`Signature::ANY`] when it read the schema.
    pub signature: Signature,
    /// The arguments: a record of [`isx_row::codec`].
    pub payload: Vec<u8>,
    /// References passed along.
    pub objects: Vec<ObjectRef>,
    /// What must hold of the mount for the call to be made; objects that are no mounts know no conditions.
    pub conditions: Vec<Condition>,
    /// How it wants to be delivered.
    pub delivery: Delivery,
}

impl Call {
    /// Bytes of its payload and conditions, as bounds on what is in flight count them.
    pub fn bytes(&self) -> usize {
        let conditions = self.conditions.iter().map(|condition| {
            let value = match condition {
                Condition::Holds { column, value, .. } => column.len() + value.0.len(),
                _ => 0,
            };
            CONDITION_BYTES + value + condition.row().map_or(0, |row| row.table.len() + row.key.0.len())
        });
        self.payload.len() + conditions.sum::<usize>()
    }
}

/// What a condition is counted for beside what it holds: its tag, its signature, the places of its members.
const CONDITION_BYTES: usize = 64;

/// The answer to a call.
#[derive(Clone, Default)]
pub struct Answer {
    /// The answer: a record of one member.
    pub payload: Vec<u8>,
    /// References passed back.
    pub objects: Vec<ObjectRef>,
    /// The revision the call committed at or read, for calls to mounts.
    pub revision: Option<Revision>,
    /// The module's own typed error, encoded, when the call answered one: then `payload` is empty.
    pub application_error: Option<Vec<u8>>,
}

/// One item of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where to continue after this item: (incarnation, revision). Zero for streams that can not be continued.
    pub cursor: (Incarnation, Revision),
    /// The item: a record of one member.
    pub payload: Vec<u8>,
}

/// A stream of items, ended by the end or by one error. Polling it is the credit: the producer runs at most a bounded
/// number of items ahead.
pub type Items = BoxStream<'static, Result<Item, Error>>;

/// What can be called. Implemented by whatever serves, by the vat for what is far away, by wrappers that narrow.
#[async_trait]
pub trait Object: Send + Sync + 'static {
    /// Calls a method.
    ///
    /// # Errors
    /// See [`isx_row::Code`]; `unknown` and `deadline` may be asked again under the same session coordinates.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the answer; the call may happen all the same.
    async fn call(&self, call: Call) -> Result<Answer, Error>;

    /// Calls many methods, each checked and answered apart, in order.
    ///
    /// # Cancel safety
    /// As [`Object::call`].
    async fn batch(&self, calls: Vec<Call>) -> Vec<Result<Answer, Error>> {
        let mut answers = Vec::with_capacity(calls.len());
        for call in calls {
            answers.push(self.call(call).await);
        }
        answers
    }

    /// Calls a method and gives the first object of its answer at once: what is called on it is called when the answer
    /// is here, or fails as the call failed. Over a connection this saves a round trip for each step of a walk.
    ///
    /// Dropping the object abandons the call, which may happen all the same.
    fn first(self: Arc<Self>, call: Call) -> ObjectRef {
        Promised::object(async move { object_of(self.call(call).await?.objects) })
    }

    /// Opens a stream: `call.method` names what is followed.
    ///
    /// # Errors
    /// As [`Object::call`].
    async fn stream(&self, call: Call) -> Result<Items, Error>;

    /// The object's interface by name, for tools: `isx.Host`, `isx.Anchor`, `isx.Module`, or a module's name.
    async fn whois(&self) -> Result<String, Error>;
}
