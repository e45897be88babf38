"""`shutdown` in all its forms: what it waits for, what becomes of the tasks, what is left."""

import os
import threading
import time

import pytest

from loky import ProcessPoolExecutor
from loky.process_executor import BrokenProcessPool, ShutdownExecutorError
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import LIMIT_S, eventually, has_ended, is_running


def test_every_accepted_task_is_done_and_no_worker_is_left(pool):
    executor = pool(2)
    futures = [executor.submit(tasks.identity, number) for number in range(100)]
    pids, processes = list(executor._processes), executor._processes
    executor.shutdown()
    assert [future.result(0) for future in futures] == list(range(100))
    assert not any(map(is_running, pids))
    assert processes == {}
    assert executor._processes is processes


def test_a_pool_that_has_not_started_shuts_down(pool):
    executor = pool(1)
    executor.shutdown()
    with pytest.raises(ShutdownExecutorError, match="cannot schedule new futures after shutdown"):
        executor.submit(tasks.identity, 1)


def test_submit_and_map_after_a_shutdown_are_refused(pool):
    executor = pool(1)
    executor.submit(tasks.identity, 1).result()
    executor.shutdown()
    assert issubclass(ShutdownExecutorError, RuntimeError)
    for call in (executor.submit, executor.map):
        with pytest.raises(ShutdownExecutorError, match="cannot schedule new futures after shutdown"):
            call(tasks.identity, [1])


def test_the_with_block_shuts_down_and_swallows_nothing():
    used = []

    def use():
        with ProcessPoolExecutor(1) as executor:
            used.extend((executor, executor.submit(tasks.identity, 1)))
            raise LookupError

    with pytest.raises(LookupError):
        use()
    executor, future = used
    assert future.result(0) == 1
    assert executor._flags.shutdown


def test_a_shutdown_without_waiting_returns_and_the_tasks_are_done(pool, gate):
    executor = pool(1)
    futures = [executor.submit(pass_gate, gate.folder, number) for number in range(5)]
    gate.wait_begun()
    executor.shutdown(wait=False)
    assert not any(future.done() for future in futures)
    assert executor._executor_manager_thread is None
    gate.open()
    assert [future.result(LIMIT_S) for future in futures] == list(range(5))


def test_a_waiting_shutdown_after_one_that_did_not_wait_waits(pool, gate):
    """The original loky does not."""
    executor = pool(1)
    future = executor.submit(pass_gate, gate.folder)
    (pid,) = gate.wait_begun()
    executor.shutdown(wait=False)
    opener = threading.Timer(0.1, gate.open)
    opener.start()
    executor.shutdown(wait=True)
    opener.join()
    assert future.done()
    assert not is_running(pid)


def test_a_kill_fails_what_is_unfinished_and_ends_workers_with_their_children(pool, gate):
    executor = pool(1)
    future = executor.submit(with_child, gate.folder)
    waiting = [executor.submit(tasks.identity, number) for number in range(5)]
    child, worker = sorted(gate.wait_begun(2), key=lambda pid: pid in executor._processes)
    executor.shutdown(kill_workers=True)
    for failed in (future, *waiting):
        assert isinstance(failed.exception(0), ShutdownExecutorError)
        assert "kill_workers=True" in str(failed.exception())
    assert not is_running(worker)
    assert has_ended(child, 5)
    assert executor._flags.kill_workers


def with_child(folder):
    """As a task: have a child of its own that never ends by itself."""
    if os.fork() == 0:
        pass_gate(folder)
        os._exit(0)
    pass_gate(folder)


def test_a_kill_leaves_cancelled_tasks_cancelled(pool, gate):
    """In the original loky this crashes the manager thread."""
    executor = pool(1)
    running = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    futures = [executor.submit(tasks.identity, number) for number in range(6)]
    cancelled = futures[::2]
    for future in cancelled:
        future.cancel()
    executor.shutdown(kill_workers=True)
    assert all(future.cancelled() for future in cancelled)
    assert all(isinstance(future.exception(0), ShutdownExecutorError) for future in (running, *futures[1::2]))


def test_a_kill_after_a_waiting_shutdown_has_begun_ends_it(pool, gate):
    executor = pool(1)
    future = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    waiter = threading.Thread(target=executor.shutdown)
    waiter.start()
    executor.shutdown(kill_workers=True)
    waiter.join(LIMIT_S)
    assert not waiter.is_alive()
    assert isinstance(future.exception(0), ShutdownExecutorError)


def test_a_kill_before_any_worker_is_ready_is_quick(pool, gate):
    executor = pool(3, initializer=pass_gate, initargs=(gate.folder,))
    future = executor.submit(tasks.identity, 1)
    begin_s = time.monotonic()
    executor.shutdown(kill_workers=True)
    assert time.monotonic() - begin_s < 5
    assert isinstance(future.exception(0), ShutdownExecutorError)


def test_it_may_be_repeated_in_any_mix(pool):
    for first in (True, False):
        for kill in (True, False):
            executor = pool(1)
            executor.submit(tasks.identity, 1)
            executor.shutdown(wait=first, kill_workers=kill)
            executor.shutdown(wait=not first)
            executor.shutdown(wait=True, kill_workers=not kill)
            executor.shutdown()
            assert executor._processes == {}


def test_several_threads_may_shut_down_at_once(pool):
    executor = pool(2)
    futures = [executor.submit(tasks.identity, number) for number in range(20)]
    threads = [
        threading.Thread(target=executor.shutdown, kwargs={"wait": bool(number % 2)}) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    executor.shutdown()
    assert [future.result(0) for future in futures] == list(range(20))


def test_with_cancel_futures_only_what_has_begun_is_done(pool, gate):
    executor = pool(1)
    running = executor.submit(pass_gate, gate.folder, "done")
    gate.wait_begun()
    waiting = [executor.submit(pass_gate, gate.folder) for _ in range(10)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)
    gate.open()
    executor.shutdown()
    assert running.result(0) == "done"
    assert gate.nobody_begins()


@pytest.mark.parametrize("launched", ["zygote", "exec"])
def test_with_cancel_futures_at_once_what_the_starting_workers_would_take_is_done(pool, launched):
    executor = pool(2, launcher=launched)
    futures = [executor.submit(tasks.identity, number) for number in range(50)]
    executor.shutdown(cancel_futures=True)
    assert [future.result(0) for future in futures[:2]] == [0, 1]
    # Of what was sent ahead to them, a worker may have been faster than the cancellation.
    assert all(future.cancelled() or future.result(0) == number for number, future in enumerate(futures))


def test_an_unpicklable_task_in_flight_does_not_hold_it_up(pool):
    import pickle

    for _ in range(5):
        executor = pool(1)
        future = executor.submit(tasks.identity, (n for n in ()))
        executor.shutdown()
        assert isinstance(future.exception(0), pickle.PicklingError)


def test_a_broken_pool_shuts_down_quickly(pool):
    executor = pool(5, on_crash="break")
    assert isinstance(executor.submit(tasks.exit_hard, 1).exception(), BrokenProcessPool)
    begin_s = time.monotonic()
    executor.shutdown()
    assert time.monotonic() - begin_s < 10
    assert executor._processes == {}


def test_it_waits_for_exit_handlers_and_threads_of_the_workers(pool, tmp_path):
    path = str(tmp_path / "log")

    def leave_something():
        import atexit
        import select
        import threading

        def late():
            select.poll().poll(100)
            tasks.touch(path, "thread")

        atexit.register(tasks.touch, path, "atexit")
        threading.Thread(target=late).start()

    executor = pool(1)
    executor.submit(leave_something).result()
    executor.shutdown()
    assert (tmp_path / "log").read_text().split() == ["thread", "atexit"]


def test_output_of_the_workers_is_flushed(pool, capfd):
    executor = pool(1)
    executor.submit(lambda: __import__("sys").stdout.write("no newline")).result()
    executor.shutdown()
    assert capfd.readouterr().out == "no newline"


@pytest.mark.parametrize("name", ["terminate_workers", "kill_workers"])
def test_workers_ended_by_the_standard_librarys_methods_fail_their_tasks(pool, gate, name):
    """These methods came with Python 3.14; here they are on all versions."""
    executor = pool(2)
    futures = [executor.submit(pass_gate, gate.folder) for _ in range(5)]
    pids = gate.wait_begun(2)
    getattr(executor, name)()
    for future in futures:
        assert future.cancelled() or isinstance(future.exception(LIMIT_S), (BrokenProcessPool, RuntimeError))
    assert all(has_ended(pid) for pid in pids)
    with pytest.raises(RuntimeError):
        executor.submit(tasks.identity, 1)
    executor.shutdown()


@pytest.mark.parametrize("name", ["terminate_workers", "kill_workers"])
def test_no_other_worker_begins_what_was_meant_for_one_that_was_ended_while_starting(pool, gate, name):
    executor = pool(2, initializer=pass_gate, initargs=(gate.folder,))
    futures = [executor.submit(tasks.identity, number) for number in range(3)]
    gate.wait_begun(2)
    getattr(executor, name)()
    assert all(future.cancelled() for future in futures)
    end = threading.Thread(target=executor.shutdown, daemon=True)
    end.start()
    end.join(LIMIT_S)
    assert not end.is_alive()


@pytest.mark.parametrize("name", ["terminate_workers", "kill_workers"])
def test_the_standard_librarys_methods_are_no_error_without_workers(pool, name):
    executor = pool(1)
    getattr(executor, name)()
    with pytest.raises(RuntimeError):
        executor.submit(tasks.identity, 1)
    other = pool(1)
    other.submit(tasks.identity, 1)
    other.shutdown()
    getattr(other, name)()


def test_three_levels_of_nested_pools_are_killed_at_once(pool, gate):
    executor = pool(1)
    future = executor.submit(nest, 2, gate.folder)
    (innermost,) = gate.wait_begun()
    begin_s = time.monotonic()
    executor.shutdown(kill_workers=True)
    assert time.monotonic() - begin_s < 5
    assert isinstance(future.exception(0), ShutdownExecutorError)
    assert eventually(lambda: not is_running(innermost), 5)


def nest(levels, folder):
    if levels == 0:
        return pass_gate(folder)
    with ProcessPoolExecutor(1) as executor:
        return executor.submit(nest, levels - 1, folder).result()
