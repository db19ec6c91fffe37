//! What host functions cost. One unit of fuel is about one WebAssembly instruction, so that a call's limit bounds its time
//! whether it computes or asks. Part of the execution id.

use wasmtime::{AsContextMut, Trap};

/// Any host function, before what it does.
pub const HOST_CALL: u64 = 100;
/// A byte that crosses between guest and host, either way.
pub const BYTE: u64 = 1;
/// One read of a row.
pub const READ: u64 = 500;
/// One change of a row.
pub const WRITE: u64 = 2_500;
/// What a change costs for each secondary index.
pub const INDEX_ENTRY: u64 = 1_500;
/// A row of a scan.
pub const SCAN_ROW: u64 = 100;
/// A byte of random.
pub const RANDOM_BYTE: u64 = 4;
/// A line of log.
pub const LOG_LINE: u64 = 500;
/// A hook set off.
pub const HOOK: u64 = 1_000;
/// A message to another mount, for a change of a row that it listens to or sent by the function itself: it is kept, settled
/// and delivered.
pub const MESSAGE: u64 = 10_000;
/// A call into another mount within the transaction, beside what it does and what its module's start functions take: an
/// instance is started for it.
pub const JOINED: u64 = 50_000;
/// A page of 64 KiB of the memory of that instance: it is given and cleared for this call alone.
pub const JOINED_PAGE: u64 = 5_000;

/// Every charge by name, for the execution id.
pub(crate) const TABLE: [(&str, u64); 12] = [
    ("host call", HOST_CALL),
    ("byte", BYTE),
    ("read", READ),
    ("write", WRITE),
    ("index entry", INDEX_ENTRY),
    ("scan row", SCAN_ROW),
    ("random byte", RANDOM_BYTE),
    ("log line", LOG_LINE),
    ("hook", HOOK),
    ("message", MESSAGE),
    ("joined", JOINED),
    ("joined page", JOINED_PAGE),
];

/// The charge for so many bytes.
pub(crate) fn bytes(length: usize) -> u64 {
    (length as u64).saturating_mul(BYTE)
}

/// Takes `amount` from the running call.
///
/// # Errors
/// The trap that ends the call, when less is left; nothing is left then.
pub(crate) fn charge(mut store: impl AsContextMut, amount: u64) -> wasmtime::Result<()> {
    let mut store = store.as_context_mut();
    match store.get_fuel()?.checked_sub(amount) {
        Some(left) => store.set_fuel(left),
        None => {
            store.set_fuel(0)?;
            Err(Trap::OutOfFuel.into())
        }
    }
}
