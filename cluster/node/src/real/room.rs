//! Looks from time to time how much of its disk a node takes, and has room made.

use crate::budget::MakeRoom;
use crate::limits::{ROOM_LOOK_EVERY, ROOM_LOOK_PARTS};
use crate::shared::Shared;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Begins a thread that looks until the node is gone. Looking blocks, and what the lanes do for long must not delay it.
pub(crate) fn keep_room(shared: Weak<Shared>) -> io::Result<()> {
    let makes_room = Arc::new(AtomicBool::new(false));
    let keep = move || {
        while let Some(node) = shared.upgrade() {
            let begun = Instant::now();
            if let Some(what) = node.governor.look()
                && !*node.stopping.borrow()
                && !makes_room.swap(true, Ordering::Relaxed)
            {
                let makes_room = makes_room.clone();
                let made = make_room(node.clone(), what);
                let make = async move {
                    made.await;
                    makes_room.store(false, Ordering::Relaxed);
                };
                node.ports.spawn.spawn("make room", Box::pin(make));
            }
            drop(node);
            std::thread::sleep((begun.elapsed() * ROOM_LOOK_PARTS).max(ROOM_LOOK_EVERY));
        }
    };
    std::thread::Builder::new().name("isx-room".into()).spawn(keep).map(drop)
}

async fn make_room(node: Arc<Shared>, what: MakeRoom) {
    let made = match what {
        MakeRoom::ShortenLog => node.raft.shorten_log().await,
        MakeRoom::ForgetPast => node.raft.forget_past().await.map(drop),
    };
    if let Err(error) = made {
        tracing::warn!(%error, ?what, "no room was made on the disk");
    }
}
