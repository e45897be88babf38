//! The children of the zygote: who is a worker, who was there before, who is an orphan; their
//! signals and their ends.
//!
//! Owned by the zygote. Every number that is signalled here is a child that has not been waited
//! for, and this is the only place that waits, so no number can have gone to a stranger. It never
//! decides when to stop, and never touches grandchildren.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use loky_sys::lifeline::LET_LIVE_VARIABLE;
use loky_sys::pidfd;
use loky_sys::process::{self, Reaped};
use loky_sys::signal::{SIGCONT, SIGINT, SIGKILL, SIGTERM, STACK_SIGNAL};

use crate::groups::{GroupOptions, Groups};

/// How often the children are asked for where one of them has no pidfd.
const ASK_INTERVAL_NS: u64 = 20_000_000;

/// How many times one call waits for the ended and lists their orphans.
const ROUNDS_MAX: u32 = 16;

/// The end of a worker.
pub(crate) struct Death {
    pub(crate) worker: u64,
    pub(crate) reaped: Reaped,
    /// A signal that the parent had asked for was sent to it before it ended.
    pub(crate) requested: bool,
    /// The kernel had ended a process of its memory cgroup for the limit of that.
    pub(crate) passed_limit: bool,
}

struct Member {
    worker: u64,
    requested: bool,
}

/// All children of this process.
pub(crate) struct Family {
    workers: BTreeMap<i32, Member>,
    /// Children that were there before the first worker: a preloaded module may have started them.
    residents: BTreeSet<i32>,
    /// Orphans that were sent SIGKILL and have not been waited for.
    doomed: BTreeSet<i32>,
    /// Orphans that a task has meant to live on, by the variable that they were executed with.
    spared: BTreeSet<i32>,
    /// That variable, with the number of this process: a worker of another pool means others.
    let_live: String,
    /// Readable when the process is over; a child without one is asked for at intervals.
    pidfds: BTreeMap<i32, OwnedFd>,
    groups: Groups,
    residents_known: bool,
    /// Orphans may be there that no listing has shown yet.
    listing_due: bool,
}

impl Family {
    pub(crate) fn new(groups: Option<GroupOptions>) -> Self {
        Self {
            groups: Groups::new(groups),
            workers: BTreeMap::new(),
            residents: BTreeSet::new(),
            doomed: BTreeSet::new(),
            spared: BTreeSet::new(),
            let_live: format!("{LET_LIVE_VARIABLE}={}", process::pid()),
            pidfds: BTreeMap::new(),
            residents_known: false,
            listing_due: false,
        }
    }

    /// To be called before each worker is made. Before the first one no child can be a worker's
    /// orphan, so whoever is there belongs to the zygote itself and is left alone.
    pub(crate) fn before_spawn(&mut self) -> io::Result<()> {
        if !self.residents_known {
            self.residents.extend(process::children_of_self()?);
            self.residents_known = true;
        }
        Ok(())
    }

    /// Makes a memory cgroup for a worker that is about to be made, where that is wanted.
    pub(crate) fn make_group(&mut self, worker: u64) -> Option<OwnedFd> {
        self.groups.make(worker)
    }

    /// A worker could not be made.
    pub(crate) fn forget_group(&mut self, worker: u64) {
        self.groups.dismiss(worker);
    }

    /// A child of this process is this worker.
    pub(crate) fn add_worker(&mut self, worker: u64, pid: i32) {
        self.workers.insert(
            pid,
            Member {
                worker,
                requested: false,
            },
        );
        self.watch(pid);
    }

    /// Sends a signal to a worker. One that is unknown or has been waited for is left alone.
    pub(crate) fn signal(&mut self, worker: u64, signal: i32) {
        for (pid, member) in &mut self.workers {
            if member.worker == worker && process::kill(*pid, signal).is_ok() {
                if signal == SIGTERM {
                    // A stopped process takes this one only when it goes on.
                    drop(process::kill(*pid, SIGCONT));
                }
                // A worker survives these two.
                member.requested |= signal != SIGINT && signal != STACK_SIGNAL;
            }
        }
    }

    /// Waits for all that have ended, and kills what they left behind: as long as somebody ends,
    /// his children may have come to this process.
    ///
    /// An orphan that forks without end could keep this going for ever, so it stops after some
    /// rounds; the pidfds and the interval bring the caller back.
    pub(crate) fn reap(&mut self, deaths: &mut Vec<Death>) -> io::Result<()> {
        for _ in 0..ROUNDS_MAX {
            self.collect_ended(deaths)?;
            if !self.listing_due {
                break;
            }
            self.kill_orphans();
        }
        self.groups.sweep();
        Ok(())
    }

    fn collect_ended(&mut self, deaths: &mut Vec<Death>) -> io::Result<()> {
        while let Some(reaped) = process::wait_any()? {
            self.pidfds.remove(&reaped.pid);
            self.doomed.remove(&reaped.pid);
            self.spared.remove(&reaped.pid);
            self.listing_due |= !self.residents.remove(&reaped.pid);
            if let Some(member) = self.workers.remove(&reaped.pid) {
                deaths.push(Death {
                    worker: member.worker,
                    requested: member.requested,
                    passed_limit: self.groups.dismiss(member.worker),
                    reaped,
                });
            }
        }
        Ok(())
    }

    /// Sends SIGKILL to every child that is neither a worker nor a resident. Without a listing
    /// (the table of descriptors is full) it stays due.
    fn kill_orphans(&mut self) {
        let Ok(children) = process::children_of_self() else {
            return;
        };
        // A list may lack somebody who is taken over while it is read, so the last one is the one
        // that shows nobody new.
        self.listing_due = false;
        for pid in children {
            if !self.workers.contains_key(&pid) && !self.residents.contains(&pid) {
                self.listing_due |= self.doom(pid);
            }
        }
    }

    /// Sends SIGKILL to every child without exception, as the parent's wish.
    pub(crate) fn kill_all(&mut self) {
        self.residents_known = true;
        self.residents.clear();
        for (pid, member) in &mut self.workers {
            // The child has not been waited for, so the call reaches it or its remains.
            member.requested |= process::kill(*pid, SIGKILL).is_ok();
        }
        // Without a listing the workers are killed all the same, and the rest as soon as one of
        // the intervals finds the means to list it.
        self.listing_due = true;
        self.kill_orphans();
    }

    /// Sends SIGKILL to an orphan, unless it is meant to live. Whether that is news.
    fn doom(&mut self, pid: i32) -> bool {
        if self.spared.contains(&pid) {
            return false;
        }
        match process::was_given(pid, &self.let_live) {
            Ok(true) => return self.spared.insert(pid),
            Ok(false) => {}
            // It is not killed before that is known: the next list has it again.
            Err(_) => return true,
        }
        let news = process::kill(pid, SIGKILL).is_ok() && self.doomed.insert(pid);
        if news {
            self.watch(pid);
        }
        news
    }

    fn watch(&mut self, pid: i32) {
        // A full table or a system without pidfds leaves the child to the interval.
        if let Ok(Some(pidfd)) = pidfd::open(pid) {
            self.pidfds.insert(pid, pidfd);
        }
    }

    /// Whether nobody is left but those who are meant to live.
    pub(crate) fn is_over(&self) -> bool {
        // The kernel is asked, for a listing of children may have been impossible.
        if !process::has_children().unwrap_or(true) {
            return !self.groups.has_remains();
        }
        let only_spared = |children: Vec<i32>| children.iter().all(|pid| self.spared.contains(pid));
        !self.spared.is_empty() && process::children_of_self().is_ok_and(only_spared)
    }

    /// What to poll for readability: readable means that somebody has ended.
    pub(crate) fn pidfds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pidfds.values().map(AsFd::as_fd)
    }

    /// How long a poll may last before [`Self::reap`] has to be called again.
    pub(crate) fn interval_ns(&self) -> Option<u64> {
        let unwatched = self.workers.len() + self.doomed.len() > self.pidfds.len();
        let waiting = unwatched || self.listing_due || self.groups.has_remains();
        waiting.then_some(ASK_INTERVAL_NS)
    }
}
