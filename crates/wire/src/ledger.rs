//! The layout of a ledger page and its numbers. Owner: offsets, states and the packed word.
//!
//! Never touches memory: the atomic operations are in the crate that is given a region.

use crate::limits::{LEDGER_SLOTS, SLOT_LEN};

/// First eight bytes of a page that is a ledger of this layout.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ledger\x00\x01");
/// Offset of [`MAGIC`] in the page.
pub const MAGIC_AT: usize = 0;
/// Offset of the last words of a worker in the page: the rest of the head, [`LAST_WORDS`] words.
pub const LAST_WORDS_AT: usize = 8;
/// How many there are. What they mean is settled between the two ends.
pub const LAST_WORDS: usize = 7;
/// Offset of the packed word in a slot.
pub const WORD_AT: usize = 0;
/// Offset of the task number in a slot.
pub const TASK_AT: usize = 8;
/// Offset of the attempt (a `u64` in memory) in a slot.
pub const ATTEMPT_AT: usize = 16;
/// Offset of the time of the start in a slot.
pub const STARTED_AT: usize = 24;

const _: () = assert!(STARTED_AT + 8 <= SLOT_LEN);
const _: () = assert!(WORD_AT.is_multiple_of(8) && TASK_AT.is_multiple_of(8));
const _: () = assert!(ATTEMPT_AT.is_multiple_of(8) && STARTED_AT.is_multiple_of(8));
const _: () = assert!(MAGIC_AT + 8 <= LAST_WORDS_AT);
const _: () = assert!(
    LAST_WORDS_AT + 8 * LAST_WORDS == SLOT_LEN,
    "the head is one slot long"
);

/// Where a slot starts in the page, or `None` if there is no such slot.
pub const fn slot_offset(slot: u16) -> Option<usize> {
    if slot >= LEDGER_SLOTS {
        return None;
    }
    Some((slot as usize + 1) * SLOT_LEN)
}

/// Where a slot is in its life. The numbers are in shared memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum SlotState {
    /// Nobody's; the parent may publish a task in it.
    Free = 0,
    /// Published, and not yet claimed or revoked.
    Queued = 1,
    /// Claimed by the worker: the task has started.
    Running = 2,
    /// Taken back by the parent: the task will not start here.
    Revoked = 3,
}

impl SlotState {
    /// The number in memory.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The state of a number, if there is one.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Free),
            1 => Some(Self::Queued),
            2 => Some(Self::Running),
            3 => Some(Self::Revoked),
            _ => None,
        }
    }
}

/// The right to claim what was published in a slot at one time. Once the slot is used again the
/// generation differs and the ticket is worth nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket {
    /// Which slot.
    pub slot: u16,
    /// Which use of the slot, counted from 1.
    pub generation: u32,
}

/// State and generation of a slot in one atomic word: `generation << 8 | state`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LedgerWord(u64);

impl LedgerWord {
    /// Packs a generation and a state.
    pub const fn new(generation: u32, state: SlotState) -> Self {
        Self((generation as u64) << 8 | state.code() as u64)
    }

    /// A word as it was read from memory. Any number is taken; [`Self::state`] judges it.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The number for memory.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The state, or `None` if this is a word that no honest process writes.
    pub const fn state(self) -> Option<SlotState> {
        if self.0 >> 40 != 0 {
            return None;
        }
        SlotState::from_code((self.0 & 0xff) as u8)
    }

    /// Which use of the slot this is.
    pub const fn generation(self) -> u32 {
        (self.0 >> 8 & 0xffff_ffff) as u32
    }

    /// The generation of the next use: never 0, which means that a slot was never used.
    pub const fn next_generation(self) -> u32 {
        match self.generation().checked_add(1) {
            Some(next) => next,
            None => 1,
        }
    }

    /// Whether a task may be published over this word.
    pub const fn is_free(self) -> bool {
        matches!(self.state(), Some(SlotState::Free))
    }

    /// Whether this is the use of the slot that the ticket speaks of.
    pub const fn belongs_to(self, ticket: Ticket) -> bool {
        self.state().is_some() && self.generation() == ticket.generation
    }

    /// Whether the ticket can still be claimed or revoked.
    pub const fn is_queued_for(self, ticket: Ticket) -> bool {
        self.0 == Self::new(ticket.generation, SlotState::Queued).0
    }
}
