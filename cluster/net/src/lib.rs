//! Carries streams between peers over libp2p: TCP, Noise, yamux; the real form of [`isx_port::Net`].
//!
//! One task owns the swarm; [`Libp2p`] is a handle to it; [`thread`](fn@thread) makes a thread for it and for what uses its
//! streams. A peer is its Ed25519 public key, which Noise proves before a stream is handed out; [`peer_text`] writes it
//! as libp2p does (`12D3Koo…`). A stream that is opened dials if there is no connection, to the addresses learned by
//! [`Libp2p::add_address`].
//!
//! Streams come by a behaviour of our own rather than by libp2p-stream, which hands inbound streams over through a channel
//! of one place and drops what finds it full, opens one stream at a time, and keeps a sender for every connection
//! that ever was.
//!
//! With the network come the machine's forms of the other ports that nodes and clients have in common: [`SystemClock`] and
//! [`SystemEntropy`].
//!
//! Knows nothing of capnp, raft, and what streams carry.
//!
//! # Invariants
//! - A stream comes from the peer whose key it is; another at its address is `wrong peer` (`tests/net.rs`).
//! - Streams beyond a bound are refused, none is lost silently (`tests/net.rs`).
//! - What does not finish the handshake is closed in [`limits::HANDSHAKE_WITHIN`] (`tests/net.rs`).
//! - Every open has an end (`tests/net.rs`).
//!
//! # Example
//! ```
//! use isx_net::{Config, Key, Libp2p};
//! use isx_port::{Net, Protocol};
//! use std::time::Duration;
//!
//! # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
//! # runtime.block_on(async {
//! # let handle = tokio::runtime::Handle::current();
//! let loopback = || vec!["/ip4/127.0.0.1/tcp/0".to_string()];
//! // The seed comes from the node's 0600 key file.
//! let server = Libp2p::start(&handle, Config { key: Key::from_seed([1; 32]), listen: loopback() }).await?;
//! let mut incoming = server.accept(Protocol("/isx/vat/1"))?;
//!
//! let client = Libp2p::start(&handle, Config { key: Key::from_seed([2; 32]), listen: vec![] }).await?;
//! // An address with its peer, `/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…`, as the runtime file has it.
//! let peer = client.learn(&server.listen_addresses()[0])?;
//! let stream = client.open(peer, Protocol("/isx/vat/1"), Duration::from_secs(5)).await?;
//! # let _ = stream;
//! let (who, _stream) = incoming.next().await.expect("the network is open");
//! assert_eq!(who, client.local());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod behaviour;
mod clock;
mod entropy;
mod handler;
mod identity;
pub mod limits;
mod registry;
mod swarm;
mod thread;

pub use clock::SystemClock;
pub use entropy::SystemEntropy;
pub use identity::{Key, PeerTextError, peer_of_text, peer_text};
pub use swarm::{Config, Libp2p, StartError};
pub use thread::thread;
