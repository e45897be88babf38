//! A core with workers that do all they are told at once, so that nothing but its steps costs time.
//!
//! Used by the bench, which tells how long a step takes, and by the test that it stays flat.

use std::collections::{HashSet, VecDeque};

use loky_core::{
    Attempt, Config, Effect, Event, Pool, RestartBudget, TaskId, TaskOptions, WorkerId,
};

/// Long enough that tasks are sent one by one.
const LONG_NS: u64 = 50_000_000;
/// Short enough that a worker is sent as many tasks as it may hold.
const SHORT_NS: u64 = 1_000;

/// A core at work.
pub struct Workout {
    pool: Pool,
    /// Tasks in the hands of workers, in the order in which they were sent.
    held: VecDeque<(WorkerId, TaskId, Attempt)>,
    /// Those of them that have been withdrawn.
    withdrawn: HashSet<(TaskId, Attempt)>,
    todo: VecDeque<Event>,
    effects: Vec<Effect>,
    task_last: u64,
    now_ns: u64,
    run_ns: u64,
    steps: u64,
}

impl Workout {
    /// A pool whose workers are all there and have nothing to do.
    pub fn new(workers: u32, short: bool) -> Self {
        let config = Config {
            workers,
            restart_budget: RestartBudget {
                deaths_max: u32::MAX,
                ..RestartBudget::default()
            },
            ..Config::default()
        };
        let mut workout = Self {
            pool: Pool::new(config),
            held: VecDeque::new(),
            withdrawn: HashSet::new(),
            todo: VecDeque::new(),
            effects: Vec::new(),
            task_last: 0,
            now_ns: 0,
            run_ns: if short { SHORT_NS } else { LONG_NS },
            steps: 0,
        };
        // A worker comes with the first task that finds none idle.
        for _ in 0..workers {
            workout.submit(None);
        }
        while workout.finish_one() {}
        assert_eq!(workout.pool.workers_alive(), workers as usize);
        workout.steps = 0;
        workout
    }

    /// Steps since the workers came.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// A new task.
    pub fn submit(&mut self, options: Option<TaskOptions>) {
        self.task_last += 1;
        self.feed(Event::TaskSubmitted {
            task: TaskId(self.task_last),
            options: options.map(Box::new),
        });
    }

    /// The task that was sent first is answered; false where none has been sent.
    pub fn finish_one(&mut self) -> bool {
        while let Some((worker, task, attempt)) = self.held.pop_front() {
            if self.withdrawn.remove(&(task, attempt)) {
                continue;
            }
            self.feed(Event::TaskFinished {
                worker,
                task,
                attempt,
                run_ns: self.run_ns,
                retry_wanted: false,
            });
            return true;
        }
        false
    }

    /// The worker that was sent a task first dies, with that one begun; another takes its place.
    pub fn die_one(&mut self) -> bool {
        // What else it held is answered late, by nobody, and the core hears nothing of it.
        let Some((worker, task, _)) = self.held.pop_front() else {
            return false;
        };
        self.feed(Event::WorkerExited {
            worker,
            started: vec![task],
        });
        true
    }

    /// The owner asks for the task that came last not to run.
    pub fn cancel_last(&mut self) {
        self.feed(Event::CancelRequested {
            task: TaskId(self.task_last),
            force_grace_ns: None,
        });
    }

    fn feed(&mut self, event: Event) {
        self.todo.push_back(event);
        while let Some(event) = self.todo.pop_front() {
            self.now_ns += 1_000;
            self.steps += 1;
            let mut effects = std::mem::take(&mut self.effects);
            self.pool.step(self.now_ns, event, &mut effects);
            for effect in effects.drain(..) {
                self.obey(&effect);
            }
            self.effects = effects;
        }
    }

    fn obey(&mut self, effect: &Effect) {
        match *effect {
            Effect::SpawnWorker { worker, .. } => {
                self.todo.push_back(Event::WorkerSpawned { worker });
                self.todo.push_back(Event::WorkerReady { worker });
            }
            Effect::SendTask {
                worker,
                task,
                attempt,
            } => self.held.push_back((worker, task, attempt)),
            Effect::RevokeTask {
                worker,
                task,
                attempt,
            } => {
                self.withdrawn.insert((task, attempt));
                self.todo.push_back(Event::RevokeAnswered {
                    worker,
                    task,
                    attempt,
                    revoked: true,
                });
            }
            Effect::AskToLeave { .. }
            | Effect::InspectTask { .. }
            | Effect::InterruptWorker { .. }
            | Effect::TerminateWorker { .. }
            | Effect::KillWorker { .. }
            | Effect::RestTask { .. }
            | Effect::CompleteTask { .. }
            | Effect::WorkerGone { .. }
            | Effect::BreakPool { .. }
            | Effect::ArmTimer { .. }
            | Effect::DisarmTimer
            | Effect::Notify { .. }
            | Effect::TellSlow { .. }
            | Effect::ResizeSettled
            | Effect::Stopped => {}
        }
    }
}
