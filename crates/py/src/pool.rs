//! `Pool`: the engine's pool for the Python front.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loky_engine::config::{
    CoreConfig, INTERRUPT_GRACE_NS, Launcher, LauncherCommand, OnCrash, PoolConfig,
    SEGMENT_BUDGET_BYTES, Transport,
};
use loky_engine::front::{Buffer, Delivery, Front, TaskPayload};
use loky_engine::inbox::Inbox;
use loky_engine::pool::Pool as EnginePool;
use loky_engine::{RetryBackoff, STACK_SIGNAL, ShutdownMode, TaskId, TaskOptions};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::buffers::{Constant, Exported};
use crate::deliveries;
use crate::descriptors::duplicate;
use crate::door::wait_in_slices;
use crate::errors::to_python;
use crate::found::Found;
use crate::light::LightCalls;
use crate::standby::Standby;
use crate::statistics;

/// A task up to this size is handed over without letting go of the interpreter.
const SMALL_BYTES: usize = 16 * 1024;

/// `EMFILE`: the table of descriptors is full.
const TABLE_FULL_ERRNO: i32 = 24;

/// A pool of worker processes. Thread-safe; waiting calls let go of the interpreter.
#[pyclass(frozen, module = "loky._native", weakref)]
pub(crate) struct Pool {
    engine: EnginePool,
    inbox: Arc<Inbox>,
    light: LightCalls,
    /// The end of the pool's life has been taken from the inbox.
    over: AtomicBool,
}

#[pymethods]
impl Pool {
    #[new]
    #[pyo3(signature = (*, max_workers, executable, arguments, idle_timeout=None, on_crash="recover", launcher="zygote", transport="ring", max_tasks_per_worker=None, start_timeout=None, grace=None, terminate_grace=None, environment=None, capture_stderr=false, memory_limit=None))]
    #[expect(clippy::too_many_arguments, reason = "each has a name of its own")]
    fn new(
        max_workers: u32,
        executable: PathBuf,
        arguments: Vec<OsString>,
        idle_timeout: Option<f64>,
        on_crash: &str,
        launcher: &str,
        transport: &str,
        max_tasks_per_worker: Option<u32>,
        start_timeout: Option<f64>,
        grace: Option<f64>,
        terminate_grace: Option<f64>,
        environment: Option<Vec<(OsString, OsString)>>,
        capture_stderr: bool,
        memory_limit: Option<u64>,
    ) -> PyResult<Self> {
        let core = CoreConfig {
            workers: max_workers,
            on_crash: match on_crash {
                "recover" => OnCrash::Recover,
                "break" => OnCrash::Break,
                other => return Err(unknown("on_crash", other, "'recover' or 'break'")),
            },
            idle_timeout_ns: idle_timeout.map(nanoseconds).transpose()?,
            tasks_per_worker_max: max_tasks_per_worker,
            start_timeout_ns: start_timeout.map(nanoseconds).transpose()?,
            interrupt_grace_ns: match grace {
                Some(seconds) => nanoseconds(seconds)?,
                None => INTERRUPT_GRACE_NS,
            },
            terminate_grace_ns: terminate_grace.map(nanoseconds).transpose()?,
            ..CoreConfig::default()
        };
        let inbox = Arc::new(Inbox::new());
        let front: Arc<dyn Front> = Arc::clone(&inbox) as Arc<dyn Front>;
        let command = LauncherCommand {
            program: executable,
            arguments,
            environment,
        };
        let config = PoolConfig {
            core,
            launcher: launcher_named(launcher)?,
            transport: transport_named(transport)?,
            command,
            segment_budget_bytes: SEGMENT_BUDGET_BYTES,
            stack_signal: Some(STACK_SIGNAL),
            capture_stderr,
            memory_limit_bytes: memory_limit,
        };
        let engine = EnginePool::new(config, front);
        Ok(Self {
            engine,
            inbox,
            light: LightCalls::default(),
            over: AtomicBool::new(false),
        })
    }

    /// Has this program started as soon as somebody writes to it.
    fn attend(&self, py: Python<'_>, standby: &Standby) -> PyResult<()> {
        py.detach(|| self.engine.attend(&standby.engine))
            .map_err(to_python)
    }

    /// Starts the zygote in the background, with no worker yet.
    fn prestart(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.engine.prestart()).map_err(to_python)
    }

    /// Has all workers that are missing started, as a task would.
    fn want_workers(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.engine.want_workers()).map_err(to_python)
    }

    /// Accepts a task and answers its number. `options` is what was asked for it: seconds that it
    /// may run, seconds that it may wait, retries, whether to retry after a timeout, priority,
    /// seconds after which it counts as slow, bytes of memory that its worker may have.
    #[pyo3(signature = (stream, buffers, options=None))]
    fn submit(
        &self,
        py: Python<'_>,
        stream: &[u8],
        buffers: &Bound<'_, PyList>,
        options: Option<OptionsTuple>,
    ) -> PyResult<u64> {
        let mut held: Vec<Box<dyn Buffer>> = Vec::with_capacity(buffers.len());
        for buffer in buffers.iter() {
            held.push(match Constant::of(&buffer) {
                Some(constant) => Box::new(constant),
                None => Box::new(Exported::of(&buffer)?),
            });
        }
        let options = options.map(task_options).transpose()?;
        let mut payload = TaskPayload {
            stream: stream.to_vec(),
            buffers: held,
        };
        if options.is_none() && payload.buffers.is_empty() && stream.len() <= SMALL_BYTES {
            match self.try_submit(payload) {
                Ok(submitted) => return submitted,
                Err(busy) => payload = busy,
            }
        }
        let task = py
            .detach(|| self.engine.submit_with(payload, options))
            .map_err(to_python)?;
        Ok(task.0)
    }

    /// Accepts a call that is light, and answers its number; `None` where it is not, and nothing has
    /// happened.
    fn submit_light(
        &self,
        py: Python<'_>,
        function: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
    ) -> PyResult<Option<u64>> {
        let Some(stream) = self.light.encode(function, args)? else {
            return Ok(None);
        };
        let payload = TaskPayload {
            stream,
            buffers: Vec::new(),
        };
        let submitted = self.try_submit(payload).unwrap_or_else(|payload| {
            py.detach(|| self.engine.submit(payload))
                .map(|task| task.0)
                .map_err(to_python)
        });
        submitted.map(Some)
    }

    /// Whether workers wait for `provide_setup`.
    fn setup_wanted(&self) -> bool {
        self.engine.setup_wanted()
    }

    /// Whether workers have been wanted that have no process yet, described or not.
    fn spawning(&self) -> bool {
        self.engine.is_spawning()
    }

    /// Describes the surroundings of new workers. `descriptors` are pairs of an open descriptor here,
    /// which is duplicated, and its number there. With an `environment`, workers are executed with it.
    #[pyo3(signature = (blob, descriptors, environment=Vec::new()))]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the form that the extraction wants"
    )]
    fn provide_setup(
        &self,
        py: Python<'_>,
        blob: &[u8],
        descriptors: Vec<(i32, i32)>,
        environment: Vec<(OsString, OsString)>,
    ) -> PyResult<()> {
        let mut held: Vec<(OwnedFd, i32)> = Vec::with_capacity(descriptors.len());
        for (number, target) in descriptors {
            match duplicate(number)? {
                Ok(copy) => held.push((copy, target)),
                // A limit below the lowest number that a copy may have is reported as `EINVAL`.
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    return self.setup_lacks(py, TABLE_FULL_ERRNO);
                }
                Err(error) => return self.setup_lacks(py, error.raw_os_error().unwrap_or(0)),
            }
        }
        py.detach(|| self.engine.provide_setup(blob, held, &environment))
            .map_err(to_python)
    }

    /// Says that the surroundings cannot be described for the moment, for lack of a resource: workers
    /// are tried again after a while.
    fn setup_lacks(&self, py: Python<'_>, errno: i32) -> PyResult<()> {
        py.detach(|| self.engine.setup_lacks(errno))
            .map_err(to_python)
    }

    /// Says that the surroundings cannot be described; the pool breaks with the reason `setup`.
    fn setup_failed(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.engine.setup_failed()).map_err(to_python)
    }

    /// Waits until every ordered worker has a process or could not be made.
    fn wait_spawned(&self, py: Python<'_>) -> PyResult<()> {
        wait_in_slices(py, None, |slice| self.engine.wait_spawned(slice)).map(|_| ())
    }

    /// Waits until the last resize has taken effect.
    fn wait_resized(&self, py: Python<'_>) -> PyResult<()> {
        wait_in_slices(py, None, |slice| self.engine.wait_resized(slice)).map(|_| ())
    }

    /// Waits until the pool's life is over; `timeout` in seconds. False when it passes first.
    #[pyo3(signature = (timeout=None))]
    fn wait_stopped(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = timeout
            .map(nanoseconds)
            .transpose()?
            .map(Duration::from_nanos);
        wait_in_slices(py, timeout, |slice| self.engine.wait_stopped(slice))
    }

    /// Asks for a task not to run; true where it never will, and then `next_batch` does not tell it.
    fn cancel(&self, py: Python<'_>, task: u64) -> PyResult<bool> {
        // Without letting go of the interpreter, for the reason given at `submit`.
        let withdrawn = self.engine.try_withdraw(TaskId(task));
        withdrawn
            .unwrap_or_else(|| py.detach(|| self.engine.withdraw(TaskId(task))))
            .map_err(to_python)
    }

    /// Ends a task, also where it has begun; `grace` in seconds. False where it is over already.
    fn cancel_by_force(&self, py: Python<'_>, task: u64, grace: f64) -> PyResult<bool> {
        let grace = Duration::from_nanos(nanoseconds(grace)?);
        py.detach(|| self.engine.cancel_by_force(TaskId(task), grace))
            .map_err(to_python)
    }

    /// The stacks of the worker that runs a task; `None` where none does, or it cannot be had.
    fn stack(&self, py: Python<'_>, task: u64) -> PyResult<Option<String>> {
        py.detach(|| self.engine.stack(TaskId(task)))
            .map_err(to_python)
    }

    /// The stacks of all workers: place, process id, task and seconds that it has been running (or
    /// `None` twice), text.
    fn stacks(&self, py: Python<'_>) -> PyResult<Vec<StackTuple>> {
        let stacks = py.detach(|| self.engine.stacks()).map_err(to_python)?;
        let tuples = stacks.into_iter().map(|stack| {
            let (task, ran) = stack.task.unzip();
            (
                stack.process.index,
                stack.process.pid,
                task.map(|task| task.0),
                ran.map(deliveries::seconds),
                stack.text,
            )
        });
        Ok(tuples.collect())
    }

    /// What is known of the break, as the manager thread is told it; `None` while the pool is whole.
    fn breakage<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let breakage = self.engine.breakage();
        breakage
            .map(|breakage| deliveries::breakage_dict(py, &breakage))
            .transpose()
    }

    /// Whether a worker has begun a task.
    fn started(&self, task: u64) -> bool {
        self.engine.has_started(TaskId(task))
    }

    /// The workers that have a process, as pairs of place and process id.
    fn workers(&self) -> Vec<(u32, i32)> {
        self.engine
            .workers()
            .into_iter()
            .map(|worker| (worker.index, worker.pid))
            .collect()
    }

    /// Sends a signal to a worker through its reaper; false where there is no such worker.
    fn signal(&self, py: Python<'_>, pid: i32, signal: u32) -> PyResult<bool> {
        py.detach(|| self.engine.signal(pid, signal))
            .map_err(to_python)
    }

    /// Asks for another number of workers.
    fn resize(&self, py: Python<'_>, workers: u32) -> PyResult<()> {
        py.detach(|| self.engine.resize(workers)).map_err(to_python)
    }

    /// Ends the pool: `"drain"`, `"cancel"` (drain without what has not started) or `"kill"`.
    fn shutdown(&self, py: Python<'_>, mode: &str) -> PyResult<()> {
        let mode = match mode {
            "drain" => ShutdownMode::Drain,
            "cancel" => ShutdownMode::CancelPending,
            "kill" => ShutdownMode::Kill,
            other => return Err(unknown("mode", other, "'drain', 'cancel' or 'kill'")),
        };
        py.detach(|| self.engine.shut_down(mode)).map_err(to_python)
    }

    /// Looks for the answer of a task for a short time, where that is likely to pay. `None` where it was
    /// not found: `next_batch` will tell it.
    fn look(&self, py: Python<'_>, task: u64) -> Option<Found> {
        let task = TaskId(task);
        let look = self.engine.begin_look(task)?;
        let found = py.detach(|| look.look(|| self.inbox.borrow_answer_of(task)));
        found.map(Found::new)
    }

    /// Waits for what happened and answers it in order; `None` once the pool's life is over and
    /// everything has been answered. For one thread.
    fn next_batch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let batch = PyList::empty(py);
        while batch.is_empty() && !self.over.load(Ordering::Acquire) {
            for delivery in py.detach(|| self.inbox.take()) {
                if let Delivery::Stopped = delivery {
                    self.over.store(true, Ordering::Release);
                    // The loop's thread has said its last word; its end is a matter of instructions.
                    py.detach(|| self.engine.wait_stopped(Duration::from_secs(1)))
                        .map_err(to_python)?;
                } else if let Some(tuple) = deliveries::to_tuple(py, delivery)? {
                    batch.append(tuple)?;
                }
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    /// Has every worker forget what it keeps under this name.
    fn forget(&self, name: &[u8]) -> PyResult<()> {
        self.engine.forget(name).map_err(to_python)
    }

    /// What the pool has done and how it stands, by name; `None` in a forked child of its owner.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let tally = py.detach(|| self.engine.tally());
        tally
            .map(|tally| statistics::to_dict(py, &tally))
            .transpose()
    }
}

impl Pool {
    /// Hands a small task over without letting go of the interpreter, unless that would be a wait.
    ///
    /// To let go of it costs more than a small task, and whoever takes it then may keep it for
    /// milliseconds. Nobody who holds the pool's lock waits for it.
    fn try_submit(&self, payload: TaskPayload) -> Result<PyResult<u64>, TaskPayload> {
        let submitted = self.engine.try_submit(payload)?;
        Ok(submitted.map(|task| task.0).map_err(to_python))
    }
}

type OptionsTuple = (
    Option<f64>,
    Option<f64>,
    u32,
    bool,
    i32,
    Option<f64>,
    Option<u64>,
);
type StackTuple = (u32, i32, Option<u64>, Option<f64>, String);

fn task_options(options: OptionsTuple) -> PyResult<Box<TaskOptions>> {
    let (timeout, queue_timeout, retries, retry_timeouts, priority, slow_after, memory_limit) =
        options;
    Ok(Box::new(TaskOptions {
        timeout_ns: timeout.map(nanoseconds).transpose()?,
        queue_timeout_ns: queue_timeout.map(nanoseconds).transpose()?,
        retries,
        retry_timeouts,
        retry_backoff: RetryBackoff::default(),
        priority,
        slow_after_ns: slow_after.map(nanoseconds).transpose()?,
        memory_limit_bytes: memory_limit,
    }))
}

fn launcher_named(name: &str) -> PyResult<Launcher> {
    match name {
        "zygote" => Ok(Launcher::Zygote),
        "exec" => Ok(Launcher::Exec),
        other => Err(unknown("launcher", other, "'zygote' or 'exec'")),
    }
}

fn transport_named(name: &str) -> PyResult<Transport> {
    match name {
        "ring" => Ok(Transport::Ring),
        "socket" => Ok(Transport::Socket),
        other => Err(unknown("transport", other, "'ring' or 'socket'")),
    }
}

fn unknown(name: &str, got: &str, must: &str) -> PyErr {
    PyValueError::new_err(format!("{name} must be {must}, got {got:?}"))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked"
)]
fn nanoseconds(seconds: f64) -> PyResult<u64> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!(
            "a time in seconds must not be negative, got {seconds}"
        )));
    }
    // Centuries are as good as for ever.
    Ok((seconds * 1e9).min(9e18) as u64)
}
