"""`map` that takes its input as it goes: bounded in calls and in bytes, in order or as they finish.

The iterators know their executor weakly, so that a forgotten one does not keep a pool; what has been
submitted by then is executed.
"""

import concurrent.futures
import operator
import time
from _queue import Empty, SimpleQueue

from . import _map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Any

    from ._base import Future

_BYTES_AHEAD_MAX = 128 << 20
"""Encoded calls and answers that may lie between the input and the consumer."""

_TASKS_AHEAD_A_WORKER = 64
"""Enough that a worker never waits for the next one of many short tasks."""

_CHUNKS_AHEAD_A_WORKER = 4

_CHUNK_NS = 4_000_000
"""How long a chunk of automatic size is to run: its own cost vanishes in it, and at the end of the
input no worker waits long for another."""

_CHUNK_BYTES = 1 << 20
_CHUNK_LEN_MAX = 1 << 14
_CHUNK_GROWTH_MAX = 16
_SHRINK_AT_THE_END = 16


class _Size:
    """How many calls the next task is to hold."""

    def __init__(self, chunksize: "int | str", workers: int, length: int) -> None:
        self.automatic = isinstance(chunksize, str)
        self._size = 1 if isinstance(chunksize, str) else chunksize
        self._parts_at_the_end = 2 * workers
        self._left = length

    def next(self) -> int:
        """The number of calls."""
        size = self._size
        if self.automatic and self._left > 0:
            # The last ones are smaller, so that all workers finish at about the same time.
            size = min(size, max(size // _SHRINK_AT_THE_END, -(-self._left // self._parts_at_the_end)))
        return size

    def taken(self, count: int, elapsed_ns: int) -> None:
        """So many calls were taken from the input, which took so long."""
        self._left -= count
        self._limit(count, elapsed_ns, 0)

    def answered(self, count: int, elapsed_ns: int, size_bytes: int) -> None:
        """A chunk of so many calls has run for so long, and has been so large on its way."""
        if self.automatic:
            cost_ns = max(1, elapsed_ns // count)
            wanted = min(_CHUNK_NS // cost_ns, _CHUNK_LEN_MAX, count * _CHUNK_GROWTH_MAX)
            # An older, smaller chunk says nothing against a larger one.
            self._size = max(1, wanted, min(self._size, _CHUNK_NS // cost_ns))
            self._limit(count, elapsed_ns, size_bytes)

    def _limit(self, count: int, elapsed_ns: int, size_bytes: int) -> None:
        if self.automatic:
            by_time = _CHUNK_NS * count // max(1, elapsed_ns)
            by_bytes = _CHUNK_BYTES * count // max(1, size_bytes)
            self._size = max(1, min(self._size, by_time, by_bytes))


class _Stream:
    """The calls of a map that are on their way."""

    def __init__(
        self,
        executor: "Any",
        function: "Callable[..., Any]",
        iterables: "tuple[Iterable[Any], ...]",
        chunksize: "int | str",
        buffersize: int | None,
    ) -> None:
        import weakref

        workers: int = executor._max_workers
        # A view is forgotten at once; what it stands for is what must not be kept.
        weakly = getattr(executor, "_weakly", None)
        self._executor: Callable[[], Any] = weakref.ref(executor) if weakly is None else weakly()
        self._input = _map.Input(function, iterables)
        self._size = _Size(chunksize, workers, _length_of(iterables))
        self.chunked = chunksize != 1
        by_worker = _CHUNKS_AHEAD_A_WORKER if self._size.automatic else _TASKS_AHEAD_A_WORKER
        self._ahead_max = workers * by_worker if buffersize is None else buffersize
        # Without an order from the user the number ahead grows with the results that are taken.
        self._ahead = 2 * workers if buffersize is None else buffersize
        self._bytes_in = 0
        self._bytes_out_max = 0
        self.exhausted = False

    def submit(self, waiting: int) -> "Future[Any] | None":
        """Submit the next task if `waiting` others leave room for it; None if not, or at the end."""
        if self.exhausted or not self._has_room(waiting):
            return None
        executor = self._executor()
        if executor is None:
            self.exhausted = True
            return None
        call, count = self._next_call()
        if call is None:
            self.exhausted = True
            return None
        future: Future[Any] = executor.submit(call[0], *call[1])
        future._calls = count
        self._bytes_in += future._sent_bytes
        return future

    def _has_room(self, waiting: int) -> bool:
        if waiting >= self._ahead:
            return False
        return not waiting or self._bytes_in + waiting * self._bytes_out_max < _BYTES_AHEAD_MAX

    def _next_call(self) -> "tuple[_map.Call | None, int]":
        if not self.chunked:
            return self._input.call(), 1
        began_ns = time.monotonic_ns()
        chunk = self._input.chunk(self._size.next())
        if chunk is None:
            return None, 0
        self._size.taken(chunk[1], time.monotonic_ns() - began_ns)
        return chunk

    def take(self, future: "Future[Any]", timeout_s: float | None) -> "Iterator[Any]":
        """The results of a future that this stream has submitted.

        Raises:
            TimeoutError: it was not done in time.
            BaseException: what its call raised.
        """
        future._wait(timeout_s)
        payload = future._payload
        size_bytes = 0 if payload is None else payload.size_bytes
        self._bytes_in -= future._sent_bytes
        self._bytes_out_max = max(self._bytes_out_max, size_bytes)
        self._ahead = min(self._ahead + 1, self._ahead_max)
        result = future.result()
        if not self.chunked:
            return iter((result,))
        self._size.answered(future._calls, result[0], max(size_bytes, future._sent_bytes))
        return _map.outcomes(result)


def _length_of(iterables: "tuple[Iterable[Any], ...]") -> int:
    """The number of calls as far as the input tells; 0 if it does not."""
    try:
        return max(0, min(operator.length_hint(iterable, -1) for iterable in iterables))
    except (TypeError, ValueError):
        return 0


def results(
    executor: "Any",
    function: "Callable[..., Any]",
    iterables: "tuple[Iterable[Any], ...]",
    chunksize: "int | str",
    buffersize: int | None,
    deadline_s: float | None,
    ordered: bool,
) -> "Iterator[Any]":
    """An iterator over the results; what may be ahead at the beginning is submitted before this returns.

    Args:
        executor: whose `submit` runs the calls.
        function: what to call.
        iterables: its arguments; they may be endless.
        chunksize: calls that travel as one task, or "auto".
        buffersize: tasks that may be ahead of the result that is taken; None leaves it to us.
        deadline_s: on the monotonic clock, in seconds.
        ordered: results in the order of the input; else as the calls finish.
    """
    if not iterables:
        return iter(())
    stream = _Stream(executor, function, iterables, chunksize, buffersize)
    if not ordered:
        unordered = _Unordered(stream, deadline_s)
        unordered.fill()
        return unordered
    futures = _first_of(stream)
    return _map.Results(_in_order(stream, futures, deadline_s), futures)


def _first_of(stream: _Stream) -> "Any":
    from collections import deque

    futures: deque[Future[Any]] = deque()
    _fill(stream, futures)
    return futures


def _fill(stream: _Stream, futures: "Any", taken: int = 0) -> None:
    """Submit what there is room for; if that raises, cancel everything."""
    try:
        while future := stream.submit(len(futures) - taken):
            futures.append(future)
    except BaseException:
        _map.cancel_all(futures)
        raise


def _in_order(stream: _Stream, futures: "Any", deadline_s: float | None) -> "Generator[Any]":
    try:
        while futures:
            # The one that is about to be taken makes room for another.
            _fill(stream, futures, 1)
            yield from _take_first(stream, futures, deadline_s)
    finally:
        _map.cancel_all(futures)


def _take_first(stream: _Stream, futures: "Any", deadline_s: float | None) -> "Iterator[Any]":
    timeout_s = None if deadline_s is None else deadline_s - time.monotonic()
    values = stream.take(futures[0], timeout_s)
    del futures[0]
    return values


class _Unordered:
    """Results as they come. After an error iteration may go on: it costs its own call and no other."""

    def __init__(self, stream: _Stream, deadline_s: float | None) -> None:
        self._stream = stream
        self._deadline_s = deadline_s
        self._waiting: set[Future[Any]] = set()
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()
        self._values: Iterator[Any] = iter(())

    def fill(self) -> None:
        """Submit what there is room for."""
        try:
            while future := self._stream.submit(len(self._waiting)):
                self._waiting.add(future)
                future.add_done_callback(self._done.put)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> "Iterator[Any]":
        return self

    def __next__(self) -> "Any":
        for value in self._values:
            return value
        while True:
            if not self._waiting:
                self.fill()
                if not self._waiting:
                    raise StopIteration
            self._values = self._take_one()
            for value in self._values:
                return value

    def _take_one(self) -> "Iterator[Any]":
        timeout_s = None
        if self._deadline_s is not None:
            timeout_s = max(0.0, self._deadline_s - time.monotonic())
        try:
            future = self._done.get(timeout=timeout_s)
        except Empty:
            self.close()
            raise concurrent.futures.TimeoutError from None
        self._waiting.discard(future)
        try:
            return self._stream.take(future, 0)
        finally:
            self.fill()

    def close(self) -> None:
        """Cancel what has not begun, and end the iteration."""
        self._stream.exhausted = True
        waiting, self._waiting = self._waiting, set()
        _map.cancel_all(waiting)
        self._values = iter(())

    def __del__(self) -> None:
        self.close()
