//! What a test did with a module, call by call, for another execution to do again.
//!
//! Tests of modules write one for each mount they make, natively; whoever runs the module's WebAssembly does the same with the
//! same contexts and compares. In bytes it is a head and steps, each a `u32` length and a canonical tuple.

use crate::{Cause, Database, Linked};
use isx_row::schema::{Link, Schema};
use isx_row::{Bytes, Code, ContentHash, Error, MountId, Principal, SessionId, Time, Typed};
use std::sync::Arc;

/// The format, and its version.
const MAGIC: [u8; 8] = *b"isxtest\x01";

/// What a test did with one mount.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// Whose it is.
    pub head: Head,
    /// What was done, in order.
    pub steps: Vec<Step>,
}

/// The beginning of a transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The test's name.
    pub test: String,
    /// The folder of the package under test.
    pub package: String,
    /// The hash of the module's canonical schema.
    pub schema: ContentHash,
}

/// One step of a test.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A reducer ran.
    Called {
        /// Why: a call, or a hook.
        cause: Cause,
        /// What was called.
        told: Told,
        /// The entry's randomness, and the call's place in it.
        random: ([u8; 32], u64),
        /// The state hash after it.
        state: [u8; 32],
    },
    /// A query was asked.
    Asked(Told),
    /// A message that a call had sent was taken out of the outbox.
    Taken {
        /// The mount it was sent to.
        to: MountId,
        /// Its number.
        number: u64,
    },
    /// What came after is not written: it was too long.
    Cut,
}

/// What a function was told, and what it said.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The function.
    pub name: String,
    /// The encoded arguments.
    pub arguments: Vec<u8>,
    /// Log time.
    pub time: Time,
    /// Who called.
    pub caller: Principal,
    /// The session.
    pub session: Option<SessionId>,
    /// The encoded answer, or the error.
    pub outcome: Result<Vec<u8>, Error>,
    /// The module's own error, encoded; empty for none.
    pub detail: Vec<u8>,
}

/// A step in bytes: what it is; function, arguments, time, caller, session; seed or mount, place or number; answer; error and
/// the module's own; state.
type Row =
    (u8, String, Bytes, Time, Principal, Option<SessionId>, Bytes, u64, Option<Bytes>, (u16, String, Bytes), Bytes);

impl Head {
    /// In bytes, as a transcript begins.
    pub fn encode(&self) -> Vec<u8> {
        let row = (self.test.clone(), self.package.clone(), self.schema);
        [&MAGIC[..], &framed(&row)].concat()
    }
}

impl Step {
    /// In bytes, as it follows in a transcript.
    pub fn encode(&self) -> Vec<u8> {
        framed(&match self {
            Self::Called { cause, told, random: (seed, place), state } => {
                let kind = match cause {
                    Cause::Call => 0,
                    Cause::Hook | Cause::Due => 1,
                };
                told.row(kind, Bytes(seed.to_vec()), *place, Bytes(state.to_vec()))
            }
            Self::Asked(told) => told.row(2, Bytes::default(), 0, Bytes::default()),
            Self::Taken { to, number } => Told::nothing().row(3, Bytes(to.0.to_vec()), *number, Bytes::default()),
            Self::Cut => Told::nothing().row(4, Bytes::default(), 0, Bytes::default()),
        })
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, name, arguments, time, caller, session, which, number, answer, (code, text, detail), state): Row =
            Row::decode(bytes).ok()?;
        let outcome = match answer {
            Some(answer) => Ok(answer.0),
            None => Err(Error::new(Code::from_number(code)?, text)),
        };
        let told = Told { name, arguments: arguments.0, time, caller, session, outcome, detail: detail.0 };
        Some(match kind {
            0 | 1 => {
                let cause = if kind == 0 { Cause::Call } else { Cause::Hook };
                let (seed, state) = (which.0.try_into().ok()?, state.0.try_into().ok()?);
                Self::Called { cause, told, random: (seed, number), state }
            }
            2 => Self::Asked(told),
            3 => Self::Taken { to: MountId(which.0.try_into().ok()?), number },
            4 => Self::Cut,
            _ => return None,
        })
    }
}

impl Told {
    fn nothing() -> Self {
        let (name, arguments, detail) = (String::new(), Vec::new(), Vec::new());
        Self {
            name,
            arguments,
            time: Time(0),
            caller: Principal::anonymous(),
            session: None,
            outcome: Ok(Vec::new()),
            detail,
        }
    }

    fn row(&self, kind: u8, which: Bytes, number: u64, state: Bytes) -> Row {
        let (answer, (code, text)) = match &self.outcome {
            Ok(answer) => (Some(Bytes(answer.clone())), (0, String::new())),
            Err(error) => (None, (error.code as u16, error.text.clone())),
        };
        let (arguments, error) = (Bytes(self.arguments.clone()), (code, text, Bytes(self.detail.clone())));
        (kind, self.name.clone(), arguments, self.time, self.caller, self.session, which, number, answer, error, state)
    }
}

impl Transcript {
    /// Reads a transcript; what its writer had not ended is left out.
    ///
    /// # Errors
    /// `malformed` for bytes that are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::new(Code::Malformed, "this is no transcript of a test that this version writes");
        let mut rest = bytes.strip_prefix(&MAGIC).ok_or_else(malformed)?;
        let (test, package, schema) =
            next(&mut rest).and_then(|head| Typed::decode(head).ok()).ok_or_else(malformed)?;
        let mut steps = Vec::new();
        while let Some(step) = next(&mut rest) {
            steps.push(Step::decode(step).ok_or_else(malformed)?);
        }
        Ok(Self { head: Head { test, package, schema }, steps })
    }
}

fn framed(row: &impl Typed) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    row.encode(&mut bytes);
    // One that is longer than can be said is read as one that was not ended.
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// The next frame, if it is whole.
fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (frame, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(frame)
}

/// The tables of a mount that a test makes: empty, every link of the module made, to a mount that nobody is.
///
/// # Errors
/// As [`Database::new`].
pub fn stage(schema: Arc<Schema>) -> Result<Database, Error> {
    let mut database = Database::new(Arc::clone(&schema))?;
    let link = |(link, place): (&Link, u8)| {
        let mut mount = MountId([0; 16]);
        mount.0[0] = place;
        Linked { path: link.path.clone(), mount, trusted: true }
    };
    let links: Vec<Linked> = schema.links.iter().zip(1..).map(link).collect();
    if !links.is_empty() {
        database = database.with_post()?;
        let mut transaction = database.begin();
        transaction.set_links(&links)?;
        transaction.commit();
    }
    Ok(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript() -> (Head, Vec<Step>) {
        let head = Head { test: "tests::it".into(), package: "/p".into(), schema: ContentHash::of(b"s") };
        let told = Told {
            name: "greet".into(),
            arguments: vec![1; 300_000],
            time: Time(7),
            caller: Principal([3; 32]),
            session: Some(SessionId([4; 16])),
            outcome: Ok(vec![5; 300_000]),
            detail: Vec::new(),
        };
        let refused = Told { outcome: Err(Error::new(Code::Application, "no")), detail: vec![9], ..told.clone() };
        let steps = vec![
            Step::Called { cause: Cause::Hook, told: told.clone(), random: ([1; 32], 2), state: [6; 32] },
            Step::Called { cause: Cause::Call, told: refused, random: ([1; 32], 3), state: [6; 32] },
            Step::Asked(told),
            Step::Taken { to: MountId([8; 16]), number: 1 },
            Step::Cut,
        ];
        (head, steps)
    }

    #[test]
    fn a_transcript_is_read_as_it_was_written() {
        let (head, steps) = transcript();
        let mut bytes = head.encode();
        steps.iter().for_each(|step| bytes.extend(step.encode()));
        let whole = Transcript { head, steps };
        assert_eq!(Transcript::decode(&bytes).unwrap(), whole);
        // A process that was killed has not ended its last step.
        let cut = Transcript::decode(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(cut.steps, whole.steps[..4]);
        for wrong in [&b""[..], b"isxtest\x02", &bytes[..MAGIC.len() + 3]] {
            assert_eq!(Transcript::decode(wrong).unwrap_err().code, Code::Malformed);
        }
        let at = whole.head.encode().len() + 4;
        let mut odd = bytes;
        odd[at] = 9;
        assert_eq!(Transcript::decode(&odd).unwrap_err().code, Code::Malformed, "a step of another kind");
    }
}
