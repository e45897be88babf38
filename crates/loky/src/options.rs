//! What may be asked for single tasks.
//!
//! Owned by whoever describes it. Checked when it is used, which is where there is an error to give.

use std::sync::Arc;
use std::time::Duration;

use loky_engine::TaskOptions as Wishes;

use crate::builder::nanoseconds;
use crate::error::Error;

/// What is asked for tasks: deadlines, further tries, their place among the waiting.
///
/// For some tasks, with [`ProcessPoolExecutor::options`](crate::ProcessPoolExecutor::options); for
/// all of a pool, with [`Builder::task_options`](crate::Builder::task_options). What is not said here
/// is as the pool has it, and a pool asks for nothing of its own. A task that asks for nothing pays
/// nothing.
///
/// ```
/// use std::time::Duration;
/// use loky::{ProcessPoolExecutor, TaskOptions};
///
/// #[loky::task]
/// fn render(page: u32) -> u32 {
///     page
/// }
///
/// fn main() -> Result<(), loky::Error> {
///     loky::init();
///     let pool = ProcessPoolExecutor::new(2)?;
///     let careful = pool.options(
///         TaskOptions::new().timeout(Duration::from_secs(30)).retries(2).label("pages"),
///     );
///     let pages: Vec<u32> = careful.map((0..10).map(render::call)).collect::<Result<_, _>>()?;
///     assert_eq!(pages.len(), 10);
///     pool.shutdown()
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "options ask for nothing until tasks are submitted with them"]
pub struct TaskOptions {
    timeout: Limit,
    queue_timeout: Limit,
    slow_after: Limit,
    retries: Option<u32>,
    retry_timeouts: Option<bool>,
    retry_panics: Option<bool>,
    priority: Option<i32>,
    memory_limit: Option<u64>,
    label: Option<Arc<str>>,
}

/// A time that is asked for; that none is asked for, whatever the pool says; or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Limit {
    #[default]
    Unsaid,
    Never,
    After(Duration),
}

impl Limit {
    fn of(time: Option<Duration>) -> Self {
        time.map_or(Self::Never, Self::After)
    }

    fn or(self, other: Self) -> Self {
        match self {
            Self::Unsaid => other,
            Self::Never | Self::After(_) => self,
        }
    }

    fn after(self) -> Option<Duration> {
        match self {
            Self::Unsaid | Self::Never => None,
            Self::After(time) => Some(time),
        }
    }
}

impl TaskOptions {
    /// Options that ask for nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long an attempt may run, from its start. Then its worker is ended, as
    /// [`Builder::grace`](crate::Builder::grace) says, and replaced; the error is
    /// [`Timeout`](Error::Timeout). `None` is for ever.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = Limit::of(timeout.into());
        self
    }

    /// How long a task may wait for its first start. Then it never runs, and the error is
    /// [`Expired`](Error::Expired). `None` is for ever.
    pub fn queue_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.queue_timeout = Limit::of(timeout.into());
        self
    }

    /// How many attempts may follow one whose worker died. They are made with the same arguments, after
    /// a pause that begins at 50 ms at the most and doubles up to 5 s.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Whether an attempt that ran out of time is followed by another as well.
    pub fn retry_timeouts(mut self, retries: bool) -> Self {
        self.retry_timeouts = Some(retries);
        self
    }

    /// Whether an attempt that panicked is followed by another as well.
    pub fn retry_panics(mut self, retries: bool) -> Self {
        self.retry_panics = Some(retries);
        self
    }

    /// Among tasks that wait the higher goes first, and the older among equals; 0 where nothing is said.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How much memory the worker, with all that it has started, may have resident while it runs such
    /// a task, in bytes. One that has more is ended, and replaced; the error is
    /// [`TerminatedWorker`](Error::TerminatedWorker) with the cause
    /// [`MemoryLimit`](crate::DeathCause::MemoryLimit).
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// After how long [`Builder::on_slow`](crate::Builder::on_slow) is told, once, that the task is
    /// still running. `None` is never.
    pub fn slow_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.slow_after = Limit::of(time.into());
        self
    }

    /// What the task is called in reports, beside the name of its function.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into().into());
        self
    }

    /// These options, and what `others` say where these say nothing.
    pub(crate) fn or(self, others: &Self) -> Self {
        Self {
            timeout: self.timeout.or(others.timeout),
            queue_timeout: self.queue_timeout.or(others.queue_timeout),
            slow_after: self.slow_after.or(others.slow_after),
            retries: self.retries.or(others.retries),
            retry_timeouts: self.retry_timeouts.or(others.retry_timeouts),
            retry_panics: self.retry_panics.or(others.retry_panics),
            priority: self.priority.or(others.priority),
            memory_limit: self.memory_limit.or(others.memory_limit),
            label: self.label.or_else(|| others.label.clone()),
        }
    }

    /// The options as tasks are submitted with them, or which of them cannot be, in a pool that has
    /// somebody to tell of slow tasks or has not.
    pub(crate) fn prepared(&self, has_listener: bool) -> Result<Prepared, Refusal> {
        if self.slow_after.after().is_some() && !has_listener {
            return Err(Refusal {
                name: "slow_after",
                must: "used in a pool that was built with on_slow, which is told",
            });
        }
        let wishes = Wishes {
            timeout_ns: time("timeout", self.timeout.after())?,
            queue_timeout_ns: time("queue_timeout", self.queue_timeout.after())?,
            slow_after_ns: time("slow_after", self.slow_after.after())?,
            retries: self.retries.unwrap_or(0),
            retry_timeouts: self.repeats("retry_timeouts", self.retry_timeouts)?,
            priority: self.priority.unwrap_or(0),
            memory_limit_bytes: bytes("memory_limit", self.memory_limit)?,
            ..Wishes::default()
        };
        Ok(Prepared {
            retry_panics: self.repeats("retry_panics", self.retry_panics)?,
            wishes: (wishes != Wishes::default()).then_some(wishes),
            label: self.label.clone(),
        })
    }

    /// Whether a failure that is no death is to be followed by another attempt. That there may be
    /// none is a contradiction that nobody means.
    fn repeats(&self, name: &'static str, wanted: Option<bool>) -> Result<bool, Refusal> {
        let wanted = wanted.unwrap_or(false);
        if wanted && self.retries.unwrap_or(0) == 0 {
            return Err(Refusal {
                name,
                must: "used together with retries",
            });
        }
        Ok(wanted)
    }
}

/// Which option cannot be, and what it must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) name: &'static str,
    pub(crate) must: &'static str,
}

impl From<Refusal> for Error {
    fn from(Refusal { name, must }: Refusal) -> Self {
        Self::Config { name, must }
    }
}

/// Options that have been checked, as the engine takes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prepared {
    /// `None` where nothing is asked that the engine knows.
    pub(crate) wishes: Option<Wishes>,
    pub(crate) retry_panics: bool,
    pub(crate) label: Option<Arc<str>>,
}

/// A time as nanoseconds. One that is no time at all is a mistake.
pub(crate) fn time(name: &'static str, time: Option<Duration>) -> Result<Option<u64>, Refusal> {
    match time {
        Some(Duration::ZERO) => Err(Refusal {
            name,
            must: "longer than no time at all",
        }),
        time => Ok(time.map(nanoseconds)),
    }
}

/// A number of bytes that something can be made of.
pub(crate) fn bytes(name: &'static str, bytes: Option<u64>) -> Result<Option<u64>, Refusal> {
    match bytes {
        Some(0) => Err(Refusal {
            name,
            must: "at least one byte",
        }),
        bytes => Ok(bytes),
    }
}
