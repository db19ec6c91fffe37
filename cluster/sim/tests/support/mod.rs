//! What tests of several seeds share.
#![allow(dead_code, reason = "each test uses some of it")]

use isx_sim::Modules;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The guests that `cargo xtask guests` built.
pub fn modules() -> Arc<Modules> {
    let folder = std::env::var_os("ISX_GUESTS").map(PathBuf::from).unwrap_or_else(|| {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_isx-sim"));
        binary.ancestors().nth(2).expect("the target folder").join("guests")
    });
    Modules::of_folder(&folder).expect("a built tally")
}

/// Does `work` on two threads, each taking the next item.
pub fn on_two<T: Copy + Sync, R: Send>(items: &[T], work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let one = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else { return done };
            done.push((place, work(*item)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let other = scope.spawn(one);
        let mut done = one();
        done.extend(other.join().expect("a thread that ends"));
        done
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}
