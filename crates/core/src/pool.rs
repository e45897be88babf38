//! The one step: an event and the time in, effects out.
//!
//! Owner: the engine, behind its lock. A step first takes in the event, then brings the pool to
//! rest: waiting tasks go to workers that may have them, missing workers are ordered, idle ones
//! take from loaded ones, and whatever has come to its end is said. Never knows a subject's
//! details; never does anything itself.

use crate::agenda::{Agenda, Due};
use crate::budget::Budget;
use crate::config::Config;
use crate::dispatch::Pace;
use crate::effect::Effect;
use crate::event::Event;
use crate::idle::Timer;
use crate::ids::{Attempt, TaskId, WorkerId};
use crate::options::TaskOptions;
use crate::outcome::{BreakReason, Outcome};
use crate::queue::Queue;
use crate::resize::Size;
use crate::roster::Roster;
use crate::shutdown::Ending;
use crate::spawn::Shortage;
use crate::statistics::Statistics;
use crate::task::{Place, Tasks};
use crate::worker::{Claim, Worker};

/// One step under way: its time, and what it has decided so far.
pub(crate) struct Turn<'a> {
    pub(crate) now_ns: u64,
    effects: &'a mut Vec<Effect>,
    deferred: Option<Effect>,
}

impl Turn<'_> {
    pub(crate) fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Keeps an effect until the missing workers have been ordered.
    pub(crate) fn after_spawning(&mut self, effect: Effect) {
        debug_assert!(self.deferred.is_none(), "one worker ends in one step");
        self.deferred = Some(effect);
    }

    fn emit_deferred(&mut self) {
        self.effects.extend(self.deferred.take());
    }
}

/// A pool of workers, as a state and nothing else.
#[derive(Debug)]
pub struct Pool {
    pub(crate) config: Config,
    pub(crate) tasks: Tasks,
    pub(crate) queue: Queue,
    pub(crate) roster: Roster,
    pub(crate) pace: Pace,
    pub(crate) size: Size,
    pub(crate) shortage: Shortage,
    pub(crate) budget: Budget,
    pub(crate) ending: Ending,
    pub(crate) agenda: Agenda,
    pub(crate) timer: Timer,
    pub(crate) statistics: Statistics,
    now_ns: u64,
    #[cfg(debug_assertions)]
    unchecked_steps: usize,
}

impl Pool {
    /// A pool that has not started: it orders no worker before its first task.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let config = config.in_range();
        Self {
            tasks: Tasks::default(),
            queue: Queue::default(),
            roster: Roster::default(),
            pace: Pace::new(config.prefetch_max),
            size: Size::new(config.workers),
            shortage: Shortage::new(config.spawn_backoff),
            budget: Budget::new(config.restart_budget),
            ending: Ending::default(),
            agenda: Agenda::default(),
            timer: Timer::default(),
            statistics: Statistics::default(),
            now_ns: 0,
            #[cfg(debug_assertions)]
            unchecked_steps: 0,
            config,
        }
    }

    /// Takes in what happened at `now_ns` and appends what is to be done, in order.
    pub fn step(&mut self, now_ns: u64, event: Event, effects: &mut Vec<Effect>) {
        // A clock that goes back must not make a deadline recede.
        self.now_ns = self.now_ns.max(now_ns);
        let mut turn = Turn {
            now_ns: self.now_ns,
            effects,
            deferred: None,
        };
        if self.ending.is_stopped() {
            self.take_in_after_the_end(&mut turn, &event);
        } else {
            self.take_in(&mut turn, event);
            self.come_to_rest(&mut turn);
        }
        self.check_in_debug();
    }

    fn take_in(&mut self, turn: &mut Turn<'_>, event: Event) {
        match event {
            Event::TaskSubmitted { task, options } => {
                self.on_task_submitted(turn, task, options.as_deref());
            }
            Event::CancelRequested {
                task,
                force_grace_ns,
            } => self.on_cancel(turn, task, force_grace_ns),
            Event::TaskInspected {
                worker,
                task,
                attempt,
                started_ns,
            } => {
                self.on_task_inspected(turn, worker, task, attempt, started_ns);
            }
            Event::InterruptDelivered { worker } => self.on_interrupt_delivered(turn, worker),
            Event::RevokeAnswered {
                worker,
                task,
                attempt,
                revoked,
            } => {
                self.on_revoke_answered(turn, worker, task, attempt, revoked);
            }
            Event::WorkerSpawned { worker } => self.on_worker_spawned(turn, worker),
            Event::SpawnFailed { worker, errno } => self.on_spawn_failed(turn, worker, errno),
            Event::WorkerReady { worker } => self.on_worker_ready(turn, worker),
            Event::InitializerFailed { worker } => self.on_initializer_failed(turn, worker),
            Event::TaskFinished {
                worker,
                task,
                attempt,
                run_ns,
                retry_wanted,
            } => {
                self.on_task_finished(turn, (worker, task, attempt), run_ns, retry_wanted);
            }
            Event::WorkerLeaving { worker, reason } => {
                self.on_worker_leaving(turn, worker, reason);
            }
            Event::MemoryExceeded { worker } => self.on_memory_exceeded(turn, worker),
            Event::WorkerCondemned { worker } => self.on_worker_condemned(turn, worker),
            Event::WorkerExited { worker, started } => {
                self.on_worker_exited(turn, worker, &started);
            }
            Event::LauncherDied => self.on_launcher_died(turn),
            Event::SetupFailed => self.on_setup_failed(turn),
            Event::WorkersWanted => {
                if self.accepts() {
                    self.size.muster();
                }
            }
            Event::TimerFired => self.on_timer_fired(turn),
            Event::ResizeRequested { workers } => self.on_resize(turn, workers),
            Event::ShutdownRequested { mode } => self.on_shutdown(turn, mode),
        }
    }

    /// Does what the state asks for. Everything here costs nothing when there is nothing to do.
    fn come_to_rest(&mut self, turn: &mut Turn<'_>) {
        self.dispatch(turn);
        if !self.queue.is_empty() {
            self.size.muster_for(self.tasks.len());
        }
        self.spawn_missing(turn);
        if !self.ending.is_final() {
            turn.emit_deferred();
        }
        self.steal(turn);
        self.finish_draining(turn);
        self.settle_resize(turn);
        self.set_timer(turn);
        self.stop_if_over(turn);
    }

    fn take_in_after_the_end(&mut self, turn: &mut Turn<'_>, event: &Event) {
        if let (&Event::TaskSubmitted { task, .. }, Some(outcome)) = (event, self.ending.refusal())
        {
            self.refuse(turn, task, outcome);
        } else {
            self.statistics.events_dropped += 1;
        }
    }

    fn on_task_submitted(
        &mut self,
        turn: &mut Turn<'_>,
        task: TaskId,
        options: Option<&TaskOptions>,
    ) {
        if let Some(outcome) = self.ending.refusal() {
            self.refuse(turn, task, outcome);
        } else if self.tasks.admit(task) {
            self.statistics.submitted += 1;
            self.tasks.insert_queued(task);
            if let Some(options) = options {
                self.watch(turn.now_ns, task, *options);
            }
            self.queue
                .insert(task, options.map_or(0, |options| options.priority));
            self.size.muster();
        } else {
            self.statistics.events_dropped += 1;
        }
    }

    fn refuse(&mut self, turn: &mut Turn<'_>, task: TaskId, outcome: Outcome) {
        if self.tasks.admit(task) {
            self.statistics.submitted += 1;
            self.count_outcome(outcome);
            turn.emit(Effect::CompleteTask { task, outcome });
        } else {
            self.statistics.events_dropped += 1;
        }
    }

    fn on_worker_ready(&mut self, turn: &mut Turn<'_>, id: WorkerId) {
        self.see_process(turn, id);
        let start_by_ns = self
            .roster
            .change(id, |worker| worker.start_by_ns.take())
            .flatten();
        self.agenda.strike(start_by_ns, Due::StartOver(id));
        let ready = self
            .roster
            .change(id, |worker| worker.become_ready(turn.now_ns));
        if ready != Some(true) {
            self.statistics.replies_dropped += 1;
        }
    }

    fn on_task_finished(
        &mut self,
        turn: &mut Turn<'_>,
        (worker, task, attempt): (WorkerId, TaskId, Attempt),
        run_ns: u64,
        retry_wanted: bool,
    ) {
        let expected = self.roster.get(worker).is_some_and(Worker::is_heard)
            && self.tasks.get(task).is_some_and(|entry| {
                entry.place == Place::Sent(worker) && entry.attempt == attempt
            });
        if !expected {
            self.statistics.replies_dropped += 1;
            return;
        }
        let held = self.roster.change(worker, |worker| {
            worker.prove();
            worker.release(task, turn.now_ns)
        });
        if let Some(Some(held)) = held
            && let Claim::Revoking(_) = held.claim
        {
            self.statistics.revokes_overtaken += 1;
        }
        self.statistics.released += 1;
        self.pace.note(run_ns);
        self.budget.forgive();
        match self.leave_sentence(turn, worker, task) {
            Some(verdict) => self.end_by_verdict(turn, worker, task, verdict),
            None if retry_wanted && self.try_again(turn, worker, task) => {}
            None => self.complete(turn, task, Outcome::Answered { worker }),
        }
        self.strike_if_clear(turn, worker);
        self.part_if_spent(turn, worker);
    }

    /// The end of a task that is in nobody's hands any more.
    pub(crate) fn complete(&mut self, turn: &mut Turn<'_>, task: TaskId, outcome: Outcome) {
        if let Some((entry, extras)) = self.tasks.remove(task) {
            if let Some(extras) = extras {
                self.unwatch(task, entry, &extras);
            }
            self.count_outcome(outcome);
            turn.emit(Effect::CompleteTask { task, outcome });
        }
    }

    fn count_outcome(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Answered { .. } => &mut self.statistics.answered,
            Outcome::Cancelled => &mut self.statistics.cancelled,
            Outcome::Died { .. } => &mut self.statistics.died,
            Outcome::TimedOut { .. } => &mut self.statistics.timed_out,
            Outcome::Expired => &mut self.statistics.expired,
            Outcome::Broken(_) => &mut self.statistics.broken,
            Outcome::ShutDown => &mut self.statistics.shut_down,
        };
        *count += 1;
    }

    #[cfg(debug_assertions)]
    fn check_in_debug(&mut self) {
        // The laws look at everything, so a large pool is looked at less often, lest a step cost
        // more the more tasks there are.
        self.unchecked_steps += 1;
        let size = self.tasks.len() + self.roster.members() as usize;
        if self.unchecked_steps.saturating_mul(64) >= size {
            self.unchecked_steps = 0;
            let verdict = self.check_invariants();
            debug_assert!(verdict.is_ok(), "{verdict:?} in {self:#?}");
        }
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, reason = "the other build needs it")]
    fn check_in_debug(&self) {}
}

/// Questions. None of them changes anything.
impl Pool {
    /// Whether a task that is submitted now has a chance to run.
    #[must_use]
    pub fn accepts(&self) -> bool {
        !self.ending.has_begun()
    }

    /// Why the pool is broken, if it is.
    #[must_use]
    pub fn broken(&self) -> Option<BreakReason> {
        self.ending.broken()
    }

    /// Whether `Effect::Stopped` has been said.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.ending.is_stopped()
    }

    /// Whether this task was submitted and has ended.
    #[must_use]
    pub fn is_over(&self, task: TaskId) -> bool {
        self.tasks.is_over(task)
    }

    /// How many tasks have not ended.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.tasks.len()
    }

    /// How many of them wait for a worker.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many workers are there or on their way, and not about to leave.
    #[must_use]
    pub fn workers_alive(&self) -> usize {
        self.roster.live() as usize
    }

    /// How many workers the owner has asked for.
    #[must_use]
    pub fn workers_wanted(&self) -> u32 {
        self.size.target()
    }

    /// The worker that holds this task.
    #[must_use]
    pub fn worker_of(&self, task: TaskId) -> Option<WorkerId> {
        match self.tasks.get(task)?.place {
            Place::Queued | Place::Resting(_) => None,
            Place::Sent(worker) => Some(worker),
        }
    }

    /// What has been counted so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }
}
