"""All pools that are alive in this process, for its two turning points: its exit and its fork.

At exit every pool is told to drain and its thread is joined, before any `atexit` handler runs. In a
forked child every inherited pool is marked, so that using it is a clear error.
"""

import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._pool import PoolLife

_lives: "set[PoolLife]" = set()
_registered = False
_exiting = False
_started_processes = 0


def exiting() -> bool:
    """Whether the interpreter has begun to shut down."""
    return _exiting


def register(life: "PoolLife") -> None:
    """Remember a pool until its life has ended.

    Raises:
        RuntimeError: the interpreter is shutting down.
    """
    global _registered
    if _exiting:
        raise _at_exit()
    if not _registered:
        # The standard library's executors register in the same place: it runs before `atexit`
        # handlers and before the interpreter waits for its threads.
        try:
            threading._register_atexit(_drain_all)  # type: ignore[attr-defined]
        except RuntimeError:
            # The turn of these handlers is over.
            raise _at_exit() from None
        os.register_at_fork(after_in_child=_mark_inherited)
        _registered = True
    _lives.add(life)


def _at_exit() -> RuntimeError:
    from ._exceptions import AT_EXIT

    return RuntimeError(AT_EXIT)


def unregister(life: "PoolLife") -> None:
    """A pool's life has ended."""
    _lives.discard(life)


def count_processes(number: int) -> int:
    """Count workers that are about to be named; gives how many there had been before."""
    global _started_processes
    before = _started_processes
    _started_processes += number
    return before


def _drain_all() -> None:
    global _exiting
    _exiting = True
    lives = list(_lives)
    for life in lives:
        life.drain()
    for life in lives:
        life.join()


def _mark_inherited() -> None:
    global _started_processes
    _started_processes = 0
    while _lives:
        _lives.pop().inherited = True
