//! What has been told and ordered so far, kept without asking the pool.

use std::collections::{BTreeMap, BTreeSet};

use loky_core::{
    Attempt, BreakReason, Config, Departure, Effect, Event, LeaveReason, Outcome, ShutdownMode,
    TaskId, WorkerId,
};

use super::Line;

/// A task, as seen.
#[expect(clippy::struct_excessive_bools, reason = "what was seen, fact by fact")]
#[derive(Clone, Default, Debug)]
pub struct TaskSeen {
    /// It came when the pool accepted none.
    pub refused: bool,
    pub cancel: bool,
    pub attempt: u32,
    pub holder: Option<WorkerId>,
    pub revoking: bool,
    /// The pool has been told that it started.
    pub claimed: bool,
    pub starts: u32,
    pub started_at: Option<(WorkerId, Attempt)>,
    pub outcome: Option<Outcome>,
}

/// A worker that is ordered or exists, as seen.
#[expect(clippy::struct_excessive_bools, reason = "what was seen, fact by fact")]
#[derive(Clone, Default, Debug)]
pub struct WorkerSeen {
    pub index: u32,
    pub spawned: bool,
    pub ready: bool,
    pub asked: bool,
    pub said: Option<LeaveReason>,
    pub condemned: bool,
    pub killed: bool,
    pub exited: bool,
    /// In the order of sending.
    pub held: Vec<TaskId>,
    /// Tasks sent and not withdrawn.
    pub sent: u32,
    pub idle_since_ns: u64,
}

impl WorkerSeen {
    /// It was told or has said that it will leave, or is not listened to any more.
    pub fn is_leaving(&self) -> bool {
        self.asked || self.said.is_some() || self.condemned || self.killed || self.exited
    }

    pub fn is_working(&self) -> bool {
        self.ready && !self.is_leaving()
    }

    pub fn is_idle(&self) -> bool {
        self.is_working() && self.held.is_empty()
    }
}

/// The chronicle, summed up.
#[expect(clippy::struct_excessive_bools, reason = "what was seen, fact by fact")]
#[derive(Clone, Debug)]
pub struct Record {
    pub config: Config,
    pub now_ns: u64,
    pub tasks: BTreeMap<TaskId, TaskSeen>,
    /// Tasks that wait: accepted, not over, in nobody's hands.
    pub queued: BTreeSet<TaskId>,
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
        let wished = |task| self.tasks.get(task).is_some_and(|seen| seen.cancel);
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
            Line::Started {
                task,
                worker,
                attempt,
            } => {
                if let Some(seen) = self.tasks.get_mut(task) {
                    seen.starts += 1;
                    seen.started_at = Some((*worker, *attempt));
                }
            }
        }
    }

    fn enter_event(&mut self, event: &Event) {
        match event {
            Event::TaskSubmitted { task } => self.enter_task(*task),
            Event::CancelRequested { task } => {
                if let Some(seen) = self.tasks.get_mut(task) {
                    seen.cancel = true;
                }
            }
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
            Event::WorkerReady { worker } => {
                let now_ns = self.now_ns;
                self.show(*worker, |seen| {
                    if !seen.ready {
                        seen.ready = true;
                        seen.idle_since_ns = now_ns;
                    }
                });
            }
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
            Event::SetupFailed => {
                let (made, unmade) = std::mem::take(&mut self.workers)
                    .into_iter()
                    .partition(|(_, seen)| seen.spawned);
                self.workers = made;
                self.abandoned.extend::<BTreeMap<_, _>>(unmade);
            }
            Event::TimerFired => self.armed_at_ns = None,
            Event::ResizeRequested { workers } => self.enter_resize(*workers),
            Event::ShutdownRequested { mode } => self.shutdown = self.shutdown.max(Some(*mode)),
            Event::TaskFinished { .. } | Event::LauncherDied => {}
        }
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
            self.workers.insert(worker, seen);
        }
        self.with(worker, |seen| {
            seen.spawned = true;
            change(seen);
        });
    }

    fn enter_task(&mut self, task: TaskId) {
        let refused = !self.accepts();
        self.tasks.insert(
            task,
            TaskSeen {
                refused,
                ..TaskSeen::default()
            },
        );
        self.unfinished += 1;
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
            } => {
                self.queued.remove(task);
                if let Some(seen) = self.tasks.get_mut(task) {
                    seen.holder = Some(*worker);
                    seen.attempt = attempt.0;
                }
                let task = *task;
                self.with(*worker, |seen| {
                    seen.held.push(task);
                    seen.sent += 1;
                });
            }
            Effect::RevokeTask { task, .. } => {
                if let Some(seen) = self.tasks.get_mut(task) {
                    seen.revoking = true;
                    self.revoking.insert(*task);
                }
            }
            Effect::AskToLeave { worker } => self.with(*worker, |seen| seen.asked = true),
            Effect::KillWorker { worker } => self.with(*worker, |seen| seen.killed = true),
            Effect::CompleteTask { task, outcome } => self.enter_completion(*task, *outcome),
            Effect::WorkerGone { worker, departure } => {
                self.workers.remove(worker);
                self.gone.insert(*worker, *departure);
            }
            Effect::BreakPool { reason } => self.broken = Some(*reason),
            Effect::ArmTimer { at_ns } => self.armed_at_ns = Some(*at_ns),
            Effect::DisarmTimer => self.armed_at_ns = None,
            Effect::Notify { .. } => {}
            Effect::ResizeSettled => self.resizing = false,
            Effect::Stopped => self.stopped = true,
        }
    }

    fn enter_completion(&mut self, task: TaskId, outcome: Outcome) {
        self.queued.remove(&task);
        self.revoking.remove(&task);
        let Some(seen) = self.tasks.get_mut(&task) else {
            return;
        };
        let holder = seen.holder.take();
        seen.revoking = false;
        if seen.outcome.is_none() {
            self.unfinished -= 1;
        }
        seen.outcome = Some(outcome);
        self.answers += u64::from(matches!(outcome, Outcome::Answered { .. }));
        let now_ns = self.now_ns;
        if let Some(worker) = holder {
            self.with(worker, |seen| {
                seen.held.retain(|&held| held != task);
                seen.idle_since_ns = now_ns;
            });
        }
    }
}
