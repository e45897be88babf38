//! Who may start a task. Owner: the protocol of publish, claim, revoke and release.
//!
//! Never waits, never asks who calls: the parent publishes, revokes, releases and views, one worker
//! claims, and each does so at any time. The orderings are argued in `README.md`.

use loky_wire::ledger::{
    ATTEMPT_AT, LAST_WORDS, LAST_WORDS_AT, LedgerWord, MAGIC, MAGIC_AT, STARTED_AT, SlotState,
    TASK_AT, Ticket, WORD_AT, slot_offset,
};

use crate::error::ShmError;
use crate::primitive::{AtomicU64, Ordering, fence};
use crate::words::Words;

/// How often [`Ledger::view`] looks again when the slot changed under its eyes. A slot changes
/// three times in a use, so an honest pair of processes never makes it this often.
const LOOKS_MAX: usize = 64;

/// One slot as it was at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotView {
    /// Where it is in its life.
    pub state: SlotState,
    /// Which use of the slot this is; 0 if it was never used.
    pub generation: u32,
    /// The task, or 0 if the slot is free.
    pub task: u64,
    /// Which try at the task, or 0 if the slot is free.
    pub attempt: u32,
    /// When the worker claimed it, by the worker's clock; 0 unless it is running.
    pub started_ns: u64,
}

/// The ledger of one worker, seen by the parent or by that worker.
pub struct Ledger<W: Words> {
    words: W,
}

/// The words of one slot.
struct Slot<'a> {
    word: &'a AtomicU64,
    task: &'a AtomicU64,
    attempt: &'a AtomicU64,
    started: &'a AtomicU64,
}

impl<W: Words> Ledger<W> {
    /// A ledger over a page: a zeroed one becomes a ledger with all slots free, one that the other
    /// side has made is taken as it is.
    pub fn over(words: W) -> Result<Self, ShmError> {
        let head = words
            .word(MAGIC_AT)
            .ok_or(ShmError::PageTooShort { len: 0 })?;
        match head.compare_exchange(0, MAGIC, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(MAGIC) => Ok(Self { words }),
            Err(found) => Err(ShmError::NotALedger { found }),
        }
    }

    /// Parent: offers a task to the worker in a free slot. The ticket must travel with the task.
    pub fn publish(&self, slot: u16, task: u64, attempt: u32) -> Result<Ticket, ShmError> {
        let place = self.slot(slot)?;
        let before = LedgerWord::from_raw(place.word.load(Ordering::Acquire));
        if !before.is_free() {
            return Err(ShmError::SlotBusy { slot });
        }
        // A viewer that reads a field of the new use must not find the word of the last one
        // unchanged afterwards; this fence pairs with the one in `view`.
        fence(Ordering::Release);
        place.task.store(task, Ordering::Relaxed);
        place.attempt.store(u64::from(attempt), Ordering::Relaxed);
        let generation = before.next_generation();
        let queued = LedgerWord::new(generation, SlotState::Queued);
        // Only the parent leaves the free state, so a plain store would do, but a wild worker could
        // have scribbled here since the load; then the slot is not ours to use.
        place
            .word
            .compare_exchange(
                before.raw(),
                queued.raw(),
                Ordering::Release,
                Ordering::Relaxed,
            )
            .map_err(|_| ShmError::SlotBusy { slot })?;
        Ok(Ticket { slot, generation })
    }

    /// Parent: takes a task back. `true` means that it has not started and never will; `false` that
    /// the worker has claimed it (or that the ticket is not good any more).
    pub fn revoke(&self, ticket: Ticket) -> bool {
        self.slot(ticket.slot)
            .is_ok_and(|slot| slot.leave_queue(ticket, SlotState::Revoked))
    }

    /// Worker: takes the right to start a task. `false` means that it must not be started: it was
    /// revoked, or the ticket belongs to an earlier use of the slot.
    ///
    /// The time is written before the claim: whoever sees the slot running sees its time too, at
    /// whatever instruction the worker dies. If the claim fails the time means nothing to anyone,
    /// and the next claim writes its own.
    pub fn claim(&self, ticket: Ticket, now_ns: u64) -> bool {
        let Ok(slot) = self.slot(ticket.slot) else {
            return false;
        };
        if !LedgerWord::from_raw(slot.word.load(Ordering::Acquire)).is_queued_for(ticket) {
            return false;
        }
        slot.started.store(now_ns, Ordering::Relaxed);
        slot.leave_queue(ticket, SlotState::Running)
    }

    /// Parent: frees the slot of a task that has been answered or revoked.
    pub fn release(&self, ticket: Ticket) -> Result<(), ShmError> {
        let Ticket { slot, generation } = ticket;
        let place = self.slot(slot)?;
        let before = LedgerWord::from_raw(place.word.load(Ordering::Acquire));
        let stale = ShmError::TicketStale { slot, generation };
        match before.state() {
            None => Err(ShmError::SlotGarbled {
                slot,
                raw: before.raw(),
            }),
            Some(_) if before.generation() != generation => Err(stale),
            Some(SlotState::Free) => Err(stale),
            Some(SlotState::Queued) => Err(ShmError::TicketQueued { slot }),
            Some(SlotState::Running | SlotState::Revoked) => place
                .word
                .compare_exchange(
                    before.raw(),
                    LedgerWord::new(generation, SlotState::Free).raw(),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .map(|_| ())
                .map_err(|_| stale),
        }
    }

    /// Anyone: one slot at one moment, also after the worker has died.
    pub fn view(&self, slot: u16) -> Result<SlotView, ShmError> {
        let place = self.slot(slot)?;
        for _ in 0..LOOKS_MAX {
            let raw = place.word.load(Ordering::Acquire);
            let word = LedgerWord::from_raw(raw);
            let state = word.state().ok_or(ShmError::SlotGarbled { slot, raw })?;
            let task = place.task.load(Ordering::Relaxed);
            let attempt = place.attempt.load(Ordering::Relaxed);
            let started = place.started.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if place.word.load(Ordering::Relaxed) != raw {
                continue;
            }
            let attempt =
                u32::try_from(attempt).map_err(|_| ShmError::SlotGarbled { slot, raw: attempt })?;
            let (task, attempt, started_ns) = match state {
                SlotState::Free => (0, 0, 0),
                SlotState::Queued | SlotState::Revoked => (task, attempt, 0),
                SlotState::Running => (task, attempt, started),
            };
            return Ok(SlotView {
                state,
                generation: word.generation(),
                task,
                attempt,
                started_ns,
            });
        }
        Err(ShmError::SlotUnsettled { slot })
    }

    /// Parent: what the worker has written into the head of the page before its end.
    pub fn last_words(&self) -> [u64; LAST_WORDS] {
        std::array::from_fn(|at| {
            let word = self.words.word(LAST_WORDS_AT + at * size_of::<u64>());
            word.map_or(0, |word| word.load(Ordering::Acquire))
        })
    }

    fn slot(&self, slot: u16) -> Result<Slot<'_>, ShmError> {
        let unknown = ShmError::SlotUnknown { slot };
        let start = slot_offset(slot).ok_or(unknown)?;
        let word = |at| self.words.word(start + at).ok_or(unknown);
        Ok(Slot {
            word: word(WORD_AT)?,
            task: word(TASK_AT)?,
            attempt: word(ATTEMPT_AT)?,
            started: word(STARTED_AT)?,
        })
    }
}

impl Slot<'_> {
    /// The one instruction that decides between claim and revoke.
    fn leave_queue(&self, ticket: Ticket, state: SlotState) -> bool {
        let queued = LedgerWord::new(ticket.generation, SlotState::Queued);
        let next = LedgerWord::new(ticket.generation, state);
        self.word
            .compare_exchange(
                queued.raw(),
                next.raw(),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok()
    }
}
