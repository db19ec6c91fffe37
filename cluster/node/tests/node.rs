//! A node in this process: what it keeps over a crash, whom it lets in.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use isx_iface::{Anchor, Host, HostStub, Login, LoginStub};
use isx_net::{Config as NetConfig, Key, Libp2p};
use isx_node::real::SystemClock;
use isx_node::{Config, Node, StartError};
use isx_port::Net;
use isx_row::{Bytes, Code};
use isx_vat::{PROTOCOL, connect, vats};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn config(folder: &Path, public: bool) -> Config {
    Config {
        state_dir: folder.to_path_buf(),
        alias: "alpha".into(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
        http: None,
        public,
        history: None,
        budgets: isx_node::Budgets::default(),
        exec: isx_exec::Ports::here(),
    }
}

/// A component that exports what a program does, and has nothing.
fn program() -> Vec<u8> {
    wat::parse_str(r#"(component (instance $none) (export "wasi:cli/run@0.2.0" (instance $none)))"#).unwrap()
}

fn text(value: &str) -> Option<Bytes> {
    Some(Bytes(value.as_bytes().to_vec()))
}

/// Logs in over the network as somebody else.
async fn stranger(node: &Node, secret: Option<[u8; 32]>) -> Result<HostStub, isx_row::Error> {
    let handle = tokio::runtime::Handle::current();
    let net = Libp2p::start(&handle, NetConfig { key: Key::from_seed([9; 32]), listen: vec![] }).await.unwrap();
    let peer = net.learn(&node.addresses()[0]).unwrap();
    let stream = net.open(peer, PROTOCOL, Duration::from_secs(10)).await.unwrap();
    let (vats, driving) = vats();
    std::thread::spawn(move || futures::executor::block_on(driving.drive()));
    let (login, connection) = connect(stream, Arc::new(SystemClock::start(handle)));
    vats.drive(connection).unwrap();
    let host = LoginStub(login).login(secret.map(|secret| Bytes(secret.to_vec()))).await?;
    // The first call shows whether the login was admitted; the network lives as long as the test.
    host.whoami().await?;
    std::mem::forget((net, vats));
    Ok(host)
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    for life in 0..3 {
        let runtime = runtime();
        runtime.block_on(async {
            let node = Node::start(config(folder.path(), false)).await.unwrap();
            let home = node.host().walk("/self".into()).await.unwrap();
            for earlier in 0..life {
                let value = home.walk(format!("life-{earlier}")).await.unwrap().get().await.unwrap();
                assert_eq!(value, text("lived"), "life {earlier}");
            }
            home.make(format!("life-{life}")).await.unwrap().set(text("lived")).await.unwrap();
        });
        // Ends every task where it stands: a crash.
        runtime.shutdown_timeout(Duration::from_secs(10));
    }
}

#[test]
fn a_lost_log_is_no_beginning_and_a_beginning_cut_short_is() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let runtime = runtime();
        let started = runtime.block_on(Node::start(config(folder.path(), false)));
        let error = started.err().map(|error| error.to_string());
        runtime.shutdown_timeout(Duration::from_secs(10));
        error
    };
    assert_eq!(start(), None);
    std::fs::remove_dir_all(folder.path().join("wal")).unwrap();
    assert!(start().is_some(), "what the log held is lost: this is another node");

    // As a crash leaves it between the identity and the first write to the log.
    std::fs::remove_file(folder.path().join("begun")).unwrap();
    assert_eq!(start(), None);
}

#[test]
fn a_stop_in_order_keeps_everything_too() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let node = Node::start(config(folder.path(), false)).await.unwrap();
        node.host().walk("/self".into()).await.unwrap().make("a".into()).await.unwrap().set(text("1")).await.unwrap();
        let second = Node::start(config(folder.path(), false)).await.err().unwrap();
        assert!(matches!(second, StartError::State(isx_node::StateError::InUse { .. })), "{second}");
        node.stop().await.unwrap();
        let node = Node::start(config(folder.path(), false)).await.unwrap();
        let value = node.host().walk("/alpha/a".into()).await.unwrap().get().await.unwrap();
        assert_eq!(value, text("1"));
        node.stop().await.unwrap();
    });
}

#[test]
fn a_dropped_node_is_gone_with_its_connections_and_lets_the_folder_go() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let node = Node::start(config(folder.path(), false)).await.unwrap();
        let caller = stranger(&node, Some(*node.secret())).await.unwrap();
        let a = caller.walk("/self".into()).await.unwrap().make("a".into()).await.unwrap();
        a.set(text("1")).await.unwrap();
        drop(node);
        let code = caller.whoami().await.err().unwrap().code;
        assert!(matches!(code, Code::Disconnected | Code::Unknown), "{code:?}");

        let node = Node::start(config(folder.path(), false)).await.unwrap();
        let value = node.host().walk("/alpha/a".into()).await.unwrap().get().await.unwrap();
        assert_eq!(value, text("1"));
        node.stop().await.unwrap();
    });
}

#[test]
fn strangers_are_refused_and_the_secret_admits() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let node = Node::start(config(folder.path(), false)).await.unwrap();
        assert_eq!(stranger(&node, None).await.err().unwrap().code, Code::NotFound);
        assert_eq!(stranger(&node, Some([0; 32])).await.err().unwrap().code, Code::NotFound);
        let owner = stranger(&node, Some(*node.secret())).await.unwrap();
        assert!(owner.whoami().await.unwrap().owner);
        owner.walk("/self".into()).await.unwrap().make("a".into()).await.unwrap();
        node.stop().await.unwrap();
    });
}

#[test]
fn a_public_node_shows_strangers_what_is_public_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let node = Node::start(config(folder.path(), true)).await.unwrap();
        node.host().walk("/self".into()).await.unwrap().make("secret".into()).await.unwrap();
        let stranger = stranger(&node, None).await.unwrap();
        assert!(!stranger.whoami().await.unwrap().owner);
        let private = stranger.walk("/self/secret".into()).await.err().unwrap();
        let missing = stranger.walk("/self/nothing".into()).await.err().unwrap();
        assert_eq!((private.code, missing.code), (Code::NotFound, Code::NotFound));
        assert_eq!(private.text.replace("secret", "nothing"), missing.text, "denied and missing look alike");
        assert_eq!(stranger.stop().await.err().unwrap().code, Code::NotFound);
        assert_eq!(stranger.status().await.err().unwrap().code, Code::NotFound);
        let blob = isx_iface::publish::upload(&node.host(), &program(), |_| ()).await.unwrap();
        assert_eq!(isx_iface::publish::download(&node.host(), blob, |_, _| ()).await.unwrap(), program());
        assert_eq!(stranger.blob_get(blob, 0).await.err().unwrap().code, Code::NotFound);
        node.stop().await.unwrap();
    });
}
