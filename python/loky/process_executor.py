"""`ProcessPoolExecutor`: the executor that a user holds, and the names that loky has beside it.

The executor starts nothing until its first task. What is started then lives in `_pool`; when the
last reference to the executor goes, the pool executes what it has accepted and ends.
"""

import concurrent.futures
import operator
import os
import sys
import threading

from . import (
    _channels,
    _contexts,
    _exceptions,
    _map,
    _options,
    _pickling,
    _pool,
    _pool_options,
    _state,
)
from ._cpu_count import cpu_count
from ._exceptions import LokyRecursionError, ShutdownExecutorError, TaskTimeoutError
from ._processes import WorkerTable
from ._remote import _ExceptionWithTraceback, _RemoteTraceback
from .initializers import _prepare_initializer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Literal, NoReturn, ParamSpec, Self, TypeVar, Unpack

    from ._base import Future
    from ._exceptions import BrokenProcessPool, TerminatedWorkerError
    from ._statistics import PoolStatistics

    P = ParamSpec("P")
    T = TypeVar("T")

    BrokenExecutor = BrokenProcessPool

__all__ = [
    "BrokenExecutor",
    "BrokenProcessPool",
    "LokyRecursionError",
    "ProcessPoolExecutor",
    "ShutdownExecutorError",
    "TaskTimeoutError",
    "TerminatedWorkerError",
    "_ExceptionWithTraceback",
    "_RemoteTraceback",
]

EXTRA_QUEUED_CALLS = 1
_MEMORY_LEAK_CHECK_DELAY = 1.0
_USE_PSUTIL = True
_MAX_MEMORY_LEAK_SIZE: int
_CURRENT_DEPTH: int
MAX_DEPTH: int


# Names that programs look for in this module, and where each one is.
_elsewhere = {
    "BrokenExecutor": "loky._exceptions:BrokenProcessPool",
    "BrokenProcessPool": "loky._exceptions:BrokenProcessPool",
    "Executor": "concurrent.futures:Executor",
    "Future": "loky._base:Future",
    "InvalidStateError": "concurrent.futures:InvalidStateError",
    "LOGGER": "concurrent.futures._base:LOGGER",
    "PicklingError": "pickle:PicklingError",
    "TerminatedWorkerError": "loky._exceptions:TerminatedWorkerError",
    "_ExecutorFlags": "loky._pool_options:ExecutorFlags",
    "_ExecutorManagerThread": "loky._manager:ManagerThread",
    "_MAX_WINDOWS_WORKERS": "loky._cpu_count:_MAX_WINDOWS_WORKERS",
    "get_context": "loky.backend.context:get_context",
    "get_exitcodes_terminated_worker": "loky.backend.utils:get_exitcodes_terminated_worker",
    "get_loky_pickler_name": "loky._pickler_choice:get_loky_pickler_name",
    "kill_process_tree": "loky.backend.utils:kill_process_tree",
    "set_loky_pickler": "loky._pickler_choice:set_loky_pickler",
}


def __getattr__(name: str) -> "Any":
    """Import what somebody asks for; nothing here needs it.

    Raises:
        AttributeError: the module has no such name.
    """
    home = _elsewhere.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = home.partition(":")
    return getattr(import_module(module), attribute)


def read_environment() -> None:
    """Set the values that come from the environment; a worker does so again when it starts."""
    global MAX_DEPTH, _CURRENT_DEPTH, _MAX_MEMORY_LEAK_SIZE
    MAX_DEPTH = int(os.environ.get("LOKY_MAX_DEPTH", "10"))
    _CURRENT_DEPTH = _state.depth
    _MAX_MEMORY_LEAK_SIZE = _state.memory_growth_limit_bytes(os.environ.get("LOKY_MAX_MEMORY_LEAK_SIZE"))


read_environment()

_ON_CRASH = ("recover", "break")
_LAUNCHERS = ("zygote", "exec")
_TRANSPORTS = ("ring", "socket")


def _choice(name: str, given: str | None, variable: str, allowed: tuple[str, ...], default: str) -> str:
    value = given if given is not None else os.environ.get(variable) or default
    if value not in allowed:
        source = name if given is not None else f"the variable {variable}"
        raise ValueError(f"{source} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    return value


def _check_depth(context: "Any") -> None:
    if _CURRENT_DEPTH > 0 and _contexts.method_of(context) == "fork":
        raise LokyRecursionError(
            "Could not create an executor with the start method 'fork' in a worker: MAX_DEPTH=1 for it. "
            "Use another context. LOKY_MAX_DEPTH has no effect on this."
        )
    if MAX_DEPTH > 0 and _CURRENT_DEPTH + 1 > MAX_DEPTH:
        raise LokyRecursionError(
            f"Could not create an executor at nesting level {_CURRENT_DEPTH + 1}: the limit is "
            f"MAX_DEPTH={MAX_DEPTH}. If pools are meant to be nested that deep, set the environment "
            "variable LOKY_MAX_DEPTH."
        )


def _is_daemonic() -> bool:
    """Whether multiprocessing has made this process, and forbidden it to have children."""
    module = sys.modules.get("multiprocessing.process")
    return module is not None and bool(module.current_process().daemon)


def _check_workers(max_workers: int | None) -> int:
    if max_workers is None:
        return cpu_count()
    if max_workers <= 0:
        raise ValueError("max_workers must be greater than 0")
    return operator.index(max_workers)


def _check_tasks_per_child(count: int | None) -> int | None:
    if count is None:
        return None
    if not isinstance(count, int):
        raise TypeError("max_tasks_per_child must be an integer")
    if count <= 0:
        raise ValueError("max_tasks_per_child must be >= 1")
    return count


def _check_grace(grace: float | tuple[float, float]) -> "tuple[float, float | None]":
    if not isinstance(grace, tuple):
        return _options.check_grace("grace", grace), None
    if len(grace) != 2:
        raise ValueError(f"grace must be a number of seconds or a pair of them, not {grace!r}")
    return _options.check_grace("grace[0]", grace[0]), _options.check_grace("grace[1]", grace[1])


class ProcessPoolExecutor(concurrent.futures.Executor):
    """A pool of worker processes that survives its tasks.

    The first task starts all workers at once. Tasks may be any function, also a lambda or one of
    the main script, which needs no `__main__` guard. Arguments are pickled by `submit`, so they are
    what they were then. Behaviour not told here is that of `concurrent.futures`.

    Args:
        max_workers: number of workers; `cpu_count()` if None.
        job_reducers: functions that reduce an object for pickling, by exact type, for tasks.
        result_reducers: the same for results; None means `job_reducers`, an empty mapping none.
        timeout: seconds after which an idle worker leaves; None: never. The next task refills the
            pool.
        context: None or a multiprocessing context, or its name, as loky takes it. Every one is
            served by this package's own workers; see `docs/compatibility.md`.
        initializer: called first in each worker.
        initargs: its arguments. They may hold multiprocessing's locks, events and queues.
        env: variables set in the workers over those of this process, before anything is imported.
        on_crash: "recover": a dead worker costs the task that it was running and nothing else.
            "break": it breaks the pool and fails every unfinished task, as in loky. None: what
            `LOKY_ON_CRASH` says, else "recover".
        launcher: "zygote": workers are forked from a small helper. "exec": each is a freshly
            executed interpreter. None: what `LOKY_LAUNCHER` says, else what the system allows.
        preload: names of modules that the helper imports once for all workers. Where one starts
            threads that it does not end by itself at a fork (numpy's do), workers are executed.
        mp_context: the standard library's name for `context`.
        max_tasks_per_child: tasks after which a worker is replaced; None: no limit.
        capture_stderr: keep the end of what each worker writes to its standard error, for the report
            on its death. It is passed on to the standard error of this process; the workers write
            into a pipe then, and not to a terminal.
        memory_limit: bytes, or a text such as "512M", that a worker and what it has started may have
            while it runs a task. A task that passes it ends alone, with `TerminatedWorkerError`.
        start_timeout: seconds from a worker's process to its readiness, after which it is killed and
            replaced; one pool bears only so many such ends in a row. None: no limit.
        grace: seconds that a task has to end after it was interrupted, before its worker is killed.
            A pair: seconds after the interrupt, then seconds after SIGTERM.
        task_options: what `options` takes, for all tasks; `timeout` is called `task_timeout` here.

    Raises:
        ValueError: a number is out of its range, or a choice is unknown.
        TypeError: a number is none, an option is unknown, or `initializer` cannot be called.
        LokyRecursionError: pools are nested deeper than `LOKY_MAX_DEPTH` (10).
    """

    def __init__(
        self,
        max_workers: int | None = None,
        job_reducers: "Mapping[type, Callable[[Any], Any]] | None" = None,
        result_reducers: "Mapping[type, Callable[[Any], Any]] | None" = None,
        timeout: float | None = None,
        context: "Any" = None,
        initializer: "Callable[..., object] | None" = None,
        initargs: "tuple[Any, ...]" = (),
        env: "Mapping[str, Any] | None" = None,
        *,
        on_crash: str | None = None,
        launcher: str | None = None,
        preload: "Sequence[str]" = (),
        mp_context: "Any" = None,
        max_tasks_per_child: int | None = None,
        capture_stderr: bool = False,
        memory_limit: int | str | None = None,
        start_timeout: float | None = None,
        grace: float | tuple[float, float] = 0.2,
        **task_options: "Unpack[_options.Defaults]",
    ) -> None:
        self._max_workers = _check_workers(max_workers)
        context = _contexts.choose(context, mp_context)
        _check_depth(context)
        if max_tasks_per_child is not None and _contexts.method_of(context) == "fork":
            raise ValueError("max_tasks_per_child is incompatible with the start method 'fork'")
        initializer, initargs = _prepare_initializer(initializer, initargs)
        self._timeout = timeout
        self._env = env
        self._initializer = initializer
        self._initargs = initargs
        default_launcher = "zygote" if sys.platform == "linux" else "exec"
        self._options = _pool_options.PoolOptions(
            idle_timeout_s=None if timeout is None else max(0.0, float(timeout)),
            initializer=initializer,
            initargs=tuple(initargs),
            environment=env,
            job_reducers=job_reducers,
            result_reducers=job_reducers if result_reducers is None else result_reducers,
            on_crash=_choice("on_crash", on_crash, "LOKY_ON_CRASH", _ON_CRASH, "recover"),
            launcher=_choice("launcher", launcher, "LOKY_LAUNCHER", _LAUNCHERS, default_launcher),
            transport=_choice("transport", None, "LOKY_TRANSPORT", _TRANSPORTS, "ring"),
            preload=(preload,) if isinstance(preload, str) else tuple(preload),
            max_tasks_per_worker=_check_tasks_per_child(max_tasks_per_child),
            context=context,
            capture_stderr=bool(capture_stderr),
            memory_limit_bytes=_options.check_bytes("memory_limit", memory_limit),
            start_timeout_s=_options.check_seconds("start_timeout", start_timeout),
            grace_s=_check_grace(grace),
        )
        self._task_options = _options.from_defaults(task_options)
        self._own_result_queue: Any = None
        self._tasks_view = _channels.ChannelView(self, tasks=True)
        self._flags = _pool_options.ExecutorFlags()
        self._processes = WorkerTable()
        self._dismissed = False
        self._start_lock = threading.Lock()
        self._life: _pool.PoolLife | None = None

    def submit(self, fn: "Callable[P, T]", /, *args: "P.args", **kwargs: "P.kwargs") -> "Future[T]":
        """Schedule a call; its future gives what it returns or raises.

        Never raises because of the call itself: what cannot be pickled or called is the outcome of
        its future. Never waits for a worker to be free. When the call starts workers, it returns
        once they have process ids.

        Raises:
            BrokenProcessPool: the pool is broken; the same error, in a new object, that its tasks
                got.
            ShutdownExecutorError: the executor has been shut down, also by the interpreter's exit.
            RuntimeError: the pool would have to be started while the interpreter is shutting down, or
                this process is a forked child of the one that owns it.
        """
        life = self._life
        if life is None or not life.begun or life.inherited or self._flags.shutdown:
            life = self._open(fn)
        return life.submit(fn, args, kwargs, self._task_options)

    def _submit(
        self,
        options: _options.TaskOptions,
        fn: "Callable[..., T]",
        args: "tuple[Any, ...]",
        kwargs: "dict[str, Any]",
    ) -> "Future[T]":
        life = self._life
        if life is None or not life.begun or life.inherited or self._flags.shutdown:
            life = self._open(fn)
        return life.submit(fn, args, kwargs, options)

    def options(self, **changes: "Unpack[_options.Given]") -> _options.ExecutorView:
        """This executor with other options for some tasks: a view that has `submit` and `map`.

        Args:
            timeout: seconds that an attempt may run, from its start. Then its stack is kept, it is
                interrupted, and if it has not ended after the executor's `grace`, its worker is
                killed and replaced. The outcome is a `TaskTimeoutError`.
            queue_timeout: seconds that the task may wait for its first start. Then it never runs, and
                its outcome is a `TaskTimeoutError`.
            retries: how often the task is tried again when its worker dies, after a growing pause.
            retry_on: an exception class, or a tuple of them, after which it is tried again, too.
            label: what the task is called in reports, messages and notes.
            priority: the higher goes first among waiting tasks; 0 by default.
            slow_after: seconds after which the logger `loky` tells once that the task is slow.
            memory_limit: as that of the executor, for this task.
            soft_memory_limit: what makes `MemoryError` in the task itself, before anybody ends it.

        Raises:
            TypeError: an option is unknown or of a wrong type.
            ValueError: the value of one is out of range.
        """
        return _options.ExecutorView(self, _options.with_changes(self._task_options, changes))

    def dump_stacks(self) -> dict[int, str]:
        """The Python stacks of all workers now, by process id, as text. Nothing is disturbed."""
        life = self._life
        return {} if life is None or not life.begun else life.stacks()

    def statistics(self) -> "PoolStatistics":
        """What this executor has done so far, and how it stands now.

        May be asked at any moment, also before the first task, of a broken executor and after
        `shutdown`. Starts nothing and waits for nothing.

        Raises:
            RuntimeError: this process is a forked child of the one that owns the pool.
        """
        life = self._life
        if life is None:
            from ._statistics import PoolStatistics

            return PoolStatistics()
        return life.statistics()

    def warm_up(self) -> None:
        """Start the helper process that makes workers, in the background, before the first task."""
        # Nothing is known of the tasks to come: the helper is made fit for all of them.
        self._open(None)

    def _open(self, function: object) -> _pool.PoolLife:
        """The started pool, or the reason why there is none."""
        with self._start_lock:
            life = self._life
            if life is not None and life.inherited:
                raise RuntimeError(_exceptions.IN_FORKED_CHILD)
            if self._flags.shutdown:
                self._refuse(life)
            if life is None:
                if _is_daemonic():
                    raise AssertionError("daemonic processes are not allowed to have children")
                by_value = not _pickling.is_importable(function)
                life = _pool.PoolLife(
                    self._options, self._flags, self._processes, self._max_workers, by_value
                )
                life.on_task_failed = self._tasks_view.task_failed
                self._life = life
            if not life.begun:
                try:
                    life.begin()
                except BaseException:
                    self._life = None
                    raise
            return life

    def _refuse(self, life: _pool.PoolLife | None) -> "NoReturn":
        if life is not None:
            raise life.refusal()
        raise ShutdownExecutorError(_exceptions.AFTER_SHUTDOWN)

    def map(
        self,
        fn: "Callable[..., T]",
        *iterables: "Iterable[Any]",
        timeout: float | None = None,
        chunksize: "int | Literal['auto']" = 1,
        buffersize: int | None = None,
        ordered: bool = True,
        **_ignored: "Any",
    ) -> "Iterator[T]":
        """As the builtin `map`, with the calls made in the workers, in the order of the input.

        All input is consumed and submitted before this returns. With `buffersize`, `ordered=False`
        or `chunksize="auto"` the input is taken as results are, and may be endless: what is on its
        way is bounded in tasks and in bytes.

        Closing the iterator (it has `close()`), an error in it, or dropping it half used cancels the
        rest. One that was never asked for a result and is dropped lets its calls be executed.

        A call that raises costs its own result, not those before it in its chunk. Unknown keyword
        arguments are ignored, as in loky.

        Args:
            timeout: seconds from this call until the last result; then `TimeoutError`.
            chunksize: calls that travel as one task. "auto": as many as run for some milliseconds,
                found while they run. A chunk is lost as a whole only if its worker dies.
            buffersize: largest number of tasks ahead of the result being taken.
            ordered: False gives results as they come. After an error the iterator can then be asked
                for the others.

        Raises:
            ValueError: a size is less than 1, or `chunksize` is another word than "auto".
            TypeError: `buffersize` is no integer.
        """
        return _map.over(self, fn, iterables, timeout, chunksize, buffersize, ordered)

    def shutdown(
        self, wait: bool = True, kill_workers: bool = False, *, cancel_futures: bool = False
    ) -> None:
        """Take no more tasks, and end the pool. May be called again, in any way, from any thread.

        Called from a done-callback, which runs in the thread that would be waited for, it does not
        wait.

        Args:
            wait: return when every accepted task is done and every worker has ended.
            kill_workers: kill the workers and their descendants at once; unfinished tasks end with
                `ShutdownExecutorError`.
            cancel_futures: cancel the tasks that have not begun. Those for which a worker is free, or
                just starting, count as begun.
        """
        with self._start_lock:
            self._dismissed = True
            self._flags.shutdown = True
            if kill_workers:
                self._flags.kill_workers = True
            life = self._life
        if life is None:
            return
        if kill_workers:
            life.kill()
        else:
            life.drain()
        if cancel_futures:
            life.cancel_waiting(self._max_workers)
        if wait:
            life.join()

    def terminate_workers(self) -> None:
        """Cancel what has not begun and send SIGTERM to every worker. Takes no more tasks."""
        self._end_workers("terminate")

    def kill_workers(self) -> None:
        """Cancel what has not begun and send SIGKILL to every worker. Takes no more tasks."""
        self._end_workers("kill")

    def _end_workers(self, order: str) -> None:
        life, workers = self._life, self._processes
        self.shutdown(wait=False)
        if life is not None:
            # Also what a worker that is just starting would have had: there will be no such worker.
            life.cancel_waiting(0)
        for worker in list(workers.values()):
            getattr(worker, order)()

    def __del__(self) -> None:
        life = getattr(self, "_life", None)
        if life is not None:
            life.drain()
        elif hasattr(self, "_flags"):
            self._flags.shutdown = True

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: "TracebackType | None",
    ) -> None:
        self.shutdown(wait=True)

    def __enter__(self) -> "Self":
        return self

    def __reduce__(self) -> "NoReturn":
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: a pool belongs to its process")

    # What programs and suites read on loky's executors.

    @property
    def _context(self) -> "Any":
        context = self._options.context
        if context is None:
            from .backend.context import get_context

            context = get_context()
        return context

    _mp_context = _context
    """The standard library's name for it."""

    @property
    def _broken(self) -> str | bool:
        """The standard library's word for whether, and why, the pool is broken."""
        broken = self._flags.broken
        return False if broken is None else str(broken)

    @property
    def _call_queue(self) -> "Any":
        return None if self._dismissed else self._tasks_view

    @property
    def _result_queue(self) -> "Any":
        if self._dismissed:
            return None
        return self._own_result_queue or _channels.ChannelView(self, tasks=False)

    @_result_queue.setter
    def _result_queue(self, queue: "Any") -> None:
        # Kept for who put it there; answers do not come through it.
        self._own_result_queue = queue

    @property
    def _executor_manager_thread(self) -> threading.Thread | None:
        life = self._life
        return None if life is None or self._dismissed else life.thread

    @property
    def _pending_work_items(self) -> "dict[int, Future[Any]]":
        life = self._life
        return {} if life is None else life.pending

    @property
    def _running_work_items(self) -> list[int]:
        life = self._life
        return [] if life is None else life.running()
