//! Every interleaving and every allowed reordering of the ledger's own code.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p loky-shm --test loom --release`.
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use loky_shm::{Ledger, ModelWords, SlotView};
use loky_wire::{SlotState, Ticket};
use loom::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use loom::thread;

const NOW: u64 = 77;

fn ledger() -> Arc<Ledger<ModelWords>> {
    Arc::new(Ledger::over(ModelWords::zeroed(1)).unwrap())
}

/// What the worker side of a test does: one claim, and the task itself if it may run.
fn claim_and_run(ledger: &Ledger<ModelWords>, ticket: Ticket, ran: &AtomicBool) -> bool {
    let claimed = ledger.claim(ticket, NOW);
    if claimed {
        ran.store(true, Ordering::Relaxed);
    }
    claimed
}

#[test]
fn of_claim_and_revoke_exactly_one_wins_and_the_slot_says_which() {
    loom::model(|| {
        let ledger = ledger();
        let ticket = ledger.publish(0, 5, 1).unwrap();
        let worker = {
            let ledger = ledger.clone();
            thread::spawn(move || ledger.claim(ticket, NOW))
        };
        let revoked = ledger.revoke(ticket);
        let claimed = worker.join().unwrap();
        assert!(claimed != revoked);
        let view = ledger.view(0).unwrap();
        let (state, started_ns) = if claimed {
            (SlotState::Running, NOW)
        } else {
            (SlotState::Revoked, 0)
        };
        let generation = ticket.generation;
        assert_eq!(
            view,
            SlotView {
                state,
                generation,
                task: 5,
                attempt: 1,
                started_ns
            }
        );
    });
}

#[test]
fn of_two_claims_of_one_ticket_exactly_one_wins() {
    loom::model(|| {
        let ledger = ledger();
        let ticket = ledger.publish(0, 5, 1).unwrap();
        let other = {
            let ledger = ledger.clone();
            thread::spawn(move || ledger.claim(ticket, NOW))
        };
        let here = ledger.claim(ticket, NOW);
        assert!(here != other.join().unwrap());
    });
}

#[test]
fn a_stale_ticket_never_claims_the_next_use_of_the_slot() {
    loom::model(|| {
        let ledger = ledger();
        let first = ledger.publish(0, 5, 1).unwrap();
        let worker = {
            let ledger = ledger.clone();
            thread::spawn(move || ledger.claim(first, NOW))
        };
        let revoked = ledger.revoke(first);
        let second = if revoked {
            ledger.release(first).unwrap();
            let second = ledger.publish(0, 6, 1).unwrap();
            assert_ne!(first, second);
            Some(second)
        } else {
            None
        };
        let claimed = worker.join().unwrap();
        assert!(claimed != revoked);
        if let Some(second) = second {
            assert_eq!(ledger.view(0).unwrap().state, SlotState::Queued);
            assert!(
                !ledger.revoke(first),
                "a stale ticket revokes nothing either"
            );
            assert!(ledger.claim(second, NOW + 1));
            assert_eq!(ledger.view(0).unwrap().started_ns, NOW + 1);
        }
    });
}

#[test]
fn a_stale_ticket_never_claims_while_the_next_use_is_claimed() {
    loom::model(|| {
        let ledger = ledger();
        let first = ledger.publish(0, 5, 1).unwrap();
        assert!(ledger.revoke(first));
        // The slot goes to its next use while one thread, as a worker must not, still tries both.
        let worker = {
            let ledger = ledger.clone();
            thread::spawn(move || {
                let stale = ledger.claim(first, NOW);
                let next = Ticket {
                    generation: first.generation + 1,
                    ..first
                };
                (stale, ledger.claim(next, NOW))
            })
        };
        ledger.release(first).unwrap();
        let second = ledger.publish(0, 6, 1).unwrap();
        let (stale, claimed) = worker.join().unwrap();
        assert!(!stale);
        assert_eq!(ledger.revoke(second), !claimed);
    });
}

#[test]
fn a_slot_seen_running_has_its_task_attempt_and_time_at_every_instruction() {
    loom::model(|| {
        let ledger = ledger();
        let worker = {
            let ledger = ledger.clone();
            thread::spawn(move || {
                // A ticket arrives with its frame; here it is known beforehand, so that the claim
                // meets the publication at every point.
                ledger.claim(
                    Ticket {
                        slot: 0,
                        generation: 1,
                    },
                    NOW,
                )
            })
        };
        let ticket = ledger.publish(0, 5, 3).unwrap();
        // A worker may be dead after any instruction; what it has left is what a reader sees now.
        let view = ledger.view(0).unwrap();
        assert_eq!(
            (view.generation, view.task, view.attempt),
            (ticket.generation, 5, 3)
        );
        match view.state {
            SlotState::Queued => assert_eq!(view.started_ns, 0),
            SlotState::Running => assert_eq!(view.started_ns, NOW),
            SlotState::Free | SlotState::Revoked => unreachable!("nobody did that"),
        }
        let claimed = worker.join().unwrap();
        let state = ledger.view(0).unwrap().state;
        assert_eq!(state == SlotState::Running, claimed);
        assert!(
            claimed || view.state == SlotState::Queued,
            "what ran once stays running"
        );
    });
}

#[test]
fn what_has_run_is_seen_as_claimed_by_whoever_sees_what_it_did() {
    loom::model(|| {
        let ledger = ledger();
        let ran = Arc::new(AtomicBool::new(false));
        let ticket = ledger.publish(0, 5, 1).unwrap();
        let worker = {
            let (ledger, ran) = (ledger.clone(), ran.clone());
            thread::spawn(move || claim_and_run(&ledger, ticket, &ran))
        };
        // The parent gives the task to somebody else only if the revoke won: then it has not run
        // and never will.
        let revoked = ledger.revoke(ticket);
        if revoked {
            assert!(!ran.load(Ordering::Relaxed));
        }
        worker.join().unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), !revoked);
    });
}

#[test]
fn a_view_never_mixes_two_uses_of_a_slot() {
    loom::model(|| {
        let ledger = ledger();
        let first = ledger.publish(0, 5, 1).unwrap();
        assert!(ledger.revoke(first));
        let viewer = {
            let ledger = ledger.clone();
            thread::spawn(move || ledger.view(0).unwrap())
        };
        ledger.release(first).unwrap();
        ledger.publish(0, 6, 2).unwrap();
        let view = viewer.join().unwrap();
        let seen = (view.state, view.generation, view.task, view.attempt);
        let first_revoked = (SlotState::Revoked, 1, 5, 1);
        let between = (SlotState::Free, 1, 0, 0);
        let second_queued = (SlotState::Queued, 2, 6, 2);
        assert!(
            [first_revoked, between, second_queued].contains(&seen),
            "{seen:?}"
        );
    });
}

#[test]
fn a_released_slot_can_be_published_by_another_thread() {
    loom::model(|| {
        let ledger = ledger();
        let first = ledger.publish(0, 5, 1).unwrap();
        assert!(ledger.claim(first, NOW));
        let releaser = {
            let ledger = ledger.clone();
            thread::spawn(move || ledger.release(first).unwrap())
        };
        let early = ledger.publish(0, 6, 1);
        releaser.join().unwrap();
        let second = early.or_else(|_| ledger.publish(0, 6, 1)).unwrap();
        assert_eq!(second.generation, 2);
        assert_eq!(ledger.view(0).unwrap().task, 6);
    });
}

#[test]
fn a_slot_that_another_thread_used_holds_the_task_published_last() {
    loom::model(|| {
        let ledger = ledger();
        let over = Arc::new(AtomicBool::new(false));
        let other = {
            let (ledger, over) = (ledger.clone(), over.clone());
            thread::spawn(move || {
                let first = ledger.publish(0, 5, 1).unwrap();
                assert!(ledger.claim(first, NOW));
                ledger.release(first).unwrap();
                // Relaxed, so that only the ledger itself can bring order between the two uses.
                over.store(true, Ordering::Relaxed);
            })
        };
        if over.load(Ordering::Relaxed)
            && let Ok(second) = ledger.publish(0, 6, 2)
        {
            assert_eq!(second.generation, 2);
            let view = ledger.view(0).unwrap();
            assert_eq!((view.task, view.attempt), (6, 2));
        }
        other.join().unwrap();
    });
}
