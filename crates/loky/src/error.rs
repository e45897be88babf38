//! How a task, or a call to a pool, fails.
//!
//! Owned by this crate; one enum for all of it. What the engine tells is turned into it here and
//! nowhere else.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use loky_engine::answer::Answer;
use loky_engine::front::TaskEnd;
use loky_engine::report;
use loky_engine::{BreakReason, error::EngineError};

use crate::answer;
pub use crate::codec::{DecodeError, EncodeError};
use crate::failure::Failure;
use crate::report::CrashReport;
use crate::slot::Slot;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pool is broken and takes no more tasks; a new one can be made.
    #[error(transparent)]
    BrokenProcessPool(BreakCause),
    /// The worker that ran the task is gone. The pool goes on, unless it was built with
    /// [`OnCrash::Break`](crate::OnCrash::Break).
    #[error(transparent)]
    TerminatedWorker(Box<CrashReport>),
    /// The pool was shut down before the task ended, or before it was submitted.
    #[error("the pool has been shut down")]
    Shutdown,
    /// The task was cancelled: it never ran, or was ended by force.
    #[error("the task was cancelled")]
    Cancelled,
    /// The task had run for as long as its [options](crate::TaskOptions::timeout) let it, and was
    /// ended with its worker. No other task is touched, and the pool goes on.
    #[error(transparent)]
    Timeout(Box<CrashReport>),
    /// The task had not begun in the time that its [options](crate::TaskOptions::queue_timeout) gave
    /// it. It never ran.
    #[error("the task did not begin in time: it had waited for {waited:.3?}, and never ran")]
    Expired {
        /// How long it had waited.
        waited: Duration,
    },
    /// The result was not there when [`wait_timeout`](crate::TaskFuture::wait_timeout) gave up. The
    /// task goes on.
    #[error("the result was not there in time; the task goes on")]
    WaitTimeout,
    /// The task panicked. Its worker lives.
    #[error("the task panicked: {message}")]
    Panicked {
        /// What the panic said, and where.
        message: String,
        /// Where the worker was.
        backtrace: String,
    },
    /// The arguments or the result cannot be written for their way.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The arguments or the result cannot be read at the end of their way.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The task could not be handed over, or its result could not be received, for lack of a
    /// resource such as memory or descriptors.
    #[error("the system refuses what is needed to {what}: {source}")]
    Resource {
        /// What was tried, as a verb phrase.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// This process is a fork of the one that made the pool.
    #[error("the pool belongs to the process that made it, and this process is a fork of that one")]
    Forked,
    /// A setting is out of range.
    #[error("{name} must be {must}")]
    Config {
        /// The setting.
        name: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// The program has not been made ready to be its own worker.
    #[error(
        "this program cannot be its own worker yet: add `loky::init();` as the first line of `main`, \
         or, for tests under the usual harness, `loky::enable_test_support!();` beside the tests"
    )]
    NotInitialized,
}

/// What broke a pool.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BreakCause {
    /// Workers die again and again before doing any work; this was the last.
    #[error(
        "the pool is broken: its workers die again and again before doing any work; the last one: {0}"
    )]
    RestartBudget(#[source] Arc<CrashReport>),
    /// The initializer, or the preload task, panicked.
    #[error("the pool is broken: its initializer panicked: {message}")]
    Initializer {
        /// What the panic said, and where.
        message: String,
        /// Where the worker was.
        backtrace: String,
    },
    /// Workers cannot be set up.
    #[error("the pool is broken: its workers cannot be set up: {0}")]
    Setup(String),
    /// No process can be made.
    #[error("the pool is broken: no worker process can be started: {0}")]
    Spawn(#[source] Arc<io::Error>),
    /// The process that makes the workers died.
    #[error(
        "the pool is broken: the process that starts the workers died; if it did so at once, `loky::init()` may not be \
         the first line of `main`"
    )]
    Launcher,
    /// A fault of this library.
    #[error("the pool is broken: a fault of the library itself: {0}")]
    Fault(String),
}

impl Error {
    /// Whether this error says that its pool is broken. That of the very task which a worker died with
    /// does not: it is the same whether the pool recovers or not; ask
    /// [`is_broken`](crate::ProcessPoolExecutor::is_broken).
    pub fn is_broken_pool(&self) -> bool {
        match self {
            Self::BrokenProcessPool(_) => true,
            Self::TerminatedWorker(report) => !report.started,
            Self::Shutdown
            | Self::Cancelled
            | Self::Timeout(_)
            | Self::Expired { .. }
            | Self::WaitTimeout
            | Self::Panicked { .. }
            | Self::Encode(_)
            | Self::Decode(_)
            | Self::Resource { .. }
            | Self::Forked
            | Self::Config { .. }
            | Self::NotInitialized => false,
        }
    }

    /// The report on the worker's end, where that is the reason.
    pub fn crash_report(&self) -> Option<&CrashReport> {
        match self {
            Self::TerminatedWorker(report) | Self::Timeout(report) => Some(report),
            Self::BrokenProcessPool(BreakCause::RestartBudget(report)) => Some(report),
            Self::BrokenProcessPool(
                BreakCause::Initializer { .. }
                | BreakCause::Setup(_)
                | BreakCause::Spawn(_)
                | BreakCause::Launcher
                | BreakCause::Fault(_),
            )
            | Self::Shutdown
            | Self::Cancelled
            | Self::Expired { .. }
            | Self::WaitTimeout
            | Self::Panicked { .. }
            | Self::Encode(_)
            | Self::Decode(_)
            | Self::Resource { .. }
            | Self::Forked
            | Self::Config { .. }
            | Self::NotInitialized => None,
        }
    }

    /// A refusal of the engine, by a pool that was broken by `breakage` if by anything.
    pub(crate) fn refused(error: EngineError, breakage: Option<&report::Breakage>) -> Self {
        match error {
            EngineError::ShutDown => Self::Shutdown,
            EngineError::Broken(reason) => match breakage {
                Some(breakage) => Self::broken(breakage, None),
                None => Self::BrokenProcessPool(BreakCause::of(reason, None, None)),
            },
            EngineError::Forked => Self::Forked,
            EngineError::Resource { what, source } => Self::Resource { what, source },
            EngineError::Fault(text) => Self::BrokenProcessPool(BreakCause::Fault(text)),
            EngineError::Config { name, must } => Self::Config { name, must },
        }
    }

    /// The answer of a task that has a value, or what its end means.
    pub(crate) fn value_of<'a>(end: &'a TaskEnd, slot: &Slot) -> Result<&'a Answer, Self> {
        Err(match end {
            TaskEnd::Value(answer) => return Ok(answer),
            TaskEnd::Raised(answer) => match Failure::from_bytes(answer::stream(answer)) {
                Ok(failure) => Self::from_failure(failure),
                Err(error) => Self::Decode(error),
            },
            TaskEnd::Died(facts) => {
                Self::TerminatedWorker(Box::new(CrashReport::new(facts, Some(slot))))
            }
            TaskEnd::TimedOut(facts) => {
                Self::Timeout(Box::new(CrashReport::new(facts, Some(slot))))
            }
            TaskEnd::Broken(breakage) => Self::broken(breakage, Some(slot)),
            TaskEnd::Cancelled => Self::Cancelled,
            TaskEnd::Expired { waited_ns } => Self::Expired {
                waited: Duration::from_nanos(*waited_ns),
            },
            TaskEnd::ShutDown => Self::Shutdown,
            TaskEnd::Undeliverable { errno } => Self::Resource {
                what: "carry the task or its result",
                source: io::Error::from_raw_os_error(*errno),
            },
        })
    }

    fn from_failure(failure: Failure) -> Self {
        match failure {
            Failure::Panicked { message, backtrace } => Self::Panicked { message, backtrace },
            Failure::Encode(text) => Self::Encode(EncodeError::Result(text)),
            Failure::Decode(text) => Self::Decode(DecodeError::Arguments(text)),
            Failure::Unknown | Failure::OtherProgram | Failure::Directory(_) => {
                Self::Decode(DecodeError::Unknown)
            }
            Failure::Resource(errno) => Self::Resource {
                what: "carry the task or its result",
                source: io::Error::from_raw_os_error(errno),
            },
        }
    }

    fn broken(breakage: &report::Breakage, slot: Option<&Slot>) -> Self {
        if let Some(fault) = &breakage.fault {
            return Self::BrokenProcessPool(BreakCause::Fault(fault.clone()));
        }
        match (breakage.reason, &breakage.report) {
            (BreakReason::WorkerDied(_), Some(facts)) => {
                Self::TerminatedWorker(Box::new(CrashReport::of_bystander(facts, slot)))
            }
            (reason, facts) => {
                let initializer = breakage.initializer.as_ref();
                let failure =
                    initializer.and_then(|answer| Failure::from_bytes(answer::stream(answer)).ok());
                Self::BrokenProcessPool(BreakCause::of(reason, facts.as_deref(), failure))
            }
        }
    }
}

impl BreakCause {
    fn of(
        reason: BreakReason,
        facts: Option<&report::CrashReport>,
        failure: Option<Failure>,
    ) -> Self {
        match reason {
            BreakReason::WorkerDied(_) | BreakReason::RestartBudget(_) => match facts {
                Some(facts) => {
                    Self::RestartBudget(Arc::new(CrashReport::of_bystander(facts, None)))
                }
                None => Self::Launcher,
            },
            BreakReason::InitializerFailed(_) => match failure {
                Some(Failure::Panicked { message, backtrace }) => {
                    Self::Initializer { message, backtrace }
                }
                Some(failure) => Self::Setup(Error::setup_text(&failure)),
                None => Self::Setup("the worker gave no reason".to_owned()),
            },
            BreakReason::SpawnFailed(errno) => {
                Self::Spawn(Arc::new(io::Error::from_raw_os_error(errno)))
            }
            BreakReason::LauncherDied => Self::Launcher,
            BreakReason::SetupFailed => {
                Self::Setup("their surroundings cannot be described".to_owned())
            }
        }
    }
}

impl Error {
    /// Why a worker could not take up its work.
    fn setup_text(failure: &Failure) -> String {
        match failure {
            Failure::OtherProgram => {
                "the program's file has been replaced by one with other tasks \
                                      while this one was running"
                    .to_owned()
            }
            Failure::Directory(text) => format!("the working directory cannot be entered: {text}"),
            Failure::Unknown => "a worker does not know the initializer".to_owned(),
            Failure::Panicked { message, .. } => message.clone(),
            Failure::Encode(text) | Failure::Decode(text) => text.clone(),
            Failure::Resource(errno) => io::Error::from_raw_os_error(*errno).to_string(),
        }
    }
}
