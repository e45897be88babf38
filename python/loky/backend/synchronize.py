"""Locks, semaphores, conditions and events over named semaphores that are never left behind.

They are multiprocessing's, except that this package's tracker knows the names: a semaphore goes when
the object that made it is collected or its process ends, however that ends.
"""

import itertools
import os
from _multiprocessing import SemLock as _SemLock  # type: ignore[import-not-found]
from _multiprocessing import sem_unlink
from multiprocessing import context, synchronize, util

from . import resource_tracker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BoundedSemaphore",
    "Condition",
    "Event",
    "Lock",
    "RLock",
    "SemLock",
    "Semaphore",
    "sem_unlink",
]

RECURSIVE_MUTEX, SEMAPHORE = range(2)
SEM_VALUE_MAX = _SemLock.SEM_VALUE_MAX
_numbers = itertools.count()


def _new_name() -> str:
    return f"/loky-{os.getpid()}-{next(_numbers)}{os.urandom(4).hex()}"


def _unlink(name: str) -> None:
    try:
        sem_unlink(name)
    except FileNotFoundError:
        pass  # Someone was faster; it is gone, which is all that is wanted.
    resource_tracker.unregister(name, "semlock")


class SemLock(synchronize.SemLock):
    """A named semaphore of the system.

    Args:
        kind: 0 for one that its holder may take again, 1 for a plain one.
        value: its first value.
        maxvalue: the highest that it may have.
        name: its name, which must be free; None: one that is free.

    Raises:
        FileExistsError: the name is taken.
    """

    def __init__(self, kind: int, value: int, maxvalue: int, name: str | None = None) -> None:
        self._semlock: Any
        if name is None:
            self._semlock = self._create(kind, value, maxvalue)
        else:
            self._semlock = _SemLock(kind, value, maxvalue, name, False)
        self._follow_forks()
        self._make_methods()  # type: ignore[attr-defined]
        resource_tracker.register(self._semlock.name, "semlock")
        util.Finalize(self, _unlink, (self._semlock.name,), exitpriority=0)

    @staticmethod
    def _create(kind: int, value: int, maxvalue: int) -> "Any":
        while True:
            try:
                return _SemLock(kind, value, maxvalue, _new_name(), False)
            except FileExistsError:
                continue

    def _follow_forks(self) -> None:
        util.register_after_fork(self, lambda lock: lock._semlock._after_fork())

    @property
    def name(self) -> str:
        """The name in the system."""
        name: str = self._semlock.name
        return name

    def __getstate__(self) -> "tuple[Any, ...]":
        context.assert_spawning(self)
        lock = self._semlock
        return lock.kind, lock.maxvalue, lock.name

    def __setstate__(self, state: "tuple[Any, ...]") -> None:
        kind, maxvalue, name = state
        self._semlock = _SemLock._rebuild(0, kind, maxvalue, name)
        self._follow_forks()
        self._make_methods()  # type: ignore[attr-defined]


class Semaphore(SemLock, synchronize.Semaphore):
    """Counts down to nothing and lets nobody pass until it is released."""

    def __init__(self, value: int = 1) -> None:
        SemLock.__init__(self, SEMAPHORE, value, SEM_VALUE_MAX)


class BoundedSemaphore(SemLock, synchronize.BoundedSemaphore):
    """A semaphore that cannot be released above its first value."""

    def __init__(self, value: int = 1) -> None:
        SemLock.__init__(self, SEMAPHORE, value, value)


class Lock(SemLock, synchronize.Lock):
    """Lets one pass at a time."""

    def __init__(self) -> None:
        SemLock.__init__(self, SEMAPHORE, 1, 1)


class RLock(SemLock, synchronize.RLock):
    """A lock that the thread that holds it may take again."""

    def __init__(self) -> None:
        SemLock.__init__(self, RECURSIVE_MUTEX, 1, 1)


class _Primitives:
    """What multiprocessing's composed primitives ask their context for."""

    Lock = Lock
    RLock = RLock
    Semaphore = Semaphore
    BoundedSemaphore = BoundedSemaphore

    @staticmethod
    def Condition(lock: "Any" = None) -> "Condition":  # noqa: N802
        """A condition over `lock`."""
        return Condition(lock)


_primitives: "Any" = _Primitives()


class Condition(synchronize.Condition):
    """Lets threads and processes wait until another one notifies them."""

    def __init__(self, lock: "Any" = None) -> None:
        super().__init__(lock, ctx=_primitives)


class Event(synchronize.Event):
    """A flag that can be waited for."""

    def __init__(self) -> None:
        super().__init__(ctx=_primitives)
