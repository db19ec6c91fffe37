//! A suspect on its way to another process: what its trial needs, as bytes.
//!
//! The stream: `ISXT`, version (u16, 2), execution id (32), how many other mounts the call may reach into (u8), the call's
//! mount and those, then the call as a block, which is its length (u32) and bytes. A mount: its id (16), as blocks the compiled
//! code and its BLAKE3 (32), the manifest of the tables and their chunks in the manifest's order. The call: log time (i64), entry
//! seed (32), place (u64), fuel (u64), caller (32), trusted (u8), cause (u8: 0 call, 1 hook, 2 due), hops (u8), session (u8, and
//! 16 if 1), signature (16), then its name and its arguments as blocks. Numbers are little-endian. Both ends are
//! one build, so the version only tells a stranger from a friend.

use crate::exec::{Exec, Ports};
use crate::limits::ARTIFACT_BYTES_MAX;
use crate::poison::{JoinedSuspect, Suspect};
use isx_row::limits::{NAME_BYTES_MAX, VALUE_BYTES_MAX};
use isx_row::{Code, ContentHash, Error, MountId, Principal, SessionId, Signature, Time};
use isx_store::limits::{CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX};
use isx_store::{Cause, Database, EntryContext, Executor, Invocation, Joined, Manifest, Restore};
use std::io::{self, Read, Write};
use wasmtime::component::Component;

const MAGIC: &[u8; 4] = b"ISXT";
const VERSION: u16 = 2;
const HASH_BYTES: usize = 32;

impl Suspect<'_> {
    /// Writes everything that [`try_suspect`] reads. Costs time in proportion to the tables.
    ///
    /// # Errors
    /// Of `to`; `InvalidData` when the tables are too many for a manifest.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(MAGIC)?;
        to.write_all(&VERSION.to_le_bytes())?;
        to.write_all(&self.execution.0)?;
        to.write_all(&[u8::try_from(self.joined.len()).unwrap_or(u8::MAX)])?;
        put_mount(to, &self.call.mount, self.artifact, self.root)?;
        for JoinedSuspect { mount, root, artifact } in self.joined.iter().take(u8::MAX.into()) {
            put_mount(to, mount, artifact, root)?;
        }
        put_block(to, &self.call_bytes())
    }

    fn call_bytes(&self) -> Vec<u8> {
        let Invocation { mount: _, cause, name, signature, arguments, caller, trusted, session, hops, place, fuel_max } =
            self.call;
        let mut bytes = Vec::with_capacity(name.len() + arguments.len() + 160);
        bytes.extend_from_slice(&self.entry.time.0.to_le_bytes());
        bytes.extend_from_slice(&self.entry.seed);
        bytes.extend_from_slice(&place.to_le_bytes());
        bytes.extend_from_slice(&fuel_max.to_le_bytes());
        bytes.extend_from_slice(&caller.0);
        bytes.push(u8::from(*trusted));
        bytes.push(match cause {
            Cause::Call => 0,
            Cause::Hook => 1,
            Cause::Due => 2,
        });
        bytes.push(*hops);
        bytes.push(u8::from(session.is_some()));
        bytes.extend(session.iter().flat_map(|session| session.0));
        bytes.extend_from_slice(&signature.0);
        for block in [name.as_bytes(), arguments] {
            bytes.extend_from_slice(&u32::try_from(block.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(block);
        }
        bytes
    }
}

/// Reads a suspect and runs it here, on a thread with [`THREAD_STACK_BYTES`](crate::limits::THREAD_STACK_BYTES); `begin`
/// is called when everything is ready. To return at all, whatever the call answers, is to survive.
///
/// # Errors
/// `malformed` for anything but a whole stream of [`Suspect::write`] of this build. The trial was not made then.
pub fn try_suspect(from: &mut dyn Read, begin: impl FnOnce()) -> Result<(), Error> {
    let mut reader = Reader(from);
    let header: [u8; 6] = reader.array()?;
    if header[..4] != *MAGIC || header[4..] != VERSION.to_le_bytes() {
        return Err(malformed("this is no suspect"));
    }
    let exec = Exec::new(Ports::here())?;
    if reader.array()? != exec.execution_id().0 {
        return Err(malformed("it ran under another execution id"));
    }
    let [count] = reader.array()?;
    let Joined { mount, code, mut root, .. } = reader.mount(&exec)?;
    let mut joined = (0..count).map(|_| reader.mount(&exec)).collect::<Result<Vec<_>, _>>()?;
    let call = reader.block(VALUE_BYTES_MAX + NAME_BYTES_MAX + 256)?;
    let mut call = Reader(&mut call.as_slice());
    let entry = EntryContext { time: Time(i64::from_le_bytes(call.array()?)), seed: call.array()? };
    let (place, fuel_max) = (u64::from_le_bytes(call.array()?), u64::from_le_bytes(call.array()?));
    let caller = Principal(call.array()?);
    let [trusted, cause, hops, has_session] = call.array()?;
    let session = if has_session == 1 { Some(SessionId(call.array()?)) } else { None };
    let signature = Signature(call.array()?);
    let name = String::from_utf8(call.block(NAME_BYTES_MAX)?).map_err(|_| malformed("a name is not UTF-8"))?;
    let arguments = call.block(VALUE_BYTES_MAX)?;
    let call = Invocation {
        mount,
        cause: match cause {
            0 => Cause::Call,
            1 => Cause::Hook,
            2 => Cause::Due,
            _ => return Err(malformed("an unknown cause")),
        },
        name: &name,
        signature,
        arguments: &arguments,
        caller,
        trusted: trusted == 1,
        session,
        hops,
        place,
        fuel_max,
    };
    begin();
    exec.execute_joined(&code, &mut root, &entry, &[call], &mut joined)
        .map(drop)
        .map_err(|hold| Error::new(Code::Fatal, format!("the suspect was held: {hold:?}")))
}

fn malformed(what: &str) -> Error {
    Error::new(Code::Malformed, format!("suspect: {what}"))
}

fn put_mount(to: &mut dyn Write, mount: &MountId, artifact: &Component, root: &Database) -> io::Result<()> {
    let invalid = |error: Error| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    to.write_all(&mount.0)?;
    let mut artifact = artifact.serialize().map_err(|error| io::Error::other(format!("{error:#}")))?;
    let check = blake3::hash(&artifact);
    artifact.extend_from_slice(check.as_bytes());
    put_block(to, &artifact)?;
    drop(artifact);
    // Cut twice rather than kept: the manifest comes first, and a copy of the tables may not fit beside them.
    put_block(to, &root.snapshot().manifest().encode().map_err(invalid)?)?;
    for chunk in root.snapshot() {
        put_block(to, &chunk.bytes)?;
    }
    Ok(())
}

fn put_block(to: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("a block of 4 GiB or more"))?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(bytes)
}

struct Reader<'a>(&'a mut dyn Read);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).map_err(|_| malformed("it is cut short"))?;
        Ok(bytes)
    }

    /// Reads a mount, and has its code run here.
    fn mount(&mut self, exec: &Exec) -> Result<Joined, Error> {
        let mount = MountId(self.array()?);
        let mut artifact = self.block(ARTIFACT_BYTES_MAX + HASH_BYTES)?;
        let at = artifact.len().checked_sub(HASH_BYTES).ok_or_else(|| malformed("the code is cut short"))?;
        let check = artifact.split_off(at);
        if check != blake3::hash(&artifact).as_bytes() {
            return Err(malformed("the code is damaged"));
        }
        let manifest = Manifest::decode(&self.block(MANIFEST_BYTES_MAX)?)?;
        let schema = manifest.schema().clone();
        let mut restore = Restore::new(manifest);
        while restore.expected().is_some() {
            restore.put(&self.block(CHUNK_BYTES_MAX)?)?;
        }
        let root = restore.finish()?;
        let code = ContentHash::of(&artifact);
        exec.adopt(code, schema, &artifact)?;
        Ok(Joined { mount, code, root })
    }

    fn block(&mut self, bytes_max: usize) -> Result<Vec<u8>, Error> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        if length > bytes_max {
            return Err(malformed("a block is too long"));
        }
        let mut bytes = Vec::new();
        let read = self.0.take(length as u64).read_to_end(&mut bytes);
        match read {
            Ok(read) if read == length => Ok(bytes),
            _ => Err(malformed("it is cut short")),
        }
    }
}
