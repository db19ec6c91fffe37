//! Outcomes: what requests get.

use crate::limits::{ANSWER_KEPT_BYTES_MAX, OUTCOME_BYTES_MAX};
use isx_anchors::Reply;
use isx_anchors::wire::{Reader, Wire, WireError, put_bytes};
use isx_row::limits::VALUE_BYTES_MAX;
use isx_row::{Code, ContentHash, Error, Incarnation, Revision};

/// What a request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call committed.
    Answer {
        /// The revision it committed.
        revision: Revision,
        /// The encoded answer.
        payload: Vec<u8>,
    },
    /// The call answered with the module's own typed error, and changed nothing.
    Application {
        /// The error, encoded.
        detail: Vec<u8>,
        /// What it says, for people.
        text: String,
    },
    /// The call was answered before, with more than is kept: only that it happened, and how it looked, is known.
    Large {
        /// The revision it committed; none when it was the module's own typed error.
        revision: Option<Revision>,
        /// The hash of what it answered.
        hash: ContentHash,
        /// Its length in bytes.
        bytes: u32,
    },
    /// The request was refused, and changed nothing.
    Refused(Error),
    /// The tree's reply.
    Tree(Reply),
    /// The mount is there, with this module.
    Mounted {
        /// The incarnation.
        incarnation: Incarnation,
        /// The revision its creation or upgrade committed, or had committed before.
        revision: Revision,
        /// Counts the modules the mount has had.
        version: u64,
    },
    /// Rows of the mount move to the tables of a new module. For [`Migrate`](crate::Request::Migrate).
    Migrating {
        /// How many have.
        moved: u64,
        /// How many there are.
        rows: u64,
    },
    /// The message arrived, now or before, and got this outcome, in its encoding. For [`Settle`](crate::Request::Settle).
    Delivered(Vec<u8>),
    /// It is done.
    Done,
    /// The call was not made: its session is not connected, and the module has to know. To be asked again after
    /// [`Connect`](crate::Request::Connect).
    Unconnected,
}

/// What a call was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallAnswer {
    /// The revision it committed; none when it answered the module's own typed error.
    pub revision: Option<Revision>,
    /// The encoded answer; empty with an error.
    pub payload: Vec<u8>,
    /// The module's own typed error, encoded.
    pub application_error: Option<Vec<u8>>,
}

impl Outcome {
    /// A refusal.
    pub(crate) fn refused(code: Code, text: impl Into<String>) -> Self {
        Self::Refused(Error::new(code, text))
    }

    /// The answer of a call.
    ///
    /// # Errors
    /// The refusal; `limit` for an answer that is no longer kept; `malformed` for what is no answer of a call.
    pub fn into_answer(self) -> Result<CallAnswer, Error> {
        match self {
            Self::Answer { revision, payload } => {
                Ok(CallAnswer { revision: Some(revision), payload, application_error: None })
            }
            Self::Application { detail, .. } => {
                Ok(CallAnswer { revision: None, payload: Vec::new(), application_error: Some(detail) })
            }
            Self::Large { revision, bytes, .. } => {
                let what = match revision {
                    Some(revision) => format!("the call committed at revision {revision}"),
                    None => "the call answered with the module's own error".to_owned(),
                };
                let text = format!("{what}; its answer of {bytes} bytes is over ANSWER_KEPT_BYTES_MAX and not kept");
                Err(Error::new(Code::Limit, text))
            }
            Self::Refused(error) => Err(error),
            Self::Unconnected => Err(Error::new(Code::Busy, "the session is not connected")),
            Self::Tree(_) | Self::Mounted { .. } | Self::Migrating { .. } | Self::Delivered(_) | Self::Done => {
                Err(Error::new(Code::Malformed, "not the answer of a call"))
            }
        }
    }

    /// The encoding, as [`Outcome::Delivered`] has it.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_wire()
    }

    /// What is kept of it for who asks again.
    pub(crate) fn kept(&self) -> Vec<u8> {
        let large = |revision: Option<Revision>, answer: &[u8]| {
            Self::Large { revision, hash: ContentHash::of(answer), bytes: answer.len() as u32 }.to_wire()
        };
        match self {
            Self::Answer { revision, payload } if payload.len() > ANSWER_KEPT_BYTES_MAX => {
                large(Some(*revision), payload)
            }
            Self::Application { detail, .. } if detail.len() > ANSWER_KEPT_BYTES_MAX => large(None, detail),
            other => other.to_wire(),
        }
    }
}

impl Wire for Outcome {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Answer { revision, payload } => {
                out.push(1);
                revision.put(out);
                put_bytes(payload, out);
            }
            Self::Application { detail, text } => {
                out.push(2);
                put_bytes(detail, out);
                put_bytes(text.as_bytes(), out);
            }
            Self::Large { revision, hash, bytes } => {
                out.push(3);
                revision.put(out);
                hash.put(out);
                bytes.put(out);
            }
            Self::Refused(error) => {
                out.push(4);
                error.put(out);
            }
            Self::Tree(reply) => {
                out.push(5);
                reply.put(out);
            }
            Self::Mounted { incarnation, revision, version } => {
                out.push(6);
                incarnation.put(out);
                revision.put(out);
                version.put(out);
            }
            Self::Done => out.push(7),
            Self::Unconnected => out.push(8),
            Self::Delivered(outcome) => {
                out.push(9);
                put_bytes(outcome, out);
            }
            Self::Migrating { moved, rows } => {
                out.push(10);
                moved.put(out);
                rows.put(out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match u8::take(reader)? {
            1 => Self::Answer {
                revision: Wire::take(reader)?,
                payload: reader.bytes(VALUE_BYTES_MAX, "VALUE_BYTES_MAX")?.to_vec(),
            },
            2 => Self::Application {
                detail: reader.bytes(VALUE_BYTES_MAX, "VALUE_BYTES_MAX")?.to_vec(),
                text: reader.text(isx_anchors::limits::ERROR_TEXT_BYTES_MAX, "ERROR_TEXT_BYTES_MAX")?.to_owned(),
            },
            3 => Self::Large { revision: Wire::take(reader)?, hash: Wire::take(reader)?, bytes: Wire::take(reader)? },
            4 => Self::Refused(Wire::take(reader)?),
            5 => Self::Tree(Wire::take(reader)?),
            6 => Self::Mounted {
                incarnation: Wire::take(reader)?,
                revision: Wire::take(reader)?,
                version: Wire::take(reader)?,
            },
            7 => Self::Done,
            8 => Self::Unconnected,
            9 => Self::Delivered(reader.bytes(OUTCOME_BYTES_MAX, "OUTCOME_BYTES_MAX")?.to_vec()),
            10 => Self::Migrating { moved: Wire::take(reader)?, rows: Wire::take(reader)? },
            _ => return Err(WireError::Canonical("no such outcome")),
        })
    }
}
