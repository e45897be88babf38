//! Tasks that have not begun can be cancelled; those that have go on.

use std::time::Duration;

use loky::{Error, ProcessPoolExecutor, TaskState};

/// Task that can be cancelled before it begins.
#[loky::task]
fn cancellable_task(task_id: usize, millis: u64) -> String {
    println!("Task {task_id} starting (duration: {millis} ms)");
    std::thread::sleep(Duration::from_millis(millis));
    println!("Task {task_id} completed");
    format!("Task {task_id} result")
}

fn main() -> Result<(), Error> {
    loky::init();
    let executor = ProcessPoolExecutor::new(2)?;
    let futures = (0..6)
        .map(|task_id| executor.submit(cancellable_task::call(task_id, 700)))
        .collect::<Result<Vec<_>, _>>()?;

    // Wait until the first two have begun.
    while futures
        .iter()
        .take(2)
        .any(|future| future.state() == TaskState::Pending)
    {
        std::thread::yield_now();
    }
    let mut cancelled_count = 0;
    for (i, future) in futures.iter().enumerate().filter(|(i, _)| i % 2 == 1) {
        if future.cancel() {
            println!("Successfully cancelled task {i}");
            cancelled_count += 1;
        } else {
            println!("Could not cancel task {i} (already running)");
        }
    }

    // Collect results.
    for (i, future) in futures.iter().enumerate() {
        match future.wait_timeout(Duration::from_secs(30)) {
            Ok(result) => println!("Task {i}: {result}"),
            Err(Error::Cancelled) => println!("Task {i}: Was cancelled"),
            Err(Error::WaitTimeout) => println!("Task {i}: Timed out"),
            Err(error) => println!("Task {i}: Error - {error}"),
        }
    }
    println!("Cancelled {cancelled_count} tasks");
    executor.shutdown()
}
