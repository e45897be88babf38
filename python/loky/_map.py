"""`map` over a pool: eager by default, in order, and careful to free what it has yielded."""

import concurrent.futures
import itertools
import time

from ._chunks import run_chunk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any
    from weakref import ref

    from ._base import Future

    Submit = Callable[..., Future[Any]]


def check_sizes(chunksize: int, buffersize: int | None) -> None:
    """Check the two sizes of `map`.

    Raises:
        ValueError: one is less than 1.
        TypeError: `buffersize` is neither None nor an integer.
    """
    if chunksize < 1:
        raise ValueError("chunksize must be >= 1.")
    if buffersize is not None:
        if not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize < 1:
            raise ValueError("buffersize must be None or > 0")


def calls_of(
    function: "Callable[..., Any]", iterables: "tuple[Iterable[Any], ...]", chunksize: int
) -> "Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]":
    """The calls that a map submits, in order."""
    arguments = zip(*iterables, strict=False)
    if chunksize == 1:
        yield from ((function, args) for args in arguments)
        return
    while chunk := tuple(itertools.islice(arguments, chunksize)):
        yield run_chunk, (function, chunk)


def submit_ahead(
    submit: "Submit",
    calls: "Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]",
    count: int | None,
) -> "deque[Future[Any]]":
    """Submit the first `count` calls, all if None.

    If the input raises, what has been submitted is cancelled, and the error goes on.
    """
    from collections import deque

    futures: deque[Future[Any]] = deque()
    try:
        for function, args in itertools.islice(calls, count):
            futures.append(submit(function, *args))
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return futures


def results(
    futures: "deque[Future[Any]]",
    calls: "Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]",
    executor: "ref[Any]",
    deadline_s: float | None,
    chunked: bool,
) -> "Iterator[Any]":
    """Yield the results in order; cancel the rest when that ends early, in whatever way.

    Args:
        futures: the calls that are submitted.
        calls: those that are not; one is submitted for each result, while the executor lives.
        executor: held weakly, because an iterator must not keep a pool.
        deadline_s: on the monotonic clock, in seconds.
        chunked: each future gives a list of results.
    """
    try:
        while futures:
            _submit_next(futures, calls, executor)
            if not chunked:
                yield _take(futures, deadline_s)
                continue
            chunk = _take(futures, deadline_s)
            chunk.reverse()
            while chunk:
                yield chunk.pop()
    finally:
        for future in futures:
            future.cancel()


def _submit_next(
    futures: "deque[Future[Any]]",
    calls: "Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]",
    executor: "ref[Any]",
) -> None:
    owner = executor()
    if owner is None:
        return
    for function, args in itertools.islice(calls, 1):
        futures.append(owner.submit(function, *args))


def _take(futures: "deque[Future[Any]]", deadline_s: float | None) -> "Any":
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
