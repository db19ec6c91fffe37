//! Preconditions: what must hold of a mount for a call to be made there. All of a call's are looked at in its transaction's
//! place in the log: between them and the call nothing happens. One that does not hold is a `conflict`, and the call was
//! never made.

use crate::codec::{CodecError, RecordReader, RecordWriter, slots_bytes};
use crate::desc::{FieldDesc, TypeDesc, VariantDesc};
use crate::error::{Code, Error};
use crate::ids::{Incarnation, Revision, Signature};
use crate::limits::{CONDITIONS_BYTES_MAX, CONDITIONS_MAX};
use crate::typed::{Bytes, Typed, split_tag};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The mount is at this revision.
    At {
        /// The revision.
        revision: Revision,
        /// Of this incarnation; of whichever it is, where none is said.
        incarnation: Option<Incarnation>,
    },
    /// No such row is there.
    Absent(RowKey),
    /// Such a row is there.
    Present(RowKey),
    /// Such a row is there, and a column of it has this value.
    Holds {
        /// The row.
        row: RowKey,
        /// The column's name.
        column: String,
        /// The standalone encoding of the value.
        value: Bytes,
    },
}

/// A row of a table, by its primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowKey {
    /// The table's name.
    pub table: String,
    /// The table's signature as the caller knows it; [`Signature::ANY`] when it read the schema.
    pub signature: Signature,
    /// The memcomparable key.
    pub key: Bytes,
}

impl Condition {
    /// The row it is about.
    pub fn row(&self) -> Option<&RowKey> {
        match self {
            Self::At { .. } => None,
            Self::Absent(row) | Self::Present(row) | Self::Holds { row, .. } => Some(row),
        }
    }
}

/// The encoding of a call's conditions: a list, and no byte where there are none.
///
/// # Errors
/// `limit`, naming the bound.
pub fn encode(conditions: &[Condition]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    if !conditions.is_empty() {
        conditions.to_vec().encode(&mut bytes);
    }
    check(conditions.len(), bytes.len()).map(|()| bytes)
}

/// Reads a call's conditions.
///
/// # Errors
/// `limit`, naming the bound; `malformed` for what is no such list.
pub fn decode(bytes: &[u8]) -> Result<Vec<Condition>, Error> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    check(0, bytes.len())?;
    let malformed = |why: CodecError| Error::new(Code::Malformed, format!("preconditions: {why}"));
    let conditions = Vec::<Condition>::decode(bytes).map_err(malformed)?;
    if conditions.is_empty() {
        return Err(malformed(CodecError::NotCanonical("no condition is no byte")));
    }
    check(conditions.len(), bytes.len()).map(|()| conditions)
}

fn check(count: usize, bytes: usize) -> Result<(), Error> {
    let over = |text: String| Err(Error::new(Code::Limit, text));
    match (count, bytes) {
        (.., bytes) if bytes > CONDITIONS_BYTES_MAX => {
            over(format!("CONDITIONS_BYTES_MAX: preconditions of {bytes} bytes, at most {CONDITIONS_BYTES_MAX}"))
        }
        (count, _) if count > CONDITIONS_MAX => {
            over(format!("CONDITIONS_MAX: {count} preconditions, at most {CONDITIONS_MAX}"))
        }
        _ => Ok(()),
    }
}

/// The fields of a row's key, which come first in every variant that has one.
const TABLE: FieldDesc = FieldDesc { name: "table", ty: String::DESC };
const SIGNATURE: FieldDesc = FieldDesc { name: "signature", ty: Signature::DESC };
const KEY: FieldDesc = FieldDesc { name: "key", ty: Bytes::DESC };

const AT: u16 = 1;
const ABSENT: u16 = 2;
const PRESENT: u16 = 3;
const HOLDS: u16 = 4;

impl Typed for Condition {
    const DESC: &'static TypeDesc = &TypeDesc::Enum(&[
        VariantDesc {
            name: "at",
            tag: AT,
            fields: &[
                FieldDesc { name: "revision", ty: Revision::DESC },
                FieldDesc { name: "incarnation", ty: Option::<Incarnation>::DESC },
            ],
        },
        VariantDesc { name: "absent", tag: ABSENT, fields: &[TABLE, SIGNATURE, KEY] },
        VariantDesc { name: "present", tag: PRESENT, fields: &[TABLE, SIGNATURE, KEY] },
        VariantDesc {
            name: "holds",
            tag: HOLDS,
            fields: &[
                TABLE,
                SIGNATURE,
                KEY,
                FieldDesc { name: "column", ty: String::DESC },
                FieldDesc { name: "value", ty: Bytes::DESC },
            ],
        },
    ]);

    fn encode(&self, out: &mut Vec<u8>) {
        let tag = match self {
            Self::At { .. } => AT,
            Self::Absent(_) => ABSENT,
            Self::Present(_) => PRESENT,
            Self::Holds { .. } => HOLDS,
        };
        out.extend_from_slice(&tag.to_le_bytes());
        let mut record = RecordWriter::new(out);
        match self {
            Self::At { revision, incarnation } => {
                record.slot(revision);
                record.slot(incarnation);
                record.tail(revision);
                record.tail(incarnation);
            }
            Self::Absent(RowKey { table, signature, key }) | Self::Present(RowKey { table, signature, key }) => {
                record.slot(table);
                record.slot(signature);
                record.slot(key);
                record.tail(table);
                record.tail(signature);
                record.tail(key);
            }
            Self::Holds { row: RowKey { table, signature, key }, column, value } => {
                record.slot(table);
                record.slot(signature);
                record.slot(key);
                record.slot(column);
                record.slot(value);
                record.tail(table);
                record.tail(signature);
                record.tail(key);
                record.tail(column);
                record.tail(value);
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        const ROW: [Option<usize>; 3] = [String::FIXED, Signature::FIXED, Bytes::FIXED];
        let (tag, bytes) = split_tag(bytes)?;
        let row = |record: &mut RecordReader<'_>| -> Result<RowKey, CodecError> {
            Ok(RowKey { table: record.member()?, signature: record.member()?, key: record.member()? })
        };
        let (this, record) = match tag {
            AT => {
                let slots = const { slots_bytes(&[Revision::FIXED, Option::<Incarnation>::FIXED]) };
                let mut record = RecordReader::new(bytes, slots)?;
                (Self::At { revision: record.member()?, incarnation: record.member()? }, record)
            }
            ABSENT | PRESENT => {
                let mut record = RecordReader::new(bytes, const { slots_bytes(&ROW) })?;
                let row = row(&mut record)?;
                (if tag == ABSENT { Self::Absent(row) } else { Self::Present(row) }, record)
            }
            HOLDS => {
                let slots = const { slots_bytes(&[ROW[0], ROW[1], ROW[2], String::FIXED, Bytes::FIXED]) };
                let mut record = RecordReader::new(bytes, slots)?;
                let row = row(&mut record)?;
                (Self::Holds { row, column: record.member()?, value: record.member()? }, record)
            }
            _ => return Err(CodecError::NotCanonical("the enum has no such tag")),
        };
        record.end()?;
        Ok(this)
    }
}
