//! A call's random stream: the one that the executor gives a call of an entry.

/// The stream, from its beginning.
pub(crate) struct Random(blake3::OutputReader);

impl Random {
    /// The stream of the call at `place` in an entry with this seed: BLAKE3, keyed with it, of a label and the place.
    pub(crate) fn new((seed, place): ([u8; 32], u64)) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&seed);
        hasher.update(b"isx:random\0").update(&place.to_le_bytes());
        Self(hasher.finalize_xof())
    }

    /// The next bytes.
    pub(crate) fn take(&mut self, length: u32) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        self.0.fill(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_executors() {
        let hex: String = Random::new(([7; 32], 0)).take(8).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "00f7f5fce59650c3");
    }
}
