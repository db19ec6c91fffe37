//! With a node: a module mounted, and many calls of it in flight.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use isx::rom::iface::anchor::MountLimits;
use isx::rom::iface::publish::{mount_or_upgrade, upload};
use isx::rom::iface::{Anchor as _, Host as _, ObjectRef};
use isx::rom::{Host, Result, call, session};

/// The module, which was built before.
const TALLY: &[u8] = isx::embed!("tally");
const NAME: &str = "rom-probe";

async fn mount(host: &Host) -> Result<ObjectRef> {
    let home = host.walk("/self".into()).await?;
    let code = upload(host, TALLY, |_| {}).await?;
    let none = MountLimits { fuel_max: None, table_bytes_max: None };
    mount_or_upgrade(&home, NAME, code, none, session()).await?;
    home.walk(NAME.into()).await?.object().await
}

/// So many calls, all of them begun before the first answer is taken.
pub async fn calls(host: &Host, count: usize) -> Result {
    let tally = mount(host).await?;
    let mut calls: FuturesUnordered<_> =
        (0..count).map(|_| call::<u64>(&tally, "add", ("call".to_string(), 1_u64))).collect();
    let mut seen = vec![false; count];
    while let Some(answer) = calls.next().await {
        let answer = usize::try_from(answer?).unwrap_or(0);
        assert!(!std::mem::replace(&mut seen[answer - 1], true), "{answer} was answered twice");
    }
    let total: u64 = call(&tally, "total", ()).await?;
    println!("{} of {count} answered, {total} in all", seen.iter().filter(|seen| **seen).count());
    Ok(())
}
