//! Tasks that come back from a worker: withdrawn, or left behind by its end. What had not started
//! goes to the front of the queue, in order; what had started is never sent again.
//!
//! Owner: the pool. Never decides what the end of a worker means for the pool.

use std::collections::VecDeque;

use crate::ids::{Attempt, TaskId, WorkerId};
use crate::outcome::Outcome;
use crate::pool::{Pool, Turn};
use crate::task::Place;
use crate::worker::{Claim, Held, Why};

impl Pool {
    pub(crate) fn on_cancel(&mut self, turn: &mut Turn<'_>, task: TaskId) {
        match self.tasks.get(task).map(|entry| entry.place) {
            None => {}
            Some(Place::Queued) => {
                self.queue.remove(task);
                self.complete(turn, task, Outcome::Cancelled);
            }
            Some(Place::Sent(worker)) => self.withdraw(turn, worker, task, Why::Cancel),
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
            Some(Claim::Revoking(Why::Move)) => {
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
            return;
        }
        self.statistics.revokes_granted += 1;
        self.statistics.released += 1;
        self.roster.change(worker, |worker| {
            worker.release(task, turn.now_ns);
            worker.give_back_quota();
        });
        self.take_back(turn, task, Some(why));
    }

    /// A task that has not started comes back from a worker.
    fn take_back(&mut self, turn: &mut Turn<'_>, task: TaskId, why: Option<Why>) {
        match why {
            Some(Why::Cancel) => self.complete(turn, task, Outcome::Cancelled),
            Some(Why::ShutDown) => self.complete(turn, task, Outcome::ShutDown),
            Some(Why::Move) | None => {
                self.queue.insert(task);
                self.tasks.requeue(task);
                self.statistics.requeued += 1;
            }
        }
    }

    /// A worker is over: its started tasks died with it, the others come back.
    pub(crate) fn inherit(
        &mut self,
        turn: &mut Turn<'_>,
        worker: WorkerId,
        held: VecDeque<Held>,
        started: &[TaskId],
    ) {
        for held in held {
            let why = match held.claim {
                Claim::Revoking(why) => Some(why),
                Claim::Open | Claim::Taken => None,
            };
            self.statistics.revokes_overtaken += u64::from(why.is_some());
            self.statistics.released += 1;
            if !has_started(held, started) {
                self.take_back(turn, held.task, why);
            } else if let Some(entry) = self.tasks.get(held.task) {
                let outcome = Outcome::Died {
                    worker,
                    attempt: entry.attempt,
                };
                self.complete(turn, held.task, outcome);
            }
        }
    }
}

/// Whether a task had started on the worker that held it, by the worker's ledger or by the answer
/// to an earlier withdrawal. Where the two differ, the task is not run again.
pub(crate) fn has_started(held: Held, started: &[TaskId]) -> bool {
    held.claim == Claim::Taken || started.contains(&held.task)
}
