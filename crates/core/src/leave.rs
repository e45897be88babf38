//! Workers that leave: asked by the pool, or by their own word.
//!
//! Owner: the pool. A leaving worker finishes what it has claimed; everything else that it holds
//! is withdrawn and goes to others. Never takes a claimed task from anyone.

use crate::effect::{Effect, Notice};
use crate::event::LeaveReason;
use crate::ids::{TaskId, WorkerId};
use crate::pool::{Pool, Turn};
use crate::worker::{Claim, Farewell, Stage, Why, Worker};

impl Pool {
    /// Asks a live worker to leave, or lets it go if it has asked itself.
    pub(crate) fn ask_to_leave(&mut self, turn: &mut Turn<'_>, id: WorkerId, farewell: Farewell) {
        let live_after = self.roster.live().saturating_sub(1);
        let left_work = self.is_work_waiting(live_after);
        let Some(process) = self.roster.change(id, |worker| {
            worker.leave(farewell, left_work);
            worker.has_process()
        }) else {
            return;
        };
        match farewell {
            Farewell::Idle => self.size.shrink_by_idling(),
            Farewell::Memory | Farewell::OwnWord | Farewell::Spent => self.size.open_vacancy(),
            Farewell::Surplus | Farewell::Drained => {}
        }
        self.withdraw_open(turn, id);
        if process && !farewell.is_own_word() {
            turn.emit(Effect::AskToLeave { worker: id });
        }
    }

    /// Withdraws every task of a worker that may not have started. The newest first: the worker
    /// comes to it last, so the most are still to be had.
    pub(crate) fn withdraw_open(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        let Some(worker) = self.roster.get(id) else {
            return;
        };
        let open: Vec<TaskId> = worker
            .held()
            .rev()
            .filter(|held| held.claim == Claim::Open)
            .map(|held| held.task)
            .collect();
        for task in open {
            self.revoke(turn, id, task, Why::Move);
        }
    }

    /// Whether there is more work than so many workers have in hand.
    fn is_work_waiting(&self, workers: u32) -> bool {
        !self.queue.is_empty() || self.tasks.len() > workers as usize
    }

    pub(crate) fn on_worker_leaving(
        &mut self,
        turn: &mut Turn<'_>,
        id: WorkerId,
        reason: LeaveReason,
    ) {
        self.see_process(turn, id);
        let Some(stage) = self.roster.get(id).map(Worker::stage) else {
            self.statistics.replies_dropped += 1;
            return;
        };
        match stage {
            Stage::Spawning | Stage::Starting | Stage::Ready => {
                let farewell = match reason {
                    LeaveReason::MemoryGrowth => Farewell::Memory,
                    LeaveReason::Asked => Farewell::OwnWord,
                };
                self.ask_to_leave(turn, id, farewell);
            }
            // It repeats what it was asked, or what it has said.
            Stage::Leaving(_) => {}
            Stage::Doomed(_) => self.statistics.replies_dropped += 1,
        }
    }

    /// Sends a worker away that has had as many tasks as it may and has answered them all.
    pub(crate) fn part_if_spent(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        let spent = self.roster.get(id).is_some_and(|worker| {
            worker.stage() == Stage::Ready && worker.is_spent() && worker.load() == 0
        });
        if spent {
            self.ask_to_leave(turn, id, Farewell::Spent);
        }
    }

    /// A worker that was leaving is over and had started nothing.
    pub(crate) fn note_retirement(
        &mut self,
        turn: &mut Turn<'_>,
        farewell: Farewell,
        left_work: bool,
    ) {
        self.statistics.retired += 1;
        match farewell {
            Farewell::Idle => self.statistics.retired_idle += 1,
            Farewell::Memory | Farewell::Spent => self.statistics.recycled += 1,
            Farewell::OwnWord | Farewell::Surplus | Farewell::Drained => {}
        }
        let waiting = left_work || self.is_work_waiting(self.roster.live());
        if farewell.is_noticed() && waiting {
            // The owner is told when the place has been filled again.
            let notice = Notice::WorkerStoppedWithWork {
                reason: farewell.reason(),
            };
            turn.after_spawning(Effect::Notify { notice });
        }
    }
}
