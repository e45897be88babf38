//! Making workers: how many are wanted, and what happens when none can be made.
//!
//! Owner: the pool. A failed spawn is waited for, longer each time; one wave of failures counts
//! once, however many workers it was to bring. Never spawns beyond the size asked for.

use crate::agenda::Due;
use crate::config::Backoff;
use crate::effect::{Effect, Notice};
use crate::event::ShutdownMode;
use crate::ids::{TaskId, WorkerId};
use crate::outcome::BreakReason;
use crate::pool::{Pool, Turn};
use crate::worker::{Doom, Stage, Worker};

/// A time in which processes could not be made.
#[derive(Debug)]
pub(crate) struct Shortage {
    limit: Backoff,
    /// Failed waves since the last success.
    tries: u32,
    delay_ns: u64,
    /// The last worker of the wave that failed last.
    wave_up_to: WorkerId,
    /// Nothing is spawned before.
    retry_at_ns: Option<u64>,
    /// The owner has been told of this shortage.
    told: bool,
}

impl Shortage {
    pub(crate) fn new(limit: Backoff) -> Self {
        Self {
            limit,
            tries: 0,
            delay_ns: 0,
            wave_up_to: WorkerId(0),
            retry_at_ns: None,
            told: false,
        }
    }

    /// The spawn of `worker` failed, when `last` was the last one ordered. Whoever had been ordered
    /// before the first failure of a wave belongs to it; only the first lengthens the wait.
    fn fail(&mut self, now_ns: u64, worker: WorkerId, last: WorkerId) {
        if worker > self.wave_up_to {
            self.wave_up_to = last;
            self.delay_ns = if self.tries == 0 {
                self.limit.first_ns
            } else {
                self.delay_ns
                    .saturating_mul(2)
                    .clamp(self.limit.first_ns, self.limit.max_ns)
            };
            self.tries = self.tries.saturating_add(1);
        }
        if self.retry_at_ns.is_none_or(|at_ns| at_ns <= now_ns) {
            self.retry_at_ns = Some(now_ns.saturating_add(self.delay_ns));
        }
    }

    /// A spawn succeeded. Those of its wave that failed are still not tried again at once.
    fn succeed(&mut self, now_ns: u64) {
        self.tries = 0;
        let soon_ns = now_ns.saturating_add(self.limit.first_ns);
        self.retry_at_ns = self.retry_at_ns.map(|at_ns| at_ns.min(soon_ns));
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.tries >= self.limit.tries_max.max(1)
    }

    pub(crate) fn retry_at_ns(&self) -> Option<u64> {
        self.retry_at_ns
    }

    /// Whether the owner is to be told now.
    fn tell_once(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }
}

impl Pool {
    /// How many workers the pool is to have at the moment.
    pub(crate) fn wanted(&self) -> u32 {
        match self.ending.shutdown() {
            _ if self.ending.is_broken() => 0,
            None => self.size.strength(),
            Some(ShutdownMode::Drain | ShutdownMode::CancelPending) => {
                let tasks = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
                self.size.strength().min(tasks)
            }
            Some(ShutdownMode::Kill) => 0,
        }
    }

    /// Orders the missing workers, unless spawning is waited for.
    pub(crate) fn spawn_missing(&mut self, turn: &mut Turn<'_>) {
        let missing = self.wanted().saturating_sub(self.roster.members());
        if missing == 0 {
            return;
        }
        if self
            .shortage
            .retry_at_ns
            .is_some_and(|at_ns| turn.now_ns < at_ns)
        {
            return;
        }
        self.shortage.retry_at_ns = None;
        for _ in 0..missing {
            let (worker, index) = self.roster.order(self.config.tasks_per_worker_max);
            self.statistics.spawns_ordered += 1;
            self.statistics.respawned += u64::from(self.size.fill_vacancy());
            turn.emit(Effect::SpawnWorker { worker, index });
        }
        self.size.note_ordered(self.roster.last());
    }

    pub(crate) fn on_worker_spawned(&mut self, turn: &mut Turn<'_>, worker: WorkerId) {
        if !self.see_process(turn, worker) {
            self.statistics.events_dropped += 1;
        }
    }

    /// A process of this worker has shown itself, by whatever event came first. What had been
    /// decided about the worker before there was one is ordered now. Answers whether it is new.
    pub(crate) fn see_process(&mut self, turn: &mut Turn<'_>, id: WorkerId) -> bool {
        if self.roster.forget_abandoned(id) {
            self.roster.enter_again(id);
            self.roster.change(id, |worker| worker.doom(Doom::Ending));
            self.statistics.spawns_abandoned -= 1;
        }
        let seen = self
            .roster
            .change(id, |worker| (worker.see_process(), worker.stage()));
        let Some((true, stage)) = seen else {
            return false;
        };
        self.statistics.spawned += 1;
        match stage {
            Stage::Spawning | Stage::Starting | Stage::Ready => {
                self.shortage.succeed(turn.now_ns);
                self.await_start(turn.now_ns, id);
            }
            Stage::Leaving(_) => {
                self.await_start(turn.now_ns, id);
                turn.emit(Effect::AskToLeave { worker: id });
            }
            Stage::Doomed(doom) => turn.emit(Effect::KillWorker {
                worker: id,
                why: doom.reason(),
            }),
        }
        if self.roster.spawning() == 0 && self.wanted() <= self.roster.members() {
            self.shortage.told = false;
        }
        true
    }

    /// A worker that is there has so long to become ready.
    fn await_start(&mut self, now_ns: u64, id: WorkerId) {
        if let Some(timeout_ns) = self.config.start_timeout_ns {
            let by_ns = now_ns.saturating_add(timeout_ns);
            self.roster
                .change(id, |worker| worker.start_by_ns = Some(by_ns));
            self.agenda.enter(by_ns, Due::StartOver(id));
        }
    }

    pub(crate) fn on_spawn_failed(&mut self, turn: &mut Turn<'_>, id: WorkerId, errno: i32) {
        if self.roster.get(id).is_some_and(Worker::has_process) {
            self.on_denied(turn, id);
            return;
        }
        let Some(worker) = self.roster.remove(id) else {
            self.roster.forget_abandoned(id);
            self.statistics.events_dropped += 1;
            return;
        };
        self.statistics.spawns_failed += 1;
        self.size.lose_a_spawn(id);
        let wanted = match worker.stage() {
            Stage::Spawning
            | Stage::Starting
            | Stage::Ready
            | Stage::Doomed(
                Doom::Condemned | Doom::Late { .. } | Doom::Struck(_) | Doom::Overweight,
            ) => true,
            Stage::Leaving(_) | Stage::Doomed(Doom::Ending) => false,
        };
        // A launcher that died takes its orders with it; a new one may well carry them out.
        if !wanted || self.budget.is_orphan(id) {
            return;
        }
        self.shortage.fail(turn.now_ns, id, self.roster.last());
        if self.shortage.is_exhausted() && self.roster.members() == 0 {
            self.break_pool(turn, BreakReason::SpawnFailed(errno));
        } else if self.shortage.tell_once() {
            turn.emit(Effect::Notify {
                notice: Notice::SpawnDelayed { errno },
            });
        }
    }

    /// A worker that has shown itself is said not to exist, so it is over. Nobody says what it had
    /// started; lest anything runs twice, that is everything.
    fn on_denied(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        let held: Vec<TaskId> = match self.roster.get(id) {
            Some(worker) => worker.held().map(|held| held.task).collect(),
            None => Vec::new(),
        };
        self.on_worker_exited(turn, id, &held);
    }

    /// The front will not describe a worker's surroundings: nobody answers the pending orders.
    pub(crate) fn on_setup_failed(&mut self, turn: &mut Turn<'_>) {
        self.statistics.spawns_abandoned += self.roster.abandon_unmade();
        self.break_pool(turn, BreakReason::SetupFailed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortage() -> Shortage {
        Shortage::new(Backoff {
            first_ns: 10,
            max_ns: 35,
            tries_max: 3,
        })
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut shortage = shortage();
        let mut now_ns = 0;
        for (worker, delay_ns) in (1..).zip([10, 20, 35, 35]) {
            shortage.fail(now_ns, WorkerId(worker), WorkerId(worker));
            assert_eq!(shortage.retry_at_ns(), Some(now_ns + delay_ns));
            now_ns += delay_ns;
        }
        assert!(shortage.is_exhausted());
    }

    #[test]
    fn a_wave_of_failures_counts_once_however_long_it_takes() {
        let mut shortage = shortage();
        for worker in 1..=100 {
            shortage.fail(5 * worker, WorkerId(worker), WorkerId(100));
        }
        assert!(!shortage.is_exhausted());
        assert!(shortage.retry_at_ns() > Some(500));
    }

    #[test]
    fn a_success_starts_anew_but_not_at_once() {
        let mut shortage = shortage();
        shortage.fail(0, WorkerId(1), WorkerId(1));
        shortage.fail(10, WorkerId(2), WorkerId(2));
        shortage.succeed(12);
        assert_eq!(shortage.retry_at_ns(), Some(22));
        shortage.fail(22, WorkerId(3), WorkerId(3));
        assert_eq!(shortage.retry_at_ns(), Some(32));
    }
}
