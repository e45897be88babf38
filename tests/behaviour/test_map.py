"""What `map` promises: order, eagerness, errors at their place, nothing kept."""

import gc
import itertools
import weakref
from pathlib import Path

import pytest

from loky import ProcessPoolExecutor, TimeoutError
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import eventually


def test_results_come_in_the_order_of_the_input(pool):
    assert list(pool().map(tasks.identity, range(50))) == list(range(50))


def test_several_iterables_stop_at_the_shortest(pool):
    assert list(pool().map(pow, range(10), [2, 2, 2])) == [0, 1, 4]


@pytest.mark.parametrize("chunksize", [1, 2, 7, 100])
def test_chunks_change_nothing_in_the_results(pool, chunksize):
    assert list(pool().map(pow, range(20), range(20), chunksize=chunksize)) == [n**n for n in range(20)]


@pytest.mark.parametrize("chunksize", [0, -1])
def test_a_chunk_has_at_least_one_call(chunksize):
    with pytest.raises(ValueError, match=r"chunksize must be >= 1\."):
        ProcessPoolExecutor(1).map(tasks.identity, [1], chunksize=chunksize)


def test_unknown_keywords_are_ignored(pool):
    assert list(pool().map(tasks.identity, [1, 2], no_such_option=3)) == [1, 2]


def test_no_iterables_give_an_empty_iterator_and_start_nothing():
    executor = ProcessPoolExecutor(2)
    assert list(executor.map(tasks.identity)) == []
    assert executor._executor_manager_thread is None


def test_an_empty_input_starts_nothing():
    executor = ProcessPoolExecutor(2)
    assert list(executor.map(tasks.identity, [])) == []
    assert executor._executor_manager_thread is None


def test_all_input_is_consumed_before_map_returns(pool):
    source = iter(range(10))
    results = pool().map(tasks.identity, source)
    assert next(source, "empty") == "empty"
    assert list(results) == list(range(10))


def test_an_input_that_raises_raises_from_map_and_cancels_what_was_submitted(pool, gate):
    def source():
        for _ in range(5):
            yield gate.folder
        raise LookupError("no more")

    executor = pool(1)
    with pytest.raises(LookupError, match="no more"):
        executor.map(pass_gate, source())
    assert len(executor._pending_work_items) <= 1
    gate.open()


def test_an_error_is_raised_at_its_place_and_the_rest_is_cancelled(pool):
    results = pool(1).map(tasks.fail_at, itertools.repeat(3), range(10))
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(ValueError, match="3"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_an_error_in_a_chunk_costs_nothing_before_it(pool):
    results = pool(1).map(tasks.fail_at, itertools.repeat(3), range(10), chunksize=4)
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(ValueError, match="3"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_the_timeout_counts_from_the_call(pool, gate):
    results = pool(1).map(pass_gate, [gate.folder], timeout=0.2)
    gate.wait_begun()
    with pytest.raises(TimeoutError):
        next(results)
    gate.open()


def test_what_is_done_in_time_is_given_before_the_timeout(pool, gate):
    executor = pool(2)
    results = executor.map(pass_gate, [gate.folder] * 2, ["first", "second"], timeout=1)
    gate.wait_begun(2)
    gate.let_pass(2)
    assert list(results) == ["first", "second"]
    results = executor.map(pass_gate, [gate.folder] * 3, range(3), timeout=0.2)
    with pytest.raises(TimeoutError):
        list(results)
    gate.open()


def test_a_timeout_cancels_what_has_not_begun(pool, gate):
    executor = pool(1)
    results = executor.map(pass_gate, [gate.folder] * 10, timeout=0.2)
    gate.wait_begun()
    with pytest.raises(TimeoutError):
        next(results)
    assert len(executor._pending_work_items) == 1
    gate.open()
    assert eventually(lambda: not executor._pending_work_items)
    assert gate.nobody_begins()


def test_closing_the_iterator_cancels_what_has_not_begun(pool, gate):
    executor = pool(1)
    results = executor.map(pass_gate, [gate.folder] * 10)
    gate.wait_begun()
    gate.let_pass()
    next(results)
    gate.wait_begun()
    results.close()
    assert len(executor._pending_work_items) == 1
    gate.open()
    assert eventually(lambda: not executor._pending_work_items)
    assert gate.nobody_begins()


@pytest.mark.parametrize("sizes", [{}, {"chunksize": 2}, {"buffersize": 5}, {"ordered": False}])
def test_closing_before_the_first_result_cancels_what_has_not_begun(pool, gate, sizes):
    executor = pool(1)
    results = executor.map(pass_gate, [gate.folder] * 10, **sizes)
    gate.wait_begun()
    results.close()
    assert len(executor._pending_work_items) == 1
    gate.open()
    executor.shutdown()
    # The other call of a chunk that had begun is no task of its own.
    begun = 1 if "chunksize" in sizes else 0
    if begun:
        gate.wait_begun(begun)
    assert gate.nobody_begins()
    assert list(results) == []


def test_a_map_whose_results_nobody_asks_for_is_executed(pool, tmp_path):
    paths = [tmp_path / f"{number}" for number in range(20)]
    with pool(2) as executor:
        executor.map(Path.touch, paths)
        gc.collect()
    assert all(path.exists() for path in paths)


def test_dropping_the_iterator_cancels_what_has_not_begun(pool, gate):
    executor = pool(1)
    results = executor.map(pass_gate, [gate.folder] * 10)
    gate.wait_begun()
    gate.let_pass()
    next(results)
    gate.wait_begun()
    del results
    gc.collect()
    assert len(executor._pending_work_items) == 1
    gate.open()
    executor.shutdown()
    assert gate.nobody_begins()


class Weakly:
    """A value that can be referred to weakly."""


@pytest.mark.parametrize("chunksize", [1, 2])
def test_a_yielded_item_is_not_kept(pool, chunksize):
    results = pool(1).map(lambda _: Weakly(), range(4), chunksize=chunksize)
    for item in results:
        reference = weakref.ref(item)
        del item
        assert reference() is None


def test_an_input_item_is_not_kept(pool):
    items = [Weakly() for _ in range(3)]
    references = [weakref.ref(item) for item in items]
    results = pool(1).map(lambda _: None, items)
    items.clear()
    assert eventually(lambda: gc.collect() >= 0 and all(reference() is None for reference in references), 5)
    assert list(results) == [None] * 3


def test_a_buffered_map_takes_its_input_as_results_are_taken(pool):
    taken = []

    def source():
        for number in range(10):
            taken.append(number)
            yield number

    results = pool(2).map(tasks.identity, source(), buffersize=3)
    assert len(taken) == 3
    assert next(results) == 0
    assert len(taken) == 4
    assert list(results) == list(range(1, 10))


def test_a_buffered_map_may_have_an_endless_input(pool):
    results = pool(2).map(tasks.identity, itertools.count(), buffersize=2)
    assert list(itertools.islice(results, 20)) == list(range(20))
    results.close()


@pytest.mark.parametrize(
    ("size", "error"), [(0, ValueError), (-1, ValueError), ("2", TypeError), (1.5, TypeError)]
)
def test_a_buffer_size_is_a_positive_integer(size, error):
    with pytest.raises(error, match="buffersize must be"):
        ProcessPoolExecutor(1).map(tasks.identity, [1], buffersize=size)


def test_a_shutdown_after_an_abandoned_iterator_does_not_hang(pool, gate):
    # One worker: with two, the second might take both leaves to pass before the first has read.
    executor = pool(1)
    results = executor.map(pass_gate, [gate.folder] * 20)
    gate.wait_begun()
    gate.let_pass()
    next(results)
    gate.open()
    executor.shutdown()
    assert len(list(results)) == 19
