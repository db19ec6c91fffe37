//! Calls that are made only if something holds of the mount.

use crate::object::{Answer, Call, Items, Object, ObjectRef};
use async_trait::async_trait;
use isx_row::{Condition, Error};
use std::sync::Arc;

/// The same mount, of which every call is made only if these conditions hold when it is its turn, and refused with
/// `conflict`, naming both sides, if one does not. Give the calls of a compare-and-set this object, and read again at a
/// conflict. Streams are as they were.
pub fn when(object: ObjectRef, conditions: Vec<Condition>) -> ObjectRef {
    Arc::new(When { object, conditions })
}

struct When {
    object: ObjectRef,
    conditions: Vec<Condition>,
}

impl When {
    fn conditioned(&self, mut call: Call) -> Call {
        call.conditions.extend_from_slice(&self.conditions);
        call
    }
}

#[async_trait]
impl Object for When {
    async fn call(&self, call: Call) -> Result<Answer, Error> {
        self.object.call(self.conditioned(call)).await
    }

    async fn batch(&self, calls: Vec<Call>) -> Vec<Result<Answer, Error>> {
        self.object.batch(calls.into_iter().map(|call| self.conditioned(call)).collect()).await
    }

    fn first(self: Arc<Self>, call: Call) -> ObjectRef {
        self.object.clone().first(self.conditioned(call))
    }

    async fn stream(&self, call: Call) -> Result<Items, Error> {
        self.object.stream(call).await
    }

    async fn whois(&self) -> Result<String, Error> {
        self.object.whois().await
    }
}
