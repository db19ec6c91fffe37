//! Standard input and output.

use futures::future::{Either, select};
use isx::rom::{Result, sleep, stdin, stdout};
use std::io::Write;
use std::pin::pin;
use std::time::Duration;

/// Each line in upper case, as soon as it is there; timers go on while the next is awaited.
pub async fn upper() -> Result {
    let (mut input, mut output) = (stdin(), stdout());
    let mut ticks_count = 0;
    loop {
        let line = {
            let mut line = pin!(input.line());
            loop {
                match select(line.as_mut(), pin!(sleep(Duration::from_millis(10)))).await {
                    Either::Left((line, _)) => break line?,
                    Either::Right(_) => ticks_count += 1,
                }
            }
        };
        let Some(line) = line else { break };
        if line == "ticks?" {
            output.write(format!("ticks {}\n", if ticks_count > 0 { "some" } else { "none" })).await?;
            continue;
        }
        output.write(format!("{}\n", line.to_uppercase())).await?;
    }
    output.end().await
}

/// Writes until nobody reads, and says on standard error how much went.
pub async fn pour() -> Result {
    let mut output = stdout();
    eprintln!("pouring");
    loop {
        output.write(vec![b'x'; 4_096]).await?;
    }
}

/// The same with the standard library.
pub fn pour_blocking() -> Result {
    eprintln!("pouring");
    loop {
        std::io::stdout().write_all(&[b'y'; 4_096]).expect("it is written");
    }
}
