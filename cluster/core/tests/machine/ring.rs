//! Inside the ring a subscription continues without gap or duplicate; outside it is told to begin again.

use crate::stage::{ONE, Stage, bare, put, requests};
use isx_cluster::Resume;
use isx_cluster::limits::RING_BYTES_MAX;
use isx_row::{Incarnation, Revision};
use proptest::prelude::*;
use std::collections::BTreeMap;

const INCARNATION: Incarnation = Incarnation(5);

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_subscriber_sees_what_is_there(batches in prop::collection::vec((requests(12), any::<bool>()), 1..12)) {
        let mut stage = Stage::mounted();
        let mut rows: BTreeMap<(u16, Vec<u8>), Vec<u8>> = BTreeMap::new();
        let mut cursor = Revision(0);
        let last = batches.len() - 1;
        for (number, (batch, asks)) in batches.into_iter().enumerate() {
            let applied = stage.apply(batch);
            if let Some(effects) = applied.effects.mounts.get(&ONE) {
                let view = stage.machine.view();
                prop_assert_eq!(effects.revision, view.mount(&ONE).unwrap().revision());
            }
            if !(asks || number == last) {
                continue;
            }
            // Any replica continues: this one has just been restored.
            let view = stage.restored().machine.view();
            let mount = view.mount(&ONE).unwrap();
            let Resume::Continue { transactions, through } = mount.changes_after(INCARNATION, cursor) else {
                panic!("the ring holds all of it");
            };
            for transaction in transactions {
                prop_assert!(transaction.revision > cursor && transaction.revision <= through);
                cursor = transaction.revision;
                for change in &transaction.changes {
                    let place = (change.table.0, change.key.to_vec());
                    prop_assert_eq!(rows.remove(&place), change.old.as_ref().map(|row| row.to_vec()));
                    if let Some(row) = &change.new {
                        rows.insert(place, row.to_vec());
                    }
                }
            }
            cursor = through;
            let mut there = BTreeMap::new();
            for table in ["count", "kv", "later"] {
                let id = mount.database().table(table).unwrap();
                let scan = isx_store::Scan::all(id);
                for (key, row) in mount.database().scan(&scan, None, 100, 1 << 20).unwrap().rows {
                    there.insert((id.0, key.to_vec()), row.to_vec());
                }
            }
            prop_assert_eq!(&rows, &there);
        }
    }
}

#[test]
fn beyond_the_ring_is_a_reset() {
    let mut stage = Stage::mounted();
    let count = 2 * RING_BYTES_MAX / (200 * 1024);
    for n in 0..count {
        stage.one(bare(put(ONE, &format!("key {n}"), vec![0; 200 * 1024])));
    }
    let view = stage.machine.view();
    let mount = view.mount(&ONE).unwrap();
    let now = mount.revision();
    assert_eq!(mount.changes_after(INCARNATION, Revision(1)), Resume::Reset(now));
    assert_eq!(mount.changes_after(INCARNATION, now.next()), Resume::Ahead(now));
    assert_eq!(mount.changes_after(Incarnation(4), now), Resume::Reset(now));
    let end = Resume::Continue { transactions: vec![], through: now };
    assert_eq!(mount.changes_after(INCARNATION, now), end);
    // At the edge: the oldest revision that continues has every transaction after it.
    let edge = (1..now.0).find(|at| matches!(mount.changes_after(INCARNATION, Revision(*at)), Resume::Continue { .. }));
    let edge = Revision(edge.unwrap());
    let Resume::Continue { transactions, .. } = mount.changes_after(INCARNATION, edge) else { panic!("at the edge") };
    let revisions: Vec<_> = transactions.iter().map(|transaction| transaction.revision.0).collect();
    assert_eq!(revisions, (edge.0 + 1..=now.0).collect::<Vec<_>>());
    let bytes: usize = transactions.iter().map(|transaction| transaction.changes.encoded_len()).sum();
    assert!(bytes <= RING_BYTES_MAX && bytes > RING_BYTES_MAX / 2, "{bytes}");
}
