"""Queues between processes whose items are pickled by this package's pickler.

multiprocessing's queues do the work; an item travels in an envelope that is pickled when, and in the
thread in which, the queue pickles.
"""

from multiprocessing import queues
from pickle import loads
from queue import Empty, Full

from .reduction import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Reducers = Mapping[type, Callable[[Any], Any]]

__all__ = ["Empty", "Full", "Queue", "SimpleQueue"]


class _Envelope:
    """Is unpickled as the item itself."""

    def __init__(self, item: "Any", reducers: "Reducers | None") -> None:
        self.item = item
        self._reducers = reducers

    def __reduce__(self) -> "tuple[Any, ...]":
        return loads, (bytes(dumps(self.item, reducers=self._reducers)),)


def _own_context() -> "Any":
    from .context import get_context

    return get_context("loky")


class Queue(queues.Queue):  # type: ignore[type-arg]
    """A queue whose items are pickled in a thread of its own, so that `put` does not wait for it.

    Args:
        maxsize: items that it holds at most; 0: no limit.
        reducers: functions that reduce an item for pickling, by exact type.
        ctx: where its locks come from; the loky context by default.
    """

    def __init__(self, maxsize: int = 0, reducers: "Reducers | None" = None, ctx: "Any" = None) -> None:
        super().__init__(maxsize, ctx=_own_context() if ctx is None else ctx)
        self._reducers = dict(reducers or {})

    def __getstate__(self) -> "Any":
        return super().__getstate__(), self._reducers

    def __setstate__(self, state: "Any") -> None:
        inherited, self._reducers = state
        super().__setstate__(inherited)

    def put(self, obj: "Any", block: bool = True, timeout: float | None = None) -> None:
        """Put an item, after waiting for room.

        Raises:
            Full: there was no room in time.
        """
        super().put(_Envelope(obj, self._reducers), block, timeout)

    @classmethod
    def _on_queue_feeder_error(cls, e: BaseException, obj: "Any") -> None:
        item = obj.item if isinstance(obj, _Envelope) else obj
        super()._on_queue_feeder_error(e, item)  # type: ignore[misc]


class SimpleQueue(queues.SimpleQueue):  # type: ignore[type-arg]
    """A pipe with locks; `put` pickles and writes before it returns.

    Args:
        reducers: functions that reduce an item for pickling, by exact type.
        ctx: where its locks come from; the loky context by default.
    """

    def __init__(self, reducers: "Reducers | None" = None, ctx: "Any" = None) -> None:
        super().__init__(ctx=_own_context() if ctx is None else ctx)
        self._reducers = dict(reducers or {})

    def __getstate__(self) -> "Any":
        return super().__getstate__(), self._reducers

    def __setstate__(self, state: "Any") -> None:
        inherited, self._reducers = state
        super().__setstate__(inherited)

    def put(self, obj: "Any") -> None:
        """Put an item."""
        super().put(_Envelope(obj, self._reducers))
