//! A node holds to its memory.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod load;

use isx_iface::{Anchor, Host};
use isx_node::Budgets;
use isx_node::real::memory_bytes;
use isx_row::{Bytes, Code};
use load::{WITHIN, call, fill, key, mount, remove, run, start};

const MEMORY_BYTES: u64 = 48 * 1024 * 1024;
/// What a node takes beside its state, under load: its log's cache, what is on its way, a snapshot being written.
const BESIDE_BYTES: u64 = 256 * 1024 * 1024;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

async fn state_bytes(node: &isx_node::Node) -> u64 {
    let status = node.host().status().await.unwrap();
    let memory = status.budgets.into_iter().find(|budget| budget.resource == "memory").unwrap();
    assert_eq!(memory.max, Some(MEMORY_BYTES));
    memory.used.unwrap()
}

#[test]
fn a_node_takes_no_more_state_than_it_may_and_what_makes_it_smaller_works() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let budgets = Budgets { memory_bytes: Some(MEMORY_BYTES), ..Budgets::default() };
        let node = start(folder.path(), budgets).await;
        let object = mount(&node, "tally").await.unwrap();
        let before = memory_bytes();
        let (kept, refused) = fill(&object, 128, 100_000, |kept| {
            let taken = memory_bytes().saturating_sub(before);
            assert!(taken <= 2 * MEMORY_BYTES + BESIDE_BYTES, "{taken} bytes at {kept} rows");
        })
        .await;
        assert!(refused.code == Code::Limit && refused.text.contains("--memory-max"), "{refused}");
        let full = state_bytes(&node).await;
        assert!(full <= MEMORY_BYTES + MEMORY_BYTES / 20, "{full}");
        assert!(full >= MEMORY_BYTES * 4 / 5 && kept > 1000, "{full} with {kept} rows");

        // What adds nothing works, and what is refused changes nothing.
        call(&object, "add", key(0), WITHIN).await.unwrap();
        let refused = call(&object, "add", key(200_000), WITHIN).await.err().unwrap();
        assert_eq!(refused.code, Code::Limit);
        let home = node.host().walk("/self".into()).await.unwrap();
        let refused = home.make("cell".into()).await.err().unwrap();
        assert_eq!(refused.code, Code::Limit, "{refused}");
        let refused = mount(&node, "second").await.err().unwrap();
        assert!(refused.text.contains("--memory-max"), "{refused}");
        assert_eq!(load::total(&object).await, kept as u64 + 1);

        remove(&object, 1..kept / 2, 128).await;
        assert!(state_bytes(&node).await < full * 4 / 5);
        call(&object, "add", key(200_000), WITHIN).await.unwrap();
        home.make("cell".into()).await.unwrap().set(Some(Bytes(vec![1; 1000]))).await.unwrap();
        node.stop().await.unwrap();
    });
}
