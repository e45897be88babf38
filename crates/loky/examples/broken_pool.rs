//! A task that ends its process costs its own result; in a pool that breaks, it costs them all.

use std::time::Duration;

use loky::{Error, OnCrash, ProcessPoolExecutor};

/// Task that might crash the worker process.
#[loky::task]
fn problematic_task(x: u32) -> u32 {
    if x == 3 {
        // Simulate a worker crash.
        std::process::exit(1);
    }
    x * 2
}

fn run(executor: &ProcessPoolExecutor) -> Result<(), Error> {
    let futures = (0..5)
        .map(|x| executor.submit(problematic_task::call(x)))
        .collect::<Result<Vec<_>, _>>()?;
    for (i, future) in futures.iter().enumerate() {
        match future.wait_timeout(Duration::from_secs(30)) {
            Ok(result) => println!("Task {i}: {result}"),
            Err(error) => println!("Task {i} failed: {error}"),
        }
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    loky::init();

    println!("-- a pool that recovers");
    run(&loky::get_reusable_executor(2)?)?;

    println!("-- a pool that breaks");
    let executor = ProcessPoolExecutor::builder()
        .workers(1)
        .on_crash(OnCrash::Break)
        .build()?;
    run(&executor).unwrap_or_else(|error| println!("The pool took no more tasks: {error}"));
    if executor.is_broken() {
        println!("Process pool broken. Creating new executor...");
        let executor = ProcessPoolExecutor::new(2)?;
        let result = executor.submit(problematic_task::call(21))?.wait()?;
        println!("New executor created successfully: {result}");
    }
    Ok(())
}
