//! Spawns that fail.

use loky_core::{Backoff, BreakReason, Config, Effect, Event, Outcome};

use crate::hand::*;

const EAGAIN: i32 = 11;

fn short(workers: u32, tries_max: u32) -> Config {
    Config {
        spawn_backoff: Backoff {
            first_ns: 100,
            max_ns: 300,
            tries_max,
        },
        ..config(workers)
    }
}

#[test]
fn a_failed_spawn_is_tried_again_later_each_time_and_told_once() {
    let mut hand = Hand::new(short(1, 9));
    hand.expect(submitted(1), [spawn(1, 0)]);
    hand.expect(spawn_failed(1, EAGAIN), [spawn_delayed(EAGAIN), arm(100)]);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [spawn(2, 0)]);
    hand.expect(spawn_failed(2, EAGAIN), [arm(300)]);
    hand.now_ns = 300;
    hand.expect(Event::TimerFired, [spawn(3, 0)]);
    hand.expect(spawned(3), []);
    hand.expect(ready(3), [send(3, 1, 1)]);
}

#[test]
fn nothing_is_spawned_before_its_time_not_even_for_a_new_task() {
    let mut hand = Hand::new(short(1, 9));
    hand.feed(submitted(1));
    hand.feed(spawn_failed(1, EAGAIN));
    hand.now_ns = 99;
    hand.expect(submitted(2), []);
    hand.expect(Event::TimerFired, [arm(100)]);
    hand.now_ns = 100;
    hand.expect(submitted(3), [spawn(2, 0)]);
}

#[test]
fn an_empty_pool_breaks_after_its_tries() {
    let mut hand = Hand::new(short(1, 2));
    hand.feed(submitted(1));
    hand.feed(spawn_failed(1, EAGAIN));
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [spawn(2, 0)]);
    let reason = BreakReason::SpawnFailed(EAGAIN);
    hand.expect(
        spawn_failed(2, EAGAIN),
        [
            break_pool(reason),
            complete(1, Outcome::Broken(reason)),
            Effect::Stopped,
        ],
    );
}

#[test]
fn a_pool_with_a_worker_goes_on_with_fewer_and_keeps_trying() {
    let mut hand = Hand::new(short(2, 1));
    hand.feed(submitted(1));
    hand.expect(ready(1), [send(1, 1, 1)]);
    hand.expect(spawn_failed(2, EAGAIN), [spawn_delayed(EAGAIN), arm(100)]);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [spawn(3, 1)]);
    hand.expect(spawn_failed(3, EAGAIN), [arm(300)]);
    hand.expect(finished(1, 1, 1), [complete(1, by(1))]);
    hand.now_ns = 300;
    hand.expect(Event::TimerFired, [spawn(4, 1)]);
    hand.expect(spawned(4), []);
    assert_eq!(hand.pool.workers_alive(), 2);
    assert_eq!(hand.pool.broken(), None);
}

#[test]
fn a_wave_of_failures_is_one_try() {
    let mut hand = Hand::new(short(3, 2));
    hand.feed(submitted(1));
    hand.expect(spawn_failed(1, EAGAIN), [spawn_delayed(EAGAIN), arm(100)]);
    hand.expect(spawn_failed(2, EAGAIN), []);
    hand.expect(spawn_failed(3, EAGAIN), []);
    assert_eq!(hand.pool.broken(), None);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [spawn(4, 0), spawn(5, 1), spawn(6, 2)]);
}

#[test]
fn the_answer_to_an_order_that_nobody_gave_is_dropped() {
    let mut hand = Hand::warm(config(1));
    hand.expect(spawned(9), []);
    hand.expect(spawn_failed(9, EAGAIN), []);
    hand.expect(ready(9), []);
    hand.expect(exited(9, [1]), []);
}

#[test]
fn a_worker_condemned_before_it_exists_is_killed_as_soon_as_it_does() {
    let mut hand = Hand::new(config(1));
    hand.expect(submitted(1), [spawn(1, 0)]);
    hand.expect(condemned(1), []);
    hand.expect(spawned(1), [kill_condemned(1)]);
    hand.expect(ready(1), []);
    hand.expect(
        exited(1, []),
        [gone(1, loky_core::Departure::Died), spawn(2, 0)],
    );
}

#[test]
fn a_second_shortage_is_told_again_when_the_first_is_over() {
    let mut hand = Hand::new(short(1, 9));
    hand.feed(submitted(1));
    hand.expect(spawn_failed(1, EAGAIN), [spawn_delayed(EAGAIN), arm(100)]);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [spawn(2, 0)]);
    hand.expect(spawned(2), []);
    hand.expect(
        exited(2, []),
        [gone(2, loky_core::Departure::Died), spawn(3, 0)],
    );
    hand.expect(spawn_failed(3, EAGAIN), [spawn_delayed(EAGAIN), arm(200)]);
}
