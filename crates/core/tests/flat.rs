//! A step costs the same however many workers and tasks there are.
//!
//! Time is what is compared, since it is what is promised, and no count would see a walk over all
//! workers. The margin is wide: a walk makes a step hundreds of times as dear, and what a large pool
//! costs by missing the caches makes it some five times as dear.
//!
//! Optimised only: with debug assertions the invariants are checked all the time, which is a walk over
//! everything.
#![cfg(not(debug_assertions))]

#[path = "../benches/step/workout.rs"]
mod workout;

use std::time::{Duration, Instant};

use loky_core::TaskOptions;
use workout::Workout;

/// As many as a pool may have.
const WORKERS: u32 = 65_536;
const TASKS: u32 = 200_000;
const STEPS: u32 = 2_000;
const FACTOR: u32 = 40;

/// Some kind of work, told by its name.
type Work = (&'static str, fn(&mut Workout));

const WORKS: [Work; 4] = [
    ("a task is done", |workout| {
        workout.submit(None);
        assert!(workout.finish_one());
    }),
    ("a task is cancelled", |workout| {
        workout.submit(None);
        workout.cancel_last();
    }),
    ("a worker dies", |workout| {
        workout.submit(None);
        assert!(workout.die_one());
    }),
    ("a task has deadlines", |workout| {
        workout.submit(Some(TaskOptions {
            timeout_ns: Some(60_000_000_000),
            queue_timeout_ns: Some(60_000_000_000),
            ..TaskOptions::default()
        }));
        assert!(workout.finish_one());
    }),
];

/// The shortest time that so many steps took, of several tries: a busy machine makes others longer.
fn shortest(workers: u32, tasks: u32, work: fn(&mut Workout)) -> Duration {
    let mut workout = Workout::new(workers, false);
    for _ in 0..tasks {
        workout.submit(None);
    }
    let tries = (0..5).map(|_| {
        let start = Instant::now();
        for _ in 0..STEPS {
            work(&mut workout);
        }
        start.elapsed()
    });
    let least = tries.min().unwrap_or_default();
    assert!(workout.steps() >= u64::from(5 * STEPS), "nothing was done");
    least
}

fn assert_flat(workers: u32, tasks: u32) {
    for (name, work) in WORKS {
        let (few, many) = (shortest(1, 1, work), shortest(workers, tasks, work));
        assert!(
            many <= few * FACTOR,
            "{name}: {STEPS} times in {few:?}, and in {many:?} with {workers} workers and {tasks} tasks"
        );
        println!("{name}: {few:?}, {many:?}");
    }
}

#[test]
fn a_step_costs_the_same_with_many_workers() {
    assert_flat(WORKERS, 2 * WORKERS);
}

#[test]
fn a_step_costs_the_same_with_many_tasks() {
    assert_flat(1, TASKS);
}
