"""`map` that takes its input as it goes: bounded, in order or not, with chunks that size themselves."""

import itertools
import threading

import pytest

from loky import ProcessPoolExecutor, TimeoutError
from tests.support import tasks
from tests.support.gates import pass_gate

MODES = [
    {"buffersize": 4},
    {"buffersize": 4, "chunksize": 3},
    {"chunksize": "auto"},
    {"ordered": False},
    {"ordered": False, "chunksize": 3},
    {"ordered": False, "chunksize": "auto"},
    {"ordered": False, "buffersize": 2},
]


class Counted:
    """An input without an end that counts what was taken of it."""

    def __init__(self):
        self.taken = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.taken += 1
        return self.taken - 1


def fail_on_odd(number):
    if number % 2:
        raise ValueError(number)
    return number


def unpicklable_on_odd(number):
    return threading.Lock() if number % 2 else number


def exit_on_three(number):
    if number == 3:
        raise SystemExit(3)
    return number


@pytest.mark.parametrize("mode", MODES)
def test_every_result_comes_once(pool, mode):
    assert sorted(pool(2).map(tasks.identity, range(200), **mode)) == list(range(200))


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.get("ordered", True)])
def test_results_are_in_the_order_of_the_input(pool, mode):
    assert list(pool(2).map(pow, range(60), itertools.repeat(2), **mode)) == [n * n for n in range(60)]


@pytest.mark.parametrize("mode", MODES)
def test_an_endless_input_is_taken_as_results_are(pool, mode):
    source = Counted()
    results = pool(2).map(tasks.identity, source, **mode)
    began_with = source.taken
    assert 0 < began_with <= 64
    assert len(list(itertools.islice(results, 20))) == 20
    results.close()
    taken = source.taken
    assert list(results) == []
    assert source.taken == taken


@pytest.mark.parametrize("mode", MODES)
def test_nothing_gives_nothing_and_starts_nothing(mode):
    executor = ProcessPoolExecutor(2)
    assert list(executor.map(tasks.identity, [], **mode)) == []
    assert list(executor.map(tasks.identity, **mode)) == []
    assert executor._executor_manager_thread is None


def test_an_unordered_map_gives_first_what_is_done_first(pool, gate):
    executor = pool(2)
    results = executor.map(slow_if_zero, range(5), itertools.repeat(gate.folder), ordered=False)
    assert {next(results) for _ in range(4)} == {1, 2, 3, 4}
    gate.open()
    assert list(results) == [0]


def slow_if_zero(number, folder):
    if number == 0:
        pass_gate(folder)
    return number


@pytest.mark.parametrize("chunksize", [1, 4, "auto"])
def test_an_error_in_an_unordered_map_costs_its_own_call(pool, chunksize):
    results = pool(2).map(fail_on_odd, range(40), chunksize=chunksize, ordered=False)
    values, errors = [], []
    while True:
        try:
            values.append(next(results))
        except StopIteration:
            break
        except ValueError as error:
            errors.append(error.args[0])
    assert sorted(values) == list(range(0, 40, 2))
    assert sorted(errors) == list(range(1, 40, 2))


def test_a_result_that_cannot_be_pickled_costs_its_own_call(pool):
    results = pool(1).map(unpicklable_on_odd, range(4), chunksize=4, ordered=False)
    assert next(results) == 0
    with pytest.raises(TypeError, match="pickle"):
        next(results)
    assert next(results) == 2
    with pytest.raises(TypeError, match="pickle"):
        next(results)
    assert list(results) == []


def test_a_call_in_a_chunk_that_exits_ends_neither_worker_nor_chunk(pool):
    executor = pool(1)
    results = executor.map(exit_on_three, range(6), chunksize=6, ordered=False)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SystemExit):
        next(results)
    assert list(results) == [4, 5]


def test_an_error_of_a_chunk_has_the_traceback_of_the_worker_as_its_cause(pool):
    results = pool(1).map(fail_on_odd, range(4), chunksize=4)
    assert next(results) == 0
    with pytest.raises(ValueError, match="1") as caught:
        next(results)
    text = str(caught.value.__cause__)
    assert "fail_on_odd" in text
    assert "run_chunk" not in text


def test_a_timeout_ends_an_unordered_map_and_cancels_the_rest(pool, gate):
    executor = pool(1)
    results = executor.map(pass_gate, [gate.folder] * 5, timeout=0.2, ordered=False)
    gate.wait_begun()
    with pytest.raises(TimeoutError):
        next(results)
    assert list(results) == []
    assert len(executor._pending_work_items) <= 1
    gate.open()


def test_an_input_that_raises_ends_the_map(pool):
    def source():
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(pool(1).map(tasks.identity, source(), ordered=False))


def test_the_bytes_on_their_way_are_bounded(pool, monkeypatch):
    monkeypatch.setattr("loky._lazy_map._BYTES_AHEAD_MAX", 1 << 20)
    source = Counted()
    results = pool(1).map(large, source, buffersize=100)
    assert source.taken == 100
    # Each result is as large as all that may be on the way: once one is known, nothing is taken until
    # few are left.
    for _ in itertools.islice(results, 50):
        assert source.taken == 101
    results.close()


def large(number):
    return bytes(1 << 20)


def test_a_chunk_sizes_itself_by_the_cost_of_its_calls(pool):
    source = Counted()
    results = pool(1).map(tasks.identity, source, chunksize="auto")
    for _ in itertools.islice(results, 20_000):
        pass
    # Had each call been a task of its own, a few hundred would be ahead.
    assert source.taken > 20_500
    results.close()


def test_another_word_than_auto_is_refused():
    with pytest.raises(ValueError, match="'auto'"):
        ProcessPoolExecutor(1).map(tasks.identity, [1], chunksize="some")
