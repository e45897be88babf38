//! What a pool is made of: the numbers for the core and the command of the launcher.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::EngineError;

pub use loky_core::config::{Config as CoreConfig, INTERRUPT_GRACE_NS, OnCrash, RestartBudget};

/// How worker processes are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Launcher {
    /// The zygote forks them.
    Zygote,
    /// The zygote executes a fresh program for each.
    Exec,
}

/// How small frames travel between the parent and its workers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Transport {
    /// Through rings in shared memory, with the socket for the rest.
    #[default]
    Ring,
    /// By the socket, like everything else.
    Socket,
}

/// The environment variable that chooses the transport of a pool.
pub const TRANSPORT_VARIABLE: &str = "LOKY_TRANSPORT";

impl Transport {
    /// What the environment asks for, else the default.
    ///
    /// # Errors
    /// The variable holds no transport; what it must hold is in the error's text.
    pub fn from_environment() -> Result<Self, EngineError> {
        match std::env::var_os(TRANSPORT_VARIABLE) {
            None => Ok(Self::default()),
            Some(word) if word.is_empty() => Ok(Self::default()),
            Some(word) if word == "ring" => Ok(Self::Ring),
            Some(word) if word == "socket" => Ok(Self::Socket),
            Some(_) => Err(EngineError::Config {
                name: TRANSPORT_VARIABLE,
                must: "'ring' or 'socket', or not be set",
            }),
        }
    }
}

/// The program that becomes the zygote. The number of its control descriptor is appended to
/// `arguments`.
#[derive(Clone, Debug)]
pub struct LauncherCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, without the program's own name.
    pub arguments: Vec<OsString>,
    /// Its environment; `None` is that of this process at the time.
    pub environment: Option<Vec<(OsString, OsString)>>,
}

/// A pool's configuration.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// What the core decides by.
    pub core: CoreConfig,
    /// How workers are made.
    pub launcher: Launcher,
    /// How small frames travel.
    pub transport: Transport,
    /// The zygote's command.
    pub command: LauncherCommand,
    /// How many bytes of segments may be filled for tasks that have not ended, before further
    /// large tasks wait for one of them.
    pub segment_budget_bytes: u64,
    /// The signal on which the front's workers write the stacks of their threads into the memory
    /// file of the fault handler; `None`: they do not know of any.
    pub stack_signal: Option<i32>,
    /// Keep the end of what each worker writes to its standard error; it is passed on to that of this
    /// process. Workers then write into a pipe instead of to where this process writes.
    pub capture_stderr: bool,
    /// How much memory a worker may have while it runs a task for which nothing else was asked.
    pub memory_limit_bytes: Option<u64>,
}

/// Where `PoolConfig::segment_budget_bytes` has no better value: 1 GiB.
pub const SEGMENT_BUDGET_BYTES: u64 = 1 << 30;
