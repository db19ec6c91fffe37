//! Mounts the module that it carries, and has it greet everybody named in its arguments.

use isx::rom::iface::anchor::MountLimits;
use isx::rom::iface::publish::{mount_or_upgrade, upload};
use isx::rom::iface::{Anchor as _, Host as _};
use isx::rom::{Host, Result, call, session};

// What it wants; whoever runs it allows it with `--allow RULE`, or all of it with `-A`.
isx::wants!(
    "host.walk=/self",
    "host.blob_begin",
    "host.blob_put",
    "host.blob_done",
    "anchor.mount=/self/{{name}}",
    "anchor.walk=/self/{{name}}",
    "anchor.module=/self/{{name}}",
    "anchor.object=/self/{{name}}",
    "module.upgrade=/self/{{name}}",
    "{{name}}",
);

/// The module.
const MODULE: &[u8] = isx::embed!("module");

/// Runs the ROM.
#[isx::main]
pub async fn main(host: Host) -> Result {
    let home = host.walk("/self".into()).await?;
    let code = upload(&host, MODULE, |_| {}).await?;
    let limits = MountLimits { fuel_max: None, table_bytes_max: None };
    mount_or_upgrade(&home, "{{name}}", code, limits, session()).await?;
    let greeter = home.walk("{{name}}".into()).await?.object().await?;
    for name in std::env::args().skip(1) {
        let said: String = call(&greeter, "greet", (name.clone(),)).await?;
        let count: u64 = call(&greeter, "count", (name,)).await?;
        println!("{said} ({count})");
    }
    Ok(())
}
