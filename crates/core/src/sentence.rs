//! A task that runs and is to end: cleared of its neighbours, interrupted, and killed with its
//! worker if it does not let go.
//!
//! Owner: the pool. First everything else in the worker's hands is withdrawn, so that nothing but
//! this task can be struck; and the worker is handed nothing until the task has ended and the
//! interrupt is known to have been sent. One that was asked to end gets nothing more. Never strikes a worker of which another task has started.

use crate::agenda::Due;
use crate::effect::{Effect, Verdict};
use crate::ids::{TaskId, WorkerId};
use crate::outcome::Outcome;
use crate::pool::{Pool, Turn};
use crate::worker::{Claim, Doom, Stage, Worker};

/// What has been done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// What else the worker holds is being withdrawn.
    Clearing,
    /// The interrupt has been ordered.
    Interrupted,
    /// It has been asked to end.
    Terminated,
}

/// What is being done to end the task that a worker runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sentence {
    /// The task; `None` once it has ended and only the interrupt is still on its way.
    pub(crate) task: Option<TaskId>,
    pub(crate) verdict: Verdict,
    pub(crate) step: Step,
    /// How long the task has after the interrupt.
    pub(crate) grace_ns: u64,
    /// The interrupt has been sent.
    pub(crate) delivered: bool,
    /// When the next step is due.
    pub(crate) next_at_ns: Option<u64>,
}

impl Verdict {
    /// How a task ends by it.
    pub(crate) fn outcome(self, worker: WorkerId, attempt: crate::ids::Attempt) -> Outcome {
        match self {
            Self::TimedOut => Outcome::TimedOut { worker, attempt },
            Self::Cancelled => Outcome::Cancelled,
        }
    }
}

impl Pool {
    /// A task that has started on this worker is to end.
    pub(crate) fn pronounce(
        &mut self,
        turn: &mut Turn<'_>,
        id: WorkerId,
        task: TaskId,
        verdict: Verdict,
        grace_ns: u64,
    ) {
        let Some(worker) = self.roster.get(id).filter(|worker| worker.is_heard()) else {
            return;
        };
        if worker.sentence().is_some() {
            // At it already, or an earlier task of this worker is about to be told as over.
            if worker.sentence().and_then(|sentence| sentence.task) != Some(task) {
                self.arm_look(task, turn.now_ns.saturating_add(grace_ns));
            }
            return;
        }
        self.roster.change(id, |worker| {
            if worker.claim(task) == Some(Claim::Open) {
                worker.set_claim(task, Claim::Taken);
            }
            worker.prove();
            worker.set_sentence(Sentence {
                task: Some(task),
                verdict,
                step: Step::Clearing,
                grace_ns,
                delivered: false,
                next_at_ns: None,
            });
        });
        self.disarm_look(task);
        self.withdraw_open(turn, id);
        self.arm_escalation(id, turn.now_ns.saturating_add(grace_ns));
        self.strike_if_clear(turn, id);
    }

    /// Interrupts a worker once it holds nothing but the task that is to end.
    pub(crate) fn strike_if_clear(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        let Some(worker) = self.roster.get(id).filter(|worker| worker.is_heard()) else {
            return;
        };
        let Some(sentence) = worker.sentence() else {
            return;
        };
        let (Some(task), 1, Step::Clearing) = (sentence.task, worker.load(), sentence.step) else {
            return;
        };
        if worker.claim(task) != Some(Claim::Taken) {
            return;
        }
        let Some(entry) = self.tasks.get(task) else {
            return;
        };
        self.change_sentence(id, |sentence| sentence.step = Step::Interrupted);
        self.statistics.interrupts += 1;
        turn.emit(Effect::InterruptWorker {
            worker: id,
            task,
            attempt: entry.attempt,
            verdict: sentence.verdict,
        });
        self.arm_escalation(id, turn.now_ns.saturating_add(sentence.grace_ns));
    }

    /// The grace is over and the task is not: the next step.
    pub(crate) fn escalate(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        self.change_sentence(id, |sentence| sentence.next_at_ns = None);
        let Some(worker) = self.roster.get(id).filter(|worker| worker.is_heard()) else {
            return;
        };
        let Some(sentence) = worker.sentence() else {
            return;
        };
        match (sentence.step, self.config.terminate_grace_ns) {
            // It has begun another task and does not say how this one ended.
            (Step::Clearing, _) => self.strike(turn, id, Doom::Condemned),
            (Step::Interrupted, Some(grace_ns)) => {
                self.change_sentence(id, |sentence| sentence.step = Step::Terminated);
                turn.emit(Effect::TerminateWorker { worker: id });
                self.arm_escalation(id, turn.now_ns.saturating_add(grace_ns));
            }
            (Step::Interrupted, None) | (Step::Terminated, _) => {
                self.strike(turn, id, Doom::Struck(sentence.verdict));
            }
        }
    }

    /// Kills one worker for its own sake.
    pub(crate) fn strike(&mut self, turn: &mut Turn<'_>, id: WorkerId, doom: Doom) {
        let process = self.roster.change(id, |worker| {
            worker.doom(doom);
            worker.has_process()
        });
        // Without a process yet it is killed as soon as there is one.
        if process == Some(true) {
            turn.emit(Effect::KillWorker {
                worker: id,
                why: doom.reason(),
            });
        }
    }

    /// A task of this worker has ended. Answers the verdict, if it was the one that was to end.
    pub(crate) fn leave_sentence(
        &mut self,
        turn: &mut Turn<'_>,
        id: WorkerId,
        task: TaskId,
    ) -> Option<Verdict> {
        let sentence = self.roster.get(id)?.sentence()?;
        if sentence.task != Some(task) {
            return None;
        }
        self.agenda.strike(sentence.next_at_ns, Due::Escalate(id));
        self.change_sentence(id, |sentence| {
            sentence.task = None;
            sentence.next_at_ns = None;
        });
        match sentence.step {
            // It was asked to end, and that may strike at any time: it gets nothing more.
            Step::Terminated => self.strike(turn, id, Doom::Struck(sentence.verdict)),
            Step::Interrupted if !sentence.delivered => {}
            Step::Clearing | Step::Interrupted => {
                self.roster
                    .change(id, |worker| worker.drop_sentence(turn.now_ns));
            }
        }
        Some(sentence.verdict)
    }

    pub(crate) fn on_interrupt_delivered(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        let sentence = self.roster.get(id).and_then(Worker::sentence);
        match sentence {
            Some(sentence) if sentence.step != Step::Clearing && !sentence.delivered => {
                if sentence.task.is_none() {
                    self.roster
                        .change(id, |worker| worker.drop_sentence(turn.now_ns));
                } else {
                    self.change_sentence(id, |sentence| sentence.delivered = true);
                }
            }
            Some(_) | None => self.statistics.events_dropped += 1,
        }
    }

    /// Whatever stood against a worker that is over, or to end with the pool, is void.
    pub(crate) fn void_sentence(&mut self, id: WorkerId, worker: &Worker) {
        if let Some(sentence) = worker.sentence() {
            self.agenda.strike(sentence.next_at_ns, Due::Escalate(id));
        }
        self.agenda.strike(worker.start_by_ns, Due::StartOver(id));
    }

    /// The worker has taken too long to be ready.
    pub(crate) fn start_over(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        self.roster.change(id, |worker| worker.start_by_ns = None);
        match self.roster.get(id).map(Worker::stage) {
            Some(Stage::Starting) => self.strike(turn, id, Doom::Late { was_leaving: false }),
            // It would read that it is to leave once it is ready.
            Some(Stage::Leaving(_)) => self.strike(turn, id, Doom::Late { was_leaving: true }),
            Some(Stage::Spawning | Stage::Ready | Stage::Doomed(_)) | None => {}
        }
    }

    fn arm_escalation(&mut self, id: WorkerId, at_ns: u64) {
        let before = self.roster.get(id).and_then(Worker::sentence);
        self.agenda.strike(
            before.and_then(|sentence| sentence.next_at_ns),
            Due::Escalate(id),
        );
        if before.is_some() {
            self.change_sentence(id, |sentence| sentence.next_at_ns = Some(at_ns));
            self.agenda.enter(at_ns, Due::Escalate(id));
        }
    }

    fn change_sentence(&mut self, id: WorkerId, change: impl FnOnce(&mut Sentence)) {
        self.roster.change(id, |worker| {
            if let Some(mut sentence) = worker.sentence() {
                change(&mut sentence);
                worker.set_sentence(sentence);
            }
        });
    }
}
