//! Keys and peers: a peer of isx is a raw Ed25519 public key, a peer of libp2p wraps the same key.

use isx_port::PeerId;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use std::fmt;

/// A node's or client's key pair.
#[derive(Clone)]
pub struct Key(Keypair);

impl Key {
    /// The pair of a 32-byte secret seed.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        // Takes the bytes and wipes them; every 32 bytes are a seed.
        let secret = ed25519::SecretKey::try_from_bytes(&mut seed).expect("a seed has 32 bytes");
        Self(ed25519::Keypair::from(secret).into())
    }

    /// The peer it makes.
    pub fn peer(&self) -> PeerId {
        of_libp2p(&self.0.public().to_peer_id()).expect("a pair made from a seed is Ed25519")
    }

    pub(crate) fn pair(&self) -> &Keypair {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.peer())
    }
}

/// A text is no peer, or one with a key of another kind than Ed25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the peer id of an Ed25519 key, which begins with 12D3Koo")]
pub struct PeerTextError;

/// The text form of a peer, as libp2p writes it. Bytes that are no public key are written in hexadecimal, which is
/// nobody's text form.
pub fn peer_text(peer: PeerId) -> String {
    match to_libp2p(peer) {
        Some(peer) => peer.to_base58(),
        None => peer.0.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// The peer of a text form.
///
/// # Errors
/// [`PeerTextError`] for everything else.
pub fn peer_of_text(text: &str) -> Result<PeerId, PeerTextError> {
    of_libp2p(&text.parse().map_err(|_| PeerTextError)?).ok_or(PeerTextError)
}

/// `None` when the bytes are no point of the curve.
pub(crate) fn to_libp2p(peer: PeerId) -> Option<libp2p::PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(&peer.0).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// `None` when the key is not Ed25519.
pub(crate) fn of_libp2p(peer: &libp2p::PeerId) -> Option<PeerId> {
    // Keys this short are in the id itself, not hashed.
    let key = PublicKey::try_decode_protobuf(peer.as_ref().digest()).ok()?;
    Some(PeerId(key.try_into_ed25519().ok()?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_key_name_the_same_peer() {
        let peer = Key::from_seed([1; 32]).peer();
        // RFC 8032's public key of this seed, as every libp2p writes it.
        assert_eq!(peer_text(peer), "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5");
        assert_eq!(peer_of_text(&peer_text(peer)), Ok(peer));
    }

    #[test]
    fn what_is_no_peer_is_refused() {
        // The second is an RSA peer's id, the third no multihash.
        for text in ["", "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC", "12D3KooW", "0123"] {
            assert_eq!(peer_of_text(text), Err(PeerTextError), "{text}");
        }
        let mut no_point = [0xff; 32];
        no_point[0] = 2;
        assert_eq!(peer_of_text(&peer_text(PeerId(no_point))), Err(PeerTextError));
    }
}
