//! What stands in for a host where a module's code runs natively: its own tests. Same functions as the guest contract.

use crate::module::bindings::isx::module::log::Level;
use crate::module::bindings::isx::module::tables::{Chunk, Fault, Range};
use std::cell::RefCell;
use std::rc::Rc;

/// A host, as `sdk/wit/module.wit` says what each function means. A call that the host ends, as for a denied access, ends
/// by unwinding: [`std::panic::resume_unwind`], which no panic hook hears of.
pub trait Port {
    /// `tables.open`, without a signature.
    fn open(&self, name: &str) -> Result<u32, Fault>;
    /// `tables.index`.
    fn index(&self, table: u32, name: &str) -> Result<u32, Fault>;
    /// `tables.count`.
    fn count(&self, table: u32) -> Result<u64, Fault>;
    /// `tables.get`.
    fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;
    /// `tables.find`.
    fn find(&self, table: u32, index: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;
    /// `tables.insert`.
    fn insert(&self, table: u32, row: &[u8]) -> Result<Vec<u8>, Fault>;
    /// `tables.update`.
    fn update(&self, table: u32, row: &[u8]) -> Result<(), Fault>;
    /// `tables.delete`.
    fn delete(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;
    /// `tables.scan`.
    fn scan(&self, range: &Range, after: Option<&[u8]>, rows_max: u32) -> Result<Chunk, Fault>;
    /// `context.caller`.
    fn caller(&self) -> Vec<u8>;
    /// `context.session`.
    fn session(&self) -> Option<Vec<u8>>;
    /// `context.time`.
    fn time(&self) -> i64;
    /// `context.random`.
    fn random(&self, length: u32) -> Result<Vec<u8>, Fault>;
    /// `links.send`.
    fn send(&self, path: &str, reducer: &str, arguments: &[u8]) -> Result<u64, Fault>;
    /// `links.call`.
    fn call(&self, path: &str, function: &str, arguments: &[u8]) -> Result<Vec<u8>, Fault>;
    /// `log.write`.
    fn write(&self, level: Level, text: &str);
}

thread_local! {
    static PORT: RefCell<Option<Rc<dyn Port>>> = const { RefCell::new(None) };
}

/// Runs `work`, whose module code has this host; on this thread, and until it ends or unwinds.
pub fn within<T>(port: Rc<dyn Port>, work: impl FnOnce() -> T) -> T {
    /// Puts back the host that was there before.
    struct Before(Option<Rc<dyn Port>>);

    impl Drop for Before {
        fn drop(&mut self) {
            PORT.set(self.0.take());
        }
    }

    let _before = Before(PORT.replace(Some(port)));
    work()
}

/// The host of the code that runs now.
///
/// # Panics
/// When there is none.
fn port() -> Rc<dyn Port> {
    let port = PORT.with_borrow(Option::clone);
    port.expect("tables, context and log are a host's: call the function through `isx_testing::Module`")
}

/// As the guest contract.
pub mod tables {
    use super::port;
    pub use crate::module::bindings::isx::module::tables::{Bound, Chunk, Direction, Fault, Range};

    pub fn open(name: &str, _signature: &[u8]) -> Result<u32, Fault> {
        port().open(name)
    }

    pub fn index(table: u32, name: &str) -> Result<u32, Fault> {
        port().index(table, name)
    }

    pub fn count(table: u32) -> Result<u64, Fault> {
        port().count(table)
    }

    pub fn get(table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        port().get(table, key)
    }

    pub fn find(table: u32, index: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        port().find(table, index, key)
    }

    pub fn insert(table: u32, row: &[u8]) -> Result<Vec<u8>, Fault> {
        port().insert(table, row)
    }

    pub fn update(table: u32, row: &[u8]) -> Result<(), Fault> {
        port().update(table, row)
    }

    pub fn delete(table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        port().delete(table, key)
    }

    pub fn scan(range: &Range, after: Option<&[u8]>, rows_max: u32) -> Result<Chunk, Fault> {
        port().scan(range, after, rows_max)
    }
}

/// As the guest contract.
pub mod context {
    use super::port;
    use crate::module::bindings::isx::module::tables::Fault;

    pub fn caller() -> Vec<u8> {
        port().caller()
    }

    pub fn session() -> Option<Vec<u8>> {
        port().session()
    }

    pub fn time() -> i64 {
        port().time()
    }

    pub fn random(length: u32) -> Result<Vec<u8>, Fault> {
        port().random(length)
    }
}

/// As the guest contract.
pub mod links {
    use super::port;
    use crate::module::bindings::isx::module::tables::Fault;

    pub fn send(path: &str, reducer: &str, arguments: &[u8]) -> Result<u64, Fault> {
        port().send(path, reducer, arguments)
    }

    pub fn call(path: &str, function: &str, arguments: &[u8]) -> Result<Vec<u8>, Fault> {
        port().call(path, function, arguments)
    }
}

/// As the guest contract.
pub mod log {
    use super::port;
    pub use crate::module::bindings::isx::module::log::Level;

    pub fn write(level: Level, text: &str) {
        port().write(level, text);
    }
}
