//! Waiting with a deadline: the wait ends, and the task goes on.

use std::time::Duration;

use loky::Error;

/// Task that takes so many milliseconds.
#[loky::task]
fn slow_task(millis: u64) -> String {
    std::thread::sleep(Duration::from_millis(millis));
    format!("Completed after {millis} ms")
}

fn main() -> Result<(), Error> {
    loky::init();
    let executor = loky::get_reusable_executor(2)?;
    // Duration of the task, and how long its result is waited for.
    let tasks = [(100, 3000), (1500, 200), (200, 4000)];
    let mut late = Vec::new();
    for (duration, timeout) in tasks {
        let future = executor.submit(slow_task::call(duration))?;
        let name = format!("Task ({duration} ms, timeout {timeout} ms)");
        match future.wait_timeout(Duration::from_millis(timeout)) {
            Ok(result) => println!("{name}: {result}"),
            Err(Error::WaitTimeout) => {
                println!("{name}: Timed out");
                // The task continues in the background.
                late.push((name, future));
            }
            Err(error) => println!("{name}: Error - {error}"),
        }
    }
    for (name, future) in late {
        println!("{name}: {}, later", future.wait()?);
    }
    Ok(())
}
