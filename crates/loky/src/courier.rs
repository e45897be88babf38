//! Takes what the engine delivers to where it is waited for.
//!
//! Called under the pool's lock, it only files ends into slots. What may call foreign code or the
//! pool (wakers, the description of workers' surroundings) is an errand for a thread of its own.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use loky_engine::TaskId;
use loky_engine::front::{Delivery, Front, TaskEnd};
use loky_engine::report::Breakage;

use crate::slot::{Arrivals, Slot};
use crate::slow::SlowTask;

/// Something to do that may not be done under the pool's lock.
pub(crate) enum Errand {
    /// Wake an asynchronous task.
    Wake(Waker),
    /// Tell of a task that is slow.
    Tell(SlowTask),
    /// Describe the surroundings of workers.
    DescribeSetup,
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
}

type Ids<T> = HashMap<TaskId, T, BuildHasherDefault<NumberHasher>>;

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

    /// Once the thread for errands has ended there is nobody left to wake or to set up.
    fn order(&self, errand: Errand) {
        drop(self.errands.send(errand));
    }
}

impl Front for Courier {
    /// Wakes threads once for all that has come: whoever is woken takes all of it, and does not
    /// contend with what is still being delivered.
    fn settle(&self) {
        let sleepers = std::mem::take(&mut self.lock().sleepers);
        for sleeper in sleepers {
            match sleeper {
                Sleeper::Waiter(slot) => slot.wake(),
                Sleeper::Collector(arrivals) => arrivals.wake(),
            }
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
            // Plain memory, and news that nobody has asked for.
            Delivery::Discarded(_) | Delivery::WorkerGone { .. } | Delivery::Notice(_) => {}
            Delivery::Slow {
                task,
                ran_ns,
                pid,
                stack,
            } => self.slow(task, Duration::from_nanos(ran_ns), pid, stack),
        }
    }
}

/// Task numbers count up from 1, so they are good hashes of themselves once they are spread.
#[derive(Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte) ^ self.0.rotate_left(8));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
