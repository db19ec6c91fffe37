//! The incremental state hash: the sum mod 2^256 of BLAKE3-256 over each thing's canonical bytes.

use isx_row::ContentHash;

/// A sum of digests: adding and removing things in any order gives the same sum for the same set.
///
/// The things are told apart by their bytes, so that no thing may be in the set twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestSum([u64; 4]);

impl DigestSum {
    /// Adds the digest of `bytes`.
    pub fn add(&mut self, bytes: &[u8]) {
        self.add_digest(&ContentHash::of(bytes).digest);
    }

    /// Removes the digest of `bytes`, which must have been added.
    pub fn remove(&mut self, bytes: &[u8]) {
        self.remove_digest(&ContentHash::of(bytes).digest);
    }

    /// Adds a digest.
    pub fn add_digest(&mut self, digest: &[u8; 32]) {
        let mut carry = false;
        for (sum, limb) in self.0.iter_mut().zip(limbs(digest)) {
            let (partial, first) = sum.overflowing_add(limb);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            *sum = total;
            carry = first || second;
        }
    }

    /// Removes a digest, which must have been added.
    pub fn remove_digest(&mut self, digest: &[u8; 32]) {
        let mut borrow = false;
        for (sum, limb) in self.0.iter_mut().zip(limbs(digest)) {
            let (partial, first) = sum.overflowing_sub(limb);
            let (total, second) = partial.overflowing_sub(u64::from(borrow));
            *sum = total;
            borrow = first || second;
        }
    }

    /// The sum, little-endian.
    pub fn bytes(&self) -> [u8; 32] {
        let mut out = [0; 32];
        for (chunk, limb) in out.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        out
    }
}

fn limbs(digest: &[u8; 32]) -> [u64; 4] {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().zip(digest.chunks_exact(8)) {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        *limb = u64::from_le_bytes(bytes);
    }
    limbs
}

#[cfg(test)]
mod tests {
    use super::DigestSum;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn removing_undoes_adding_in_any_order(things in prop::collection::vec(any::<[u8; 32]>(), 0..16)) {
            let mut sum = DigestSum::default();
            things.iter().for_each(|thing| sum.add_digest(thing));
            things.iter().for_each(|thing| sum.remove_digest(thing));
            prop_assert_eq!(sum, DigestSum::default());
        }
    }
}
