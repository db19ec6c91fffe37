//! Randomness.

/// The source of randomness of one node: the kernel's, or the simulation's seed.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `into` with unpredictable bytes.
    fn fill(&self, into: &mut [u8]);

    /// A random 64-bit number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
