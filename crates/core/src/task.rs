//! The tasks that are not over: where each one is, and how often it has been handed out.
//!
//! Owner: the pool. A task that is over is forgotten at once; what remains of it is that its
//! number is not larger than the last one. Never decides anything.

use std::collections::BTreeMap;

use crate::ids::{Attempt, TaskId, WorkerId};

/// Where a task is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// It waits.
    Queued,
    /// A worker holds it.
    Sent(WorkerId),
}

/// A task that is not over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Task {
    /// The number of the attempt that was sent last; 0 before the first.
    pub(crate) attempt: Attempt,
    pub(crate) place: Place,
}

const _: () = assert!(
    size_of::<Task>() <= 24,
    "a task must stay small: there may be millions"
);

/// All unfinished tasks.
#[derive(Default, Debug)]
pub(crate) struct Tasks {
    unfinished: BTreeMap<TaskId, Task>,
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
        let place = Place::Queued;
        self.unfinished.insert(
            task,
            Task {
                attempt: Attempt(0),
                place,
            },
        );
    }

    pub(crate) fn get(&self, task: TaskId) -> Option<Task> {
        self.unfinished.get(&task).copied()
    }

    /// The task goes to a worker; answers the number of this attempt.
    pub(crate) fn send(&mut self, task: TaskId, worker: WorkerId) -> Option<Attempt> {
        let entry = self.unfinished.get_mut(&task)?;
        entry.attempt = Attempt(entry.attempt.0.saturating_add(1));
        entry.place = Place::Sent(worker);
        Some(entry.attempt)
    }

    /// The task goes back into the queue.
    pub(crate) fn requeue(&mut self, task: TaskId) {
        if let Some(entry) = self.unfinished.get_mut(&task) {
            entry.place = Place::Queued;
        }
    }

    /// The task is over.
    pub(crate) fn remove(&mut self, task: TaskId) -> bool {
        self.unfinished.remove(&task).is_some()
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
}
