//! What is known of the end of a worker, and of the end of a pool.

use std::sync::Arc;

use loky_core::outcome::BreakReason;
use loky_sys::clock;

use crate::answer::Answer;

/// What ended a worker. Named only on evidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The kernel killed it for lack of memory: it has counted such a kill.
    Oom,
    /// A signal that nobody of the family sent.
    Signal(i32),
    /// It exited by itself, with this status.
    Exit(i32),
    /// The pool killed it, or sent it the signal that ended it.
    Killed,
    /// It broke the protocol and was killed for that.
    Protocol,
    /// Its zygote died, and it with it; its own status is not known.
    Zygote,
    /// The time of the task had run out. The worker may live on.
    TimedOut,
    /// The owner ended the task by force. The worker may live on.
    Cancelled,
    /// It had more memory than the task, or every task, may have.
    MemoryLimit,
    /// It was not ready in time, and the pool killed it.
    NotReady,
    /// The task raised an exception after which it was to be tried again. The worker lives on.
    Raised,
}

impl Cause {
    /// Its name, as reports tell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Oom => "oom",
            Self::Signal(_) => "signal",
            Self::Exit(_) => "exit",
            Self::Killed => "killed",
            Self::Protocol => "protocol",
            Self::Zygote => "zygote",
            Self::TimedOut => "timeout",
            Self::Cancelled => "cancelled",
            Self::MemoryLimit => "memory_limit",
            Self::NotReady => "start_timeout",
            Self::Raised => "raised",
        }
    }
}

/// The end of a worker.
#[derive(Clone, Debug)]
pub struct CrashReport {
    /// What ended it.
    pub cause: Cause,
    /// The signal that ended it, where one did and that is known.
    pub signal: Option<i32>,
    /// The status with which it left, where it left by itself and that is known.
    pub exit_status: Option<i32>,
    /// Its process.
    pub pid: i32,
    /// Its place in the pool.
    pub index: u32,
    /// The attempt of the task that this report is for; 0 where it is for none.
    pub attempt: u32,
    /// Whether the task had begun.
    pub started: bool,
    /// How long the task had been running, in nanoseconds.
    pub runtime_ns: Option<u64>,
    /// When the task began, in nanoseconds since the epoch.
    pub started_wall_ns: Option<u64>,
    /// The most memory that the process ever held, in bytes.
    pub peak_rss_bytes: Option<u64>,
    /// What its fault handler wrote, empty where it wrote nothing.
    pub stack: String,
    /// The attempts at the task that failed before this one, oldest first.
    pub history: Vec<Arc<CrashReport>>,
    /// What was read about the death, each a clause of its own.
    pub evidence: Vec<String>,
    /// Its main thread had used up its stack.
    pub stack_full: bool,
    /// The end of what it wrote to its standard error, where the pool was asked to keep that.
    pub stderr_tail: Option<String>,
}

impl CrashReport {
    /// What is known of a process of which nothing else is known.
    pub(crate) fn of_process(pid: i32, index: u32, cause: Cause, stack: String) -> Self {
        Self {
            cause,
            signal: None,
            exit_status: None,
            pid,
            index,
            attempt: 0,
            started: false,
            runtime_ns: None,
            started_wall_ns: None,
            peak_rss_bytes: None,
            stack,
            evidence: Vec::new(),
            stack_full: false,
            stderr_tail: None,
            history: Vec::new(),
        }
    }

    /// This report for a task that the worker had begun at `started_ns` (0: in its first instructions).
    pub(crate) fn of_task(&self, attempt: u32, started_ns: u64) -> Self {
        let runtime_ns =
            (started_ns != 0).then(|| clock::monotonic_ns().saturating_sub(started_ns));
        Self {
            attempt,
            started: true,
            runtime_ns,
            started_wall_ns: runtime_ns.map(|ran_ns| clock::wall_ns().saturating_sub(ran_ns)),
            ..self.clone()
        }
    }
}

/// The end of a pool that broke.
#[derive(Clone)]
pub struct Breakage {
    /// Why.
    pub reason: BreakReason,
    /// The worker that it came with, where there is one.
    pub report: Option<Arc<CrashReport>>,
    /// The exception of the initializer, encoded by the front's own child.
    pub initializer: Option<Answer>,
    /// The fault of the engine, where that was the reason.
    pub fault: Option<String>,
    /// How the process that starts the workers ended, where one died and that is known.
    pub launcher_fact: Option<String>,
}
