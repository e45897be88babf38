//! A map by the numbers that the engine gives itself, one after the other, to tasks and to workers.
//!
//! Nobody else chooses these numbers, so that a hash need not withstand anybody. Neighbours stay
//! neighbours in it: what is submitted or cancelled in a row lies in a row.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by such a number.
pub type ByNumber<K, T> = HashMap<K, T, BuildHasherDefault<NumberHasher>>;

/// The bits from which a map makes the tags by which it tells apart what lies close together.
const TAG_BITS: u64 = 0x7f << 57;

/// The golden ratio of 64 bits: its products differ in the highest bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes a number to itself, but for the highest bits.
#[derive(Clone, Copy, Default, Debug)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        (self.0 & !TAG_BITS) | (self.0.wrapping_mul(SPREAD) & TAG_BITS)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Nothing of a second number gets lost: the first one makes room for it.
        self.0 = self.0.rotate_left(8) ^ number;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use loky_core::ids::TaskId;

    use super::*;

    fn hash_of(number: u64) -> u64 {
        BuildHasherDefault::<NumberHasher>::default().hash_one(TaskId(number))
    }

    #[test]
    fn neighbours_stay_neighbours_and_have_different_tags() {
        for number in [1, 4095, u64::from(u32::MAX)] {
            assert_eq!(hash_of(number) & !TAG_BITS, number);
            assert_ne!(hash_of(number) & TAG_BITS, hash_of(number + 1) & TAG_BITS);
        }
        let tags: HashSet<u64> = (0..1000).map(|number| hash_of(number) & TAG_BITS).collect();
        assert!(tags.len() > 100, "{} tags of 128", tags.len());
    }

    #[test]
    fn a_map_finds_what_is_left_of_a_long_row() {
        let mut map: ByNumber<TaskId, u64> =
            (0..10_000).map(|number| (TaskId(number), number)).collect();
        for number in (0..10_000).filter(|number| number % 7 != 0) {
            assert_eq!(map.remove(&TaskId(number)), Some(number));
        }
        for number in 10_000..20_000 {
            map.insert(TaskId(number), number);
        }
        assert!((0..10_000).all(|number| map.contains_key(&TaskId(number)) == (number % 7 == 0)));
        assert!((10_000..20_000).all(|number| map.get(&TaskId(number)) == Some(&number)));
    }
}
