//! A test program under the usual harness, with the one line that makes it its own worker.

use loky::{Error, ProcessPoolExecutor};

loky::enable_test_support!();

#[loky::task]
fn double(x: u64) -> u64 {
    x * 2
}

#[loky::task]
fn aborts() {
    std::process::abort()
}

#[test]
fn tasks_run_in_other_processes() -> Result<(), Error> {
    let pool = ProcessPoolExecutor::new(2)?;
    let results = pool
        .map((0..100).map(double::call))
        .collect::<Result<Vec<_>, _>>()?;
    assert!(results.into_iter().eq((0..100).map(|x| 2 * x)));
    pool.shutdown()
}

#[test]
fn a_death_costs_its_own_task() -> Result<(), Error> {
    let pool = ProcessPoolExecutor::new(1)?;
    let dying = pool.submit(aborts::call())?;
    let living = pool.submit(double::call(4))?;
    assert!(matches!(dying.wait(), Err(Error::TerminatedWorker(_))));
    assert_eq!(living.wait()?, 8);
    pool.shutdown()
}

mod inner {
    use super::*;

    #[test]
    fn tests_in_modules_share_the_line() -> Result<(), Error> {
        let pool = loky::get_reusable_executor(1)?;
        assert_eq!(pool.submit(double::call(21))?.wait()?, 42);
        pool.shutdown()
    }
}
