//! How much failing is borne: deaths of workers before any work, and deaths of the launcher.
//!
//! Owner: the pool. Never knows whom it counts.

use std::collections::VecDeque;

use crate::config::RestartBudget;
use crate::ids::WorkerId;

/// The deaths since the last answered task.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: RestartBudget,
    fruitless_at_ns: VecDeque<u64>,
    launcher_deaths: u32,
    /// Workers up to this one were made by a launcher that is over, or were to be.
    orphans_up_to: WorkerId,
}

impl Budget {
    pub(crate) fn new(limit: RestartBudget) -> Self {
        Self {
            limit,
            fruitless_at_ns: VecDeque::new(),
            launcher_deaths: 0,
            orphans_up_to: WorkerId(0),
        }
    }

    /// Work has been done: whatever died before that is forgiven.
    pub(crate) fn forgive(&mut self) {
        self.fruitless_at_ns.clear();
        self.launcher_deaths = 0;
    }

    /// A worker ended that had done nothing. Answers whether that is one too many.
    pub(crate) fn charge_worker(&mut self, now_ns: u64) -> bool {
        let window_ns = self.limit.window_ns;
        while let Some(&at_ns) = self.fruitless_at_ns.front()
            && now_ns.saturating_sub(at_ns) > window_ns
        {
            self.fruitless_at_ns.pop_front();
        }
        self.fruitless_at_ns.push_back(now_ns);
        u32::try_from(self.fruitless_at_ns.len()).unwrap_or(u32::MAX) > self.limit.deaths_max
    }

    /// The launcher ended, and `last` was the last worker ordered. Answers whether that is one
    /// death too many. There is no window: a launcher may take long to come to its end.
    pub(crate) fn charge_launcher(&mut self, last: WorkerId) -> bool {
        self.orphans_up_to = last;
        self.launcher_deaths = self.launcher_deaths.saturating_add(1);
        self.launcher_deaths > self.limit.deaths_max
    }

    /// Whether the end of this worker is put down to its launcher.
    pub(crate) fn is_orphan(&self, worker: WorkerId) -> bool {
        worker <= self.orphans_up_to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_the_limit_within_the_window_is_too_many() {
        let mut budget = Budget::new(RestartBudget {
            deaths_max: 2,
            window_ns: 100,
        });
        assert!(!budget.charge_worker(0));
        assert!(!budget.charge_worker(10));
        assert!(budget.charge_worker(20));
    }

    #[test]
    fn old_deaths_and_deaths_before_an_answer_do_not_count() {
        let mut budget = Budget::new(RestartBudget {
            deaths_max: 1,
            window_ns: 100,
        });
        assert!(!budget.charge_worker(0));
        assert!(!budget.charge_worker(101));
        budget.forgive();
        assert!(!budget.charge_worker(102));
        assert!(budget.charge_worker(103));
    }

    #[test]
    fn launcher_deaths_count_without_a_window() {
        let mut budget = Budget::new(RestartBudget {
            deaths_max: 1,
            window_ns: 1,
        });
        assert!(!budget.charge_launcher(WorkerId(4)));
        assert!(budget.is_orphan(WorkerId(4)));
        assert!(!budget.is_orphan(WorkerId(5)));
        assert!(budget.charge_launcher(WorkerId(9)));
    }
}
