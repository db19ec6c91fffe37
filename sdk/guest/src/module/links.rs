//! Calls that are sent to other mounts and what becomes of them, and calls of other mounts within a transaction.

use crate::module::failure::error_of;
use crate::module::port::links as host;
use isx_row::codec::{CodecError, RecordReader, RecordWriter, slots_bytes};
use isx_row::desc::{FieldDesc, TypeDesc, VariantDesc};
use isx_row::typed::{decode_answer, split_tag};
use isx_row::{Code, Error, Typed};

/// What became of a call that was sent: the argument of a hook `on = "/self/hello:greet.reply"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<T> {
    /// It was answered.
    Answered(T),
    /// It was refused, and changed nothing there. The other's own error comes as its text, with [`Code::Application`].
    Refused(Error),
}

impl<T> Reply<T> {
    /// The answer, or why there is none.
    ///
    /// # Errors
    /// The refusal.
    pub fn into_result(self) -> Result<T, Error> {
        match self {
            Self::Answered(value) => Ok(value),
            Self::Refused(error) => Err(error),
        }
    }
}

impl<T: Typed> Reply<T> {
    /// Nothing is no field.
    const VALUE: &'static [FieldDesc] = match T::DESC {
        TypeDesc::Tuple([]) => &[],
        _ => &[FieldDesc { name: "value", ty: T::DESC }],
    };
}

impl<T: Typed> Typed for Reply<T> {
    const DESC: &'static TypeDesc = &TypeDesc::Enum(&[
        VariantDesc { name: "answered", tag: 1, fields: Self::VALUE },
        VariantDesc {
            name: "refused",
            tag: 2,
            fields: &[
                FieldDesc { name: "code", ty: <u16 as Typed>::DESC },
                FieldDesc { name: "text", ty: <String as Typed>::DESC },
            ],
        },
    ]);

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Answered(value) => {
                out.extend_from_slice(&1_u16.to_le_bytes());
                if !Self::VALUE.is_empty() {
                    let mut record = RecordWriter::new(out);
                    record.slot(value);
                    record.tail(value);
                }
            }
            Self::Refused(Error { code, text, .. }) => {
                let code = *code as u16;
                out.extend_from_slice(&2_u16.to_le_bytes());
                let mut record = RecordWriter::new(out);
                record.slot(&code);
                record.slot(text);
                record.tail(&code);
                record.tail(text);
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (tag, bytes) = split_tag(bytes)?;
        match tag {
            1 if Self::VALUE.is_empty() => {
                RecordReader::new(bytes, 0)?.end()?;
                T::decode(&[]).map(Self::Answered)
            }
            1 => {
                let mut record = RecordReader::new(bytes, const { slots_bytes(&[T::FIXED]) })?;
                let value = record.member()?;
                record.end()?;
                Ok(Self::Answered(value))
            }
            2 => {
                let widths = const { slots_bytes(&[<u16 as Typed>::FIXED, <String as Typed>::FIXED]) };
                let mut record = RecordReader::new(bytes, widths)?;
                let (code, text): (u16, String) = (record.member()?, record.member()?);
                record.end()?;
                // What a newer host knows and this module does not.
                let code = Code::from_number(code).unwrap_or(Code::Unknown);
                Ok(Self::Refused(Error::new(code, text)))
            }
            _ => Err(CodecError::NotCanonical("the enum has no such tag")),
        }
    }
}

/// Sends a call: what the methods of `#[isx::send]` do.
///
/// # Errors
/// As they say.
pub fn send(path: &str, reducer: &str, arguments: &[u8]) -> Result<u64, Error> {
    host::send(path, reducer, arguments).map_err(error_of)
}

/// Makes a call within this transaction: what the methods of `#[isx::together]` do.
///
/// # Errors
/// As they say.
pub fn joined<T: Typed>(path: &str, function: &str, arguments: &[u8]) -> Result<T, Error> {
    let answer = host::call(path, function, arguments).map_err(error_of)?;
    decode_answer(&answer).map_err(|error| Error::new(Code::Malformed, format!("{function} of {path}: {error}")))
}
