"""What the workers do while they are measured. Importable by name, so that no pool must copy it.

It imports nothing that is slow: a pool whose workers begin empty would be charged with that, worker by
worker.
"""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy

PAGE_DOUBLES = 512
"""Numbers in one page of memory: an array is read page by page, as a task that uses it would."""


def nothing(value: int) -> int:
    """Give back what came."""
    return value


def look(table: "Any", place: object) -> float:
    """Read one item."""
    return float(table[place])


def touch(array: "numpy.ndarray") -> float:
    """Read something of each page of an array."""
    return float(array[::PAGE_DOUBLES].sum())


def make(size: int) -> "numpy.ndarray":
    """Make an array of `size` bytes."""
    import numpy

    return numpy.ones(size // 8)


def use_numpy(value: int) -> int:
    """Use a library that is slow to import."""
    import numpy

    return int(numpy.full(1, value)[0])


def leave() -> None:
    """End the worker at once, as a library that calls `_exit` does."""
    os._exit(1)


def die() -> None:
    """End the worker as the out-of-memory killer does."""
    os.kill(os.getpid(), 9)


def pause() -> int:
    """Take 10 ms, as a small piece of work does; gives the worker's process id."""
    time.sleep(0.01)
    return os.getpid()
