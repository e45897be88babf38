//! Shutdowns: three words, the worse one wins, and the stop comes last.

use loky_core::{Departure, Effect, Outcome, ShutdownMode};

use crate::hand::*;

const DRAIN: ShutdownMode = ShutdownMode::Drain;
const CANCEL: ShutdownMode = ShutdownMode::CancelPending;
const KILL: ShutdownMode = ShutdownMode::Kill;

#[test]
fn a_pool_that_has_not_started_stops_at_once() {
    for mode in [DRAIN, CANCEL, KILL] {
        let mut hand = Hand::new(config(2));
        hand.expect(shutdown(mode), [Effect::Stopped]);
        hand.expect(submitted(1), [complete(1, Outcome::ShutDown)]);
        assert!(hand.pool.is_stopped());
    }
}

#[test]
fn a_drain_runs_every_task_and_then_lets_the_workers_go() {
    let mut hand = Hand::busy(config(1));
    hand.feed(submitted(3));
    hand.expect(shutdown(DRAIN), []);
    assert!(!hand.pool.accepts());
    hand.expect(submitted(4), [complete(4, Outcome::ShutDown)]);
    hand.expect(finished(1, 2, 1), [complete(2, by(1)), send(1, 3, 1)]);
    hand.expect(finished(1, 3, 1), [complete(3, by(1)), ask(1)]);
    hand.expect(exited(1, []), [gone(1, ASKED), Effect::Stopped]);
}

#[test]
fn a_drain_replaces_a_dead_worker_for_what_is_left() {
    let mut hand = Hand::busy(config(1));
    hand.feed(submitted(3));
    hand.expect(shutdown(DRAIN), []);
    hand.expect(
        exited(1, [2]),
        [
            complete(2, died(1, 1)),
            gone(1, Departure::Died),
            spawn(2, 0),
        ],
    );
    hand.expect(ready(2), [send(2, 3, 1)]);
    hand.expect(
        exited(2, [3]),
        [
            complete(3, died(2, 1)),
            gone(2, Departure::Died),
            Effect::Stopped,
        ],
    );
}

#[test]
fn a_drain_of_workers_that_are_not_there_yet_lets_them_go_when_they_are() {
    let mut hand = Hand::new(config(2));
    hand.feed(submitted(1));
    hand.expect(cancelled(1), [complete(1, Outcome::Cancelled)]);
    hand.expect(shutdown(DRAIN), []);
    hand.expect(spawned(1), [ask(1)]);
    hand.expect(spawn_failed(2, 11), []);
    hand.expect(exited(1, []), [gone(1, ASKED), Effect::Stopped]);
}

#[test]
fn cancelling_what_is_pending_ends_the_waiting_and_withdraws_the_sent() {
    let mut hand = Hand::busy(config(2));
    hand.feed(submitted(4));
    hand.expect(
        shutdown(CANCEL),
        [
            complete(4, Outcome::ShutDown),
            revoke(1, 2, 1),
            revoke(2, 3, 1),
        ],
    );
    hand.expect(answered(1, 2, 1, false), []);
    hand.expect(answered(2, 3, 1, true), [complete(3, Outcome::ShutDown)]);
    hand.expect(finished(1, 2, 1), [complete(2, by(1)), ask(1), ask(2)]);
    hand.expect(exited(2, []), [gone(2, ASKED)]);
    hand.expect(exited(1, []), [gone(1, ASKED), Effect::Stopped]);
}

#[test]
fn after_cancelling_what_comes_back_from_a_dead_worker_is_shut_down_too() {
    let mut hand = Hand::busy(config(1));
    hand.expect(shutdown(CANCEL), [revoke(1, 2, 1)]);
    hand.expect(
        exited(1, []),
        [
            complete(2, Outcome::ShutDown),
            gone(1, Departure::Died),
            Effect::Stopped,
        ],
    );
}

#[test]
fn a_kill_ends_every_task_and_every_worker_at_once() {
    let mut hand = Hand::busy(config(2));
    hand.feed(submitted(4));
    hand.expect(
        shutdown(KILL),
        [
            complete(2, Outcome::ShutDown),
            complete(3, Outcome::ShutDown),
            complete(4, Outcome::ShutDown),
            kill(1),
            kill(2),
        ],
    );
    hand.expect(finished(1, 2, 1), []);
    hand.expect(exited(1, []), [gone(1, Departure::Killed)]);
    hand.expect(
        exited(2, [3]),
        [gone(2, Departure::Killed), Effect::Stopped],
    );
}

#[test]
fn a_kill_reaches_workers_in_the_making() {
    let mut hand = Hand::new(config(2));
    hand.feed(submitted(1));
    hand.expect(shutdown(KILL), [complete(1, Outcome::ShutDown)]);
    hand.expect(spawned(1), [kill(1)]);
    hand.expect(spawn_failed(2, 11), []);
    hand.expect(exited(1, []), [gone(1, Departure::Killed), Effect::Stopped]);
}

#[test]
fn a_later_worse_word_wins_and_a_milder_one_is_ignored() {
    let mut hand = Hand::busy(config(1));
    hand.feed(submitted(3));
    hand.expect(shutdown(DRAIN), []);
    hand.expect(
        shutdown(CANCEL),
        [complete(3, Outcome::ShutDown), revoke(1, 2, 1)],
    );
    hand.expect(shutdown(DRAIN), []);
    hand.expect(shutdown(KILL), [complete(2, Outcome::ShutDown), kill(1)]);
    hand.expect(shutdown(CANCEL), []);
    hand.expect(answered(1, 2, 1, true), []);
    hand.expect(exited(1, []), [gone(1, Departure::Killed), Effect::Stopped]);
}

#[test]
fn a_kill_also_ends_those_who_were_asked_to_leave() {
    let mut hand = Hand::warm(config(1));
    hand.expect(shutdown(DRAIN), [ask(1)]);
    hand.expect(shutdown(KILL), [kill(1)]);
    hand.expect(exited(1, []), [gone(1, Departure::Killed), Effect::Stopped]);
}

#[test]
fn after_the_stop_only_a_task_is_answered() {
    let mut hand = Hand::new(config(1));
    hand.expect(shutdown(DRAIN), [Effect::Stopped]);
    for event in [
        spawned(1),
        ready(1),
        exited(1, []),
        resized(3),
        shutdown(KILL),
        cancelled(1),
    ] {
        hand.expect(event, []);
    }
    hand.expect(submitted(7), [complete(7, Outcome::ShutDown)]);
    assert!(hand.pool.is_over(loky_core::TaskId(7)));
}
