//! What to do: the closed list of orders that one step returns, to be carried out in order.

use crate::event::LeaveReason;
use crate::ids::{Attempt, TaskId, WorkerId};
use crate::outcome::{BreakReason, Outcome};

/// An order of the pool to its engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Make a process. Answered by `WorkerSpawned` or `SpawnFailed`.
    SpawnWorker {
        /// Its number.
        worker: WorkerId,
        /// Its place in the pool, from 0, used again after it is gone.
        index: u32,
    },
    /// Hand a task to a ready worker.
    SendTask {
        /// The worker.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: Attempt,
    },
    /// Withdraw a task that was handed out. Answered by `RevokeAnswered`, always.
    RevokeTask {
        /// The worker that holds it.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: Attempt,
    },
    /// Tell a worker to leave once it has answered for what it has claimed.
    AskToLeave {
        /// The worker.
        worker: WorkerId,
    },
    /// Kill a worker and everything below it. `WorkerExited` follows.
    KillWorker {
        /// The worker.
        worker: WorkerId,
    },
    /// A task is over. Exactly once a task.
    CompleteTask {
        /// The task.
        task: TaskId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A worker that had been spawned is over; said once, after the tasks that it cost.
    WorkerGone {
        /// The worker.
        worker: WorkerId,
        /// What the pool makes of it.
        departure: Departure,
    },
    /// The pool is broken and stays so. Said once, before the tasks that it costs are completed.
    BreakPool {
        /// Why.
        reason: BreakReason,
    },
    /// Send `TimerFired` at this time and forget any earlier wish.
    ArmTimer {
        /// Nanoseconds on the clock of the events.
        at_ns: u64,
    },
    /// Forget the timer.
    DisarmTimer,
    /// Tell the owner something that is no task's fault.
    Notify {
        /// What.
        notice: Notice,
    },
    /// A resize has taken effect: the number of workers is the one asked for.
    ResizeSettled,
    /// The life of the pool is over: no task, no worker. Said once, last.
    Stopped,
}

/// What the end of a worker means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Departure {
    /// It was asked to leave, or had said that it would.
    Retired(LeaveReason),
    /// The pool killed it.
    Killed,
    /// It died by itself or from outside.
    Died,
}

/// Something that the owner may want to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A worker left, for idling or for memory, while tasks were waiting.
    WorkerStoppedWithWork {
        /// Why it left.
        reason: LeaveReason,
    },
    /// Processes cannot be made at the moment; it will be tried again.
    SpawnDelayed {
        /// The system's error number.
        errno: i32,
    },
}
