//! The tasks that wait for a worker, in the order in which they will be handed out.
//!
//! Owner: the pool. The order is that of the numbers, which only grow: so whatever comes back from
//! a worker, being older than all that was never sent, stands in front again, in its old order,
//! from however many workers it comes. Never knows why a task waits.

use std::collections::BTreeSet;

use crate::ids::TaskId;

/// The waiting tasks.
#[derive(Default, Debug)]
pub(crate) struct Queue {
    waiting: BTreeSet<TaskId>,
}

impl Queue {
    pub(crate) fn insert(&mut self, task: TaskId) {
        self.waiting.insert(task);
    }

    pub(crate) fn pop_first(&mut self) -> Option<TaskId> {
        self.waiting.pop_first()
    }

    pub(crate) fn remove(&mut self, task: TaskId) {
        self.waiting.remove(&task);
    }

    /// Takes everything out, first to last.
    pub(crate) fn take_all(&mut self) -> BTreeSet<TaskId> {
        std::mem::take(&mut self.waiting)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.waiting.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_stands_in_front_of_what_was_never_sent_and_in_order() {
        let mut queue = Queue::default();
        for task in 1..=5 {
            queue.insert(TaskId(task));
        }
        let sent: Vec<Option<TaskId>> = (0..3).map(|_| queue.pop_first()).collect();
        assert_eq!(sent, [Some(TaskId(1)), Some(TaskId(2)), Some(TaskId(3))]);
        queue.insert(TaskId(3));
        queue.insert(TaskId(1));
        queue.remove(TaskId(4));
        let order: Vec<TaskId> = std::iter::from_fn(|| queue.pop_first()).collect();
        assert_eq!(order, [TaskId(1), TaskId(3), TaskId(5)]);
    }
}
