//! How a pool is to be, before it is one.
//!
//! Owned by whoever describes it. It starts nothing.

use std::ffi::{OsStr, OsString};
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use loky_engine::config::{self, CoreConfig, PoolConfig, Transport};

use crate::error::Error;
use crate::executor::{Defaults, ProcessPoolExecutor};
use crate::launch;
use crate::memory::MemoryMechanism;
use crate::options::{TaskOptions, bytes, time};
use crate::reusable;
use crate::setup::{Prologue, Surroundings};
use crate::slow::{Listener, SlowTask};
use crate::task::TaskCall;

/// What the death of a worker means for the other tasks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum OnCrash {
    /// Nothing: it costs the task that it was running. The worker is replaced, and what it had not
    /// begun runs elsewhere.
    #[default]
    Recover,
    /// The pool is broken: every task that has not ended gets the same error.
    Break,
}

/// How worker processes are made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Launcher {
    /// By a fork of a process that has been executed once. If that has more than one thread when
    /// `init` is called, as under a test harness, workers are executed.
    #[default]
    Fork,
    /// By executing the program for each.
    Exec,
}

/// What a variable of the environment is to be in the workers; `None`: not there.
type Variable = (OsString, Option<OsString>);

/// A pool that is being described. See [`ProcessPoolExecutor::builder`].
///
/// ```no_run
/// use std::time::Duration;
/// use loky::{OnCrash, ProcessPoolExecutor};
///
/// let pool = ProcessPoolExecutor::builder()
///     .workers(4)
///     .idle_timeout(Duration::from_secs(60))
///     .on_crash(OnCrash::Break)
///     .env("OMP_NUM_THREADS", "1")
///     .build()?;
/// # Ok::<(), loky::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a description makes no pool: call `build`"]
pub struct Builder {
    workers: Option<usize>,
    idle_timeout: Option<Duration>,
    start_timeout: Option<Duration>,
    grace: Option<Duration>,
    memory_limit_bytes: Option<u64>,
    memory_group: Option<PathBuf>,
    task_options: TaskOptions,
    on_slow: Option<Listener>,
    on_crash: OnCrash,
    launcher: Launcher,
    tasks_per_worker_max: Option<u32>,
    segment_budget_bytes: u64,
    capture_stderr: bool,
    variables: Vec<Variable>,
    clears_environment: bool,
    preload: Option<Prologue>,
    initializer: Option<Prologue>,
    /// A task that cannot be called before all others, to be told by `build`.
    refused: Option<&'static str>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            workers: None,
            idle_timeout: None,
            start_timeout: None,
            grace: None,
            memory_limit_bytes: None,
            memory_group: None,
            task_options: TaskOptions::new(),
            on_slow: None,
            on_crash: OnCrash::default(),
            launcher: Launcher::default(),
            tasks_per_worker_max: None,
            segment_budget_bytes: config::SEGMENT_BUDGET_BYTES,
            capture_stderr: false,
            variables: Vec::new(),
            clears_environment: false,
            preload: None,
            initializer: None,
            refused: None,
        }
    }

    /// How many workers; as many as there are processors for this process, where nothing is said.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How long a worker may be without a task before it leaves; for ever, where nothing is said.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// How long a worker may take from its process to its readiness, initializer included, before it is
    /// killed and another one is tried; for ever, where nothing is said.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = Some(timeout);
        self
    }

    /// How long a worker whose task is to end, because its time has run out or because it is cancelled
    /// by force, may take to end by SIGTERM before it is killed by SIGKILL. Where nothing is said it is
    /// killed at once: a function of Rust cannot be interrupted, so only code that handles SIGTERM
    /// itself has a use for this.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// How much memory a worker, with all that it has started, may have resident while it runs a task,
    /// in bytes. One that has more is ended with its task, and replaced; no other task is touched, in
    /// either mode of [`on_crash`](Self::on_crash). [`TaskOptions::memory_limit`] is the same for some
    /// tasks.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit_bytes = Some(bytes);
        self
    }

    /// The folder of a memory cgroup that may be used for this pool: each worker of a pool with a
    /// [`memory_limit`](Self::memory_limit) gets a group of its own below it, so that the kernel keeps that
    /// limit. Where nothing is said it is the one that the variable `LOKY_CGROUP` names. Where no group can
    /// be made the limit is kept by looking alone;
    /// [`memory_mechanism`](ProcessPoolExecutor::memory_mechanism) tells which it is.
    pub fn memory_group(mut self, folder: impl Into<PathBuf>) -> Self {
        self.memory_group = Some(folder.into());
        self
    }

    /// What is asked for every task, where [`options`](ProcessPoolExecutor::options) say nothing else.
    pub fn task_options(mut self, options: TaskOptions) -> Self {
        self.task_options = options;
        self
    }

    /// Who is told of tasks that run for longer than [`TaskOptions::slow_after`]. A pool says nothing by
    /// itself: without a listener that option is refused.
    ///
    /// It is called in a thread of the pool which also wakes asynchronous tasks, so it should be brief.
    pub fn on_slow(mut self, listener: impl Fn(&SlowTask) + Send + Sync + 'static) -> Self {
        self.on_slow = Some(Listener::new(listener));
        self
    }

    /// What the death of a worker means for the other tasks.
    pub fn on_crash(mut self, on_crash: OnCrash) -> Self {
        self.on_crash = on_crash;
        self
    }

    /// How worker processes are made.
    pub fn launcher(mut self, launcher: Launcher) -> Self {
        self.launcher = launcher;
        self
    }

    /// Replaces each worker after so many tasks, such as for native code that leaks.
    pub fn tasks_per_worker(mut self, tasks: u32) -> Self {
        self.tasks_per_worker_max = Some(tasks);
        self
    }

    /// How many bytes of [buffers](crate::Buffer) may be on their way to workers or in use by them
    /// before further tasks with large buffers wait; 1 GiB, where nothing is said.
    pub fn segment_budget_bytes(mut self, bytes: u64) -> Self {
        self.segment_budget_bytes = bytes;
        self
    }

    /// Keeps the end of what each worker writes to its standard error for the report on its death. It
    /// is passed on to that of this program, but no longer written there by the worker itself.
    pub fn capture_stderr(mut self, captures: bool) -> Self {
        self.capture_stderr = captures;
        self
    }

    /// Sets a variable of the workers' environment, which is otherwise that of this program at the
    /// time when the first worker is needed.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let value = value.as_ref().to_owned();
        self.variables.push((name.as_ref().to_owned(), Some(value)));
        self
    }

    /// Takes a variable out of the workers' environment.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), None));
        self
    }

    /// Gives the workers no variables but those that [`env`](Self::env) names afterwards.
    pub fn env_clear(mut self) -> Self {
        self.variables.clear();
        self.clears_environment = true;
        self
    }

    /// A task that is run once before the first worker is forked, so that all of them have what it
    /// loads. It must leave no thread behind: otherwise workers are executed from then on, and each
    /// runs it for itself. If it panics the pool is broken.
    pub fn preload<C: TaskCall>(mut self, call: C) -> Self {
        self.preload = self.prologue(call);
        self
    }

    /// A task that each worker runs before its first one. If it panics the pool is broken.
    pub fn initializer<C: TaskCall>(mut self, call: C) -> Self {
        self.initializer = self.prologue(call);
        self
    }

    /// Makes the pool. Nothing is started before the first task.
    ///
    /// # Errors
    /// [`NotInitialized`](Error::NotInitialized) where `loky::init()` has not been called,
    /// [`Config`](Error::Config) where a number is out of range, [`Resource`](Error::Resource) where
    /// no thread can be started.
    pub fn build(self) -> Result<ProcessPoolExecutor, Error> {
        if let Some(name) = self.refused {
            return Err(Error::Config {
                name,
                must: "a call whose arguments can be written and hold no large buffers",
            });
        }
        self.check_variables()?;
        let prepared = self.task_options.prepared(self.on_slow.is_some())?;
        let limit_bytes = bytes("memory_limit", self.memory_limit_bytes)?;
        let mechanism = MemoryMechanism::of_pool(limit_bytes, self.memory_group.as_deref());
        let groups = mechanism.groups(limit_bytes);
        let command = launch::zygote_command(self.preload.as_ref(), self.environment(), groups)?;
        let config = PoolConfig {
            core: CoreConfig {
                workers: worker_count(self.worker_number())?,
                on_crash: match self.on_crash {
                    OnCrash::Recover => config::OnCrash::Recover,
                    OnCrash::Break => config::OnCrash::Break,
                },
                idle_timeout_ns: self.idle_timeout.map(nanoseconds),
                start_timeout_ns: time("start_timeout", self.start_timeout)?,
                tasks_per_worker_max: self.tasks_per_worker_max.map(tasks_count).transpose()?,
                // Workers ignore interrupts, so there is nothing to wait for after one.
                interrupt_grace_ns: 0,
                terminate_grace_ns: self.grace.map(nanoseconds),
                restart_budget: config::RestartBudget::for_workers(worker_count(
                    self.worker_number(),
                )?),
                ..CoreConfig::default()
            },
            launcher: match self.launcher {
                Launcher::Fork => config::Launcher::Zygote,
                Launcher::Exec => config::Launcher::Exec,
            },
            transport: Transport::from_environment()
                .map_err(|error| Error::refused(error, None))?,
            command,
            segment_budget_bytes: self.segment_budget_bytes,
            stack_signal: None,
            capture_stderr: self.capture_stderr,
            memory_limit_bytes: limit_bytes,
        };
        let initializer = self.initializer;
        let defaults = Defaults {
            options: self.task_options,
            prepared,
            has_listener: self.on_slow.is_some(),
            mechanism,
        };
        let surroundings = Surroundings { initializer };
        ProcessPoolExecutor::start(config, surroundings, defaults, self.on_slow)
    }

    /// The pool that this whole program has in common, made to be like this: see
    /// [`get_reusable_executor`](crate::get_reusable_executor).
    pub fn reuse(self) -> Result<ProcessPoolExecutor, Error> {
        reusable::like(self)
    }

    pub(crate) fn worker_number(&self) -> usize {
        self.workers.unwrap_or_else(processors)
    }

    /// Whether a pool that was made from one of the two serves the other, up to its size.
    pub(crate) fn differs_in_size_alone(&self, other: &Self) -> bool {
        let resized = Self {
            workers: self.workers,
            ..other.clone()
        };
        *self == resized
    }

    fn prologue<C: TaskCall>(&mut self, call: C) -> Option<Prologue> {
        let (name, parts) = call.into_parts();
        let prologue = Prologue::new(parts);
        if prologue.is_none() {
            self.refused = Some(name);
        }
        prologue
    }

    /// A variable that no environment can hold would be told by the system alone, and much later.
    fn check_variables(&self) -> Result<(), Error> {
        let has = |text: &OsStr, byte: u8| text.as_bytes().contains(&byte);
        let is_wrong = |(name, value): &Variable| {
            name.is_empty()
                || has(name, b'=')
                || has(name, 0)
                || value.as_ref().is_some_and(|value| has(value, 0))
        };
        if self.variables.iter().any(is_wrong) {
            return Err(Error::Config {
                name: "env",
                must: "a name that is not empty and has no `=`, and a value, both without zero bytes",
            });
        }
        Ok(())
    }

    /// The environment of the launcher; `None` is that of this process at its start.
    fn environment(&self) -> Option<Vec<(OsString, OsString)>> {
        if self.variables.is_empty() && !self.clears_environment {
            return None;
        }
        let mut environment: Vec<(OsString, OsString)> = if self.clears_environment {
            Vec::new()
        } else {
            std::env::vars_os().collect()
        };
        for (name, value) in &self.variables {
            environment.retain(|(known, _)| known != name);
            environment.extend(value.clone().map(|value| (name.clone(), value)));
        }
        Some(environment)
    }
}

/// A number of workers that a pool can have.
pub(crate) fn worker_count(workers: usize) -> Result<u32, Error> {
    const MOST: u32 = 65_536;
    let count = u32::try_from(workers).unwrap_or(u32::MAX);
    if (1..=MOST).contains(&count) {
        Ok(count)
    } else {
        Err(Error::Config {
            name: "workers",
            must: "from 1 to 65536",
        })
    }
}

/// A number of tasks after which a worker can be replaced.
fn tasks_count(tasks: u32) -> Result<u32, Error> {
    if tasks == 0 {
        return Err(Error::Config {
            name: "tasks_per_worker",
            must: "at least 1",
        });
    }
    Ok(tasks)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
