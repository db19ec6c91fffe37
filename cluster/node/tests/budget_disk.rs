//! A node holds to its room on disk.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod load;

use isx_iface::{Anchor, Host};
use isx_node::Budgets;
use isx_node::real::space;
use isx_row::Code;
use load::{WITHIN, call, fill, key, mount, remove, run, start};
use std::time::{Duration, Instant};

const DISK_BYTES: u64 = 128 * 1024 * 1024;

#[test]
fn a_node_takes_no_more_disk_than_it_may_and_what_makes_it_smaller_works() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let budgets = Budgets { disk_bytes: Some(DISK_BYTES), ..Budgets::default() };
        let node = start(folder.path(), budgets).await;
        let object = mount(&node, "tally").await.unwrap();
        let look = |at: usize| {
            let space = space(folder.path());
            assert!(space.total_bytes() <= DISK_BYTES, "{space:?} at {at}");
        };
        let (kept, refused) = fill(&object, 128, 100_000, look).await;
        assert!(refused.code == Code::Limit && refused.text.contains("--disk-max"), "{refused}");
        assert!(kept > 1000, "it took {kept}: {:?}", space(folder.path()));
        call(&object, "add", key(0), WITHIN).await.expect("what adds nothing works");
        for from in (1..kept / 2).step_by(512) {
            remove(&object, from..from + 512, 128).await;
            look(from);
        }
        let there = load::total(&object).await;

        // What was deleted leaves room, with the next snapshot.
        let until = Instant::now() + WITHIN;
        while let Err(error) = call(&object, "add", key(200_000), WITHIN).await {
            assert!(Instant::now() < until, "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        node.stop().await.unwrap();
        look(0);

        // What was acknowledged is there.
        let node = start(folder.path(), budgets).await;
        let object = node.host().walk("/self/tally".into()).await.unwrap().object().await.unwrap();
        assert_eq!(load::total(&object).await, there + 1);
        node.stop().await.unwrap();
    });
}
