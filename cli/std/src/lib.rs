//! Carries the shipped guests, modules and ROMs, as `std:NAME` means them.
//!
//! They are data, put here by the build script from the target folder's `guests`, where `cargo xtask guests` puts them. A crate
//! of their own, so that another guest links `isx` anew and compiles nothing else of it.
//!
//! Knows nothing of what they are: it reads none of their bytes.
//!
//! # Invariants
//! - They are told by names, each once, in order (`tests`).
//!
//! # Example
//! ```
//! for shipped in isx_std::SHIPPED {
//!     println!("std:{} has {} bytes", shipped.name, shipped.component.len());
//! }
//! ```

/// A shipped guest.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name, without `std:`.
    pub name: &'static str,
    /// Its component.
    pub component: &'static [u8],
}

/// All of them, by name; none in what was built before they were.
pub const SHIPPED: &[Shipped] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_told_by_names_in_order() {
        assert!(SHIPPED.is_sorted_by(|one, next| one.name < next.name));
        for Shipped { name, component } in SHIPPED {
            assert!(component.starts_with(b"\0asm"), "{name}");
        }
    }
}
