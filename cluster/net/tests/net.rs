//! Two networks on loopback.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use futures::future::join_all;
use futures::{AsyncReadExt, AsyncWriteExt};
use isx_net::limits::{ACCEPT_QUEUE_COUNT_MAX, HANDSHAKE_WITHIN};
use isx_net::{Config, Key, Libp2p, StartError, peer_text};
use isx_port::{Net, NetError, PeerId, Protocol, Stream};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Handle, Runtime};

const ECHO: Protocol = Protocol("/isx/test/echo/1");
const SOON: Duration = Duration::from_secs(10);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn node(seed: u8) -> Libp2p {
    let listen = vec!["/ip4/127.0.0.1/tcp/0".into()];
    Libp2p::start(&Handle::current(), Config { key: Key::from_seed([seed; 32]), listen }).await.unwrap()
}

/// Answers every stream with its own bytes, and the opener's name first.
async fn echo(node: &Libp2p) {
    let mut incoming = node.accept(ECHO).unwrap();
    tokio::spawn(async move {
        while let Some((peer, mut stream)) = incoming.next().await {
            tokio::spawn(async move {
                let mut bytes = [0; 1024];
                stream.write_all(&peer.0).await.unwrap();
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    stream.write_all(&bytes[..count]).await.unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
}

async fn say(stream: &mut Box<dyn Stream>, text: &[u8]) -> (PeerId, Vec<u8>) {
    let (mut peer, mut answer) = ([0; 32], vec![0; text.len()]);
    stream.write_all(text).await.unwrap();
    stream.flush().await.unwrap();
    stream.read_exact(&mut peer).await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    (PeerId(peer), answer)
}

/// The port of the first address.
fn port(node: &Libp2p) -> u16 {
    node.listen_addresses()[0].split('/').nth(4).unwrap().parse().unwrap()
}

#[test]
fn streams_carry_bytes_and_the_proved_peer_both_ways() {
    runtime().block_on(async {
        let (server, client) = (node(1).await, node(2).await);
        echo(&server).await;
        echo(&client).await;
        let peer = client.learn(&server.listen_addresses()[0]).unwrap();
        assert_eq!(peer, server.local());
        let mut stream = client.open(peer, ECHO, SOON).await.unwrap();
        assert_eq!(say(&mut stream, b"there").await, (client.local(), b"there".to_vec()));
        // Back over the connection there is: the server was told no address.
        let mut back = server.open(client.local(), ECHO, SOON).await.unwrap();
        assert_eq!(say(&mut back, b"and back").await, (server.local(), b"and back".to_vec()));
    });
}

#[test]
fn many_streams_opened_at_once_all_arrive() {
    runtime().block_on(async {
        let (server, client) = (node(1).await, node(2).await);
        echo(&server).await;
        let peer = client.learn(&server.listen_addresses()[0]).unwrap();
        // The first of them dial; one connection carries all.
        let streams = join_all((0..100).map(|_| client.open(peer, ECHO, SOON))).await;
        for stream in streams {
            let (who, answer) = say(&mut stream.unwrap(), b"x").await;
            assert_eq!((who, answer.as_slice()), (client.local(), b"x".as_slice()));
        }
    });
}

#[test]
fn streams_that_nobody_takes_are_reset_beyond_a_bound() {
    runtime().block_on(async {
        let (server, client) = (node(1).await, node(2).await);
        let mut incoming = server.accept(ECHO).unwrap();
        let peer = client.learn(&server.listen_addresses()[0]).unwrap();
        let mut kept = Vec::new();
        for _ in 0..ACCEPT_QUEUE_COUNT_MAX {
            let mut stream = client.open(peer, ECHO, SOON).await.unwrap();
            stream.write_all(b"?").await.unwrap();
            stream.flush().await.unwrap();
            kept.push(stream);
        }
        let mut beyond = client.open(peer, ECHO, SOON).await.unwrap();
        // libp2p agrees on the protocol when bytes come.
        let _ = beyond.write_all(b"?").await;
        let _ = beyond.flush().await;
        assert!(!matches!(beyond.read(&mut [0]).await, Ok(1..)), "it was reset");
        for _ in 0..ACCEPT_QUEUE_COUNT_MAX {
            assert_eq!(incoming.next().await.unwrap().0, client.local());
        }
    });
}

#[test]
fn every_open_has_an_end() {
    runtime().block_on(async {
        let (server, client) = (node(1).await, node(2).await);
        let refused = |result: Result<Box<dyn Stream>, NetError>| result.map(drop).unwrap_err();

        let unknown = refused(client.open(Key::from_seed([9; 32]).peer(), ECHO, SOON).await);
        assert!(matches!(unknown, NetError::Unreachable { .. }), "{unknown}");

        let no_key = refused(client.open(PeerId([0xff; 32]), ECHO, SOON).await);
        assert!(matches!(no_key, NetError::Unreachable { .. }), "{no_key}");

        // A port that was free a moment ago.
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let gone = Key::from_seed([8; 32]).peer();
        client.add_address(gone, &format!("/ip4/127.0.0.1/tcp/{closed}")).unwrap();
        let closed = refused(client.open(gone, ECHO, SOON).await);
        assert!(matches!(closed, NetError::Unreachable { .. }), "{closed}");

        let other = Key::from_seed([7; 32]).peer();
        client.add_address(other, &format!("/ip4/127.0.0.1/tcp/{}", port(&server))).unwrap();
        let wrong = refused(client.open(other, ECHO, SOON).await);
        assert!(matches!(&wrong, NetError::WrongPeer { found, .. } if *found == peer_text(server.local())), "{wrong}");

        let peer = client.learn(&server.listen_addresses()[0]).unwrap();
        let mute = refused(client.open(peer, ECHO, SOON).await);
        assert!(matches!(mute, NetError::Unsupported { .. }), "{mute}");

        // A listener that never answers: the caller's time ends it.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let quiet = Key::from_seed([6; 32]).peer();
        client.add_address(quiet, &format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port())).unwrap();
        let late = refused(client.open(quiet, ECHO, Duration::from_millis(200)).await);
        assert!(matches!(late, NetError::Unreachable { .. }), "{late}");
    });
}

#[test]
fn a_protocol_has_one_listener_at_a_time() {
    runtime().block_on(async {
        let node = node(1).await;
        let first = node.accept(ECHO).unwrap();
        assert!(matches!(node.accept(ECHO), Err(NetError::Busy { .. })));
        drop(first);
        let mut second = node.accept(ECHO).unwrap();
        drop(node);
        assert!(second.next().await.is_none(), "the network is closed");
    });
}

#[test]
fn addresses_that_do_not_read_are_refused() {
    runtime().block_on(async {
        let node = node(1).await;
        for address in [
            "",
            "nonsense",
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/127.0.0.1/tcp/1/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
        ] {
            assert!(node.learn(address).is_err(), "{address}");
        }
        let start = async |address: &str| {
            let config = Config { key: Key::from_seed([3; 32]), listen: vec![address.into()] };
            Libp2p::start(&Handle::current(), config).await.map(drop).unwrap_err()
        };
        assert!(matches!(start("nonsense").await, StartError::Address { .. }));
        let taken = format!("/ip4/127.0.0.1/tcp/{}", port(&node));
        assert!(matches!(start(&taken).await, StartError::Listen { .. }));
    });
}

#[test]
fn strangers_that_do_not_finish_the_handshake_are_closed() {
    runtime().block_on(async {
        let (server, client) = (node(1).await, node(2).await);
        echo(&server).await;
        let port = port(&server);
        let begun = Instant::now();
        let stranger = async |bytes: &[u8]| {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let _ = tokio::time::timeout(HANDSHAKE_WITHIN + SOON, stream.read_to_end(&mut answer)).await.unwrap();
        };
        let multistream = b"\x13/multistream/1.0.0\n";
        let noise = b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff";
        let honest = async {
            let peer = client.learn(&server.listen_addresses()[0]).unwrap();
            let mut stream = client.open(peer, ECHO, SOON).await.unwrap();
            assert_eq!(say(&mut stream, b"still here").await.1, b"still here");
        };
        futures::join!(
            stranger(b""),
            stranger(b"GET / HTTP/1.1\r\n\r\n"),
            stranger(&[0xff; 4096]),
            stranger(multistream),
            stranger(noise),
            honest,
        );
        assert!(begun.elapsed() < HANDSHAKE_WITHIN + Duration::from_secs(5), "{:?}", begun.elapsed());
    });
}
