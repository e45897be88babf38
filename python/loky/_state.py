"""Facts of this process that every part of the package may read: whether it is a worker, how deep.

Owned by the worker's start (`_world`), which sets them once. A leaf: it imports nothing that costs, so that a
worker can have it before anything else is loaded.
"""

from os import environ, sysconf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

depth = 0
"""Nesting: 0 in a user's process, parent's depth + 1 in a worker."""

identity: tuple[int, ...] = ()
"""The numbers in the name of this worker, outermost first: `LokyProcess-1:3` has `(1, 3)`."""

worker_pid: int | None = None
"""Process id of this worker; a fork that a task makes still has its parent's."""

helper_pid: int | None = None
"""In a worker: process id of the helper that started it."""

result_reducers: "dict[type, Callable[[Any], Any]] | None" = None
"""In a worker: the reducers for what it sends back, by exact type."""

tracker: tuple[int | None, int | None] | None = None
"""In a worker: descriptor and process id of the resource tracker that it shares with its owner."""

pickler_name: str | None = environ.get("LOKY_PICKLER") or None
"""Module of the pickler that is chosen in place of `cloudpickle`; see `_pickler_choice`."""

if pickler_name == "cloudpickle":
    pickler_name = None

registered_reducers: "dict[type, Callable[[Any], Any]]" = {}
"""Reducers that every pickler of this package uses, by exact type."""

shares = False
"""Whether this process has ever made an object for many tasks; see `_share`."""

default_memory_growth_bytes = 300_000_000
"""Growth of the resident set, in bytes, after which a worker is replaced between two tasks."""


def memory_growth_limit_bytes(text: str | None) -> int:
    """The limit that `LOKY_MAX_MEMORY_LEAK_SIZE` asks for, in bytes; float syntax is allowed.

    A text that is no number gives the default: a worker must not fail to start for it.
    """
    if not text:
        return default_memory_growth_bytes
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return default_memory_growth_bytes


def resident_bytes() -> int:
    """The memory of this process that is resident; 0 where that cannot be told."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return 0
