//! A node holds to its processor time.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod load;

use futures::future::join_all;
use isx_node::Budgets;
use isx_node::real::cpu;
use isx_row::Code;
use load::{WITHIN, call, mount, run, start};
use std::time::{Duration, Instant};

/// Callers at once.
const CALLERS: usize = 32;
const LOADED_FOR: Duration = Duration::from_secs(4);
/// A tenth of a processor.
const CPU_MILLI: u64 = 100;

/// Loads a node for a while: calls answered, and the share of a processor that the process used.
async fn loaded(budgets: Budgets) -> (usize, f64) {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path(), budgets).await;
    let object = mount(&node, "tally").await.unwrap();
    // What it took to get here is paid first.
    call(&object, "add", "a".into(), WITHIN).await.unwrap();
    let (begun, used) = (Instant::now(), cpu());
    let caller = |number: usize| {
        let object = object.clone();
        async move {
            let mut answered = 0;
            while begun.elapsed() < LOADED_FOR {
                call(&object, "add", format!("key {number}"), WITHIN).await.unwrap();
                answered += 1;
            }
            answered
        }
    };
    let answered: usize = join_all((0..CALLERS).map(caller)).await.into_iter().sum();
    let share = (cpu() - used).as_secs_f64() / begun.elapsed().as_secs_f64();
    assert_eq!(load::total(&object).await, answered as u64 + 1, "each call happened once");
    node.stop().await.unwrap();
    (answered, share)
}

#[test]
fn a_node_uses_no_more_than_its_share_and_goes_on() {
    run(async {
        let (freely, free_share) = loaded(Budgets::default()).await;
        let budgets = Budgets { cpu_milli: Some(CPU_MILLI), ..Budgets::default() };
        let (held, held_share) = loaded(budgets).await;
        println!("freely {freely} calls with {free_share:.2}, held {held} with {held_share:.2}");
        let max = CPU_MILLI as f64 / 1000.0;
        assert!(held_share < 1.6 * max, "it used {held_share} of {max}, freely {free_share}");
        assert!(free_share > 2.0 * held_share, "freely {free_share}, held {held_share}: the load is no load");
        assert!(held >= CALLERS && freely > held, "freely {freely} calls, held {held}");
    });
}

#[test]
fn who_does_not_wait_is_told_that_the_node_is_busy_and_nothing_happened() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        // Compiling the module takes more than many seconds of this bring.
        let node = start(folder.path(), Budgets { cpu_milli: Some(1), ..Budgets::default() }).await;
        let object = mount(&node, "tally").await.unwrap();
        let busy = call(&object, "add", "a".into(), Duration::from_millis(50)).await.err().unwrap();
        assert!(busy.code == Code::Busy && busy.text.contains("--cpu-max 0.1%"), "{busy}");
        assert!(busy.retry_after_ms.is_some_and(|wait| wait > 0), "{busy:?}");
        node.stop().await.unwrap();

        let node = start(folder.path(), Budgets::default()).await;
        let object = mount(&node, "tally").await.unwrap();
        assert_eq!(load::total(&object).await, 0);
        node.stop().await.unwrap();
    });
}
