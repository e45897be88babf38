//! What has been told and ordered so far, kept without asking the pool.

use std::collections::{BTreeMap, BTreeSet};

use loky_core::{
    Attempt, BreakReason, Config, Departure, Effect, Event, Outcome, ShutdownMode, TaskId,
    TaskOptions, WorkerId,
};

use super::Line;
pub use super::seen::{TaskSeen, WorkerSeen};

/// The chronicle, summed up.
#[expect(clippy::struct_excessive_bools, reason = "what was seen, fact by fact")]
#[derive(Clone, Debug)]
pub struct Record {
    pub config: Config,
    pub now_ns: u64,
    pub tasks: BTreeMap<TaskId, TaskSeen>,
    /// Tasks that wait: accepted, not over, in nobody's hands.
    pub queued: BTreeSet<TaskId>,
    /// Unfinished tasks for which something was asked.
    watched: BTreeSet<TaskId>,
    /// When the timer fired last.
    pub fired_ns: Option<u64>,
    pub unfinished: usize,
    /// Tasks whose withdrawal is not answered.
    pub revoking: BTreeSet<TaskId>,
    /// Workers that were ordered when nobody would answer any more.
    pub abandoned: BTreeMap<WorkerId, WorkerSeen>,
    pub workers: BTreeMap<WorkerId, WorkerSeen>,
    pub gone: BTreeMap<WorkerId, Departure>,
    pub last_worker: u64,
    pub size: u32,
    pub started: bool,
    pub shutdown: Option<ShutdownMode>,
    pub broken: Option<BreakReason>,
    pub stopped: bool,
    pub answers: u64,
    pub armed_at_ns: Option<u64>,
    pub resizing: bool,
    pub ever_shrunk: bool,
    /// The event of the step under way.
    pub event: Option<Event>,
}

impl Record {
    pub fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            now_ns: 0,
            tasks: BTreeMap::new(),
            queued: BTreeSet::new(),
            watched: BTreeSet::new(),
            fired_ns: None,
            unfinished: 0,
            revoking: BTreeSet::new(),
            abandoned: BTreeMap::new(),
            workers: BTreeMap::new(),
            gone: BTreeMap::new(),
            last_worker: 0,
            size: config.workers,
            started: false,
            shutdown: None,
            broken: None,
            stopped: false,
            answers: 0,
            armed_at_ns: None,
            resizing: false,
            ever_shrunk: false,
            event: None,
        }
    }

    /// Every task has been completed and every worker killed.
    pub fn is_final(&self) -> bool {
        self.broken.is_some() || self.shutdown == Some(ShutdownMode::Kill)
    }

    pub fn accepts(&self) -> bool {
        self.broken.is_none() && self.shutdown.is_none()
    }

    /// Whether this worker holds this attempt of a task that is not over.
    pub fn holds(&self, worker: WorkerId, task: TaskId, attempt: Attempt) -> bool {
        self.tasks.get(&task).is_some_and(|seen| {
            seen.holder == Some(worker) && seen.attempt == attempt.0 && seen.outcome.is_none()
        })
    }

    /// The tasks of an exited worker that it had started.
    pub fn started_of(&self, worker: WorkerId, started: &[TaskId]) -> Vec<TaskId> {
        let Some(seen) = self.workers.get(&worker) else {
            return Vec::new();
        };
        let claimed = |task: &TaskId| self.tasks.get(task).is_some_and(|seen| seen.claimed);
        let held = seen.held.iter().copied();
        held.filter(|task| started.contains(task) || claimed(task))
            .collect()
    }

    /// How many tasks are being taken from one worker for another.
    pub fn moving(&self) -> usize {
        let wished = |task| {
            let seen = self.tasks.get(task);
            seen.is_some_and(|seen| seen.cancel || seen.expiring)
        };
        self.revoking.iter().filter(|task| !wished(task)).count()
    }

    /// How many workers have nothing to do.
    pub fn idle(&self) -> usize {
        self.workers.values().filter(|seen| seen.is_idle()).count()
    }

    pub fn enter(&mut self, line: &Line) {
        match line {
            Line::Told(now_ns, event) => {
                self.now_ns = self.now_ns.max(*now_ns);
                self.event = Some(event.clone());
                self.enter_event(event);
            }
            Line::Ordered(effect) => self.enter_effect(effect),
            Line::Rest { .. } => self.event = None,
            Line::Struck { .. } => {}
            Line::Started {
                task,
                worker,
                attempt,
                at_ns,
            } => {
                if let Some(seen) = self.tasks.get_mut(task) {
                    seen.starts += 1;
                    seen.started_at = Some((*worker, *attempt));
                    seen.began_ns = *at_ns;
                }
            }
        }
    }

    fn enter_event(&mut self, event: &Event) {
        match event {
            Event::TaskSubmitted { task, options } => self.enter_task(*task, options.as_deref()),
            Event::CancelRequested {
                task,
                force_grace_ns,
            } => self.enter_cancel(*task, force_grace_ns.is_some()),
            Event::TaskInspected { .. } => {
                if let Some((worker, task)) = self.deadline_found(self.now_ns, event) {
                    self.pronounce(worker, task);
                }
            }
            Event::InterruptDelivered { worker } => self.enter_delivery(*worker),
            Event::RevokeAnswered {
                worker,
                task,
                attempt,
                revoked,
            } => {
                self.enter_answer(*worker, *task, *attempt, *revoked);
            }
            Event::WorkerSpawned { worker } => self.show(*worker, |_| {}),
            Event::SpawnFailed { worker, .. } => {
                if self.workers.get(worker).is_some_and(|seen| !seen.spawned) {
                    self.workers.remove(worker);
                }
            }
            Event::WorkerReady { worker } => self.enter_ready(*worker),
            Event::InitializerFailed { worker } => self.show(*worker, |_| {}),
            Event::WorkerLeaving { worker, reason } => {
                let reason = *reason;
                self.show(*worker, |seen| {
                    seen.said.get_or_insert(reason);
                });
            }
            Event::WorkerCondemned { worker } => {
                let last = self.is_final();
                self.with(*worker, |seen| seen.condemned |= !seen.killed && !last);
            }
            Event::WorkerExited { worker, .. } => self.enter_exit(*worker),
            Event::SetupFailed => self.enter_setup_failure(),
            Event::TimerFired => self.enter_timer(),
            Event::ResizeRequested { workers } => self.enter_resize(*workers),
            Event::ShutdownRequested { mode } => self.shutdown = self.shutdown.max(Some(*mode)),
            Event::TaskFinished {
                worker,
                task,
                attempt,
                ..
            } => {
                let heard = self.workers.get(worker).is_some_and(|seen| !seen.condemned);
                self.answers += u64::from(heard && self.holds(*worker, *task, *attempt));
            }
            Event::MemoryExceeded { worker } => self.enter_excess(*worker),
            Event::WorkersWanted => self.started |= self.accepts(),
            Event::LauncherDied => {}
        }
    }

    fn enter_ready(&mut self, worker: WorkerId) {
        let now_ns = self.now_ns;
        self.show(worker, |seen| {
            if !seen.ready {
                seen.ready = true;
                seen.idle_since_ns = now_ns;
            }
        });
    }

    fn enter_setup_failure(&mut self) {
        let (made, unmade) = std::mem::take(&mut self.workers)
            .into_iter()
            .partition(|(_, seen)| seen.spawned);
        self.workers = made;
        self.abandoned.extend::<BTreeMap<_, _>>(unmade);
    }

    fn enter_excess(&mut self, worker: WorkerId) {
        let last = self.is_final();
        self.with(worker, |seen| {
            seen.overweight |= !seen.killed && !seen.condemned && !last;
        });
    }

    fn with(&mut self, worker: WorkerId, change: impl FnOnce(&mut WorkerSeen)) {
        if let Some(seen) = self.workers.get_mut(&worker) {
            change(seen);
        }
    }

    /// The worker has shown itself.
    fn show(&mut self, worker: WorkerId, change: impl FnOnce(&mut WorkerSeen)) {
        // A pool that has stopped is deaf: what is left then ends with the launcher.
        if !self.stopped
            && let Some(mut seen) = self.abandoned.remove(&worker)
        {
            // Whatever was thought of it was given up with it.
            seen.condemned = false;
            seen.overweight = false;
            self.workers.insert(worker, seen);
        }
        let now_ns = self.now_ns;
        self.with(worker, |seen| {
            if !seen.spawned {
                seen.spawned_ns = now_ns;
            }
            seen.spawned = true;
            change(seen);
        });
    }

    fn enter_task(&mut self, task: TaskId, options: Option<&TaskOptions>) {
        let refused = !self.accepts();
        self.tasks.insert(
            task,
            TaskSeen {
                refused,
                options: options.copied().unwrap_or_default(),
                submitted_ns: self.now_ns,
                ..TaskSeen::default()
            },
        );
        self.unfinished += 1;
        if options.is_some() {
            self.watched.insert(task);
        }
        if !refused {
            self.started = true;
            self.queued.insert(task);
        }
    }

    fn enter_answer(&mut self, worker: WorkerId, task: TaskId, attempt: Attempt, revoked: bool) {
        let current = self.holds(worker, task, attempt);
        let now_ns = self.now_ns;
        let Some(seen) = self.tasks.get_mut(&task) else {
            return;
        };
        if !current || !seen.revoking {
            return;
        }
        seen.revoking = false;
        self.revoking.remove(&task);
        seen.claimed |= !revoked;
        seen.expiring = false;
        if !revoked && seen.force {
            self.pronounce(worker, task);
            return;
        }
        if revoked {
            seen.holder = None;
            self.queued.insert(task);
            self.with(worker, |seen| {
                seen.held.retain(|&held| held != task);
                seen.sent -= 1;
                seen.idle_since_ns = now_ns;
            });
        }
    }

    fn enter_exit(&mut self, worker: WorkerId) {
        let Some(seen) = self.workers.get_mut(&worker) else {
            return;
        };
        seen.spawned = true;
        seen.exited = true;
        for task in std::mem::take(&mut seen.held) {
            if let Some(seen) = self.tasks.get_mut(&task) {
                seen.holder = None;
                seen.revoking = false;
                seen.claimed = false;
                seen.expiring = false;
                self.revoking.remove(&task);
                self.queued.insert(task);
            }
        }
    }

    fn enter_resize(&mut self, workers: u32) {
        // A pool that has stopped is deaf.
        self.resizing = !self.stopped;
        if self.accepts() {
            self.ever_shrunk |= workers < self.size;
            self.size = workers.max(1);
        }
    }

    fn enter_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::SpawnWorker { worker, index } => {
                self.last_worker = worker.0;
                let seen = WorkerSeen {
                    index: *index,
                    ..WorkerSeen::default()
                };
                self.workers.insert(*worker, seen);
            }
            Effect::SendTask {
                worker,
                task,
                attempt,
            } => self.enter_sending(*worker, *task, *attempt),
            Effect::RevokeTask { task, .. } => {
                if let Some(seen) = self.tasks.get_mut(task) {
                    seen.revoking = true;
                    self.revoking.insert(*task);
                }
            }
            Effect::AskToLeave { worker } => self.with(*worker, |seen| seen.asked = true),
            Effect::KillWorker { worker, why } => self.with(*worker, |seen| {
                seen.killed = true;
                seen.kill_reason = Some(*why);
            }),
            Effect::InterruptWorker { worker, task, .. } => {
                let now_ns = self.now_ns;
                self.with(*worker, |seen| {
                    seen.interrupted_ns = Some(now_ns);
                    seen.interrupt_sent = false;
                    seen.target = Some(*task);
                });
            }
            Effect::RestTask { task, until_ns, .. } => self.enter_rest(*task, *until_ns),
            Effect::TellSlow { task, .. } => {
                if let Some(seen) = self.tasks.get_mut(task) {
                    seen.told_slow = true;
                }
            }
            Effect::CompleteTask { task, outcome } => self.enter_completion(*task, *outcome),
            Effect::WorkerGone { worker, departure } => {
                self.workers.remove(worker);
                self.gone.insert(*worker, *departure);
            }
            Effect::BreakPool { reason } => self.broken = Some(*reason),
            Effect::ArmTimer { at_ns } => self.armed_at_ns = Some(*at_ns),
            Effect::DisarmTimer => self.armed_at_ns = None,
            Effect::InspectTask { .. } | Effect::TerminateWorker { .. } | Effect::Notify { .. } => {
            }
            Effect::ResizeSettled => self.resizing = false,
            Effect::Stopped => self.stopped = true,
        }
    }

    fn enter_sending(&mut self, worker: WorkerId, task: TaskId, attempt: Attempt) {
        self.queued.remove(&task);
        let now_ns = self.now_ns;
        if let Some(seen) = self.tasks.get_mut(&task) {
            seen.sent_ns = now_ns;
            seen.holder = Some(worker);
            seen.attempt = attempt.0;
        }
        self.with(worker, |seen| {
            seen.held.push(task);
            seen.sent += 1;
        });
    }

    fn enter_completion(&mut self, task: TaskId, outcome: Outcome) {
        self.watched.remove(&task);
        self.queued.remove(&task);
        self.revoking.remove(&task);
        let Some(seen) = self.tasks.get_mut(&task) else {
            return;
        };
        if seen.outcome.is_none() {
            self.unfinished -= 1;
        }
        seen.outcome = Some(outcome);
        seen.resting_until_ns = None;
        self.let_go(task);
    }

    /// An attempt is over, and another will follow.
    fn enter_rest(&mut self, task: TaskId, until_ns: u64) {
        self.queued.remove(&task);
        self.revoking.remove(&task);
        if let Some(seen) = self.tasks.get_mut(&task) {
            seen.failures += 1;
            seen.resting_until_ns = Some(until_ns);
        }
        self.let_go(task);
    }

    /// The task is in nobody's hands any more.
    fn let_go(&mut self, task: TaskId) {
        let Some(seen) = self.tasks.get_mut(&task) else {
            return;
        };
        seen.revoking = false;
        seen.expiring = false;
        seen.claimed = false;
        let now_ns = self.now_ns;
        if let Some(worker) = seen.holder.take() {
            self.with(worker, |seen| {
                seen.held.retain(|&held| held != task);
                seen.idle_since_ns = now_ns;
                if seen.sentence == Some(task) {
                    seen.sentence = None;
                    if seen.interrupt_sent {
                        seen.interrupted_ns = None;
                    }
                }
            });
        }
    }

    fn enter_cancel(&mut self, task: TaskId, force: bool) {
        let Some(seen) = self.tasks.get_mut(&task) else {
            return;
        };
        seen.cancel = true;
        // A wish that comes when the task is back in the queue ends it there.
        seen.force |= force && seen.holder.is_some();
        if let (true, true, Some(worker)) = (seen.force, seen.claimed, seen.holder) {
            self.pronounce(worker, task);
        }
    }

    fn enter_delivery(&mut self, worker: WorkerId) {
        let now_ns = self.now_ns;
        self.with(worker, |seen| {
            if seen.interrupted_ns.is_none() || seen.interrupt_sent {
                return;
            }
            seen.interrupt_sent = true;
            if seen.sentence.is_none() {
                seen.interrupted_ns = None;
                seen.idle_since_ns = now_ns;
            }
        });
    }

    fn enter_timer(&mut self) {
        self.armed_at_ns = None;
        self.fired_ns = Some(self.now_ns);
        let now_ns = self.now_ns;
        for &task in &self.watched {
            let Some(seen) = self.tasks.get_mut(&task) else {
                continue;
            };
            if seen.resting_until_ns.is_some_and(|at_ns| at_ns <= now_ns) {
                seen.resting_until_ns = None;
                self.queued.insert(task);
            }
            let unknown = seen.holder.is_some() && !seen.claimed && !(seen.revoking && seen.cancel);
            seen.expiring |= unknown && seen.is_overdue(now_ns);
        }
    }

    /// This task of this worker is to end.
    fn pronounce(&mut self, worker: WorkerId, task: TaskId) {
        let mut pronounced = false;
        self.with(worker, |seen| {
            let heard = !seen.condemned && !seen.killed && !seen.exited;
            if heard && !seen.is_quarantined() {
                seen.sentence = Some(task);
                pronounced = true;
            }
        });
        if pronounced && let Some(seen) = self.tasks.get_mut(&task) {
            seen.claimed = true;
        }
    }

    /// Whom and what an answer shows to have run for too long.
    pub fn deadline_found(&self, now_ns: u64, event: &Event) -> Option<(WorkerId, TaskId)> {
        let Event::TaskInspected {
            worker,
            task,
            attempt,
            started_ns: Some(started_ns),
        } = event
        else {
            return None;
        };
        let seen = self.tasks.get(task)?;
        let now_ns = now_ns.max(self.now_ns);
        let started_ns = (*started_ns).min(now_ns).max(seen.sent_ns);
        let deadline_ns = started_ns.saturating_add(seen.options.timeout_ns?);
        let fits = self.holds(*worker, *task, *attempt) && deadline_ns <= now_ns;
        fits.then_some((*worker, *task))
    }
}
