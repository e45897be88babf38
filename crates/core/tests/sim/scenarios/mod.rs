//! Named cases on the same simulator: one fault at every step in turn, and stories of a pool.

mod every_step;
mod stories;

use loky_core::{Config, Event, OnCrash, Outcome, TaskId};

use crate::driver::{Driver, Failure};
use crate::profile::Profile;
use crate::rng::Rng;

/// A driver without faults of its own.
fn calm(seed: u64, config: &Config) -> Driver {
    Driver::new(Rng::new(seed), Profile::calm(config.clone()))
}

fn config(workers: u32, on_crash: OnCrash) -> Config {
    Config {
        workers,
        on_crash,
        ..Config::default()
    }
}

fn is_answered(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Answered { .. })
}

fn is_died(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Died { .. })
}

fn is_broken(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Broken(_))
}

fn is_shut_down(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::ShutDown)
}

fn submit(driver: &mut Driver, tasks: u64) -> Result<(), Failure> {
    for _ in 0..tasks {
        driver.submit()?;
    }
    Ok(())
}

fn cancel_all(driver: &mut Driver, tasks: u64) -> Result<(), Failure> {
    for task in 1..=tasks {
        driver.tell(Event::CancelRequested {
            task: TaskId(task),
            force_grace_ns: None,
        })?;
    }
    Ok(())
}
