//! The pool as its user sees it.
//!
//! Owned by whoever holds a handle; the pool ends with the last one. It decides nothing: the engine
//! does, and the courier brings what comes of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use loky_engine::ShutdownMode;
use loky_engine::config::PoolConfig;
use loky_engine::error::EngineError;
use loky_engine::front::{Buffer, Front, TaskPayload};
use loky_engine::pool::Pool;

use crate::builder::Builder;
use crate::codec::Encoded;
use crate::courier::{Courier, Errand};
use crate::error::Error;
use crate::future::TaskFuture;
use crate::map::Map;
use crate::memory::MemoryMechanism;
use crate::observed::Statistics;
use crate::options::{Prepared, TaskOptions};
use crate::setup::Surroundings;
use crate::slot::Slot;
use crate::slow::Listener;
use crate::task::TaskCall;
use crate::task::sealed::Parts;
use crate::view::WithOptions;

pub use loky_engine::pool::WorkerProcess;

/// How long one of several waits for the end of a pool lasts.
const WAIT: Duration = Duration::from_secs(3600);

/// A pool of worker processes, which run tasks.
///
/// No process is started before the first task is submitted. A clone is another handle of the same
/// pool. When the last handle goes, the pool takes no more tasks, finishes those that it has, and
/// ends; the futures that are left still get their results. Call [`shutdown`](Self::shutdown) to wait
/// for that. The end of this program ends every worker at once.
///
/// ```
/// use loky::ProcessPoolExecutor;
///
/// #[loky::task]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// fn main() -> Result<(), loky::Error> {
///     loky::init();
///     let pool = ProcessPoolExecutor::new(2)?;
///     assert_eq!(pool.submit(square::call(12))?.wait()?, 144);
///     pool.shutdown()
/// }
/// ```
#[derive(Clone)]
pub struct ProcessPoolExecutor {
    handle: Arc<Handle>,
}

/// What the handles of one pool have together. Its end is the wish that the pool end.
struct Handle {
    inner: Arc<Inner>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // A fork's copy of the pool refuses, and a fault has ended all tasks: nothing is left to do.
        drop(self.inner.pool.shut_down(ShutdownMode::Drain));
    }
}

/// What is asked for every task.
pub(crate) struct Defaults {
    pub(crate) options: TaskOptions,
    pub(crate) prepared: Prepared,
    /// There is somebody to tell of slow tasks.
    pub(crate) has_listener: bool,
    /// How their limit on memory is kept.
    pub(crate) mechanism: MemoryMechanism,
}

/// The pool itself, which futures hold too.
pub(crate) struct Inner {
    pub(crate) pool: Pool,
    pub(crate) courier: Arc<Courier>,
    surroundings: Surroundings,
    defaults: Defaults,
    /// How many workers were asked for last.
    size: AtomicUsize,
    closed: AtomicBool,
}

impl ProcessPoolExecutor {
    /// A pool of this many workers, with all else as [`Builder`] has it.
    pub fn new(workers: usize) -> Result<Self, Error> {
        Self::builder().workers(workers).build()
    }

    /// A pool to be described further.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start(
        config: PoolConfig,
        surroundings: Surroundings,
        defaults: Defaults,
        on_slow: Option<Listener>,
    ) -> Result<Self, Error> {
        let size = usize::try_from(config.core.workers).unwrap_or(usize::MAX);
        let (courier, errands) = Courier::new();
        let courier = Arc::new(courier);
        let pool = Pool::new(config, Arc::clone(&courier) as Arc<dyn Front>);
        let inner = Arc::new(Inner {
            pool,
            courier,
            surroundings,
            defaults,
            size: AtomicUsize::new(size),
            closed: AtomicBool::new(false),
        });
        let for_errands = Arc::downgrade(&inner);
        std::thread::Builder::new()
            .name("loky-errands".to_owned())
            .spawn(move || run_errands(&for_errands, &errands, on_slow.as_ref()))
            .map_err(|source| Error::Resource {
                what: "start a thread",
                source,
            })?;
        Ok(Self {
            handle: Arc::new(Handle { inner }),
        })
    }

    /// Hands a call of a task over to the pool.
    ///
    /// # Errors
    /// [`Encode`](Error::Encode) where the arguments could not be written;
    /// [`Shutdown`](Error::Shutdown), [`BrokenProcessPool`](Error::BrokenProcessPool),
    /// [`TerminatedWorker`](Error::TerminatedWorker) where the pool takes no more tasks, and why;
    /// [`Forked`](Error::Forked) in a fork of this process. How the task itself fails is told by its
    /// future.
    pub fn submit<C: TaskCall>(&self, call: C) -> Result<TaskFuture<C::Output>, Error> {
        self.submit_prepared(call, &self.handle.inner.defaults.prepared)
    }

    /// Hands a call over with what is asked for it.
    pub(crate) fn submit_prepared<C: TaskCall>(
        &self,
        call: C,
        options: &Prepared,
    ) -> Result<TaskFuture<C::Output>, Error> {
        let (slot, payload) = prepared(call, options)?;
        let inner = &self.handle.inner;
        let wishes = options.wishes.map(Box::new);
        let id = inner.asked(inner.pool.submit_with(payload, wishes))?;
        inner.courier.expect(id, &slot);
        inner.answer_setup();
        Ok(TaskFuture::new(Arc::clone(inner), id, slot))
    }

    /// Hands several calls over at once: they travel together.
    pub(crate) fn submit_many<C: TaskCall>(
        &self,
        calls: Vec<C>,
        options: &Prepared,
    ) -> Vec<Result<TaskFuture<C::Output>, Error>> {
        let inner = &self.handle.inner;
        let mut payloads = Vec::with_capacity(calls.len());
        let prepared = calls.into_iter().map(|call| {
            let (slot, payload) = prepared(call, options)?;
            payloads.push(payload);
            Ok(slot)
        });
        let slots: Vec<Result<Arc<Slot>, Error>> = prepared.collect();
        let accepted = inner.pool.submit_many(payloads, options.wishes);
        let mut ids = accepted.map(Vec::into_iter);
        let started = slots.into_iter().map(|slot| {
            let slot = slot?;
            let id = match &mut ids {
                // There is one for each call that could be written.
                Ok(ids) => ids.next().unwrap_or(Err(EngineError::ShutDown)),
                // A refusal of all of them is the refusal of each.
                Err(error) => Err(error.again()),
            };
            Ok((inner.asked(id)?, slot))
        });
        let started: Vec<_> = started.collect();
        inner.courier.expect_all(started.iter().flatten());
        inner.answer_setup();
        let future = |(id, slot)| TaskFuture::new(Arc::clone(inner), id, slot);
        started
            .into_iter()
            .map(|started| started.map(future))
            .collect()
    }

    /// Runs many calls; the results come in their order.
    ///
    /// Calls are made as results are asked for, and some ahead of that: see [`Map::look_ahead`]. An
    /// error is the result of the one task that it is about. What has not begun when the iterator is
    /// dropped is cancelled.
    ///
    /// ```
    /// # #[loky::task]
    /// # fn scaled(x: u32, factor: u32) -> u32 { x * factor }
    /// # fn example(pool: &loky::ProcessPoolExecutor, factor: u32) -> Result<Vec<u32>, loky::Error> {
    /// pool.map((0..1000).map(|x| scaled::call(x, factor))).collect()
    /// # }
    /// # fn main() {}
    /// ```
    pub fn map<I>(&self, calls: I) -> Map<I::IntoIter>
    where
        I: IntoIterator,
        I::Item: TaskCall,
    {
        self.options(TaskOptions::new()).map(calls)
    }

    /// A view of this pool: tasks that are submitted through it have these options, and everything else
    /// is as before.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use loky::TaskOptions;
    /// # #[loky::task]
    /// # fn estimate(seed: u64) -> f64 { seed as f64 }
    /// # fn example(pool: &loky::ProcessPoolExecutor) -> Result<(), loky::Error> {
    /// let quick = pool.options(TaskOptions::new().timeout(Duration::from_secs(1)));
    /// match quick.submit(estimate::call(7))?.wait() {
    ///     Err(loky::Error::Timeout(report)) => println!("{report}"),
    ///     other => println!("{}", other?),
    /// }
    /// # Ok(())
    /// # }
    /// # fn main() {}
    /// ```
    pub fn options(&self, options: TaskOptions) -> WithOptions {
        WithOptions::new(self.clone(), options)
    }

    pub(crate) fn has_listener(&self) -> bool {
        self.handle.inner.defaults.has_listener
    }

    pub(crate) fn defaults(&self) -> &TaskOptions {
        &self.handle.inner.defaults.options
    }

    /// Starts the process that makes the workers, so that the first task has to wait for a fork only.
    /// Waits for nothing. A failure shows when workers are wanted.
    pub fn warm_up(&self) -> Result<(), Error> {
        let inner = &self.handle.inner;
        inner.asked(inner.pool.prestart())
    }

    /// What has been counted since the pool was made.
    pub fn statistics(&self) -> Statistics {
        let tally = self.handle.inner.pool.tally().unwrap_or_default();
        Statistics::new(&tally)
    }

    /// The worker processes that there are, by their place in the pool.
    pub fn workers(&self) -> Vec<WorkerProcess> {
        self.handle.inner.pool.workers()
    }

    /// What keeps the [limit on memory](Builder::memory_limit) of this pool, found out when it was made. A limit
    /// of single tasks is always kept by looking.
    pub fn memory_mechanism(&self) -> MemoryMechanism {
        self.handle.inner.defaults.mechanism.clone()
    }

    /// Changes the number of workers. Workers that are too many leave when they have finished what
    /// they have.
    pub fn resize(&self, workers: usize) -> Result<(), Error> {
        let inner = &self.handle.inner;
        let count = crate::builder::worker_count(workers)?;
        inner.asked(inner.pool.resize(count))?;
        inner.size.store(workers, Ordering::Relaxed);
        inner.answer_setup();
        Ok(())
    }

    /// Takes no more tasks, finishes those that there are, and waits for the end of all workers.
    pub fn shutdown(&self) -> Result<(), Error> {
        self.close()?;
        self.wait_stopped(None).map(drop)
    }

    /// As [`shutdown`](Self::shutdown), and waits no longer than this; whether the pool has ended.
    pub fn shutdown_timeout(&self, timeout: Duration) -> Result<bool, Error> {
        self.close()?;
        self.wait_stopped(Instant::now().checked_add(timeout))
    }

    /// Takes no more tasks, and waits for nothing: those that there are go on.
    pub fn close(&self) -> Result<(), Error> {
        self.handle.inner.shut_down(ShutdownMode::Drain)
    }

    /// Kills all workers, and waits for their end. Every task that has not ended gets
    /// [`Shutdown`](Error::Shutdown).
    pub fn shutdown_now(&self) -> Result<(), Error> {
        self.handle.inner.shut_down(ShutdownMode::Kill)?;
        self.wait_stopped(None).map(drop)
    }

    /// Whether the pool is broken: it takes no more tasks, and a new one can be made.
    pub fn is_broken(&self) -> bool {
        self.handle.inner.courier.breakage().is_some()
    }

    /// How many workers were asked for last.
    pub(crate) fn size(&self) -> usize {
        self.handle.inner.size.load(Ordering::Relaxed)
    }

    /// Whether it takes tasks: it is neither broken nor shut down, and belongs to this process.
    pub(crate) fn is_usable(&self) -> bool {
        let inner = &self.handle.inner;
        inner.pool.is_own() && !self.is_broken() && !inner.closed.load(Ordering::Relaxed)
    }

    fn wait_stopped(&self, deadline: Option<Instant>) -> Result<bool, Error> {
        let inner = &self.handle.inner;
        loop {
            let left = deadline.map_or(WAIT, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if inner.asked(inner.pool.wait_stopped(left.min(WAIT)))? {
                return Ok(true);
            }
            if left == Duration::ZERO {
                return Ok(false);
            }
        }
    }
}

impl std::fmt::Debug for ProcessPoolExecutor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ProcessPoolExecutor")
            .field("workers", &self.workers())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// A call to the engine, its refusal as an error of this crate.
    fn asked<T>(&self, answer: Result<T, EngineError>) -> Result<T, Error> {
        answer.map_err(|error| Error::refused(error, self.courier.breakage()))
    }

    fn shut_down(&self, mode: ShutdownMode) -> Result<(), Error> {
        self.closed.store(true, Ordering::Relaxed);
        self.asked(self.pool.shut_down(mode))
    }

    /// Describes the surroundings of workers where that is wanted. A refusal belongs to a pool that
    /// has ended or that tells its fault itself.
    fn answer_setup(&self) {
        if !self.courier.takes_setup() {
            return;
        }
        let answered = match self.surroundings.describe() {
            Some(blob) => self.pool.provide_setup(&blob, Vec::new(), &[]),
            None => self.pool.setup_failed(),
        };
        if answered.is_err() {
            drop(self.pool.setup_failed());
        }
    }
}

/// A call with what is asked for it, as the engine takes it, and the place of its end.
fn prepared<C: TaskCall>(call: C, options: &Prepared) -> Result<(Arc<Slot>, TaskPayload), Error> {
    let (task, parts) = call.into_parts();
    let Parts(mut encoded) = parts?;
    if options.retry_panics {
        crate::task::repeat_after_panic(&mut encoded);
    }
    let slot = Arc::new(Slot::new(task, options.label.clone()));
    Ok((slot, payload(encoded)))
}

fn payload(call: Encoded) -> TaskPayload {
    let buffers = call.buffers.into_iter();
    TaskPayload {
        stream: call.stream,
        buffers: buffers
            .map(|buffer| Box::new(buffer) as Box<dyn Buffer>)
            .collect(),
    }
}

/// The thread for errands. It keeps no pool alive, and ends with it.
fn run_errands(pool: &Weak<Inner>, errands: &Receiver<Errand>, on_slow: Option<&Listener>) {
    while let Ok(errand) = errands.recv() {
        match errand {
            Errand::Wake(waker) => guarded(|| waker.wake()),
            Errand::Tell(slow) => {
                if let Some(listener) = on_slow {
                    guarded(|| listener.tell(&slow));
                }
            }
            Errand::DescribeSetup => {
                if let Some(inner) = pool.upgrade() {
                    inner.answer_setup();
                }
            }
            Errand::LetGo(buffers) => drop(buffers),
            Errand::End => return,
        }
    }
}

/// Calls foreign code. A panic of it has been told by the hook for panics, and costs the errands
/// behind it nothing.
fn guarded(call: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(call)));
}
