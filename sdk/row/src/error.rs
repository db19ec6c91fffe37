//! One error for everything that crosses a trust line: a stable code, a class that says what to do, a safe text.

use alloc::string::String;
use core::fmt;

/// What the caller should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// Do not retry: the same call would be refused again.
    Refused = 1,
    /// The reference is dead: obtain it again.
    Broken = 2,
    /// Try later.
    Busy = 3,
    /// May have happened: ask again under the same session and sequence.
    Unknown = 4,
    /// This node is done.
    Fatal = 5,
}

impl Class {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Busy => "busy",
            Self::Unknown => "unknown",
            Self::Fatal => "fatal",
        }
    }

    /// What the caller should do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Refused => "do not retry: the same call would be refused again",
            Self::Broken => "the reference is dead: obtain it again",
            Self::Busy => "nothing happened: try later",
            Self::Unknown => "it may have happened: ask again under the same session and sequence",
            Self::Fatal => "the node is done: see its log",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal, $text:literal, $class:ident, $cure:literal;)*) => {
        /// Every error code of the system. Numbers and texts are stable: never reused, never renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Code { $($(#[doc = $doc])* $name = $number,)* }

        impl Code {
            /// Every code, by number.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The stable word: `isx help WORD` explains it.
            pub fn word(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// What the caller should do.
            pub fn class(self) -> Class {
                match self { $(Code::$name => Class::$class,)* }
            }

            /// What happened, in sentences.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),*).trim_ascii(),)* }
            }

            /// What a person can do about it.
            pub fn cure(self) -> &'static str {
                match self { $(Code::$name => $cure,)* }
            }

            /// The code with this number.
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Code::$name),)* _ => None }
            }
        }
    };
}

codes! {
    /// The name is unknown, or the caller may not know it: both answer alike.
    NotFound = 1, "not_found", Refused, "check the path with `isx ls`; a name you have no right to looks missing";
    /// The arguments are not of the function's types.
    BadArguments = 2, "bad_arguments", Refused, "see the signature with `isx inspect PATH`";
    /// The call was typed against another signature.
    StaleBindings = 3, "stale_bindings", Refused, "generate the bindings again: `isx bindings PATH`";
    /// A bound with a name was exceeded.
    Limit = 4, "limit", Refused, "see the bound's name and reason with `isx limits`";
    /// The guest trapped; the call was rolled back.
    Trap = 5, "trap", Refused, "read the module's log for the panic; the call changed nothing";
    /// The call used up its fuel and was rolled back.
    OutOfFuel = 6, "out_of_fuel", Refused, "do less in one call, or raise the mount's limit";
    /// The function touched what it did not declare, or may not touch.
    Denied = 7, "denied", Refused, "declare the access in the reducer, or call one that may";
    /// A row with this key exists.
    Duplicate = 8, "duplicate", Refused, "update the row, or use another key";
    /// No row with this key exists.
    NoRow = 9, "no_row", Refused, "insert the row first";
    /// The session is older than the cluster remembers.
    Expired = 10, "expired", Refused, "begin a new session; whether its last calls happened can be read";
    /// The sequence is outside the session's window.
    Window = 11, "window", Refused, "send `done_below` with each call, and at most 1,024 calls in flight";
    /// A capability was not declared or not allowed.
    Missing = 12, "missing_right", Refused, "run again with `--allow RULE`";
    /// Bytes are not a valid message, file or component.
    Malformed = 13, "malformed", Refused, "check what produced these bytes; nothing was changed";
    /// The name is taken.
    Taken = 14, "taken", Refused, "use another name, address or folder; `isx publish` upgrades a module that is there";
    /// The expected value or revision was not found.
    Conflict = 15, "conflict", Refused, "read again and decide anew";
    /// The module's own typed error; an answer, not a fault.
    Application = 16, "application", Refused, "the module says why";
    /// The schemas are incompatible.
    Incompatible = 17, "incompatible", Refused, "keep both, migrate, or reset";
    /// Not available in this version or mode.
    Unsupported = 18, "unsupported", Refused, "see `isx help` for what this version does";
    /// The past asked for is older than what is kept of it.
    TooOld = 19, "too_old", Refused, "ask for the oldest kept, which the text names; `isx start --history` keeps more";
    /// A command, a file of this user, or this machine is not as it has to be.
    Usage = 20, "usage", Refused, "the text names it; `isx help VERB` has examples, `isx doctor` looks at the machine";
    /// Modules that call each other within one transaction came back to one that was waiting for its answer.
    Cycle = 21, "cycle", Refused, "break the circle: `send` what need not happen in the same transaction";
    /// The object behind the reference is gone.
    Gone = 32, "gone", Broken, "walk to it again";
    /// The connection broke.
    Disconnected = 33, "disconnected", Broken, "dial again";
    /// The node does not lead the group.
    NotLeader = 34, "not_leader", Busy, "ask the leader named in the text";
    /// A bound on waiting work was reached.
    Busy = 48, "busy", Busy, "try again after the time given";
    /// A group is held after a call killed its process twice.
    Held = 49, "held", Busy, "see `isx status` for what holds it: `isx cluster skip` passes over a call, `isx publish` brings code";
    /// The outcome is not known.
    Unknown = 64, "unknown", Unknown, "ask again under the same session and sequence";
    /// The deadline passed.
    Deadline = 65, "deadline", Unknown, "ask again under the same session and sequence, with more time";
    /// The node can not go on.
    Fatal = 80, "fatal", Fatal, "read the node's log; start it again";
    /// Bytes on the node's disk are not what was written there. Nothing was changed, nothing is guessed.
    Damaged = 81, "damaged", Fatal, "keep the folder as it is; restore it from a backup, or repair the node from its peers";
}

/// An error that may cross a trust line: nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What happened.
    pub code: Code,
    /// Safe text: names the thing, lower case, no dot.
    pub text: String,
    /// When to try again, for class `busy`.
    pub retry_after_ms: Option<u32>,
}

impl Error {
    /// An error with a code and a safe text.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), retry_after_ms: None }
    }

    /// What the caller should do.
    pub fn class(&self) -> Class {
        self.code.class()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.word(), self.text)
    }
}

impl core::error::Error for Error {}
