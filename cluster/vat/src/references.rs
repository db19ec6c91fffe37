//! The references that cross one connection: ours that the peer holds, the peer's that we hold. Lives on the vat thread.

use crate::export::Exported;
use crate::limits::{CALL_BYTES_IN_FLIGHT_MAX, CALLS_IN_FLIGHT_MAX, OBJECTS_MAX, STREAMS_MAX};
use crate::object_capnp::object;
use crate::remote::{Link, Number, Remote, disconnected};
use futures::future::{LocalBoxFuture, Shared};
use isx_iface::ObjectRef;
use isx_port::Clock;
use isx_row::{Code, Error};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};

/// How the call went that obtains a pipelined reference.
pub(crate) type Obtaining = Shared<LocalBoxFuture<'static, Result<(), Error>>>;

/// A reference of the peer's.
#[derive(Clone)]
pub(crate) struct Import {
    pub(crate) client: object::Client,
    /// Present when the reference may still be on its way.
    pub(crate) obtaining: Option<Obtaining>,
}

/// The tables of one connection.
pub(crate) struct References {
    pub(crate) clock: Arc<dyn Clock>,
    link: Weak<Link>,
    imports: RefCell<BTreeMap<Number, Import>>,
    exports: Count,
    calls: Count,
    call_bytes: Count,
    streams: Count,
}

/// A bounded count of what the peer makes us hold.
struct Count {
    now: Cell<usize>,
    max: usize,
    name: &'static str,
}

impl Count {
    fn new(max: usize, name: &'static str) -> Self {
        Self { now: Cell::new(0), max, name }
    }

    fn add(&self, more: usize) -> bool {
        let next = self.now.get() + more;
        if next > self.max {
            return false;
        }
        self.now.set(next);
        true
    }
}

/// A place in a [`Count`], given back when dropped.
pub(crate) struct Held {
    references: Rc<References>,
    count: fn(&References) -> &Count,
    amount: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        let count = (self.count)(&self.references);
        count.now.set(count.now.get() - self.amount);
    }
}

impl References {
    pub(crate) fn new(clock: Arc<dyn Clock>, link: Weak<Link>) -> Rc<Self> {
        Rc::new(Self {
            clock,
            link,
            imports: RefCell::default(),
            exports: Count::new(OBJECTS_MAX, "OBJECTS_MAX: references on this connection"),
            calls: Count::new(CALLS_IN_FLIGHT_MAX, "calls in flight on this connection"),
            call_bytes: Count::new(CALL_BYTES_IN_FLIGHT_MAX, "bytes of calls in flight on this connection"),
            streams: Count::new(STREAMS_MAX, "streams on this connection"),
        })
    }

    fn hold(self: &Rc<Self>, count: fn(&Self) -> &Count, amount: usize, full: Code) -> Result<Held, Error> {
        let counter = count(self);
        if counter.add(amount) {
            return Ok(Held { references: self.clone(), count, amount });
        }
        let mut error = Error::new(full, format!("too many {}", counter.name));
        error.retry_after_ms = (full == Code::Busy).then_some(50);
        Err(error)
    }

    /// A place for an incoming call. An honest caller waits at these bounds by itself and never meets them.
    pub(crate) fn hold_call(self: &Rc<Self>, bytes: usize) -> Result<(Held, Held), Error> {
        Ok((self.hold(|all| &all.calls, 1, Code::Busy)?, self.hold(|all| &all.call_bytes, bytes, Code::Busy)?))
    }

    /// A place for a stream.
    pub(crate) fn hold_stream(self: &Rc<Self>) -> Result<Held, Error> {
        self.hold(|all| &all.streams, 1, Code::Busy)
    }

    /// Hands `object` to the peer.
    pub(crate) fn export(self: &Rc<Self>, object: ObjectRef) -> Result<object::Client, Error> {
        let held = self.hold(|all| &all.exports, 1, Code::Limit)?;
        Ok(capnp_rpc::new_client(Exported::new(object, self.clone(), Some(held))))
    }

    /// Takes a reference of the peer's.
    pub(crate) fn import(&self, client: object::Client) -> Result<ObjectRef, Error> {
        let link = self.link.upgrade().ok_or_else(disconnected)?;
        if self.imports.borrow().len() >= OBJECTS_MAX {
            return Err(Error::new(Code::Limit, "too many OBJECTS_MAX: references on this connection"));
        }
        let number = link.next_number();
        self.insert(number, Import { client, obtaining: None });
        Ok(Arc::new(Remote::new(link, number)))
    }

    pub(crate) fn insert(&self, number: Number, import: Import) {
        self.imports.borrow_mut().insert(number, import);
    }

    pub(crate) fn get(&self, number: Number) -> Option<Import> {
        self.imports.borrow().get(&number).cloned()
    }

    /// Drops a reference of the peer's.
    pub(crate) fn release(&self, number: Number) {
        // Dropped after the borrow ended: a capability's end may run code of ours.
        let dropped = self.imports.borrow_mut().remove(&number);
        drop(dropped);
    }
}
