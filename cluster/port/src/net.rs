//! Byte streams between peers whose identity the transport has proved.

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite};
use std::fmt;
use std::time::Duration;

/// A node's or client's identity: its Ed25519 public key. The transport proves it before a stream is handed out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 32]);

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer:")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a stream carries, for example `/isx/vat/1`. A protocol's name locates; it does not authorise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub &'static str);

/// A duplex byte stream with back-pressure. Dropping it resets the stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why no stream came about.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NetError {
    /// No address of the peer answered. Obtain the address again, or retry later.
    #[error("peer {peer:?} is unreachable: {text}")]
    Unreachable {
        /// The peer dialled.
        peer: PeerId,
        /// What the transport said.
        text: String,
    },
    /// Who answered is not who was asked for.
    #[error("expected peer {expected:?} but {found} answered")]
    WrongPeer {
        /// The peer dialled.
        expected: PeerId,
        /// Who answered, in the transport's words.
        found: String,
    },
    /// The peer does not speak the protocol.
    #[error("peer {peer:?} does not speak {protocol}")]
    Unsupported {
        /// The peer dialled.
        peer: PeerId,
        /// The protocol's name.
        protocol: &'static str,
    },
    /// A bound on connections or streams was reached; try later.
    #[error("too many {what}")]
    Busy {
        /// What there are too many of.
        what: &'static str,
    },
    /// This node is stopping.
    #[error("the network is closed")]
    Closed,
}

/// Streams that peers opened to us, in order of arrival. Bounded: beyond the bound the transport refuses new ones.
pub trait Incoming: Send {
    /// The next stream and who opened it; `None` when the network is closed.
    ///
    /// # Cancel safety
    /// Dropping the future loses no stream.
    fn next(&mut self) -> BoxFuture<'_, Option<(PeerId, Box<dyn Stream>)>>;
}

/// The network of one node or client.
pub trait Net: Send + Sync + 'static {
    /// Our own identity.
    fn local(&self) -> PeerId;
    /// Opens a stream to `peer`, dialling if needed, giving up after `within`.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the stream.
    fn open(
        &self,
        peer: PeerId,
        protocol: Protocol,
        within: Duration,
    ) -> BoxFuture<'static, Result<Box<dyn Stream>, NetError>>;
    /// Serves a protocol; at most one listener each.
    fn accept(&self, protocol: Protocol) -> Result<Box<dyn Incoming>, NetError>;
}
