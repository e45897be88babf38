//! Takes what the engine delivers to where it is waited for.
//!
//! Called under the pool's lock, it only files ends into slots. What may call foreign code or the
//! pool (wakers, the description of workers' surroundings), or takes long, is an errand for a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use loky_engine::TaskId;
use loky_engine::front::{Buffer, Delivery, Front, TaskEnd};
use loky_engine::numbers::ByNumber;
use loky_engine::report::Breakage;

use crate::slot::{Arrivals, Slot};
use crate::slow::SlowTask;

/// Fewer bytes are let go of at once: that takes less time than waking a thread.
const LET_GO_MIN: usize = 256 << 10;

/// Something to do that may not be done under the pool's lock.
pub(crate) enum Errand {
    /// Wake an asynchronous task.
    Wake(Waker),
    /// Tell of a task that is slow.
    Tell(SlowTask),
    /// Describe the surroundings of workers.
    DescribeSetup,
    /// Let go of buffers whose memory goes back to the system, page by page.
    LetGo(Vec<Box<dyn Buffer>>),
    /// Nothing more will come.
    End,
}

/// The front of one pool.
pub(crate) struct Courier {
    ledger: Mutex<Ledger>,
    errands: Sender<Errand>,
    setup_wanted: AtomicBool,
    breakage: OnceLock<Arc<Breakage>>,
}

/// A thread, or several, that wait for what has come.
enum Sleeper {
    /// For the end of one task.
    Waiter(Arc<Slot>),
    /// For the end of any of several.
    Collector(Arc<Arrivals>),
}

/// Whom a task belongs to. The engine may deliver an end before its submitter has come to say whose
/// task it is.
#[derive(Default)]
struct Ledger {
    awaited: Ids<Arc<Slot>>,
    early: Ids<TaskEnd>,
    /// Who sleeps and has something to wake up for.
    sleepers: Vec<Sleeper>,
    /// What is to be let go of, once the tasks that it was copied for are on their way.
    discarded: Vec<Box<dyn Buffer>>,
}

type Ids<T> = ByNumber<TaskId, T>;

impl Courier {
    /// A courier, and the errands that it will have.
    pub(crate) fn new() -> (Self, Receiver<Errand>) {
        let (errands, queue) = channel();
        let courier = Self {
            ledger: Mutex::default(),
            errands,
            setup_wanted: AtomicBool::new(false),
            breakage: OnceLock::new(),
        };
        (courier, queue)
    }

    /// Says whose task this is.
    pub(crate) fn expect(&self, task: TaskId, slot: &Arc<Slot>) {
        let mut ledger = self.lock();
        if let Some(end) = ledger.early.remove(&task) {
            drop(ledger);
            // Nobody has seen the slot yet, so nobody is to be woken.
            drop(slot.fill(end));
        } else {
            ledger.awaited.insert(task, Arc::clone(slot));
        }
    }

    /// The same for several tasks.
    pub(crate) fn expect_all<'a>(&self, tasks: impl Iterator<Item = &'a (TaskId, Arc<Slot>)>) {
        let mut ledger = self.lock();
        for (task, slot) in tasks {
            match ledger.early.remove(task) {
                // Nobody has seen the slot yet, so nobody is to be woken.
                Some(end) => drop(slot.fill(end)),
                None => drop(ledger.awaited.insert(*task, Arc::clone(slot))),
            }
        }
    }

    /// Whether somebody has to describe the surroundings of workers; whoever asks does it.
    pub(crate) fn takes_setup(&self) -> bool {
        self.setup_wanted.load(Ordering::Relaxed)
            && self.setup_wanted.swap(false, Ordering::Relaxed)
    }

    /// What broke the pool.
    pub(crate) fn breakage(&self) -> Option<&Breakage> {
        self.breakage.get().map(Arc::as_ref)
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, task: TaskId, end: TaskEnd) {
        let mut ledger = self.lock();
        let Some(slot) = ledger.awaited.remove(&task) else {
            ledger.early.insert(task, end);
            return;
        };
        let filled = slot.fill(end);
        if filled.is_awaited {
            ledger.sleepers.push(Sleeper::Waiter(slot));
        }
        if let Some(arrivals) = filled.arrivals {
            ledger.sleepers.push(Sleeper::Collector(arrivals));
        }
        drop(ledger);
        if let Some(waker) = filled.waker {
            self.order(Errand::Wake(waker));
        }
    }

    /// A task whose submitter has not come yet has not been running for long.
    fn slow(&self, task: TaskId, running: Duration, pid: i32, doing: String) {
        let slot = self.lock().awaited.get(&task).cloned();
        if let Some(slot) = slot {
            self.order(Errand::Tell(SlowTask {
                task: slot.task(),
                label: slot.label().map(str::to_owned),
                running,
                pid,
                doing,
            }));
        }
    }

    /// Giving much memory back takes milliseconds, in which nobody could come to the pool and the task that
    /// it was copied for would not be on its way.
    fn let_go(&self, mut buffers: Vec<Box<dyn Buffer>>) {
        let lens = buffers.iter().map(|buffer| buffer.bytes().len());
        if lens.fold(0, usize::saturating_add) >= LET_GO_MIN {
            self.lock().discarded.append(&mut buffers);
        }
    }

    /// Once the thread for errands has ended there is nobody left to wake or to set up.
    fn order(&self, errand: Errand) {
        drop(self.errands.send(errand));
    }
}

impl Front for Courier {
    /// Wakes threads once for all that has come: whoever is woken takes all of it, and does not
    /// contend with what is still being delivered.
    fn settle(&self) {
        let mut ledger = self.lock();
        let sleepers = std::mem::take(&mut ledger.sleepers);
        let discarded = std::mem::take(&mut ledger.discarded);
        drop(ledger);
        for sleeper in sleepers {
            match sleeper {
                Sleeper::Waiter(slot) => slot.wake(),
                Sleeper::Collector(arrivals) => arrivals.wake(),
            }
        }
        if !discarded.is_empty() {
            self.order(Errand::LetGo(discarded));
        }
    }

    fn deliver(&self, delivery: Delivery) {
        match delivery {
            Delivery::Ended { task, end } => self.ended(task, end),
            Delivery::SetupWanted => {
                self.setup_wanted.store(true, Ordering::Relaxed);
                self.order(Errand::DescribeSetup);
            }
            Delivery::Broke(breakage) => drop(self.breakage.set(breakage)),
            Delivery::Stopped => self.order(Errand::End),
            Delivery::Discarded(buffers) => self.let_go(buffers),
            // News that nobody has asked for.
            Delivery::WorkerGone { .. } | Delivery::Notice(_) => {}
            Delivery::Slow {
                task,
                ran_ns,
                pid,
                stack,
            } => self.slow(task, Duration::from_nanos(ran_ns), pid, stack),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many bytes, and whether they are still there.
    struct Bytes(Vec<u8>, Arc<AtomicBool>);

    impl Bytes {
        fn watched(len: usize) -> (Box<dyn Buffer>, Arc<AtomicBool>) {
            let is_there = Arc::new(AtomicBool::new(true));
            (
                Box::new(Self(vec![0; len], Arc::clone(&is_there))),
                is_there,
            )
        }
    }

    impl Buffer for Bytes {
        fn bytes(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Bytes {
        fn drop(&mut self) {
            self.1.store(false, Ordering::Relaxed);
        }
    }

    #[test]
    fn much_memory_is_let_go_of_as_an_errand_once_all_has_been_written() {
        let (courier, errands) = Courier::new();
        let (buffer, is_there) = Bytes::watched(LET_GO_MIN);
        courier.deliver(Delivery::Discarded(vec![buffer]));
        assert!(errands.try_recv().is_err());
        courier.settle();
        let errand = errands.try_recv().ok();
        assert!(matches!(errand, Some(Errand::LetGo(_))));
        assert!(is_there.load(Ordering::Relaxed));
        drop(errand);
        assert!(!is_there.load(Ordering::Relaxed));
    }

    #[test]
    fn little_memory_is_let_go_of_at_once() {
        let (courier, errands) = Courier::new();
        let (buffer, is_there) = Bytes::watched(LET_GO_MIN - 1);
        courier.deliver(Delivery::Discarded(vec![buffer]));
        assert!(!is_there.load(Ordering::Relaxed));
        courier.settle();
        assert!(errands.try_recv().is_err());
    }
}
