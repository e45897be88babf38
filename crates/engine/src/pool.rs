//! The handle of a pool: what a language front calls.
//!
//! Every call is safe from any thread. In a fork of the owning process every call is refused and
//! the handle's end touches nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use loky_core::event::{Event, ShutdownMode};
use loky_core::ids::TaskId;
use loky_core::options::TaskOptions;
use loky_sys::fork;
use loky_sys::wake::Wake;

use crate::activity::WorkerActivity;
use crate::channel::Stage;
use crate::config::PoolConfig;
use crate::driver;
use crate::error::EngineError;
use crate::front::{Front, TaskPayload};
use crate::recognise::Draft;
use crate::report::Breakage;
use crate::standby::Standby;
use crate::state::{Phase, State};
use crate::submit::{accept, withdraw};
use crate::tally::Tally;

/// What the callers and the poll loop share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told after each change, for those who wait for one.
    changed: Condvar,
    /// How many those are: telling nobody would be a system call all the same.
    waiting: AtomicUsize,
    /// Whether workers are wanted that have no process yet; written under the lock.
    pub(crate) spawning: AtomicBool,
    /// The thread of the loop, until somebody has waited for its end.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Shared {
    /// The state. A panic under the lock has been turned into the end of the pool, so that a
    /// poisoned lock holds a state that may be read.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless somebody else is at it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Lets go of the state after a change, and lets others see it.
    pub(crate) fn unlock(&self, state: MutexGuard<'_, State>) {
        let spawning = state.spawns_outstanding() > 0;
        self.spawning.store(spawning, Ordering::SeqCst);
        drop(state);
        self.tell_waiting();
    }

    /// Wakes whoever waits for a change. Whoever begins to wait later takes the lock after the
    /// change, and sees it.
    fn tell_waiting(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits for the loop's thread, which has said its last word, to let go of everything.
    fn join(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // Its panics have been turned into the end of the pool.
            let ended = thread.join();
            debug_assert!(ended.is_ok(), "the loop's thread panicked");
        }
    }

    /// Ends every task with a fault of the engine.
    pub(crate) fn on_fault(&self, text: &str) {
        let mut state = self.lock();
        state.fail(text);
        let wake = state.wake.clone();
        self.unlock(state);
        ring(wake);
    }
}

/// A worker's process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerProcess {
    /// Its place in the pool.
    pub index: u32,
    /// Its process id.
    pub pid: i32,
}

/// What a worker was doing.
#[derive(Clone, Debug)]
pub struct WorkerStack {
    /// The worker.
    pub process: WorkerProcess,
    /// The task that it runs, and for how long, in nanoseconds.
    pub task: Option<(TaskId, u64)>,
    /// The stacks of its threads; empty where they cannot be had.
    pub text: String,
}

/// Far longer than the loop takes to give up on a worker that writes nothing.
const STACK_WAIT: Duration = Duration::from_secs(2);

/// A pool of worker processes.
pub struct Pool {
    pub(crate) shared: Arc<Shared>,
    generation: u64,
}

impl Pool {
    /// A pool that has started nothing yet: no thread, no process, no descriptor.
    pub fn new(config: PoolConfig, front: Arc<dyn Front>) -> Self {
        fork::watch_forks();
        let state = Mutex::new(State::new(config, front));
        let shared = Shared {
            state,
            changed: Condvar::new(),
            waiting: AtomicUsize::new(0),
            spawning: AtomicBool::new(false),
            thread: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            generation: fork::fork_generation(),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whether this process is the one that made the pool.
    pub fn is_own(&self) -> bool {
        fork::fork_generation() == self.generation
    }

    /// Starts the launcher in the background, so that it is up when workers are wanted. A failure
    /// shows when they are.
    pub fn prestart(&self) -> Result<(), EngineError> {
        self.change(|shared, state| {
            start_loop(shared, state)?;
            if state.launcher.is_none() && state.phase == Phase::Open {
                // A failure is met again, and told, when the first worker is ordered.
                drop(state.ensure_launcher().map(|_| ()));
            }
            Ok(())
        })
    }

    /// Has this program started as soon as somebody writes to it, for as long as the pool lives.
    pub fn attend(&self, standby: &Arc<Standby>) -> Result<(), EngineError> {
        self.change(|shared, state| {
            if state.phase != Phase::Open {
                return Ok(());
            }
            start_loop(shared, state)?;
            if let Some(wake) = &state.wake {
                state.standbys.attend(Arc::clone(standby), wake);
                state.stir = true;
            }
            Ok(())
        })
    }

    /// Accepts a task.
    ///
    /// # Errors
    /// `ShutDown`, `Broken`, `Forked`, `Fault`: the task was not accepted, and its payload is dropped.
    pub fn submit(&self, payload: TaskPayload) -> Result<TaskId, EngineError> {
        self.submit_with(payload, None)
    }

    /// Accepts a task for which something is asked.
    ///
    /// # Errors
    /// As `submit`.
    pub fn submit_with(
        &self,
        payload: TaskPayload,
        options: Option<Box<TaskOptions>>,
    ) -> Result<TaskId, EngineError> {
        if !self.is_own() {
            return Err(EngineError::Forked);
        }
        let draft = self.draft(payload);
        self.change(|shared, state| accept(shared, state, draft, options))
    }

    /// Accepts several tasks at once: what a worker gets of them is written to it together.
    ///
    /// # Errors
    /// As `submit`, for each of them.
    pub fn submit_many(
        &self,
        payloads: Vec<TaskPayload>,
        options: Option<TaskOptions>,
    ) -> Result<Vec<Result<TaskId, EngineError>>, EngineError> {
        if !self.is_own() {
            return Err(EngineError::Forked);
        }
        let drafts: Vec<Draft> = payloads
            .into_iter()
            .map(|payload| self.draft(payload))
            .collect();
        self.change(|shared, state| {
            let accepted = drafts
                .into_iter()
                .map(|draft| accept(shared, state, draft, options.map(Box::new)));
            Ok(accepted.collect())
        })
    }

    /// A task with what it has in common with those before it; its bytes are compared here, without
    /// the lock.
    fn draft(&self, payload: TaskPayload) -> Draft {
        match Draft::small(payload) {
            Ok(draft) => draft,
            Err(payload) => {
                let mut draft = Draft::large(payload);
                draft.look_up(&mut self.shared.lock().segments);
                draft.compare();
                draft
            }
        }
    }

    /// As [`Self::submit`], for a caller that must not wait: gives the payload back where somebody
    /// else is at the pool's state, or there is much to compare.
    pub fn try_submit(
        &self,
        payload: TaskPayload,
    ) -> Result<Result<TaskId, EngineError>, TaskPayload> {
        let Some(state) = self.is_own().then(|| self.shared.try_lock()).flatten() else {
            return Err(payload);
        };
        let draft = Draft::small(payload)?;
        Ok(self.change_locked(state, |shared, state| accept(shared, state, draft, None)))
    }

    /// Waits until every worker that has been ordered has a process or could not be made; false
    /// when `timeout` passes first.
    pub fn wait_spawned(&self, timeout: Duration) -> Result<bool, EngineError> {
        self.wait_for(timeout, |state| state.spawns_outstanding() == 0)
    }

    /// Waits until the last resize has taken effect; false when `timeout` passes first.
    pub fn wait_resized(&self, timeout: Duration) -> Result<bool, EngineError> {
        self.wait_for(timeout, |state| {
            !state.resizing && state.spawns_outstanding() == 0
        })
    }

    /// Waits until the pool's life is over; false when `timeout` passes first.
    pub fn wait_stopped(&self, timeout: Duration) -> Result<bool, EngineError> {
        let stopped = self.wait_for(timeout, |state| state.phase == Phase::Closed)?;
        if stopped {
            self.shared.join();
        }
        Ok(stopped)
    }

    /// Asks for a task not to run; true where it never will. Its end is delivered as any other.
    pub fn cancel(&self, task: TaskId) -> Result<bool, EngineError> {
        self.change(|_, state| {
            if !state.tasks.contains_key(&task) {
                return Ok(false);
            }
            state.feed(Event::CancelRequested {
                task,
                force_grace_ns: None,
            });
            Ok(!state.tasks.contains_key(&task))
        })
    }

    /// Ends a task, also where it has begun: it is interrupted, and its worker is killed if it has
    /// not ended after `grace`. False where it is over. Its end is delivered when it has ended.
    pub fn cancel_by_force(&self, task: TaskId, grace: Duration) -> Result<bool, EngineError> {
        self.change(|_, state| {
            let known = state.tasks.contains_key(&task);
            if known {
                let grace_ns = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
                state.feed(Event::CancelRequested {
                    task,
                    force_grace_ns: Some(grace_ns),
                });
            }
            Ok(known)
        })
    }

    /// The stacks of the worker that runs a task; `None` where none does, or it cannot be had.
    pub fn stack(&self, task: TaskId) -> Result<Option<String>, EngineError> {
        let ticket = self.change(|_, state| {
            let start = state.start_of(task);
            Ok(start.map(|(worker, _)| state.ask_for_stack(worker)))
        })?;
        ticket.map_or(Ok(None), |ticket| self.fetch_stack(ticket))
    }

    /// The stacks of all workers, by place.
    pub fn stacks(&self) -> Result<Vec<WorkerStack>, EngineError> {
        let asked = self.change(|_, state| Ok(state.ask_for_all_stacks()))?;
        let mut stacks = Vec::with_capacity(asked.len());
        for (ticket, mut stack) in asked {
            stack.text = self.fetch_stack(ticket)?.unwrap_or_default();
            stacks.push(stack);
        }
        stacks.sort_unstable_by_key(|stack| stack.process.index);
        Ok(stacks)
    }

    /// What the worker that runs a task is doing; `None` where none does, or it cannot be had.
    pub fn activity(&self, task: TaskId) -> Result<Option<WorkerActivity>, EngineError> {
        self.change(|_, state| Ok(state.activity_of(task)))
    }

    fn fetch_stack(&self, ticket: u64) -> Result<Option<String>, EngineError> {
        self.wait_for(STACK_WAIT, |state| state.stacks.is_done(ticket))?;
        Ok(self.shared.lock().stacks.fetch(ticket))
    }

    /// What is known of the break; `None` while the pool is whole.
    pub fn breakage(&self) -> Option<Arc<Breakage>> {
        self.is_own()
            .then(|| self.shared.lock().broke.clone())
            .flatten()
    }

    /// As [`Self::cancel`], and where it answers true nothing is delivered: the caller knows.
    pub fn withdraw(&self, task: TaskId) -> Result<bool, EngineError> {
        self.change(|_, state| Ok(withdraw(state, task)))
    }

    /// As [`Self::withdraw`], for a caller that must not wait: `None` where somebody else is at the
    /// pool's state.
    pub fn try_withdraw(&self, task: TaskId) -> Option<Result<bool, EngineError>> {
        let state = self.is_own().then(|| self.shared.try_lock()).flatten()?;
        Some(self.change_locked(state, |_, state| Ok(withdraw(state, task))))
    }

    /// Whether a worker has begun a task.
    pub fn has_started(&self, task: TaskId) -> bool {
        self.is_own() && self.shared.lock().has_started(task)
    }

    /// The workers that have a process, by place.
    pub fn workers(&self) -> Vec<WorkerProcess> {
        if !self.is_own() {
            return Vec::new();
        }
        let state = self.shared.lock();
        let mut workers: Vec<WorkerProcess> = state
            .channels
            .values()
            .filter(|channel| channel.stage == Stage::Running)
            .map(|channel| WorkerProcess {
                index: channel.index,
                pid: channel.pid,
            })
            .collect();
        workers.sort_unstable_by_key(|worker| (worker.index, worker.pid));
        workers
    }

    /// Sends a signal to a worker by its process id, through its reaper; false where there is no
    /// such worker.
    pub fn signal(&self, pid: i32, signal: u32) -> Result<bool, EngineError> {
        self.change(|_, state| Ok(state.signal(pid, signal)))
    }

    /// Asks for another number of workers.
    pub fn resize(&self, workers: u32) -> Result<(), EngineError> {
        if workers == 0 {
            return Err(EngineError::Config {
                name: "workers",
                must: "at least 1",
            });
        }
        self.change(|_, state| {
            state.resizing = state.phase == Phase::Open;
            state.feed(Event::ResizeRequested { workers });
            Ok(())
        })
    }

    /// Ends the pool.
    pub fn shut_down(&self, mode: ShutdownMode) -> Result<(), EngineError> {
        self.change(|_, state| {
            state.feed(Event::ShutdownRequested { mode });
            if mode == ShutdownMode::Kill {
                state.ends_by_force = true;
                state.stir = true;
                state.fail_waiting(0);
                state.feed_pending();
            }
            if state.phase == Phase::Stopped && state.wake.is_none() {
                state.close();
            }
            Ok(())
        })
    }

    /// What the pool has done so far, and how it stands; `None` in a forked child of its owner.
    pub fn tally(&self) -> Option<Tally> {
        self.is_own().then(|| self.shared.lock().tally())
    }

    /// Has every worker forget what its front keeps under this name, when it has nothing before that
    /// to do.
    pub fn forget(&self, name: &[u8]) -> Result<(), EngineError> {
        self.change(|_, state| {
            state.forget(name);
            Ok(())
        })
    }

    /// Changes the state and lets the others see it.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&Arc<Shared>, &mut State) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        if !self.is_own() {
            return Err(EngineError::Forked);
        }
        self.change_locked(self.shared.lock(), change)
    }

    fn change_locked<T>(
        &self,
        mut state: MutexGuard<'_, State>,
        change: impl FnOnce(&Arc<Shared>, &mut State) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let done = catch_unwind(AssertUnwindSafe(move || {
            if let Some(fault) = &state.fault {
                return Err(EngineError::Fault(fault.clone()));
            }
            let done = change(&self.shared, &mut state);
            state.flush();
            let wake = if state.stir { state.wake.clone() } else { None };
            self.shared.unlock(state);
            ring(wake);
            done
        }));
        done.unwrap_or_else(|panic| {
            let text = driver::panic_text(panic.as_ref());
            self.shared.on_fault(&text);
            Err(EngineError::Fault(text))
        })
    }

    fn wait_for(
        &self,
        timeout: Duration,
        mut done: impl FnMut(&State) -> bool,
    ) -> Result<bool, EngineError> {
        if !self.is_own() {
            return Err(EngineError::Forked);
        }
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        let state = self.shared.lock();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, timeout, |state| {
                state.phase != Phase::Closed && !done(state)
            })
            .unwrap_or_else(PoisonError::into_inner);
        self.shared.waiting.fetch_sub(1, Ordering::SeqCst);
        Ok(state.phase == Phase::Closed || done(&state))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.is_own() {
            // Nothing can be told any more to somebody who let go; the pool drains by itself.
            let ended = self.shut_down(ShutdownMode::Drain);
            debug_assert!(ended.is_ok() || self.shared.lock().fault.is_some());
            if self.shared.lock().phase == Phase::Closed {
                self.shared.join();
            }
        } else {
            // A fork's copy is never freed: its lock may be held by a thread that does not exist here.
            std::mem::forget(Arc::clone(&self.shared));
        }
    }
}

pub(crate) fn ring(wake: Option<Arc<Wake>>) {
    if let Some(wake) = wake {
        wake.ring();
    }
}

/// Starts the loop where it does not run. It waits for the lock that the caller holds.
pub(crate) fn start_loop(shared: &Arc<Shared>, state: &mut State) -> Result<(), EngineError> {
    if state.wake.is_some() || state.phase == Phase::Closed {
        return Ok(());
    }
    let wake = Wake::new().map_err(EngineError::resource("make a wake-up descriptor"))?;
    let for_loop = Arc::clone(shared);
    let thread = std::thread::Builder::new()
        .name("loky-engine".to_owned())
        .spawn(move || driver::run(&for_loop))
        .map_err(EngineError::resource("start its thread"))?;
    *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    state.wake = Some(Arc::new(wake));
    Ok(())
}
