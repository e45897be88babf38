//! Tasks that run for longer than their owner thought, and who is told of them.
//!
//! Told in the thread for errands, since it is foreign code that hears it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A task that is still running: see [`TaskOptions::slow_after`](crate::TaskOptions::slow_after).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowTask {
    /// The function.
    pub task: &'static str,
    /// What the task is called, where its options say so.
    pub label: Option<String>,
    /// How long it has been running.
    pub running: Duration,
    /// The process that runs it.
    pub pid: i32,
    /// What that process is doing, as a clause; empty where the system does not say.
    pub doing: String,
}

impl fmt::Display for SlowTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "task {}", self.task)?;
        if let Some(label) = &self.label {
            write!(formatter, " ({label})")?;
        }
        let (running, pid) = (self.running, self.pid);
        write!(
            formatter,
            " has been running for {running:.1?} in process {pid}"
        )?;
        if !self.doing.is_empty() {
            write!(formatter, "; {}", self.doing)?;
        }
        Ok(())
    }
}

/// Somebody who wants to hear of slow tasks.
#[derive(Clone)]
pub(crate) struct Listener(Arc<dyn Fn(&SlowTask) + Send + Sync>);

impl Listener {
    pub(crate) fn new(listener: impl Fn(&SlowTask) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    pub(crate) fn tell(&self, slow: &SlowTask) {
        (self.0)(slow);
    }
}

/// Two are the same if they are one.
impl PartialEq for Listener {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
    }
}

impl Eq for Listener {}

impl fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a listener")
    }
}
