//! Tasks that are watched: whether they start in time, how long they run, when they are tried again.
//!
//! Owner: the pool. A start is not reported by a worker; it stands in its ledger, and is looked up
//! when it may matter. So a watched task costs nothing on its way. Never ends a task by itself.

use crate::agenda::Due;
use crate::effect::{Effect, Verdict};
use crate::ids::{Attempt, TaskId, WorkerId};
use crate::options::TaskOptions;
use crate::outcome::Outcome;
use crate::pool::{Pool, Turn};
use crate::task::{Extras, Place, Task};
use crate::worker::{Why, Worker};

/// A task that has not started is not looked at more often than this, however short its time.
const LOOK_INTERVAL_MIN_NS: u64 = 2_000_000;

impl Pool {
    /// Keeps what was asked for a new task.
    pub(crate) fn watch(&mut self, now_ns: u64, task: TaskId, options: TaskOptions) {
        let expires_at_ns = options
            .queue_timeout_ns
            .map(|timeout_ns| now_ns.saturating_add(timeout_ns));
        if let Some(extras) = self.tasks.need_extras(task) {
            extras.options = options;
            extras.expires_at_ns = expires_at_ns;
        }
        if let Some(at_ns) = expires_at_ns {
            self.agenda.enter(at_ns, Due::Expire(task));
        }
    }

    /// A watched task has been handed out.
    pub(crate) fn watch_sent(&mut self, now_ns: u64, task: TaskId) {
        let Some(extras) = self.tasks.extras_mut(task) else {
            return;
        };
        extras.sent_at_ns = now_ns;
        if let Some(after_ns) = extras.first_look_after_ns() {
            self.arm_look(task, now_ns.saturating_add(after_ns));
        }
    }

    pub(crate) fn arm_look(&mut self, task: TaskId, at_ns: u64) {
        self.disarm_look(task);
        if let Some(extras) = self.tasks.extras_mut(task) {
            extras.look_at_ns = Some(at_ns);
            self.agenda.enter(at_ns, Due::Look(task));
        }
    }

    pub(crate) fn disarm_look(&mut self, task: TaskId) {
        if let Some(extras) = self.tasks.extras_mut(task) {
            let at_ns = extras.look_at_ns.take();
            self.agenda.strike(at_ns, Due::Look(task));
        }
    }

    /// A watched task is over.
    pub(crate) fn unwatch(&mut self, task: TaskId, entry: Task, extras: &Extras) {
        self.agenda.strike(extras.expires_at_ns, Due::Expire(task));
        self.agenda.strike(extras.look_at_ns, Due::Look(task));
        if let Place::Resting(at_ns) = entry.place {
            self.agenda.strike(Some(at_ns), Due::Resume(task));
        }
    }

    /// Does everything whose time has come.
    pub(crate) fn keep_the_agenda(&mut self, turn: &mut Turn<'_>) {
        while let Some(due) = self.agenda.take_due(turn.now_ns) {
            match due {
                Due::Expire(task) => self.expire(turn, task),
                Due::Resume(task) => self.resume(task),
                Due::Look(task) => self.look(turn, task),
                Due::Escalate(worker) => self.escalate(turn, worker),
                Due::StartOver(worker) => self.start_over(turn, worker),
            }
        }
    }

    /// A task should have started by now.
    fn expire(&mut self, turn: &mut Turn<'_>, task: TaskId) {
        if let Some(extras) = self.tasks.extras_mut(task) {
            extras.expires_at_ns = None;
        }
        match self.tasks.get(task).map(|entry| entry.place) {
            Some(Place::Queued) => {
                self.unqueue(task);
                self.complete(turn, task, Outcome::Expired);
            }
            Some(Place::Sent(worker)) => self.withdraw(turn, worker, task, Why::Expire),
            // It has started before.
            Some(Place::Resting(_)) | None => {}
        }
    }

    /// A task that failed may be tried again.
    fn resume(&mut self, task: TaskId) {
        self.tasks.put(task, Place::Queued);
        self.queue.insert(task, self.tasks.priority(task));
    }

    fn look(&mut self, turn: &mut Turn<'_>, task: TaskId) {
        if let Some(extras) = self.tasks.extras_mut(task) {
            extras.look_at_ns = None;
        }
        if let Some(entry) = self.tasks.get(task)
            && let Place::Sent(worker) = entry.place
        {
            turn.emit(Effect::InspectTask {
                worker,
                task,
                attempt: entry.attempt,
            });
        }
    }

    pub(crate) fn on_task_inspected(
        &mut self,
        turn: &mut Turn<'_>,
        id: WorkerId,
        task: TaskId,
        attempt: Attempt,
        started_ns: Option<u64>,
    ) {
        let now_ns = turn.now_ns;
        let sentence = self.roster.get(id).and_then(Worker::sentence);
        let free = sentence.is_none_or(|sentence| sentence.task != Some(task));
        let current = self
            .tasks
            .get(task)
            .is_some_and(|entry| entry.place == Place::Sent(id) && entry.attempt == attempt);
        let Some(extras) = self.tasks.extras_mut(task).filter(|_| current && free) else {
            self.statistics.events_dropped += 1;
            return;
        };
        let Some(started_ns) = started_ns else {
            if let Some(after_ns) = extras.first_look_after_ns() {
                let after_ns = after_ns.max(LOOK_INTERVAL_MIN_NS);
                self.arm_look(task, now_ns.saturating_add(after_ns));
            }
            return;
        };
        let started_ns = started_ns.min(now_ns).max(extras.sent_at_ns);
        let after =
            |wait_ns: Option<u64>| wait_ns.map(|wait_ns| started_ns.saturating_add(wait_ns));
        let deadline_ns = after(extras.options.timeout_ns);
        if deadline_ns.is_some_and(|at_ns| at_ns <= now_ns) {
            let grace_ns = self.config.interrupt_grace_ns;
            self.pronounce(turn, id, task, Verdict::TimedOut, grace_ns);
            return;
        }
        let mut slow_at_ns = after(extras.options.slow_after_ns).filter(|_| !extras.told_slow);
        if slow_at_ns.is_some_and(|at_ns| at_ns <= now_ns) {
            slow_at_ns = None;
            extras.told_slow = true;
            turn.emit(Effect::TellSlow {
                task,
                worker: id,
                ran_ns: now_ns - started_ns,
            });
        }
        if let Some(at_ns) = [deadline_ns, slow_at_ns].into_iter().flatten().min() {
            self.arm_look(task, at_ns);
        }
    }
}
