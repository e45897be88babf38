//! What is sent ahead, to whom, and what is taken back for a worker that has nothing to do.

use loky_core::effect::Effect;
use loky_core::ids::WorkerId;
use loky_core::outcome::Outcome;
use loky_core::{Config, Event};

use crate::hand::*;

/// Two ready workers; the first task took so long or so short.
fn paced(run_ns: u64, prefetch_max: u32) -> Hand {
    let mut hand = Hand::new(Config {
        prefetch_max,
        ..config(2)
    });
    hand.feed(submitted(1));
    hand.feed(ready(1));
    hand.feed(ready(2));
    hand.feed(finished_after(1, 1, 1, run_ns));
    hand
}

#[test]
fn the_idle_come_before_the_loaded_and_the_less_loaded_before_the_more() {
    let mut hand = paced(1_000, 63);
    hand.expect(submitted(2), [send(1, 2, 1)]);
    hand.expect(submitted(3), [send(2, 3, 1)]);
    hand.expect(submitted(4), [send(1, 4, 1)]);
    hand.expect(submitted(5), [send(2, 5, 1)]);
}

#[test]
fn long_tasks_go_one_by_one() {
    let mut hand = paced(LONG_NS, 63);
    hand.expect(submitted(2), [send(1, 2, 1)]);
    hand.expect(submitted(3), [send(2, 3, 1)]);
    hand.expect(submitted(4), []);
}

#[test]
fn tasks_of_a_millisecond_go_two_by_two() {
    let mut hand = paced(1_000_000, 63);
    for task in 2..=5 {
        assert_eq!(hand.feed(submitted(task)).len(), 1);
    }
    hand.expect(submitted(6), []);
}

#[test]
fn the_limit_holds_however_short_the_tasks_are() {
    let mut hand = paced(1, 2);
    for task in 2..=5 {
        assert_eq!(hand.feed(submitted(task)).len(), 1);
    }
    hand.expect(submitted(6), []);
}

#[test]
fn a_stream_of_cancelled_tasks_does_not_pile_up_in_front_of_a_busy_worker() {
    let mut hand = paced(1_000, 2);
    for task in 2..=5 {
        assert_eq!(hand.feed(submitted(task)).len(), 1);
    }
    // Both run one and have one ahead, which is cancelled and followed by the next, again and again.
    let mut sent = 0;
    let mut ahead = vec![(1, 4), (2, 5)];
    for task in 6..1_000 {
        hand.expect(submitted(task), []);
        if let Some((worker, unwanted)) = ahead.pop() {
            let cancel = cancelled(unwanted);
            hand.expect(cancel, [revoke(worker, unwanted, 1)]);
            let effects = hand.feed(answered(worker, unwanted, 1, true));
            for effect in effects {
                if let Effect::SendTask { worker, task, .. } = effect {
                    sent += 1;
                    ahead.push((worker.0, task.0));
                }
            }
        } else {
            hand.expect(cancelled(task), [complete(task, Outcome::Cancelled)]);
        }
    }
    assert!(
        (100..200).contains(&sent),
        "{sent} were sent to two busy workers"
    );
    // One that is heard of is there for others again.
    hand.expect(submitted(1_000), []);
    let effects = hand.feed(finished_after(1, 2, 1, 1_000));
    assert!(effects.iter().any(|effect| matches!(
        effect,
        Effect::SendTask {
            worker: WorkerId(1),
            ..
        }
    )));
}

#[test]
fn an_idle_worker_takes_the_newest_task_that_another_has_not_started() {
    let mut hand = paced(1_000, 63);
    for task in 2..=6 {
        hand.feed(submitted(task));
    }
    // The first holds 2, 4 and 6, the second 3 and 5.
    hand.expect(finished_after(2, 3, 1, 1_000), [complete(3, by(2))]);
    hand.expect(
        finished_after(2, 5, 1, 1_000),
        [complete(5, by(2)), revoke(1, 6, 1)],
    );
    hand.expect(answered(1, 6, 1, true), [send(2, 6, 2)]);
}

#[test]
fn a_refused_take_back_tries_the_next_newest_and_never_the_oldest() {
    let mut hand = paced(1_000, 63);
    for task in 2..=6 {
        hand.feed(submitted(task));
    }
    hand.feed(finished_after(2, 3, 1, 1_000));
    hand.expect(
        finished_after(2, 5, 1, 1_000),
        [complete(5, by(2)), revoke(1, 6, 1)],
    );
    hand.expect(answered(1, 6, 1, false), [revoke(1, 4, 1)]);
    hand.expect(answered(1, 4, 1, false), []);
}

#[test]
fn one_idle_worker_takes_one_task_at_a_time() {
    let mut hand = paced(1_000, 63);
    for task in 2..=8 {
        hand.feed(submitted(task));
    }
    for task in [3, 5] {
        hand.expect(finished_after(2, task, 1, 1_000), [complete(task, by(2))]);
    }
    hand.expect(
        finished_after(2, 7, 1, 1_000),
        [complete(7, by(2)), revoke(1, 8, 1)],
    );
    hand.expect(finished_after(1, 2, 1, 1_000), [complete(2, by(1))]);
}

#[test]
fn nothing_is_taken_from_a_worker_that_has_one_task_only() {
    let mut hand = paced(1_000, 63);
    hand.expect(submitted(2), [send(1, 2, 1)]);
    hand.expect(Event::TimerFired, []);
}

#[test]
fn a_fresh_worker_takes_from_a_loaded_one() {
    let mut hand = paced(1_000, 63);
    for task in 2..=5 {
        hand.feed(submitted(task));
    }
    hand.expect(
        exited(2, []),
        [
            gone(2, loky_core::Departure::Died),
            send(1, 3, 2),
            send(1, 5, 2),
            spawn(3, 1),
        ],
    );
    hand.expect(ready(3), [revoke(1, 5, 2)]);
    hand.expect(answered(1, 5, 2, true), [send(3, 5, 3)]);
}
