//! The verbs on this user's key: what it makes of him, never the secret.

use crate::arguments::{Global, KeyVerb};
use crate::places;
use crate::show::Show;
use anyhow::Result;
use ed25519_dalek::SigningKey;
use isx_row::Principal;
use serde_json::json;

/// What stands before the public key in a peer of libp2p: a multihash that holds, unhashed, 36 bytes of protobuf, in
/// which the key's kind is 1, Ed25519, and its content 32 bytes.
const PEER_HEAD: [u8; 6] = [0x00, 36, 0x08, 0x01, 0x12, 32];

/// `isx key`.
pub fn key(global: &Global, verb: &KeyVerb, show: Show) -> Result<()> {
    let path = places::user_key_path(global)?;
    match verb {
        KeyVerb::Path => Ok(show.one(|| path.display().to_string(), || json!({ "path": path.to_string_lossy() }))?),
        KeyVerb::Show => {
            let public = public(&places::user_key(global)?);
            let (peer, principal) = (peer_text(&public), Principal::of_peer(&public));
            Ok(show.one(
                || format!("principal  {principal}\npeer       {peer}\nkey        {}", path.display()),
                || json!({ "principal": principal.to_string(), "peer": peer, "path": path.to_string_lossy() }),
            )?)
        }
    }
}

/// The public key of a seed.
fn public(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// The text form of a peer, as nodes write it.
fn peer_text(public: &[u8; 32]) -> String {
    bs58::encode([PEER_HEAD.as_slice(), public].concat()).into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_peer_that_libp2p_makes_of_it() {
        // RFC 8032, 7.1, test 1.
        let seed = *b"\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
        assert_eq!(public(&seed)[..4], [0xd7, 0x5a, 0x98, 0x01]);
        assert!(peer_text(&public(&seed)).starts_with("12D3Koo"));
        assert_eq!(peer_text(&public(&seed)).len(), 52);
    }
}
