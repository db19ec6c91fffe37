//! The kernel's randomness.

use isx_port::Entropy;

/// The kernel's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, into: &mut [u8]) {
        // The kernel's pool can not fail once the machine has booted; a node without randomness must not go on.
        if let Err(error) = getrandom::fill(into) {
            tracing::error!(%error, "the kernel gave no randomness");
            std::process::abort();
        }
    }
}
