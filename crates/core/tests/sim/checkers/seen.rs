//! Tasks and workers as they have been seen from outside.

use loky_core::{Attempt, KillReason, LeaveReason, Outcome, TaskId, TaskOptions, WorkerId};

/// A task, as seen.
#[expect(clippy::struct_excessive_bools, reason = "what was seen, fact by fact")]
#[derive(Clone, Default, Debug)]
pub struct TaskSeen {
    /// It came when the pool accepted none.
    pub refused: bool,
    pub cancel: bool,
    pub attempt: u32,
    pub holder: Option<WorkerId>,
    pub revoking: bool,
    /// The pool has been told that it started.
    pub claimed: bool,
    pub starts: u32,
    pub started_at: Option<(WorkerId, Attempt)>,
    /// When it truly began last.
    pub began_ns: u64,
    pub options: TaskOptions,
    pub submitted_ns: u64,
    /// When it was sent last.
    pub sent_ns: u64,
    /// It is to be ended even where it has started.
    pub force: bool,
    /// It is being withdrawn because it should have started.
    pub expiring: bool,
    /// Attempts that failed and were or will be followed by another.
    pub failures: u32,
    /// It waits for the time of its next attempt.
    pub resting_until_ns: Option<u64>,
    pub told_slow: bool,
    pub outcome: Option<Outcome>,
}

/// A worker that is ordered or exists, as seen.
#[expect(clippy::struct_excessive_bools, reason = "what was seen, fact by fact")]
#[derive(Clone, Default, Debug)]
pub struct WorkerSeen {
    pub index: u32,
    pub spawned: bool,
    pub ready: bool,
    pub asked: bool,
    pub said: Option<LeaveReason>,
    pub condemned: bool,
    /// It was found to have too much memory while it was listened to.
    pub overweight: bool,
    pub killed: bool,
    pub exited: bool,
    /// In the order of sending.
    pub held: Vec<TaskId>,
    /// Tasks sent and not withdrawn.
    pub sent: u32,
    pub idle_since_ns: u64,
    pub spawned_ns: u64,
    /// The task that is to end.
    pub sentence: Option<TaskId>,
    /// When the interrupt was ordered, until the task has ended and the interrupt was sent.
    pub interrupted_ns: Option<u64>,
    pub interrupt_sent: bool,
    /// The task that was interrupted last.
    pub target: Option<TaskId>,
    pub kill_reason: Option<KillReason>,
}

impl WorkerSeen {
    /// It was told or has said that it will leave, or is not listened to any more.
    pub fn is_leaving(&self) -> bool {
        self.asked || self.said.is_some() || self.condemned || self.killed || self.exited
    }

    pub fn is_working(&self) -> bool {
        self.ready && !self.is_leaving()
    }

    pub fn is_idle(&self) -> bool {
        self.is_working() && self.held.is_empty() && !self.is_quarantined()
    }

    /// A task of it is to end, or an interrupt is still on its way to it.
    pub fn is_quarantined(&self) -> bool {
        self.sentence.is_some() || self.interrupted_ns.is_some()
    }

    /// It is being killed alone, so its place is kept.
    pub fn is_doomed_alone(&self) -> bool {
        let alone = matches!(
            self.kill_reason,
            Some(KillReason::Task(_) | KillReason::NotReady | KillReason::Memory)
        );
        self.condemned || alone
    }
}

impl TaskSeen {
    /// It has never started and should have by then.
    pub fn is_overdue(&self, now_ns: u64) -> bool {
        let due_ns = self
            .options
            .queue_timeout_ns
            .map(|timeout_ns| self.submitted_ns.saturating_add(timeout_ns));
        self.failures == 0 && due_ns.is_some_and(|due_ns| due_ns <= now_ns)
    }
}
