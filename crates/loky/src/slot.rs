//! Where the end of one task is put down, and who waits for it.
//!
//! Shared by the future of the task and by the courier, which fills it under the pool's lock: so
//! filling wakes threads, and hands wakers over to somebody else, but never calls them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use loky_engine::front::TaskEnd;

/// The end of one task.
pub(crate) struct Slot {
    task: &'static str,
    label: Option<Arc<str>>,
    end: OnceLock<TaskEnd>,
    watchers: Mutex<Watchers>,
    filled: Condvar,
}

/// Who is to be told that an end has been put down.
pub(crate) struct Filled {
    /// Threads wait.
    pub(crate) is_awaited: bool,
    /// Somebody sleeps over his arrivals.
    pub(crate) arrivals: Option<Arc<Arrivals>>,
    pub(crate) waker: Option<Waker>,
}

#[derive(Default)]
struct Watchers {
    /// How many threads wait: nobody is woken by a call of the system where nobody waits.
    threads: usize,
    waker: Option<Waker>,
    arrivals: Option<(Arc<Arrivals>, u64)>,
}

impl Slot {
    pub(crate) fn new(task: &'static str, label: Option<Arc<str>>) -> Self {
        Self {
            task,
            label,
            end: OnceLock::new(),
            watchers: Mutex::default(),
            filled: Condvar::new(),
        }
    }

    /// The name of the task.
    pub(crate) fn task(&self) -> &'static str {
        self.task
    }

    /// What the task is called beside that.
    pub(crate) fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// The end, if it has come.
    pub(crate) fn end(&self) -> Option<&TaskEnd> {
        self.end.get()
    }

    /// Puts the end down. Threads that wait are not woken yet, nor is the waker called: that is for
    /// whoever may, at the right time.
    pub(crate) fn fill(&self, end: TaskEnd) -> Filled {
        let mut watchers = self.lock();
        // A task ends once; a second end would be a fault of the engine, and the first one counts.
        let is_first = self.end.set(end).is_ok();
        debug_assert!(is_first, "a task ended twice");
        let waker = watchers.waker.take();
        let arrivals = watchers.arrivals.take();
        let is_awaited = watchers.threads > 0;
        drop(watchers);
        let arrivals = arrivals.filter(|(arrivals, ticket)| arrivals.push(*ticket));
        Filled {
            is_awaited,
            arrivals: arrivals.map(|(arrivals, _)| arrivals),
            waker,
        }
    }

    /// Wakes the threads that wait for the end.
    pub(crate) fn wake(&self) {
        self.filled.notify_all();
    }

    /// Waits for the end; `None` when the deadline passes first.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Option<&TaskEnd> {
        if let Some(end) = self.end.get() {
            return Some(end);
        }
        let mut watchers = self.lock();
        watchers.threads += 1;
        while self.end.get().is_none() {
            let Some(deadline) = deadline else {
                watchers = self
                    .filled
                    .wait(watchers)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break;
            }
            let waited = self.filled.wait_timeout(watchers, left);
            (watchers, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        watchers.threads -= 1;
        drop(watchers);
        self.end.get()
    }

    /// The end, or a promise to hand over the waker when it comes. The last waker counts.
    pub(crate) fn poll(&self, waker: &Waker) -> Option<&TaskEnd> {
        if self.end.get().is_none() {
            let mut watchers = self.lock();
            if self.end.get().is_none() {
                match &mut watchers.waker {
                    Some(known) => known.clone_from(waker),
                    none => *none = Some(waker.clone()),
                }
            }
        }
        self.end.get()
    }

    /// Tells `arrivals` of this ticket when the end comes, or at once.
    pub(crate) fn announce(&self, arrivals: &Arc<Arrivals>, ticket: u64) {
        let mut watchers = self.lock();
        if self.end.get().is_none() {
            watchers.arrivals = Some((Arc::clone(arrivals), ticket));
        } else {
            drop(watchers);
            if arrivals.push(ticket) {
                arrivals.wake();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tickets of tasks that have ended, in the order in which they did.
#[derive(Default)]
pub(crate) struct Arrivals {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    tickets: VecDeque<u64>,
    /// Somebody sleeps, and nobody has been asked to wake him.
    is_awaited: bool,
}

impl Arrivals {
    /// Puts a ticket down; whether somebody is to be woken for it.
    #[must_use = "somebody may sleep"]
    fn push(&self, ticket: u64) -> bool {
        let mut queue = self.lock();
        queue.tickets.push_back(ticket);
        std::mem::take(&mut queue.is_awaited)
    }

    pub(crate) fn wake(&self) {
        self.filled.notify_all();
    }

    /// Waits for the next one.
    pub(crate) fn take(&self) -> u64 {
        let mut queue = self.lock();
        loop {
            if let Some(ticket) = queue.tickets.pop_front() {
                queue.is_awaited = false;
                return ticket;
            }
            queue.is_awaited = true;
            let waited = self.filled.wait(queue);
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
