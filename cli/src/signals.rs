//! What ends a command from outside: Ctrl-C and the wish of whoever runs the machine.

use anyhow::{Context, Result};
use futures::future::{Either, select};
use std::pin::pin;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that would end this process, which is told instead.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on this process does not end by them: who has these, ends it.
    ///
    /// # Errors
    /// When the system takes no handler.
    pub fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("no signals can be heard");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next one: the exit code that stands for it, as shells say it.
    ///
    /// # Cancel safety
    /// Dropping the future loses none.
    pub async fn next(&mut self) -> u8 {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        let kind = match select(pin!(self.interrupt.recv()), pin!(self.terminate.recv())).await {
            Either::Left(_) => interrupt,
            Either::Right(_) => terminate,
        };
        u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX)
    }
}
