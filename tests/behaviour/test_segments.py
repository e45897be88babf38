"""Shared memory is used again and again: never while somebody looks at it, and never more of it."""

import gc
import os

import numpy as np
import pytest

from tests.support import census, tasks
from tests.support.waiting import eventually

SIZE = 300_000


def filled(seed, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def test_results_that_are_kept_stay_what_they_were(pool):
    executor = pool(2)
    kept = {}
    for round_number in range(12):
        seeds = range(round_number * 10, round_number * 10 + 10)
        results = zip(seeds, executor.map(filled, seeds), strict=True)
        kept.update((seed, result) for seed, result in results if seed % 3 == 0)
        for seed, result in kept.items():
            assert np.array_equal(result, filled(seed)), seed


def test_a_view_of_a_result_keeps_its_memory(pool):
    executor = pool(1)
    views = [executor.submit(filled, seed).result()[1000:2000:3] for seed in range(10)]
    gc.collect()
    for seed in range(100, 130):
        executor.submit(filled, seed).result()
    for seed, view in enumerate(views):
        assert np.array_equal(view, filled(seed)[1000:2000:3])


def test_arguments_that_a_worker_keeps_stay_what_they_were(pool):
    executor = pool(1)

    def keep(seed, array):
        kept = tasks.recall("kept") or {}
        kept[seed] = array[5:]
        tasks.remember("kept", kept)

    for seed in range(8):
        executor.submit(keep, seed, filled(seed)).result()
    for seed in range(100, 130):
        executor.submit(tasks.identity, filled(seed)).result()
    kept = executor.submit(tasks.recall, "kept").result()
    assert all(np.array_equal(array, filled(seed)[5:]) for seed, array in kept.items())


def test_results_outlive_their_pool(pool):
    executor = pool(1)
    results = [executor.submit(filled, seed).result() for seed in range(5)]
    undecoded = executor.submit(filled, 5)
    executor.shutdown()
    results.append(undecoded.result())
    assert all(np.array_equal(result, filled(seed)) for seed, result in enumerate(results))


def test_results_outlive_the_worker_that_made_them(pool):
    executor = pool(1, on_crash="recover")
    results = [executor.submit(filled, seed).result() for seed in range(3)]
    executor.submit(tasks.exit_hard).exception()
    more = [executor.submit(filled, seed).result() for seed in range(3, 6)]
    for seed, result in enumerate(results + more):
        assert np.array_equal(result, filled(seed))


def test_writing_to_old_results_does_not_reach_new_ones(pool):
    executor = pool(1)
    old = [executor.submit(filled, seed).result() for seed in range(5)]
    new = []
    for seed in range(5, 15):
        for array in old:
            array[:] = 0
        new.append((seed, executor.submit(filled, seed).result()))
    assert all(np.array_equal(array, filled(seed)) for seed, array in new)


def test_writing_to_an_argument_in_the_worker_does_not_reach_the_next(pool):
    def scribble(array):
        before = array.copy()
        array[:] = 0xAA
        return before

    executor = pool(1)
    for seed in range(20):
        assert np.array_equal(executor.submit(scribble, filled(seed)).result(), filled(seed))


def test_many_sizes_mixed_do_not_mix(pool):
    executor = pool(2)
    sizes = np.random.default_rng(3).integers(30_000, 3_000_000, 60)
    arrays = [filled(seed, int(size)) for seed, size in enumerate(sizes)]
    futures = [executor.submit(tasks.identity, array) for array in arrays]
    for array, future in zip(arrays, futures, strict=True):
        assert np.array_equal(future.result(), array)


def worker_descriptors():
    """As a task: what this worker has open, without the listing itself."""
    return sum(os.path.lexists(f"/proc/self/fd/{entry}") for entry in os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("keep", [0, 3])
def test_three_hundred_large_tasks_leave_no_descriptor_and_no_mapping(pool, keep):
    executor = pool(1)
    array = filled(1, 1 << 20)
    kept = []

    def turn():
        kept.append(executor.submit(tasks.identity, array).result())
        del kept[: max(0, len(kept) - keep)]

    for _ in range(20):
        turn()
    before, there = census.take(), executor.submit(worker_descriptors).result()
    for _ in range(300):
        turn()
    gc.collect()
    after, there_after = census.take(), executor.submit(worker_descriptors).result()
    assert len(after.descriptors) <= len(before.descriptors) + 2
    assert len(after.mappings) <= len(before.mappings) + 2
    assert there_after <= there + 2


def test_nothing_is_left_mapped_after_the_pool_and_its_results(pool):
    before = census.take()
    executor = pool(2)
    results = list(executor.map(filled, range(20)))
    executor.shutdown()
    assert census.take().mappings - before.mappings
    results.clear()
    assert eventually(lambda: gc.collect() >= 0 and not census.take().mappings - before.mappings, 5)
