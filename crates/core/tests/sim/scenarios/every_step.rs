//! One thing happens, once, at every step of a run in turn: nothing may be lost by it, whenever
//! it comes.

use loky_core::{Config, Event, OnCrash, ShutdownMode};

use super::{calm, cancel_all, config, is_answered, is_broken, is_died, is_shut_down, submit};
use crate::driver::{Driver, Failure};

const TASKS: usize = 9;
const SEEDS: u64 = 6;

/// How many moves a run of these tasks takes at most when nothing happens to it.
const MOVES: u64 = 140;

/// Runs the tasks, lets `happen` at move `at`, and brings the pool to its end. The three flags of
/// the seed choose how the tasks come.
fn play(
    seed: u64,
    config: &Config,
    at: u64,
    happen: impl Fn(&mut Driver) -> Result<(), Failure>,
) -> Result<Driver, Failure> {
    let mut driver = calm(seed, config);
    // Some runs begin with a known run time, so that tasks are sent ahead.
    driver.profile.run_ns = if seed.is_multiple_of(2) {
        50_000
    } else {
        9_000_000
    };
    submit(&mut driver, TASKS as u64)?;
    for _ in 0..at {
        if driver.panel.record.unfinished == 0 {
            break;
        }
        driver.advance()?;
    }
    happen(&mut driver)?;
    driver.end_tasks()?;
    driver.finish(ShutdownMode::Drain)?;
    Ok(driver)
}

/// Plays every seed with the event at every move, and judges what came out.
fn sweep(
    config: &Config,
    happen: impl Fn(&mut Driver) -> Result<(), Failure> + Copy,
    judge: impl Fn(&Driver) -> bool,
) {
    for seed in 0..SEEDS {
        for at in 0..MOVES {
            match play(seed, config, at, happen) {
                Ok(driver) => {
                    let tasks = &driver.panel.record.tasks;
                    assert!(judge(&driver), "seed {seed}, move {at}: {tasks:#?}");
                }
                Err(failure) => panic!("seed {seed}, move {at}: {failure:?}"),
            }
        }
    }
}

/// Something that is done to the world and not told to the pool.
fn from_outside(act: fn(&mut Driver)) -> impl Fn(&mut Driver) -> Result<(), Failure> + Copy {
    move |driver| {
        act(driver);
        Ok(())
    }
}

/// Kills the oldest worker that can be killed, if there is one.
fn kill_one(driver: &mut Driver) {
    if let Some(&victim) = driver.world.victims().first() {
        driver.world.kill(victim);
    }
}

fn kill_all(driver: &mut Driver) {
    for victim in driver.world.victims() {
        driver.world.kill(victim);
    }
}

#[test]
fn undisturbed_every_task_is_answered_within_the_moves_of_the_sweep() {
    sweep(
        &config(3, OnCrash::Recover),
        |_| Ok(()),
        |driver| driver.count(is_answered) == TASKS,
    );
    let longest = (0..SEEDS).map(|seed| {
        let mut driver = calm(seed, &config(3, OnCrash::Recover));
        let mut moves = 0;
        submit(&mut driver, TASKS as u64).unwrap();
        while driver.panel.record.unfinished > 0 {
            driver.advance().unwrap();
            moves += 1;
        }
        moves
    });
    assert!(longest.max().unwrap() <= MOVES);
}

#[test]
fn a_worker_killed_at_any_step_costs_at_most_the_task_that_it_ran() {
    sweep(
        &config(3, OnCrash::Recover),
        from_outside(kill_one),
        |driver| {
            let died = driver.count(is_died);
            died <= 1 && died + driver.count(is_answered) == TASKS
        },
    );
}

#[test]
fn all_workers_killed_at_any_step_cost_at_most_what_they_ran() {
    sweep(
        &config(3, OnCrash::Recover),
        from_outside(kill_all),
        |driver| {
            let died = driver.count(is_died);
            died <= 3 && died + driver.count(is_answered) == TASKS
        },
    );
}

#[test]
fn in_break_mode_a_death_at_any_step_fails_whatever_is_unfinished() {
    sweep(
        &config(3, OnCrash::Break),
        from_outside(kill_one),
        |driver| driver.count(is_broken) + driver.count(is_answered) == TASKS,
    );
}

#[test]
fn a_launcher_that_dies_at_any_step_costs_at_most_what_its_workers_ran() {
    for lose in [false, true] {
        let happen = |driver: &mut Driver| {
            driver.world.kill_launcher(lose);
            Ok(())
        };
        sweep(&config(3, OnCrash::Recover), happen, |driver| {
            let died = driver.count(is_died);
            died <= 3 && died + driver.count(is_answered) == TASKS
        });
        sweep(&config(3, OnCrash::Break), happen, |driver| {
            driver.count(is_broken) + driver.count(is_answered) == TASKS
        });
    }
}

#[test]
fn a_worker_condemned_at_any_step_counts_as_dead() {
    let happen = |driver: &mut Driver| match driver.world.condemn(&mut driver.rng) {
        Some(event) => driver.tell(event),
        None => Ok(()),
    };
    sweep(&config(3, OnCrash::Recover), happen, |driver| {
        // What it had answered and nobody had read yet is lost as well.
        driver.count(is_died) + driver.count(is_answered) == TASKS
    });
    sweep(&config(3, OnCrash::Break), happen, |driver| {
        driver.count(is_broken) + driver.count(is_answered) == TASKS
    });
}

#[test]
fn a_worker_with_too_much_memory_at_any_step_costs_what_it_runs() {
    let happen = |driver: &mut Driver| match driver.world.overfill(&mut driver.rng) {
        Some(event) => driver.tell(event),
        None => Ok(()),
    };
    for on_crash in [OnCrash::Recover, OnCrash::Break] {
        sweep(&config(3, on_crash), happen, |driver| {
            let died = driver.count(is_died);
            died <= 1 && died + driver.count(is_answered) == TASKS
        });
    }
}

#[test]
fn a_failing_setup_at_any_step_breaks_the_pool() {
    let happen = |driver: &mut Driver| {
        let event = driver.world.fail_setup();
        driver.tell(event)
    };
    sweep(&config(3, OnCrash::Recover), happen, |driver| {
        driver.count(is_broken) + driver.count(is_answered) == TASKS
            && driver.panel.record.broken.is_some()
    });
}

#[test]
fn tasks_cancelled_at_any_step_either_run_or_are_cancelled_and_none_is_lost() {
    let happen = |driver: &mut Driver| cancel_all(driver, TASKS as u64);
    sweep(&config(3, OnCrash::Recover), happen, |driver| {
        driver.panel.record.broken.is_none()
            && driver.count(is_died) == 0
            && driver.count(is_shut_down) == 0
    });
}

#[test]
fn a_worker_killed_while_tasks_are_being_cancelled_leaves_no_task_behind() {
    let happen = |driver: &mut Driver| {
        cancel_all(driver, TASKS as u64)?;
        kill_one(driver);
        Ok(())
    };
    sweep(&config(3, OnCrash::Recover), happen, |driver| {
        driver.count(is_died) <= 1
    });
}

#[test]
fn a_pool_resized_at_any_step_answers_every_task() {
    for workers in [1, 2, 3, 5] {
        let happen = |driver: &mut Driver| driver.tell(Event::ResizeRequested { workers });
        sweep(&config(3, OnCrash::Recover), happen, |driver| {
            driver.count(is_answered) == TASKS
        });
    }
}

#[test]
fn a_pool_resized_twice_at_any_step_settles_on_the_second_size() {
    let happen = |driver: &mut Driver| {
        driver.tell(Event::ResizeRequested { workers: 1 })?;
        driver.tell(Event::ResizeRequested { workers: 4 })
    };
    sweep(&config(3, OnCrash::Recover), happen, |driver| {
        driver.count(is_answered) == TASKS && driver.pool.workers_wanted() == 4
    });
}

#[test]
fn a_shutdown_at_any_step_does_what_its_word_says() {
    let shut = |mode| move |driver: &mut Driver| driver.tell(Event::ShutdownRequested { mode });
    let recover = config(3, OnCrash::Recover);
    sweep(&recover, shut(ShutdownMode::Drain), |driver| {
        driver.count(is_answered) == TASKS
    });
    for mode in [ShutdownMode::CancelPending, ShutdownMode::Kill] {
        sweep(&recover, shut(mode), |driver| {
            driver.count(is_answered) + driver.count(is_shut_down) == TASKS
        });
    }
}

#[test]
fn a_worker_killed_at_any_step_of_a_drain_is_replaced_for_what_is_left() {
    let happen = |driver: &mut Driver| {
        driver.tell(Event::ShutdownRequested {
            mode: ShutdownMode::Drain,
        })?;
        kill_all(driver);
        Ok(())
    };
    sweep(&config(2, OnCrash::Recover), happen, |driver| {
        driver.count(is_died) + driver.count(is_answered) == TASKS
    });
}

#[test]
fn workers_that_idle_for_no_time_at_all_still_answer_every_task() {
    let mut config = config(3, OnCrash::Recover);
    config.idle_timeout_ns = Some(0);
    sweep(
        &config,
        |_| Ok(()),
        |driver| driver.count(is_answered) == TASKS,
    );
    sweep(&config, from_outside(kill_one), |driver| {
        driver.count(is_died) <= 1
    });
}

#[test]
fn workers_of_a_single_task_still_answer_every_task() {
    let mut config = config(3, OnCrash::Recover);
    config.tasks_per_worker_max = Some(1);
    sweep(
        &config,
        |_| Ok(()),
        |driver| driver.count(is_answered) == TASKS,
    );
    sweep(&config, from_outside(kill_one), |driver| {
        driver.count(is_died) <= 1
    });
}
