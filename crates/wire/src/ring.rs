//! The layout of the two rings behind a ledger page. Owner: offsets and lengths, checked while
//! compiling.
//!
//! Never touches memory: the atomic operations are in the crate that is given a region.

use crate::limits::{HEADER_LEN, LEDGER_LEN};

/// Where one ring lies in the shared pages: three words that do not share a line, and the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingPlace {
    /// Offset of the word that says how many words have been committed: the writer's.
    pub tail_at: usize,
    /// Offset of the word that says how many words have been taken out: the reader's.
    pub head_at: usize,
    /// Offset of the word that says whether the reader sleeps, or is about to.
    pub sleeper_at: usize,
    /// Offset of the data.
    pub data_at: usize,
    /// How many words of data there are: a power of two.
    pub words: u64,
}

/// Words of a record before its bytes: how many bytes, and how many bytes of the socket come first.
pub const RECORD_HEAD: u64 = 2;

/// Two lines apart, since processors fetch lines in pairs.
const LINES: usize = 128;

/// Words of data of each ring: small enough to stay in a processor's nearest cache.
pub const RING_WORDS: u64 = DATA_LEN as u64 / 8;

/// The most bytes of one record. Longer frames travel by the socket.
pub const RECORD_MAX: usize = 4096;

const CONTROL_LEN: usize = 4096;
const DATA_LEN: usize = 16 << 10;

/// The ring from the parent to the worker.
pub const TO_WORKER: RingPlace = RingPlace {
    tail_at: LEDGER_LEN,
    head_at: LEDGER_LEN + LINES,
    sleeper_at: LEDGER_LEN + 2 * LINES,
    data_at: LEDGER_LEN + CONTROL_LEN,
    words: RING_WORDS,
};

/// The ring from the worker to the parent.
pub const TO_PARENT: RingPlace = RingPlace {
    tail_at: LEDGER_LEN + 4 * LINES,
    head_at: LEDGER_LEN + 5 * LINES,
    sleeper_at: LEDGER_LEN + 6 * LINES,
    data_at: LEDGER_LEN + CONTROL_LEN + DATA_LEN,
    words: RING_WORDS,
};

/// Offset of the word by which the parent says for how many nanoseconds the worker may look for a
/// frame before it sleeps.
pub const SPIN_AT: usize = LEDGER_LEN + 8 * LINES;

/// Bytes of a ledger page with its rings. A worker whose file is as long as this has rings.
pub const RINGS_LEN: usize = LEDGER_LEN + CONTROL_LEN + 2 * DATA_LEN;

const _: () = assert!(RING_WORDS.is_power_of_two());
const _: () = assert!(SPIN_AT + 8 <= LEDGER_LEN + CONTROL_LEN);
const _: () = assert!(TO_PARENT.data_at + DATA_LEN == RINGS_LEN);
const _: () = assert!(RECORD_MAX.is_multiple_of(8) && RECORD_MAX > HEADER_LEN);
const _: () = assert!(
    RECORD_HEAD + (RECORD_MAX as u64 / 8) <= RING_WORDS / 2,
    "a ring that is half empty takes any record"
);
