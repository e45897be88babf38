//! Idle retirement and the timer.

use loky_core::{Config, Effect, Event, LeaveReason, OnCrash};

use crate::hand::*;

fn idling(workers: u32, timeout_ns: u64) -> Config {
    Config {
        idle_timeout_ns: Some(timeout_ns),
        ..config(workers)
    }
}

/// One worker, ready since the time 0, with nothing to do.
fn idle(timeout_ns: u64) -> Hand {
    let mut hand = Hand::new(idling(1, timeout_ns));
    hand.expect(submitted(1), [spawn(1, 0)]);
    hand.expect(ready(1), [send(1, 1, 1)]);
    hand.expect(finished(1, 1, 1), [complete(1, by(1)), arm(timeout_ns)]);
    hand
}

#[test]
fn a_worker_that_idled_long_enough_is_asked_to_leave_and_not_replaced() {
    let mut hand = idle(100);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [ask(1)]);
    assert_eq!(hand.pool.workers_alive(), 0);
    hand.expect(leaving(1, LeaveReason::Asked), []);
    hand.expect(exited(1, []), [gone(1, ASKED)]);
    hand.expect(submitted(2), [spawn(2, 0)]);
}

#[test]
fn a_timer_that_fires_too_early_is_harmless_and_set_again() {
    let mut hand = idle(100);
    hand.now_ns = 40;
    hand.expect(Event::TimerFired, [arm(100)]);
}

#[test]
fn work_in_between_does_not_touch_the_timer() {
    let mut hand = idle(100);
    hand.now_ns = 50;
    hand.expect(submitted(2), [send(1, 2, 1)]);
    hand.now_ns = 60;
    hand.expect(finished(1, 2, 1), [complete(2, by(1))]);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [arm(160)]);
    hand.now_ns = 160;
    hand.expect(Event::TimerFired, [ask(1)]);
}

#[test]
fn a_busy_worker_never_idles_away() {
    let mut hand = idle(100);
    hand.expect(submitted(2), [send(1, 2, 1)]);
    hand.now_ns = 1_000;
    hand.expect(Event::TimerFired, []);
    hand.expect(finished(1, 2, 1), [complete(2, by(1)), arm(1_100)]);
}

#[test]
fn a_worker_that_never_got_a_task_idles_from_when_it_was_ready() {
    let mut hand = Hand::new(idling(2, 100));
    hand.feed(submitted(1));
    hand.expect(ready(1), [send(1, 1, 1)]);
    hand.now_ns = 7;
    hand.expect(ready(2), [arm(107)]);
    hand.now_ns = 107;
    hand.expect(Event::TimerFired, [ask(2)]);
    assert_eq!(hand.pool.workers_alive(), 1);
}

#[test]
fn a_timeout_of_nothing_is_legal() {
    let mut hand = idle(0);
    hand.expect(Event::TimerFired, [ask(1)]);
    hand.expect(submitted(2), [spawn(2, 1)]);
    hand.expect(ready(2), [send(2, 2, 1)]);
    hand.expect(finished(2, 2, 1), [complete(2, by(2)), arm(0)]);
}

#[test]
fn a_task_that_comes_while_a_worker_leaves_is_noticed_when_it_has_left() {
    let mut hand = idle(100);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [ask(1)]);
    // The leaving one has its place until it is gone.
    hand.expect(submitted(2), [spawn(2, 1)]);
    hand.expect(
        exited(1, []),
        [gone(1, ASKED), stopped_with_work(LeaveReason::Asked)],
    );
}

#[test]
fn a_task_brings_everybody_back_also_where_some_have_stayed() {
    for on_crash in [OnCrash::Recover, OnCrash::Break] {
        let mut hand = Hand::warm(Config {
            on_crash,
            ..idling(3, 100)
        });
        hand.expect(submitted(2), [send(1, 2, 1)]);
        hand.now_ns = 100;
        hand.expect(Event::TimerFired, [ask(2), ask(3)]);
        hand.feed(exited(2, []));
        hand.feed(exited(3, []));
        assert_eq!(hand.pool.workers_alive(), 1);
        // The one that stayed has work; the next task asks for one hand and gets all that are missing.
        hand.expect(submitted(3), [spawn(4, 1), spawn(5, 2)]);
        // The same with the one that stayed at leisure.
        hand.feed(ready(4));
        hand.feed(ready(5));
        hand.feed(finished(4, 3, 1));
        hand.now_ns = 200;
        hand.expect(Event::TimerFired, [ask(4), ask(5)]);
        hand.feed(exited(4, []));
        hand.feed(exited(5, []));
        hand.feed(finished(1, 2, 1));
        hand.expect(submitted(4), [send(1, 4, 1), spawn(6, 1), spawn(7, 2)]);
    }
}

#[test]
fn the_last_idle_worker_takes_the_timer_along() {
    let mut hand = Hand::new(idling(1, 100));
    hand.feed(submitted(1));
    hand.feed(ready(1));
    hand.expect(finished(1, 1, 1), [complete(1, by(1)), arm(100)]);
    hand.expect(leaving(1, LeaveReason::MemoryGrowth), [spawn(2, 1)]);
    hand.expect(ready(2), []);
    hand.expect(
        shutdown(loky_core::ShutdownMode::Drain),
        [ask(2), Effect::DisarmTimer],
    );
}

#[test]
fn a_task_that_comes_back_when_everybody_has_idled_away_brings_one_back() {
    let mut hand = Hand::warm(idling(2, 100));
    hand.expect(submitted(2), [send(1, 2, 1)]);
    hand.expect(condemned(1), [kill_condemned(1)]);
    hand.expect(resized(1), []);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [ask(2)]);
    hand.expect(
        exited(2, []),
        [gone(2, ASKED), stopped_with_work(LeaveReason::Asked)],
    );
    // The condemned one had its place until now, and the size is one.
    let orders = hand.feed(exited(1, []));
    assert_eq!(orders[0], gone(1, loky_core::Departure::Died));
    assert!(orders.contains(&spawn(3, 0)), "{orders:?}");
}

#[test]
fn nobody_idles_away_while_a_task_is_on_its_way_to_somebody() {
    let mut hand = Hand::new(idling(2, 100));
    hand.feed(submitted(1));
    hand.feed(ready(1));
    hand.expect(
        finished_after(1, 1, 1, 1_000),
        [complete(1, by(1)), arm(100)],
    );
    hand.expect(submitted(2), [send(1, 2, 1)]);
    hand.expect(submitted(3), [send(1, 3, 1)]);
    hand.expect(ready(2), [revoke(1, 3, 1)]);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, []);
    hand.expect(answered(1, 3, 1, true), [send(2, 3, 2)]);
}
