//! The hand of a wild worker: it writes into the pages that it shares with its parent, past all code
//! that is meant to.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use loky_wire::ring::{RECORD_HEAD, TO_PARENT};

pub struct Scribbler {
    memory: File,
    page: u64,
}

impl Scribbler {
    pub fn new() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.contains("loky-ledger"));
        let start = line.unwrap().split('-').next().unwrap();
        Self {
            memory: File::options()
                .read(true)
                .write(true)
                .open("/proc/self/mem")
                .unwrap(),
            page: u64::from_str_radix(start, 16).unwrap(),
        }
    }

    pub fn read(&self, at: usize) -> u64 {
        let mut word = [0; 8];
        self.memory
            .read_exact_at(&mut word, self.page + at as u64)
            .unwrap();
        u64::from_le_bytes(word)
    }

    pub fn write(&self, at: usize, word: u64) {
        self.memory
            .write_all_at(&word.to_le_bytes(), self.page + at as u64)
            .unwrap();
    }

    /// Where the word of a position of the ring to the parent lies.
    fn data_at(position: u64) -> usize {
        TO_PARENT.data_at + 8 * usize::try_from(position % TO_PARENT.words).unwrap()
    }

    /// How many words have been committed.
    pub fn tail(&self) -> u64 {
        self.read(TO_PARENT.tail_at)
    }

    /// The parent looks as if it were awake: what is sent goes into the ring, and nobody rings.
    pub fn pretend_the_parent_is_awake(&self) {
        self.write(TO_PARENT.sleeper_at, 0);
    }

    /// Undoes the last record but for its first words: its writer has come so far and no further.
    pub fn unwrite(&self, from: u64, words_kept: u64) {
        let end = self.tail();
        assert!(end > from + RECORD_HEAD, "nothing has been committed");
        self.write(TO_PARENT.tail_at, from);
        for position in (from + words_kept)..end {
            self.write(Self::data_at(position), 0);
        }
    }

    /// Writes nonsense over a kind of words.
    pub fn scribble(&self, what: i32) {
        let tail = self.tail();
        match what {
            0 => self.write(TO_PARENT.tail_at, u64::MAX / 2),
            1 => self.write(TO_PARENT.tail_at, tail.wrapping_sub(1)),
            2 => self.record(tail, u64::MAX, 0),
            3 => self.record(tail, 4096, 0),
            4 => self.record(tail, 24, 0),
            _ => {
                for at in (0..8 * 2048).step_by(8) {
                    self.write(TO_PARENT.data_at + at, 0x0101_0101_0101_0101);
                }
                self.write(TO_PARENT.tail_at, tail + 1000);
            }
        }
    }

    /// A record of five words that says that it has so many bytes.
    fn record(&self, tail: u64, bytes: u64, after: u64) {
        self.write(Self::data_at(tail), bytes);
        self.write(Self::data_at(tail + 1), after);
        for position in tail + 2..tail + 5 {
            self.write(Self::data_at(position), u64::MAX);
        }
        self.write(TO_PARENT.tail_at, tail + 5);
    }
}

/// How many kinds of nonsense there are.
pub const NONSENSE: i32 = 6;
