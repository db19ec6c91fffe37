//! What a ROM's handles stand for, and what happens when it uses one.

use crate::bindings::isx::host::{objects, start};
use crate::state::State;
use futures::StreamExt;
use isx_iface::{Call, Delivery, Item, Items, ObjectRef};
use isx_row::{Code, Error, Signature, condition};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use wasmtime::Result;
use wasmtime::component::{Access, Accessor, HasData, Resource};

/// An object that a ROM holds.
pub struct Handle(pub(crate) ObjectRef);

/// A stream that a ROM follows; shared with the call that waits for its next item.
pub struct Following(Arc<Mutex<Items>>);

/// Selects the ROM's state for the generated bindings.
pub(crate) struct Held;

impl HasData for Held {
    type Data<'a> = &'a mut State;
}

/// How a ROM ends itself; carried as a trap so that nothing of it runs on.
#[derive(Debug)]
pub(crate) struct Exit(pub(crate) u8);

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit with code {}", self.0)
    }
}

impl std::error::Error for Exit {}

fn failure(error: Error, detail: Option<Vec<u8>>) -> objects::Failure {
    objects::Failure { code: error.code as u16, text: error.text, retry_after_ms: error.retry_after_ms, detail }
}

fn signature(bytes: &[u8]) -> Result<Signature, Error> {
    match bytes {
        [] => Ok(Signature::ANY),
        bytes => {
            let wrong = |_| Error::new(Code::BadArguments, "a signature has 16 bytes, or none");
            bytes.try_into().map(Signature).map_err(wrong)
        }
    }
}

fn item(item: Item) -> objects::Item {
    let (incarnation, revision) = item.cursor;
    objects::Item { incarnation: incarnation.0, revision: revision.0, payload: item.payload }
}

impl objects::Host for State {}

impl objects::HostObject for State {
    fn drop(&mut self, object: Resource<Handle>) -> Result<()> {
        self.table.delete(object)?;
        Ok(())
    }
}

impl<T> objects::HostObjectWithStore<T> for Held {
    async fn call(
        store: &Accessor<T, Self>,
        object: Resource<Handle>,
        method: String,
        signature_bytes: Vec<u8>,
        payload: Vec<u8>,
        passed: Vec<Resource<Handle>>,
        conditions: Vec<u8>,
        within_ms: Option<u32>,
    ) -> Result<Result<objects::Answer, objects::Failure>> {
        let (object, passed) = store.with(|mut access: Access<'_, T, Self>| {
            let table = &access.get().table;
            let passed = passed.iter().map(|handle| Ok(table.get(handle)?.0.clone()));
            Ok::<_, wasmtime::Error>((table.get(&object)?.0.clone(), passed.collect::<Result<Vec<_>>>()?))
        })?;
        let given = signature(&signature_bytes).and_then(|signature| Ok((signature, condition::decode(&conditions)?)));
        let (signature, conditions) = match given {
            Ok(given) => given,
            Err(error) => return Ok(Err(failure(error, None))),
        };
        let within = within_ms.map(|ms| Duration::from_millis(ms.into()));
        let delivery = Delivery { within, ..Delivery::default() };
        let answer = match object.call(Call { method, signature, payload, objects: passed, conditions, delivery }).await
        {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(failure(error, None))),
        };
        if let Some(detail) = answer.application_error {
            let error = Error::new(Code::Application, "the module answered its own error");
            return Ok(Err(failure(error, Some(detail))));
        }
        let objects = store.with(|mut access: Access<'_, T, Self>| {
            let table = &mut access.get().table;
            answer.objects.into_iter().map(|object| Ok(table.push(Handle(object))?)).collect::<Result<Vec<_>>>()
        })?;
        Ok(Ok(objects::Answer {
            payload: answer.payload,
            revision: answer.revision.map(|revision| revision.0),
            objects,
        }))
    }

    async fn follow(
        store: &Accessor<T, Self>,
        object: Resource<Handle>,
        method: String,
        signature_bytes: Vec<u8>,
        payload: Vec<u8>,
    ) -> Result<Result<Resource<Following>, objects::Failure>> {
        let object = store.with(|mut access: Access<'_, T, Self>| {
            Ok::<_, wasmtime::Error>(access.get().table.get(&object)?.0.clone())
        })?;
        let signature = match signature(&signature_bytes) {
            Ok(signature) => signature,
            Err(error) => return Ok(Err(failure(error, None))),
        };
        let call = Call {
            method,
            signature,
            payload,
            objects: Vec::new(),
            conditions: Vec::new(),
            delivery: Delivery::default(),
        };
        match object.stream(call).await {
            Ok(items) => {
                let following = Following(Arc::new(Mutex::new(items)));
                Ok(Ok(store.with(|mut access: Access<'_, T, Self>| access.get().table.push(following))?))
            }
            Err(error) => Ok(Err(failure(error, None))),
        }
    }
}

impl objects::HostItems for State {
    fn drop(&mut self, items: Resource<Following>) -> Result<()> {
        self.table.delete(items)?;
        Ok(())
    }
}

impl<T> objects::HostItemsWithStore<T> for Held {
    async fn next(
        store: &Accessor<T, Self>,
        items: Resource<Following>,
    ) -> Result<Result<Option<objects::Item>, objects::Failure>> {
        let items = store.with(|mut access: Access<'_, T, Self>| {
            Ok::<_, wasmtime::Error>(access.get().table.get(&items)?.0.clone())
        })?;
        let next = items.lock().await.next().await;
        Ok(next.map(|next| next.map(item)).transpose().map_err(|error| failure(error, None)))
    }
}

impl start::Host for State {
    fn host(&mut self) -> Result<Resource<Handle>> {
        let host = self.host.clone();
        Ok(self.table.push(Handle(host))?)
    }

    fn exit(&mut self, code: u8) -> Result<()> {
        Err(wasmtime::Error::new(Exit(code)))
    }
}

impl<T> start::HostWithStore<T> for Held {
    async fn sleep(_store: &Accessor<T, Self>, ms: u64) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok(())
    }
}
