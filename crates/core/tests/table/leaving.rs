//! Workers that leave: for memory, after enough tasks, by their own word.

use loky_core::{
    BreakReason, Config, Departure, Effect, LeaveReason, Outcome, RestartBudget, ShutdownMode,
    WorkerId,
};

use crate::hand::*;

const GROWTH: LeaveReason = LeaveReason::MemoryGrowth;

#[test]
fn a_worker_that_grew_is_replaced_at_once_and_its_unstarted_tasks_move() {
    let mut hand = Hand::busy(config(2));
    hand.expect(leaving(1, GROWTH), [revoke(1, 2, 1), spawn(3, 2)]);
    hand.expect(answered(1, 2, 1, true), []);
    hand.expect(finished(2, 3, 1), [complete(3, by(2)), send(2, 2, 2)]);
    // There were more tasks than workers when it began to leave.
    hand.expect(exited(1, []), [gone(1, GROWN), stopped_with_work(GROWTH)]);
    assert_eq!(hand.pool.statistics().recycled, 1);
}

#[test]
fn the_owner_is_told_when_tasks_were_waiting_and_only_then() {
    let mut hand = Hand::busy(config(1));
    hand.expect(submitted(3), []);
    hand.expect(finished(1, 2, 1), [complete(2, by(1)), send(1, 3, 1)]);
    hand.expect(leaving(1, GROWTH), [revoke(1, 3, 1), spawn(2, 1)]);
    hand.expect(answered(1, 3, 1, true), []);
    hand.expect(exited(1, []), [gone(1, GROWN), stopped_with_work(GROWTH)]);

    let mut hand = Hand::warm(config(1));
    hand.expect(leaving(1, GROWTH), [spawn(2, 1)]);
    hand.expect(exited(1, []), [gone(1, GROWN)]);
}

#[test]
fn a_worker_that_exits_before_its_withdrawals_are_answered_loses_nothing() {
    let mut hand = Hand::busy(config(1));
    hand.expect(leaving(1, GROWTH), [revoke(1, 2, 1), spawn(2, 1)]);
    hand.expect(exited(1, []), [gone(1, GROWN), stopped_with_work(GROWTH)]);
    hand.expect(answered(1, 2, 1, true), []);
    hand.expect(ready(2), [send(2, 2, 2)]);
}

#[test]
fn a_leaving_worker_that_dies_with_a_started_task_is_dead() {
    let mut hand = Hand::busy(config(1));
    hand.expect(leaving(1, GROWTH), [revoke(1, 2, 1), spawn(2, 1)]);
    hand.expect(answered(1, 2, 1, false), []);
    hand.expect(
        exited(1, [2]),
        [complete(2, died(1, 1)), gone(1, Departure::Died)],
    );
}

#[test]
fn break_a_leaving_worker_that_exits_clean_does_not_break_the_pool() {
    let mut hand = Hand::warm(breaking(1));
    hand.expect(leaving(1, GROWTH), [spawn(2, 1)]);
    hand.expect(exited(1, []), [gone(1, GROWN)]);
    assert_eq!(hand.pool.broken(), None);
}

#[test]
fn break_a_leaving_worker_that_dies_with_a_started_task_breaks_the_pool() {
    let mut hand = Hand::busy(breaking(1));
    hand.expect(leaving(1, GROWTH), [revoke(1, 2, 1), spawn(2, 1)]);
    let lost = loky_core::Outcome::Broken(worker_died(1));
    hand.expect(
        exited(1, [2]),
        [
            break_pool(worker_died(1)),
            complete(2, lost),
            gone(1, Departure::Died),
        ],
    );
    hand.expect(spawn_failed(2, 0), [Effect::Stopped]);
}

#[test]
fn a_worker_that_has_had_its_tasks_is_asked_to_leave_and_replaced() {
    let mut hand = Hand::new(Config {
        tasks_per_worker_max: Some(2),
        ..config(1)
    });
    hand.feed(submitted(1));
    hand.feed(submitted(2));
    hand.feed(submitted(3));
    hand.expect(ready(1), [send(1, 1, 1)]);
    hand.expect(
        finished_after(1, 1, 1, 1),
        [complete(1, by(1)), send(1, 2, 1)],
    );
    hand.expect(
        finished_after(1, 2, 1, 1),
        [complete(2, by(1)), ask(1), spawn(2, 1)],
    );
    hand.expect(exited(1, []), [gone(1, ASKED)]);
    hand.expect(ready(2), [send(2, 3, 1)]);
    assert_eq!(hand.pool.statistics().recycled, 1);
}

#[test]
fn a_task_that_was_taken_back_is_none_of_those_that_a_worker_has_had() {
    let mut hand = Hand::new(Config {
        tasks_per_worker_max: Some(1),
        ..config(1)
    });
    hand.feed(submitted(1));
    hand.expect(ready(1), [send(1, 1, 1)]);
    hand.expect(cancelled(1), [revoke(1, 1, 1)]);
    hand.feed(answered(1, 1, 1, true));
    hand.expect(submitted(2), [send(1, 2, 1)]);
}

#[test]
fn a_worker_that_leaves_by_its_own_word_before_any_work_spends_the_budget_in_both_modes() {
    for config in [config(1), breaking(1)] {
        let restart_budget = RestartBudget {
            deaths_max: 0,
            window_ns: 1,
        };
        let mut hand = Hand::new(Config {
            restart_budget,
            ..config
        });
        hand.feed(submitted(1));
        hand.expect(ready(1), [send(1, 1, 1)]);
        hand.expect(
            leaving(1, LeaveReason::Asked),
            [revoke(1, 1, 1), spawn(2, 1)],
        );
        let reason = BreakReason::RestartBudget(WorkerId(1));
        hand.expect(
            exited(1, []),
            [
                break_pool(reason),
                complete(1, Outcome::Broken(reason)),
                gone(1, ASKED),
            ],
        );
    }
}

#[test]
fn a_drain_replaces_a_worker_that_grew_for_as_many_tasks_as_are_left() {
    let mut hand = Hand::busy(config(2));
    hand.expect(shutdown(ShutdownMode::Drain), []);
    hand.expect(finished(1, 2, 1), [complete(2, by(1))]);
    hand.expect(leaving(2, GROWTH), [revoke(2, 3, 1)]);
    hand.expect(answered(2, 3, 1, true), [send(1, 3, 2)]);
    hand.expect(finished(1, 3, 2), [complete(3, by(1)), ask(1)]);
    hand.expect(exited(2, []), [gone(2, GROWN)]);
    hand.expect(exited(1, []), [gone(1, ASKED), Effect::Stopped]);
}
