//! Maps and sets whose order says nothing of the machine.
//!
//! The ones of `std` hash with random keys where there is randomness, and in a module with whatever its memory happens to
//! hold: their order, and with it an answer or a table, could differ from replica to replica. The keys here are constants.
//! That a caller can look for values that collide costs the call's own fuel and nobody else's.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher};

/// Makes hashers with constant keys.
pub type FixedHasher = BuildHasherDefault<DefaultHasher>;

/// A hash map that is the same in every run of one build: what was done to it decides the order in which it iterates.
/// Make one with `Map::default()`, or collect into one; all else is [`HashMap`]'s. Another build may order it otherwise, so
/// what has to stay is sorted, or a `BTreeMap`, which columns and arguments may have as well.
pub type Map<K, V> = HashMap<K, V, FixedHasher>;

/// A hash set that is the same in every run of one build; otherwise as [`Map`].
pub type Set<T> = HashSet<T, FixedHasher>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_maps_iterate_alike() {
        let words = || (0..200).map(|number| (format!("word {number}"), number));
        let (one, other): (Map<_, _>, Map<_, _>) = (words().collect(), words().collect());
        assert!(one.iter().eq(&other));
        let (one, other): (Set<_>, Set<_>) = (one.into_keys().collect(), other.into_keys().collect());
        assert!(one.iter().eq(&other));
        assert!(one.contains("word 7") && !one.contains("word 200"));
    }
}
