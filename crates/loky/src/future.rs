//! The result of a task that is there, or will be.
//!
//! Owned by whoever submitted the task. Letting go of it cancels nothing.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use loky_engine::TaskId;
use loky_engine::front::TaskEnd;
use loky_engine::look::LOOK_MAX;
use serde::de::DeserializeOwned;

use crate::answer;
use crate::error::Error;
use crate::executor::Inner;
use crate::observed::WorkerState;
use crate::slot::{Arrivals, Slot};

/// Where a task is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TaskState {
    /// No worker has begun it.
    Pending,
    /// A worker runs it.
    Running,
    /// It was cancelled: it never ran, or was ended by force.
    Cancelled,
    /// It has ended: with a value, or with any other error.
    Finished,
}

/// The result of a task, which may be waited for by a thread, or awaited in any asynchronous runtime.
///
/// The result can be asked for more than once; it is read anew each time. Dropping the future does
/// not cancel the task.
#[must_use = "the errors of a task are told to its future alone"]
pub struct TaskFuture<T> {
    inner: Arc<Inner>,
    id: TaskId,
    slot: Arc<Slot>,
    result: PhantomData<fn() -> T>,
}

impl<T> TaskFuture<T> {
    pub(crate) fn new(inner: Arc<Inner>, id: TaskId, slot: Arc<Slot>) -> Self {
        Self {
            inner,
            id,
            slot,
            result: PhantomData,
        }
    }

    /// Withdraws the task; whether it never runs, or was ended before. One that a worker has begun
    /// goes on: see [`cancel_by_force`](Self::cancel_by_force).
    pub fn cancel(&self) -> bool {
        self.state() == TaskState::Cancelled || self.inner.pool.cancel(self.id).unwrap_or(false)
    }

    /// Ends the task, also where a worker has begun it: that worker is ended and replaced, since there
    /// is no other way to stop a function that does not want to; see
    /// [`Builder::grace`](crate::Builder::grace). Whether there was anything to
    /// end; the result is then [`Cancelled`](Error::Cancelled), unless it comes at this very moment.
    pub fn cancel_by_force(&self) -> bool {
        let ended = self.inner.pool.cancel_by_force(self.id, Duration::ZERO);
        ended.unwrap_or(false)
    }

    /// Where the task is at the moment.
    pub fn state(&self) -> TaskState {
        match self.slot.end() {
            Some(TaskEnd::Cancelled) => TaskState::Cancelled,
            Some(_) => TaskState::Finished,
            None if self.inner.pool.has_started(self.id) => TaskState::Running,
            // It may have ended between the two questions.
            None => match self.slot.end() {
                Some(_) => self.state(),
                None => TaskState::Pending,
            },
        }
    }

    /// Whether the result is there, or the reason why there is none.
    pub fn is_done(&self) -> bool {
        self.slot.end().is_some()
    }

    /// The function of the task, with its module.
    pub fn task(&self) -> &'static str {
        self.slot.task()
    }

    /// What the task is called, where its [options](crate::TaskOptions::label) say so.
    pub fn label(&self) -> Option<&str> {
        self.slot.label()
    }

    /// What the worker that runs this task is doing, seen from outside; `None` where none runs it at the
    /// moment, or the system does not say.
    pub fn worker_state(&self) -> Option<WorkerState> {
        // A pool that refuses to answer has no worker that could be looked at.
        let seen = self.inner.pool.activity(self.id).ok().flatten();
        seen.map(WorkerState::new)
    }

    /// Looks for the end for a moment, where it is likely to come at once and the deadline leaves
    /// the time. Found or not, it is in the slot when it has come.
    fn look(&self, deadline: Option<Instant>) {
        let soon = |deadline| Instant::now() + LOOK_MAX > deadline;
        if self.is_done() || deadline.is_some_and(soon) {
            return;
        }
        if let Some(look) = self.inner.pool.begin_look(self.id) {
            look.look(|| self.slot.end().map(|_| ()));
        }
    }

    pub(crate) fn announce(&self, arrivals: &Arc<Arrivals>, ticket: u64) {
        self.slot.announce(arrivals, ticket);
    }
}

impl<T: DeserializeOwned> TaskFuture<T> {
    /// Waits for the result.
    pub fn wait(&self) -> Result<T, Error> {
        self.wait_until(None)
    }

    /// Waits for the result, but no longer than this; then it is [`WaitTimeout`](Error::WaitTimeout), and the
    /// task goes on.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<T, Error> {
        // A deadline beyond what the clock can say is none.
        self.wait_until(Instant::now().checked_add(timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<T, Error> {
        self.look(deadline);
        match self.slot.wait(deadline) {
            Some(end) => answer::read(end, &self.slot),
            None => Err(Error::WaitTimeout),
        }
    }
}

impl<T: DeserializeOwned> Future for TaskFuture<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.slot.poll(context.waker()) {
            Some(end) => Poll::Ready(answer::read(end, &self.slot)),
            None => Poll::Pending,
        }
    }
}

impl<T> std::fmt::Debug for TaskFuture<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TaskFuture")
            .field("task", &self.task())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
