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
    /// Look whether a task has started. Answered by `TaskInspected`, always.
    InspectTask {
        /// The worker that holds it.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: Attempt,
    },
    /// Keep the stack of a worker, then interrupt what it runs. Answered by `InterruptDelivered`
    /// unless the worker ends before.
    InterruptWorker {
        /// The worker. It holds nothing else.
        worker: WorkerId,
        /// The task that it runs.
        task: TaskId,
        /// The attempt.
        attempt: Attempt,
        /// Why.
        verdict: Verdict,
    },
    /// Ask a worker by signal to end: it was interrupted and went on.
    TerminateWorker {
        /// The worker.
        worker: WorkerId,
    },
    /// Kill a worker and everything below it. `WorkerExited` follows.
    KillWorker {
        /// The worker.
        worker: WorkerId,
        /// Why.
        why: KillReason,
    },
    /// An attempt at a task has failed and another will follow.
    RestTask {
        /// The task.
        task: TaskId,
        /// The worker on which the attempt failed.
        worker: WorkerId,
        /// The attempt.
        attempt: Attempt,
        /// Not before.
        until_ns: u64,
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
    /// Tell the owner that a task has been running for longer than he thought. Once a task.
    TellSlow {
        /// The task.
        task: TaskId,
        /// The worker that runs it.
        worker: WorkerId,
        /// How long it has been running.
        ran_ns: u64,
    },
    /// A resize has taken effect: the number of workers is the one asked for.
    ResizeSettled,
    /// The life of the pool is over: no task, no worker. Said once, last.
    Stopped,
}

/// Why a task that runs is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Its time has run out.
    TimedOut,
    /// Its owner does not want it any more.
    Cancelled,
}

/// Why the pool kills a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KillReason {
    /// The pool ends.
    Ending,
    /// It broke the protocol.
    Condemned,
    /// It does not let go of a task that is to end.
    Task(Verdict),
    /// It was not ready in time.
    NotReady,
    /// It had more memory than it may.
    Memory,
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
