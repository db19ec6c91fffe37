//! Objects that are not here yet, or never will be.

use crate::object::{Answer, Call, Items, Object, ObjectRef};
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use isx_row::{Code, Error};
use std::sync::Arc;

/// The one object of an answer.
///
/// # Errors
/// `malformed` when there is none.
pub fn object_of(objects: Vec<ObjectRef>) -> Result<ObjectRef, Error> {
    objects.into_iter().next().ok_or_else(|| Error::new(Code::Malformed, "the answer carries no object"))
}

/// An object of which every use fails with `error`.
pub fn refusing(error: Error) -> ObjectRef {
    Promised::object(std::future::ready(Err(error)))
}

/// An object that is being obtained; obtained by the first use that needs it.
pub(crate) struct Promised {
    object: Shared<BoxFuture<'static, Result<ObjectRef, Error>>>,
}

impl Promised {
    pub(crate) fn object(obtaining: impl Future<Output = Result<ObjectRef, Error>> + Send + 'static) -> ObjectRef {
        Arc::new(Self { object: obtaining.boxed().shared() })
    }
}

#[async_trait]
impl Object for Promised {
    async fn call(&self, call: Call) -> Result<Answer, Error> {
        self.object.clone().await?.call(call).await
    }

    async fn batch(&self, calls: Vec<Call>) -> Vec<Result<Answer, Error>> {
        match self.object.clone().await {
            Ok(object) => object.batch(calls).await,
            Err(error) => calls.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn stream(&self, call: Call) -> Result<Items, Error> {
        self.object.clone().await?.stream(call).await
    }

    async fn whois(&self) -> Result<String, Error> {
        self.object.clone().await?.whois().await
    }
}
