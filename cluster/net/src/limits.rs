//! Bounds of the network. libp2p's own are off or generous by default: each is set here.

use std::time::Duration;

/// Connections in all; more are refused.
pub const CONNECTIONS_MAX: u32 = 1024;
/// Connections to one peer: one each way and one being replaced; more are refused.
pub const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// Inbound connections whose handshake is not done; more are refused, which bounds the work that strangers cause.
pub const PENDING_INBOUND_MAX: u32 = 128;
/// Outbound connections whose handshake is not done; more fail as `busy`.
pub const PENDING_OUTBOUND_MAX: u32 = 128;
/// How long a handshake may take, from TCP to yamux; then the connection is closed.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection without streams is kept.
pub const IDLE_WITHIN: Duration = Duration::from_secs(60);
/// Streams of one connection, both ways; yamux refuses more.
pub const STREAMS_PER_CONNECTION_MAX: usize = 512;
/// Inbound streams of one connection that agree on a protocol; more are dropped by libp2p.
pub const NEGOTIATING_MAX: usize = 128;
/// Inbound streams of a protocol that nobody has taken yet; more are reset, which their openers see.
pub const ACCEPT_QUEUE_COUNT_MAX: usize = 256;
/// Streams to one peer that wait for a connection or to be opened; more are `busy`.
pub const OPENING_PER_PEER_MAX: usize = 256;
/// Commands that wait for the swarm's task; more wait to be sent.
pub const COMMANDS_MAX: usize = 256;
/// Peers whose addresses are remembered; the one learned first is forgotten for another.
pub const PEERS_KNOWN_MAX: usize = 4096;
/// Addresses remembered for one peer; the oldest is forgotten for another.
pub const ADDRESSES_PER_PEER_MAX: usize = 8;

const _: () = assert!(ACCEPT_QUEUE_COUNT_MAX <= STREAMS_PER_CONNECTION_MAX);
const _: () = assert!(IDLE_WITHIN.as_secs() >= 60, "shorter closes connections between calls");
