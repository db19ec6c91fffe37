//! Volatile tables: where everybody points, which is in no log.

use isx::Principal;

/// Where a hand of somebody points.
#[isx::table(public, volatile)]
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    /// Which hand.
    #[primary_key]
    pub hand: u8,
    /// Whose.
    #[primary_key]
    #[caller]
    pub who: Principal,
    /// How far to the right.
    pub x: f32,
    /// What is said there.
    pub label: String,
}

/// What the owner looks at: not for everybody.
#[isx::table(volatile)]
pub struct Glance {
    /// Whose.
    #[primary_key]
    #[caller]
    pub who: Principal,
    /// At what.
    pub at: u64,
}
