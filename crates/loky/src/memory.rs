//! How a pool keeps its limit on memory, found out when it is made.
//!
//! The zygote makes the groups; here it is only decided whether it is told to.

use std::path::{Path, PathBuf};

use loky_engine::machine::LimitMechanism;
use loky_worker::GroupOptions;

/// What keeps the limits on memory of a pool: see [`Builder::memory_limit`](crate::Builder::memory_limit).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum MemoryMechanism {
    /// The pool looks at the resident memory of workers that run a task under a limit, at short intervals.
    Sampling,
    /// Each worker is in a memory cgroup of its own below this one, so that the kernel keeps the limit of
    /// the pool; and the pool looks, too.
    Group(PathBuf),
}

impl MemoryMechanism {
    /// That of a pool with this limit, where `named` is meant for its groups. A group that cannot be used
    /// is none.
    pub(crate) fn of_pool(limit_bytes: Option<u64>, named: Option<&Path>) -> Self {
        if limit_bytes.is_none() {
            return Self::Sampling;
        }
        match LimitMechanism::look(named) {
            LimitMechanism::Sampling => Self::Sampling,
            // The zygote may be in another directory one day.
            LimitMechanism::Group(folder) => {
                Self::Group(std::path::absolute(&folder).unwrap_or(folder))
            }
        }
    }

    /// What the zygote has to know of it.
    pub(crate) fn groups(&self, limit_bytes: Option<u64>) -> Option<GroupOptions> {
        match (self, limit_bytes) {
            (Self::Group(below), Some(limit_bytes)) => Some(GroupOptions {
                below: below.clone(),
                limit_bytes,
            }),
            (Self::Group(_) | Self::Sampling, _) => None,
        }
    }
}
