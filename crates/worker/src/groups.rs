//! A memory cgroup for each worker: made before it is told of, removed when it is gone.
//!
//! Owned by the zygote, which is the only one that can name a worker by its number without fear, and that
//! outlives it. Where a group cannot be made the worker goes without: its limit is kept by looking at
//! it, too. It never makes a group but below the one that it was given.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use loky_sys::cgroup::MemoryGroup;
use loky_sys::{errno, process};

/// Where the groups are made, and their limit.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// The folder of a memory cgroup that has been handed over for this.
    pub below: PathBuf,
    /// What the processes of one worker may have.
    pub limit_bytes: u64,
}

/// The groups of the workers that live, and those that could not be removed yet.
pub(crate) struct Groups {
    below: Option<(MemoryGroup, u64)>,
    of_workers: BTreeMap<u64, MemoryGroup>,
    empty_soon: Vec<MemoryGroup>,
}

impl Groups {
    pub(crate) fn new(options: Option<GroupOptions>) -> Self {
        let below = options
            .and_then(|options| Some((MemoryGroup::at(&options.below)?, options.limit_bytes)));
        if let Some((below, _)) = &below {
            remove_forsaken(below);
        }
        Self {
            below,
            of_workers: BTreeMap::new(),
            empty_soon: Vec::new(),
        }
    }

    /// Makes a group for a worker that is about to be made, which enters it by this door before it does
    /// anything else: so it has done nothing outside of it, whenever it gets its first task.
    pub(crate) fn make(&mut self, worker: u64) -> Option<OwnedFd> {
        let (below, limit_bytes) = self.below.as_ref()?;
        let name = format!("loky-{}-{worker}", process::pid());
        let group = below.make_below(&name, *limit_bytes).ok()?;
        let door = group.door();
        if door.is_ok() {
            self.of_workers.insert(worker, group);
        } else {
            self.empty_soon.push(group);
        }
        door.ok()
    }

    /// A worker has been waited for, or could not be made. Answers whether the kernel has ended a process of its group for
    /// its limit. Whoever is left in the group is an orphan and is killed as one.
    pub(crate) fn dismiss(&mut self, worker: u64) -> bool {
        let Some(group) = self.of_workers.remove(&worker) else {
            return false;
        };
        let passed = group.counters().kills.is_some_and(|kills| kills > 0);
        self.empty_soon.push(group);
        self.sweep();
        passed
    }

    /// Removes the groups whose last process is gone.
    pub(crate) fn sweep(&mut self) {
        self.empty_soon.retain(|group| group.remove().is_err());
    }

    /// Whether [`Self::sweep`] has to be called again after a while.
    pub(crate) fn has_remains(&self) -> bool {
        !self.empty_soon.is_empty()
    }
}

/// Removes the groups of zygotes that were killed. One that still has processes stays.
fn remove_forsaken(below: &MemoryGroup) {
    let Ok(entries) = std::fs::read_dir(below.folder()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let zygote = name
            .to_str()
            .and_then(|name| name.strip_prefix("loky-")?.split_once('-'))
            .and_then(|(zygote, _)| zygote.parse::<i32>().ok());
        if zygote.is_some_and(|zygote| zygote > 1 && is_gone(zygote)) {
            drop(std::fs::remove_dir(entry.path()));
        }
    }
}

/// Whether there is no process of this number.
fn is_gone(pid: i32) -> bool {
    process::kill(pid, 0).is_err_and(|error| error.raw_os_error() == Some(errno::ESRCH))
}
