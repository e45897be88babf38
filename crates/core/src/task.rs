//! The tasks that are not over: where each one is, and how often it has been handed out.
//!
//! Owner: the pool. A task that is over is forgotten at once; what remains of it is that its
//! number is not larger than the last one. What only some tasks have stands aside, in their
//! extras. Never decides anything.

use std::collections::BTreeMap;

use crate::ids::{Attempt, TaskId, WorkerId};
use crate::options::TaskOptions;

/// Where a task is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// It waits for a worker.
    Queued,
    /// A worker holds it.
    Sent(WorkerId),
    /// It has failed and waits for the time of its next attempt.
    Resting(u64),
}

/// A task that is not over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Task {
    /// The number of the attempt that was sent last; 0 before the first.
    pub(crate) attempt: Attempt,
    /// There are extras.
    pub(crate) special: bool,
    pub(crate) place: Place,
}

const _: () = assert!(
    size_of::<Task>() <= 24,
    "a task must stay small: there may be millions"
);

/// What is kept of a task about which something was asked for.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Extras {
    pub(crate) options: TaskOptions,
    /// Attempts that have failed and were followed, or are to be followed, by another.
    pub(crate) failures: u32,
    /// When it must have started.
    pub(crate) expires_at_ns: Option<u64>,
    /// When to look at it next.
    pub(crate) look_at_ns: Option<u64>,
    /// When it was handed out last.
    pub(crate) sent_at_ns: u64,
    /// The owner has been told that it is slow.
    pub(crate) told_slow: bool,
    /// Its owner asked for it not to run; it had started, and is not tried again.
    pub(crate) unwanted: bool,
    /// It is to be ended even where it has started, with so much grace.
    pub(crate) force_grace_ns: Option<u64>,
}

impl Extras {
    /// How long after a start there is something to look for first.
    pub(crate) fn first_look_after_ns(&self) -> Option<u64> {
        let slow_ns = self.options.slow_after_ns.filter(|_| !self.told_slow);
        match (self.options.timeout_ns, slow_ns) {
            (Some(timeout_ns), Some(slow_ns)) => Some(timeout_ns.min(slow_ns)),
            (one, other) => one.or(other),
        }
    }
}

/// All unfinished tasks.
#[derive(Default, Debug)]
pub(crate) struct Tasks {
    unfinished: BTreeMap<TaskId, Task>,
    extras: BTreeMap<TaskId, Box<Extras>>,
    last: Option<TaskId>,
}

impl Tasks {
    /// Whether this number is new, that is larger than any before; it is not new afterwards.
    pub(crate) fn admit(&mut self, task: TaskId) -> bool {
        let new = self.last.is_none_or(|last| task > last);
        if new {
            self.last = Some(task);
        }
        new
    }

    pub(crate) fn insert_queued(&mut self, task: TaskId) {
        self.unfinished.insert(
            task,
            Task {
                attempt: Attempt(0),
                special: false,
                place: Place::Queued,
            },
        );
    }

    pub(crate) fn get(&self, task: TaskId) -> Option<Task> {
        self.unfinished.get(&task).copied()
    }

    /// The task goes to a worker; answers it as it is then.
    pub(crate) fn send(&mut self, task: TaskId, worker: WorkerId) -> Option<Task> {
        let entry = self.unfinished.get_mut(&task)?;
        entry.attempt = Attempt(entry.attempt.0.saturating_add(1));
        entry.place = Place::Sent(worker);
        Some(*entry)
    }

    /// The task is somewhere else now.
    pub(crate) fn put(&mut self, task: TaskId, place: Place) {
        if let Some(entry) = self.unfinished.get_mut(&task) {
            entry.place = place;
        }
    }

    /// What stands aside for this task.
    pub(crate) fn extras(&self, task: TaskId) -> Option<&Extras> {
        if self.unfinished.get(&task)?.special {
            self.extras.get(&task).map(Box::as_ref)
        } else {
            None
        }
    }

    /// The same, to be changed.
    pub(crate) fn extras_mut(&mut self, task: TaskId) -> Option<&mut Extras> {
        if self.unfinished.get(&task)?.special {
            self.extras.get_mut(&task).map(Box::as_mut)
        } else {
            None
        }
    }

    /// The same, made where there was nothing; `None` for a task that is over.
    pub(crate) fn need_extras(&mut self, task: TaskId) -> Option<&mut Extras> {
        self.unfinished.get_mut(&task)?.special = true;
        Some(self.extras.entry(task).or_default())
    }

    pub(crate) fn priority(&self, task: TaskId) -> i32 {
        self.extras(task)
            .map_or(0, |extras| extras.options.priority)
    }

    /// The task is over. Answers whether it was not, and what stood aside for it.
    pub(crate) fn remove(&mut self, task: TaskId) -> Option<(Task, Option<Box<Extras>>)> {
        let entry = self.unfinished.remove(&task)?;
        let extras = if entry.special {
            self.extras.remove(&task)
        } else {
            None
        };
        Some((entry, extras))
    }

    pub(crate) fn is_over(&self, task: TaskId) -> bool {
        self.last.is_some_and(|last| task <= last) && !self.unfinished.contains_key(&task)
    }

    /// The lowest number of all.
    pub(crate) fn first(&self) -> Option<TaskId> {
        self.unfinished.first_key_value().map(|(&task, _)| task)
    }

    pub(crate) fn len(&self) -> usize {
        self.unfinished.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unfinished.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TaskId, Task)> + '_ {
        self.unfinished.iter().map(|(&id, &task)| (id, task))
    }

    /// Everything that stands aside.
    pub(crate) fn all_extras(&self) -> impl Iterator<Item = (TaskId, &Extras)> + '_ {
        self.extras
            .iter()
            .map(|(&id, extras)| (id, extras.as_ref()))
    }
}
