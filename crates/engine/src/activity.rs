//! What a worker is doing, seen from outside: for fronts whose workers write no stacks.
//!
//! The kernel is asked; nothing runs in the worker for it. It never decides anything.

use loky_core::ids::{TaskId, WorkerId};
use loky_sys::usage::{self, Activity, RunState};

use crate::evidence::mebibytes;
use crate::pool::WorkerProcess;
use crate::state::State;

/// A worker at work, and what the kernel says about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkerActivity {
    /// The worker.
    pub process: WorkerProcess,
    /// How long it has been running the task, in nanoseconds.
    pub ran_ns: u64,
    /// What it is doing.
    pub activity: Activity,
}

/// An activity as a clause of a report.
pub(crate) fn clause(activity: &Activity) -> String {
    let doing = match activity.state {
        RunState::Running => "it was computing",
        RunState::Sleeping => "it was waiting",
        RunState::Blocked => "it was waiting for a device",
        RunState::Stopped => "it had been stopped",
        RunState::Ended => "it had ended",
        RunState::Other => "it was in a state without a name",
    };
    let place = activity
        .waits_in
        .as_ref()
        .map(|name| format!(" (in {name} of the kernel)"))
        .unwrap_or_default();
    let threads = match activity.threads {
        1 => "1 thread".to_owned(),
        threads => format!("{threads} threads"),
    };
    format!(
        "{doing}{place}, with {threads}, {} ms of processor time and {} resident",
        activity.cpu_ns / 1_000_000,
        mebibytes(activity.resident_bytes)
    )
}

impl State {
    /// What a worker is doing now, as a clause; empty where that cannot be had.
    pub(crate) fn activity_text(&self, worker: WorkerId) -> String {
        let pid = self.channels.get(&worker).map(|channel| channel.pid);
        pid.filter(|pid| *pid != 0)
            .and_then(|pid| usage::activity(pid).ok())
            .map(|activity| clause(&activity))
            .unwrap_or_default()
    }

    /// What the worker that runs a task is doing; `None` where none does.
    pub(crate) fn activity_of(&self, task: TaskId) -> Option<WorkerActivity> {
        let (worker, started_ns) = self.start_of(task)?;
        let channel = self.channels.get(&worker)?;
        let activity = usage::activity(channel.pid).ok()?;
        // A number belongs to the worker for as long as that runs the task.
        let same = self.start_of(task)?.0 == worker && activity.state != RunState::Ended;
        same.then(|| WorkerActivity {
            process: WorkerProcess {
                index: channel.index,
                pid: channel.pid,
            },
            ran_ns: loky_sys::clock::monotonic_ns().saturating_sub(started_ns),
            activity,
        })
    }
}
