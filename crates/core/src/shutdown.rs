//! The end of a pool: broken, shut down, stopped.
//!
//! Owner: the pool. A break is said before the tasks that it costs; a stop is said last. Never
//! turns back.

use std::collections::VecDeque;

use crate::agenda::Due;
use crate::effect::{Effect, KillReason};
use crate::event::ShutdownMode;
use crate::ids::{TaskId, WorkerId};
use crate::outcome::{BreakReason, Outcome};
use crate::pool::{Pool, Turn};
use crate::task::Place;
use crate::worker::{Claim, Doom, Farewell, Held, Stage, Why, Worker};

/// How far the end has come.
#[derive(Default, Debug)]
pub(crate) struct Ending {
    shutdown: Option<ShutdownMode>,
    broken: Option<BreakReason>,
    stopped: bool,
}

impl Ending {
    pub(crate) fn shutdown(&self) -> Option<ShutdownMode> {
        self.shutdown
    }

    pub(crate) fn broken(&self) -> Option<BreakReason> {
        self.broken
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// No task runs any more: everything has been completed and everybody killed.
    pub(crate) fn is_final(&self) -> bool {
        self.is_broken() || self.shutdown == Some(ShutdownMode::Kill)
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.is_broken() || self.shutdown.is_some()
    }

    /// How a task ends that comes after the end has begun.
    pub(crate) fn refusal(&self) -> Option<Outcome> {
        match (self.broken, self.shutdown) {
            (Some(reason), _) => Some(Outcome::Broken(reason)),
            (None, Some(_)) => Some(Outcome::ShutDown),
            (None, None) => None,
        }
    }
}

impl Pool {
    pub(crate) fn on_shutdown(&mut self, turn: &mut Turn<'_>, mode: ShutdownMode) {
        if self.ending.shutdown >= Some(mode) {
            return;
        }
        self.ending.shutdown = Some(mode);
        if self.ending.is_broken() {
            return;
        }
        match mode {
            ShutdownMode::Drain => {}
            ShutdownMode::CancelPending => self.end_unstarted(turn),
            ShutdownMode::Kill => self.end_everything(turn, Outcome::ShutDown),
        }
    }

    /// Every waiting task ends as shut down, every sent one is withdrawn to end so.
    fn end_unstarted(&mut self, turn: &mut Turn<'_>) {
        for task in self.queue.take_all() {
            self.complete(turn, task, Outcome::ShutDown);
        }
        let resting: Vec<TaskId> = self
            .tasks
            .all_extras()
            .map(|(task, _)| task)
            .filter(|&task| {
                let place = self.tasks.get(task).map(|entry| entry.place);
                matches!(place, Some(Place::Resting(_)))
            })
            .collect();
        for task in resting {
            self.complete(turn, task, Outcome::ShutDown);
        }
        for id in self.roster.ids() {
            let held: Vec<TaskId> = match self.roster.get(id) {
                Some(worker) => worker.held().map(|held| held.task).collect(),
                None => Vec::new(),
            };
            for task in held {
                self.withdraw(turn, id, task, Why::ShutDown);
            }
        }
    }

    /// The pool is broken, unless it has come to an end already.
    pub(crate) fn break_pool(&mut self, turn: &mut Turn<'_>, reason: BreakReason) {
        if self.ending.is_final() {
            return;
        }
        self.ending.broken = Some(reason);
        turn.emit(Effect::BreakPool { reason });
        self.end_everything(turn, Outcome::Broken(reason));
    }

    /// Every task ends, every worker is killed.
    fn end_everything(&mut self, turn: &mut Turn<'_>, outcome: Outcome) {
        drop(self.queue.take_all());
        let workers = self.roster.ids();
        for &id in &workers {
            let held = self
                .roster
                .change(id, Worker::release_all)
                .unwrap_or_default();
            self.count_released(&held);
        }
        while let Some(task) = self.tasks.first() {
            self.complete(turn, task, outcome);
        }
        for id in workers {
            self.doom(turn, id);
        }
    }

    /// Counts tasks that have been taken from a worker because it or the pool is over.
    pub(crate) fn count_released(&mut self, held: &VecDeque<Held>) {
        let revoking = held
            .iter()
            .filter(|held| matches!(held.claim, Claim::Revoking(_)));
        self.statistics.revokes_overtaken += revoking.count() as u64;
        self.statistics.released += held.len() as u64;
    }

    fn doom(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        let sentence = self.roster.get(id).and_then(Worker::sentence);
        let due_ns = sentence.and_then(|sentence| sentence.next_at_ns);
        self.agenda.strike(due_ns, Due::Escalate(id));
        self.roster
            .change(id, |worker| worker.drop_sentence(turn.now_ns));
        let Some(process) = self.roster.change(id, |worker| match worker.stage() {
            Stage::Spawning | Stage::Starting | Stage::Ready | Stage::Leaving(_) => {
                worker.doom(Doom::Ending);
                worker.has_process()
            }
            // It has been killed already.
            Stage::Doomed(_) => false,
        }) else {
            return;
        };
        if process {
            turn.emit(Effect::KillWorker {
                worker: id,
                why: KillReason::Ending,
            });
        }
    }

    /// Lets the workers go when a pool that ends has nothing more to do.
    pub(crate) fn finish_draining(&mut self, turn: &mut Turn<'_>) {
        let drained = self.ending.has_begun() && self.tasks.is_empty();
        if !drained || self.roster.live() == 0 {
            return;
        }
        for id in self.roster.ids() {
            if self.roster.get(id).is_some_and(Worker::is_live) {
                self.ask_to_leave(turn, id, Farewell::Drained);
            }
        }
    }

    /// Says once that nothing is left.
    pub(crate) fn stop_if_over(&mut self, turn: &mut Turn<'_>) {
        if self.ending.has_begun()
            && !self.ending.stopped
            && self.tasks.is_empty()
            && self.roster.is_empty()
        {
            self.ending.stopped = true;
            self.disarm(turn);
            turn.emit(Effect::Stopped);
        }
    }
}
