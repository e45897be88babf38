"""A process pool that survives its tasks, under the names of `loky` and `concurrent.futures`.

This module only names what the package offers. A name is imported when it is first used, so that
`import loky` costs next to nothing and starts nothing: no process, no thread, no file.
"""

from . import _start_methods, _upstream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import (
        ALL_COMPLETED,
        FIRST_COMPLETED,
        FIRST_EXCEPTION,
        CancelledError,
        Executor,
        TimeoutError,
        as_completed,
        wait,
    )
    from typing import Any

    from ._base import Future as Future
    from ._cpu_count import cpu_count as cpu_count
    from ._exceptions import BrokenProcessPool as BrokenProcessPool
    from ._exceptions import LokyRecursionError as LokyRecursionError
    from ._exceptions import ShutdownExecutorError as ShutdownExecutorError
    from ._exceptions import TaskTimeoutError as TaskTimeoutError
    from ._exceptions import TerminatedWorkerError as TerminatedWorkerError
    from ._let_live import let_live as let_live
    from ._pickler_choice import set_loky_pickler as set_loky_pickler
    from ._report import CrashCause as CrashCause
    from ._report import CrashReport as CrashReport
    from ._share import Shared as Shared
    from ._share import share as share
    from ._statistics import PoolStatistics as PoolStatistics
    from .cloudpickle_wrapper import wrap_non_picklable_objects as wrap_non_picklable_objects
    from .process_executor import ProcessPoolExecutor as ProcessPoolExecutor
    from .reusable_executor import get_reusable_executor as get_reusable_executor
    from .reusable_executor import warm_up as warm_up

__version__ = "0.1.0"

IMPLEMENTATION = "loky-rs"
"""Tells this package from others of the same name."""

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenProcessPool",
    "CancelledError",
    "Executor",
    "Future",
    "ProcessPoolExecutor",
    "TimeoutError",
    "as_completed",
    "cpu_count",
    "get_reusable_executor",
    "set_loky_pickler",
    "wait",
    "wrap_non_picklable_objects",
]

# The module in which each name is found. Names outside `__all__` are importable all the same.
_home = {
    "ALL_COMPLETED": "concurrent.futures",
    "BrokenProcessPool": "loky._exceptions",
    "CancelledError": "concurrent.futures",
    "CrashCause": "loky._report",
    "CrashReport": "loky._report",
    "Executor": "concurrent.futures",
    "FIRST_COMPLETED": "concurrent.futures",
    "FIRST_EXCEPTION": "concurrent.futures",
    "Future": "loky._base",
    "LokyRecursionError": "loky._exceptions",
    "PoolStatistics": "loky._statistics",
    "ProcessPoolExecutor": "loky.process_executor",
    "Shared": "loky._share",
    "ShutdownExecutorError": "loky._exceptions",
    "TaskTimeoutError": "loky._exceptions",
    "TerminatedWorkerError": "loky._exceptions",
    "TimeoutError": "concurrent.futures",
    "as_completed": "concurrent.futures",
    "cpu_count": "loky._cpu_count",
    "get_reusable_executor": "loky.reusable_executor",
    "let_live": "loky._let_live",
    "set_loky_pickler": "loky._pickler_choice",
    "share": "loky._share",
    "wait": "concurrent.futures",
    "warm_up": "loky.reusable_executor",
    "wrap_non_picklable_objects": "loky.cloudpickle_wrapper",
}

_submodules = frozenset(
    (
        "_base",
        "backend",
        "cloudpickle_wrapper",
        "initializers",
        "joblib",
        "process_executor",
        "reusable_executor",
    )
)

_start_methods.announce()
_upstream.warn_if_mixed(__path__[0])


def __getattr__(name: str) -> "Any":
    """Import the home of `name` and remember what was found.

    Raises:
        AttributeError: the package has no such name.
    """
    from importlib import import_module

    if name in _submodules:
        return import_module(f"{__name__}.{name}")
    home = _home.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_home, *_submodules})
