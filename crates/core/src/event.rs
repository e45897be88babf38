//! What happened: the closed list of facts that the pool is told, one at a time, with the time.

use crate::ids::{Attempt, TaskId, WorkerId};
use crate::options::TaskOptions;

/// How an owner ends a pool. The order is the order of severity: a later, worse word wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ShutdownMode {
    /// No new task; every accepted one is executed; then the workers leave.
    Drain,
    /// As `Drain`, and every task that has not started ends as shut down.
    CancelPending,
    /// Every unfinished task ends as shut down and the workers are killed at once.
    Kill,
}

/// Why a worker says that it will leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaveReason {
    /// Its memory grew past the limit between tasks.
    MemoryGrowth,
    /// It was asked to.
    Asked,
}

/// A fact about the pool or its surroundings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The front accepted a task. A pool that no longer accepts completes it at once with the reason.
    TaskSubmitted {
        /// The new task, its number larger than any before.
        task: TaskId,
        /// What was asked for it; most tasks come without.
        options: Option<Box<TaskOptions>>,
    },
    /// The owner wants a task not to run, or, by force, not to go on.
    CancelRequested {
        /// The task; it may be unknown or over.
        task: TaskId,
        /// Where it has started it is interrupted, and its worker is killed after so much grace.
        /// `None` leaves a started task alone.
        force_grace_ns: Option<u64>,
    },
    /// The answer to `Effect::RevokeTask`: whether the claim was withdrawn before the worker took it.
    RevokeAnswered {
        /// The worker that held the task.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// The attempt that was to be withdrawn.
        attempt: Attempt,
        /// True: it will never start there. False: it had started.
        revoked: bool,
    },
    /// The answer to `Effect::InspectTask`: whether the task has started, always.
    TaskInspected {
        /// The worker that holds the task.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// The attempt that was looked at.
        attempt: Attempt,
        /// When it started, on the clock of the events; `None`: it has not.
        started_ns: Option<u64>,
    },
    /// The signal that `Effect::InterruptWorker` ordered has been sent: it strikes nothing that the
    /// worker is handed from now on.
    InterruptDelivered {
        /// The worker.
        worker: WorkerId,
    },
    /// A process for this worker exists.
    WorkerSpawned {
        /// The worker.
        worker: WorkerId,
    },
    /// No process could be made for this worker.
    SpawnFailed {
        /// The worker that does not exist.
        worker: WorkerId,
        /// The system's error number.
        errno: i32,
    },
    /// The worker ran its initializer and takes tasks.
    WorkerReady {
        /// The worker.
        worker: WorkerId,
    },
    /// The worker's initializer raised. The engine keeps the exception.
    InitializerFailed {
        /// The worker.
        worker: WorkerId,
    },
    /// A task ended in its worker, with a value or an exception: the engine keeps which.
    TaskFinished {
        /// The worker that ran it.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// The attempt that ended.
        attempt: Attempt,
        /// How long the function ran, in nanoseconds.
        run_ns: u64,
        /// It raised one of the exceptions after which it is to be tried again.
        retry_wanted: bool,
    },
    /// The worker will leave by itself once it has answered for what it has claimed.
    WorkerLeaving {
        /// The worker.
        worker: WorkerId,
        /// Why.
        reason: LeaveReason,
    },
    /// A worker, or the task that it runs, has more memory than it may.
    MemoryExceeded {
        /// The worker.
        worker: WorkerId,
    },
    /// The worker broke the protocol and must not be listened to any more.
    WorkerCondemned {
        /// The worker.
        worker: WorkerId,
    },
    /// The worker's process is over and everything that it had sent has been read.
    WorkerExited {
        /// The worker.
        worker: WorkerId,
        /// The tasks that it had claimed and not answered, from its ledger.
        started: Vec<TaskId>,
    },
    /// The process that forks the workers is over. Each of its workers follows with `WorkerExited`
    /// or, where none had been made yet, `SpawnFailed`.
    LauncherDied,
    /// The front could not describe a worker's surroundings (its initializer cannot be pickled).
    SetupFailed,
    /// The time that `Effect::ArmTimer` named has come, or any later time. Whatever workers had sent
    /// before, and every answer that is due, has been told first: a task that ended in time has
    /// ended in time.
    TimerFired,
    /// All workers are wanted, though there is no task for them: one that was meant to come could not
    /// be pickled, and the owner is to see the same workers as after any other.
    WorkersWanted,
    /// The owner wants another number of workers.
    ResizeRequested {
        /// How many, at least 1.
        workers: u32,
    },
    /// The owner ends the pool.
    ShutdownRequested {
        /// How.
        mode: ShutdownMode,
    },
}
