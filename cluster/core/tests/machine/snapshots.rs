//! A restored machine goes on as the one it was taken of; what is damaged is refused.

use crate::stage::{NOW, ONE, Stage, bare, put, requests};
use isx_anchors::{Caller, GroupId, Name, Operation, Path, Place};
use isx_cluster::{Manifest, Request, Restore, SnapshotChunk};
use isx_row::{HomeId, Principal, Time};
use proptest::prelude::*;

/// A snapshot's chunks, and its manifest.
fn snapshot(stage: &Stage) -> (Vec<SnapshotChunk>, Vec<u8>) {
    let mut snapshot = stage.machine.view().snapshot();
    let chunks = snapshot.by_ref().collect();
    (chunks, snapshot.finish().unwrap())
}

/// Puts together what is there; a chunk is found by its place, so that damaged ones are offered.
fn restore(manifest: &[u8], chunks: &[SnapshotChunk]) -> Result<[u8; 32], isx_row::Error> {
    let mut restore = Restore::new(manifest)?;
    let mut left: Vec<_> = chunks.to_vec();
    while let Some(expected) = restore.expected() {
        let found = left.iter().position(|chunk| chunk.hash == expected.hash).unwrap_or(0);
        let chunk = if left.is_empty() { return restore.finish().map(|_| [0; 32]) } else { left.remove(found) };
        restore.put(&chunk.bytes)?;
    }
    restore.finish().map(|machine| machine.state_hash())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_machine_goes_on(before in requests(60), after in requests(30)) {
        let mut stage = Stage::mounted();
        stage.apply(before);
        let mut restored = stage.restored();
        prop_assert_eq!(restored.machine.state_hash(), stage.machine.state_hash());
        prop_assert_eq!(restored.machine.applied(), stage.machine.applied());
        restored.machine.audit().unwrap();
        let (there, here) = (restored.apply(after.clone()), stage.apply(after));
        prop_assert_eq!(there, here);
        prop_assert_eq!(restored.machine.state_hash(), stage.machine.state_hash());
    }

    #[test]
    fn damage_is_refused(requests in requests(30), which in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut stage = Stage::mounted();
        stage.apply(requests);
        let (mut chunks, mut manifest) = snapshot(&stage);
        prop_assert_eq!(restore(&manifest, &chunks), Ok(stage.machine.state_hash()));
        let total = manifest.len() + chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
        let mut at = which.index(total);
        if at < manifest.len() {
            manifest[at] ^= 1 << bit;
        } else {
            at -= manifest.len();
            let mut damaged = chunks.iter_mut();
            let chunk = damaged.find(|chunk| at < chunk.bytes.len() || { at -= chunk.bytes.len(); false }).unwrap();
            chunk.bytes[at] ^= 1 << bit;
        }
        prop_assert!(restore(&manifest, &chunks).is_err());
    }

    #[test]
    fn any_state_is_refused_or_restored(requests in requests(30), which in any::<prop::sample::Index>(), byte: u8) {
        // A peer that makes its own manifest: nothing panics, and a state is the one its hash says.
        let mut stage = Stage::mounted();
        stage.apply(requests);
        let (mut chunks, manifest) = snapshot(&stage);
        let state = chunks.last_mut().unwrap();
        let at = which.index(state.bytes.len());
        state.bytes[at] = byte;
        let (old, new) = (state.hash, isx_row::ContentHash::of(&state.bytes));
        state.hash = new;
        let at = manifest.windows(32).position(|window| window == old.digest).unwrap();
        let mut forged = manifest[..manifest.len() - 32].to_vec();
        forged[at..at + 32].copy_from_slice(&new.digest);
        forged.extend_from_slice(&isx_row::ContentHash::of(&forged).digest);
        if let Ok(hash) = restore(&forged, &chunks) {
            prop_assert_eq!(hash, stage.machine.state_hash());
        }
    }
}

#[test]
fn many_chunks() {
    let mut stage = Stage::mounted();
    for n in 0..40_u8 {
        // Not compressible, not alike: each row is a chunk of its own or nearly.
        stage.one(bare(put(ONE, &format!("key {n}"), vec![n; 200 * 1024])));
    }
    let (chunks, manifest) = snapshot(&stage);
    let head = Manifest::decode(&manifest).unwrap();
    assert!(head.chunks().len() > 8, "{}", head.chunks().len());
    assert_eq!(head.head().state_hash, stage.machine.state_hash());
    assert_eq!(head.head().time, NOW);
    assert_eq!(restore(&manifest, &chunks), Ok(stage.machine.state_hash()));
    assert!(restore(&manifest, &chunks[1..]).is_err());
    // Later entries do not show in a snapshot begun before.
    let writer = stage.machine.view().snapshot();
    stage.one(bare(put(ONE, "key 0", vec![])));
    assert_eq!(writer.finish().unwrap(), manifest);
}

#[test]
fn the_trees_group() {
    let mut stage = Stage::bare(GroupId::TREE);
    let caller = Caller { who: Principal::anonymous(), trusted: true };
    for n in 1..20_u8 {
        let alias = Name::new("beta").unwrap();
        stage.one(Request::Join { peer: [n; 32], home: HomeId([n; 16]), alias, addresses: vec!["/ip4/::1".into()] });
        let place = Place::absolute(Path::parse("/beta/motd").unwrap());
        stage.one(Request::Tree { caller, operation: Operation::Set { place, value: vec![n; 60_000] } });
    }
    stage.time = Time(NOW.0 + 1);
    stage.one(Request::Leave { peer: [4; 32] });
    let mut restored = stage.restored();
    assert_eq!(restored.machine.state_hash(), stage.machine.state_hash());
    assert_eq!(restored.machine.view().members().count(), 18);
    let place = Place::absolute(Path::parse("/beta-7/x").unwrap());
    let set = Request::Tree { caller, operation: Operation::Set { place, value: vec![] } };
    assert_eq!(restored.one(set.clone()), stage.one(set));
    assert_eq!(restored.machine.state_hash(), stage.machine.state_hash());
}
