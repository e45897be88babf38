//! What a pool has done in its life, and how it stands at this moment, for its owner to read.
//!
//! What the core counts is taken from it; what only the engine sees is counted here, where it
//! happens. Nothing here decides anything.

use std::collections::BTreeMap;

use loky_core::Statistics;
use loky_core::effect::Departure;
use loky_wire::SlotState;
use loky_wire::limits::LEDGER_SLOTS;

use crate::channel::{Channel, Stage};
use crate::front::TaskEnd;
use crate::report::{Cause, CrashReport};
use crate::state::State;

/// How many tasks came to each kind of end.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Ends {
    /// A value came.
    pub values: u64,
    /// An exception came.
    pub raised: u64,
    /// The worker died.
    pub died: u64,
    /// The time of the task had run out.
    pub timed_out: u64,
    /// It had not started in time.
    pub expired: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// The pool broke.
    pub broken: u64,
    /// The pool was shut down.
    pub shut_down: u64,
    /// Its bytes, or those of its answer, could not be handed over.
    pub undeliverable: u64,
}

impl Ends {
    /// Counts the end of a task.
    pub(crate) fn count(&mut self, end: &TaskEnd) {
        let count = match end {
            TaskEnd::Value(_) => &mut self.values,
            TaskEnd::Raised(_) => &mut self.raised,
            TaskEnd::Died(_) => &mut self.died,
            TaskEnd::Broken(_) => &mut self.broken,
            TaskEnd::Cancelled => &mut self.cancelled,
            TaskEnd::TimedOut(_) => &mut self.timed_out,
            TaskEnd::Expired { .. } => &mut self.expired,
            TaskEnd::ShutDown => &mut self.shut_down,
            TaskEnd::Undeliverable { .. } => &mut self.undeliverable,
        };
        *count += 1;
    }
}

/// The workers that a pool has lost, by what ended them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Losses(BTreeMap<&'static str, u64>);

impl Losses {
    /// Counts the end of a worker, unless it was to end anyway.
    pub(crate) fn count(&mut self, departure: Departure, report: &CrashReport) {
        let lost = match departure {
            Departure::Retired(_) => false,
            // At the end of the pool its workers are killed, and are no loss.
            Departure::Killed => report.cause != Cause::Killed,
            Departure::Died => true,
        };
        if lost {
            *self.0.entry(report.cause.name()).or_default() += 1;
        }
    }

    /// The names of the causes, each with a count that is not 0.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(&name, &count)| (name, count))
    }
}

/// What the engine counts beside the core.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) ends: Ends,
    pub(crate) losses: Losses,
    pub(crate) found: u64,
}

/// A pool at one moment of its life.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// What the core has counted.
    pub core: Statistics,
    /// Tasks that were accepted.
    pub accepted: u64,
    /// How those of them ended that are over.
    pub ends: Ends,
    /// Ends that a waiting thread found itself, by a look.
    pub found: u64,
    /// Those that have not ended.
    pub unfinished: u64,
    /// Those of them that a worker has begun and not yet ended.
    pub running: u64,
    /// Workers that have a process.
    pub workers: u64,
    /// Workers that were lost.
    pub losses: Losses,
    /// Bytes of tasks that were copied into shared memory.
    pub copied_bytes: u64,
    /// Bytes of tasks that were not, because they were there already.
    pub recognised_bytes: u64,
    /// Bytes of shared memory that tasks and workers hold.
    pub shared_bytes: u64,
}

impl State {
    /// The pool as it is now.
    pub(crate) fn tally(&self) -> Tally {
        let living = || {
            self.channels
                .values()
                .filter(|channel| channel.stage == Stage::Running)
        };
        let unfinished = self.tasks.len() as u64;
        Tally {
            core: self.core.statistics(),
            accepted: self.task_last,
            ends: self.counts.ends,
            found: self.counts.found,
            unfinished,
            // A claim of an attempt that nobody waits for any more may still stand.
            running: unfinished.min(living().map(running_on).sum()),
            workers: living().count() as u64,
            losses: self.counts.losses.clone(),
            copied_bytes: self.segments.traffic.bytes_copied,
            recognised_bytes: self.segments.traffic.bytes_recognised,
            shared_bytes: self.segments.bytes_in_use(),
        }
    }
}

fn running_on(channel: &Channel) -> u64 {
    let running = (0..LEDGER_SLOTS).filter(|&slot| {
        channel
            .ledger
            .view(slot)
            .is_ok_and(|view| view.state == SlotState::Running)
    });
    running.count() as u64
}
