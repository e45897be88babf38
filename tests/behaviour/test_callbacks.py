"""Done-callbacks: once, in order, in the manager thread, and free to do what they like."""

import concurrent.futures
import logging
import threading

import pytest

from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import LIMIT_S


def finish(executor):
    """Wait until all callbacks of the tasks so far have run."""
    executor.shutdown(wait=True)


def test_callbacks_run_once_in_order_of_addition_with_the_future(pool, gate):
    executor = pool(1)
    calls = []
    future = executor.submit(pass_gate, gate.folder, 7)
    for number in range(3):
        future.add_done_callback(lambda done, number=number: calls.append((number, done.result())))
    gate.open()
    finish(executor)
    assert calls == [(0, 7), (1, 7), (2, 7)]


def test_callbacks_run_in_the_manager_thread(pool, gate):
    executor = pool(1)
    threads = []
    future = executor.submit(pass_gate, gate.folder)
    future.add_done_callback(lambda _: threads.append(threading.current_thread()))
    manager = executor._executor_manager_thread
    gate.open()
    finish(executor)
    assert threads == [manager]
    assert manager.name == "ExecutorManagerThread"
    assert not manager.daemon


def test_a_callback_added_to_a_finished_future_runs_at_once_in_the_caller(pool):
    future = pool(1).submit(tasks.identity, 1)
    future.result()
    threads = []
    future.add_done_callback(lambda _: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()]


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_what_a_callback_raises_is_logged_and_the_next_one_runs(pool, gate, caplog, kind):
    executor = pool(1)
    calls = []

    def bad(_):
        raise kind("from the callback")

    future = executor.submit(pass_gate, gate.folder)
    future.add_done_callback(bad)
    future.add_done_callback(calls.append)
    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        gate.open()
        assert executor.submit(tasks.identity, 1).result() == 1
        finish(executor)
    assert calls == [future]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("concurrent.futures", logging.ERROR)
    assert record.getMessage().startswith("exception calling callback for")
    assert record.exc_info[0] is kind
    assert executor._flags.broken is None
    # A traceback holds the frames of the thread in which it was made, and they the pool.
    del record
    caplog.clear()


def test_a_future_by_hand_swallows_whatever_a_callback_raises(caplog):
    from loky import Future

    future = Future()
    calls = []
    future.add_done_callback(lambda _: tasks.fail(SystemExit))
    future.add_done_callback(calls.append)
    future.set_result(1)
    assert calls == [future]
    assert "exception calling callback for" in caplog.text


def test_a_callback_may_submit_to_its_pool(pool):
    executor = pool(1)
    second = concurrent.futures.Future()

    def submit_more(done):
        executor.submit(tasks.add, done.result(), 1).add_done_callback(
            lambda inner: second.set_result(inner.result())
        )

    executor.submit(tasks.identity, 1).add_done_callback(submit_more)
    assert second.result(LIMIT_S) == 2


def test_a_chain_of_tasks_submitted_by_callbacks_does_not_grow_the_stack(pool):
    executor = pool(1)
    end = concurrent.futures.Future()

    def step(done):
        value = done.result()
        if value == 1500:
            end.set_result(value)
        else:
            executor.submit(tasks.add, value, 1).add_done_callback(step)

    executor.submit(tasks.identity, 0).add_done_callback(step)
    assert end.result(LIMIT_S) == 1500


def test_a_callback_may_read_the_results_of_others(pool):
    executor = pool(2)
    first = executor.submit(tasks.identity, 1)
    seen = concurrent.futures.Future()
    executor.submit(tasks.identity, 2).add_done_callback(
        lambda done: seen.set_result((done.result(), first.done() and first.result()))
    )
    assert seen.result(LIMIT_S)[0] == 2


def test_a_shutdown_from_a_callback_does_not_wait_for_itself(pool, gate, caplog):
    """The original loky raises inside the callback; here it returns."""
    executor = pool(1)
    ended = concurrent.futures.Future()

    def shut(_):
        executor.shutdown(wait=True)
        ended.set_result(executor._flags.shutdown)

    future = executor.submit(pass_gate, gate.folder)
    future.add_done_callback(shut)
    gate.open()
    assert ended.result(LIMIT_S) is True
    executor.shutdown(wait=True)
    assert not caplog.records


def test_a_kill_from_a_callback_ends_the_pool(pool, gate):
    from loky.process_executor import ShutdownExecutorError

    executor = pool(2)
    quick = executor.submit(tasks.identity, 1)
    slow = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    quick.add_done_callback(lambda _: executor.shutdown(kill_workers=True))
    assert isinstance(slow.exception(LIMIT_S), ShutdownExecutorError)


def test_a_callback_sees_the_error_of_its_task(pool):
    executor = pool(1)
    seen = concurrent.futures.Future()
    executor.submit(tasks.fail, LookupError, 3).add_done_callback(
        lambda done: seen.set_result(type(done.exception()))
    )
    assert seen.result(LIMIT_S) is LookupError
