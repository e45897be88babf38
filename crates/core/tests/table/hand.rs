//! Feeds a pool by hand and compares what it orders, whole: nothing may be missing, and nothing
//! may be sent besides.

use loky_core::{
    Attempt, BreakReason, Config, Departure, Effect, Event, KillReason, LeaveReason, Notice,
    OnCrash, Outcome, Pool, ShutdownMode, TaskId, WorkerId,
};

/// A pool and the time.
pub struct Hand {
    pub pool: Pool,
    pub now_ns: u64,
}

impl Hand {
    pub fn new(config: Config) -> Self {
        Self {
            pool: Pool::new(config),
            now_ns: 0,
        }
    }

    /// The event happens, and exactly these orders follow.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a table reads better without references"
    )]
    pub fn expect<const N: usize>(&mut self, event: Event, orders: [Effect; N]) {
        let told = format!("{event:?}");
        assert_eq!(self.feed(event), orders, "after {told}");
    }

    /// The event happens; whatever follows is answered.
    #[track_caller]
    pub fn feed(&mut self, event: Event) -> Vec<Effect> {
        let mut orders = Vec::new();
        self.pool.step(self.now_ns, event, &mut orders);
        self.pool.check_invariants().unwrap();
        orders
    }

    /// So many workers, numbered from 1, have been made by the first task and are ready; the task
    /// has been run by the first of them.
    #[track_caller]
    pub fn warm(config: Config) -> Self {
        let workers = u64::from(config.workers);
        let mut hand = Self::new(config);
        hand.feed(submitted(1));
        for worker in 1..=workers {
            hand.feed(spawned(worker));
            hand.feed(ready(worker));
        }
        hand.feed(finished(1, 1, 1));
        assert_eq!(hand.pool.unfinished(), 0);
        hand
    }

    /// As `warm`, and the tasks from 2 on run on one worker each. The first took so long that
    /// nothing is sent ahead.
    #[track_caller]
    pub fn busy(config: Config) -> Self {
        let workers = u64::from(config.workers);
        let mut hand = Self::warm(config);
        for task in 2..2 + workers {
            hand.expect(submitted(task), [send(task - 1, task, 1)]);
        }
        hand
    }
}

/// Long enough that tasks are sent one by one.
pub const LONG_NS: u64 = 50_000_000;

pub fn config(workers: u32) -> Config {
    Config {
        workers,
        ..Config::default()
    }
}

pub fn breaking(workers: u32) -> Config {
    Config {
        workers,
        on_crash: OnCrash::Break,
        ..Config::default()
    }
}

pub fn submitted(task: u64) -> Event {
    Event::TaskSubmitted {
        task: TaskId(task),
        options: None,
    }
}

pub fn cancelled(task: u64) -> Event {
    Event::CancelRequested {
        task: TaskId(task),
        force_grace_ns: None,
    }
}

pub fn answered(worker: u64, task: u64, attempt: u32, revoked: bool) -> Event {
    Event::RevokeAnswered {
        worker: WorkerId(worker),
        task: TaskId(task),
        attempt: Attempt(attempt),
        revoked,
    }
}

pub fn spawned(worker: u64) -> Event {
    Event::WorkerSpawned {
        worker: WorkerId(worker),
    }
}

pub fn spawn_failed(worker: u64, errno: i32) -> Event {
    Event::SpawnFailed {
        worker: WorkerId(worker),
        errno,
    }
}

pub fn ready(worker: u64) -> Event {
    Event::WorkerReady {
        worker: WorkerId(worker),
    }
}

pub fn initializer_failed(worker: u64) -> Event {
    Event::InitializerFailed {
        worker: WorkerId(worker),
    }
}

pub fn finished(worker: u64, task: u64, attempt: u32) -> Event {
    finished_after(worker, task, attempt, LONG_NS)
}

pub fn finished_after(worker: u64, task: u64, attempt: u32, run_ns: u64) -> Event {
    Event::TaskFinished {
        worker: WorkerId(worker),
        task: TaskId(task),
        attempt: Attempt(attempt),
        run_ns,
        retry_wanted: false,
    }
}

pub fn leaving(worker: u64, reason: LeaveReason) -> Event {
    Event::WorkerLeaving {
        worker: WorkerId(worker),
        reason,
    }
}

pub fn overweight(worker: u64) -> Event {
    Event::MemoryExceeded {
        worker: WorkerId(worker),
    }
}

pub fn condemned(worker: u64) -> Event {
    Event::WorkerCondemned {
        worker: WorkerId(worker),
    }
}

pub fn exited<const N: usize>(worker: u64, started: [u64; N]) -> Event {
    Event::WorkerExited {
        worker: WorkerId(worker),
        started: started.map(TaskId).to_vec(),
    }
}

pub fn resized(workers: u32) -> Event {
    Event::ResizeRequested { workers }
}

pub fn shutdown(mode: ShutdownMode) -> Event {
    Event::ShutdownRequested { mode }
}

pub fn spawn(worker: u64, index: u32) -> Effect {
    Effect::SpawnWorker {
        worker: WorkerId(worker),
        index,
    }
}

pub fn send(worker: u64, task: u64, attempt: u32) -> Effect {
    Effect::SendTask {
        worker: WorkerId(worker),
        task: TaskId(task),
        attempt: Attempt(attempt),
    }
}

pub fn revoke(worker: u64, task: u64, attempt: u32) -> Effect {
    Effect::RevokeTask {
        worker: WorkerId(worker),
        task: TaskId(task),
        attempt: Attempt(attempt),
    }
}

pub fn ask(worker: u64) -> Effect {
    Effect::AskToLeave {
        worker: WorkerId(worker),
    }
}

pub fn kill(worker: u64) -> Effect {
    kill_for(worker, KillReason::Ending)
}

pub fn kill_condemned(worker: u64) -> Effect {
    kill_for(worker, KillReason::Condemned)
}

pub fn kill_for(worker: u64, why: KillReason) -> Effect {
    Effect::KillWorker {
        worker: WorkerId(worker),
        why,
    }
}

pub fn complete(task: u64, outcome: Outcome) -> Effect {
    Effect::CompleteTask {
        task: TaskId(task),
        outcome,
    }
}

pub fn by(worker: u64) -> Outcome {
    Outcome::Answered {
        worker: WorkerId(worker),
    }
}

pub fn died(worker: u64, attempt: u32) -> Outcome {
    Outcome::Died {
        worker: WorkerId(worker),
        attempt: Attempt(attempt),
    }
}

pub fn gone(worker: u64, departure: Departure) -> Effect {
    Effect::WorkerGone {
        worker: WorkerId(worker),
        departure,
    }
}

pub fn break_pool(reason: BreakReason) -> Effect {
    Effect::BreakPool { reason }
}

pub fn worker_died(worker: u64) -> BreakReason {
    BreakReason::WorkerDied(WorkerId(worker))
}

pub fn arm(at_ns: u64) -> Effect {
    Effect::ArmTimer { at_ns }
}

pub fn stopped_with_work(reason: LeaveReason) -> Effect {
    Effect::Notify {
        notice: Notice::WorkerStoppedWithWork { reason },
    }
}

pub fn spawn_delayed(errno: i32) -> Effect {
    Effect::Notify {
        notice: Notice::SpawnDelayed { errno },
    }
}

pub const ASKED: Departure = Departure::Retired(LeaveReason::Asked);
pub const GROWN: Departure = Departure::Retired(LeaveReason::MemoryGrowth);
