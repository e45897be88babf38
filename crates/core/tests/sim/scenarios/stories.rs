//! Stories of a pool, each of which once was or could be a bug.

use loky_core::{Backoff, BreakReason, Config, Event, OnCrash, RestartBudget, ShutdownMode};

use super::{calm, config, is_answered, is_broken, is_died, submit};
use crate::driver::Driver;

fn tell_until_over(driver: &mut Driver) {
    driver.end_tasks().unwrap();
    driver.finish(ShutdownMode::Drain).unwrap();
}

#[test]
fn workers_that_die_before_any_work_break_the_pool_and_do_not_spawn_for_ever() {
    let mut config = config(2, OnCrash::Recover);
    config.restart_budget = RestartBudget {
        deaths_max: 5,
        window_ns: u64::MAX,
    };
    let mut driver = calm(1, &config);
    driver.profile.crash = 1_000;
    submit(&mut driver, 3).unwrap();
    driver.end_tasks().unwrap();
    assert!(matches!(
        driver.pool.broken(),
        Some(BreakReason::RestartBudget(_))
    ));
    assert_eq!(driver.count(is_broken), 3);
    assert_eq!(driver.pool.statistics().workers_died, 6);
    driver.profile.crash = 0;
    driver.finish(ShutdownMode::Kill).unwrap();
}

#[test]
fn workers_that_die_in_every_task_cost_each_task_once_and_never_the_pool() {
    let mut config = config(2, OnCrash::Recover);
    config.restart_budget = RestartBudget {
        deaths_max: 0,
        window_ns: u64::MAX,
    };
    for seed in 0..40 {
        let mut driver = calm(seed, &config);
        submit(&mut driver, 12).unwrap();
        while driver.panel.record.unfinished > 0 {
            // Whoever runs something is killed.
            driver.world.kill_running();
            driver.advance().unwrap();
        }
        assert_eq!(driver.count(is_died), 12, "seed {seed}");
        assert_eq!(driver.pool.broken(), None, "seed {seed}");
        tell_until_over(&mut driver);
    }
}

#[test]
fn a_system_without_processes_breaks_an_empty_pool_after_its_tries() {
    let config = Config {
        spawn_backoff: Backoff {
            first_ns: 10_000_000,
            max_ns: 40_000_000,
            tries_max: 4,
        },
        ..config(3, OnCrash::Recover)
    };
    let mut driver = calm(1, &config);
    driver.profile.spawn_failure = 1_000;
    submit(&mut driver, 2).unwrap();
    driver.end_tasks().unwrap();
    assert!(matches!(
        driver.pool.broken(),
        Some(BreakReason::SpawnFailed(_))
    ));
    assert_eq!(
        driver.pool.statistics().spawns_ordered,
        12,
        "four waves of three"
    );
    driver.finish(ShutdownMode::Drain).unwrap();
}

#[test]
fn a_system_that_is_short_of_processes_for_a_while_loses_nothing() {
    let config = Config {
        spawn_backoff: Backoff {
            first_ns: 1_000,
            max_ns: 1_000_000,
            tries_max: 1_000,
        },
        ..config(4, OnCrash::Recover)
    };
    for seed in 0..40 {
        let mut driver = calm(seed, &config);
        driver.profile.spawn_failure = 800;
        submit(&mut driver, 30).unwrap();
        driver.end_tasks().unwrap();
        assert_eq!(driver.count(is_answered), 30, "seed {seed}");
        driver.finish(ShutdownMode::Drain).unwrap();
    }
}

#[test]
fn a_launcher_that_always_dies_breaks_the_pool() {
    let mut config = config(2, OnCrash::Recover);
    config.restart_budget = RestartBudget {
        deaths_max: 3,
        window_ns: u64::MAX,
    };
    let mut driver = calm(1, &config);
    submit(&mut driver, 2).unwrap();
    while driver.panel.record.unfinished > 0 {
        driver.world.kill_launcher(true);
        driver.advance().unwrap();
    }
    assert_eq!(driver.pool.broken(), Some(BreakReason::LauncherDied));
    assert_eq!(driver.pool.statistics().launchers_died, 4);
    driver.finish(ShutdownMode::Drain).unwrap();
}

#[test]
fn a_launcher_that_takes_many_fresh_workers_along_does_not_spend_their_budget() {
    let mut config = config(6, OnCrash::Recover);
    config.restart_budget = RestartBudget {
        deaths_max: 2,
        window_ns: u64::MAX,
    };
    let mut driver = calm(3, &config);
    submit(&mut driver, 1).unwrap();
    for _ in 0..60 {
        driver.advance().unwrap();
    }
    driver.world.kill_launcher(false);
    submit(&mut driver, 6).unwrap();
    tell_until_over(&mut driver);
    assert_eq!(driver.pool.broken(), None);
}

#[test]
fn an_idle_pool_shrinks_to_nothing_and_the_next_task_brings_everybody_back() {
    let mut config = config(4, OnCrash::Recover);
    config.idle_timeout_ns = Some(1_000_000);
    let mut driver = calm(5, &config);
    submit(&mut driver, 8).unwrap();
    driver.end_tasks().unwrap();
    while driver.advance().unwrap() {}
    assert_eq!(driver.pool.workers_alive(), 0);
    assert_eq!(driver.pool.statistics().retired_idle, 4);
    driver.submit().unwrap();
    assert_eq!(driver.pool.workers_alive(), 4);
    tell_until_over(&mut driver);
    assert_eq!(driver.count(is_answered), 9);
}

#[test]
fn workers_that_grow_after_every_task_are_replaced_and_no_task_is_lost() {
    for seed in 0..40 {
        let mut driver = calm(seed, &config(3, OnCrash::Recover));
        driver.profile.memory_growth = 1_000;
        submit(&mut driver, 20).unwrap();
        driver.end_tasks().unwrap();
        assert_eq!(driver.count(is_answered), 20, "seed {seed}");
        driver.finish(ShutdownMode::Drain).unwrap();
    }
}

#[test]
fn a_resize_settles_while_workers_are_replaced_after_every_task() {
    let mut config = config(3, OnCrash::Recover);
    config.tasks_per_worker_max = Some(1);
    for seed in 0..40 {
        let mut driver = calm(seed, &config);
        submit(&mut driver, 10).unwrap();
        driver.tell(Event::ResizeRequested { workers: 6 }).unwrap();
        // New tasks keep coming, so that somebody is always on the way.
        let mut moves = 0;
        while driver.panel.record.resizing {
            if driver.panel.record.unfinished < 10 {
                driver.submit().unwrap();
            }
            driver.advance().unwrap();
            moves += 1;
            assert!(moves < 5_000, "seed {seed}: it never settles");
        }
        tell_until_over(&mut driver);
    }
}

#[test]
fn a_resize_settles_with_fewer_when_no_more_processes_can_be_made() {
    let config = Config {
        spawn_backoff: Backoff {
            first_ns: 1_000,
            max_ns: 10_000,
            tries_max: 3,
        },
        ..config(2, OnCrash::Recover)
    };
    let mut driver = calm(9, &config);
    submit(&mut driver, 4).unwrap();
    driver.end_tasks().unwrap();
    driver.profile.spawn_failure = 1_000;
    driver.tell(Event::ResizeRequested { workers: 5 }).unwrap();
    driver.end_tasks().unwrap();
    let there = driver
        .panel
        .record
        .workers
        .values()
        .filter(|seen| seen.is_working());
    assert_eq!(there.count(), 2);
    assert_eq!(driver.pool.broken(), None);
    driver.finish(ShutdownMode::Drain).unwrap();
}
