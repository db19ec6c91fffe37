//! Lines for people. Not state: written where the call runs, also when it is rolled back.
//!
//! Libraries that log through the crate `log` are heard too: their lines become the call's, at the same level. All levels
//! are on; the features of `log` (`release_max_level_info` and its like) leave lines out at compile time, where they cost
//! no fuel.

use crate::module::port::log as host;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "written as words in `isx::log!(info, …)`")]
pub enum Level {
    /// Something failed that should not.
    error,
    /// Something is odd.
    warn,
    /// What happens.
    info,
    /// Why it happens.
    debug,
    /// How it happens.
    trace,
}

/// Writes a line; cut at 4 KiB, and a call's lines at 64 KiB.
pub fn write(level: Level, text: &str) {
    let level = match level {
        Level::error => host::Level::Error,
        Level::warn => host::Level::Warn,
        Level::info => host::Level::Info,
        Level::debug => host::Level::Debug,
        Level::trace => host::Level::Trace,
    };
    host::write(level, text);
}

/// Writes a line to the module's log: `isx::log!(info, "{count} rows")`. Levels: error, warn, info, debug, trace.
#[macro_export]
macro_rules! log {
    ($level:ident, $($text:tt)+) => {
        $crate::log::write($crate::log::Level::$level, &::std::format!($($text)+))
    };
}

/// What the crate `log` writes to.
#[cfg(target_family = "wasm")]
struct Facade;

#[cfg(target_family = "wasm")]
impl ::log::Log for Facade {
    fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &::log::Record<'_>) {
        let level = match record.level() {
            ::log::Level::Error => Level::error,
            ::log::Level::Warn => Level::warn,
            ::log::Level::Info => Level::info,
            ::log::Level::Debug => Level::debug,
            ::log::Level::Trace => Level::trace,
        };
        match record.args().as_str() {
            Some(text) => write(level, text),
            None => write(level, &record.args().to_string()),
        }
    }

    fn flush(&self) {}
}

/// Sends here what an instance says about itself: panics, as a trap carries no text, and the lines of the crate `log`.
#[cfg(target_family = "wasm")]
pub(crate) fn listen() {
    std::panic::set_hook(Box::new(|panic| write(Level::error, &panic.to_string())));
    // Refused where the module has a logger of its own: it is heard then.
    if ::log::set_logger(&Facade).is_ok() {
        ::log::set_max_level(::log::LevelFilter::Trace);
    }
}
