//! What starts when, and the plain way of a task.

use loky_core::{Config, Event, TaskId, WorkerId};

use crate::hand::*;

#[test]
fn nothing_is_made_before_the_first_task_and_everybody_with_it() {
    let mut hand = Hand::new(config(3));
    hand.expect(Event::TimerFired, []);
    hand.expect(submitted(1), [spawn(1, 0), spawn(2, 1), spawn(3, 2)]);
    hand.expect(submitted(2), []);
    assert_eq!(hand.pool.workers_alive(), 3);
    assert_eq!(hand.pool.unfinished(), 2);
}

#[test]
fn workers_that_are_wanted_without_a_task_are_made_once_and_idle() {
    let mut hand = Hand::new(Config {
        idle_timeout_ns: Some(100),
        ..config(2)
    });
    hand.expect(Event::WorkersWanted, [spawn(1, 0), spawn(2, 1)]);
    hand.expect(Event::WorkersWanted, []);
    hand.expect(ready(1), [arm(100)]);
    hand.expect(ready(2), []);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [ask(1), ask(2)]);
    hand.feed(exited(1, []));
    hand.feed(exited(2, []));
    hand.expect(Event::WorkersWanted, [spawn(3, 0), spawn(4, 1)]);
    hand.expect(submitted(1), []);
}

#[test]
fn no_workers_are_wanted_once_the_end_has_begun() {
    let mut hand = Hand::new(config(2));
    hand.feed(shutdown(loky_core::ShutdownMode::Drain));
    hand.expect(Event::WorkersWanted, []);
}

#[test]
fn a_task_waits_until_a_worker_is_ready_and_not_only_spawned() {
    let mut hand = Hand::new(config(1));
    hand.expect(submitted(1), [spawn(1, 0)]);
    hand.expect(spawned(1), []);
    hand.expect(ready(1), [send(1, 1, 1)]);
    assert_eq!(hand.pool.worker_of(TaskId(1)), Some(WorkerId(1)));
    hand.expect(finished(1, 1, 1), [complete(1, by(1))]);
    assert!(hand.pool.is_over(TaskId(1)));
    assert!(!hand.pool.is_over(TaskId(2)));
    assert_eq!(hand.pool.worker_of(TaskId(1)), None);
}

#[test]
fn a_worker_that_is_ready_before_it_is_known_to_be_spawned_is_ready() {
    let mut hand = Hand::new(config(1));
    hand.expect(submitted(1), [spawn(1, 0)]);
    hand.expect(ready(1), [send(1, 1, 1)]);
    hand.expect(spawned(1), []);
    hand.expect(finished(1, 1, 1), [complete(1, by(1))]);
}

#[test]
fn tasks_go_out_in_the_order_in_which_they_came() {
    let mut hand = Hand::new(config(1));
    hand.feed(submitted(1));
    hand.feed(submitted(2));
    hand.feed(submitted(3));
    hand.expect(ready(1), [send(1, 1, 1)]);
    hand.expect(finished(1, 1, 1), [complete(1, by(1)), send(1, 2, 1)]);
    hand.expect(finished(1, 2, 1), [complete(2, by(1)), send(1, 3, 1)]);
}

#[test]
fn a_number_that_is_not_new_is_dropped() {
    let mut hand = Hand::warm(config(1));
    hand.expect(submitted(1), []);
    assert_eq!(hand.pool.unfinished(), 0);
}

#[test]
fn replies_of_the_wrong_worker_attempt_or_task_are_dropped_and_counted() {
    let mut hand = Hand::busy(config(2));
    for foreign in [
        finished(2, 2, 1),
        finished(1, 2, 2),
        finished(1, 9, 1),
        finished(7, 2, 1),
    ] {
        hand.expect(foreign, []);
    }
    assert_eq!(hand.pool.statistics().replies_dropped, 4);
    hand.expect(finished(1, 2, 1), [complete(2, by(1))]);
    hand.expect(finished(1, 2, 1), []);
    assert_eq!(hand.pool.statistics().replies_dropped, 5);
}

#[test]
fn a_configuration_out_of_range_is_brought_into_it() {
    let mut config = config(0);
    config.prefetch_max = 1_000;
    config.tasks_per_worker_max = Some(0);
    let mut hand = Hand::new(config);
    hand.expect(submitted(1), [spawn(1, 0)]);
    hand.expect(ready(1), [send(1, 1, 1)]);
    hand.expect(finished(1, 1, 1), [complete(1, by(1)), ask(1), spawn(2, 1)]);
}
