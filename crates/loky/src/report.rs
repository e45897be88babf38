//! The report on the end of a worker, as a value and as text to read.
//!
//! Made from the engine's facts when somebody asks for the result of a task. It says nothing that is
//! not in them.

use std::fmt;
use std::time::Duration;

use loky_engine::report::{self, Cause};
use loky_engine::signal_name;

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
            // This front asks for no limit and no retry, and an end by force is no crash.
            Cause::Killed
            | Cause::TimedOut
            | Cause::Cancelled
            | Cause::MemoryLimit
            | Cause::Raised => Self::Killed,
            Cause::Protocol => Self::Protocol,
            Cause::Zygote => Self::Zygote,
        }
    }

    /// The name of the signal, such as `SIGSEGV`, if one ended the worker.
    pub fn signal(self) -> Option<&'static str> {
        match self {
            Self::Signal(number) => signal_name(number),
            Self::Killed | Self::NotReady | Self::OutOfMemory => Some("SIGKILL"),
            Self::Exit(_) | Self::Protocol | Self::Zygote => None,
        }
    }

    /// The exit code, or the negative number of the signal.
    pub fn exit_code(self) -> Option<i32> {
        match self {
            Self::Signal(number) => Some(-number),
            Self::Exit(code) => Some(code),
            Self::Killed | Self::NotReady | Self::OutOfMemory => Some(-9),
            Self::Protocol | Self::Zygote => None,
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
            Self::Killed => "The task can be submitted again.",
            Self::NotReady => {
                "Look for what takes so long in the initializer, or give workers more time to start."
            }
            Self::Protocol => "Look for code that writes to descriptors that it did not open.",
            Self::Zygote => "Look for what killed it; the tasks can be submitted again.",
            Self::Signal(_) => match self.signal() {
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
    /// The worker's process.
    pub pid: i32,
    /// The worker's place in its pool, from 0.
    pub worker: u32,
    /// The function of the task, where the report is for one.
    pub task: Option<&'static str>,
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
}

impl CrashReport {
    pub(crate) fn new(facts: &report::CrashReport, task: Option<&'static str>) -> Self {
        Self {
            cause: DeathCause::of(facts.cause),
            pid: facts.pid,
            worker: facts.index,
            task,
            attempt: facts.attempt,
            started: facts.started,
            runtime: facts.runtime_ns.map(Duration::from_nanos),
            peak_rss_bytes: facts.peak_rss_bytes,
            evidence: facts.evidence.clone(),
            last_words: (!facts.stack.is_empty()).then(|| facts.stack.clone()),
            stderr_tail: facts.stderr_tail.clone().filter(|tail| !tail.is_empty()),
        }
    }

    /// The same death as seen by a task that it did not meet while running.
    pub(crate) fn of_bystander(facts: &report::CrashReport, task: Option<&'static str>) -> Self {
        Self {
            attempt: 0,
            started: false,
            runtime: None,
            ..Self::new(facts, task)
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
        write!(formatter, "\n{}", self.cause.advice())
    }
}

impl std::error::Error for CrashReport {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
