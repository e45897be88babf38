//! The numbers of a ledger page, which two processes must agree on.

use loky_wire::{
    LedgerWord, SlotState, Ticket,
    ledger::slot_offset,
    limits::{LEDGER_LEN, LEDGER_SLOTS, SLOT_LEN},
};
use proptest::prelude::*;

const STATES: [SlotState; 4] = [
    SlotState::Free,
    SlotState::Queued,
    SlotState::Running,
    SlotState::Revoked,
];

#[test]
fn slots_fill_the_page_behind_its_head() {
    let offsets: Vec<usize> = (0..=u16::MAX).map_while(slot_offset).collect();
    assert_eq!(offsets.len(), usize::from(LEDGER_SLOTS));
    assert_eq!(offsets.first(), Some(&SLOT_LEN));
    assert_eq!(offsets.last(), Some(&(LEDGER_LEN - SLOT_LEN)));
    assert!(offsets.windows(2).all(|pair| pair[1] - pair[0] == SLOT_LEN));
    assert_eq!(slot_offset(u16::MAX), None);
}

#[test]
fn a_zeroed_word_is_a_free_slot_that_was_never_used() {
    let word = LedgerWord::from_raw(0);
    assert_eq!(
        (word.state(), word.generation()),
        (Some(SlotState::Free), 0)
    );
    assert_eq!(word.next_generation(), 1);
}

#[test]
fn generations_come_round_without_the_one_of_an_unused_slot() {
    assert_eq!(
        LedgerWord::new(u32::MAX, SlotState::Free).next_generation(),
        1
    );
}

proptest! {
    #[test]
    fn a_word_tells_what_was_packed(
        generation: u32, state in proptest::sample::select(&STATES), slot: u16, other: u32,
    ) {
        let word = LedgerWord::new(generation, state);
        prop_assert_eq!(word.raw(), u64::from(generation) * 256 + u64::from(state.code()));
        prop_assert_eq!((word.state(), word.generation()), (Some(state), generation));
        prop_assert_eq!(word.is_free(), state == SlotState::Free);
        for ticket in [generation, other].map(|generation| Ticket { slot, generation }) {
            let ours = ticket.generation == generation;
            prop_assert_eq!(word.belongs_to(ticket), ours);
            prop_assert_eq!(word.is_queued_for(ticket), ours && state == SlotState::Queued);
        }
    }

    #[test]
    fn a_word_that_nobody_packs_has_no_state(raw: u64) {
        let word = LedgerWord::from_raw(raw);
        if let Some(state) = word.state() {
            prop_assert_eq!(LedgerWord::new(word.generation(), state), word);
        } else {
            prop_assert!(raw >> 40 != 0 || raw & 0xff > 3);
            prop_assert!(!word.is_free());
        }
    }
}
