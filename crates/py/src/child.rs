//! `Zygote` and `Worker`: the child side for the Python front.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use loky_worker::{
    ExecTemplate, GroupOptions, LeaveReason, Order, Outgoing, Seed as EngineSeed, TaskIn, Turn,
    Worker as EngineWorker, WorkerError, Zygote as EngineZygote, ZygoteOptions,
};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::buffers::{Exported, View};
use loky_engine::front::Buffer;

/// What a worker is made from. Used up by `Zygote.forked`, `Zygote.fork_failed` or
/// `Zygote.become_worker`.
#[pyclass(frozen, module = "loky._native")]
pub(crate) struct Seed(Mutex<Option<EngineSeed>>);

#[pymethods]
impl Seed {
    /// The description of the surroundings that the parent made for the worker.
    fn setup<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let seed = lock(&self.0);
        let bytes = seed.as_ref().ok_or_else(used)?.setup_bytes();
        Ok(PyBytes::new(py, &bytes.map_err(to_python)?))
    }
}

impl Seed {
    fn take(&self) -> PyResult<EngineSeed> {
        lock(&self.0).take().ok_or_else(used)
    }
}

fn used() -> PyErr {
    PyValueError::new_err("the seed has been used")
}

/// The worker that the zygote executed with these numbers at the end of its command line. To be
/// called once, first.
#[pyfunction]
#[pyo3(signature = (*numbers))]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that the extraction wants"
)]
pub(crate) fn worker_from_exec(numbers: Vec<i64>) -> PyResult<Worker> {
    let words: Vec<OsString> = numbers
        .iter()
        .map(|number| OsString::from(number.to_string()))
        .collect();
    Worker::of(EngineSeed::from_exec(&words).map_err(to_python)?)
}

/// The process that forks and reaps the workers of a pool. For the one thread of that process.
#[pyclass(frozen, module = "loky._native")]
pub(crate) struct Zygote(Mutex<Option<EngineZygote>>);

#[pymethods]
impl Zygote {
    /// Takes over the control descriptor. `exec_args` is the command of an executed worker, the
    /// program first.
    ///
    /// With `group`, the folder of a memory cgroup, each worker gets a group below it that may have
    /// `group_limit` bytes.
    #[new]
    #[pyo3(signature = (control_fd, parent_pid, exec_args, group=None, group_limit=0))]
    fn new(
        control_fd: RawFd,
        parent_pid: i32,
        exec_args: Vec<OsString>,
        group: Option<PathBuf>,
        group_limit: u64,
    ) -> PyResult<Self> {
        // SAFETY: the parent passes this number to the zygote for this use alone.
        let control = unsafe { OwnedFd::from_raw_fd(control_fd) };
        let mut words = exec_args.into_iter();
        let exec = words.next().map(|program| ExecTemplate {
            program: PathBuf::from(program),
            arguments: words.collect(),
            environment: None,
        });
        let groups = group.map(|below| GroupOptions {
            below,
            limit_bytes: group_limit,
        });
        let options = ZygoteOptions {
            parent_pid,
            exec,
            groups,
        };
        let zygote = EngineZygote::adopt(control, options).map_err(to_python)?;
        Ok(Self(Mutex::new(Some(zygote))))
    }

    /// Serves until there is something to do: `("fork", seed)`, `("preload", bytes)` or `("exit", code)`.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        // There is no other thread that could want the interpreter.
        match self.with(EngineZygote::next)? {
            Order::Fork(seed) => ("fork", Seed(Mutex::new(Some(seed)))).into_pyobject(py),
            Order::Preload(bytes) => ("preload", PyBytes::new(py, &bytes)).into_pyobject(py),
            Order::Exit(code) => ("exit", code).into_pyobject(py),
        }
    }

    /// In the zygote: the fork gave this process.
    fn forked(&self, seed: &Seed, pid: i32) -> PyResult<()> {
        let seed = seed.take()?;
        self.with(|zygote| zygote.forked(seed, pid))
    }

    /// In the zygote: the fork failed.
    fn fork_failed(&self, seed: &Seed, errno: i32) -> PyResult<()> {
        let seed = seed.take()?;
        self.with(|zygote| zygote.fork_failed(seed, errno))
    }

    /// In the child of the fork: lets go of everything that is the zygote's and begins as a worker.
    fn become_worker(&self, seed: &Seed) -> PyResult<Worker> {
        let seed = seed.take()?;
        let zygote = lock(&self.0).take().ok_or_else(gone)?;
        Worker::of(zygote.into_worker(seed))
    }
}

impl Zygote {
    fn with<T>(
        &self,
        work: impl FnOnce(&mut EngineZygote) -> Result<T, WorkerError>,
    ) -> PyResult<T> {
        let mut zygote = lock(&self.0);
        work(zygote.as_mut().ok_or_else(gone)?).map_err(to_python)
    }
}

fn gone() -> PyErr {
    PyRuntimeError::new_err("this process is a worker and no longer the zygote")
}

/// A worker's end of the pool. For the thread that runs the tasks.
#[pyclass(frozen, module = "loky._native")]
pub(crate) struct Worker {
    end: Mutex<EngineWorker>,
    /// Its number, never used again in the life of its pool.
    #[pyo3(get, name = "worker_id")]
    number: u64,
    /// Its place in the pool.
    #[pyo3(get)]
    index: u32,
}

impl Worker {
    fn of(seed: EngineSeed) -> PyResult<Self> {
        let (number, index) = (seed.worker, seed.index);
        let worker = EngineWorker::begin(seed).map_err(to_python)?;
        Ok(Self {
            end: Mutex::new(worker),
            number,
            index,
        })
    }

    /// What is to be sent, from Python's buffers.
    fn with_outgoing<T>(
        &self,
        py: Python<'_>,
        stream: &Bound<'_, PyAny>,
        buffers: &Bound<'_, PyList>,
        send: impl FnOnce(&mut EngineWorker, &[u8], &[&[u8]]) -> Result<T, WorkerError> + Send,
    ) -> PyResult<T>
    where
        T: Send,
    {
        let stream = Exported::of(stream)?;
        let held: Vec<Exported> = buffers
            .iter()
            .map(|buffer| Exported::of(&buffer))
            .collect::<PyResult<_>>()?;
        let done = py.detach(|| {
            let slices: Vec<&[u8]> = held.iter().map(Buffer::bytes).collect();
            send(&mut lock(&self.end), stream.bytes(), &slices)
        });
        done.map_err(to_python)
    }
}

#[pymethods]
impl Worker {
    /// The description of the surroundings that the parent made.
    fn setup<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = lock(&self.end).setup_bytes().map_err(to_python)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The descriptor for the fault handler; it stays open and the worker's own.
    fn stack_fd(&self) -> RawFd {
        lock(&self.end).stack_fd().as_raw_fd()
    }

    /// Has what the kernel says about a fault kept for the parent. After `faulthandler.enable`.
    fn keep_last_words(&self) -> PyResult<()> {
        lock(&self.end).keep_last_words().map_err(to_python)
    }

    /// Says that tasks can come.
    fn ready(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| lock(&self.end).ready()).map_err(to_python)
    }

    /// Says that the initializer raised; `stream` is the encoded exception.
    fn initializer_failed(&self, py: Python<'_>, stream: &Bound<'_, PyAny>) -> PyResult<()> {
        self.with_outgoing(py, stream, &PyList::empty(py), |worker, stream, buffers| {
            worker.initializer_failed(&Outgoing {
                retry_wanted: false,
                raised: true,
                stream,
                buffers,
            })
        })
    }

    /// Waits for a task: `("task", task, attempt, stream, buffers)`, `("lost", task, attempt, errno)`,
    /// `("forget", name)`, `("leave",)` or `("gone",)`. Answers the same task again until it has been replied to.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        loop {
            match py.detach(|| lock(&self.end).next()).map_err(to_python)? {
                Turn::Task(task) => return task_tuple(py, task),
                Turn::Lost {
                    task,
                    attempt,
                    errno,
                } => return ("lost", task, attempt, errno).into_pyobject(py),
                Turn::Forget(name) => {
                    return ("forget", PyBytes::new(py, &name)).into_pyobject(py);
                }
                Turn::Leave => return ("leave",).into_pyobject(py),
                Turn::ParentGone => return ("gone",).into_pyobject(py),
                Turn::Interrupted => py.check_signals()?,
            }
        }
    }

    /// Answers a task. A second answer for the same is ignored. `OSError` where no segment can be
    /// had for a large answer: a smaller one may follow.
    #[pyo3(signature = (task, attempt, raised, stream, buffers, retry_wanted=false))]
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one answer, as Python has them"
    )]
    fn reply(
        &self,
        py: Python<'_>,
        task: u64,
        attempt: u32,
        raised: bool,
        stream: &Bound<'_, PyAny>,
        buffers: &Bound<'_, PyList>,
        retry_wanted: bool,
    ) -> PyResult<()> {
        self.with_outgoing(py, stream, buffers, |worker, stream, buffers| {
            worker.reply(
                task,
                attempt,
                &Outgoing {
                    retry_wanted,
                    raised,
                    stream,
                    buffers,
                },
            )
        })
    }

    /// Says that this worker will leave: 1 for memory growth, 2 where it was asked.
    fn leaving(&self, py: Python<'_>, reason: u32) -> PyResult<()> {
        let reason = LeaveReason::from_code(reason)
            .ok_or_else(|| PyValueError::new_err(format!("reason must be 1 or 2, got {reason}")))?;
        py.detach(|| lock(&self.end).leaving(reason))
            .map_err(to_python)
    }
}

fn task_tuple(py: Python<'_>, task: TaskIn) -> PyResult<Bound<'_, PyTuple>> {
    let stream = match task.stream.as_view() {
        None => PyBytes::new(py, task.stream.as_bytes()).into_any(),
        Some(view) => Bound::new(py, View::of_task(view.clone()))?.into_any(),
    };
    let views = task
        .buffers
        .into_iter()
        .map(|view| Bound::new(py, View::of_task(view)));
    let buffers = PyList::new(py, views.collect::<PyResult<Vec<_>>>()?)?;
    ("task", task.task, task.attempt, stream, buffers).into_pyobject(py)
}

/// `EMSGSIZE`: an answer that no frame can describe.
const TOO_LARGE_ERRNO: i32 = 90;

/// An `OSError` where the worker goes on as if the call had not been made, or where the system was
/// asked; else a `RuntimeError`, after which the worker has to end.
fn to_python(error: WorkerError) -> PyErr {
    let text = error.to_string();
    match (error.errno(), error) {
        (Some(errno), _) => PyOSError::new_err((errno, text)),
        (None, WorkerError::Unsendable(_)) => PyOSError::new_err((TOO_LARGE_ERRNO, text)),
        (None, _) => PyRuntimeError::new_err(text),
    }
}

/// A panic under one of these locks has already ended the call that held it with an error.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
