//! The tasks that wait for a worker, in the order in which they will be handed out.
//!
//! Owner: the pool. A ticket names a place in the queue, so that a task in the middle can be
//! withdrawn without a search. Never knows why a task waits.

use std::collections::BTreeMap;

use crate::ids::TaskId;

/// A place in the queue. Smaller is earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Ticket(i64);

/// The waiting tasks.
#[derive(Default, Debug)]
pub(crate) struct Queue {
    places: BTreeMap<Ticket, TaskId>,
    /// One past the place that was given last at the back.
    back: i64,
    /// The place that was given last at the front.
    front: i64,
}

impl Queue {
    pub(crate) fn push_back(&mut self, task: TaskId) -> Ticket {
        let ticket = Ticket(self.back);
        self.back = self.back.saturating_add(1);
        self.places.insert(ticket, task);
        ticket
    }

    pub(crate) fn push_front(&mut self, task: TaskId) -> Ticket {
        self.front = self.front.saturating_sub(1);
        let ticket = Ticket(self.front);
        self.places.insert(ticket, task);
        ticket
    }

    pub(crate) fn pop_front(&mut self) -> Option<TaskId> {
        self.places.pop_first().map(|(_, task)| task)
    }

    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<TaskId> {
        self.places.remove(&ticket)
    }

    /// Takes everything out, first to last.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = TaskId> + use<> {
        std::mem::take(&mut self.places).into_values()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ticket, TaskId)> + '_ {
        self.places.iter().map(|(&ticket, &task)| (ticket, task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_served_before_the_back_and_a_ticket_withdraws_its_task_alone() {
        let mut queue = Queue::default();
        let first = queue.push_back(TaskId(1));
        queue.push_back(TaskId(2));
        queue.push_front(TaskId(4));
        queue.push_front(TaskId(3));
        assert_eq!(queue.remove(first), Some(TaskId(1)));
        assert_eq!(queue.remove(first), None);
        assert_eq!(queue.len(), 3);
        let order: Vec<TaskId> = std::iter::from_fn(|| queue.pop_front()).collect();
        assert_eq!(order, [TaskId(3), TaskId(4), TaskId(2)]);
        assert!(queue.is_empty());
    }
}
