//! Workers that come to their end: what the error says, and that the pool goes on.

use std::time::Duration;

use loky::{Error, ProcessPoolExecutor};

/// Task that needs more memory the larger it is.
#[loky::task]
fn memory_intensive_task(megabytes: usize) -> Result<u64, String> {
    let mut data: Vec<u64> = Vec::new();
    data.try_reserve_exact(megabytes << 17)
        .map_err(|error| format!("cannot allocate {megabytes} MB: {error}"))?;
    if megabytes >= 1000 {
        // What the kernel does to a process when memory runs out looks just like this.
        std::process::abort();
    }
    data.resize(megabytes << 17, 1);
    Ok(data.iter().sum())
}

fn main() -> Result<(), Error> {
    loky::init();
    let executor = ProcessPoolExecutor::new(2)?;
    for size in [1, 10, 100, 1000, 10] {
        let future = executor.submit(memory_intensive_task::call(size))?;
        match future.wait_timeout(Duration::from_secs(30)) {
            Ok(Ok(result)) => println!("Size {size}M: Success ({result})"),
            Ok(Err(error)) => println!("Size {size}M: Memory error ({error})"),
            Err(Error::TerminatedWorker(report)) => {
                println!("Size {size}M: Worker terminated ({report})");
                println!("Its cause, for programs: {:?}", report.cause);
            }
            Err(error) => println!("Size {size}M: Other error ({error})"),
        }
    }
    executor.shutdown()
}
