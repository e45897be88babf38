//! A front that keeps deliveries until a thread of the language takes them.
//!
//! Owner: the order in which they are taken. It calls nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loky_core::ids::TaskId;

use crate::answer::Answer;
use crate::front::{Delivery, Front, TaskEnd};

/// Deliveries that wait for a thread of the language.
///
/// It wakes that thread once for all that one turn of the engine delivers: a wake-up costs more than
/// what it brings.
#[derive(Default)]
pub struct Inbox {
    shelf: Mutex<Shelf>,
    filled: Condvar,
}

#[derive(Default)]
struct Shelf {
    deliveries: VecDeque<Delivery>,
    /// Somebody waits and has not been woken.
    awaited: bool,
    /// Answers that somebody else is telling.
    lent: usize,
}

impl Shelf {
    /// Whether there is something to take: the end of all is not told before what is lent.
    fn has_more(&self) -> bool {
        match self.deliveries.front() {
            None => false,
            Some(Delivery::Stopped) => self.lent == 0,
            Some(_) => true,
        }
    }

    fn take(&mut self) -> VecDeque<Delivery> {
        self.awaited = false;
        let mut taken = std::mem::take(&mut self.deliveries);
        let early = self.lent > 0 && matches!(taken.back(), Some(Delivery::Stopped));
        if early {
            self.deliveries.extend(taken.pop_back());
        }
        taken
    }
}

impl Inbox {
    /// An empty inbox.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for deliveries and takes all there are, in order.
    pub fn take(&self) -> VecDeque<Delivery> {
        let mut kept = self.lock();
        while !kept.has_more() {
            kept.awaited = true;
            kept = self
                .filled
                .wait(kept)
                .unwrap_or_else(PoisonError::into_inner);
        }
        kept.take()
    }

    /// As `take`, and empty-handed after `timeout`.
    pub fn take_within(&self, timeout: Duration) -> VecDeque<Delivery> {
        let waited = self
            .filled
            .wait_timeout_while(self.lock(), timeout, |kept| {
                kept.awaited = !kept.has_more();
                kept.awaited
            });
        let (mut kept, _) = waited.unwrap_or_else(PoisonError::into_inner);
        kept.take()
    }

    /// Takes the answer of a task where that is the next delivery, to be told by who waits for it. What
    /// came before is not overtaken, and the end of all is not told before this has been.
    pub fn borrow_answer_of(self: &Arc<Self>, task: TaskId) -> Option<Borrowed> {
        let mut kept = self.lock();
        match kept.deliveries.front() {
            Some(Delivery::Ended {
                task: ended,
                end: TaskEnd::Value(_) | TaskEnd::Raised(_),
            }) if *ended == task => {}
            Some(_) | None => return None,
        }
        let delivery = kept.deliveries.pop_front();
        kept.lent += 1;
        Some(Borrowed {
            inbox: Arc::clone(self),
            delivery,
        })
    }

    fn wake(&self, mut kept: MutexGuard<'_, Shelf>) {
        if kept.has_more() && std::mem::take(&mut kept.awaited) {
            drop(kept);
            self.filled.notify_all();
        }
    }
}

impl Front for Inbox {
    fn deliver(&self, delivery: Delivery) {
        self.lock().deliveries.push_back(delivery);
    }

    fn settle(&self) {
        self.wake(self.lock());
    }
}

/// An answer that is being told. Dropped before it is settled, it goes back and is delivered as any
/// other.
pub struct Borrowed {
    inbox: Arc<Inbox>,
    delivery: Option<Delivery>,
}

impl Borrowed {
    /// The answer, and whether it is an error that the task raised.
    pub fn answer(&self) -> Option<(&Answer, bool)> {
        match &self.delivery {
            Some(Delivery::Ended {
                end: TaskEnd::Value(answer),
                ..
            }) => Some((answer, false)),
            Some(Delivery::Ended {
                end: TaskEnd::Raised(answer),
                ..
            }) => Some((answer, true)),
            Some(_) | None => None,
        }
    }

    /// It has been told.
    pub fn settle(&mut self) {
        self.delivery = None;
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let mut kept = self.inbox.lock();
        kept.lent = kept.lent.saturating_sub(1);
        if let Some(delivery) = self.delivery.take() {
            kept.deliveries.push_front(delivery);
        }
        self.inbox.wake(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::AnswerStream;

    const NONE: Duration = Duration::ZERO;

    fn inbox_with(tasks: &[u64]) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::new());
        for task in tasks {
            inbox.deliver(Delivery::Ended {
                task: TaskId(*task),
                end: TaskEnd::Value(Answer {
                    stream: AnswerStream::Inline(vec![7]),
                    buffers: Vec::new(),
                }),
            });
        }
        inbox
    }

    fn numbers(deliveries: &VecDeque<Delivery>) -> Vec<u64> {
        let number = |delivery: &Delivery| match delivery {
            Delivery::Ended { task, .. } => task.0,
            Delivery::Stopped => 0,
            _ => u64::MAX,
        };
        deliveries.iter().map(number).collect()
    }

    #[test]
    fn an_answer_is_borrowed_only_where_it_overtakes_nothing() {
        let inbox = inbox_with(&[1, 2]);
        assert!(inbox.borrow_answer_of(TaskId(2)).is_none());
        let mut first = inbox.borrow_answer_of(TaskId(1)).unwrap();
        assert!(matches!(first.answer(), Some((_, false))));
        first.settle();
        drop(first);
        assert_eq!(numbers(&inbox.take_within(NONE)), [2]);
        assert!(inbox.borrow_answer_of(TaskId(1)).is_none());
    }

    #[test]
    fn an_answer_that_was_not_told_goes_back() {
        let inbox = inbox_with(&[1, 2]);
        drop(inbox.borrow_answer_of(TaskId(1)));
        assert_eq!(numbers(&inbox.take_within(NONE)), [1, 2]);
    }

    #[test]
    fn the_end_of_all_waits_for_what_is_lent() {
        let inbox = inbox_with(&[1, 2]);
        let mut first = inbox.borrow_answer_of(TaskId(1)).unwrap();
        inbox.deliver(Delivery::Stopped);
        assert_eq!(numbers(&inbox.take_within(NONE)), [2]);
        assert!(inbox.take_within(NONE).is_empty());
        let waiting = {
            let inbox = Arc::clone(&inbox);
            std::thread::spawn(move || numbers(&inbox.take()))
        };
        first.settle();
        drop(first);
        assert_eq!(waiting.join().unwrap(), [0]);
    }
}
