//! Lines for people. Not state: written where the call runs, also when it is rolled back.

use crate::module::bindings::isx::module::log as host;

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
