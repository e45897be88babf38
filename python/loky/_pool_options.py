"""What a pool is made with, checked, and what has become of it. Nothing here does anything."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from . import _exceptions, _pickling


class ExecutorFlags:
    """What has become of a pool. Outlives its executor, and may be read by whoever kept it.

    Attributes:
        shutdown: no more tasks are taken.
        broken: the error that broke the pool, or None.
        kill_workers: the pool was told to kill its workers.
    """

    def __init__(self) -> None:
        self.shutdown = False
        self.broken: _exceptions.BrokenProcessPool | None = None
        self.kill_workers = False


class PoolOptions:
    """The arguments of an executor, checked."""

    def __init__(
        self,
        *,
        idle_timeout_s: float | None,
        initializer: "Callable[..., object] | None",
        initargs: "tuple[Any, ...]",
        environment: "Mapping[str, Any] | None",
        job_reducers: "_pickling.Reducers | None",
        result_reducers: "_pickling.Reducers | None",
        on_crash: str,
        launcher: str,
        transport: str,
        preload: tuple[str, ...],
        max_tasks_per_worker: int | None,
        context: "Any" = None,
        start_timeout_s: float | None = None,
        grace_s: tuple[float, float | None] = (0.2, None),
        capture_stderr: bool = False,
        memory_limit_bytes: int | None = None,
    ) -> None:
        self.idle_timeout_s = idle_timeout_s
        self.initializer = initializer
        self.initargs = initargs
        self.environment = environment
        self.job_reducers = job_reducers
        self.result_reducers = result_reducers
        self.on_crash = on_crash
        self.launcher = launcher
        self.transport = transport
        self.preload = preload
        self.max_tasks_per_worker = max_tasks_per_worker
        self.start_timeout_s = start_timeout_s
        self.grace_s = grace_s
        self.context = context
        self.capture_stderr = capture_stderr
        self.memory_limit_bytes = memory_limit_bytes
