"""Large buffers both ways: equal, writable, isolated, of every shape."""

import os
import pickle

import numpy as np
import pytest

from tests.support import tasks

KIB, MIB = 1 << 10, 1 << 20


def pattern(size, seed=1):
    """Bytes that tell when one of them is out of place."""
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


SIZES = [0, 1, 32 * KIB - 1, 32 * KIB, 64 * KIB, 64 * KIB + 1, MIB, 16 * MIB + 3]


@pytest.mark.parametrize("size", SIZES)
def test_an_array_goes_there_and_back(pool, size):
    array = pattern(size)
    back = pool(1).submit(tasks.identity, array).result()
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


@pytest.mark.slow
@pytest.mark.parametrize("size", [64 * MIB, 256 * MIB])
def test_a_very_large_array_goes_there_and_back(pool, size):
    array = pattern(size)
    assert np.array_equal(pool(1).submit(tasks.identity, array).result(), array)


@pytest.mark.parametrize("size", [100, MIB])
def test_a_worker_may_write_to_its_argument_and_the_parent_does_not_see_it(pool, size):
    def write(array):
        assert array.flags.writeable
        array[:] = 7
        return int(array.sum())

    array = pattern(size)
    before = array.copy()
    assert pool(1).submit(write, array).result() == 7 * size
    assert np.array_equal(array, before)


@pytest.mark.parametrize("size", [100, MIB])
def test_a_result_is_writable_and_belongs_to_the_parent_alone(pool, size):
    executor = pool(1)

    def keep(size):
        array = np.ones(size, dtype=np.uint8)
        tasks.remember("array", array)
        return array

    result = executor.submit(keep, size).result()
    assert result.flags.writeable
    result[:] = 9
    assert executor.submit(lambda: int(tasks.recall("array").sum())).result() == size
    assert int(result.sum()) == 9 * size


def test_a_worker_may_keep_its_argument_beyond_the_task(pool):
    executor = pool(1)
    array = pattern(MIB)
    executor.submit(tasks.remember, "kept", array).result()
    for seed in range(10):
        executor.submit(tasks.identity, pattern(MIB, seed + 100)).result()
    assert np.array_equal(executor.submit(tasks.recall, "kept").result(), array)


LAYOUTS = {
    "fortran": lambda: np.asfortranarray(pattern(MIB).reshape(1024, -1)),
    "strided": lambda: pattern(2 * MIB)[::2],
    "reversed": lambda: pattern(MIB)[::-1],
    "transposed": lambda: pattern(MIB).reshape(64, -1, 32).transpose(2, 0, 1),
    "slice": lambda: pattern(4 * MIB).reshape(2048, -1)[100:900, 10:500],
    "no rows": lambda: np.empty((0, 1 << 20)),
    "scalar": lambda: np.array(3.5),
    "big endian": lambda: np.arange(1 << 17, dtype=">i4"),
    "complex": lambda: np.arange(1 << 17) * 1j,
    "bool": lambda: pattern(MIB) > 100,
    "datetime": lambda: np.arange(1 << 17).astype("datetime64[s]"),
    "text": lambda: np.full(1 << 14, "wörter"),
    "structured": lambda: np.zeros(1 << 14, dtype=[("a", "i4"), ("b", "f8")]),
    "objects": lambda: np.array([1, "two", None, [3]], dtype=object),
    "read-only": lambda: _read_only(pattern(MIB)),
    "masked": lambda: np.ma.masked_less(np.arange(1 << 16), 100),
    "matrix of views": lambda: np.broadcast_to(pattern(1024), (1024, 1024)),
}


def _read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_of_any_layout_is_the_same_there_and_back(pool, layout):
    array = LAYOUTS[layout]()
    back = pool(1).submit(tasks.identity, array).result()
    assert type(back) is type(array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.array_equal(back, array)


def test_the_order_of_a_fortran_array_is_kept(pool):
    array = LAYOUTS["fortran"]()
    assert pool(1).submit(lambda a: a.flags.f_contiguous, array).result()
    assert pool(1).submit(tasks.identity, array).result().flags.f_contiguous


def test_many_buffers_travel_in_one_task(pool):
    arrays = [pattern(40 * KIB + index, index) for index in range(300)]
    back = pool(1).submit(tasks.identity, arrays).result()
    assert all(np.array_equal(one, other) for one, other in zip(arrays, back, strict=True))


def test_thousands_of_buffers_travel_in_one_task(pool):
    arrays = [np.full(32 * KIB, index % 256, dtype=np.uint8) for index in range(3000)]
    totals = pool(1).submit(lambda many: [int(one[0]) for one in many], arrays).result()
    assert totals == [index % 256 for index in range(3000)]


def test_one_array_named_twice_is_one_array_there(pool):
    array = pattern(MIB)
    assert pool(1).submit(lambda first, second: first is second, array, array).result()


@pytest.mark.parametrize("size", [100, 64 * KIB, 70 * KIB, 8 * MIB])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_bytes_and_bytearrays_go_there_and_back(pool, kind, size):
    value = kind(pattern(size))
    back = pool(1).submit(tasks.identity, value).result()
    assert type(back) is kind
    assert back == value


def test_a_long_text_goes_there_and_back(pool):
    text = "straße " * 300_000
    assert pool(1).submit(tasks.identity, text).result() == text


def test_a_memoryview_comes_back_as_its_bytes(pool):
    assert bytes(pool(1).submit(lambda: memoryview(b"x" * MIB)).result()) == b"x" * MIB


def test_a_pickle_buffer_is_an_argument(pool):
    value = pickle.PickleBuffer(bytearray(pattern(MIB)))
    assert bytes(pool(1).submit(bytes, value).result()) == bytes(value)


def test_a_large_array_in_an_exception_arrives(pool):
    def fail(array):
        raise ValueError(array)

    array = pattern(MIB)
    error = pool(1).submit(fail, array).exception()
    assert np.array_equal(error.args[0], array)


def test_the_argument_is_what_it_was_when_the_task_was_handed_on(pool, gate):
    """Large buffers are referred to until a worker is free for the task, and copied then."""
    from tests.support.gates import pass_gate

    executor = pool(1)
    executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    array = pattern(MIB)
    before = array.copy()
    future = executor.submit(tasks.identity, array)
    gate.open()
    assert np.array_equal(future.result(), before)


@pytest.mark.skipif("LOKY_TEST_HUGE" not in os.environ, reason="set LOKY_TEST_HUGE: needs 10 GB of memory")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_more_than_two_gigabytes_go_there(pool, kind):
    size = 2_200_000_000
    assert pool(1).submit(len, kind(size)).result() == size
    assert len(pool(1).submit(kind, size).result()) == size
