//! The way in: finds the function by name, decodes its arguments, encodes what it returns.
//!
//! `#[isx::reducer]` and `#[isx::query]` register their functions before the first call (`inventory`, by the module's
//! start-up code), so that no list is kept by hand.

use crate::module::bindings::Failure as Refused;
use crate::module::bindings::isx::module::types::Fault;
use crate::module::failure::{Failure, fault_of};
use isx_row::codec::{CodecError, RecordReader, split_version};
use isx_row::typed::encode_answer;
use isx_row::{Code, Typed};

/// A reducer or query as its macro registers it.
#[derive(Debug)]
pub struct Function {
    /// As the schema names it.
    pub name: &'static str,
    /// Decodes the arguments, runs it, encodes the answer.
    pub run: fn(&[u8]) -> Outcome,
}

inventory::collect!(Function);

/// What a call gives to the host.
pub type Outcome = Result<Vec<u8>, Refused>;

/// What a function's `Result` is made of.
pub trait Returned {
    /// The answer.
    type Answer: Typed;
    /// The error.
    type Failure: Failure;
    /// As the host wants it.
    fn into_outcome(self) -> Outcome;
}

impl<T: Typed, E: Failure> Returned for Result<T, E> {
    type Answer = T;
    type Failure = E;

    fn into_outcome(self) -> Outcome {
        match self {
            Ok(value) => encode_answer(value).map_err(fault_of),
            Err(error) => Err(error.__fail()),
        }
    }
}

/// Runs the function called `name`.
pub fn call(name: &str, arguments: &[u8]) -> Outcome {
    #[cfg(target_family = "wasm")]
    {
        static LISTENING: std::sync::Once = std::sync::Once::new();
        LISTENING.call_once(crate::module::log::listen);
    }
    match inventory::iter::<Function>().find(|function| function.name == name) {
        Some(function) => (function.run)(arguments),
        None => Err(Refused::Absent),
    }
}

/// A reader of a call's arguments.
///
/// # Errors
/// `bad_arguments`, here and below. The host has checked the arguments against the schema: this is the second lock.
pub fn arguments(bytes: &[u8], slots_bytes: usize) -> Result<RecordReader<'_>, Refused> {
    match split_version(bytes) {
        Ok((0, record)) => RecordReader::new(record, slots_bytes).map_err(bad_arguments),
        Ok(_) => Err(bad_arguments(CodecError::NotCanonical("arguments have version 0"))),
        Err(error) => Err(bad_arguments(error)),
    }
}

/// The next argument.
///
/// # Errors
/// As [`arguments`].
pub fn argument<T: Typed>(record: &mut RecordReader<'_>) -> Result<T, Refused> {
    record.member().map_err(bad_arguments)
}

/// Ends the arguments.
///
/// # Errors
/// As [`arguments`].
pub fn end(record: RecordReader<'_>) -> Result<(), Refused> {
    record.end().map_err(bad_arguments)
}

fn bad_arguments(error: CodecError) -> Refused {
    Refused::Fault(Fault { code: Code::BadArguments as u16, text: error.to_string() })
}
