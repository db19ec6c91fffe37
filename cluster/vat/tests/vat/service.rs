//! An object that does what a test asks, and tells what was done.

use futures::{StreamExt, stream};
use isx_iface::{Answer, Call, Item, Items, Object, ObjectRef, async_trait};
use isx_row::{Code, Error, Incarnation, Revision};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What happened to a [`Service`].
#[derive(Default)]
pub(crate) struct Seen {
    /// Calls begun.
    pub(crate) begun: AtomicUsize,
    /// Calls and streams that were dropped before their end.
    pub(crate) dropped: AtomicUsize,
    /// Items produced.
    pub(crate) items: AtomicUsize,
}

impl Seen {
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }
    pub(crate) fn items(&self) -> usize {
        self.items.load(Ordering::SeqCst)
    }
}

/// Answers `echo`, `fail`, `hang`, `child`, `ask` (calls the object passed), `children`; streams `count` and `hang`.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) seen: Arc<Seen>,
}

impl Service {
    pub(crate) fn create() -> (ObjectRef, Arc<Seen>) {
        Self::named("test.Service")
    }

    pub(crate) fn named(name: &'static str) -> (ObjectRef, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        (Arc::new(Self { name, seen: seen.clone() }), seen)
    }
}

/// Tells that something ended before its time.
struct Guard(Arc<Seen>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Object for Service {
    async fn call(&self, mut call: Call) -> Result<Answer, Error> {
        self.seen.begun.fetch_add(1, Ordering::SeqCst);
        match call.method.as_str() {
            "echo" => Ok(Answer { payload: call.payload, revision: Some(Revision(3)), ..Answer::default() }),
            "fail" => Err(Error { code: Code::Conflict, text: "as you wished".into(), retry_after_ms: Some(0) }),
            "own" => Ok(Answer { application_error: Some(vec![1, 2]), ..Answer::default() }),
            "hang" => {
                let _guard = Guard(self.seen.clone());
                std::future::pending().await
            }
            "child" => {
                let child = Self { name: self.name, seen: self.seen.clone() };
                Ok(Answer { objects: vec![Arc::new(child)], ..Answer::default() })
            }
            "ask" => match call.objects.pop() {
                Some(object) => object.call(super::call("echo", &call.payload)).await,
                None => Err(Error::new(Code::BadArguments, "no object")),
            },
            "delivery" => {
                let delivery = call.delivery;
                let text = format!("{:?} {:?} {:?}", delivery.session, delivery.revision_min, delivery.after);
                Ok(Answer { payload: text.into_bytes(), ..Answer::default() })
            }
            _ => Err(Error::new(Code::NotFound, format!("{} has no such method", self.name))),
        }
    }

    async fn stream(&self, call: Call) -> Result<Items, Error> {
        let (seen, guard) = (self.seen.clone(), Guard(self.seen.clone()));
        let count = match call.method.as_str() {
            "count" => usize::from(call.payload[0]) * 100,
            "hang" => return Ok(stream::pending().inspect(move |_: &Result<Item, Error>| _ = &guard).boxed()),
            _ => return Err(Error::new(Code::NotFound, format!("{} has no such method", self.name))),
        };
        let items = (0..count).map(move |number| {
            let _ = &guard;
            seen.items.fetch_add(1, Ordering::SeqCst);
            let cursor = (Incarnation(1), Revision(number as u64));
            Ok(Item { cursor, payload: number.to_le_bytes().to_vec() })
        });
        let end = Err(Error::new(Code::Held, "no more"));
        Ok(stream::iter(items).chain(stream::iter([end])).boxed())
    }

    async fn whois(&self) -> Result<String, Error> {
        Ok(self.name.to_owned())
    }
}
