//! Requests: what callers and nodes propose to a group.

use crate::entry::Packed;
use crate::limits::{
    ADDRESS_BYTES_MAX, ADDRESSES_MAX, HOPS_MAX, LOCATOR_BYTES_MAX, LOCATORS_MAX, MOUNT_CONFIG_BYTES_MAX,
    MOUNT_SCHEMA_BYTES_MAX, OUTCOME_BYTES_MAX, REQUEST_BYTES_MAX,
};
use crate::moving::{put_way, take_way};
use isx_anchors::wire::{Reader, Wire, WireError, put_bytes, put_count};
use isx_anchors::{Caller, Name, Operation};
use isx_row::limits::{CONDITIONS_BYTES_MAX, LINK_PATH_BYTES_MAX, LINKS_MAX, NAME_BYTES_MAX, VALUE_BYTES_MAX};
use isx_row::schema::{Schema, Way};
use isx_row::{
    Code, Condition, ContentHash, Error, HomeId, Incarnation, MountId, ObjectId, Principal, Revision, Sequence,
    SessionId, Signature, condition,
};
use isx_store::{Limits, Linked, Message, MessageKind};
use std::sync::Arc;

/// What is proposed to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A call of a reducer, in the group of its mount.
    Call(Box<ReducerCall>),
    /// An operation on the tree, in group 0.
    Tree {
        /// Who asks.
        caller: Caller,
        /// The operation.
        operation: Operation,
    },
    /// Second step of creating a mount, in its group: makes it and runs its `init` hook. Repeating it answers the same.
    CreateMount {
        /// The mount reserved in the tree.
        mount: MountId,
        /// The incarnation the tree gave it.
        incarnation: Incarnation,
        /// The module.
        module: Arc<ModuleRecord>,
        /// Who creates it: the caller its `init` hook sees.
        creator: Principal,
    },
    /// Second step of removing a mount, in its group: its data goes. Repeating it answers the same, and no late step of
    /// its creation brings it back.
    DropMount {
        /// The mount.
        mount: MountId,
    },
    /// Gives a mount another module, or other limits, if it has the expected code. Repeating it answers the same. Where rows
    /// do not fit, it begins to move them, and [`Request::Migrate`] goes on.
    Upgrade {
        /// The mount.
        mount: MountId,
        /// The code it must have.
        expected: ContentHash,
        /// The module.
        module: Arc<ModuleRecord>,
        /// Whether it goes on, or back to a module that it had.
        way: Way,
    },
    /// Moves the next rows of a mount whose upgrade moves them, if so many have moved before; the last of these ends the
    /// upgrade. Once too often is harmless.
    Migrate {
        /// The mount.
        mount: MountId,
        /// Rows that have moved.
        moved: u64,
    },
    /// Makes a node a member and gives it a home, in group 0. Repeating it brings its addresses up to date.
    Join {
        /// The node's peer key.
        peer: [u8; 32],
        /// Its home; made once, never reused.
        home: HomeId,
        /// The name its home would like to have.
        alias: Name,
        /// Where it is reached.
        addresses: Vec<String>,
    },
    /// Removes a member whose home has no mounts, in group 0.
    Leave {
        /// The node's peer key.
        peer: [u8; 32],
    },
    /// Brings log time to the entry's and does what is due by then. Twice is harmless.
    Tick,
    /// Runs what is first among a mount's schedules and due rows, if log time has reached it; each as a transaction of its
    /// own. Once too often is harmless.
    Fire {
        /// The mount.
        mount: MountId,
    },
    /// A session begins to call a mount whose module has to know: runs its `connect` hook. Once too often is harmless.
    Connect {
        /// The mount.
        mount: MountId,
        /// The session.
        session: SessionId,
        /// Whose it is.
        principal: Principal,
    },
    /// A session is gone: runs the `disconnect` hook and removes a bounded number of the session's rows. To be repeated
    /// while [`crate::MountView::connected`] has the session; once too often is harmless.
    Disconnect {
        /// The mount.
        mount: MountId,
        /// The session.
        session: SessionId,
    },
    /// A message that another mount sent arrives. A copy is answered as the first was; one before its turn is refused.
    Deliver {
        /// The mount that sent it.
        from: MountId,
        /// Its incarnation: in another one its numbers begin anew.
        incarnation: Incarnation,
        /// The mount it is for.
        to: MountId,
        /// Its number among what was sent there.
        number: u64,
        /// Every number below was settled; at most `number`.
        done_below: u64,
        /// The message.
        message: Box<Message>,
    },
    /// What a message was answered is known to the mount that sent it: it leaves the outbox. Once too often is harmless.
    Settle {
        /// The mount that sent it.
        mount: MountId,
        /// The mount it was for.
        to: MountId,
        /// Its number.
        number: u64,
        /// What [`Outcome::Delivered`](crate::Outcome::Delivered) had.
        answer: Vec<u8>,
    },
    /// Passes over a call that a held group can not apply: see [`crate::Machine::skip`].
    Skip {
        /// The index of the entry that holds the call.
        index: u64,
        /// The call's position in it.
        position: u32,
    },
    /// Raises the feature level: formats and features of this level may be used from here on.
    Raise {
        /// The level.
        level: u16,
    },
}

/// A call of a reducer with its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReducerCall {
    /// The mount.
    pub mount: MountId,
    /// The reducer.
    pub name: String,
    /// The signature the caller was typed against; [`Signature::ANY`] when it read the schema.
    pub signature: Signature,
    /// Exactly-once coordinates; without them the call is made each time it is proposed.
    pub session: Option<SessionCall>,
    /// Who calls.
    pub principal: Principal,
    /// Whether the caller holds a reference that the owner gave.
    pub trusted: bool,
    /// The grant that admitted the call, for the audit.
    pub grant: Option<ObjectId>,
    /// How long the caller still waits. Read by who forwards and batches the call; not by what applies it: in the log a
    /// call is never too late.
    pub within_ms: Option<u32>,
    /// Tells the calls of one cause apart from others, in logs.
    pub trace: [u8; 16],
    /// How many calls led to this one.
    pub hops: u8,
    /// The mount must be at this revision or later.
    pub revision_min: Option<Revision>,
    /// What must hold of the mount when it is the call's turn; else it is refused.
    pub conditions: Vec<Condition>,
    /// The arguments: a record of [`isx_row::codec`].
    pub payload: Vec<u8>,
    /// References passed along, sealed to the mount.
    pub locators: Vec<Vec<u8>>,
}

/// Exactly-once coordinates: the answer to (session, sequence) never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCall {
    /// The caller's session.
    pub session: SessionId,
    /// The call's number in it, from 1.
    pub sequence: Sequence,
    /// Every sequence below has been answered and may be forgotten; at most `sequence`.
    pub done_below: Sequence,
}

/// A mount's module: what is run there, and how much it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRecord {
    /// The component.
    pub code: ContentHash,
    /// Its schema, in canonical bytes.
    pub schema: Vec<u8>,
    /// Fuel of one call.
    pub fuel_max: u64,
    /// What its tables may hold.
    pub limits: Limits,
    /// Its configuration.
    pub config: Vec<u8>,
    /// The mounts that the paths of its links stand for, sorted by path.
    pub links: Vec<Linked>,
}

impl ModuleRecord {
    /// The mounts that it calls within its transactions.
    pub(crate) fn joins(&self, schema: &Schema) -> Arc<[MountId]> {
        let joins = |linked: &&Linked| schema.link(&linked.path).is_some_and(|link| !link.joins.is_empty());
        self.links.iter().filter(joins).map(|linked| linked.mount).collect()
    }
}

impl Request {
    /// The mount that it is for, if it is for one.
    pub(crate) fn mount(&self) -> Option<&MountId> {
        match self {
            Self::Call(call) => Some(&call.mount),
            Self::CreateMount { mount, .. }
            | Self::DropMount { mount }
            | Self::Upgrade { mount, .. }
            | Self::Migrate { mount, .. }
            | Self::Fire { mount }
            | Self::Connect { mount, .. }
            | Self::Disconnect { mount, .. }
            | Self::Deliver { to: mount, .. }
            | Self::Settle { mount, .. } => Some(mount),
            Self::Tree { .. }
            | Self::Join { .. }
            | Self::Leave { .. }
            | Self::Tick
            | Self::Skip { .. }
            | Self::Raise { .. } => None,
        }
    }

    /// The request as bytes, if they can be read back: checks the bounds that decoding would refuse.
    ///
    /// # Errors
    /// `limit` or `malformed`, naming what is wrong.
    pub fn pack(&self) -> Result<Packed, Error> {
        let refuse = |error: WireError| {
            let code = if matches!(error, WireError::Limit(_)) { Code::Limit } else { Code::Malformed };
            Error::new(code, format!("request: {error}"))
        };
        let bytes = self.to_wire();
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(Error::new(Code::Limit, format!("request: over REQUEST_BYTES_MAX = {REQUEST_BYTES_MAX}")));
        }
        match self {
            // What nearly every request is: its few bounds are quicker looked at than read back.
            Self::Call(call) => {
                condition::encode(&call.conditions)?;
                call.check().map_err(refuse)?;
            }
            _ => drop(Self::from_wire(&bytes).map_err(refuse)?),
        }
        Ok(Packed(bytes))
    }
}

impl ReducerCall {
    /// An anonymous call of a public reducer, without a session, by who read the schema.
    pub fn new(mount: MountId, name: impl Into<String>, payload: Vec<u8>) -> Self {
        Self {
            mount,
            name: name.into(),
            signature: Signature::ANY,
            session: None,
            principal: Principal::anonymous(),
            trusted: false,
            grant: None,
            within_ms: None,
            trace: [0; 16],
            hops: 0,
            revision_min: None,
            conditions: Vec::new(),
            payload,
            locators: Vec::new(),
        }
    }

    /// The bounds of [`Wire::take`]; everything else about a call can be written and read back.
    fn check(&self) -> Result<(), WireError> {
        let bounds = [
            (self.name.len(), NAME_BYTES_MAX, "NAME_BYTES_MAX"),
            (self.payload.len(), VALUE_BYTES_MAX, "VALUE_BYTES_MAX"),
            (self.locators.len(), LOCATORS_MAX, "LOCATORS_MAX"),
            (self.locators.iter().map(Vec::len).max().unwrap_or(0), LOCATOR_BYTES_MAX, "LOCATOR_BYTES_MAX"),
            (usize::from(self.hops), usize::from(HOPS_MAX), "HOPS_MAX"),
        ];
        match bounds.iter().find(|(length, max, _)| length > max) {
            Some((.., name)) => Err(WireError::Limit(name)),
            None => Ok(()),
        }
    }
}

impl Wire for Request {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Call(call) => {
                out.push(1);
                call.put(out);
            }
            Self::Tree { caller, operation } => {
                out.push(2);
                caller.put(out);
                operation.put(out);
            }
            Self::CreateMount { mount, incarnation, module, creator } => {
                out.push(3);
                mount.put(out);
                incarnation.put(out);
                module.put(out);
                creator.put(out);
            }
            Self::DropMount { mount } => {
                out.push(4);
                mount.put(out);
            }
            Self::Upgrade { mount, expected, module, way } => {
                out.push(5);
                mount.put(out);
                expected.put(out);
                module.put(out);
                put_way(*way, out);
            }
            Self::Join { peer, home, alias, addresses } => {
                out.push(6);
                peer.put(out);
                home.put(out);
                alias.put(out);
                put_addresses(addresses, out);
            }
            Self::Leave { peer } => {
                out.push(7);
                peer.put(out);
            }
            Self::Tick => out.push(8),
            Self::Skip { index, position } => {
                out.push(9);
                index.put(out);
                position.put(out);
            }
            Self::Raise { level } => {
                out.push(10);
                level.put(out);
            }
            Self::Fire { mount } => {
                out.push(11);
                mount.put(out);
            }
            Self::Connect { mount, session, principal } => {
                out.push(12);
                mount.put(out);
                session.put(out);
                principal.put(out);
            }
            Self::Disconnect { mount, session } => {
                out.push(13);
                mount.put(out);
                session.put(out);
            }
            Self::Deliver { from, incarnation, to, number, done_below, message } => {
                out.push(14);
                from.put(out);
                incarnation.put(out);
                to.put(out);
                number.put(out);
                done_below.put(out);
                put_message(message, out);
            }
            Self::Migrate { mount, moved } => {
                out.push(16);
                mount.put(out);
                moved.put(out);
            }
            Self::Settle { mount, to, number, answer } => {
                out.push(15);
                mount.put(out);
                to.put(out);
                number.put(out);
                put_bytes(answer, out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match u8::take(reader)? {
            1 => Self::Call(Box::new(Wire::take(reader)?)),
            2 => Self::Tree { caller: Wire::take(reader)?, operation: Wire::take(reader)? },
            3 => Self::CreateMount {
                mount: Wire::take(reader)?,
                incarnation: Wire::take(reader)?,
                module: Arc::new(Wire::take(reader)?),
                creator: Wire::take(reader)?,
            },
            4 => Self::DropMount { mount: Wire::take(reader)? },
            5 => Self::Upgrade {
                mount: Wire::take(reader)?,
                expected: Wire::take(reader)?,
                module: Arc::new(Wire::take(reader)?),
                way: take_way(reader)?,
            },
            6 => Self::Join {
                peer: Wire::take(reader)?,
                home: Wire::take(reader)?,
                alias: Wire::take(reader)?,
                addresses: take_addresses(reader)?,
            },
            7 => Self::Leave { peer: Wire::take(reader)? },
            8 => Self::Tick,
            9 => Self::Skip { index: Wire::take(reader)?, position: Wire::take(reader)? },
            10 => Self::Raise { level: Wire::take(reader)? },
            11 => Self::Fire { mount: Wire::take(reader)? },
            12 => Self::Connect {
                mount: Wire::take(reader)?,
                session: Wire::take(reader)?,
                principal: Wire::take(reader)?,
            },
            13 => Self::Disconnect { mount: Wire::take(reader)?, session: Wire::take(reader)? },
            14 => {
                let (from, incarnation, to) = (Wire::take(reader)?, Wire::take(reader)?, Wire::take(reader)?);
                let (number, done_below) = (Wire::take(reader)?, Wire::take(reader)?);
                if done_below > number {
                    return Err(WireError::Canonical("a message that is settled is sent"));
                }
                Self::Deliver { from, incarnation, to, number, done_below, message: Box::new(take_message(reader)?) }
            }
            15 => Self::Settle {
                mount: Wire::take(reader)?,
                to: Wire::take(reader)?,
                number: Wire::take(reader)?,
                answer: reader.bytes(OUTCOME_BYTES_MAX, "OUTCOME_BYTES_MAX")?.to_vec(),
            },
            16 => Self::Migrate { mount: Wire::take(reader)?, moved: Wire::take(reader)? },
            _ => return Err(WireError::Canonical("no such request")),
        })
    }
}

impl Wire for ReducerCall {
    fn put(&self, out: &mut Vec<u8>) {
        self.mount.put(out);
        put_bytes(self.name.as_bytes(), out);
        self.signature.put(out);
        self.session.put(out);
        self.principal.put(out);
        self.trusted.put(out);
        self.grant.put(out);
        self.within_ms.put(out);
        self.trace.put(out);
        self.hops.put(out);
        self.revision_min.put(out);
        // Over a bound is what `check` refuses.
        put_bytes(&condition::encode(&self.conditions).unwrap_or_default(), out);
        put_bytes(&self.payload, out);
        put_count(self.locators.len(), out);
        self.locators.iter().for_each(|locator| put_bytes(locator, out));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let call = Self {
            mount: Wire::take(reader)?,
            name: reader.text(NAME_BYTES_MAX, "NAME_BYTES_MAX")?.to_owned(),
            signature: Wire::take(reader)?,
            session: Wire::take(reader)?,
            principal: Wire::take(reader)?,
            trusted: Wire::take(reader)?,
            grant: Wire::take(reader)?,
            within_ms: Wire::take(reader)?,
            trace: Wire::take(reader)?,
            hops: Wire::take(reader)?,
            revision_min: Wire::take(reader)?,
            conditions: {
                let bytes = reader.bytes(CONDITIONS_BYTES_MAX, "CONDITIONS_BYTES_MAX")?;
                condition::decode(bytes).map_err(|_| WireError::Canonical("preconditions"))?
            },
            payload: reader.bytes(VALUE_BYTES_MAX, "VALUE_BYTES_MAX")?.to_vec(),
            locators: {
                let count = reader.count(LOCATORS_MAX, "LOCATORS_MAX")?;
                let one = |_| Ok(reader.bytes(LOCATOR_BYTES_MAX, "LOCATOR_BYTES_MAX")?.to_vec());
                (0..count).map(one).collect::<Result<_, WireError>>()?
            },
        };
        if call.hops > HOPS_MAX { Err(WireError::Limit("HOPS_MAX")) } else { Ok(call) }
    }
}

impl Wire for SessionCall {
    fn put(&self, out: &mut Vec<u8>) {
        self.session.put(out);
        self.sequence.put(out);
        self.done_below.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { session: Wire::take(reader)?, sequence: Wire::take(reader)?, done_below: Wire::take(reader)? })
    }
}

impl Wire for ModuleRecord {
    fn put(&self, out: &mut Vec<u8>) {
        self.code.put(out);
        put_bytes(&self.schema, out);
        self.fuel_max.put(out);
        self.limits.bytes_max.put(out);
        self.limits.rows_max.put(out);
        put_bytes(&self.config, out);
        put_links(&self.links, out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            code: Wire::take(reader)?,
            schema: reader.bytes(MOUNT_SCHEMA_BYTES_MAX, "MOUNT_SCHEMA_BYTES_MAX")?.to_vec(),
            fuel_max: Wire::take(reader)?,
            limits: Limits { bytes_max: Wire::take(reader)?, rows_max: Wire::take(reader)? },
            config: reader.bytes(MOUNT_CONFIG_BYTES_MAX, "MOUNT_CONFIG_BYTES_MAX")?.to_vec(),
            links: take_links(reader)?,
        })
    }
}

/// Appends links, sorted by path.
pub fn put_links(links: &[Linked], out: &mut Vec<u8>) {
    put_count(links.len(), out);
    for Linked { path, mount, trusted } in links {
        put_bytes(path.as_bytes(), out);
        mount.put(out);
        trusted.put(out);
    }
}

/// Reads what [`put_links`] wrote.
///
/// # Errors
/// For links out of order and over a bound.
pub fn take_links(reader: &mut Reader<'_>) -> Result<Vec<Linked>, WireError> {
    let count = reader.count(LINKS_MAX, "LINKS_MAX")?;
    let mut links: Vec<Linked> = Vec::with_capacity(count);
    for _ in 0..count {
        let path = reader.text(LINK_PATH_BYTES_MAX, "LINK_PATH_BYTES_MAX")?.to_owned();
        if links.last().is_some_and(|last| last.path >= path) {
            return Err(WireError::Canonical("links are out of order"));
        }
        links.push(Linked { path, mount: Wire::take(reader)?, trusted: Wire::take(reader)? });
    }
    Ok(links)
}

fn put_message(message: &Message, out: &mut Vec<u8>) {
    let Message { kind, path, name, signature, payload, trusted, hops } = message;
    out.push(*kind as u8);
    put_bytes(path.as_bytes(), out);
    put_bytes(name.as_bytes(), out);
    signature.put(out);
    put_bytes(payload, out);
    trusted.put(out);
    hops.put(out);
}

fn take_message(reader: &mut Reader<'_>) -> Result<Message, WireError> {
    let kind = MessageKind::from_number(u8::take(reader)?).ok_or(WireError::Canonical("no such message"))?;
    let message = Message {
        kind,
        path: reader.text(LINK_PATH_BYTES_MAX, "LINK_PATH_BYTES_MAX")?.to_owned(),
        name: reader.text(NAME_BYTES_MAX, "NAME_BYTES_MAX")?.to_owned(),
        signature: Wire::take(reader)?,
        payload: reader.bytes(VALUE_BYTES_MAX, "VALUE_BYTES_MAX")?.to_vec(),
        trusted: Wire::take(reader)?,
        hops: Wire::take(reader)?,
    };
    if message.hops > HOPS_MAX { Err(WireError::Limit("HOPS_MAX")) } else { Ok(message) }
}

pub(crate) fn put_addresses(addresses: &[String], out: &mut Vec<u8>) {
    put_count(addresses.len(), out);
    addresses.iter().for_each(|address| put_bytes(address.as_bytes(), out));
}

pub(crate) fn take_addresses(reader: &mut Reader<'_>) -> Result<Vec<String>, WireError> {
    let count = reader.count(ADDRESSES_MAX, "ADDRESSES_MAX")?;
    (0..count).map(|_| Ok(reader.text(ADDRESS_BYTES_MAX, "ADDRESS_BYTES_MAX")?.to_owned())).collect()
}
