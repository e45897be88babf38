//! What a pool is told once, at its birth: sizes, limits and the mode of failure.
//!
//! Owner: whoever builds a pool. Never holds anything that changes while the pool lives.

/// The most tasks that a worker may hold at a time: the slots of its ledger.
pub const LEDGER_SLOTS_MAX: u32 = 63;

/// What the death of a worker means for the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnCrash {
    /// It costs the tasks that it had started and nothing else; it is replaced.
    Recover,
    /// It breaks the pool and with it every unfinished task.
    Break,
}

/// How many workers may die before doing any work until the pool gives up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestartBudget {
    /// So many deaths are borne; the next one breaks the pool. An answered task starts the count anew.
    pub deaths_max: u32,
    /// Deaths that are older are forgotten.
    pub window_ns: u64,
}

impl RestartBudget {
    /// A budget that bears the death of a whole pool of this size twice, and never less than eight.
    #[must_use]
    pub fn for_workers(workers: u32) -> Self {
        Self {
            deaths_max: workers.saturating_mul(2).max(8),
            ..Self::default()
        }
    }
}

impl Default for RestartBudget {
    fn default() -> Self {
        Self {
            deaths_max: 8,
            window_ns: 600_000_000_000,
        }
    }
}

/// How long to wait after a process could not be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// The first wait. Each further one is twice as long.
    pub first_ns: u64,
    /// The longest wait.
    pub max_ns: u64,
    /// After so many failures in a row a pool without any worker is broken.
    pub tries_max: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first_ns: 10_000_000,
            max_ns: 1_000_000_000,
            tries_max: 8,
        }
    }
}

/// The numbers by which a pool decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// How many workers; 0 counts as 1.
    pub workers: u32,
    /// What a death means.
    pub on_crash: OnCrash,
    /// How long a worker may idle before it is asked to leave; `None` is for ever.
    pub idle_timeout_ns: Option<u64>,
    /// After how many tasks a worker is replaced; `None` is never, 0 counts as 1.
    pub tasks_per_worker_max: Option<u32>,
    /// How many tasks a worker may hold, the one that it runs included; 1 to `LEDGER_SLOTS_MAX`.
    pub prefetch_max: u32,
    /// How many fruitless deaths are borne.
    pub restart_budget: RestartBudget,
    /// How failing spawns are tried again.
    pub spawn_backoff: Backoff,
    /// How long a worker may take from its process to its readiness; `None` is for ever.
    pub start_timeout_ns: Option<u64>,
    /// How long a task whose time has run out may take to end after it was interrupted.
    pub interrupt_grace_ns: u64,
    /// How long its worker may take after that to end by SIGTERM; `None` leaves this stage out.
    pub terminate_grace_ns: Option<u64>,
}

/// Where `Config::interrupt_grace_ns` has no better value.
pub const INTERRUPT_GRACE_NS: u64 = 200_000_000;

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 1,
            on_crash: OnCrash::Recover,
            idle_timeout_ns: None,
            tasks_per_worker_max: None,
            prefetch_max: LEDGER_SLOTS_MAX,
            restart_budget: RestartBudget::default(),
            spawn_backoff: Backoff::default(),
            start_timeout_ns: None,
            interrupt_grace_ns: INTERRUPT_GRACE_NS,
            terminate_grace_ns: None,
        }
    }
}

impl Config {
    /// The same configuration with every number inside its range.
    #[must_use]
    pub(crate) fn in_range(mut self) -> Self {
        self.workers = self.workers.max(1);
        self.tasks_per_worker_max = self.tasks_per_worker_max.map(|tasks| tasks.max(1));
        self.prefetch_max = self.prefetch_max.clamp(1, LEDGER_SLOTS_MAX);
        self
    }
}
