//! What an owner may ask for a single task: deadlines, tries, its place among the waiting.
//!
//! Owner: whoever submits a task. Most tasks ask for nothing and carry nothing.

/// How long to wait before a task is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryBackoff {
    /// The wait after the first failure. Each further one is twice as long.
    pub first_ns: u64,
    /// The longest wait.
    pub max_ns: u64,
}

impl Default for RetryBackoff {
    fn default() -> Self {
        Self {
            first_ns: 50_000_000,
            max_ns: 5_000_000_000,
        }
    }
}

impl RetryBackoff {
    /// The wait after so many failures: between half and the whole of what doubling gives. The part
    /// that is left off depends on the task, so that tasks that failed together come back apart.
    #[must_use]
    pub fn delay_ns(&self, task: u64, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(62);
        let whole_ns = self
            .first_ns
            .saturating_mul(1_u64 << doublings)
            .min(self.max_ns);
        let half_ns = whole_ns / 2;
        let seed = task.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(failures);
        let mixed = (seed ^ (seed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        whole_ns - (mixed >> 11) % half_ns.saturating_add(1)
    }
}

/// The wishes for one task. The default asks for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TaskOptions {
    /// How long an attempt may run, counted from its start.
    pub timeout_ns: Option<u64>,
    /// How long it may wait for its first start, counted from its submission.
    pub queue_timeout_ns: Option<u64>,
    /// How many attempts may follow one whose worker died, or that wanted to be repeated.
    pub retries: u32,
    /// Whether an attempt that ran out of time may be followed by another as well.
    pub retry_timeouts: bool,
    /// How long to wait before the next attempt.
    pub retry_backoff: RetryBackoff,
    /// Among waiting tasks the higher goes first; among equals the older.
    pub priority: i32,
    /// The owner is told once when an attempt runs for longer.
    pub slow_after_ns: Option<u64>,
    /// How much memory the worker may have while it runs the task. It is told by `MemoryExceeded`;
    /// nothing here looks.
    pub memory_limit_bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_keep_at_least_half() {
        let backoff = RetryBackoff {
            first_ns: 100,
            max_ns: 350,
        };
        for (failures, whole_ns) in [(1, 100), (2, 200), (3, 350), (90, 350)] {
            for task in 0..200 {
                let delay_ns = backoff.delay_ns(task, failures);
                assert!((whole_ns / 2..=whole_ns).contains(&delay_ns), "{delay_ns}");
            }
        }
    }

    #[test]
    fn tasks_that_fail_together_come_back_apart() {
        let backoff = RetryBackoff::default();
        let mut delays: Vec<u64> = (1..=50).map(|task| backoff.delay_ns(task, 1)).collect();
        delays.sort_unstable();
        delays.dedup();
        assert!(delays.len() > 45, "{delays:?}");
    }
}
