//! Standard input and output.

use futures::future::{Either, select};
use isx::rom::{Result, sleep, stdin, stdout};
use std::io::Write;
use std::pin::pin;
use std::time::Duration;

/// Each line in upper case, as soon as it is there; `tick` is answered by a timer that goes on while the next is awaited.
pub async fn upper() -> Result {
    let (mut input, mut output) = (stdin(), stdout());
    let mut is_asked = false;
    loop {
        let line = {
            let mut line = pin!(input.line());
            loop {
                match select(line.as_mut(), pin!(sleep(Duration::from_millis(10)))).await {
                    Either::Left((line, _)) => break line?,
                    Either::Right(_) if std::mem::take(&mut is_asked) => output.write("TICK\n").await?,
                    Either::Right(_) => {}
                }
            }
        };
        let Some(line) = line else { break };
        is_asked = line == "tick";
        if is_asked {
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
