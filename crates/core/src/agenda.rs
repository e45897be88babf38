//! What is to be done at a time, should nothing come in between: deadlines, waits, stages.
//!
//! Owner: the pool. Every entry is also written where it belongs, at the task or the worker, and is
//! struck out when that is over; so there is never one for nobody. Never decides anything.

use std::collections::BTreeSet;

use crate::ids::{TaskId, WorkerId};

/// Something that is due at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Due {
    /// The task must have started by now.
    Expire(TaskId),
    /// The task may be tried again.
    Resume(TaskId),
    /// Time to look whether the task has started, and how long it has been running.
    Look(TaskId),
    /// The worker has had its grace: the next stage.
    Escalate(WorkerId),
    /// The worker should have been ready by now.
    StartOver(WorkerId),
}

/// All that is due, in order of time.
#[derive(Default, Debug)]
pub(crate) struct Agenda {
    items: BTreeSet<(u64, Due)>,
}

impl Agenda {
    pub(crate) fn enter(&mut self, at_ns: u64, due: Due) {
        self.items.insert((at_ns, due));
    }

    pub(crate) fn strike(&mut self, at_ns: Option<u64>, due: Due) {
        if let Some(at_ns) = at_ns {
            self.items.remove(&(at_ns, due));
        }
    }

    pub(crate) fn first_at_ns(&self) -> Option<u64> {
        self.items.first().map(|&(at_ns, _)| at_ns)
    }

    /// Takes out the first thing whose time has come.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Option<Due> {
        if self.first_at_ns()? > now_ns {
            return None;
        }
        self.items.pop_first().map(|(_, due)| due)
    }

    /// Everything, for a comparison with what it should be.
    pub(crate) fn items(&self) -> &BTreeSet<(u64, Due)> {
        &self.items
    }
}
