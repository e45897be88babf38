//! Tasks that come back from a worker: withdrawn, or left behind by its end. What had not started
//! goes back to its place in the queue; what had started is sent again only if that was asked for.
//!
//! Owner: the pool. Never decides what the end of a worker means for the pool.

use crate::agenda::Due;
use crate::effect::{Effect, Verdict};
use crate::event::ShutdownMode;
use crate::ids::{Attempt, TaskId, WorkerId};
use crate::outcome::Outcome;
use crate::pool::{Pool, Turn};
use crate::task::Place;
use crate::worker::{Claim, Held, Why, Worker};

impl Pool {
    pub(crate) fn on_cancel(
        &mut self,
        turn: &mut Turn<'_>,
        task: TaskId,
        force_grace_ns: Option<u64>,
    ) {
        match self.tasks.get(task).map(|entry| entry.place) {
            None => {}
            Some(Place::Queued | Place::Resting(_)) => {
                self.unqueue(task);
                self.complete(turn, task, Outcome::Cancelled);
            }
            Some(Place::Sent(worker)) => {
                self.withdraw(turn, worker, task, Why::Cancel);
                if let Some(extras) = self.tasks.extras_mut(task) {
                    extras.unwanted = true;
                }
                if let Some(grace_ns) = force_grace_ns
                    && let Some(extras) = self.tasks.need_extras(task)
                {
                    extras.force_grace_ns = Some(grace_ns);
                    self.enforce(turn, worker, task);
                }
            }
        }
    }

    /// Takes a task out of the queue, if it is there.
    pub(crate) fn unqueue(&mut self, task: TaskId) {
        self.queue.remove(task, self.tasks.priority(task));
    }

    /// Ends a task that is known to have started, if that is wished.
    fn enforce(&mut self, turn: &mut Turn<'_>, worker: WorkerId, task: TaskId) {
        let started = self
            .roster
            .get(worker)
            .and_then(|worker| worker.claim(task))
            == Some(Claim::Taken);
        let grace_ns = self
            .tasks
            .extras(task)
            .and_then(|extras| extras.force_grace_ns);
        if let Some(grace_ns) = grace_ns.filter(|_| started) {
            self.pronounce(turn, worker, task, Verdict::Cancelled, grace_ns);
        }
    }

    /// Withdraws a sent task for good. One that is on the way back already is not asked for twice.
    pub(crate) fn withdraw(
        &mut self,
        turn: &mut Turn<'_>,
        worker: WorkerId,
        task: TaskId,
        why: Why,
    ) {
        match self
            .roster
            .get(worker)
            .and_then(|worker| worker.claim(task))
        {
            Some(Claim::Open) => self.revoke(turn, worker, task, why),
            Some(Claim::Revoking(Why::Move | Why::Expire)) => {
                self.roster.change(worker, |worker| {
                    worker.set_claim(task, Claim::Revoking(why));
                });
            }
            Some(Claim::Revoking(Why::Cancel | Why::ShutDown) | Claim::Taken) | None => {}
        }
    }

    pub(crate) fn on_revoke_answered(
        &mut self,
        turn: &mut Turn<'_>,
        worker: WorkerId,
        task: TaskId,
        attempt: Attempt,
        revoked: bool,
    ) {
        let current = self
            .tasks
            .get(task)
            .is_some_and(|entry| entry.place == Place::Sent(worker) && entry.attempt == attempt);
        let claim = self
            .roster
            .get(worker)
            .and_then(|worker| worker.claim(task));
        let why = match claim {
            Some(Claim::Revoking(why)) if current => why,
            Some(Claim::Open | Claim::Taken | Claim::Revoking(_)) | None => {
                self.statistics.events_dropped += 1;
                return;
            }
        };
        if !revoked {
            self.statistics.revokes_refused += 1;
            self.roster.change(worker, |worker| {
                worker.set_claim(task, Claim::Taken);
                worker.prove();
            });
            self.enforce(turn, worker, task);
            self.strike_if_clear(turn, worker);
            return;
        }
        self.statistics.revokes_granted += 1;
        self.statistics.released += 1;
        self.roster.change(worker, |worker| {
            worker.release_withdrawn(task, turn.now_ns);
        });
        self.take_back(turn, task, Some(why));
        self.strike_if_clear(turn, worker);
    }

    /// A task that has not started comes back from a worker.
    fn take_back(&mut self, turn: &mut Turn<'_>, task: TaskId, why: Option<Why>) {
        match why {
            Some(Why::Cancel) => self.complete(turn, task, Outcome::Cancelled),
            Some(Why::Expire) => self.complete(turn, task, Outcome::Expired),
            Some(Why::ShutDown) => self.complete(turn, task, Outcome::ShutDown),
            Some(Why::Move) | None => {
                self.disarm_look(task);
                self.tasks.put(task, Place::Queued);
                self.queue.insert(task, self.tasks.priority(task));
                self.statistics.requeued += 1;
            }
        }
    }

    /// A worker is over: its started tasks died with it, the others come back.
    pub(crate) fn inherit(
        &mut self,
        turn: &mut Turn<'_>,
        id: WorkerId,
        worker: &mut Worker,
        started: &[TaskId],
    ) {
        let sentence = worker.sentence();
        for held in worker.release_all() {
            if let Claim::Revoking(_) = held.claim {
                self.statistics.revokes_overtaken += 1;
            }
            self.statistics.released += 1;
            let verdict = sentence
                .filter(|sentence| sentence.task == Some(held.task))
                .map(|sentence| sentence.verdict);
            match (verdict, has_started(held, started)) {
                (Some(verdict), _) => self.end_by_verdict(turn, id, held.task, verdict),
                (None, true) => self.end_by_death(turn, id, held.task),
                (None, false) => {
                    let why = match held.claim {
                        Claim::Revoking(why) => Some(why),
                        Claim::Open | Claim::Taken => None,
                    };
                    self.take_back(turn, held.task, why);
                }
            }
        }
    }

    /// A task had started on a worker that is over.
    fn end_by_death(&mut self, turn: &mut Turn<'_>, worker: WorkerId, task: TaskId) {
        if self.is_forced(task) {
            self.complete(turn, task, Outcome::Cancelled);
        } else if !self.try_again(turn, worker, task)
            && let Some(entry) = self.tasks.get(task)
        {
            let attempt = entry.attempt;
            self.complete(turn, task, Outcome::Died { worker, attempt });
        }
    }

    /// A task has ended that was made to end, in whatever way it did.
    pub(crate) fn end_by_verdict(
        &mut self,
        turn: &mut Turn<'_>,
        worker: WorkerId,
        task: TaskId,
        verdict: Verdict,
    ) {
        let Some(entry) = self.tasks.get(task) else {
            return;
        };
        // A wish to end it for good that came later than its deadline counts all the same.
        let verdict = if self.is_forced(task) {
            Verdict::Cancelled
        } else {
            verdict
        };
        let repeats = verdict == Verdict::TimedOut
            && self
                .tasks
                .extras(task)
                .is_some_and(|extras| extras.options.retry_timeouts);
        if !(repeats && self.try_again(turn, worker, task)) {
            self.complete(turn, task, verdict.outcome(worker, entry.attempt));
        }
    }

    fn is_forced(&self, task: TaskId) -> bool {
        self.tasks
            .extras(task)
            .is_some_and(|extras| extras.force_grace_ns.is_some())
    }

    /// Lets a task that failed wait for another attempt, if it may have one. Its time to wait for
    /// a first start is over: it has had that.
    pub(crate) fn try_again(
        &mut self,
        turn: &mut Turn<'_>,
        worker: WorkerId,
        task: TaskId,
    ) -> bool {
        let ends =
            self.ending.is_final() || self.ending.shutdown() >= Some(ShutdownMode::CancelPending);
        let Some(entry) = self.tasks.get(task).filter(|_| !ends) else {
            return false;
        };
        let Some(extras) = self.tasks.extras_mut(task) else {
            return false;
        };
        if extras.failures >= extras.options.retries || extras.unwanted {
            return false;
        }
        extras.failures += 1;
        let delay_ns = extras
            .options
            .retry_backoff
            .delay_ns(task.0, extras.failures);
        let until_ns = turn.now_ns.saturating_add(delay_ns);
        let expires_at_ns = extras.expires_at_ns.take();
        self.agenda.strike(expires_at_ns, Due::Expire(task));
        self.disarm_look(task);
        self.tasks.put(task, Place::Resting(until_ns));
        self.agenda.enter(until_ns, Due::Resume(task));
        self.statistics.retried += 1;
        turn.emit(Effect::RestTask {
            task,
            worker,
            attempt: entry.attempt,
            until_ns,
        });
        true
    }
}

/// Whether a task had started on the worker that held it, by the worker's ledger or by the answer
/// to an earlier withdrawal. Where the two differ, the task is not run again.
pub(crate) fn has_started(held: Held, started: &[TaskId]) -> bool {
    held.claim == Claim::Taken || started.contains(&held.task)
}
