//! Lists what is mounted in the home of the node that runs it.

use isx::rom::iface::{Anchor as _, Host as _};
use isx::rom::{Host, Result};

// What it wants; whoever runs it allows it with `--allow RULE`, or all of it with `-A`.
isx::wants!("host.walk=/self", "anchor.ls=/self");

/// Runs the ROM.
#[isx::main]
pub async fn main(host: Host) -> Result {
    let home = host.walk("/self".into()).await?;
    let mut after = None;
    loop {
        let page = home.ls(after).await?;
        for entry in &page.entries {
            println!("{}", entry.name);
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
