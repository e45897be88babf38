//! Everything that can be wrong with shared memory and its books. Owner: the one error enum.
//!
//! Never a reason to panic: a wild peer can cause any of these.

use loky_wire::WireError;

use crate::segment::Holder;

/// Why an operation on a ledger or a pool was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ShmError {
    /// The page ends before what must lie in it.
    #[error("a page that ends before byte {len} is too short")]
    PageTooShort {
        /// Where something should have been.
        len: usize,
    },
    /// The page holds something else.
    #[error("the page starts with {found:#018x} and is no ledger of this layout")]
    NotALedger {
        /// Its first word.
        found: u64,
    },
    /// There is no such slot.
    #[error("a ledger has no slot {slot}")]
    SlotUnknown {
        /// The slot asked for.
        slot: u16,
    },
    /// A task cannot be published over another.
    #[error("slot {slot} is not free")]
    SlotBusy {
        /// The slot.
        slot: u16,
    },
    /// The slot holds a word that no honest process writes.
    #[error("slot {slot} holds {raw:#018x}, which means nothing")]
    SlotGarbled {
        /// The slot.
        slot: u16,
        /// Its word.
        raw: u64,
    },
    /// The slot changed each time it was looked at.
    #[error("slot {slot} changed each time it was looked at")]
    SlotUnsettled {
        /// The slot.
        slot: u16,
    },
    /// The slot has been used again since the ticket was given out.
    #[error("the ticket for use {generation} of slot {slot} is no longer good")]
    TicketStale {
        /// The slot.
        slot: u16,
        /// The use the ticket was for.
        generation: u32,
    },
    /// The ticket can still be claimed; it must be revoked before its slot is released.
    #[error("slot {slot} is still queued and can be claimed at any moment")]
    TicketQueued {
        /// The slot.
        slot: u16,
    },
    /// The words of a ring are none that an honest process writes.
    #[error("a ring is garbled: {what}")]
    RingGarbled {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A record of a ring holds bytes that are no frames.
    #[error("a ring holds no frame: {0}")]
    RingFrame(#[from] WireError),
    /// The pool has no such segment.
    #[error("there is no segment {id}")]
    SegmentUnknown {
        /// The number given.
        id: u32,
    },
    /// A segment was given back by somebody who does not have it.
    #[error("segment {id} is not lent to {holder:?}")]
    SegmentNotLent {
        /// The segment.
        id: u32,
        /// Who gave it back.
        holder: Holder,
    },
    /// A segment that nobody has taken cannot be lent or given back.
    #[error("segment {id} is not taken")]
    SegmentNotTaken {
        /// The segment.
        id: u32,
    },
}
