"""Bounded waiting for a condition that nothing announces: counts of the kernel, states of a pool."""

import os
import select
import time
from collections.abc import Callable

LIMIT_S = 20.0
"""Far more than anything here needs, far below the runner's own limit."""

_LOOK_AGAIN_MS = 5


def eventually(condition: Callable[[], object], limit_s: float = LIMIT_S) -> bool:
    """Look until the condition holds; False when it still does not after `limit_s`."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() >= deadline_s:
            return False
        select.poll().poll(_LOOK_AGAIN_MS)
    return True


def is_running(pid: int) -> bool:
    """Whether there is such a process and it is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def has_ended(pid: int, limit_s: float = LIMIT_S) -> bool:
    """Wait until a process, of whatever parent, is no more; False if it outlives the limit."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return not is_running(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(limit_s * 1000))
    finally:
        os.close(descriptor)
