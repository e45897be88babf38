//! Which tasks wait with the same memory: what is found for one is found for all of them.
//!
//! A buffer that may change is what it is at some moment between its submission and its handing over.
//! So when it is compared or copied for one task, all that were submitted before with the very same
//! memory, and hold it still, may have the outcome as well.

use std::collections::{HashMap, HashSet};

use loky_core::ids::TaskId;

use crate::front::Buffer;
use crate::library::LARGE_MIN;

/// Where a buffer lies, and how long it is. While two buffers live, the same address is the same memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Address(usize, usize);

impl Address {
    /// That of a large buffer.
    pub(crate) fn of(buffer: &dyn Buffer) -> Option<Self> {
        let bytes = buffer.bytes();
        (bytes.len() >= LARGE_MIN).then_some(Self(bytes.as_ptr() as usize, bytes.len()))
    }
}

/// Tasks that share the outcome of a job about this memory.
pub(crate) struct Followers {
    pub(crate) address: Address,
    pub(crate) tasks: HashSet<TaskId>,
}

/// The tasks that hold large buffers which have not been copied, by address.
#[derive(Default)]
pub(crate) struct Waiting(HashMap<Address, HashSet<TaskId>>);

impl Waiting {
    /// A task holds a buffer.
    pub(crate) fn add(&mut self, task: TaskId, buffer: &dyn Buffer) {
        if let Some(address) = Address::of(buffer) {
            self.0.entry(address).or_default().insert(task);
        }
    }

    /// It does not any more.
    pub(crate) fn remove(&mut self, task: TaskId, buffer: &dyn Buffer) {
        if let Some(address) = Address::of(buffer)
            && let Some(tasks) = self.0.get_mut(&address)
        {
            tasks.remove(&task);
            if tasks.is_empty() {
                self.0.remove(&address);
            }
        }
    }

    /// A job about a buffer of `task` begins: all that hold the same memory by now may follow.
    pub(crate) fn take(&mut self, task: TaskId, buffer: &dyn Buffer) -> Option<Followers> {
        let address = Address::of(buffer)?;
        let mut tasks = self.0.remove(&address).unwrap_or_default();
        tasks.remove(&task);
        Some(Followers { address, tasks })
    }

    /// The job found nothing: the next one is for all of them.
    pub(crate) fn put_back(&mut self, followers: Followers) {
        if !followers.tasks.is_empty() {
            let tasks = self.0.entry(followers.address).or_default();
            tasks.extend(followers.tasks);
        }
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_with_the_same_memory_follow_and_those_that_come_later_do_not() {
        let (one, other) = (vec![1_u8; LARGE_MIN], vec![1_u8; LARGE_MIN]);
        let mut waiting = Waiting::default();
        for task in 1..5 {
            waiting.add(TaskId(task), &one);
        }
        waiting.add(TaskId(5), &other);
        waiting.remove(TaskId(3), &one);
        let followers = waiting.take(TaskId(1), &one).unwrap();
        assert_eq!(followers.tasks, HashSet::from([TaskId(2), TaskId(4)]));
        waiting.add(TaskId(6), &one);
        let later = waiting.take(TaskId(6), &one).unwrap();
        assert!(later.tasks.is_empty());
        waiting.put_back(followers);
        let again = waiting.take(TaskId(2), &one).unwrap();
        assert_eq!(again.tasks, HashSet::from([TaskId(4)]));
        waiting.remove(TaskId(5), &other);
        assert!(waiting.is_empty());
    }

    #[test]
    fn small_buffers_are_not_kept_in_mind() {
        let mut waiting = Waiting::default();
        waiting.add(TaskId(1), &vec![0_u8; LARGE_MIN - 1]);
        assert!(waiting.is_empty());
        assert!(waiting.take(TaskId(1), &vec![0_u8; 10]).is_none());
    }
}
