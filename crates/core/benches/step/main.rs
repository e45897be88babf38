//! What a step of the core costs, with few and many workers and tasks: `cargo bench -p loky-core`.
//!
//! A program of its own and no framework: a pool that grows to ten million tasks is not the same at
//! each repetition, so each number is that of one whole run, told by the step. The best of several.

mod workout;

use std::time::Instant;

use loky_core::TaskOptions;
use workout::Workout;

const WORKERS: [u32; 3] = [1, 64, 1024];

fn main() {
    // `cargo test --benches` asks for a list, or for a dose.
    if std::env::args().any(|word| word == "--list") {
        return;
    }
    let is_dose = !std::env::args().any(|word| word == "--bench");
    let most = if is_dose { 1_000 } else { 10_000_000 };
    println!("nanoseconds a step, by the number of workers\n");
    println!("| | 1 | 64 | 1,024 |");
    println!("|---|---:|---:|---:|");
    row("one task after the other", |workers| {
        best_of(5, workers, false, |workout| {
            for _ in 0..most.min(200_000) {
                workout.submit(None);
                workout.finish_one();
            }
        })
    });
    for tasks in [1_000, 100_000, 10_000_000_u64] {
        let name = format!("{tasks} tasks at once, then done one by one");
        let times = if tasks > 1_000_000 { 1 } else { 5 };
        row(&name, |workers| {
            best_of(times, workers, true, |workout| {
                for _ in 0..tasks.min(most) {
                    workout.submit(None);
                }
                while workout.finish_one() {}
            })
        });
    }
    more_rows(most);
}

/// What a pool does beside running tasks.
fn more_rows(most: u64) {
    row("a death and its replacement", |workers| {
        best_of(5, workers, false, |workout| {
            for _ in 0..2 * u64::from(workers) {
                workout.submit(None);
            }
            for _ in 0..most.min(50_000) {
                workout.die_one();
                workout.submit(None);
            }
        })
    });
    let watched = TaskOptions {
        timeout_ns: Some(60_000_000_000),
        queue_timeout_ns: Some(60_000_000_000),
        ..TaskOptions::default()
    };
    row("100000 tasks with deadlines", |workers| {
        best_of(5, workers, true, |workout| {
            for _ in 0..most.min(100_000) {
                workout.submit(Some(watched));
            }
            while workout.finish_one() {}
        })
    });
    row("a submission and a cancellation behind 100000", |workers| {
        best_of(5, workers, true, |workout| {
            for _ in 0..most.min(100_000) {
                workout.submit(None);
            }
            for _ in 0..most.min(100_000) {
                workout.submit(None);
                workout.cancel_last();
            }
        })
    });
}

fn row(name: &str, cost: impl Fn(u32) -> f64) {
    let cells: Vec<String> = WORKERS
        .iter()
        .map(|&workers| format!("{:.0}", cost(workers)))
        .collect();
    println!("| {name} | {} |", cells.join(" | "));
}

/// The least that a step of this work costs on the average, in nanoseconds.
fn best_of(times: u32, workers: u32, short: bool, work: impl Fn(&mut Workout)) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..times {
        let mut workout = Workout::new(workers, short);
        let start = Instant::now();
        work(&mut workout);
        let spent = start.elapsed().as_secs_f64() * 1e9;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 steps")]
        let steps = workout.steps() as f64;
        best = best.min(spent / steps);
    }
    best
}
