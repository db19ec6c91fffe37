//! What nodes of a group say to each other, and its bytes.

use crate::format::{
    FormatError, Reader, put_block, put_count, put_entry, put_log_id_option, put_vote, read_entry, read_log_id_option,
    read_vote,
};
use crate::limits;
use crate::types::{LogId, Types, Vote};
use isx_row::ContentHash;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};

/// A question of one node to another; each is answered once, in order.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// The leader's entries; none is a heartbeat.
    Append(AppendEntriesRequest<Types>),
    /// Asks for a vote.
    Vote(VoteRequest<Types>),
    /// Asks whether a vote would be given.
    PreVote(VoteRequest<Types>),
    /// Asks a follower to take over.
    Transfer { from: Vote, to: u64, last: Option<LogId> },
    /// Announces a snapshot; answered by the chunks that are missing.
    SnapshotBegin { vote: Vote, manifest: Vec<u8> },
    /// One chunk.
    SnapshotChunk { hash: ContentHash, bytes: Vec<u8> },
    /// All chunks were sent: install it.
    SnapshotEnd,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Response {
    Append(AppendEntriesResponse<Types>),
    Vote(VoteResponse<Types>),
    /// Whether the follower takes over.
    Transfer(bool),
    /// Positions of the missing chunks in the manifest.
    Missing(Vec<u32>),
    /// The chunk is kept.
    Kept,
    /// The snapshot is installed, or a higher vote is known.
    Installed(Vote),
    /// The peer can not answer; for its log, not for decisions.
    Failed,
}

const APPEND: u8 = 1;
const VOTE: u8 = 2;
const PRE_VOTE: u8 = 3;
const TRANSFER: u8 = 4;
const SNAPSHOT_BEGIN: u8 = 5;
const SNAPSHOT_CHUNK: u8 = 6;
const SNAPSHOT_END: u8 = 7;

const R_APPEND: u8 = 0x81;
const R_VOTE: u8 = 0x82;
const R_TRANSFER: u8 = 0x84;
const R_MISSING: u8 = 0x85;
const R_KEPT: u8 = 0x86;
const R_INSTALLED: u8 = 0x87;
const R_FAILED: u8 = 0xff;

const SUCCESS: u8 = 0;
const PARTIAL: u8 = 1;
const CONFLICT: u8 = 2;
const HIGHER_VOTE: u8 = 3;

fn put_vote_request(into: &mut Vec<u8>, request: &VoteRequest<Types>) {
    put_vote(into, &request.vote);
    put_log_id_option(into, request.last_log_id.as_ref());
    into.push(request.leadership_transfer.into());
}

fn read_vote_request(reader: &mut Reader<'_>) -> Result<VoteRequest<Types>, FormatError> {
    let mut request = VoteRequest::new(read_vote(reader)?, read_log_id_option(reader)?);
    request.leadership_transfer = reader.flag("leadership transfer")?;
    Ok(request)
}

impl Request {
    /// The kind of frame and its contents.
    pub(crate) fn encode(&self) -> (u8, Vec<u8>) {
        let mut bytes = Vec::new();
        let kind = match self {
            Self::Append(append) => {
                put_vote(&mut bytes, &append.vote);
                put_log_id_option(&mut bytes, append.prev_log_id.as_ref());
                put_log_id_option(&mut bytes, append.leader_commit.as_ref());
                put_count(&mut bytes, append.entries.len());
                append.entries.iter().for_each(|entry| put_entry(&mut bytes, entry));
                APPEND
            }
            Self::Vote(request) => {
                put_vote_request(&mut bytes, request);
                VOTE
            }
            Self::PreVote(request) => {
                put_vote_request(&mut bytes, request);
                PRE_VOTE
            }
            Self::Transfer { from, to, last } => {
                put_vote(&mut bytes, from);
                bytes.extend_from_slice(&to.to_le_bytes());
                put_log_id_option(&mut bytes, last.as_ref());
                TRANSFER
            }
            Self::SnapshotBegin { vote, manifest } => {
                put_vote(&mut bytes, vote);
                put_block(&mut bytes, manifest);
                SNAPSHOT_BEGIN
            }
            Self::SnapshotChunk { hash, bytes: chunk } => {
                bytes.push(hash.algorithm);
                bytes.extend_from_slice(&hash.digest);
                put_block(&mut bytes, chunk);
                SNAPSHOT_CHUNK
            }
            Self::SnapshotEnd => SNAPSHOT_END,
        };
        (kind, bytes)
    }

    /// # Errors
    /// Anything but the one encoding of a request.
    pub(crate) fn decode(kind: u8, bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        let request = match kind {
            APPEND => {
                let vote = read_vote(&mut reader)?;
                let prev_log_id = read_log_id_option(&mut reader)?;
                let leader_commit = read_log_id_option(&mut reader)?;
                let count = reader.count("entries", limits::FRAME_BYTES_MAX)?;
                let mut entries = Vec::new();
                let mut next = prev_log_id.map_or(0, |id| id.index.saturating_add(1));
                for _ in 0..count {
                    let entry = read_entry(&mut reader)?;
                    if entry.log_id.index != next {
                        return Err(FormatError::Value { what: "index of an entry", value: entry.log_id.index });
                    }
                    next = next.saturating_add(1);
                    entries.push(entry);
                }
                Self::Append(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
            }
            VOTE => Self::Vote(read_vote_request(&mut reader)?),
            PRE_VOTE => Self::PreVote(read_vote_request(&mut reader)?),
            TRANSFER => Self::Transfer {
                from: read_vote(&mut reader)?,
                to: reader.u64()?,
                last: read_log_id_option(&mut reader)?,
            },
            SNAPSHOT_BEGIN => Self::SnapshotBegin {
                vote: read_vote(&mut reader)?,
                manifest: reader.block("bytes of a manifest", limits::MANIFEST_BYTES_MAX)?.to_vec(),
            },
            SNAPSHOT_CHUNK => Self::SnapshotChunk {
                hash: ContentHash { algorithm: reader.u8()?, digest: reader.hash()? },
                bytes: reader.block("bytes of a chunk", limits::CHUNK_BYTES_MAX)?.to_vec(),
            },
            SNAPSHOT_END => Self::SnapshotEnd,
            kind => return Err(FormatError::Value { what: "kind of request", value: kind.into() }),
        };
        reader.end()?;
        Ok(request)
    }
}

impl Response {
    /// The kind of frame and its contents.
    pub(crate) fn encode(&self) -> (u8, Vec<u8>) {
        let mut bytes = Vec::new();
        let kind = match self {
            Self::Append(AppendEntriesResponse::Success) => {
                bytes.push(SUCCESS);
                R_APPEND
            }
            Self::Append(AppendEntriesResponse::PartialSuccess(matching)) => {
                bytes.push(PARTIAL);
                put_log_id_option(&mut bytes, matching.as_ref());
                R_APPEND
            }
            Self::Append(AppendEntriesResponse::Conflict) => {
                bytes.push(CONFLICT);
                R_APPEND
            }
            Self::Append(AppendEntriesResponse::HigherVote(vote)) => {
                bytes.push(HIGHER_VOTE);
                put_vote(&mut bytes, vote);
                R_APPEND
            }
            Self::Vote(response) => {
                put_vote(&mut bytes, &response.vote);
                bytes.push(response.vote_granted.into());
                put_log_id_option(&mut bytes, response.last_log_id.as_ref());
                R_VOTE
            }
            Self::Transfer(taken) => {
                bytes.push((*taken).into());
                R_TRANSFER
            }
            Self::Missing(positions) => {
                put_count(&mut bytes, positions.len());
                positions.iter().for_each(|position| bytes.extend_from_slice(&position.to_le_bytes()));
                R_MISSING
            }
            Self::Kept => R_KEPT,
            Self::Installed(vote) => {
                put_vote(&mut bytes, vote);
                R_INSTALLED
            }
            Self::Failed => R_FAILED,
        };
        (kind, bytes)
    }

    /// # Errors
    /// Anything but the one encoding of a response.
    pub(crate) fn decode(kind: u8, bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        let response = match kind {
            R_APPEND => Self::Append(match reader.u8()? {
                SUCCESS => AppendEntriesResponse::Success,
                PARTIAL => AppendEntriesResponse::PartialSuccess(read_log_id_option(&mut reader)?),
                CONFLICT => AppendEntriesResponse::Conflict,
                HIGHER_VOTE => AppendEntriesResponse::HigherVote(read_vote(&mut reader)?),
                value => return Err(FormatError::Value { what: "answer to an append", value: value.into() }),
            }),
            R_VOTE => {
                let (vote, granted) = (read_vote(&mut reader)?, reader.flag("vote granted")?);
                Self::Vote(VoteResponse::new(vote, read_log_id_option(&mut reader)?, granted))
            }
            R_TRANSFER => Self::Transfer(reader.flag("transfer")?),
            R_MISSING => {
                let count = reader.count("missing chunks", limits::MANIFEST_BYTES_MAX / 32)?;
                Self::Missing((0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?)
            }
            R_KEPT => Self::Kept,
            R_INSTALLED => Self::Installed(read_vote(&mut reader)?),
            R_FAILED => Self::Failed,
            kind => return Err(FormatError::Value { what: "kind of response", value: kind.into() }),
        };
        reader.end()?;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Command, LogEntry, Payload, log_id};

    fn requests() -> Vec<Request> {
        let vote = Vote::new_committed(5, 2);
        let command = Payload::Normal(Command::new(b"entry"));
        let entries = vec![
            LogEntry { log_id: log_id(4, 8), payload: Payload::Blank },
            LogEntry { log_id: log_id(5, 9), payload: command },
        ];
        let prev_log_id = Some(log_id(4, 7));
        vec![
            Request::Append(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit: None }),
            Request::Vote(VoteRequest::new(Vote::new(6, 1), Some(log_id(5, 9)))),
            Request::PreVote(VoteRequest::new(Vote::new(6, 1), None)),
            Request::Transfer { from: vote, to: 3, last: None },
            Request::SnapshotBegin { vote, manifest: vec![1, 2] },
            Request::SnapshotChunk { hash: ContentHash::of(b"x"), bytes: b"x".to_vec() },
            Request::SnapshotEnd,
        ]
    }

    #[test]
    fn requests_have_one_encoding() {
        for request in requests() {
            let (kind, bytes) = request.encode();
            let again = Request::decode(kind, &bytes).expect("its own bytes decode");
            assert_eq!(format!("{again:?}"), format!("{request:?}"));
            assert_eq!(again.encode(), (kind, bytes.clone()));
            for cut in 0..bytes.len() {
                assert!(Request::decode(kind, &bytes[..cut]).is_err(), "{request:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn responses_have_one_encoding() {
        let vote = Vote::new(1, 2);
        for response in [
            Response::Append(AppendEntriesResponse::Success),
            Response::Append(AppendEntriesResponse::PartialSuccess(Some(log_id(1, 2)))),
            Response::Append(AppendEntriesResponse::Conflict),
            Response::Append(AppendEntriesResponse::HigherVote(vote)),
            Response::Vote(VoteResponse::new(vote, None, true)),
            Response::Transfer(false),
            Response::Missing(vec![0, 7]),
            Response::Kept,
            Response::Installed(vote),
            Response::Failed,
        ] {
            let (kind, bytes) = response.encode();
            assert_eq!(Response::decode(kind, &bytes).expect("its own bytes decode"), response);
            assert!(Response::decode(kind, &[&bytes[..], &[0]].concat()).is_err(), "{response:?} with a byte more");
        }
    }

    #[test]
    fn entries_out_of_place_are_refused() {
        let Some(Request::Append(mut append)) = requests().into_iter().next() else { panic!("the first is an append") };
        append.entries.swap(0, 1);
        let (kind, bytes) = Request::Append(append).encode();
        let refused = Request::decode(kind, &bytes).expect_err("out of place");
        assert_eq!(refused, FormatError::Value { what: "index of an entry", value: 9 });
    }
}
