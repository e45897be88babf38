"""`map` over a pool as it is by default: all input submitted at once, results in order.

Careful to free what it has yielded. The forms that take their input as they go are in `_lazy_map`.
"""

import concurrent.futures
import itertools
import time

from . import _answers
from ._chunks import run_chunk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator
    from typing import Any

    from ._base import Future

    Call = tuple[Callable[..., Any], tuple[Any, ...]]
    Submit = Callable[..., Future[Any]]
    ChunkParts = tuple[int, list[Any], dict[int, bytes]]


def over(
    executor: "Any",
    function: "Callable[..., Any]",
    iterables: "tuple[Iterable[Any], ...]",
    timeout_s: float | None,
    chunksize: "int | str",
    buffersize: int | None,
    ordered: bool,
) -> "Iterator[Any]":
    """The whole of `map`, over whatever has `submit`.

    Args:
        executor: whose `submit` runs the calls.
        function: what to call.
        iterables: its arguments.
        timeout_s: seconds from now until the last result.
        chunksize: calls that travel as one task, or "auto".
        buffersize: tasks that may be ahead of the result that is taken.
        ordered: results in the order of the input; else as the calls finish.
    """
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    check_sizes(chunksize, buffersize)
    if isinstance(chunksize, str) or buffersize is not None or not ordered:
        from . import _lazy_map

        return _lazy_map.results(executor, function, iterables, chunksize, buffersize, deadline_s, ordered)
    calls = calls_of(Input(function, iterables), chunksize)
    return results(submit_all(executor.submit, calls), deadline_s, chunksize > 1)


def check_sizes(chunksize: "int | str", buffersize: int | None) -> None:
    """Check the two sizes of `map`.

    Raises:
        ValueError: one is less than 1, or `chunksize` is another word than "auto".
        TypeError: `buffersize` is neither None nor an integer.
    """
    if isinstance(chunksize, str):
        if chunksize != "auto":
            raise ValueError(f"chunksize must be an integer or 'auto', not {chunksize!r}")
    elif chunksize < 1:
        raise ValueError("chunksize must be >= 1.")
    if buffersize is not None:
        if not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize < 1:
            raise ValueError("buffersize must be None or > 0")


class Input:
    """The arguments of a map, cut into calls."""

    def __init__(self, function: "Callable[..., Any]", iterables: "tuple[Iterable[Any], ...]") -> None:
        self._function = function
        self._width = len(iterables)
        self._rows: Iterator[Any]
        if self._width == 1:
            self._rows = iter(iterables[0])
        else:
            self._rows = zip(*iterables, strict=False)

    def call(self) -> "Call | None":
        """The next call by itself; None at the end."""
        for row in self._rows:
            return self._function, (row,) if self._width == 1 else row
        return None

    def chunk(self, size: int) -> "tuple[Call, int] | None":
        """The next `size` calls as one, and how many they are; None at the end."""
        rows = tuple(itertools.islice(self._rows, size))
        if not rows:
            return None
        # Columns are smaller than rows and faster to pickle.
        columns = (rows,) if self._width == 1 else tuple(zip(*rows, strict=True))
        return (run_chunk, (self._function, *columns)), len(rows)


def calls_of(source: Input, chunksize: int) -> "Iterator[Call]":
    """The calls that a map submits, in order."""
    if chunksize == 1:
        while call := source.call():
            yield call
    else:
        while chunk := source.chunk(chunksize):
            yield chunk[0]


def submit_all(submit: "Submit", calls: "Iterator[Call]") -> "deque[Future[Any]]":
    """Submit all calls. If the input raises, what has been submitted is cancelled, and the error goes on."""
    from collections import deque

    futures: deque[Future[Any]] = deque()
    try:
        for function, args in calls:
            futures.append(submit(function, *args))
    except BaseException:
        cancel_all(futures)
        raise
    return futures


def cancel_all(futures: "Iterable[Future[Any]]") -> None:
    """Cancel what has not begun."""
    for future in futures:
        future.cancel()


class Results(itertools.chain["Any"]):
    """The results of a map, at the speed of the generator in it.

    Closing cancels what has not begun, also before the first result was asked for, when a generator
    would not notice. One that is forgotten before that is no wish to cancel: whoever maps for the
    effects of the calls alone never looks at it.
    """

    __slots__ = ("__weakref__", "_futures", "_values")

    def __new__(cls, values: "Generator[Any]", futures: "Collection[Future[Any]]") -> "Results":
        """The results that a generator gives, of futures that it takes away one by one."""
        made = super().__new__(cls, values)
        made._values = values
        made._futures = futures
        return made

    _values: "Generator[Any]"
    _futures: "Collection[Future[Any]]"

    def close(self) -> None:
        """Cancel what has not begun, and end the iteration."""
        self._values.close()
        cancel_all(self._futures)


def results(futures: "deque[Future[Any]]", deadline_s: float | None, chunked: bool) -> "Iterator[Any]":
    """The results in order; the rest is cancelled when that ends early, in whatever way.

    Args:
        futures: the calls, all submitted.
        deadline_s: on the monotonic clock, in seconds.
        chunked: each future gives the results of a chunk.
    """
    return Results(_in_order(futures, deadline_s, chunked), futures)


def _in_order(futures: "deque[Future[Any]]", deadline_s: float | None, chunked: bool) -> "Generator[Any]":
    try:
        while futures:
            if chunked:
                yield from outcomes(take_first(futures, deadline_s))
            else:
                yield take_first(futures, deadline_s)
    finally:
        cancel_all(futures)


def take_first(futures: "deque[Future[Any]]", deadline_s: float | None) -> "Any":
    """The result of the first future, which is forgotten before the result is given away."""
    timeout_s = None if deadline_s is None else deadline_s - time.monotonic()
    try:
        result = futures[0].result(timeout_s)
    except concurrent.futures.TimeoutError:
        raise
    except BaseException:
        del futures[0]
        raise
    del futures[0]
    return result


def outcomes(parts: "ChunkParts") -> "Iterator[Any]":
    """The results of a chunk, one by one; none is kept here once it was given away.

    Where a call of the chunk failed, its error is raised in its turn. Iteration may go on after it.
    """
    _, values, errors = parts
    values.reverse()
    if errors:
        return _Outcomes(values, errors)
    return itertools.starmap(values.pop, itertools.repeat((), len(values)))


class _Outcomes:
    """The results of a chunk in which a call failed."""

    def __init__(self, reversed_values: "list[Any]", errors: "dict[int, bytes]") -> None:
        self._values = reversed_values
        self._errors = errors
        self._place = 0

    def __iter__(self) -> "Iterator[Any]":
        return self

    def __next__(self) -> "Any":
        if not self._values:
            raise StopIteration
        value = self._values.pop()
        encoded = self._errors.pop(self._place, None)
        self._place += 1
        if encoded is not None:
            raise _answers.open_exception(encoded)
        return value
