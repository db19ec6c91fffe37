//! A node of this process, with tally mounted at `/self/tally`.

use crate::{Outcome, environment, guests};
use isx_iface::anchor::MountLimits;
use isx_iface::publish::{mount_or_upgrade, upload};
use isx_iface::{Anchor, Host, HostStub, ObjectRef};
use isx_node::{Config, Node};
use isx_row::{SessionId, Time};
use std::future::Future;
use tempfile::TempDir;

/// Runs on a runtime like a node's.
pub fn run<T>(body: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(body)
}

/// A node in a state folder of its own, which must outlive it.
pub async fn node() -> Outcome<(TempDir, Node)> {
    let folder = tempfile::tempdir_in(environment::folder())?;
    let listen = vec!["/ip4/127.0.0.1/tcp/0".into()];
    let (state_dir, exec) = (folder.path().join("state"), isx_exec::Ports::here());
    let node = Node::start(Config {
        state_dir,
        alias: "bench".into(),
        listen,
        http: None,
        public: false,
        history: None,
        budgets: isx_node::Budgets::default(),
        exec,
    })
    .await?;
    Ok((folder, node))
}

/// Mounts tally.
pub async fn mount_tally(host: &HostStub) -> Outcome<ObjectRef> {
    let code = upload(host, &guests::tally()?, |_| ()).await?;
    let home = host.walk("/self".into()).await?;
    let limits = MountLimits { fuel_max: None, table_bytes_max: None };
    mount_or_upgrade(&home, "tally", code, limits, SessionId::new(Time(0), 7)).await?;
    tally(host).await
}

/// The mounted tally.
pub async fn tally(host: &HostStub) -> Outcome<ObjectRef> {
    Ok(host.walk("/self/tally".into()).await?.object().await?)
}

/// Calls tally's `add`.
pub async fn add(tally: ObjectRef, number: u64) -> Outcome<()> {
    let answer = tally.call(guests::add_call(number)?).await?;
    if answer.application_error.is_none() { Ok(()) } else { Err("tally refused".into()) }
}
