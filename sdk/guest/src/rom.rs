//! What a ROM links: its `Host`, calls that await, and its end.
//!
//! ```ignore
//! isx::wants!("host.walk=/self/*", "greeter");
//!
//! #[isx::main]
//! async fn main(host: isx::rom::Host) -> isx::rom::Result {
//!     let greeter = host.walk("/self/greeter".into()).await?.object().await?;
//!     …
//! }
//! ```
//!
//! A ROM has one thread and as many futures as it likes: calls go on while others are awaited, those of the crate `futures`
//! join and select them, and to drop one is to cancel it. What blocks, as reading with the standard library does, holds up
//! all of them: [`sleep`], [`stdin()`] and [`stdout()`] do not.

pub mod bindings;
mod object;
mod session;
mod streams;

pub use bindings::export_rom;
pub use isx_iface as iface;
pub use isx_iface::host::HostStub as Host;
pub use isx_row::{Code, Error};
pub use object::call;
pub use session::session;
pub use streams::{Stdin, Stdout, stdin, stdout};

use futures::future::{Either, select};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// What a ROM's main function returns.
pub type Result<T = ()> = core::result::Result<T, Error>;

/// Runs a ROM's main function with its `Host`; an error goes to standard error and makes the exit code 1. What
/// `#[isx::main]` calls.
///
/// # Cancel safety
/// Dropping the future ends the ROM.
#[allow(clippy::print_stderr, reason = "a program's error goes to its standard error")]
pub async fn run<F: Future<Output = Result>>(main: impl FnOnce(Host) -> F) -> core::result::Result<(), ()> {
    let host = Host(Arc::new(object::Remote::new(bindings::isx::host::start::host())));
    main(host).await.map_err(|error| eprintln!("error: {error}\n  {}", error.code.cure()))
}

/// Waits.
///
/// # Cancel safety
/// Dropping the future forgets the timer.
pub async fn sleep(time: Duration) {
    bindings::isx::host::start::sleep(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).await;
}

/// Waits for a future, but no longer than this.
///
/// # Errors
/// `deadline` when the time is over: the future is dropped, and with it a call is abandoned.
///
/// # Cancel safety
/// Dropping it drops the future.
pub async fn timeout<T>(time: Duration, future: impl Future<Output = T>) -> Result<T> {
    match select(pin!(future), pin!(sleep(time))).await {
        Either::Left((value, _)) => Ok(value),
        Either::Right(_) => Err(Error::new(Code::Deadline, format!("it was not done within {time:?}"))),
    }
}

/// Ends the ROM with this exit code; nothing after it runs.
pub fn exit(code: u8) -> ! {
    bindings::isx::host::start::exit(code);
    unreachable!("the host does not return from exit")
}

/// Declares what the ROM wants, as rules `INTERFACE[.method][=TARGET]`. What is not declared is refused; what is
/// declared must be allowed by the user. Once, at the root of the crate.
#[macro_export]
macro_rules! wants {
    ($($rule:literal),* $(,)?) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            const RULES: &str = concat!($($rule, "\n"),*);
            #[used]
            #[unsafe(link_section = "isx:wants")]
            static WANTS: [u8; RULES.len()] = {
                let mut bytes = [0; RULES.len()];
                let mut at = 0;
                while at < bytes.len() {
                    bytes[at] = RULES.as_bytes()[at];
                    at += 1;
                }
                bytes
            };
        };
    };
}
