"""The executor that a thread keeps: `get_reusable_executor` and the rules of its reuse.

Each thread has one slot. What is in it goes with the thread.
"""

import concurrent.futures
import itertools
import threading
import warnings

from . import _contexts
from ._cpu_count import cpu_count
from .process_executor import EXTRA_QUEUED_CALLS, ProcessPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Self, Unpack

    from . import _options

    Reducers = Mapping[type, Callable[[Any], Any]]

    class More(_options.Defaults, total=False):
        """What an executor takes beside what loky has."""

        start_timeout: float | None
        memory_limit: int | str | None
        grace: float | tuple[float, float]


__all__ = ["get_reusable_executor"]

_RESIZE_WITH_WORK = (
    "Trying to resize an executor with running jobs: waiting for jobs completion before resizing."
)

_executor_ids = itertools.count()


class _ExecutorStorage(threading.local):
    """One thread's executor and the arguments that it was made with."""

    executor: "_ReusablePoolExecutor | None" = None
    executor_kwargs: "dict[str, Any] | None" = None


_executor_storage = _ExecutorStorage()


def __getattr__(name: str) -> "Any":
    # Programs read the first two to stop the pool of another library; they answer for this thread.
    if name == "_executor":
        return _executor_storage.executor
    if name == "_executor_kwargs":
        return _executor_storage.executor_kwargs
    if name == "get_context":
        from .backend.context import get_context

        return get_context
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_reusable_executor(
    max_workers: int | None = None,
    context: "Any" = None,
    timeout: float | None = 10,
    kill_workers: bool = False,
    reuse: "bool | str" = "auto",
    job_reducers: "Reducers | None" = None,
    result_reducers: "Reducers | None" = None,
    initializer: "Callable[..., object] | None" = None,
    initargs: "tuple[Any, ...]" = (),
    env: "Mapping[str, Any] | None" = None,
    **more: "Unpack[More]",
) -> "_ReusablePoolExecutor":
    """The calling thread's executor: created, reused, resized or replaced.

    It is reused when the other arguments equal those that it was made with. One that is broken or
    shut down is replaced, and so is one that a forked child has inherited.

    Args:
        max_workers: number of workers; None: `cpu_count()`, or with `reuse=True` as many as there
            are. Another number resizes the pool, after its tasks are done.
        context: see `ProcessPoolExecutor`.
        timeout: seconds after which an idle worker leaves.
        kill_workers: when the executor is replaced, kill its workers instead of waiting for its
            tasks.
        reuse: "auto": as said. True: reuse whatever the other arguments; the old ones stay in
            force. False: never.
        job_reducers: see `ProcessPoolExecutor`.
        result_reducers: see `ProcessPoolExecutor`.
        initializer: see `ProcessPoolExecutor`.
        initargs: see `ProcessPoolExecutor`.
        env: see `ProcessPoolExecutor`.
        more: `start_timeout`, `grace` and the options of tasks: see `ProcessPoolExecutor`.

    Raises:
        ValueError: `max_workers` is less than 1, a value is out of range, or the context is unknown
            or fork.
        TypeError: `initializer` cannot be called, or an option is unknown.
    """
    arguments: dict[str, Any] = {
        "context": context,
        "timeout": timeout,
        "job_reducers": job_reducers,
        "result_reducers": result_reducers,
        "initializer": initializer,
        "initargs": initargs,
        "env": env,
        **more,
    }
    # Nearly every call is for what is there. The classmethod finds the same with more care.
    executor = _executor_storage.executor
    exact = type(executor) is _ReusablePoolExecutor and context is None and reuse == "auto"
    if exact and executor is not None and executor._is_as_asked(max_workers, arguments):
        return executor
    executor, _ = _ReusablePoolExecutor.get_reusable_executor(
        max_workers=max_workers, kill_workers=kill_workers, reuse=reuse, **arguments
    )
    return executor


def warm_up(max_workers: int | None = None, **options: "Any") -> "_ReusablePoolExecutor":
    """Start the helper process of the calling thread's executor, in the background.

    Its first task then waits for a fork and not for an interpreter. No worker is started, and
    importing this package never does this by itself.

    Args:
        max_workers: see `get_reusable_executor`.
        options: its other arguments. An executor that is asked for with others is another one.

    Returns:
        The executor, as `get_reusable_executor` gives it from now on.

    Raises:
        OSError: there are no descriptors or processes left.
        ValueError, TypeError: as `get_reusable_executor`.
    """
    executor: _ReusablePoolExecutor = get_reusable_executor(max_workers, **options)
    executor.warm_up()
    return executor


class _ReusablePoolExecutor(ProcessPoolExecutor):
    """The executor in a thread's slot. joblib derives from this class."""

    def __init__(
        self,
        max_workers: int | None = None,
        context: "Any" = None,
        timeout: float | None = None,
        executor_id: int = 0,
        job_reducers: "Reducers | None" = None,
        result_reducers: "Reducers | None" = None,
        initializer: "Callable[..., object] | None" = None,
        initargs: "tuple[Any, ...]" = (),
        env: "Mapping[str, Any] | None" = None,
        **more: "Unpack[More]",
    ) -> None:
        super().__init__(
            max_workers=max_workers,
            context=context,
            timeout=timeout,
            job_reducers=job_reducers,
            result_reducers=result_reducers,
            initializer=initializer,
            initargs=initargs,
            env=env,
            **more,
        )
        self.executor_id = executor_id
        # Larger pools than this are made anew instead of resized.
        self.queue_size = 2 * max(cpu_count(), self._max_workers) + EXTRA_QUEUED_CALLS
        # Held by users around what must not meet a resize; never by a thread that waits for tasks.
        self._submit_resize_lock = threading.RLock()

    @classmethod
    def get_reusable_executor(
        cls,
        max_workers: int | None = None,
        context: "Any" = None,
        timeout: float | None = 10,
        kill_workers: bool = False,
        reuse: "bool | str" = "auto",
        job_reducers: "Reducers | None" = None,
        result_reducers: "Reducers | None" = None,
        initializer: "Callable[..., object] | None" = None,
        initargs: "tuple[Any, ...]" = (),
        env: "Mapping[str, Any] | None" = None,
        **more: "Unpack[More]",
    ) -> "tuple[Self, bool]":
        """The executor for this thread, and whether it is the one that was there before."""
        context = _contexts.resolve(context)
        _contexts.refuse_fork(context)
        arguments: dict[str, Any] = {
            "context": context,
            "timeout": timeout,
            "job_reducers": job_reducers,
            "result_reducers": result_reducers,
            "initializer": initializer,
            "initargs": initargs,
            "env": env,
            **more,
        }
        old = _executor_storage.executor
        if old is not None and old._life is not None and old._life.inherited:
            old = None
        if max_workers is None:
            max_workers = old._max_workers if reuse is True and old is not None else cpu_count()
        elif max_workers <= 0:
            raise ValueError(f"max_workers must be greater than 0, got {max_workers}.")
        if isinstance(old, cls) and old._serves(max_workers) and cls._may_reuse(reuse, arguments):
            old._resize(max_workers)
            return old, True
        if old is not None:
            _executor_storage.executor = _executor_storage.executor_kwargs = None
            old.shutdown(wait=True, kill_workers=kill_workers)
            del old
        executor = cls(max_workers=max_workers, executor_id=next(_executor_ids), **arguments)
        _executor_storage.executor, _executor_storage.executor_kwargs = executor, arguments
        return executor, False

    @classmethod
    def _may_reuse(cls, reuse: "bool | str", arguments: "dict[str, Any]") -> bool:
        """Whether what was asked for is what is in this thread's slot."""
        if reuse == "auto":
            return same_arguments(_executor_storage.executor_kwargs, arguments)
        if reuse is True and cls is not _ReusablePoolExecutor:
            # joblib compares with the last call of any thread, and makes reducers anew at each call.
            return same_arguments(
                _without_reducers(_executor_storage.executor_kwargs), _without_reducers(arguments)
            )
        return bool(reuse)

    def _is_as_asked(self, max_workers: int | None, arguments: "dict[str, Any]") -> bool:
        """Whether this executor, which is in the slot, can go on as it is."""
        same_size = max_workers == self._max_workers and self._serves(self._max_workers)
        return same_size and same_arguments(_executor_storage.executor_kwargs, arguments)

    def _serves(self, max_workers: int) -> bool:
        """Whether this executor can go on, with that many workers."""
        life, flags = self._life, self._flags
        whole = flags.broken is None and not flags.shutdown and (life is None or not life.inherited)
        return whole and max_workers <= self.queue_size

    def _resize(self, max_workers: int | None) -> None:
        """Change the number of workers; waits until no task is unfinished and the change is made.

        Raises:
            ValueError: `max_workers` is None.
        """
        if max_workers is None:
            raise ValueError("Trying to resize with max_workers=None")
        if max_workers == self._max_workers:
            return
        with self._start_lock:
            life = self._life
            if life is None:
                self._max_workers = max_workers
                return
        # In a done-callback there is no waiting for tasks: this thread is what finishes them.
        if threading.current_thread() is not life.thread:
            # Those there are now: a thread that goes on submitting must not keep this one for ever.
            unfinished = [future for future in list(life.pending.values()) if not future.done()]
            if unfinished:
                warnings.warn(_RESIZE_WITH_WORK, UserWarning, stacklevel=2)
                concurrent.futures.wait(unfinished)
        self._max_workers = max_workers
        life.resize(max_workers)


def _without_reducers(arguments: "dict[str, Any] | None") -> "dict[str, Any]":
    reducers = ("job_reducers", "result_reducers")
    return {name: value for name, value in (arguments or {}).items() if name not in reducers}


def same_arguments(old: "dict[str, Any] | None", new: "dict[str, Any]") -> bool:
    """Whether an executor made with `old` is what one made with `new` would be.

    Arguments that cannot be compared, such as arrays, count as different.
    """
    try:
        return bool(old == new)
    except Exception:
        return False
