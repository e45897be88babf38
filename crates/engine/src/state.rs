//! What the pool's lock protects: the core, the tasks' payloads, the channels and the launcher.
//!
//! Every change comes in as an event through `feed`; the core decides, `effects` carries out.
//! Nothing here calls the front other than by `Front::deliver`, which does not wait.

use std::collections::{HashMap, VecDeque};
use std::num::NonZero;
use std::sync::Arc;

use loky_core::effect::Effect;
use loky_core::event::Event;
use loky_core::ids::{Attempt, TaskId, WorkerId};
use loky_core::pool::Pool as Core;
use loky_shm::Patience;
use loky_sys::clock;
use loky_sys::signal::SIGINT;
use loky_sys::wake::Wake;
use loky_wire::Ticket;

use crate::answer::{Answer, FreedSegments};
use crate::capture::Passing;
use crate::channel::Channel;
use crate::config::PoolConfig;
use crate::evidence::Witness;
use crate::front::{Delivery, Front, TaskEnd};
use crate::launcher::{LauncherProcess, Setup};
use crate::numbers::ByNumber;
use crate::parts::{Placed, StreamPiece, TaskBuffer};
use crate::report::{Breakage, CrashReport};
use crate::segments::TaskSegments;
use crate::stacks::Stacks;
use crate::standby::Standbys;
use crate::strays::Strays;
use crate::tally::Counts;
use crate::vigil::Vigil;
use crate::waiting::Waiting;

/// While segments are free, the loop looks this often whether they have aged.
const TRIM_INTERVAL_NS: u64 = 1_000_000_000;

/// Where a task has been handed to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) worker: WorkerId,
    pub(crate) attempt: Attempt,
    /// Its claim in the worker's ledger; `None` while its buffers are still being copied.
    pub(crate) ticket: Option<Ticket>,
}

/// An answer that has been read and not yet been accepted by the core.
pub(crate) enum Received {
    Value(Answer),
    Raised(Answer),
    Undeliverable(i32),
}

/// A task that is not over: its bytes, and where it is.
pub(crate) struct TaskEntry {
    /// What of its stream travels in the frame: all of it, or the inline pieces.
    pub(crate) stream: Vec<u8>,
    /// What its stream is put together from; empty where all of it is in the frame.
    pub(crate) pieces: Vec<StreamPiece>,
    pub(crate) buffers: Vec<TaskBuffer>,
    /// The segment that holds what is this task's alone.
    pub(crate) own_segment: Option<u32>,
    /// Its buffers have been looked for among what is known.
    pub(crate) compared: bool,
    /// Where its large bytes are, once they have been copied. Kept until the task is over, so that it can be
    /// sent again.
    pub(crate) placed: Option<Placed>,
    pub(crate) placement: Option<Placement>,
    /// A copy is under way, without the lock.
    pub(crate) copying: bool,
    pub(crate) received: Option<Received>,
    pub(crate) report: Option<Arc<CrashReport>>,
    /// What only tasks with options have.
    pub(crate) watched: Option<Box<Watched>>,
}

/// What is kept of a task with options.
pub(crate) struct Watched {
    pub(crate) submitted_ns: u64,
    /// How much memory its worker may have while it runs.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// The attempts that failed and were followed by another.
    pub(crate) history: Vec<Arc<CrashReport>>,
    /// What its worker was doing when it was struck, where it writes no stack.
    pub(crate) seen: Option<String>,
}

impl TaskEntry {
    /// Which attempt at it is under way: what was handed out and never began counts for none.
    pub(crate) fn attempt(&self) -> u32 {
        let failed = self
            .watched
            .as_ref()
            .map_or(0, |watched| watched.history.len());
        u32::try_from(failed).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// A report with the attempts before it.
    pub(crate) fn with_history(&self, report: Arc<CrashReport>) -> Arc<CrashReport> {
        match &self.watched {
            Some(watched) if !watched.history.is_empty() => {
                let mut report = CrashReport::clone(&report);
                report.history.clone_from(&watched.history);
                Arc::new(report)
            }
            Some(_) | None => report,
        }
    }
}

/// How far the front is with describing the surroundings of workers.
#[derive(Default)]
pub(crate) struct SetupDesk {
    /// The last description, good for as long as nothing better comes in time.
    pub(crate) last: Option<Setup>,
    /// Workers that wait for a description.
    pub(crate) waiting: Vec<(WorkerId, u32)>,
    /// The front has been asked and has not answered.
    pub(crate) asked: bool,
    /// When to stop waiting and to use the last description.
    pub(crate) give_up_at_ns: Option<u64>,
}

/// How far the pool's life has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    /// It may have begun or not.
    Open,
    /// The core said that it is over: no task, no worker.
    Stopped,
    /// Everything has been let go of, and `Delivery::Stopped` has been given.
    Closed,
}

/// The state of a pool.
pub(crate) struct State {
    pub(crate) config: PoolConfig,
    /// How many processors this process may use.
    pub(crate) processors: usize,
    pub(crate) front: Arc<dyn Front>,
    pub(crate) core: Core,
    pub(crate) events: VecDeque<Event>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) tasks: ByNumber<TaskId, TaskEntry>,
    pub(crate) task_last: u64,
    pub(crate) channels: ByNumber<WorkerId, Channel>,
    pub(crate) dirty: Vec<WorkerId>,
    pub(crate) launcher: Option<LauncherProcess>,
    /// Whom a launcher left that died.
    pub(crate) strays: Strays,
    pub(crate) setup: SetupDesk,
    pub(crate) segments: TaskSegments,
    pub(crate) copies: VecDeque<TaskId>,
    /// Which tasks wait with the same memory.
    pub(crate) waiting: Waiting,
    pub(crate) freed: Arc<FreedSegments>,
    pub(crate) reports: HashMap<WorkerId, Arc<CrashReport>>,
    pub(crate) initializer_failure: Option<Answer>,
    pub(crate) timer_at_ns: Option<u64>,
    pub(crate) stacks: Stacks,
    /// How long the launcher has owed something.
    pub(crate) vigil: Vigil,
    /// All workers are to be killed.
    pub(crate) ends_by_force: bool,
    /// The poll loop must look again: there are new descriptors, copies or earlier timers.
    pub(crate) stir: bool,
    pub(crate) phase: Phase,
    /// A resize is not settled.
    pub(crate) resizing: bool,
    /// Wakes the loop; there while the loop runs.
    pub(crate) wake: Option<Arc<Wake>>,
    pub(crate) fault: Option<String>,
    /// The task whose cancellation is told to its caller and so to nobody else; nobody once it is.
    pub(crate) withdrawing: Option<TaskId>,
    /// What is known of the break, for those who are refused because of it.
    pub(crate) broke: Option<Arc<Breakage>>,
    /// How the last launcher that died came to its end.
    pub(crate) launcher_fact: Option<String>,
    pub(crate) witness: Witness,
    /// How many tasks have a limit on memory of their own.
    pub(crate) limited_tasks: usize,
    /// When to look at the memory of workers.
    pub(crate) memory_at_ns: Option<u64>,
    pub(crate) passing: Arc<Passing>,
    /// Programs that are started for whoever writes to them.
    pub(crate) standbys: Standbys,
    /// Threads that look for answers themselves.
    pub(crate) lookers: usize,
    pub(crate) looks: Patience,
    /// For how long the last task ran.
    pub(crate) run_ns_last: u64,
    pub(crate) counts: Counts,
}

impl State {
    pub(crate) fn new(config: PoolConfig, front: Arc<dyn Front>) -> Self {
        let core = Core::new(config.core.clone());
        let segments = TaskSegments::new(config.segment_budget_bytes);
        Self {
            config,
            processors: std::thread::available_parallelism().map_or(1, NonZero::get),
            front,
            core,
            events: VecDeque::new(),
            effects: Vec::new(),
            tasks: ByNumber::default(),
            task_last: 0,
            channels: ByNumber::default(),
            dirty: Vec::new(),
            launcher: None,
            strays: Strays::default(),
            setup: SetupDesk::default(),
            segments,
            copies: VecDeque::new(),
            waiting: Waiting::default(),
            freed: Arc::default(),
            reports: HashMap::new(),
            initializer_failure: None,
            timer_at_ns: None,
            stacks: Stacks::default(),
            vigil: Vigil::default(),
            ends_by_force: false,
            stir: false,
            phase: Phase::Open,
            resizing: false,
            wake: None,
            fault: None,
            withdrawing: None,
            broke: None,
            launcher_fact: None,
            witness: Witness::default(),
            limited_tasks: 0,
            memory_at_ns: None,
            passing: Arc::default(),
            standbys: Standbys::default(),
            lookers: 0,
            looks: Patience::default(),
            run_ns_last: u64::MAX,
            counts: Counts::default(),
        }
    }

    /// Takes an event through the core and carries out what it decides, with everything that
    /// follows from that at once.
    pub(crate) fn feed(&mut self, event: Event) {
        self.events.push_back(event);
        while let Some(event) = self.events.pop_front() {
            let mut effects = std::mem::take(&mut self.effects);
            self.core.step(clock::monotonic_ns(), event, &mut effects);
            for effect in effects.drain(..) {
                self.carry_out(&effect);
            }
            self.effects = effects;
        }
    }

    /// Writes to every channel that something was put into, and to the launcher.
    pub(crate) fn flush(&mut self) {
        while let Some(worker) = self.dirty.pop() {
            let Some(channel) = self.channels.get_mut(&worker) else {
                continue;
            };
            let failed = channel.flush().is_err();
            if !channel.outbox.is_empty() {
                self.stir = true;
            }
            if failed {
                self.condemn(worker);
            }
        }
        if let Some(launcher) = &mut self.launcher {
            // A control socket that cannot be written shows its end to the reader as well.
            if launcher.flush().is_err() || !launcher.outbox.is_empty() {
                self.stir = true;
            }
        }
        self.discard(Vec::new());
        self.front.settle();
    }

    /// Tells the front that a task is over, and forgets the task.
    pub(crate) fn end_task(&mut self, task: TaskId, end: TaskEnd) {
        let Some(mut entry) = self.tasks.remove(&task) else {
            debug_assert!(false, "{task} ended twice");
            return;
        };
        self.counts.ends.count(&end);
        let limited = entry
            .watched
            .as_ref()
            .is_some_and(|watched| watched.memory_limit_bytes.is_some());
        self.limited_tasks -= usize::from(limited);
        self.wait_no_more(task, &entry.buffers);
        self.let_go_of(&mut entry);
        if self.withdrawing == Some(task) && matches!(end, TaskEnd::Cancelled) {
            self.withdrawing = None;
        } else {
            self.front.deliver(Delivery::Ended { task, end });
        }
    }

    /// Ends everything after a fault of the engine itself. The launcher's control socket is
    /// dropped with the state's owner, which ends the zygote and its workers.
    pub(crate) fn fail(&mut self, text: &str) {
        if self.fault.is_some() {
            return;
        }
        self.fault = Some(text.to_owned());
        let breakage = Arc::new(Breakage {
            reason: loky_core::outcome::BreakReason::LauncherDied,
            report: None,
            initializer: None,
            fault: self.fault.clone(),
            launcher_fact: None,
        });
        self.broke = Some(Arc::clone(&breakage));
        self.front.deliver(Delivery::Broke(Arc::clone(&breakage)));
        let tasks: Vec<TaskId> = self.tasks.keys().copied().collect();
        for task in tasks {
            self.end_task(task, TaskEnd::Broken(Arc::clone(&breakage)));
        }
        self.channels.clear();
        self.setup = SetupDesk::default();
        self.phase = Phase::Stopped;
        self.stir = true;
        self.front.settle();
    }

    /// Whether a worker has begun a task.
    pub(crate) fn has_started(&self, task: TaskId) -> bool {
        self.start_of(task).is_some()
    }

    /// Which worker has begun a task, and when, by its ledger.
    pub(crate) fn start_of(&self, task: TaskId) -> Option<(WorkerId, u64)> {
        let placement = self.tasks.get(&task)?.placement?;
        let (ticket, channel) = (placement.ticket?, self.channels.get(&placement.worker)?);
        let view = channel.ledger.view(ticket.slot).ok()?;
        let runs =
            view.generation == ticket.generation && view.state == loky_wire::SlotState::Running;
        // The time is written after the claim; between the two it is now.
        let started_ns = match view.started_ns {
            0 => clock::monotonic_ns(),
            started_ns => started_ns,
        };
        runs.then_some((placement.worker, started_ns))
    }

    /// Orders a signal for the worker with this process id.
    pub(crate) fn signal(&mut self, pid: i32, signal: u32) -> bool {
        let Some(channel) = self
            .channels
            .values()
            .find(|channel| channel.pid == pid && pid != 0)
        else {
            return false;
        };
        let worker = channel.worker;
        let Some(launcher) = &mut self.launcher else {
            return false;
        };
        let ordered = launcher.kill(worker, signal).is_ok();
        self.stir = true;
        if let Some(channel) = self.channels.get_mut(&worker) {
            channel.note_signal(signal);
            if signal == SIGINT.unsigned_abs() {
                channel.interrupts.push_back(false);
            }
        }
        ordered
    }

    /// Workers that have been ordered and whose process is not known yet.
    pub(crate) fn spawns_outstanding(&self) -> usize {
        let ordered = self
            .channels
            .values()
            .filter(|channel| channel.stage == crate::channel::Stage::Ordered)
            .count();
        self.setup.waiting.len() + ordered
    }

    /// When the poll loop must wake by itself.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        let trim_at_ns = self
            .segments
            .has_free()
            .then(|| clock::monotonic_ns().saturating_add(TRIM_INTERVAL_NS));
        let condemned = self
            .channels
            .values()
            .filter_map(|channel| channel.condemn_at_ns)
            .min();
        [
            self.timer_at_ns,
            self.setup.give_up_at_ns,
            condemned,
            self.next_stack_look_ns(),
            self.vigil.next_at_ns(),
            self.memory_at_ns,
            self.standbys.retry_at_ns(),
            self.strays.look_at_ns(),
            trim_at_ns,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
