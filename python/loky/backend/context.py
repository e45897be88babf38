"""The contexts of multiprocessing that this package adds, and the number of CPUs.

`loky` starts fresh interpreters that do not import the main script; `loky_init_main` has it
imported. The functions that count CPUs stand here under loky's names too: `cpu_count` looks each of
them up in this module, so that a program may replace one. So do the modules that they ask.
"""

import multiprocessing.context as standard
import os
import sys
import warnings
from multiprocessing.context import BaseContext

from loky._cpu_count import (
    _MAX_WINDOWS_WORKERS,
    _count_physical_cores,
    _count_physical_cores_darwin,
    _count_physical_cores_freebsd,
    _count_physical_cores_linux,
    _count_physical_cores_win32,
    _count_physical_cores_win32_ctypes,
    _count_physical_cores_win32_powershell,
    _cpu_count_affinity_set,
    _cpu_count_cgroup,
    cpu_count,
    physical_cores_cache,
)

from .process import LokyInitMainProcess, LokyProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Reducers = Mapping[type, Callable[[Any], Any]]

__all__ = [
    "START_METHODS",
    "_MAX_WINDOWS_WORKERS",
    "LokyContext",
    "LokyInitMainContext",
    "_count_physical_cores",
    "_count_physical_cores_darwin",
    "_count_physical_cores_freebsd",
    "_count_physical_cores_linux",
    "_count_physical_cores_win32",
    "_count_physical_cores_win32_ctypes",
    "_count_physical_cores_win32_powershell",
    "_cpu_count_affinity_set",
    "_cpu_count_cgroup",
    "cpu_count",
    "get_context",
    "get_start_method",
    "os",
    "physical_cores_cache",
    "set_start_method",
    "sys",
]

START_METHODS = ["loky", "loky_init_main", "spawn", "fork", "forkserver"]

_DEFAULT_START_METHOD: str | None = None


def __getattr__(name: str) -> "Any":
    """The module `subprocess`, in which programs that look at CPUs replace `run` by way of this one.

    Raises:
        AttributeError: there is no such name.
    """
    if name == "subprocess":
        import subprocess

        return subprocess
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_context(method: str | None = None) -> "Any":
    """The context of a start method; by default the chosen one, or else `loky`.

    Raises:
        ValueError: there is none of this name.
    """
    method = method or _DEFAULT_START_METHOD or "loky"
    if method == "fork":
        warnings.warn(
            "The start method 'fork' should not be used with loky: it copies the threads and locks of "
            "this process in an unknown state. Use 'spawn' or 'loky' instead.",
            UserWarning,
            stacklevel=2,
        )
    own = _own_contexts.get(method)
    if own is not None:
        return own
    try:
        return standard._default_context.get_context(method)
    except ValueError:
        raise ValueError(f"Unknown context {method!r}. It must be one of {START_METHODS}.") from None


def set_start_method(method: str | None, force: bool = False) -> None:
    """Choose the start method of executors that are given no context; multiprocessing's stays.

    Args:
        method: its name; None takes the choice back.
        force: replace an earlier choice.

    Raises:
        RuntimeError: there is a choice already.
        AssertionError: there is no such method.
    """
    global _DEFAULT_START_METHOD
    if _DEFAULT_START_METHOD is not None and not force:
        raise RuntimeError("context has already been set")
    if method is not None and method not in START_METHODS:
        raise AssertionError(f"{method!r} is not a start method; it must be one of {START_METHODS}.")
    _DEFAULT_START_METHOD = method


def get_start_method() -> str | None:
    """The chosen start method, or None."""
    return _DEFAULT_START_METHOD


class LokyContext(BaseContext):
    """Starts processes as fresh interpreters that do not import the main script."""

    _name = "loky"
    Process: type[LokyProcess] = LokyProcess
    cpu_count = staticmethod(cpu_count)

    def Queue(self, maxsize: int = 0, reducers: "Reducers | None" = None) -> "Any":  # noqa: N802
        """A queue that pickles in a thread of its own."""
        from .queues import Queue

        return Queue(maxsize, reducers, ctx=self.get_context())

    def SimpleQueue(self, reducers: "Reducers | None" = None) -> "Any":  # noqa: N802
        """A pipe with locks."""
        from .queues import SimpleQueue

        return SimpleQueue(reducers, ctx=self.get_context())

    def Semaphore(self, value: int = 1) -> "Any":  # noqa: N802
        """A semaphore."""
        from .synchronize import Semaphore

        return Semaphore(value)

    def BoundedSemaphore(self, value: int = 1) -> "Any":  # noqa: N802
        """A semaphore that cannot be released above its first value."""
        from .synchronize import BoundedSemaphore

        return BoundedSemaphore(value)

    def Lock(self) -> "Any":  # noqa: N802
        """A lock."""
        from .synchronize import Lock

        return Lock()

    def RLock(self) -> "Any":  # noqa: N802
        """A lock that its holder may take again."""
        from .synchronize import RLock

        return RLock()

    def Condition(self, lock: "Any" = None) -> "Any":  # noqa: N802
        """A condition."""
        from .synchronize import Condition

        return Condition(lock)

    def Event(self) -> "Any":  # noqa: N802
        """An event."""
        from .synchronize import Event

        return Event()


class LokyInitMainContext(LokyContext):
    """Starts processes as fresh interpreters that import the main script first."""

    _name = "loky_init_main"
    Process = LokyInitMainProcess


_own_contexts = {"loky": LokyContext(), "loky_init_main": LokyInitMainContext()}

for _name, _context in _own_contexts.items():
    # joblib's own copy of loky announces contexts of the same names, and relies on them.
    standard._concrete_contexts.setdefault(_name, _context)  # type: ignore[attr-defined]
