//! Cancelling: a task that waits ends at once, one that was sent is withdrawn, and every order of
//! the answer and the end of the worker comes out right.

use loky_core::{Departure, LeaveReason, Outcome};

use crate::hand::*;

#[test]
fn a_waiting_task_ends_at_once() {
    let mut hand = Hand::busy(config(1));
    hand.expect(submitted(3), []);
    hand.expect(submitted(4), []);
    hand.expect(cancelled(3), [complete(3, Outcome::Cancelled)]);
    hand.expect(finished(1, 2, 1), [complete(2, by(1)), send(1, 4, 1)]);
}

#[test]
fn a_sent_task_is_withdrawn_once_and_ends_when_that_is_granted() {
    let mut hand = Hand::busy(config(1));
    hand.expect(cancelled(2), [revoke(1, 2, 1)]);
    hand.expect(cancelled(2), []);
    hand.expect(answered(1, 2, 1, true), [complete(2, Outcome::Cancelled)]);
    hand.expect(answered(1, 2, 1, true), []);
}

#[test]
fn a_task_that_had_started_goes_on_and_is_not_asked_for_again() {
    let mut hand = Hand::busy(config(1));
    hand.expect(cancelled(2), [revoke(1, 2, 1)]);
    hand.expect(answered(1, 2, 1, false), []);
    hand.expect(cancelled(2), []);
    hand.expect(finished(1, 2, 1), [complete(2, by(1))]);
}

#[test]
fn unknown_tasks_and_those_that_are_over_are_nobodys_business() {
    let mut hand = Hand::warm(config(1));
    hand.expect(cancelled(1), []);
    hand.expect(cancelled(99), []);
}

#[test]
fn an_answer_that_comes_after_the_reply_is_dropped() {
    let mut hand = Hand::busy(config(1));
    hand.expect(cancelled(2), [revoke(1, 2, 1)]);
    hand.expect(finished(1, 2, 1), [complete(2, by(1))]);
    hand.expect(answered(1, 2, 1, false), []);
}

#[test]
fn an_exit_before_the_answer_cancels_what_had_not_started() {
    let mut hand = Hand::busy(config(1));
    hand.expect(cancelled(2), [revoke(1, 2, 1)]);
    hand.expect(
        exited(1, []),
        [
            complete(2, Outcome::Cancelled),
            gone(1, Departure::Died),
            spawn(2, 0),
        ],
    );
    hand.expect(answered(1, 2, 1, true), []);
}

#[test]
fn an_exit_before_the_answer_blames_what_had_started() {
    let mut hand = Hand::busy(config(1));
    hand.expect(cancelled(2), [revoke(1, 2, 1)]);
    hand.expect(
        exited(1, [2]),
        [
            complete(2, died(1, 1)),
            gone(1, Departure::Died),
            spawn(2, 0),
        ],
    );
    hand.expect(answered(1, 2, 1, false), []);
}

#[test]
fn an_exit_after_a_refusal_blames_the_task_even_if_the_ledger_forgot_it() {
    let mut hand = Hand::busy(config(1));
    hand.expect(cancelled(2), [revoke(1, 2, 1)]);
    hand.expect(answered(1, 2, 1, false), []);
    hand.expect(
        exited(1, []),
        [
            complete(2, died(1, 1)),
            gone(1, Departure::Died),
            spawn(2, 0),
        ],
    );
}

#[test]
fn a_task_that_moves_and_is_cancelled_on_the_way_is_not_asked_for_twice() {
    let mut hand = Hand::warm(config(1));
    hand.feed(submitted(2));
    hand.expect(
        leaving(1, LeaveReason::MemoryGrowth),
        [revoke(1, 2, 1), spawn(2, 1)],
    );
    hand.expect(cancelled(2), []);
    hand.expect(answered(1, 2, 1, true), [complete(2, Outcome::Cancelled)]);
}

#[test]
fn an_answer_about_an_earlier_attempt_says_nothing_about_this_one() {
    let mut hand = Hand::busy(config(2));
    hand.expect(
        leaving(2, LeaveReason::MemoryGrowth),
        [revoke(2, 3, 1), spawn(3, 2)],
    );
    hand.expect(answered(2, 3, 1, true), []);
    hand.expect(finished(1, 2, 1), [complete(2, by(1)), send(1, 3, 2)]);
    hand.expect(cancelled(3), [revoke(1, 3, 2)]);
    hand.expect(answered(1, 3, 1, true), []);
    hand.expect(answered(2, 3, 2, true), []);
    hand.expect(answered(1, 3, 2, false), []);
    hand.expect(finished(1, 3, 2), [complete(3, by(1))]);
}
