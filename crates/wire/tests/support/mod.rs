//! What the tests of the protocol share: chance with a seed, sample frames, and the laws that
//! hold for any bytes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

pub mod laws;
pub mod replay;
pub mod samples;

/// Chance that is the same for the same seed (the splitmix64 sequence).
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// A number from 1 to `most`.
    pub fn count(&mut self, most: u32) -> u32 {
        1 + u32::try_from(self.next() % u64::from(most)).unwrap()
    }

    pub fn yes(&mut self) -> bool {
        self.next() & 1 == 1
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}
