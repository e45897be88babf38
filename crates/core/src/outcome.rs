//! How a task ends: the whole space, matched everywhere without a wildcard.

use crate::ids::{Attempt, WorkerId};

/// The end of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Its worker answered, with a value or with the exception that it raised.
    Answered {
        /// Who answered.
        worker: WorkerId,
    },
    /// Its owner did not want it: it never ran, or was ended by force.
    Cancelled,
    /// It had started on a worker that died.
    Died {
        /// The worker.
        worker: WorkerId,
        /// The attempt that died with it.
        attempt: Attempt,
    },
    /// It had run for as long as it may, and was made to end.
    TimedOut {
        /// Where it ran.
        worker: WorkerId,
        /// The attempt.
        attempt: Attempt,
    },
    /// It had not started when it should have, and never will.
    Expired,
    /// The pool broke before it ended.
    Broken(BreakReason),
    /// The pool was shut down before it ended.
    ShutDown,
}

/// Why a pool is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakReason {
    /// A worker died, in the mode where that breaks the pool.
    WorkerDied(WorkerId),
    /// The initializer raised in this worker.
    InitializerFailed(WorkerId),
    /// Workers die again and again before doing any work; this one was the last.
    RestartBudget(WorkerId),
    /// No worker can be made; the system's error number.
    SpawnFailed(i32),
    /// The process that makes workers died, in the mode where that breaks the pool, or again and again.
    LauncherDied,
    /// The front could not describe a worker's surroundings.
    SetupFailed,
}
