//! Which worker gets which task: least loaded first, as many ahead as their shortness asks for,
//! and what has not started comes back when another worker has nothing to do.
//!
//! Owner: the pool. Never sends to a worker that is not ready.

use crate::effect::Effect;
use crate::ids::{TaskId, WorkerId};
use crate::pool::{Pool, Turn};
use crate::worker::{Claim, Why};

/// How much work a worker is to have at hand: enough to hide a wake-up on a busy machine, little
/// enough that a task is not stuck behind others for a time that anyone would notice.
const AHEAD_NS: u64 = 2_000_000;

/// A single run counts for no more than this, so that one long task among many short ones does
/// not turn prefetching off for long.
const SAMPLE_MAX_NS: u64 = 100_000_000;

/// The weight of one run in the average is one over this.
const AVERAGE_WEIGHT: u64 = 8;

/// How long tasks have been running lately.
#[derive(Debug)]
pub(crate) struct Pace {
    average_ns: Option<u64>,
    prefetch_max: u32,
}

impl Pace {
    pub(crate) fn new(prefetch_max: u32) -> Self {
        Self {
            average_ns: None,
            prefetch_max,
        }
    }

    pub(crate) fn note(&mut self, run_ns: u64) {
        let sample_ns = run_ns.min(SAMPLE_MAX_NS);
        self.average_ns = Some(match self.average_ns {
            None => sample_ns,
            Some(average_ns) => {
                (average_ns * (AVERAGE_WEIGHT - 1) + sample_ns).div_ceil(AVERAGE_WEIGHT)
            }
        });
    }

    /// How many tasks a worker may hold at the moment, the running one included.
    pub(crate) fn depth(&self) -> u32 {
        let Some(average_ns) = self.average_ns else {
            return 1;
        };
        let tasks = AHEAD_NS.div_ceil(average_ns.max(1));
        u32::try_from(tasks)
            .unwrap_or(u32::MAX)
            .clamp(1, self.prefetch_max)
    }

    pub(crate) fn prefetch_max(&self) -> u32 {
        self.prefetch_max
    }
}

impl Pool {
    /// Hands out waiting tasks for as long as a worker may have one.
    pub(crate) fn dispatch(&mut self, turn: &mut Turn<'_>) {
        while let Some((load, worker)) = self.roster.least_loaded()
            && load < self.pace.depth()
            && let Some(task) = self.queue.pop_first()
        {
            self.send(turn, worker, task);
        }
    }

    fn send(&mut self, turn: &mut Turn<'_>, worker: WorkerId, task: TaskId) {
        if let Some(entry) = self.tasks.send(task, worker) {
            self.roster.change(worker, |worker| worker.hold(task));
            self.statistics.sent += 1;
            if entry.special {
                self.watch_sent(turn.now_ns, task);
            }
            turn.emit(Effect::SendTask {
                worker,
                task,
                attempt: entry.attempt,
            });
        }
    }

    /// Asks for tasks back, one for each worker that has nothing to do and gets nothing else.
    pub(crate) fn steal(&mut self, turn: &mut Turn<'_>) {
        // No task waits while a worker has nothing to do: that has been seen to before.
        while self.roster.moving() < self.roster.idle()
            && let Some((worker, task)) = self.roster.most_stealable()
        {
            self.revoke(turn, worker, task, Why::Move);
        }
    }

    /// Begins to withdraw a task whose claim is open.
    pub(crate) fn revoke(&mut self, turn: &mut Turn<'_>, worker: WorkerId, task: TaskId, why: Why) {
        if let Some(entry) = self.tasks.get(task) {
            self.roster.change(worker, |worker| {
                worker.set_claim(task, Claim::Revoking(why));
            });
            self.statistics.revokes += 1;
            turn.emit(Effect::RevokeTask {
                worker,
                task,
                attempt: entry.attempt,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_ahead_until_a_run_is_known() {
        assert_eq!(Pace::new(63).depth(), 1);
    }

    #[test]
    fn short_tasks_travel_in_batches_and_long_ones_one_by_one() {
        for (run_ns, depth) in [
            (0, 63),
            (1_000, 63),
            (100_000, 20),
            (1_500_000, 2),
            (2_000_000, 1),
            (u64::MAX, 1),
        ] {
            let mut pace = Pace::new(63);
            pace.note(run_ns);
            assert_eq!(pace.depth(), depth, "after a run of {run_ns} ns");
        }
    }

    #[test]
    fn a_limit_of_one_turns_prefetching_off() {
        let mut pace = Pace::new(1);
        pace.note(1);
        assert_eq!(pace.depth(), 1);
    }

    #[test]
    fn one_long_task_is_forgotten_after_some_short_ones() {
        let mut pace = Pace::new(63);
        pace.note(u64::MAX);
        for _ in 0..80 {
            pace.note(10_000);
        }
        assert!(pace.depth() > 32, "{pace:?}");
    }
}
