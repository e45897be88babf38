"""`map`, with futures that a test finishes."""

import contextlib
import weakref

import pytest

from loky import _lazy_map, _map
from loky._base import Future
from loky._chunks import ChunkAnswer


class Executor:
    """Runs a call at once, or leaves its future open."""

    def __init__(self, *, run=True):
        self.run = run
        self.calls = []
        self.futures = []

    def submit(self, function, *args):
        self.calls.append((function, args))
        future = Future()
        self.futures.append(future)
        if self.run:
            try:
                result = function(*args)
                # A worker sends what a chunk's answer consists of.
                future.set_result(result.parts() if isinstance(result, ChunkAnswer) else result)
            except Exception as error:
                future.set_exception(error)
        return future

    def map(self, function, *iterables, chunksize=1, buffersize=None, deadline_s=None):
        _map.check_sizes(chunksize, buffersize)
        if buffersize is not None:
            self._max_workers = 2
            return _lazy_map.results(self, function, iterables, chunksize, buffersize, deadline_s, True)
        calls = _map.calls_of(_map.Input(function, iterables), chunksize)
        return _map.results(_map.submit_all(self.submit, calls), deadline_s, chunksize > 1)


def test_results_come_in_the_order_of_the_input_until_the_shortest_ends():
    assert list(Executor().map(pow, [2, 3, 4], [2, 2])) == [4, 9]


def test_all_input_is_taken_before_the_first_result():
    executor = Executor(run=False)
    executor.map(abs, range(10))
    assert len(executor.calls) == 10


@pytest.mark.parametrize("chunksize", [2, 3, 100])
def test_chunks_give_the_same_results_in_fewer_tasks(chunksize):
    executor = Executor()
    assert list(executor.map(pow, range(7), [2] * 7, chunksize=chunksize)) == [n * n for n in range(7)]
    assert len(executor.calls) == -(-7 // chunksize)


def test_nothing_gives_nothing():
    assert list(Executor().map(abs)) == []
    assert list(Executor().map(abs, [])) == []


def test_an_error_comes_at_its_place_and_cancels_the_rest():
    executor = Executor(run=False)
    results = executor.map(abs, range(3))
    executor.futures[0].set_result(0)
    executor.futures[1].set_exception(ValueError("second"))
    assert next(results) == 0
    with pytest.raises(ValueError, match="second"):
        next(results)
    assert executor.futures[2].cancelled()


def test_closing_cancels_the_rest():
    executor = Executor(run=False)
    results = executor.map(abs, range(3))
    executor.futures[0].set_result(0)
    next(results)
    results.close()
    assert [future.cancelled() for future in executor.futures] == [False, True, True]


@pytest.mark.parametrize("sizes", [{}, {"chunksize": 2}, {"buffersize": 2}])
def test_closing_before_the_first_result_cancels_everything(sizes):
    executor = Executor(run=False)
    results = executor.map(abs, range(4), **sizes)
    assert iter(results) is results
    results.close()
    assert executor.futures
    assert all(future.cancelled() for future in executor.futures)
    assert list(results) == []
    results.close()


def test_a_map_that_is_forgotten_before_its_first_result_is_executed():
    """As in the standard library: its calls may be wanted for their effects alone."""
    executor = Executor(run=False)
    executor.map(abs, range(3))
    assert not any(future.cancelled() for future in executor.futures)


def test_closing_after_the_end_changes_nothing():
    executor = Executor()
    results = executor.map(abs, range(3))
    assert list(results) == [0, 1, 2]
    results.close()
    assert not any(future.cancelled() for future in executor.futures)


def test_the_results_go_through_what_expects_a_generator():
    with contextlib.closing(Executor().map(abs, range(3))) as results:
        assert next(results) == 0
        assert next(results, None) == 1
    assert next(results, None) is None


def test_a_deadline_that_has_passed_is_a_timeout_and_cancels_the_rest():
    executor = Executor(run=False)
    results = executor.map(abs, range(2), deadline_s=0.0)
    with pytest.raises(TimeoutError):
        next(results)
    assert all(future.cancelled() for future in executor.futures)


def test_an_input_that_raises_raises_from_map_and_leaves_nothing_behind():
    def broken():
        yield 1
        raise ValueError("input")

    executor = Executor(run=False)
    with pytest.raises(ValueError, match="input"):
        executor.map(abs, broken())
    assert executor.futures[0].cancelled()


def test_with_a_buffer_size_input_is_taken_as_results_are():
    taken = []

    def numbers():
        for number in range(100):
            taken.append(number)
            yield number

    executor = Executor()
    results = executor.map(abs, numbers(), buffersize=3)
    assert taken == [0, 1, 2]
    assert [next(results), next(results)] == [0, 1]
    assert len(taken) == 5


def test_an_iterator_keeps_no_executor():
    executor = Executor()
    results = executor.map(abs, range(5), buffersize=2)
    gone = weakref.ref(executor)
    del executor
    assert gone() is None
    assert list(results) == [0, 1]


class Item:
    pass


@pytest.mark.parametrize("chunksize", [1, 2])
def test_a_result_that_was_given_away_is_not_kept(chunksize):
    executor = Executor()
    results = executor.map(lambda _: Item(), range(4), chunksize=chunksize)
    executor.futures.clear()
    item = weakref.ref(next(results))
    assert item() is None


@pytest.mark.parametrize(
    ("sizes", "kind", "text"),
    [
        ({"chunksize": 0}, ValueError, "chunksize must be >= 1."),
        ({"buffersize": 0}, ValueError, "buffersize must be None or > 0"),
        ({"buffersize": 1.5}, TypeError, "buffersize must be an integer or None"),
    ],
)
def test_wrong_sizes(sizes, kind, text):
    with pytest.raises(kind) as caught:
        Executor().map(abs, [1], **sizes)
    assert str(caught.value) == text
