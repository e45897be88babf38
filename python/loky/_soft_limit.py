"""The soft limit on memory: `MemoryError` in the task, before anybody has to end its worker.

Runs in the worker, around the call of one task. The kernel is told how much private memory the process
may still take (`RLIMIT_DATA`); what asks for more gets `MemoryError` from Python, or `NULL` in native code,
which may take that badly. Where it cannot be told, for lack of a descriptor, the task does not run, since
it would run without its limit.

Imported where workers begin and while the helper starts: the first task with such a limit may come when there
is no descriptor left to read this with.
"""

import errno
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def call(limit_bytes: int, function: "Callable[..., Any]", args: "tuple[Any, ...]", kwargs: "Any") -> "Any":
    """Call the function; the process may have this much resident memory meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = _allowed(limit_bytes)
    if allowed is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (_least(allowed, before[0], before[1]), before[1]))
    try:
        return function(*args, **kwargs)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _least(*limits: int) -> int:
    """The least of these limits, of which negative ones are none."""
    return min(limit for limit in limits if limit >= 0)


def _allowed(limit_bytes: int) -> int | None:
    """The size of private memory at which the resident memory will have come to the limit.

    What is reserved and not used, such as the stacks of threads, is not counted against the task.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            fields = [int(word) for word in file.read().split()]
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None
    page_bytes = resource.getpagesize()
    resident_bytes, data_bytes = fields[1] * page_bytes, fields[5] * page_bytes
    return data_bytes + max(0, limit_bytes - resident_bytes)
