//! What can be asked of a pool that works: what a worker is doing, and what has been counted.

use std::time::Duration;

use loky_engine::RunState as EngineState;
use loky_engine::activity::WorkerActivity;
use loky_engine::tally::Tally;

use crate::executor::WorkerProcess;

/// Whether a process computes or waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum RunState {
    /// It computes, or would if a processor were free.
    Computing,
    /// It waits: for a lock, for input, for time to pass.
    Waiting,
    /// It waits in the kernel for a device.
    Blocked,
    /// It has been stopped, by a signal or a debugger.
    Stopped,
    /// The system says something else.
    Other,
}

/// What a worker is doing, seen from outside: nothing runs in it for that, and no lock of it hides it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct WorkerState {
    /// The worker's process, and its place in the pool.
    pub process: WorkerProcess,
    /// How long it has been running the task.
    pub running: Duration,
    /// Whether its first thread, which runs the task, computes or waits.
    pub state: RunState,
    /// The processor time that it has used in its life. Two looks tell how busy it is.
    pub cpu_time: Duration,
    /// The memory that it has resident.
    pub resident_bytes: u64,
    /// How many threads it has.
    pub threads: u32,
    /// The function of the kernel in which it waits, where the system tells.
    pub waits_in: Option<String>,
}

impl WorkerState {
    pub(crate) fn new(seen: WorkerActivity) -> Self {
        let activity = seen.activity;
        Self {
            process: seen.process,
            running: Duration::from_nanos(seen.ran_ns),
            state: match activity.state {
                EngineState::Running => RunState::Computing,
                EngineState::Sleeping => RunState::Waiting,
                EngineState::Blocked => RunState::Blocked,
                EngineState::Stopped => RunState::Stopped,
                EngineState::Ended | EngineState::Other => RunState::Other,
            },
            cpu_time: Duration::from_nanos(activity.cpu_ns),
            resident_bytes: activity.resident_bytes,
            threads: activity.threads,
            waits_in: activity.waits_in,
        }
    }
}

/// What a pool has counted since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Statistics {
    /// Tasks that were accepted.
    pub submitted: u64,
    /// Tasks that a worker answered, with a value or a panic.
    pub answered: u64,
    /// Tasks whose end the thread that waited for it found itself, without being woken.
    pub found_by_waiter: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// Tasks that ended with their worker.
    pub died: u64,
    /// Tasks whose time had run out.
    pub timed_out: u64,
    /// Tasks that had not begun in time.
    pub expired: u64,
    /// Attempts that failed and were followed by another.
    pub retried: u64,
    /// Tasks that ended because the pool broke or was shut down.
    pub abandoned: u64,
    /// Worker processes that were made.
    pub workers_started: u64,
    /// Those of them that left by themselves, idle or after enough tasks.
    pub workers_retired: u64,
    /// Those of them that the pool killed.
    pub workers_killed: u64,
    /// Those of them that died.
    pub workers_died: u64,
}

impl Statistics {
    pub(crate) fn new(tally: &Tally) -> Self {
        let counts = &tally.core;
        Self {
            submitted: counts.submitted,
            answered: counts.answered,
            found_by_waiter: tally.found,
            cancelled: counts.cancelled,
            died: counts.died,
            timed_out: counts.timed_out,
            expired: counts.expired,
            retried: counts.retried,
            abandoned: counts.broken + counts.shut_down,
            workers_started: counts.spawned,
            workers_retired: counts.retired,
            workers_killed: counts.workers_killed,
            workers_died: counts.workers_died,
        }
    }

    /// Tasks that have not ended.
    pub fn unfinished(&self) -> u64 {
        let ended = self.answered
            + self.cancelled
            + self.died
            + self.timed_out
            + self.expired
            + self.abandoned;
        self.submitted.saturating_sub(ended)
    }
}
