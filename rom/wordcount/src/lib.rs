//! Counts the words of the text on standard input, one call a word, in a replicated module.
//!
//! It mounts the module it carries at `/self/wordcount`, keeps 256 calls in flight, follows the module's table of
//! totals to show how far the cluster is, and prints the most frequent words. A word is a run of Unicode alphanumerics,
//! lower-cased.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program with standard output")]

use futures::future::{Either, select};
use futures::{StreamExt, TryStreamExt, stream};
use isx::rom::iface::anchor::MountLimits;
use isx::rom::iface::publish::{mount_or_upgrade, upload};
use isx::rom::iface::{Anchor as _, Host as _, ObjectRef, table};
use isx::rom::{Host, Result, call, session};
use std::io::Read;

isx::wants!(
    "host.walk=/self",
    "host.blob_begin",
    "host.blob_put",
    "host.blob_done",
    "anchor.mount=/self/wordcount",
    "anchor.walk=/self/wordcount",
    "anchor.module=/self/wordcount",
    "anchor.object=/self/wordcount",
    "module.upgrade=/self/wordcount",
    "tally",
);

/// The module that counts.
const TALLY: &[u8] = isx::embed!("tally");
/// Calls in flight.
const IN_FLIGHT_MAX: usize = 256;
/// The home's name of the mount.
const NAME: &str = "wordcount";
/// Words between two lines of progress.
const PROGRESS_COUNT: u64 = 50_000;
/// Words in the answer.
const TOP_COUNT: u32 = 10;

/// The words of a text, in order.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Runs the ROM.
#[isx::main]
pub async fn main(host: Host) -> Result {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| {
        isx::rom::Error::new(isx::rom::Code::Malformed, format!("standard input is not text: {error}"))
    })?;
    let tally = mount(&host).await?;
    let before: u64 = call(&tally, "total", ()).await?;
    let calls = stream::iter(words(&text))
        .map(|word| call::<u64>(&tally, "add", (word, 1_u64)))
        .buffer_unordered(IN_FLIGHT_MAX)
        .try_fold(0_u64, |counted, _| async move { Ok(counted + 1) });
    let progress = progress(&tally, before);
    futures::pin_mut!(calls, progress);
    let counted = match select(calls, progress).await {
        Either::Left((counted, _)) => counted?,
        Either::Right((ended, calls)) => {
            ended?;
            calls.await?
        }
    };
    let total: u64 = call(&tally, "total", ()).await?;
    let top: Vec<(String, u64)> = call(&tally, "top", (TOP_COUNT,)).await?;
    for (word, count) in top {
        println!("{count:>9} {word}");
    }
    println!("{:>9} words in all, {counted} of them counted now", total);
    Ok(())
}

async fn mount(host: &Host) -> Result<ObjectRef> {
    let home = host.walk("/self".into()).await?;
    let code = upload(host, TALLY, |_| {}).await?;
    let none = MountLimits { fuel_max: None, table_bytes_max: None };
    let (_, anew) = mount_or_upgrade(&home, NAME, code, none, session()).await?;
    eprintln!("{} /self/{NAME}", if anew { "mounted" } else { "found" });
    home.walk(NAME.into()).await?.object().await
}

/// Says how far the cluster is, as the module's own table says it.
async fn progress(tally: &ObjectRef, before: u64) -> Result {
    let mut steps = table::follow(tally, "sum", None).await?;
    let mut next = PROGRESS_COUNT;
    while let Some(step) = steps.next().await {
        let step = step?;
        let Some(row) = step.changes.last().and_then(|change| change.new.as_ref()) else { continue };
        let counted = total_of(&row.0).unwrap_or(before).saturating_sub(before);
        if counted >= next {
            eprintln!("{counted} words counted, at revision {}", step.revision);
            next = counted - counted % PROGRESS_COUNT + PROGRESS_COUNT;
        }
    }
    Ok(())
}

/// The count in a row of the table `sum`: two bytes of version, the key, the count.
fn total_of(row: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(row.last_chunk::<8>().copied()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_alphanumerics_in_lower_case() {
        assert_eq!(words("Fn main() { ÄÖ_42 }").collect::<Vec<_>>(), ["fn", "main", "äö", "42"]);
        assert_eq!(words(" …").count(), 0);
    }
}
