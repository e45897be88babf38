//! A pool that has been shut down takes no more tasks.

use loky::{Error, ProcessPoolExecutor};

#[loky::task]
fn double(x: u32) -> u32 {
    x * 2
}

fn main() -> Result<(), Error> {
    loky::init();
    let executor = ProcessPoolExecutor::new(2)?;

    // Submit and process some tasks.
    let first = executor.submit(double::call(5))?;
    println!("Before shutdown: {}", first.wait()?);

    // Shut the executor down, and wait for its workers.
    executor.shutdown()?;

    // Attempt to use it.
    match executor.submit(double::call(10)) {
        Ok(second) => println!("After shutdown: {}", second.wait()?),
        Err(Error::Shutdown) => println!("Cannot use shutdown executor: {}", Error::Shutdown),
        Err(error) => return Err(error),
    }

    // Create a new one for continued processing.
    let new_executor = ProcessPoolExecutor::new(2)?;
    let third = new_executor.submit(double::call(10))?;
    println!("With new executor: {}", third.wait()?);
    new_executor.shutdown()
}
