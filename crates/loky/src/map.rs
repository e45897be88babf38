//! Many calls in a row.
//!
//! Owned by whoever asks for the results. It takes calls only as far ahead as it may, so an endless
//! iterator costs no endless memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::future::TaskFuture;
use crate::slot::Arrivals;
use crate::task::TaskCall;
use crate::view::WithOptions;

/// How many calls a worker may be ahead, where nothing else is said: enough for short tasks to
/// travel in batches.
const AHEAD_PER_WORKER: usize = 64;

/// How long calls that are made together may take to be made, before those that are there go ahead.
const GATHERING: Duration = Duration::from_micros(100);

/// A task under way, or why it is not.
type Started<C> = Result<TaskFuture<<C as TaskCall>::Output>, Error>;

/// The results of many calls, in the order of the calls.
#[must_use = "nothing is done before the first result is asked for"]
pub struct Map<I>
where
    I: Iterator<Item: TaskCall>,
{
    source: Source<I>,
    under_way: InOrder<I::Item>,
}

/// Tasks under way, in the order of their calls. Those that are left at the end are cancelled.
struct InOrder<C: TaskCall>(VecDeque<Started<C>>);

impl<C: TaskCall> Drop for InOrder<C> {
    fn drop(&mut self) {
        for future in self.0.drain(..).flatten() {
            future.cancel();
        }
    }
}

/// What is left to be done.
struct Source<I> {
    pool: WithOptions,
    calls: I,
    ahead_max: usize,
}

impl<I> Source<I>
where
    I: Iterator<Item: TaskCall>,
{
    /// How many further calls may be made beside those that are under way. None is made before half of
    /// what may be ahead has been used up: calls that are made together travel together.
    fn room(&self, under_way: usize) -> usize {
        if under_way <= self.ahead_max / 2 {
            self.ahead_max - under_way
        } else {
            0
        }
    }

    /// Makes up to so many calls. Those that the iterator has at hand travel together; for one that it
    /// may have to wait for, none that is there already waits.
    fn start(&mut self, room: usize, mut started: impl FnMut(Started<I::Item>)) {
        let mut left = room;
        while left > 0 {
            let at_hand = self.calls.size_hint().0.min(left);
            if at_hand < 2 {
                let Some(call) = self.calls.next() else {
                    return;
                };
                started(self.pool.submit(call));
                left -= 1;
                continue;
            }
            let begun = Instant::now();
            let mut calls = Vec::with_capacity(at_hand);
            while calls.len() < at_hand && begun.elapsed() < GATHERING {
                let Some(call) = self.calls.next() else {
                    break;
                };
                calls.push(call);
            }
            // An iterator that has less than it said is at its end.
            let is_over = calls.is_empty();
            left -= calls.len();
            self.pool
                .submit_many(calls)
                .into_iter()
                .for_each(&mut started);
            if is_over {
                return;
            }
        }
    }
}

impl<I> Map<I>
where
    I: Iterator<Item: TaskCall>,
{
    pub(crate) fn new(pool: WithOptions, calls: I) -> Self {
        let ahead_max = pool.pool().size().saturating_mul(AHEAD_PER_WORKER);
        Self {
            source: Source {
                pool,
                calls,
                ahead_max,
            },
            under_way: InOrder(VecDeque::new()),
        }
    }

    /// Bounds how many calls are made before their results are asked for; at least one.
    pub fn look_ahead(mut self, calls: usize) -> Self {
        self.source.ahead_max = calls.max(1);
        self
    }

    /// The results in the order in which they come.
    pub fn unordered(mut self) -> Unordered<I> {
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

impl<I> Iterator for Map<I>
where
    I: Iterator<Item: TaskCall>,
{
    type Item = Result<<I::Item as TaskCall>::Output, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let room = self.source.room(self.under_way.0.len());
        let under_way = &mut self.under_way.0;
        self.source
            .start(room, |started| under_way.push_back(started));
        Some(
            self.under_way
                .0
                .pop_front()?
                .and_then(|future| future.wait()),
        )
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        added(self.source.calls.size_hint(), self.under_way.0.len())
    }
}

/// The results of many calls, in the order in which they come.
#[must_use = "nothing is done before the first result is asked for"]
pub struct Unordered<I>
where
    I: Iterator<Item: TaskCall>,
{
    source: Source<I>,
    arrivals: Arc<Arrivals>,
    under_way: HashMap<u64, TaskFuture<<I::Item as TaskCall>::Output>>,
    /// Why the pool did not take a call.
    refused: VecDeque<Error>,
    ticket_last: u64,
}

impl<I> Unordered<I>
where
    I: Iterator<Item: TaskCall>,
{
    fn watch(&mut self, started: Started<I::Item>) {
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

impl<I> Iterator for Unordered<I>
where
    I: Iterator<Item: TaskCall>,
{
    type Item = Result<<I::Item as TaskCall>::Output, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let room = self.source.room(self.under_way.len() + self.refused.len());
        let mut all = Vec::new();
        self.source.start(room, |started| all.push(started));
        for started in all {
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
        added(self.source.calls.size_hint(), known)
    }
}

impl<I> Drop for Unordered<I>
where
    I: Iterator<Item: TaskCall>,
{
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
