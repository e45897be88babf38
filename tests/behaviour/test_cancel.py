"""A task that has not begun can be cancelled, however soon and wherever it has been handed to."""

import gc
import weakref

import pytest

from loky import ALL_COMPLETED, CancelledError, as_completed, wait
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import eventually


def test_every_task_behind_a_running_one_can_be_cancelled(pool, gate):
    """The original loky hands some on in advance, and those refuse."""
    executor = pool(1)
    running = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    waiting = [executor.submit(pass_gate, gate.folder) for _ in range(8)]
    assert all(future.cancel() for future in waiting)
    assert not running.cancel()
    gate.open()
    assert running.result() is None
    executor.shutdown()
    assert gate.nobody_begins()


def test_a_task_cancelled_right_after_submit_either_is_or_has_begun(pool, gate):
    executor = pool(2)
    executor.submit(tasks.identity, None).result()
    outcomes = []
    for _ in range(200):
        future = executor.submit(tasks.identity, 1)
        outcomes.append((future.cancel(), future))
    for cancelled, future in outcomes:
        if cancelled:
            with pytest.raises(CancelledError):
                future.result()
        else:
            assert future.result() == 1


def test_a_task_can_be_cancelled_before_any_worker_is_ready(pool, gate):
    executor = pool(1, initializer=pass_gate, initargs=(gate.folder,))
    future = executor.submit(tasks.identity, 1)
    gate.wait_begun()
    assert future.cancel()
    gate.open()
    assert executor.submit(tasks.identity, 2).result() == 2


def test_cancelling_again_is_true_and_changes_nothing(pool, gate):
    executor = pool(1)
    executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    future = executor.submit(tasks.identity, 1)
    calls = []
    future.add_done_callback(calls.append)
    assert [future.cancel(), future.cancel()] == [True, True]
    assert calls == [future]
    assert future.cancelled()
    assert future.done()
    gate.open()


def test_a_finished_task_cannot_be_cancelled(pool):
    future = pool(1).submit(tasks.identity, 1)
    future.result()
    assert not future.cancel()
    assert not future.cancelled()


@pytest.mark.parametrize("ask", ["result", "exception"])
def test_a_cancelled_future_raises_cancelled_error(pool, gate, ask):
    executor = pool(1)
    executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    future = executor.submit(tasks.identity, 1)
    future.cancel()
    with pytest.raises(CancelledError):
        getattr(future, ask)()
    gate.open()


def test_a_cancelled_future_is_done_for_those_who_wait_for_it(pool, gate):
    executor = pool(1)
    executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    future = executor.submit(tasks.identity, 1)
    future.cancel()
    assert wait([future], 10, ALL_COMPLETED).done == {future}
    assert list(as_completed([future], 10)) == [future]
    gate.open()


def test_the_callbacks_of_a_cancelled_future_run_in_the_canceller(pool, gate):
    import threading

    executor = pool(1)
    executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    future = executor.submit(tasks.identity, 1)
    threads = []
    future.add_done_callback(lambda _: threads.append(threading.current_thread()))
    future.cancel()
    assert threads == [threading.current_thread()]
    gate.open()


def test_a_pool_with_nothing_but_cancelled_tasks_shuts_down(pool, gate):
    executor = pool(1)
    executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    for future in [executor.submit(tasks.identity, 1) for _ in range(50)]:
        future.cancel()
    gate.open()
    executor.shutdown()
    assert executor._pending_work_items == {}


class Argument:
    """Something whose life can be watched."""


def test_the_parent_does_not_keep_the_arguments_of_a_cancelled_task(pool, gate):
    executor = pool(1)
    executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    argument = Argument()
    reference = weakref.ref(argument)
    future = executor.submit(tasks.identity, argument)
    future.cancel()
    del argument
    assert eventually(lambda: gc.collect() >= 0 and reference() is None, 5)
    gate.open()


def test_running_is_true_only_from_the_moment_a_worker_has_begun(pool, gate):
    """The original loky says so of tasks that are only on their way."""
    executor = pool(1)
    futures = [executor.submit(pass_gate, gate.folder) for _ in range(4)]
    for position in range(4):
        gate.wait_begun()
        assert [future.running() for future in futures[position:]] == [True] + [False] * (3 - position)
        gate.let_pass()
        futures[position].result()
