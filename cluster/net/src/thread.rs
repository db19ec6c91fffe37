//! A thread for a network and for what its streams are driven by.

use std::io;
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio::task::unconstrained;

/// Begins a thread with a runtime of its own, whose handle it gives, for [`crate::Libp2p::start`]. `drive` makes the
/// future that uses the network's streams; the runtime ends with it, and the network with the runtime.
///
/// A socket's bytes then become a stream's, and a stream's bytes a socket's, without another thread being woken: that
/// costs more than everything else that is done for a short message.
///
/// # Errors
/// When the system gives no thread or no poller.
pub fn thread<F: Future>(
    name: &str,
    drive: impl FnOnce() -> F + Send + 'static,
) -> io::Result<(Handle, JoinHandle<()>)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    // Tokio's budget is for one task: the future stands for all of a thread's streams.
    let body = move || drop(runtime.block_on(unconstrained(drive())));
    let thread = std::thread::Builder::new().name(name.into()).spawn(body)?;
    Ok((handle, thread))
}
