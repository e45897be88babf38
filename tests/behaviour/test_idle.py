"""Workers that wait too long leave; work is done all the same, and the user is told."""

import gc
import select
import warnings

import pytest

from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import eventually, has_ended, is_running


class Slow:
    """An argument whose pickling takes some milliseconds."""

    def __init__(self, delay_ms):
        self.delay_ms = delay_ms

    def __reduce__(self):
        select.poll().poll(self.delay_ms)
        return tasks.identity, (self.delay_ms,)


def test_idle_workers_leave_and_the_pool_is_not_broken(pool):
    executor = pool(3, timeout=0.05)
    assert executor.submit(tasks.identity, 1).result() == 1
    pids = list(executor._processes)
    assert eventually(lambda: not executor._processes)
    assert all(has_ended(pid) for pid in pids)
    assert executor._flags.broken is None
    assert executor._executor_manager_thread.is_alive()


@pytest.mark.parametrize("on_crash", ["recover", "break"])
@pytest.mark.parametrize("launched", ["zygote", "exec"])
def test_the_next_submit_refills_the_pool(pool, on_crash, launched):
    executor = pool(3, timeout=0.3, on_crash=on_crash, launcher=launched)
    executor.submit(tasks.identity, 1).result()
    for _ in range(2):
        assert eventually(lambda: not executor._processes)
        executor.submit(tasks.identity, 2)
        assert len(executor._processes) == 3
        assert all(is_running(pid) for pid in executor._processes)


@pytest.mark.parametrize("launched", ["zygote", "exec"])
def test_a_submit_replaces_those_that_idled_away_also_where_one_has_stayed(pool, gate, launched):
    executor = pool(3, timeout=0.3, launcher=launched)
    busy = executor.submit(pass_gate, gate.folder)
    (pid,) = gate.wait_begun()
    assert eventually(lambda: set(executor._processes) == {pid})
    executor.submit(tasks.identity, 1)
    assert len(executor._processes) == 3
    assert pid in executor._processes
    gate.open()
    assert busy.result() is None


def test_workers_without_a_timeout_stay(pool):
    executor = pool(2)
    first = executor.submit(tasks.pid).result()
    pids = set(executor._processes)
    assert first in pids
    list(executor.map(tasks.identity, range(100)))
    assert set(executor._processes) == pids


def test_a_busy_worker_does_not_leave(pool, gate):
    executor = pool(1, timeout=0.05)
    future = executor.submit(pass_gate, gate.folder)
    (pid,) = gate.wait_begun()
    select.poll().poll(150)
    assert is_running(pid)
    gate.open()
    assert future.result() is None


@pytest.mark.parametrize("timeout", [0, 1e-6, 0.001, 0.01])
def test_work_is_always_done_however_short_the_timeout(pool, timeout):
    executor = pool(2, timeout=timeout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for number in range(10):
            assert executor.submit(tasks.identity, number).result() == number
        assert list(executor.map(tasks.identity, range(50))) == list(range(50))
        executor.shutdown()
    assert executor._flags.broken is None


@pytest.mark.parametrize("timeout", [0.001, 0.05])
def test_slowly_pickled_arguments_outlast_the_workers_and_one_is_warned(pool, timeout):
    executor = pool(2, timeout=timeout)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        executor.submit(tasks.identity, None).result()
        futures = [executor.submit(tasks.identity, Slow(100)) for _ in range(4)]
        assert [future.result() for future in futures] == [100] * 4
        executor.shutdown()
    texts = [str(warning.message) for warning in caught if warning.category is UserWarning]
    assert texts
    for text in texts:
        assert text.startswith("A worker stopped while some jobs were given to the executor.")
        assert "worker timeout" in text
        assert "memory leak" in text


def test_the_warning_as_an_error_does_not_break_the_pool(pool):
    executor = pool(2, timeout=0.001)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        executor.submit(tasks.identity, None).result()
        futures = [executor.submit(tasks.identity, Slow(50)) for _ in range(3)]
        assert [future.result() for future in futures] == [50] * 3
        executor.shutdown()
    assert executor._flags.broken is None


def test_nobody_is_warned_of_idle_workers_that_leave_with_nothing_to_do(pool):
    executor = pool(2, timeout=0.2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            executor.submit(tasks.identity, 1).result()
            workers = list(executor._processes.values())
            assert eventually(lambda workers=workers: all(worker.exitcode == 0 for worker in workers))
        executor.shutdown()
    assert caught == []


@pytest.mark.parametrize("launched", ["zygote", "exec"])
def test_a_submit_that_finds_no_worker_returns_with_new_ones_however_often(pool, launched):
    executor = pool(2, timeout=0.1, launcher=launched)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(10):
            executor.submit(tasks.identity, 1)
            assert executor._processes
            assert eventually(lambda: not executor._processes)


def test_a_retired_worker_is_replaced_for_a_pool_whose_executor_has_gone(gate):
    """The original loky hangs here."""
    from loky import ProcessPoolExecutor

    executor = ProcessPoolExecutor(1, timeout=0.01, max_tasks_per_child=1)
    futures = [executor.submit(tasks.identity, number) for number in range(5)]
    manager = executor._executor_manager_thread
    del executor
    gc.collect()
    assert [future.result(20) for future in futures] == list(range(5))
    manager.join(20)
    assert not manager.is_alive()


def test_a_leaving_worker_runs_its_exit_handlers(pool, tmp_path):
    path = str(tmp_path / "left")

    def register():
        import atexit

        atexit.register(tasks.touch, path, "left")

    executor = pool(1, timeout=0.05)
    executor.submit(register).result()
    assert eventually(lambda: (tmp_path / "left").exists())
