//! With a node: a module mounted, and many calls of it in flight; last values put and followed.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use isx::Signature;
use isx::rom::iface::anchor::MountLimits;
use isx::rom::iface::publish::{mount_or_upgrade, upload};
use isx::rom::iface::table::{Doing, change, follow};
use isx::rom::iface::{Anchor as _, Host as _, ObjectRef, payload};
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

/// Moves a hand so many times, and follows it until it has come to rest; takes none away, for it does not want to.
pub async fn point(host: &Host, count: usize) -> Result {
    let probe = host.walk("/self/probe".into()).await?.object().await?;
    let mut steps = follow(&probe, "cursor", None).await?;
    let columns = |x: usize| payload::encode(&(9_u8, x as f32, format!("at {x}")));
    for x in 1..=count {
        change(&probe, ("cursor", Doing::Put), Signature::ANY, columns(x)?).await?;
    }
    let rest = format!("at {count}").into_bytes();
    let mut told = 0;
    while let Some(step) = steps.next().await {
        let rows: Vec<_> = step?.changes.into_iter().filter_map(|change| change.new).collect();
        told += rows.len();
        if rows.iter().any(|row| row.0.ends_with(&rest)) {
            break;
        }
    }
    assert!((1..=count).contains(&told), "{told} of {count}");
    let refused = change(&probe, ("cursor", Doing::Delete), Signature::ANY, payload::encode(&(9_u8,))?).await;
    println!("at rest, {}", refused.err().map_or("deleted", |error: isx::Error| error.code.word()));
    Ok(())
}
