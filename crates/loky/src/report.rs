//! The report on the end of a worker, as a value and as text to read.
//!
//! Made from the engine's facts when somebody asks for the result of a task. It says nothing that is
//! not in them.

use std::fmt;
use std::time::Duration;

use loky_engine::report::{self, Cause};
use loky_engine::signal_name;

use crate::slot::Slot;

/// What ended a worker. Named only on evidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DeathCause {
    /// The kernel killed it for lack of memory: it has counted such a kill.
    OutOfMemory,
    /// A signal that nobody of the pool sent; its number.
    Signal(i32),
    /// It left by itself, with this exit code.
    Exit(i32),
    /// The pool killed it.
    Killed,
    /// The time of the task had run out, and the pool ended it.
    TimedOut,
    /// It had more memory than it might, and the pool ended it.
    MemoryLimit,
    /// The task was cancelled by force, and the pool ended it.
    Cancelled,
    /// Nothing did: the task panicked, and the worker lives. Only in the history of a task that was tried
    /// again.
    Panicked,
    /// It was not ready in time, and the pool killed it.
    NotReady,
    /// It sent bytes that are no message, and was killed for that.
    Protocol,
    /// The process that makes the workers died, and it with that.
    Zygote,
}

impl DeathCause {
    fn of(cause: Cause) -> Self {
        match cause {
            Cause::Oom => Self::OutOfMemory,
            Cause::Signal(number) => Self::Signal(number),
            Cause::Exit(code) => Self::Exit(code),
            Cause::NotReady => Self::NotReady,
            Cause::Killed => Self::Killed,
            Cause::TimedOut => Self::TimedOut,
            Cause::Cancelled => Self::Cancelled,
            Cause::MemoryLimit => Self::MemoryLimit,
            Cause::Raised => Self::Panicked,
            Cause::Protocol => Self::Protocol,
            Cause::Zygote => Self::Zygote,
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Exit(_) => {
                "Look for std::process::exit() in the task, or for exit() in native code that it calls."
            }
            Self::OutOfMemory => {
                "Run fewer tasks at a time, make them smaller, or give the program more memory."
            }
            Self::Killed | Self::Cancelled | Self::Panicked => "The task can be submitted again.",
            Self::TimedOut => {
                "Give the task more time, or look at what it does: the evidence says whether it was computing \
                 or waiting."
            }
            Self::MemoryLimit => "Make the task smaller, or raise its memory limit.",
            Self::NotReady => {
                "Look for what takes so long in the initializer, or give workers more time to start."
            }
            Self::Protocol => "Look for code that writes to descriptors that it did not open.",
            Self::Zygote => "Look for what killed it; the tasks can be submitted again.",
            Self::Signal(number) => match signal_name(number) {
                Some("SIGSEGV") => {
                    "Native or unsafe code touched memory that is not its own: look at what the task calls."
                }
                Some("SIGABRT") => {
                    "The process gave up: a stack overflow, a panic that could not unwind, memory that \
                     could not be had, or abort(). Its own message is in the output of the program, above."
                }
                Some("SIGBUS") => {
                    "A mapping was touched whose file had shrunk, or memory that could not be provided."
                }
                Some("SIGILL") => {
                    "The code holds an instruction that this processor does not have: look for a wrong build."
                }
                Some("SIGKILL") => {
                    "Look into the kernel's log (dmesg) for an out-of-memory kill; fewer workers or \
                     smaller tasks need less memory."
                }
                _ => "The task can be submitted again if it may run twice.",
            },
        }
    }
}

impl fmt::Display for DeathCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => {
                formatter.write_str("was killed by the kernel, which lacked memory (SIGKILL)")
            }
            Self::Signal(number) => match signal_name(*number) {
                Some("SIGKILL") => formatter.write_str(
                    "was killed by SIGKILL, which this pool did not send; possibly out of memory",
                ),
                Some(name) => write!(formatter, "was killed by {name}"),
                None => write!(formatter, "was killed by signal {number}"),
            },
            Self::Exit(code) => write!(formatter, "left without answering, with exit code {code}"),
            Self::Killed => {
                formatter.write_str("was ended by SIGKILL at the request of this program")
            }
            Self::TimedOut => {
                formatter.write_str("was ended because the time of the task had run out")
            }
            Self::MemoryLimit => formatter.write_str("was ended because it had too much memory"),
            Self::Cancelled => formatter.write_str("was ended because the task was cancelled"),
            Self::Panicked => formatter.write_str("lives: the task panicked"),
            Self::NotReady => formatter.write_str("was not ready in time, and was ended"),
            Self::Protocol => formatter.write_str("sent bytes that are no message, and was ended"),
            Self::Zygote => {
                formatter.write_str("ended because the process that starts the workers died")
            }
        }
    }
}

impl std::error::Error for DeathCause {}

/// What is known of the death of a worker and of the task that the report belongs to.
///
/// Its text says what happened, then the evidence, then what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CrashReport {
    /// Why the worker ended.
    pub cause: DeathCause,
    /// The signal that ended the process, where one did and that is known; its number.
    pub signal: Option<i32>,
    /// The worker's process.
    pub pid: i32,
    /// The worker's place in its pool, from 0.
    pub worker: u32,
    /// The function of the task, where the report is for one.
    pub task: Option<&'static str>,
    /// What the task is called, where its [options](crate::TaskOptions::label) say so.
    pub label: Option<String>,
    /// Which try at the task this was, from 1; 0 where none had begun in that worker.
    pub attempt: u32,
    /// Whether the task had begun in that worker.
    pub started: bool,
    /// How long the task had been running.
    pub runtime: Option<Duration>,
    /// The most memory that the process ever held, in bytes.
    pub peak_rss_bytes: Option<u64>,
    /// What was read about the death, each a clause of its own.
    pub evidence: Vec<String>,
    /// What the process wrote down before its end: the last panic, if it did not survive that.
    pub last_words: Option<String>,
    /// The end of what it wrote to its standard error, where the pool keeps that: see
    /// [`Builder::capture_stderr`](crate::Builder::capture_stderr).
    pub stderr_tail: Option<String>,
    /// The attempts at the task that failed before this one, oldest first.
    pub history: Vec<CrashReport>,
}

impl CrashReport {
    pub(crate) fn new(facts: &report::CrashReport, slot: Option<&Slot>) -> Self {
        let cause = DeathCause::of(facts.cause);
        Self {
            cause,
            signal: facts.signal,
            pid: facts.pid,
            worker: facts.index,
            task: slot.map(Slot::task),
            label: slot.and_then(Slot::label).map(str::to_owned),
            attempt: facts.attempt,
            started: facts.started,
            runtime: facts.runtime_ns.map(Duration::from_nanos),
            peak_rss_bytes: facts.peak_rss_bytes,
            evidence: facts.evidence.clone(),
            last_words: (!facts.stack.is_empty()).then(|| facts.stack.clone()),
            stderr_tail: facts.stderr_tail.clone().filter(|tail| !tail.is_empty()),
            history: facts
                .history
                .iter()
                .map(|facts| Self::new(facts, slot))
                .collect(),
        }
    }

    /// The name of the signal, such as `SIGSEGV`, if one ended the worker.
    pub fn signal_name(&self) -> Option<&'static str> {
        self.signal.and_then(signal_name)
    }

    /// The exit code, or the negative number of the signal; `None` where the worker lives, or where
    /// nobody knows.
    pub fn exit_code(&self) -> Option<i32> {
        match self.cause {
            DeathCause::Exit(code) => Some(code),
            DeathCause::Protocol | DeathCause::Zygote => None,
            DeathCause::OutOfMemory
            | DeathCause::Signal(_)
            | DeathCause::Killed
            | DeathCause::TimedOut
            | DeathCause::MemoryLimit
            | DeathCause::Cancelled
            | DeathCause::Panicked
            | DeathCause::NotReady => self.signal.map(|signal| -signal),
        }
    }

    /// Whether the task had several attempts and each of them ended its worker.
    pub fn is_poison(&self) -> bool {
        let ended = |report: &Self| {
            !matches!(
                report.cause,
                DeathCause::Panicked | DeathCause::TimedOut | DeathCause::Cancelled
            )
        };
        !self.history.is_empty() && ended(self) && self.history.iter().all(ended)
    }

    fn advice(&self) -> &'static str {
        if self.is_poison() {
            "Every attempt has ended its worker: it is the task or its arguments, and no chance."
        } else {
            self.cause.advice()
        }
    }

    /// The same death as seen by a task that it did not meet while running.
    pub(crate) fn of_bystander(facts: &report::CrashReport, slot: Option<&Slot>) -> Self {
        Self {
            attempt: 0,
            started: false,
            runtime: None,
            ..Self::new(facts, slot)
        }
    }

    fn write_evidence(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Evidence: pid {}, worker {}",
            self.pid, self.worker
        )?;
        if let Some(task) = self.task {
            write!(formatter, ", task {task}")?;
        }
        if let Some(label) = &self.label {
            write!(formatter, " ({label})")?;
        }
        if self.attempt != 0 {
            write!(formatter, ", attempt {}", self.attempt)?;
        }
        if let Some(runtime) = self.runtime {
            write!(formatter, ", ran for {runtime:.3?}")?;
        }
        if let Some(bytes) = self.peak_rss_bytes {
            write!(formatter, ", peak memory {} MiB", bytes >> 20)?;
        }
        for fact in &self.evidence {
            write!(formatter, "; {fact}")?;
        }
        formatter.write_str(".")
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.started {
            "The worker process that ran this task"
        } else {
            "A worker process of this pool"
        };
        writeln!(formatter, "{subject} {}.", self.cause)?;
        self.write_evidence(formatter)?;
        if let Some(words) = &self.last_words {
            write!(
                formatter,
                "\nLast words of the worker:\n{}",
                words.trim_end()
            )?;
        }
        if let Some(tail) = &self.stderr_tail {
            write!(
                formatter,
                "\nThe end of its standard error:\n{}",
                tail.trim_end()
            )?;
        }
        for attempt in &self.history {
            let (number, cause) = (attempt.attempt, attempt.cause);
            write!(formatter, "\nAttempt {number}: its worker {cause}.")?;
        }
        write!(formatter, "\n{}", self.advice())
    }
}

impl std::error::Error for CrashReport {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
