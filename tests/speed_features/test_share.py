"""`loky.share`: an object that is encoded, sent and decoded once, and dropped when nobody needs it."""

import gc
import operator
import os
import pickle
import signal
import sys
import threading

import numpy as np
import pytest

import loky
from tests.speed_features import shipping
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import eventually

WORKERS = 2


class Counted:
    """Counts in its process how often it was decoded."""

    decoded = 0

    def __init__(self, value):
        self.value = value

    def __setstate__(self, state):
        type(self).decoded += 1
        self.__dict__.update(state)


def look(shared, place=None):
    """What a task sees: its process, how often the object was decoded there, what it is."""
    return os.getpid(), Counted.decoded, type(shared).__name__, id(shared)


def kept(_=None):
    module = sys.modules.get("loky._kept")
    return os.getpid(), 0 if module is None else len(module._kept)


def total(shared):
    return float(shared.sum())


def length(shared, number=0, *, more=()):
    return len(shared) + number + sum(map(len, more))


def append(shared, value):
    shared.append(value)
    return list(shared)


def nested_pool(shared):
    with loky.ProcessPoolExecutor(1) as inner:
        return inner.submit(length, loky.share(shared)).result()


def all_kept(executor):
    """How many objects the workers keep, by process."""
    return dict(executor.map(kept, range(20), chunksize=1))


@pytest.mark.parametrize("name", shipping.OBJECTS)
def test_it_is_moved_once_and_is_the_object_wherever_it_stands(pool, name):
    executor = pool(WORKERS)
    value = shipping.OBJECTS[name]()
    handle = loky.share(value)
    in_closure = lambda number: len(handle) + number  # noqa: E731
    futures = [executor.submit(length, handle, number, more=[handle]) for number in range(300)]
    futures += [executor.submit(in_closure, number) for number in range(300)]
    results = [future.result() for future in futures]
    assert results[:300] == [2 * len(value) + number for number in range(300)]
    assert results[300:] == [len(value) + number for number in range(300)]
    assert list(executor.map(length, [handle] * 5, range(5))) == [len(value) + n for n in range(5)]
    encoded = len(handle._stream) + sum(map(len, handle._buffers))
    assert shipping.counts(executor)[0] <= 1.01 * encoded


def test_a_worker_decodes_it_once_and_all_its_tasks_see_the_same(pool):
    executor = pool(WORKERS)
    handle = loky.share(Counted(list(range(1000))))
    seen = {executor.submit(look, handle).result() for _ in range(20)}
    seen |= set(executor.map(look, [handle] * 40, chunksize=3))
    workers = {pid for pid, *_ in seen}
    assert len(seen) == len(workers), "one object a worker"
    assert {(decoded, kind) for _, decoded, kind, _ in seen} == {(1, "Counted")}


def test_a_change_after_share_is_not_seen_and_one_in_a_task_stays_in_its_worker(pool):
    executor = pool(1)
    value = [1]
    array = np.arange(100_000)
    handle, of_array = loky.share(value), loky.share(array)
    value.append(2)
    array[:] = 0
    assert executor.submit(append, handle, 3).result() == [1, 3]
    assert executor.submit(append, handle, 4).result() == [1, 3, 4]
    assert value == [1, 2]
    assert handle.get() == [1]
    assert executor.submit(int, 7).result() == 7
    assert executor.submit(lambda: int(of_array[99])).result() == 99
    assert executor.submit(lambda: of_array.flags.writeable).result()


def test_workers_drop_it_when_the_handle_is_gone(pool):
    executor = pool(WORKERS)
    handle = loky.share(shipping.noise())
    assert executor.submit(length, handle).result() == shipping.SIZE
    assert 1 in all_kept(executor).values()
    del handle
    assert eventually(lambda: set(all_kept(executor).values()) == {0})
    held = executor._life._shared
    assert not held


def test_an_idle_worker_gives_its_memory_back_without_another_task(pool):
    executor = pool(1)
    handle = loky.share(np.ones(3_000_000))
    assert executor.submit(total, handle).result() == 3_000_000
    pid = executor.submit(tasks.pid).result()

    def mapped():
        with open(f"/proc/{pid}/maps") as maps:
            return "loky-segment" in maps.read()

    assert mapped()
    del handle
    gc.collect()
    assert eventually(lambda: not mapped())


def test_a_task_that_waits_keeps_it(pool, gate):
    executor = pool(1)
    blocker = executor.submit(pass_gate, gate.folder)
    handle = loky.share(shipping.noise())
    waiting = [executor.submit(length, handle) for _ in range(3)]
    cancelled = executor.submit(length, handle)
    assert cancelled.cancel()
    del handle
    gate.open()
    blocker.result()
    assert [future.result() for future in waiting] == [shipping.SIZE] * 3
    assert eventually(lambda: set(all_kept(executor).values()) == {0})


def test_a_worker_that_was_replaced_gets_it_again(pool):
    executor = pool(1)
    handle = loky.share(Counted(shipping.big_list()))
    first = executor.submit(look, handle).result()
    died = executor.submit(tasks.kill_self, signal.SIGKILL)
    assert isinstance(died.exception(), loky.TerminatedWorkerError)
    second = executor.submit(look, handle).result()
    assert first[0] != second[0]
    assert first[1:3] == second[1:3] == (1, "Counted")


def die_once(shared, path):
    if not os.path.exists(path):
        with open(path, "w"):
            os.kill(os.getpid(), signal.SIGKILL)
    return len(shared)


def test_a_retry_gets_it_again(pool, tmp_path):
    executor = pool(1)
    handle = loky.share(shipping.noise())
    future = executor.options(retries=2).submit(die_once, handle, str(tmp_path / "died"))
    del handle
    assert future.result() == shipping.SIZE
    assert (tmp_path / "died").exists()


def test_a_pool_that_breaks_lets_go_of_it(pool):
    executor = pool(1, on_crash="break")
    handle = loky.share(shipping.noise())
    assert executor.submit(length, handle).result() == shipping.SIZE
    futures = [executor.submit(tasks.kill_self, signal.SIGKILL), executor.submit(length, handle)]
    assert all(isinstance(future.exception(), loky.BrokenProcessPool) for future in futures)
    life = executor._life
    assert eventually(lambda: not life._shared)
    del handle


def test_two_pools_and_many_threads_may_use_one_handle(pool):
    executors = [pool(1), pool(WORKERS)]
    handle = loky.share(Counted("x"))
    results, failures = [], []

    def use(executor, handle):
        try:
            results.extend(executor.submit(look, handle).result() for _ in range(10))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(executor, handle)) for executor in executors * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert {decoded for _, decoded, *_ in results} == {1}
    assert len(results) == 60
    del handle, threads, thread
    for executor in executors:
        assert eventually(lambda executor=executor: set(all_kept(executor).values()) == {0})


def test_a_task_may_share_what_it_got_in_a_pool_of_its_own(pool):
    executor = pool(1)
    handle = loky.share([1, 2, 3])
    assert executor.submit(nested_pool, handle).result() == 3


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_outside_of_a_pool_it_becomes_the_object(protocol):
    value = {"array": np.arange(20_000), "small": np.arange(3), "text": "x" * 100_000}
    copy = pickle.loads(pickle.dumps(loky.share(value), protocol))
    assert type(copy) is dict
    assert np.array_equal(copy["array"], value["array"])
    copy["array"][0] = copy["small"][0] = 5
    assert copy["text"] == value["text"]


def test_a_task_that_returns_one_gives_the_object(pool):
    assert pool(1).submit(loky.share, [1, 2]).result() == [1, 2]


def test_what_cannot_be_pickled_is_refused_at_once_and_named():
    with pytest.raises(pickle.PicklingError, match="object to share") as caught:
        loky.share({"part": [1, threading.Lock()]})
    assert any("['part'] → [1]" in note for note in caught.value.__notes__)


def test_a_shared_object_may_hold_another(pool):
    inner = loky.share([1, 2, 3])
    assert pool(1).submit(length, loky.share({"inner": inner})).result() == 1


def test_reducers_of_the_executor_leave_the_handle_alone(pool):
    executor = pool(1, job_reducers={Counted: lambda counted: (Counted, ("reduced",))})
    handle = loky.share(Counted("as it was"))
    assert executor.submit(getattr, handle, "value").result() == "as it was"
    assert executor.submit(getattr, Counted("x"), "value").result() == "reduced"


def test_a_chosen_pickler_sends_it_once_as_well(pool):
    loky.set_loky_pickler("pickle")
    try:
        executor = pool(1)
        handle = loky.share(shipping.big_list())
        results = [executor.submit(operator.getitem, handle, place).result() for place in range(5)]
    finally:
        loky.set_loky_pickler("cloudpickle")
    assert results == handle.get()[:5]
    assert shipping.counts(executor)[0] <= 1.01 * len(handle._stream)


def test_memory_that_is_shared_is_no_leak_of_the_task(pool):
    executor = pool(1, env={"LOKY_MAX_MEMORY_LEAK_SIZE": "6e7"})
    first = executor.submit(tasks.pid).result()
    handle = loky.share(np.ones(16_000_000))
    assert executor.submit(lambda: float(handle.sum())).result() == 16_000_000
    assert eventually(lambda: executor.submit(seconds_since_start).result() > 2.5)
    assert executor.submit(tasks.pid).result() == first


def seconds_since_start():
    import time

    global _started_s
    _started_s = globals().get("_started_s") or time.monotonic()
    return time.monotonic() - _started_s


def test_a_handle_tells_its_size():
    assert repr(loky.share(b"x" * 100)).startswith("<loky.Shared of 1")
