//! What a pool is made of: the numbers for the core and the command of the launcher.

use std::ffi::OsString;
use std::path::PathBuf;

pub use loky_core::config::{Config as CoreConfig, INTERRUPT_GRACE_NS, OnCrash, RestartBudget};

/// How worker processes are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Launcher {
    /// The zygote forks them.
    Zygote,
    /// The zygote executes a fresh program for each.
    Exec,
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
