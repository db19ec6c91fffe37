//! The bytes of consensus: votes, log ids, memberships and entries, in files and on the wire.
//!
//! Little-endian, fixed width, one encoding per value. What openraft derives for serde is no format: it may change with
//! any release. A vote, an entry and a snapshot's description begin with [`VERSION`]; the parts inside do not.

use crate::limits;
use crate::types::{
    Command, LogEntry, LogId, Member, Membership, Payload, SnapshotMeta, StoredMembership, Vote, log_id,
};
use isx_port::PeerId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The version that votes, entries and snapshot descriptions begin with; others are refused.
pub(crate) const VERSION: u8 = 1;

const BLANK: u8 = 0;
const COMMAND: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// What an encoded command begins with.
pub(crate) const COMMAND_PREFIX: [u8; 2] = [VERSION, COMMAND];

/// Why bytes are not what they should be. Their source is damaged or speaks another version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("the bytes end too early")]
    Short,
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    #[error("version {0} is not known")]
    Version(u8),
    #[error("{what} can not be {value}")]
    Value { what: &'static str, value: u64 },
    #[error("{what} exceeds {max}")]
    Limit { what: &'static str, max: usize },
}

/// Reads values from bytes that nobody has checked.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(FormatError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FormatError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn hash(&mut self) -> Result<[u8; 32], FormatError> {
        self.array()
    }

    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, FormatError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(FormatError::Value { what, value: value.into() }),
        }
    }

    /// A count that must not exceed `max`, for lists whose items take room: nothing is allocated by it alone.
    pub(crate) fn count(&mut self, what: &'static str, max: usize) -> Result<usize, FormatError> {
        let count = self.u32()? as usize;
        if count > max { Err(FormatError::Limit { what, max }) } else { Ok(count) }
    }

    /// Bytes preceded by their length.
    pub(crate) fn block(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], FormatError> {
        let length = self.count(what, max)?;
        self.bytes(length)
    }

    pub(crate) fn version(&mut self) -> Result<(), FormatError> {
        match self.u8()? {
            VERSION => Ok(()),
            other => Err(FormatError::Version(other)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn end(self) -> Result<(), FormatError> {
        if self.0.is_empty() { Ok(()) } else { Err(FormatError::Trailing(self.0.len())) }
    }
}

pub(crate) fn put_count(into: &mut Vec<u8>, count: usize) {
    // Everything counted is bounded far below u32::MAX by `limits`.
    into.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

pub(crate) fn put_block(into: &mut Vec<u8>, bytes: &[u8]) {
    put_count(into, bytes.len());
    into.extend_from_slice(bytes);
}

pub(crate) fn put_vote(into: &mut Vec<u8>, vote: &Vote) {
    into.extend_from_slice(&vote.leader_id.term.to_le_bytes());
    into.extend_from_slice(&vote.leader_id.voted_for.to_le_bytes());
    into.push(vote.committed.into());
}

pub(crate) fn read_vote(reader: &mut Reader<'_>) -> Result<Vote, FormatError> {
    let (term, voted_for) = (reader.u64()?, reader.u64()?);
    Ok(if reader.flag("committed")? { Vote::new_committed(term, voted_for) } else { Vote::new(term, voted_for) })
}

pub(crate) fn put_log_id(into: &mut Vec<u8>, id: &LogId) {
    into.extend_from_slice(&id.leader_id.term.to_le_bytes());
    into.extend_from_slice(&id.index.to_le_bytes());
}

pub(crate) fn read_log_id(reader: &mut Reader<'_>) -> Result<LogId, FormatError> {
    Ok(log_id(reader.u64()?, reader.u64()?))
}

pub(crate) fn put_log_id_option(into: &mut Vec<u8>, id: Option<&LogId>) {
    into.push(id.is_some().into());
    if let Some(id) = id {
        put_log_id(into, id);
    }
}

pub(crate) fn read_log_id_option(reader: &mut Reader<'_>) -> Result<Option<LogId>, FormatError> {
    if reader.flag("presence of a log id")? { read_log_id(reader).map(Some) } else { Ok(None) }
}

fn put_membership(into: &mut Vec<u8>, membership: &Membership) {
    let configs = membership.get_joint_config();
    put_count(into, configs.len());
    for config in configs {
        put_count(into, config.len());
        config.iter().for_each(|node| into.extend_from_slice(&node.to_le_bytes()));
    }
    put_count(into, membership.nodes().count());
    for (node, member) in membership.nodes() {
        into.extend_from_slice(&node.to_le_bytes());
        into.extend_from_slice(&member.peer.0);
    }
}

fn read_membership(reader: &mut Reader<'_>) -> Result<Membership, FormatError> {
    let mut configs = Vec::new();
    for _ in 0..reader.count("configurations", 2)? {
        let mut config = BTreeSet::new();
        for _ in 0..reader.count("voters", limits::MEMBERS_MAX)? {
            ascending(config.last(), reader.u64()?, "voter").map(|node| config.insert(node))?;
        }
        configs.push(config);
    }
    let mut nodes = BTreeMap::new();
    for _ in 0..reader.count("members", limits::MEMBERS_MAX)? {
        let node = ascending(nodes.last_key_value().map(|(node, _)| node), reader.u64()?, "member")?;
        nodes.insert(node, Member { peer: PeerId(reader.hash()?) });
    }
    let count = nodes.len() as u64;
    Membership::new(configs, nodes)
        .map_err(|_| FormatError::Value { what: "membership of so many nodes", value: count })
}

/// One encoding per set: each item above the one before.
fn ascending(last: Option<&u64>, next: u64, what: &'static str) -> Result<u64, FormatError> {
    if last.is_some_and(|last| *last >= next) { Err(FormatError::Value { what, value: next }) } else { Ok(next) }
}

pub(crate) fn vote_to_bytes(vote: &Vote) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    put_vote(&mut bytes, vote);
    bytes
}

pub(crate) fn vote_from_bytes(bytes: &[u8]) -> Result<Vote, FormatError> {
    let mut reader = Reader::new(bytes);
    reader.version()?;
    let vote = read_vote(&mut reader)?;
    reader.end()?;
    Ok(vote)
}

/// What an entry says, without its place in the log.
pub(crate) fn payload_to_bytes(payload: &Payload) -> Arc<[u8]> {
    match payload {
        Payload::Blank => Arc::from([VERSION, BLANK]),
        Payload::Normal(command) => command.encoded().clone(),
        Payload::Membership(membership) => {
            let mut bytes = vec![VERSION, MEMBERSHIP];
            put_membership(&mut bytes, membership);
            bytes.into()
        }
    }
}

pub(crate) fn payload_from_bytes(bytes: Arc<[u8]>) -> Result<Payload, FormatError> {
    let mut reader = Reader::new(&bytes);
    reader.version()?;
    let payload = match reader.u8()? {
        COMMAND => return Ok(Payload::Normal(Command::from_encoded(bytes))),
        BLANK => Payload::Blank,
        MEMBERSHIP => Payload::Membership(read_membership(&mut reader)?),
        kind => return Err(FormatError::Value { what: "kind of entry", value: kind.into() }),
    };
    reader.end()?;
    Ok(payload)
}

/// An entry with its place, as a message carries it.
pub(crate) fn put_entry(into: &mut Vec<u8>, entry: &LogEntry) {
    put_log_id(into, &entry.log_id);
    put_block(into, &payload_to_bytes(&entry.payload));
}

pub(crate) fn read_entry(reader: &mut Reader<'_>) -> Result<LogEntry, FormatError> {
    let log_id = read_log_id(reader)?;
    let payload = payload_from_bytes(reader.block("bytes of an entry", ENTRY_ENCODED_BYTES_MAX)?.into())?;
    Ok(LogEntry { log_id, payload })
}

/// An entry's bytes with what this format puts before them.
pub(crate) const ENTRY_ENCODED_BYTES_MAX: usize = limits::ENTRY_BYTES_MAX + COMMAND_PREFIX.len();

pub(crate) fn put_snapshot_meta(into: &mut Vec<u8>, meta: &SnapshotMeta) {
    into.push(VERSION);
    put_log_id_option(into, meta.last_log_id.as_ref());
    put_log_id_option(into, meta.last_membership.log_id().as_ref());
    put_membership(into, meta.last_membership.membership());
}

pub(crate) fn read_snapshot_meta(reader: &mut Reader<'_>) -> Result<SnapshotMeta, FormatError> {
    reader.version()?;
    let last_log_id = read_log_id_option(reader)?;
    let membership_at = read_log_id_option(reader)?;
    let last_membership = StoredMembership::new(membership_at, read_membership(reader)?);
    Ok(SnapshotMeta { last_log_id, last_membership })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn check_payload(payload: &Payload, bytes: Expect) {
        let encoded = payload_to_bytes(payload);
        bytes.assert_eq(&hex(&encoded));
        assert_eq!(&payload_from_bytes(encoded.clone()).expect("its own bytes decode"), payload);
        for cut in 0..encoded.len() {
            // A command's bytes are its own affair: cut short they are another command.
            if !matches!(payload, Payload::Normal(_)) || cut < 2 {
                assert!(payload_from_bytes(encoded[..cut].into()).is_err(), "cut at {cut}");
            }
        }
    }

    fn membership() -> Membership {
        let nodes: BTreeMap<u64, Member> = [1, 2, 3].map(|id| (id, Member { peer: PeerId([id as u8; 32]) })).into();
        Membership::new(vec![[1, 2].into(), [2, 3].into()], nodes).expect("a valid membership")
    }

    #[test]
    fn vectors() {
        check_payload(&Payload::Blank, expect!["0100"]);
        check_payload(&Payload::Normal(Command::new(b"abc")), expect!["0101616263"]);
        check_payload(
            &Payload::Membership(membership()),
            expect![
                "0102020000000200000001000000000000000200000000000000020000000200000000000000030000000000000003000000010000000000000001010101010101010101010101010101010101010101010101010101010101010200000000000000020202020202020202020202020202020202020202020202020202020202020203000000000000000303030303030303030303030303030303030303030303030303030303030303"
            ],
        );
        expect!["010700000000000000030000000000000001"].assert_eq(&hex(&vote_to_bytes(&Vote::new_committed(7, 3))));
    }

    #[test]
    fn other_versions_and_disorder_are_refused() {
        assert_eq!(payload_from_bytes([2, 0].into()), Err(FormatError::Version(2)));
        assert_eq!(payload_from_bytes([1, 0, 0].into()), Err(FormatError::Trailing(1)));
        assert_eq!(payload_from_bytes([1, 9].into()), Err(FormatError::Value { what: "kind of entry", value: 9 }));
        let mut swapped = payload_to_bytes(&Payload::Membership(membership())).to_vec();
        swapped.swap(10, 18);
        assert_eq!(payload_from_bytes(swapped.into()), Err(FormatError::Value { what: "voter", value: 1 }));
        let mut huge = vec![VERSION, MEMBERSHIP];
        huge.extend_from_slice(&1u32.to_le_bytes());
        huge.extend_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(
            payload_from_bytes(huge.into()),
            Err(FormatError::Limit { what: "voters", max: limits::MEMBERS_MAX })
        );
    }

    #[test]
    fn snapshot_meta_round_trips() {
        let meta = SnapshotMeta {
            last_log_id: Some(log_id(3, 9)),
            last_membership: StoredMembership::new(Some(log_id(1, 1)), membership()),
        };
        for meta in [meta, SnapshotMeta::default()] {
            let mut bytes = Vec::new();
            put_snapshot_meta(&mut bytes, &meta);
            let mut reader = Reader::new(&bytes);
            assert_eq!(read_snapshot_meta(&mut reader).expect("its own bytes decode"), meta);
            reader.end().expect("nothing follows");
        }
    }
}
