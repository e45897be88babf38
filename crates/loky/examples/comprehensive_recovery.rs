//! Tasks that fail in every way, each tried again where that makes sense.

use std::time::Duration;

use loky::{Error, ProcessPoolExecutor};

/// How a task fails.
const FAILURES: [&str; 5] = ["success", "panic", "crash", "error", "slow"];

/// Task that fails in different ways, and seldom for ever.
#[loky::task]
#[expect(clippy::panic, reason = "that is one way to fail")]
fn unreliable_task(task_id: usize, attempt: usize) -> Result<String, String> {
    match FAILURES.get((task_id + attempt) % FAILURES.len()).copied() {
        Some("panic") => panic!("Task {task_id}: Intentional panic"),
        Some("error") => Err(format!("Task {task_id}: Intentional error")),
        Some("crash") => std::process::exit(1),
        Some("slow") => {
            std::thread::sleep(Duration::from_millis(900));
            Ok(format!("Task {task_id}: Slow success"))
        }
        _ => Ok(format!("Task {task_id}: Success")),
    }
}

fn run(executor: &ProcessPoolExecutor, task_id: usize, retries_max: usize) -> String {
    for attempt in 0..=retries_max {
        let tried = executor
            .submit(unreliable_task::call(task_id, attempt))
            .and_then(|future| future.wait_timeout(Duration::from_millis(400)));
        match tried {
            Ok(Ok(result)) => return result,
            // An answer, and no failure of the pool: it is not tried again.
            Ok(Err(error)) => return format!("Error: {error}"),
            Err(Error::TerminatedWorker(report)) => {
                println!("  task {task_id}: worker gone ({})", report.cause);
            }
            Err(Error::Panicked { message, .. }) => println!("  task {task_id}: {message}"),
            Err(Error::WaitTimeout) => println!("  task {task_id}: timeout"),
            Err(error) => println!("  task {task_id}: {error}"),
        }
    }
    format!("Failed after {retries_max} retries")
}

fn main() -> Result<(), Error> {
    loky::init();
    let mut results = Vec::new();
    for task_id in 0..10 {
        // A broken pool is replaced here, should there ever be one.
        let executor = loky::get_reusable_executor(2)?;
        results.push(run(&executor, task_id, 2));
    }
    println!("\nFinal results:");
    for (task_id, result) in results.iter().enumerate() {
        println!("Task {task_id}: {result}");
    }
    Ok(())
}
