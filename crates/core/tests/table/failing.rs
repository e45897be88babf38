//! The failure table, row by row: what the task gets, and what becomes of the others in either
//! mode.

use loky_core::{
    BreakReason, Departure, Effect, Event, KillReason, Outcome, RestartBudget, ShutdownMode,
    TaskId, WorkerId,
};

use crate::hand::*;

fn budget(workers: u32, deaths_max: u32) -> loky_core::Config {
    let restart_budget = RestartBudget {
        deaths_max,
        window_ns: 1_000,
    };
    loky_core::Config {
        restart_budget,
        ..config(workers)
    }
}

#[test]
fn recover_a_dead_worker_costs_the_task_that_it_ran_and_is_replaced() {
    let mut hand = Hand::busy(config(2));
    hand.expect(
        exited(1, [2]),
        [
            complete(2, died(1, 1)),
            gone(1, Departure::Died),
            spawn(3, 0),
        ],
    );
    hand.expect(finished(2, 3, 1), [complete(3, by(2))]);
    assert_eq!(hand.pool.broken(), None);
    assert_eq!(hand.pool.statistics().respawned, 1);
}

#[test]
fn recover_what_had_not_started_moves_in_order_to_the_front() {
    let mut hand = Hand::warm(config(1));
    // A short run makes the pool send ahead.
    hand.feed(submitted(2));
    for _ in 0..40 {
        let task = hand.pool.statistics().submitted;
        hand.feed(finished_after(1, task, 1, 1));
        hand.feed(submitted(task + 1));
    }
    let running = hand.pool.statistics().submitted;
    hand.expect(submitted(running + 1), [send(1, running + 1, 1)]);
    hand.expect(submitted(running + 2), [send(1, running + 2, 1)]);
    hand.expect(submitted(running + 3), [send(1, running + 3, 1)]);
    hand.expect(
        exited(1, [running]),
        [
            complete(running, died(1, 1)),
            gone(1, Departure::Died),
            spawn(2, 0),
        ],
    );
    hand.feed(submitted(running + 4));
    hand.expect(
        ready(2),
        [
            send(2, running + 1, 2),
            send(2, running + 2, 2),
            send(2, running + 3, 2),
            send(2, running + 4, 1),
        ],
    );
}

#[test]
fn recover_a_worker_that_dies_idle_blames_nobody() {
    let mut hand = Hand::warm(config(2));
    hand.expect(exited(1, []), [gone(1, Departure::Died), spawn(3, 0)]);
    assert_eq!(hand.pool.unfinished(), 0);
}

#[test]
fn recover_a_sent_task_that_had_not_started_goes_to_another_worker() {
    let mut hand = Hand::busy(config(2));
    hand.expect(exited(1, []), [gone(1, Departure::Died), spawn(3, 0)]);
    hand.expect(finished(2, 3, 1), [complete(3, by(2)), send(2, 2, 2)]);
    hand.expect(finished(2, 2, 2), [complete(2, by(2))]);
}

#[test]
fn break_a_dead_worker_breaks_the_pool_and_every_task() {
    let mut hand = Hand::busy(breaking(2));
    hand.expect(submitted(4), []);
    let lost = Outcome::Broken(worker_died(1));
    hand.expect(
        exited(1, [2]),
        [
            break_pool(worker_died(1)),
            complete(2, lost),
            complete(3, lost),
            complete(4, lost),
            kill(2),
            gone(1, Departure::Died),
        ],
    );
    assert_eq!(hand.pool.broken(), Some(worker_died(1)));
    assert!(!hand.pool.accepts());
    hand.expect(submitted(5), [complete(5, lost)]);
    hand.expect(finished(2, 3, 1), []);
    hand.expect(
        exited(2, [3]),
        [gone(2, Departure::Killed), Effect::Stopped],
    );
    hand.expect(submitted(6), [complete(6, lost)]);
    hand.expect(shutdown(ShutdownMode::Kill), []);
}

#[test]
fn break_a_worker_that_dies_idle_breaks_the_pool_as_well() {
    let mut hand = Hand::warm(breaking(1));
    hand.expect(
        exited(1, []),
        [
            break_pool(worker_died(1)),
            gone(1, Departure::Died),
            Effect::Stopped,
        ],
    );
}

#[test]
fn the_restart_budget_is_spent_by_deaths_before_any_work() {
    let mut hand = Hand::new(budget(1, 2));
    hand.expect(submitted(1), [spawn(1, 0)]);
    hand.expect(exited(1, []), [gone(1, Departure::Died), spawn(2, 0)]);
    hand.feed(spawned(2));
    hand.expect(exited(2, []), [gone(2, Departure::Died), spawn(3, 0)]);
    hand.expect(ready(3), [send(3, 1, 1)]);
    let reason = BreakReason::RestartBudget(WorkerId(3));
    hand.expect(
        exited(3, []),
        [
            break_pool(reason),
            complete(1, Outcome::Broken(reason)),
            gone(3, Departure::Died),
            Effect::Stopped,
        ],
    );
}

#[test]
fn a_death_with_a_started_task_does_not_count_against_the_budget() {
    let mut hand = Hand::new(budget(1, 0));
    hand.feed(submitted(1));
    hand.feed(submitted(2));
    hand.expect(ready(1), [send(1, 1, 1)]);
    hand.expect(
        exited(1, [1]),
        [
            complete(1, died(1, 1)),
            gone(1, Departure::Died),
            spawn(2, 0),
        ],
    );
}

#[test]
fn an_answered_task_and_the_time_forgive_deaths() {
    let mut hand = Hand::new(budget(2, 1));
    hand.feed(submitted(1));
    hand.feed(exited(1, []));
    hand.feed(ready(2));
    hand.feed(finished(2, 1, 1));
    hand.expect(exited(3, []), [gone(3, Departure::Died), spawn(4, 0)]);
    hand.now_ns = 2_000;
    hand.expect(exited(4, []), [gone(4, Departure::Died), spawn(5, 0)]);
    assert_eq!(hand.pool.broken(), None);
}

#[test]
fn a_raising_initializer_breaks_the_pool_in_both_modes() {
    for config in [config(2), breaking(2)] {
        let mut hand = Hand::new(config);
        hand.feed(submitted(1));
        hand.feed(spawned(1));
        let reason = BreakReason::InitializerFailed(WorkerId(1));
        hand.expect(
            initializer_failed(1),
            [
                break_pool(reason),
                complete(1, Outcome::Broken(reason)),
                kill(1),
            ],
        );
        // The other had no process yet: it is killed as soon as it has one.
        hand.expect(spawned(2), [kill(2)]);
        hand.expect(exited(1, []), [gone(1, Departure::Killed)]);
        hand.expect(exited(2, []), [gone(2, Departure::Killed), Effect::Stopped]);
    }
}

#[test]
fn a_condemned_worker_is_killed_deaf_and_then_dead() {
    let mut hand = Hand::busy(config(1));
    hand.expect(condemned(1), [kill_condemned(1)]);
    assert_eq!(hand.pool.workers_alive(), 0);
    hand.expect(finished(1, 2, 1), []);
    hand.expect(condemned(1), []);
    hand.expect(
        exited(1, [2]),
        [
            complete(2, died(1, 1)),
            gone(1, Departure::Died),
            spawn(2, 0),
        ],
    );
}

#[test]
fn a_worker_with_too_much_memory_costs_the_task_that_it_runs_in_both_modes() {
    for config in [config(1), breaking(1)] {
        let mut hand = Hand::busy(config);
        // Whatever waits in it must not begin while it is being killed.
        let orders = [revoke(1, 2, 1), kill_for(1, KillReason::Memory)];
        hand.expect(overweight(1), orders);
        hand.expect(answered(1, 2, 1, false), []);
        // Nothing that it says from now on counts.
        hand.expect(finished(1, 2, 1), []);
        hand.expect(overweight(1), []);
        hand.expect(
            exited(1, [2]),
            [
                complete(2, died(1, 1)),
                gone(1, Departure::Killed),
                spawn(2, 0),
            ],
        );
    }
}

#[test]
fn break_a_condemned_worker_breaks_the_pool_when_it_is_over() {
    let mut hand = Hand::busy(breaking(1));
    hand.expect(condemned(1), [kill_condemned(1)]);
    hand.expect(
        exited(1, [2]),
        [
            break_pool(worker_died(1)),
            complete(2, Outcome::Broken(worker_died(1))),
            gone(1, Departure::Died),
            Effect::Stopped,
        ],
    );
}

#[test]
fn recover_a_dead_launcher_costs_what_its_workers_ran() {
    let mut hand = Hand::busy(budget(4, 1));
    hand.expect(Event::LauncherDied, []);
    // Two of these had done nothing, and the budget bears one: but they are the launcher's.
    hand.expect(exited(1, []), [gone(1, Departure::Died), spawn(5, 0)]);
    hand.expect(
        exited(2, [3]),
        [
            complete(3, died(2, 1)),
            gone(2, Departure::Died),
            spawn(6, 1),
        ],
    );
    hand.expect(exited(3, []), [gone(3, Departure::Died), spawn(7, 2)]);
    hand.expect(exited(4, []), [gone(4, Departure::Died), spawn(8, 3)]);
    hand.expect(ready(5), [send(5, 2, 2)]);
    hand.expect(ready(6), [send(6, 4, 2)]);
    assert_eq!(hand.pool.broken(), None);
}

#[test]
fn recover_a_spawn_that_went_down_with_the_launcher_is_ordered_again_at_once() {
    let mut hand = Hand::new(config(1));
    hand.expect(submitted(1), [spawn(1, 0)]);
    hand.expect(Event::LauncherDied, []);
    hand.expect(spawn_failed(1, 0), [spawn(2, 0)]);
    hand.expect(ready(2), [send(2, 1, 1)]);
}

#[test]
fn recover_launchers_that_die_again_and_again_without_an_answer_break_the_pool() {
    let mut hand = Hand::new(budget(1, 1));
    hand.feed(submitted(1));
    hand.expect(Event::LauncherDied, []);
    hand.expect(spawn_failed(1, 0), [spawn(2, 0)]);
    let reason = BreakReason::LauncherDied;
    hand.expect(
        Event::LauncherDied,
        [break_pool(reason), complete(1, Outcome::Broken(reason))],
    );
    hand.expect(spawn_failed(2, 0), [Effect::Stopped]);
}

#[test]
fn break_a_dead_launcher_breaks_the_pool() {
    let mut hand = Hand::busy(breaking(1));
    let reason = BreakReason::LauncherDied;
    hand.expect(
        Event::LauncherDied,
        [
            break_pool(reason),
            complete(2, Outcome::Broken(reason)),
            kill(1),
        ],
    );
    hand.expect(
        exited(1, [2]),
        [gone(1, Departure::Killed), Effect::Stopped],
    );
}

#[test]
fn a_setup_that_cannot_be_described_breaks_the_pool_and_awaits_no_answer() {
    let mut hand = Hand::new(config(2));
    hand.feed(submitted(1));
    let reason = BreakReason::SetupFailed;
    hand.expect(
        Event::SetupFailed,
        [
            break_pool(reason),
            complete(1, Outcome::Broken(reason)),
            Effect::Stopped,
        ],
    );
    assert_eq!(hand.pool.statistics().spawns_abandoned, 2);
}

#[test]
fn a_worker_that_was_made_all_the_same_after_the_setup_failed_is_killed() {
    let mut hand = Hand::new(config(2));
    hand.feed(submitted(1));
    hand.feed(spawned(1));
    let reason = BreakReason::SetupFailed;
    hand.expect(
        Event::SetupFailed,
        [
            break_pool(reason),
            complete(1, Outcome::Broken(reason)),
            kill(1),
        ],
    );
    hand.expect(spawned(2), [kill(2)]);
    hand.expect(exited(1, []), [gone(1, Departure::Killed)]);
    hand.expect(exited(2, []), [gone(2, Departure::Killed), Effect::Stopped]);
}

#[test]
fn a_worker_that_showed_itself_and_is_said_not_to_exist_costs_what_it_held() {
    let mut hand = Hand::busy(config(1));
    hand.expect(
        spawn_failed(1, 11),
        [
            complete(2, died(1, 1)),
            gone(1, Departure::Died),
            spawn(2, 0),
        ],
    );
    assert!(hand.pool.is_over(TaskId(2)));
}

#[test]
fn a_pool_that_was_killed_does_not_break_any_more() {
    let mut hand = Hand::new(config(2));
    hand.feed(submitted(1));
    hand.expect(
        shutdown(ShutdownMode::Kill),
        [complete(1, Outcome::ShutDown)],
    );
    hand.expect(initializer_failed(1), [kill(1)]);
    hand.expect(Event::LauncherDied, []);
    hand.expect(Event::SetupFailed, []);
    hand.expect(exited(1, []), [gone(1, Departure::Killed), Effect::Stopped]);
    assert_eq!(hand.pool.broken(), None);
}

#[test]
fn an_answered_task_forgives_launchers_as_well() {
    let mut hand = Hand::warm(budget(1, 1));
    for task in [2, 3, 4] {
        hand.expect(submitted(task), [send(1, task, 1)]);
        hand.expect(Event::LauncherDied, []);
        hand.expect(finished(1, task, 1), [complete(task, by(1))]);
    }
}
