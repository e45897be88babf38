//! What the calls of a pool may refuse, and why.

use std::io;

use loky_core::outcome::BreakReason;

/// A refusal of the engine. Failures of tasks are not here: they are the ends of tasks.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The pool takes no more tasks because its owner ended it.
    #[error("the pool has been shut down")]
    ShutDown,
    /// The pool takes no more tasks because it is broken.
    #[error("the pool is broken")]
    Broken(BreakReason),
    /// This process is a fork of the one that owns the pool.
    #[error("the pool belongs to the process that made it, and this process is a fork of that one")]
    Forked,
    /// A resource of the engine itself cannot be had.
    #[error("the engine cannot {what}: {source}")]
    Resource {
        /// What was tried, as a verb phrase.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The engine failed by a fault of its own; every task has been ended with this text.
    #[error("the engine failed by a fault of its own: {0}")]
    Fault(String),
    /// A number in the configuration is out of range.
    #[error("{name} must be {must}")]
    Config {
        /// The setting.
        name: &'static str,
        /// What it must be.
        must: &'static str,
    },
}

impl EngineError {
    pub(crate) fn resource(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Resource { what, source }
    }

    /// The same refusal once more, for whoever else it is about.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::ShutDown => Self::ShutDown,
            Self::Broken(reason) => Self::Broken(*reason),
            Self::Forked => Self::Forked,
            Self::Resource { what, source } => Self::Resource {
                what,
                source: match source.raw_os_error() {
                    Some(errno) => io::Error::from_raw_os_error(errno),
                    None => io::Error::new(source.kind(), source.to_string()),
                },
            },
            Self::Fault(text) => Self::Fault(text.clone()),
            Self::Config { name, must } => Self::Config { name, must },
        }
    }
}
