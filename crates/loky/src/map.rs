//! One task for many inputs.
//!
//! Owned by whoever asks for the results. It takes inputs only as far ahead as it may, so an endless
//! iterator costs no endless memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::error::Error;
use crate::executor::ProcessPoolExecutor;
use crate::future::TaskFuture;
use crate::slot::Arrivals;
use crate::task::Task;

/// How many inputs a worker may be ahead, where nothing else is said: enough for short tasks to
/// travel in batches.
const AHEAD_PER_WORKER: usize = 16;

/// A task under way, or why it is not.
type Started<T> = Result<TaskFuture<<T as Task>::Output>, Error>;

/// The results of one task for many inputs, in the order of the inputs.
#[must_use = "nothing is done before the first result is asked for"]
pub struct Map<T: Task, I> {
    source: Source<T, I>,
    under_way: InOrder<T>,
}

/// Tasks under way, by the order of their inputs. Those that are left at the end are cancelled.
struct InOrder<T: Task>(VecDeque<Started<T>>);

impl<T: Task> Drop for InOrder<T> {
    fn drop(&mut self) {
        for future in self.0.drain(..).flatten() {
            future.cancel();
        }
    }
}

/// What is left to be done.
struct Source<T, I> {
    pool: ProcessPoolExecutor,
    task: T,
    inputs: I,
    ahead_max: usize,
}

impl<T: Task, I: Iterator<Item = T::Args>> Source<T, I> {
    fn start_next(&mut self) -> Option<Started<T>> {
        let args = self.inputs.next()?;
        Some(self.pool.submit(self.task, args))
    }
}

impl<T: Task, I: Iterator<Item = T::Args>> Map<T, I> {
    pub(crate) fn new(pool: ProcessPoolExecutor, task: T, inputs: I) -> Self {
        let ahead_max = pool.size().saturating_mul(AHEAD_PER_WORKER);
        Self {
            source: Source {
                pool,
                task,
                inputs,
                ahead_max,
            },
            under_way: InOrder(VecDeque::new()),
        }
    }

    /// Bounds how many inputs are taken before their results are asked for; at least one.
    pub fn look_ahead(mut self, inputs: usize) -> Self {
        self.source.ahead_max = inputs.max(1);
        self
    }

    /// The results in the order in which they come.
    pub fn unordered(mut self) -> Unordered<T, I> {
        let under_way = std::mem::take(&mut self.under_way.0);
        let mut unordered = Unordered {
            source: self.source,
            arrivals: Arc::default(),
            under_way: HashMap::new(),
            refused: VecDeque::new(),
            ticket_last: 0,
        };
        for started in under_way {
            unordered.watch(started);
        }
        unordered
    }
}

impl<T: Task, I: Iterator<Item = T::Args>> Iterator for Map<T, I> {
    type Item = Result<T::Output, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.under_way.0.len() < self.source.ahead_max {
            let Some(started) = self.source.start_next() else {
                break;
            };
            self.under_way.0.push_back(started);
        }
        Some(
            self.under_way
                .0
                .pop_front()?
                .and_then(|future| future.wait()),
        )
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        added(self.source.inputs.size_hint(), self.under_way.0.len())
    }
}

/// The results of one task for many inputs, in the order in which they come.
#[must_use = "nothing is done before the first result is asked for"]
pub struct Unordered<T: Task, I> {
    source: Source<T, I>,
    arrivals: Arc<Arrivals>,
    under_way: HashMap<u64, TaskFuture<T::Output>>,
    /// Inputs that the pool did not take.
    refused: VecDeque<Error>,
    ticket_last: u64,
}

impl<T: Task, I> Unordered<T, I> {
    fn watch(&mut self, started: Started<T>) {
        match started {
            Ok(future) => {
                self.ticket_last += 1;
                future.announce(&self.arrivals, self.ticket_last);
                self.under_way.insert(self.ticket_last, future);
            }
            Err(error) => self.refused.push_back(error),
        }
    }
}

impl<T: Task, I: Iterator<Item = T::Args>> Iterator for Unordered<T, I> {
    type Item = Result<T::Output, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.under_way.len() + self.refused.len() < self.source.ahead_max {
            let Some(started) = self.source.start_next() else {
                break;
            };
            self.watch(started);
        }
        if let Some(error) = self.refused.pop_front() {
            return Some(Err(error));
        }
        while !self.under_way.is_empty() {
            if let Some(future) = self.under_way.remove(&self.arrivals.take()) {
                return Some(future.wait());
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let known = self.under_way.len() + self.refused.len();
        added(self.source.inputs.size_hint(), known)
    }
}

impl<T: Task, I> Drop for Unordered<T, I> {
    fn drop(&mut self) {
        for future in self.under_way.values() {
            future.cancel();
        }
    }
}

fn added((least, most): (usize, Option<usize>), known: usize) -> (usize, Option<usize>) {
    (
        least.saturating_add(known),
        most.and_then(|most| most.checked_add(known)),
    )
}
