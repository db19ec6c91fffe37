//! Carries objects between nodes and clients: Cap'n Proto RPC over one stream, with authority checked where references
//! are handed out.
//!
//! A capability of capnp-rpc belongs to one thread. So a connection has two halves: the [`Connection`], driven on a vat
//! thread together with all others by the future of [`vats`], and references for any thread, which are
//! [`isx_iface::ObjectRef`]s that send plain data there. [`connect`] gives the dialling side's `Login`; [`serve`] gives
//! the other side the objects that a [`LoginGate`] admits it to, each reference wrapped by the connection's
//! [`Table`](authority::Table): the one place where authority is checked, for what came over a wire and for local guests.
//!
//! [`Object::first`](isx_iface::Object::first) pipelines: a call on it leaves with the call that obtains it.
//!
//! Knows nothing of libp2p, wasmtime, runtimes and threads: time is a [`Clock`](isx_port::Clock), bytes are a
//! [`Stream`](isx_port::Stream).
//!
//! # Invariants
//! - A method outside the rules is refused as a missing one is, and what is returned is under the same rules
//!   (`tests/vat/authority.rs`).
//! - After a revocation no call starts and no item comes (`tests/vat/authority.rs`).
//! - Errors cross as code, text and time (`tests/vat/calls.rs`).
//! - Calls made together leave in one write, and answers that are ready together (`tests/vat/calls.rs`).
//! - A producer runs a bounded number of items ahead of its consumer (`tests/vat/streams.rs`).
//! - A closed connection answers every call: `unknown` if it was sent, else `disconnected` (`tests/vat/failures.rs`).
//! - Bytes that are no message end their connection and nothing else (`tests/vat/failures.rs`).
//! - Every wait has an end (`tests/vat/failures.rs`).
//! - `schema/object.cgr` was made from `schema/object.capnp` (`tests/vat/schema.rs`).
//!
//! # Example
//! How a node composes it: one thread drives all connections, a task accepts streams.
//! ```
//! use isx_port::{Clock, Net};
//! use isx_vat::authority::Authority;
//! use isx_vat::{LoginGate, PROTOCOL, Vats, serve, vats};
//! use std::sync::Arc;
//!
//! /// Begins the vat thread; it ends when every clone of the handle is dropped.
//! fn vat_thread() -> std::io::Result<Vats> {
//!     let (vats, driving) = vats();
//!     // The future is not `Send`: it is made where it runs.
//!     std::thread::Builder::new().name("vat".into()).spawn(move || futures::executor::block_on(driving.drive()))?;
//!     Ok(vats)
//! }
//!
//! /// Serves every stream that a peer opens.
//! async fn accept(net: &dyn Net, gate: Arc<dyn LoginGate>, authority: Arc<Authority>, clock: Arc<dyn Clock>, vats: Vats) {
//!     let Ok(mut incoming) = net.accept(PROTOCOL) else { return };
//!     while let Some((peer, stream)) = incoming.next().await {
//!         // When too many are driven the stream is dropped, which the peer sees as a closed connection.
//!         let _ = vats.drive(serve(stream, peer, gate.clone(), &authority, clock.clone()));
//!     }
//! }
//!
//! /// The other side: a `Host` over a stream that was opened.
//! async fn dial(stream: Box<dyn isx_port::Stream>, clock: Arc<dyn Clock>, vats: &Vats) -> Result<isx_iface::HostStub, isx_row::Error> {
//!     use isx_iface::Login;
//!     let (login, connection) = isx_vat::connect(stream, clock);
//!     vats.drive(connection)?;
//!     isx_iface::LoginStub(login).login(None).await
//! }
//! # vat_thread().expect("a thread");
//! ```

pub mod authority;
mod connection;
mod export;
pub mod limits;
mod login;
mod references;
mod remote;
mod transport;
mod vats;
mod wire;

pub use connection::{Connection, connect, serve};
pub use login::{Admission, LoginGate};
pub use vats::{Driving, Vats, vats};

/// The protocol's name on [`isx_port::Net`].
pub const PROTOCOL: isx_port::Protocol = isx_port::Protocol("/isx/vat/1");

#[allow(
    missing_docs,
    clippy::all,
    unused_qualifications,
    clippy::unwrap_used,
    clippy::unimplemented,
    clippy::allow_attributes_without_reason,
    reason = "generated from schema/object.capnp"
)]
mod object_capnp {
    include!(concat!(env!("OUT_DIR"), "/object_capnp.rs"));
}
