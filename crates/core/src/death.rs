//! Workers and launchers that are over: what their end costs, by the mode of the pool.
//!
//! Owner: the pool. Blames only what had started. Never listens to a worker that was condemned.

use crate::config::OnCrash;
use crate::effect::{Departure, Effect};
use crate::ids::{TaskId, WorkerId};
use crate::outcome::BreakReason;
use crate::pool::{Pool, Turn};
use crate::retry::has_started;
use crate::worker::{Doom, Stage, Worker};

impl Pool {
    pub(crate) fn on_worker_exited(
        &mut self,
        turn: &mut Turn<'_>,
        id: WorkerId,
        started: &[TaskId],
    ) {
        let Some(mut worker) = self.roster.remove(id) else {
            self.roster.forget_abandoned(id);
            self.statistics.events_dropped += 1;
            return;
        };
        if worker.see_process() {
            self.statistics.spawned += 1;
        }
        let any_started = worker.held().any(|held| has_started(held, started));
        if any_started {
            worker.prove();
        }
        self.void_sentence(id, &worker);
        let departure = worker.departure(any_started);
        match departure {
            Departure::Retired(_) => self.bury_retired(turn, id, &mut worker),
            Departure::Killed => self.bury_killed(turn, id, &mut worker, started),
            Departure::Died => self.bury_dead(turn, id, &mut worker, started),
        }
        turn.emit(Effect::WorkerGone {
            worker: id,
            departure,
        });
    }

    fn bury_retired(&mut self, turn: &mut Turn<'_>, id: WorkerId, worker: &mut Worker) {
        self.inherit(turn, id, worker, &[]);
        let Stage::Leaving(farewell) = worker.stage() else {
            return;
        };
        self.note_retirement(turn, farewell, worker.left_work());
        // A worker that leaves by its own word before it has done anything is as fruitless as one
        // that dies.
        if farewell.is_own_word() && !worker.is_proven() {
            self.charge_fruitless(turn, id);
        }
    }

    /// The pool killed it: at the end, when it holds nothing any more, or with a task.
    fn bury_killed(
        &mut self,
        turn: &mut Turn<'_>,
        id: WorkerId,
        worker: &mut Worker,
        started: &[TaskId],
    ) {
        self.statistics.workers_killed += 1;
        match worker.stage() {
            Stage::Leaving(_) | Stage::Doomed(Doom::Ending | Doom::Late { was_leaving: true }) => {}
            Stage::Spawning | Stage::Starting | Stage::Ready | Stage::Doomed(_) => {
                self.size.open_vacancy();
            }
        }
        self.inherit(turn, id, worker, started);
    }

    fn bury_dead(
        &mut self,
        turn: &mut Turn<'_>,
        id: WorkerId,
        worker: &mut Worker,
        started: &[TaskId],
    ) {
        self.statistics.workers_died += 1;
        match self.config.on_crash {
            OnCrash::Break if !self.ending.is_final() => {
                let held = worker.release_all();
                self.count_released(&held);
                self.break_pool(turn, BreakReason::WorkerDied(id));
            }
            OnCrash::Break | OnCrash::Recover => {
                match worker.stage() {
                    // Its place has been counted as open since it began to leave.
                    Stage::Leaving(_) => {}
                    Stage::Spawning | Stage::Starting | Stage::Ready | Stage::Doomed(_) => {
                        self.size.open_vacancy();
                    }
                }
                self.inherit(turn, id, worker, started);
                if !worker.is_proven() {
                    self.charge_fruitless(turn, id);
                }
            }
        }
    }

    /// Counts the end of a worker that has done nothing, unless its launcher took it along.
    fn charge_fruitless(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        if !self.budget.is_orphan(id) && self.budget.charge_worker(turn.now_ns) {
            self.break_pool(turn, BreakReason::RestartBudget(id));
        }
    }

    pub(crate) fn on_worker_condemned(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        let heard = self.roster.get(id).is_some_and(Worker::is_heard);
        if !heard {
            self.statistics.events_dropped += 1;
            return;
        }
        self.strike(turn, id, Doom::Condemned);
    }

    /// Kills a worker that has more memory than it may, once nothing that waits in it can begin.
    pub(crate) fn on_memory_exceeded(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        let heard = self.roster.get(id).is_some_and(Worker::is_heard);
        if !heard {
            self.statistics.events_dropped += 1;
            return;
        }
        self.withdraw_open(turn, id);
        self.strike(turn, id, Doom::Overweight);
    }

    pub(crate) fn on_initializer_failed(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        self.see_process(turn, id);
        let heard = self.roster.get(id).is_some_and(Worker::is_heard);
        if heard {
            self.break_pool(turn, BreakReason::InitializerFailed(id));
        } else {
            self.statistics.replies_dropped += 1;
        }
    }

    pub(crate) fn on_launcher_died(&mut self, turn: &mut Turn<'_>) {
        self.statistics.launchers_died += 1;
        let too_many = self.budget.charge_launcher(self.roster.last());
        match self.config.on_crash {
            OnCrash::Break => self.break_pool(turn, BreakReason::LauncherDied),
            OnCrash::Recover if too_many => self.break_pool(turn, BreakReason::LauncherDied),
            OnCrash::Recover => {}
        }
    }
}
