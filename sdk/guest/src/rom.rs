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

pub mod bindings;
mod object;
mod session;

pub use bindings::export_rom;
pub use isx_iface as iface;
pub use isx_iface::host::HostStub as Host;
pub use isx_row::{Code, Error};
pub use object::call;
pub use session::session;

use std::future::Future;
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
