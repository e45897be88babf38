//! Ending the task that a worker runs: looked at, interrupted, told of.
//!
//! The core says when; the signals go through the launcher, which reaps and so never strikes a
//! stranger. What was known of the task when it was struck is kept with its worker, because the
//! worker may answer and live on.

use std::sync::Arc;

use loky_core::effect::Verdict;
use loky_core::event::Event;
use loky_core::ids::{Attempt, TaskId, WorkerId};
use loky_sys::{clock, signal};

use crate::channel::{Channel, Struck};
use crate::ends::{cause_by, stack_from};
use crate::front::TaskEnd;
use crate::report::{Cause, CrashReport};
use crate::state::State;

impl State {
    /// Looks whether a task has begun.
    pub(crate) fn inspect(&mut self, worker: WorkerId, task: TaskId, attempt: Attempt) {
        let start = self.start_of(task).filter(|(by, _)| *by == worker);
        self.events.push_back(Event::TaskInspected {
            worker,
            task,
            attempt,
            started_ns: start.map(|(_, started_ns)| started_ns),
        });
    }

    /// Has a worker write its stack, then interrupts it.
    pub(crate) fn interrupt(&mut self, worker: WorkerId, task: TaskId, verdict: Verdict) {
        let started_ns = self
            .start_of(task)
            .map_or_else(clock::monotonic_ns, |(_, started_ns)| started_ns);
        let stack_from = self.order_stack(worker);
        let Some(channel) = self.channels.get_mut(&worker) else {
            return;
        };
        channel.struck = Some(Struck {
            task,
            verdict,
            started_ns,
            stack_from,
        });
        channel.interrupts.push_back(true);
        if self.config.stack_signal.is_none() {
            self.note_activity(worker, task);
        }
        self.order_signal(worker, signal::SIGINT);
    }

    /// Keeps what a worker is doing for the report of a task that is to end.
    fn note_activity(&mut self, worker: WorkerId, task: TaskId) {
        let text = self.activity_text(worker);
        let watched = self
            .tasks
            .get_mut(&task)
            .and_then(|entry| entry.watched.as_mut());
        if let Some(watched) = watched.filter(|_| !text.is_empty()) {
            watched.seen = Some(text);
        }
    }

    pub(crate) fn terminate(&mut self, worker: WorkerId) {
        self.order_signal(worker, signal::SIGTERM);
    }

    pub(crate) fn order_signal(&mut self, worker: WorkerId, signal: i32) {
        if let Some(launcher) = &mut self.launcher {
            let ordered = launcher.kill(worker, signal.unsigned_abs());
            debug_assert!(ordered.is_ok(), "{ordered:?}");
            self.stir = true;
        }
        if let Some(channel) = self.channels.get_mut(&worker) {
            channel.note_signal(signal.unsigned_abs());
        }
    }

    /// The launcher has sent a signal.
    pub(crate) fn on_signalled(&mut self, worker: WorkerId, signal: u32) {
        if signal != signal::SIGINT.unsigned_abs() {
            return;
        }
        let ours = self
            .channels
            .get_mut(&worker)
            .and_then(|channel| channel.interrupts.pop_front());
        if ours == Some(true) {
            self.feed(Event::InterruptDelivered { worker });
        }
    }

    /// A task raised an exception after which it may be tried again: what there is to tell of it.
    pub(crate) fn note_raised(&mut self, worker: WorkerId, task: TaskId, run_ns: u64) {
        let Some(channel) = self.channels.get(&worker) else {
            return;
        };
        let report =
            CrashReport::of_process(channel.pid, channel.index, Cause::Raised, String::new());
        if let Some(entry) = self.tasks.get_mut(&task) {
            let started_ns = clock::monotonic_ns().saturating_sub(run_ns);
            entry.report = Some(Arc::new(report.of_task(entry.attempt(), started_ns)));
        }
    }

    /// A worker is over, and with it a task that it had answered when nobody listened any more.
    pub(crate) fn report_struck(&mut self, channel: &Channel, report: &CrashReport) {
        if let Some(struck) = channel.struck
            && let Some(entry) = self.tasks.get_mut(&struck.task)
            && entry.report.is_none()
        {
            entry.report = Some(Arc::new(report.of_task(entry.attempt(), struck.started_ns)));
        }
    }

    /// What there is to tell of a task that ended after it was struck, or by its worker's death.
    fn report_of_end(&mut self, worker: WorkerId, task: TaskId) -> Option<Arc<CrashReport>> {
        let struck = self.channels.get_mut(&worker).and_then(|channel| {
            let struck = channel.struck.take_if(|struck| struck.task == task)?;
            let stack = stack_from(channel, struck.stack_from);
            channel.forget_stack();
            let report = CrashReport::of_process(
                channel.pid,
                channel.index,
                cause_by(struck.verdict),
                stack,
            );
            Some((report, struck.started_ns))
        });
        let entry = self.tasks.get_mut(&task)?;
        let seen = entry
            .watched
            .as_mut()
            .and_then(|watched| watched.seen.take());
        let report = match struck {
            Some((report, started_ns)) => {
                Some(Arc::new(report.of_task(entry.attempt(), started_ns)))
            }
            // Whoever ends like this had begun. Of one whose answer came when its worker was condemned already nobody
            // knows when.
            None => entry.report.take().or_else(|| {
                let report = self.reports.get(&worker)?;
                Some(Arc::new(report.of_task(entry.attempt(), 0)))
            }),
        };
        match (report, seen) {
            (Some(report), Some(seen)) => {
                let mut report = Arc::unwrap_or_clone(report);
                report.evidence.insert(0, seen);
                Some(Arc::new(report))
            }
            (report, _) => report,
        }
    }

    /// An attempt has failed and another will follow.
    pub(crate) fn rest(&mut self, worker: WorkerId, task: TaskId) {
        let report = self.report_of_end(worker, task);
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.placement = None;
            entry.received = None;
            if let Some(watched) = &mut entry.watched {
                watched.history.extend(report);
            }
        }
    }

    pub(crate) fn timed_out(&mut self, worker: WorkerId, task: TaskId) -> TaskEnd {
        let Some(report) = self.report_of_end(worker, task) else {
            debug_assert!(false, "{task} ran out of time and nobody knows where");
            return TaskEnd::Cancelled;
        };
        TaskEnd::TimedOut(self.with_history(task, report))
    }

    pub(crate) fn expired(&self, task: TaskId) -> TaskEnd {
        let watched = self
            .tasks
            .get(&task)
            .and_then(|entry| entry.watched.as_ref());
        let waited_ns = watched.map_or(0, |watched| {
            clock::monotonic_ns().saturating_sub(watched.submitted_ns)
        });
        TaskEnd::Expired { waited_ns }
    }

    pub(crate) fn with_history(&self, task: TaskId, report: Arc<CrashReport>) -> Arc<CrashReport> {
        match self.tasks.get(&task) {
            Some(entry) => entry.with_history(report),
            None => report,
        }
    }
}
