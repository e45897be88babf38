//! Changes of size.

use loky_core::{Departure, Effect, Event, ShutdownMode};

use crate::hand::*;

const SETTLED: Effect = Effect::ResizeSettled;

#[test]
fn a_pool_that_has_not_started_only_learns_the_number() {
    let mut hand = Hand::new(config(1));
    hand.expect(resized(2), [SETTLED]);
    hand.expect(submitted(1), [spawn(1, 0), spawn(2, 1)]);
}

#[test]
fn a_larger_pool_is_there_when_the_new_ones_are_spawned() {
    let mut hand = Hand::warm(config(1));
    hand.expect(resized(3), [spawn(2, 1), spawn(3, 2)]);
    hand.expect(spawned(3), []);
    hand.expect(spawned(2), [SETTLED]);
}

#[test]
fn the_same_number_is_there_at_once() {
    let mut hand = Hand::warm(config(2));
    hand.expect(resized(2), [SETTLED]);
}

#[test]
fn a_smaller_pool_keeps_the_old_workers_and_is_there_when_the_others_are_gone() {
    let mut hand = Hand::warm(config(3));
    hand.expect(resized(1), [ask(3), ask(2)]);
    assert_eq!(hand.pool.workers_alive(), 1);
    hand.expect(exited(3, []), [gone(3, ASKED)]);
    hand.expect(exited(2, []), [gone(2, ASKED), SETTLED]);
}

#[test]
fn the_idle_go_first_and_a_busy_one_finishes_what_it_has_claimed() {
    let mut hand = Hand::warm(config(3));
    hand.feed(submitted(2));
    hand.feed(submitted(3));
    // The workers 1 and 2 are busy.
    hand.expect(resized(1), [ask(3), revoke(2, 3, 1), ask(2)]);
    hand.expect(answered(2, 3, 1, false), []);
    hand.expect(exited(3, []), [gone(3, ASKED)]);
    hand.expect(finished(2, 3, 1), [complete(3, by(2))]);
    hand.expect(exited(2, []), [gone(2, ASKED), SETTLED]);
    assert_eq!(hand.pool.statistics().respawned, 0);
}

#[test]
fn what_a_surplus_worker_has_not_started_goes_to_a_survivor() {
    let mut hand = Hand::busy(config(2));
    hand.expect(resized(1), [revoke(2, 3, 1), ask(2)]);
    hand.expect(answered(2, 3, 1, true), []);
    hand.expect(finished(1, 2, 1), [complete(2, by(1)), send(1, 3, 2)]);
    hand.expect(exited(2, []), [gone(2, ASKED), SETTLED]);
}

#[test]
fn a_surplus_worker_that_is_not_there_yet_is_asked_when_it_is() {
    let mut hand = Hand::new(config(2));
    hand.feed(submitted(1));
    hand.feed(spawned(1));
    hand.expect(resized(1), []);
    hand.expect(spawned(2), [ask(2)]);
    hand.expect(exited(2, []), [gone(2, ASKED), SETTLED]);
}

#[test]
fn a_second_resize_replaces_the_first_and_only_one_is_settled() {
    let mut hand = Hand::warm(config(1));
    hand.expect(resized(2), [spawn(2, 1)]);
    hand.expect(resized(3), [spawn(3, 2)]);
    hand.expect(spawned(2), []);
    hand.expect(spawned(3), [SETTLED]);
}

#[test]
fn a_worker_that_dies_meanwhile_does_not_keep_a_resize_open() {
    let mut hand = Hand::warm(config(1));
    hand.expect(resized(2), [spawn(2, 1)]);
    hand.expect(
        exited(2, []),
        [gone(2, Departure::Died), spawn(3, 1), SETTLED],
    );
}

#[test]
fn idle_workers_stay_until_the_others_are_there() {
    let mut hand = Hand::warm(loky_core::Config {
        idle_timeout_ns: Some(10),
        ..config(1)
    });
    hand.expect(resized(2), [spawn(2, 1)]);
    hand.now_ns = 50;
    hand.expect(Event::TimerFired, []);
    hand.expect(spawned(2), [SETTLED, arm(10)]);
}

#[test]
fn a_pool_that_ends_settles_at_once() {
    let mut hand = Hand::busy(config(1));
    hand.expect(resized(2), [spawn(2, 1)]);
    hand.expect(shutdown(ShutdownMode::Drain), [SETTLED]);
    hand.expect(resized(5), [SETTLED]);
}

#[test]
fn whoever_is_ordered_in_place_of_a_failed_spawn_is_waited_for() {
    let mut hand = Hand::warm(config(1));
    hand.expect(resized(2), [spawn(2, 1)]);
    hand.expect(Event::LauncherDied, []);
    hand.expect(spawn_failed(2, 0), [spawn(3, 1)]);
    hand.expect(spawn_failed(3, 11), [spawn_delayed(11), arm(10_000_000)]);
    hand.now_ns = 10_000_000;
    hand.expect(Event::TimerFired, [spawn(4, 1)]);
    hand.expect(spawned(4), [SETTLED]);
}

#[test]
fn a_resize_settles_for_fewer_when_the_tries_are_spent() {
    let spawn_backoff = loky_core::Backoff {
        first_ns: 100,
        max_ns: 100,
        tries_max: 2,
    };
    let mut hand = Hand::warm(loky_core::Config {
        spawn_backoff,
        ..config(1)
    });
    hand.expect(resized(2), [spawn(2, 1)]);
    hand.expect(spawn_failed(2, 11), [spawn_delayed(11), arm(100)]);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [spawn(3, 1)]);
    hand.expect(spawn_failed(3, 11), [SETTLED, arm(200)]);
}
