//! The tasks that wait for a worker, in the order in which they will be handed out: the higher
//! priority first, and among equals the older task, wherever it has been in between.
//!
//! Owner: the pool. Never knows why a task waits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::ids::TaskId;

/// The waiting tasks.
#[derive(Default, Debug)]
pub(crate) struct Queue {
    /// Those of priority 0: nearly always all of them.
    plain: BTreeSet<TaskId>,
    /// The others by priority, the highest first. No set in it is empty.
    ranked: BTreeMap<Reverse<i32>, BTreeSet<TaskId>>,
    ranked_len: usize,
}

impl Queue {
    pub(crate) fn insert(&mut self, task: TaskId, priority: i32) {
        if priority == 0 {
            self.plain.insert(task);
        } else if self
            .ranked
            .entry(Reverse(priority))
            .or_default()
            .insert(task)
        {
            self.ranked_len += 1;
        }
    }

    pub(crate) fn pop_first(&mut self) -> Option<TaskId> {
        if self.ranked_len == 0 {
            return self.plain.pop_first();
        }
        let (&Reverse(priority), _) = self.ranked.first_key_value()?;
        if priority < 0
            && let Some(task) = self.plain.pop_first()
        {
            return Some(task);
        }
        let task = *self.ranked.get(&Reverse(priority))?.first()?;
        self.remove(task, priority);
        Some(task)
    }

    /// Takes a task out; false where it does not wait with this priority.
    pub(crate) fn remove(&mut self, task: TaskId, priority: i32) -> bool {
        if priority == 0 {
            return self.plain.remove(&task);
        }
        let Some(lane) = self.ranked.get_mut(&Reverse(priority)) else {
            return false;
        };
        let removed = lane.remove(&task);
        if lane.is_empty() {
            self.ranked.remove(&Reverse(priority));
        }
        self.ranked_len -= usize::from(removed);
        removed
    }

    /// Takes everything out, in the order of the tasks' numbers within each priority.
    pub(crate) fn take_all(&mut self) -> Vec<TaskId> {
        let mut all = Vec::with_capacity(self.len());
        while let Some(task) = self.pop_first() {
            all.push(task);
        }
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.plain.len() + self.ranked_len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every task with its priority.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TaskId, i32)> + '_ {
        let plain = self.plain.iter().map(|&task| (task, 0));
        let ranked = self
            .ranked
            .iter()
            .flat_map(|(&Reverse(priority), lane)| lane.iter().map(move |&task| (task, priority)));
        plain.chain(ranked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_goes_first_and_among_equals_the_older() {
        let mut queue = Queue::default();
        for (task, priority) in [(1, 0), (2, -5), (3, 7), (4, 0), (5, 7), (6, i32::MIN)] {
            queue.insert(TaskId(task), priority);
        }
        assert_eq!(queue.len(), 6);
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop_first())
            .map(|task| task.0)
            .collect();
        assert_eq!(order, [3, 5, 1, 4, 2, 6]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_task_that_comes_back_has_its_old_place() {
        let mut queue = Queue::default();
        for task in [1, 2, 3] {
            queue.insert(TaskId(task), 0);
        }
        assert_eq!(queue.pop_first(), Some(TaskId(1)));
        assert!(queue.remove(TaskId(3), 0));
        assert!(!queue.remove(TaskId(3), 0));
        queue.insert(TaskId(1), 0);
        assert_eq!(queue.take_all(), [TaskId(1), TaskId(2)]);
    }
}
