//! A ROM that does what ROMs can do, one thing for each first argument. Knows nothing of who runs it: tests of `host/rom` give
//! it objects of their own at `/self/fake`, tests of the command line a node.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program with standard output")]

mod node;
mod streams;

use futures::future::{Either, join_all, select};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use isx::rom::iface::{Host as _, ObjectRef};
use isx::rom::{Code, Error, Host, Result, call, sleep, timeout};
use std::pin::pin;
use std::time::{Duration, Instant};

isx::wants!(
    "host.walk=/self",
    "host.walk=/self/fake",
    "host.walk=/self/probe",
    "host.blob_begin",
    "host.blob_put",
    "host.blob_done",
    "anchor.mount=/self/rom-probe",
    "anchor.walk=/self/rom-probe",
    "anchor.module=/self/rom-probe",
    "anchor.object=/self/rom-probe",
    "module.upgrade=/self/rom-probe",
    "anchor.object=/self/probe",
    "probe.cursor=/self/probe",
    "probe.cursor.put=/self/probe",
    "tally",
    "fake",
);

/// A time that no test waits for.
const FOR_EVER: Duration = Duration::from_secs(3_600);

/// Runs the ROM.
#[isx::main]
pub async fn main(host: Host) -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["calls", count] => node::calls(&host, number(count)?).await,
        ["point", count] => node::point(&host, number(count)?).await,
        ["hold", count] => hold(&host, number(count)?).await,
        ["select"] => selected(&host).await,
        ["timeout"] => timed_out(&host).await,
        ["timers"] => timers().await,
        ["ask"] => {
            eprintln!("asking");
            call::<u64>(&fake(&host).await?, "slow", ()).await.map(drop)
        }
        ["wait"] => {
            eprintln!("waiting");
            sleep(FOR_EVER).await;
            Ok(())
        }
        ["spin"] => {
            eprintln!("spinning");
            let begun = Instant::now();
            while begun.elapsed() < FOR_EVER {
                std::hint::spin_loop();
            }
            Ok(())
        }
        ["exit", code] => isx::rom::exit(u8::try_from(number(code)?).unwrap_or(u8::MAX)),
        ["fail"] => Err(Error::new(Code::Conflict, "it was told to fail")),
        ["panic"] => panic!("it was told to panic"),
        ["tell"] => {
            std::env::vars().for_each(|(name, value)| println!("{name}={value}"));
            Ok(())
        }
        ["upper"] => streams::upper().await,
        ["pour"] => streams::pour().await,
        ["pour", "blocking"] => streams::pour_blocking(),
        _ => Err(Error::new(Code::BadArguments, format!("there is no {words:?}"))),
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse().map_err(|_| Error::new(Code::BadArguments, format!("{text:?} is no number")))
}

async fn fake(host: &Host) -> Result<ObjectRef> {
    Ok(host.walk("/self/fake".into()).await?.0)
}

/// So many calls at once, of an object that answers none before it has all.
async fn hold(host: &Host, count: usize) -> Result {
    let fake = fake(host).await?;
    let answers = join_all((0..count).map(|number| call::<u64>(&fake, "hold", (number as u64,)))).await;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    let wrong = answers.iter().enumerate().filter(|(number, answer)| *number as u64 != **answer).count();
    println!("{} answers, {wrong} of them another's", answers.len());
    Ok(())
}

/// The first of two answers; the other call is dropped.
async fn selected(host: &Host) -> Result {
    let fake = fake(host).await?;
    let first = {
        let (slow, fast) = (pin!(call::<u64>(&fake, "slow", ())), pin!(call::<u64>(&fake, "fast", (7_u64,))));
        match select(slow, fast).await {
            Either::Left(_) => "slow".into(),
            Either::Right((answer, _)) => format!("fast {}", answer?),
        }
    };
    println!("{first}, {} cancelled", call::<u64>(&fake, "cancelled", ()).await?);
    Ok(())
}

/// A call that is given up, and what is called after it.
async fn timed_out(host: &Host) -> Result {
    let fake = fake(host).await?;
    let error = timeout(Duration::from_millis(20), call::<u64>(&fake, "slow", ())).await.err();
    let word = error.map_or("done", |error| error.code.word());
    println!("{word}, {} cancelled", call::<u64>(&fake, "cancelled", ()).await?);
    println!("{}", timeout(FOR_EVER, call::<u64>(&fake, "fast", (8_u64,))).await??);
    Ok(())
}

/// No timer is early, and none holds up another.
async fn timers() -> Result {
    let begun = Instant::now();
    let long = sleep(FOR_EVER).map(|()| FOR_EVER).boxed_local();
    let short = [90, 30, 60].map(Duration::from_millis);
    let mut timers: FuturesUnordered<_> =
        short.into_iter().map(|time| sleep(time).map(move |()| time).boxed_local()).chain([long]).collect();
    for _ in short {
        let time = timers.next().await.unwrap_or(FOR_EVER);
        assert!(begun.elapsed() >= time, "{time:?} was over too early");
    }
    let many = (0..200).map(|_| sleep(Duration::from_millis(500)));
    join_all(many).await;
    assert!(begun.elapsed() < Duration::from_secs(60), "200 timers one after another");
    println!("all in time");
    Ok(())
}
