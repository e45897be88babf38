//! The ledger step by step, by one hand, and over pages that somebody has scribbled on.
#![cfg(not(loom))]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loky_shm::{AtomicWords, Ledger, ShmError, SlotView};
use loky_wire::{
    LedgerWord, SlotState, Ticket,
    ledger::{ATTEMPT_AT, MAGIC_AT, WORD_AT, slot_offset},
    limits::{LEDGER_LEN, LEDGER_SLOTS},
};

type Page = Arc<AtomicWords<Arc<[AtomicU64]>>>;

fn page(len: usize) -> Page {
    let words: Arc<[AtomicU64]> = (0..len / 8).map(|_| AtomicU64::new(0)).collect();
    Arc::new(AtomicWords(words))
}

/// The two ends of one page, and the page.
fn ends() -> (Ledger<Page>, Ledger<Page>, Page) {
    let page = page(LEDGER_LEN);
    let parent = Ledger::over(page.clone()).unwrap();
    let worker = Ledger::over(page.clone()).unwrap();
    (parent, worker, page)
}

fn scribble(page: &Page, slot: u16, at: usize, value: u64) {
    let offset = slot_offset(slot).unwrap() + at;
    page.0[offset / 8].store(value, Ordering::Relaxed);
}

fn state(ledger: &Ledger<Page>, slot: u16) -> SlotState {
    ledger.view(slot).unwrap().state
}

#[test]
fn a_claimed_task_is_running_with_its_time_until_it_is_released() {
    let (parent, worker, _) = ends();
    let ticket = parent.publish(7, 41, 2).unwrap();
    assert_eq!(
        ticket,
        Ticket {
            slot: 7,
            generation: 1
        }
    );
    let queued = SlotView {
        state: SlotState::Queued,
        generation: 1,
        task: 41,
        attempt: 2,
        started_ns: 0,
    };
    assert_eq!(parent.view(7), Ok(queued));
    assert!(worker.claim(ticket, 1234));
    let running = SlotView {
        state: SlotState::Running,
        started_ns: 1234,
        ..queued
    };
    assert_eq!(parent.view(7), Ok(running));
    assert!(!parent.revoke(ticket), "what runs cannot be taken back");
    assert_eq!(parent.release(ticket), Ok(()));
    let free = SlotView {
        state: SlotState::Free,
        generation: 1,
        task: 0,
        attempt: 0,
        started_ns: 0,
    };
    assert_eq!(parent.view(7), Ok(free));
    assert_eq!(parent.publish(7, 42, 1).unwrap().generation, 2);
}

#[test]
fn a_revoked_task_is_never_claimed() {
    let (parent, worker, _) = ends();
    let ticket = parent.publish(0, 1, 1).unwrap();
    assert!(parent.revoke(ticket));
    assert!(!parent.revoke(ticket), "once is enough");
    assert!(!worker.claim(ticket, 9));
    let view = parent.view(0).unwrap();
    assert_eq!((view.state, view.started_ns), (SlotState::Revoked, 0));
    assert_eq!(parent.release(ticket), Ok(()));
    assert!(!worker.claim(ticket, 9));
    assert_eq!(state(&parent, 0), SlotState::Free);
}

#[test]
fn a_page_outlives_its_worker_and_says_what_had_started() {
    let (parent, worker, _) = ends();
    let first = parent.publish(0, 1, 1).unwrap();
    parent.publish(1, 2, 1).unwrap();
    assert!(worker.claim(first, 5));
    drop(worker);
    assert_eq!(state(&parent, 0), SlotState::Running);
    assert_eq!(state(&parent, 1), SlotState::Queued);
}

#[test]
fn all_slots_hold_a_task_each_at_the_same_time() {
    let (parent, worker, _) = ends();
    let tickets: Vec<Ticket> = (0..LEDGER_SLOTS)
        .map(|slot| parent.publish(slot, 100 + u64::from(slot), 1).unwrap())
        .collect();
    for &ticket in tickets.iter().rev() {
        assert!(worker.claim(ticket, 1 + u64::from(ticket.slot)));
    }
    for slot in 0..LEDGER_SLOTS {
        let view = parent.view(slot).unwrap();
        assert_eq!(
            (view.task, view.started_ns),
            (100 + u64::from(slot), 1 + u64::from(slot))
        );
    }
}

#[test]
fn a_slot_in_use_is_not_published_over() {
    let (parent, worker, _) = ends();
    let busy = Err(ShmError::SlotBusy { slot: 0 });
    let ticket = parent.publish(0, 1, 1).unwrap();
    assert_eq!(parent.publish(0, 2, 1), busy);
    assert!(worker.claim(ticket, 1));
    assert_eq!(parent.publish(0, 2, 1), busy);
    assert_eq!(parent.view(0).unwrap().task, 1);
}

#[test]
fn release_wants_the_ticket_of_a_use_that_has_left_the_queue() {
    let (parent, worker, _) = ends();
    let ticket = parent.publish(3, 1, 1).unwrap();
    assert_eq!(
        parent.release(ticket),
        Err(ShmError::TicketQueued { slot: 3 })
    );
    assert!(worker.claim(ticket, 1));
    let stale = |generation| {
        Err(ShmError::TicketStale {
            slot: 3,
            generation,
        })
    };
    assert_eq!(
        parent.release(Ticket {
            generation: 2,
            ..ticket
        }),
        stale(2)
    );
    assert_eq!(parent.release(ticket), Ok(()));
    assert_eq!(parent.release(ticket), stale(1));
}

#[test]
fn a_slot_that_does_not_exist_is_refused_or_never_claimed() {
    let (parent, worker, _) = ends();
    let unknown = ShmError::SlotUnknown { slot: LEDGER_SLOTS };
    let ticket = Ticket {
        slot: LEDGER_SLOTS,
        generation: 1,
    };
    assert_eq!(parent.publish(LEDGER_SLOTS, 1, 1), Err(unknown));
    assert_eq!(parent.view(LEDGER_SLOTS), Err(unknown));
    assert_eq!(parent.release(ticket), Err(unknown));
    assert!(!parent.revoke(ticket));
    assert!(!worker.claim(ticket, 1));
}

#[test]
fn a_slot_that_a_wild_worker_scribbled_on_is_reported_and_left_alone() {
    let (parent, worker, page) = ends();
    let ticket = parent.publish(2, 1, 1).unwrap();
    for raw in [
        4,
        255,
        LedgerWord::new(1, SlotState::Queued).raw() | 1 << 40,
        u64::MAX,
    ] {
        scribble(&page, 2, WORD_AT, raw);
        let garbled = ShmError::SlotGarbled { slot: 2, raw };
        assert_eq!(parent.view(2), Err(garbled));
        assert_eq!(parent.release(ticket), Err(garbled));
        assert_eq!(parent.publish(2, 1, 1), Err(ShmError::SlotBusy { slot: 2 }));
        assert!(!parent.revoke(ticket));
        assert!(!worker.claim(ticket, 1));
    }
    scribble(
        &page,
        2,
        WORD_AT,
        LedgerWord::new(1, SlotState::Queued).raw(),
    );
    scribble(&page, 2, ATTEMPT_AT, 1 << 32);
    assert_eq!(
        parent.view(2),
        Err(ShmError::SlotGarbled {
            slot: 2,
            raw: 1 << 32
        })
    );
}

#[test]
fn generations_come_round_and_step_over_that_of_an_unused_slot() {
    let (parent, worker, page) = ends();
    scribble(
        &page,
        0,
        WORD_AT,
        LedgerWord::new(u32::MAX, SlotState::Free).raw(),
    );
    let ticket = parent.publish(0, 1, 1).unwrap();
    assert_eq!(ticket.generation, 1);
    assert!(!worker.claim(
        Ticket {
            slot: 0,
            generation: u32::MAX
        },
        1
    ));
    assert!(!worker.claim(
        Ticket {
            slot: 0,
            generation: 0
        },
        1
    ));
    assert!(worker.claim(ticket, 1));
}

#[test]
fn pages_that_cannot_be_a_ledger_are_refused() {
    let refused = Ledger::over(page(0)).err();
    assert_eq!(refused, Some(ShmError::PageTooShort { len: MAGIC_AT }));

    let other = page(LEDGER_LEN);
    other.0[MAGIC_AT / 8].store(0x1234, Ordering::Relaxed);
    let refused = Ledger::over(other).err();
    assert_eq!(refused, Some(ShmError::NotALedger { found: 0x1234 }));
}

#[test]
fn a_page_that_was_cut_short_has_no_slot_where_it_ends() {
    let last = LEDGER_SLOTS - 1;
    let ledger = Ledger::over(page(slot_offset(last).unwrap() + 8)).unwrap();
    assert_eq!(ledger.view(last), Err(ShmError::SlotUnknown { slot: last }));
    assert!(ledger.view(last - 1).is_ok());
}
