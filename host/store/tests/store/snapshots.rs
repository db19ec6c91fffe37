//! Snapshots are taken, compared, restored and refused.

use crate::tables::{counter, counters, id_key, schema};
use isx_row::Code;
use isx_store::{Database, Manifest, Restore, SnapshotChunk, TableId, limits};
use std::collections::BTreeSet;

const COUNTER: TableId = TableId(0);

fn filled(count: u64) -> Database {
    let database = Database::new(schema(vec![counters(false)])).unwrap();
    let mut transaction = database.into_transaction();
    for id in 1..=count {
        let name = format!("{:x}", id.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        transaction.insert(COUNTER, &counter(0, &name, id)).unwrap();
        if id % 10_000 == 0 {
            transaction.commit();
        }
    }
    transaction.commit();
    transaction.into_database()
}

fn taken(database: &Database) -> (Vec<u8>, Vec<SnapshotChunk>) {
    let mut snapshot = database.snapshot();
    let chunks = snapshot.by_ref().collect();
    (snapshot.manifest().encode().unwrap(), chunks)
}

fn restored(manifest: &[u8], chunks: &[SnapshotChunk]) -> Result<Database, isx_row::Error> {
    let mut restore = Restore::new(Manifest::decode(manifest)?);
    for chunk in chunks {
        assert_eq!(restore.expected(), Some(&chunk.record));
        restore.put(&chunk.bytes)?;
    }
    restore.finish()
}

#[test]
fn a_snapshot_is_of_its_moment() {
    let mut database = filled(20_000);
    let mut snapshot = database.snapshot();
    let first = snapshot.next().unwrap();
    let hash = database.state_hash();
    let mut transaction = database.begin();
    transaction.delete(COUNTER, &id_key(19_999)).unwrap();
    transaction.commit();
    let chunks: Vec<_> = std::iter::once(first).chain(snapshot.by_ref()).collect();
    let manifest = snapshot.manifest();
    assert_eq!(manifest.state_hash(), hash);
    assert_eq!(manifest.chunks().len(), chunks.len());
    let mut copy = restored(&manifest.encode().unwrap(), &chunks).unwrap();
    copy.audit().unwrap();
    assert_eq!(copy.state_hash(), hash);
    let row = copy.begin().insert(COUNTER, &counter(0, "next", 0)).unwrap();
    assert_eq!(row[2..10], 20_001_u64.to_le_bytes());
}

#[test]
fn unchanged_regions_keep_their_chunks() {
    let mut database = filled(60_000);
    let (_, before) = taken(&database);
    assert!(before.len() >= 4, "{} chunks", before.len());
    assert!(before.iter().all(|chunk| chunk.bytes.len() <= limits::CHUNK_BYTES_MAX));
    let mut transaction = database.begin();
    transaction.delete(COUNTER, &id_key(30_000)).unwrap();
    transaction.update(COUNTER, &counter(30_001, "a name of another length", 0)).unwrap();
    transaction.commit();
    let (_, after) = taken(&database);
    let known: BTreeSet<_> = before.iter().map(|chunk| chunk.record.hash).collect();
    let fresh = after.iter().filter(|chunk| !known.contains(&chunk.record.hash)).count();
    assert!((1..=2).contains(&fresh), "{fresh} of {} chunks differ", after.len());
}

#[test]
fn mutations_are_refused() {
    let database = filled(20);
    let (manifest, chunks) = taken(&database);
    restored(&manifest, &chunks).unwrap();
    for place in 0..manifest.len() {
        assert!(Manifest::decode(&manifest[..place]).is_err());
        let mut mutated = manifest.clone();
        mutated[place] ^= 1;
        assert!(Manifest::decode(&mutated).is_err());
    }
    for place in 0..chunks[0].bytes.len() {
        let mut restore = Restore::new(Manifest::decode(&manifest).unwrap());
        let mut mutated = chunks[0].bytes.clone();
        mutated[place] ^= 1;
        assert_eq!(restore.put(&mutated).unwrap_err().code, Code::Malformed);
        restore.put(&chunks[0].bytes).unwrap();
        restore.finish().unwrap();
    }
    let restore = Restore::new(Manifest::decode(&manifest).unwrap());
    assert_eq!(restore.finish().unwrap_err().code, Code::Malformed);
}

/// Who writes a snapshot may lie in it with every hash of bytes right: rows and state hash are checked for themselves.
#[test]
fn resealed_lies_are_refused() {
    let database = filled(20);
    let (manifest, chunks) = taken(&database);
    let mut accepted = 0;
    for place in 0..chunks[0].bytes.len() {
        for bit in 0..8 {
            let mut bytes = chunks[0].bytes.clone();
            bytes[place] ^= 1 << bit;
            let resealed = reseal(&manifest, &chunks[0], &bytes);
            let mut restore = Restore::new(Manifest::decode(&resealed).unwrap());
            let result = restore.put(&bytes).and_then(|()| restore.finish());
            accepted += u32::from(result.is_ok());
        }
    }
    assert_eq!(accepted, 0);
    let body = 10..manifest.len() - 32;
    for place in body {
        let mut lie = manifest.clone();
        lie[place] ^= 1;
        let end = lie.len() - 32;
        let seal = isx_row::ContentHash::of(&lie[..end]).digest;
        lie[end..].copy_from_slice(&seal);
        assert!(restored_quietly(&lie, &chunks).is_err(), "byte {place}");
    }
}

fn restored_quietly(manifest: &[u8], chunks: &[SnapshotChunk]) -> Result<Database, isx_row::Error> {
    let mut restore = Restore::new(Manifest::decode(manifest)?);
    chunks.iter().try_for_each(|chunk| restore.put(&chunk.bytes))?;
    restore.finish()
}

/// The manifest with the hash of other bytes in the place of a chunk's.
fn reseal(manifest: &[u8], chunk: &SnapshotChunk, bytes: &[u8]) -> Vec<u8> {
    let digest = chunk.record.hash.digest;
    let place = manifest.windows(32).position(|window| window == digest).unwrap();
    let mut resealed = manifest.to_vec();
    resealed[place..place + 32].copy_from_slice(&isx_row::ContentHash::of(bytes).digest);
    let end = resealed.len() - 32;
    let seal = isx_row::ContentHash::of(&resealed[..end]).digest;
    resealed[end..].copy_from_slice(&seal);
    resealed
}
