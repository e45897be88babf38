"""Large data that many tasks share is sent once, is what it was at `submit`, and is every task's own."""

import gc
import signal
import weakref
import zlib

import numpy as np
import pytest

from loky import TerminatedWorkerError
from tests.speed_features import shipping
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import eventually

WORKERS = 2


def digest(value):
    """A number that tells contents apart."""
    if isinstance(value, dict):
        return digest(list(value.items()))
    if isinstance(value, list | tuple):
        parts = [digest(item) if hasattr(item, "__len__") else item for item in value]
        return zlib.crc32(repr(parts).encode())
    return zlib.crc32(value.encode() if isinstance(value, str) else value)


def digest_and(number, value, *, other=None):
    return digest(value), number, other


def scribble(value):
    """Change a part of the argument; give what was there before."""
    before = bytes(memoryview(value)[1000:1010])
    memoryview(value)[1000:1010] = b"0123456789"
    return before


@pytest.mark.parametrize("name", shipping.OBJECTS)
def test_an_object_of_many_tasks_is_moved_once_a_worker(pool, name):
    executor = pool(WORKERS)
    value, tasks_count = shipping.OBJECTS[name](), 60 if name in ("str", "list", "dict") else 1000
    futures = [executor.submit(len, value) for _ in range(tasks_count)]
    assert {future.result() for future in futures} == {len(value)}
    copied, recognised = shipping.counts(executor)
    size = copied + recognised
    assert size >= tasks_count * shipping.SIZE * 0.7, "it is large"
    assert copied <= 1.1 * size / tasks_count * WORKERS


@pytest.mark.parametrize("name", shipping.OBJECTS)
def test_it_is_recognised_among_other_arguments_and_arrives_whole(pool, name):
    executor = pool(WORKERS)
    value = shipping.OBJECTS[name]()
    expected = digest(value)
    futures = [executor.submit(digest_and, "n" * (number % 7), value, other=number) for number in range(20)]
    for number, future in enumerate(futures):
        assert future.result() == (expected, "n" * (number % 7), number)
    copied, recognised = shipping.counts(executor)
    assert copied <= 1.1 * (copied + recognised) / 20 * WORKERS


def test_a_closure_that_holds_a_mebibyte_is_moved_once(pool):
    executor = pool(WORKERS)
    held = shipping.noise(1 << 20)

    def local(number):
        return len(held) + number

    results = [future.result() for future in [executor.submit(local, number) for number in range(200)]]
    assert results == [len(held) + number for number in range(200)]
    assert shipping.counts(executor) == (1 << 20, 199 << 20)


def test_a_global_of_a_function_that_goes_by_value_is_moved_once(pool):
    executor = pool(WORKERS)
    names = {"__name__": "__main__", "table": shipping.big_list()}
    exec("def look(place): return table[place]", names)
    results = list(executor.map(names["look"], range(40), chunksize=1))
    assert results == names["table"][:40]
    copied, recognised = shipping.counts(executor)
    assert copied <= 1.1 * (copied + recognised) / 40 * WORKERS


@pytest.mark.parametrize("name", ["bytearray", "numpy", "list", "dict"])
def test_a_change_between_two_submits_is_seen_by_the_second_alone(pool, name):
    executor = pool(1)
    value = shipping.OBJECTS[name]()
    expected, futures = [], []
    keys = list(value) if name == "dict" else range(len(value))
    for step in range(12):
        place = keys[len(value) // 2 + 17 * step]
        if step % 3:
            value[place] = int(value[place]) ^ 1
        expected.append(digest(value))
        futures.append(executor.submit(digest, value))
        if name == "numpy":
            # Arrays are copied when their task is handed to a worker, so this one waits for that.
            assert futures[-1].result() == expected[-1]
    assert [future.result() for future in futures] == expected
    assert len(set(expected)) == 9, "the changes are changes"


def test_what_changes_while_tasks_wait_is_as_it_was_at_submit(pool, gate):
    executor = pool(1)
    blocker = executor.submit(pass_gate, gate.folder)
    value = bytearray(shipping.noise())
    before = digest(value)
    waiting = [executor.submit(digest, value) for _ in range(5)]
    value[len(value) // 2] ^= 0xFF
    after = executor.submit(digest, value)
    gate.open()
    blocker.result()
    assert [future.result() for future in waiting] == [before] * 5
    assert after.result() == digest(value) != before


@pytest.mark.parametrize("name", ["bytearray", "numpy"])
def test_a_task_that_changes_its_argument_changes_no_other_s(pool, name):
    executor = pool(WORKERS)
    value = shipping.OBJECTS[name]()
    original = bytes(memoryview(value)[1000:1010])
    futures = [executor.submit(scribble, value) for _ in range(30)]
    assert [future.result() for future in futures] == [original] * 30
    assert bytes(memoryview(value)[1000:1010]) == original


def test_two_equal_arrays_in_one_call_are_two_arrays(pool):
    executor = pool(WORKERS)
    first, second = (np.zeros(100_000) for _ in range(2))

    def change_first(a, b, alias):
        a[:] = 1
        return float(b.sum()), alias is a

    for _ in range(5):
        assert executor.submit(change_first, first, second, first).result() == (0.0, True)
    copied, _ = shipping.counts(executor)
    assert copied == first.nbytes + second.nbytes


def test_identity_within_a_call_is_kept(pool):
    executor = pool(1)
    held, grown = shipping.noise(), bytearray(shipping.noise())

    def same(a, b, pair):
        return a is pair[0], b is pair[1], type(a) is bytes, type(b) is bytearray

    for _ in range(3):
        assert executor.submit(same, held, grown, [held, grown]).result() == (True,) * 4


def test_two_pools_have_each_their_own(pool):
    value = shipping.noise()
    executors = [pool(1), pool(1)]
    futures = [executor.submit(digest, value) for executor in executors for _ in range(5)]
    assert {future.result() for future in futures} == {digest(value)}
    assert [shipping.counts(executor)[0] for executor in executors] == [len(value)] * 2


def test_a_worker_that_dies_costs_no_second_copy(pool):
    executor = pool(WORKERS)
    value = shipping.noise()
    executor.submit(digest, value).result()
    futures = [executor.submit(digest, value) for _ in range(20)]
    dying = [executor.submit(tasks.kill_self, signal.SIGKILL) for _ in range(2)]
    futures += [executor.submit(digest, value) for _ in range(20)]
    for future in dying:
        assert isinstance(future.exception(), TerminatedWorkerError)
    assert {future.result() for future in futures} == {digest(value)}
    assert shipping.counts(executor)[0] == len(value)


@pytest.mark.parametrize("name", ["bytes", "bytearray", "numpy", "list"])
def test_tasks_that_wait_do_not_hold_a_copy_each(pool, gate, name):
    executor = pool(1)
    blocker = executor.submit(pass_gate, gate.folder)
    value = shipping.OBJECTS[name]()
    executor.submit(len, value)
    gc.collect()
    before = shipping.resident_bytes()
    futures = [executor.submit(len, value) for _ in range(60)]
    assert shipping.resident_bytes() - before < 12 * shipping.SIZE
    gate.open()
    blocker.result()
    assert {future.result() for future in futures} == {len(value)}


class Tracked(np.ndarray):
    """An array whose end can be seen."""


def test_an_object_is_let_go_of_when_its_tasks_are_over(pool):
    executor = pool(WORKERS)
    value = np.zeros(shipping.SIZE, np.uint8).view(Tracked)
    reference = weakref.ref(value)
    assert executor.submit(len, value).result() == shipping.SIZE
    del value
    assert eventually(lambda: reference() is None)
