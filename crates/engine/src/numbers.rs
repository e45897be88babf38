//! Tables whose keys are numbers that count up.
//!
//! The hash of the standard library withstands keys that somebody has chosen with bad intent. These are
//! given by the engine itself, and are looked up several times a task.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by numbers that this process has given.
pub type ByNumber<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Numbers that count up are good hashes of themselves once they are spread.
#[derive(Clone, Copy, Default, Debug)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte) ^ self.0.rotate_left(8));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::Hash;

    use loky_core::ids::TaskId;

    fn hash(key: impl Hash) -> u64 {
        let mut hasher = NumberHasher::default();
        key.hash(&mut hasher);
        hasher.finish()
    }

    /// A table takes the place from the low bits and a mark from the high ones.
    #[test]
    fn both_ends_of_the_hash_tell_numbers_apart() {
        let hashes: Vec<u64> = (1..=1024).map(|number| hash(TaskId(number))).collect();
        let low: HashSet<u64> = hashes.iter().map(|hash| hash % 1024).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert_eq!((low.len(), high.len()), (1024, 128));
    }

    #[test]
    fn other_keys_are_told_apart_as_well() {
        let keys = ["a", "b", "ab", "ba", "aa", ""];
        let hashes: HashSet<u64> = keys.iter().map(hash).collect();
        assert_eq!(hashes.len(), keys.len());
    }
}
