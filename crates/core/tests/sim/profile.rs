//! What a seed turns on: the pool's configuration, and how likely each fault is. Every fault is
//! off in about half of the runs, so that each is also seen without the noise of the others.

use loky_core::{Backoff, Config, OnCrash, RestartBudget, RetryBackoff, TaskOptions};

use crate::rng::Rng;

/// Chances in a thousand, a step or an occasion, and what else belongs to a run.
#[derive(Clone, Debug)]
pub struct Profile {
    pub config: Config,
    /// Steps with faults.
    pub steps: u64,
    /// The clock goes on by less than this a step.
    pub tick_ns: u64,
    /// A task runs for less than this.
    pub run_ns: u64,
    pub submit: u32,
    pub burst_max: u64,
    /// No further tasks come while so many are unfinished.
    pub tasks_max: usize,
    pub cancel: u32,
    pub resize: u32,
    pub want: u32,
    pub shutdown: u32,
    pub kill: u32,
    pub launcher_death: u32,
    pub condemn: u32,
    pub overfill: u32,
    pub stray: u32,
    pub early_timer: u32,
    pub jump_to_timer: u32,
    pub setup_failure: u32,
    /// Of an order to fail.
    pub spawn_failure: u32,
    /// Of an initializer to fail.
    pub initializer_failure: u32,
    /// Of a worker to leave by its own word after a task.
    pub memory_growth: u32,
    pub own_word: u32,
    /// Of a worker to die in the middle of something.
    pub crash: u32,
    /// Of a task to come with wishes.
    pub wishes: u32,
    /// Of a task with a deadline to run for ever.
    pub hang: u32,
    /// Of an interrupt to be ignored.
    pub deaf: u32,
    /// Of a task that may be repeated to ask for it.
    pub raise: u32,
    /// Of a cancellation to be by force.
    pub force: u32,
    /// Of a worker never to become ready, where that has a limit.
    pub start_hang: u32,
}

impl Profile {
    /// No faults, and an owner that does nothing.
    pub fn calm(config: Config) -> Self {
        Self {
            config,
            steps: 0,
            tick_ns: 20_000,
            run_ns: 100_000,
            submit: 0,
            burst_max: 1,
            tasks_max: 64,
            cancel: 0,
            resize: 0,
            want: 0,
            shutdown: 0,
            kill: 0,
            launcher_death: 0,
            condemn: 0,
            overfill: 0,
            stray: 0,
            early_timer: 0,
            jump_to_timer: 0,
            setup_failure: 0,
            spawn_failure: 0,
            initializer_failure: 0,
            memory_growth: 0,
            own_word: 0,
            crash: 0,
            wishes: 0,
            hang: 0,
            deaf: 0,
            raise: 0,
            force: 0,
            start_hang: 0,
        }
    }

    pub fn of_seed(rng: &mut Rng) -> Self {
        let config = config(rng);
        let mut calm = Self::calm(config);
        calm.steps = 200 + rng.below(2_500);
        calm.tick_ns = rng.pick(&[2, 1_000, 50_000, 1_000_000]);
        calm.run_ns = rng.pick(&[100, 30_000, 400_000, 5_000_000, 80_000_000]);
        calm.submit = rng.pick(&[10, 60, 200]);
        calm.burst_max = rng.pick(&[1, 3, 20]);
        calm.tasks_max = rng.pick(&[8, 40, 120]);
        calm.cancel = sometimes(rng, &[5, 40, 150]);
        calm.resize = sometimes(rng, &[2, 10]);
        calm.want = sometimes(rng, &[2, 10]);
        calm.shutdown = u32::from(rng.below(4) == 0);
        calm.kill = sometimes(rng, &[1, 8, 40]);
        calm.launcher_death = sometimes(rng, &[1, 4]);
        calm.condemn = sometimes(rng, &[2, 10]);
        calm.overfill = sometimes(rng, &[2, 10]);
        calm.stray = sometimes(rng, &[10, 80]);
        calm.early_timer = sometimes(rng, &[5, 30]);
        calm.jump_to_timer = sometimes(rng, &[5, 40]);
        calm.setup_failure = u32::from(rng.below(16) == 0);
        calm.spawn_failure = sometimes(rng, &[50, 300, 900]);
        calm.initializer_failure = if rng.below(12) == 0 { 20 } else { 0 };
        calm.memory_growth = sometimes(rng, &[10, 200]);
        calm.own_word = if rng.below(4) == 0 { 10 } else { 0 };
        calm.crash = sometimes(rng, &[2, 20, 100]);
        calm.wishes = sometimes(rng, &[50, 400, 1_000]);
        calm.hang = sometimes(rng, &[20, 200]);
        calm.deaf = sometimes(rng, &[100, 900]);
        calm.raise = sometimes(rng, &[100, 600]);
        calm.force = sometimes(rng, &[200, 800]);
        calm.start_hang = if rng.below(6) == 0 { 100 } else { 0 };
        calm
    }

    /// The same run with the faults stopped and the owner at rest.
    pub fn calmed(&self) -> Self {
        let mut calm = Self::calm(self.config.clone());
        calm.tick_ns = self.tick_ns;
        calm.run_ns = self.run_ns;
        calm
    }
}

/// Wishes for a task, of every kind.
pub fn wishes(rng: &mut Rng) -> TaskOptions {
    TaskOptions {
        timeout_ns: rng.pick(&[None, Some(50_000), Some(2_000_000), Some(40_000_000)]),
        queue_timeout_ns: rng.pick(&[None, None, Some(0), Some(300_000), Some(9_000_000)]),
        retries: rng.pick(&[0, 0, 1, 3]),
        retry_timeouts: rng.below(4) == 0,
        retry_backoff: RetryBackoff {
            first_ns: rng.pick(&[0, 100_000]),
            max_ns: 2_000_000,
        },
        priority: rng.pick(&[0, 0, 1, 5, -3]),
        slow_after_ns: rng.pick(&[None, None, Some(20_000), Some(1_000_000)]),
        memory_limit_bytes: None,
    }
}

/// Off every other time.
fn sometimes(rng: &mut Rng, choices: &[u32]) -> u32 {
    if rng.below(2) == 0 {
        0
    } else {
        rng.pick(choices)
    }
}

fn config(rng: &mut Rng) -> Config {
    let workers = u32::try_from(1 + rng.below(6)).expect("small");
    Config {
        workers,
        on_crash: if rng.below(4) == 0 {
            OnCrash::Break
        } else {
            OnCrash::Recover
        },
        idle_timeout_ns: rng.pick(&[
            None,
            None,
            None,
            Some(0),
            Some(50_000),
            Some(2_000_000),
            Some(1_000_000_000),
        ]),
        tasks_per_worker_max: rng.pick(&[None, None, None, Some(1), Some(2), Some(7)]),
        prefetch_max: rng.pick(&[1, 2, 5, 63, 63]),
        restart_budget: RestartBudget {
            deaths_max: rng.pick(&[1, 6, 1_000, 1_000]),
            window_ns: rng.pick(&[1_000_000, 1_000_000_000_000]),
        },
        spawn_backoff: Backoff {
            first_ns: rng.pick(&[1_000, 100_000]),
            max_ns: rng.pick(&[100_000, 10_000_000]),
            tries_max: rng.pick(&[1, 3, 50]),
        },
        start_timeout_ns: rng.pick(&[None, Some(300_000), Some(20_000_000)]),
        interrupt_grace_ns: rng.pick(&[0, 40_000, 3_000_000]),
        terminate_grace_ns: rng.pick(&[None, Some(0), Some(200_000)]),
    }
}
