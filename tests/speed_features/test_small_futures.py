"""A future is small, and still one of the standard library's for whoever reaches into it."""

import asyncio
import concurrent.futures
import threading
import tracemalloc

import pytest

from loky import as_completed, wait
from loky._base import Future
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import eventually


def in_thread(function):
    """Run it in a thread; gives the thread and the list that will hold its result."""
    got = []
    thread = threading.Thread(target=lambda: got.append(function()))
    thread.start()
    return thread, got


def waits(future):
    return eventually(lambda: bool(future._bells), 5)


def test_a_future_takes_few_bytes():
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    futures = [Future() for _ in range(1000)]
    for number, future in enumerate(futures):
        future._attach(None, number, "label")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(futures) < 400


def test_a_waiting_thread_is_woken_by_a_result_that_is_set_by_hand():
    future = Future()
    thread, got = in_thread(future.result)
    assert waits(future)
    future.set_result(5)
    thread.join()
    assert got == [5]


def test_a_waiting_thread_is_woken_by_whoever_reaches_into_the_condition():
    future = Future()
    thread, got = in_thread(future.result)
    assert waits(future)
    with future._condition:
        future._result = 6
        future._state = "FINISHED"
        future._condition.notify_all()
    thread.join()
    assert got == [6]


def test_a_wait_on_the_condition_is_woken_by_the_pool(pool):
    future = Future()

    def wait_for_condition():
        with future._condition:
            begun.set()
            return future._condition.wait(20) and future._state

    begun = threading.Event()
    thread, got = in_thread(wait_for_condition)
    begun.wait()
    future._finish(7, None)
    thread.join()
    assert got == ["FINISHED"]


def test_whoever_waits_in_vain_leaves_nothing_behind():
    future = Future()
    for timeout_s in (0, 0.01, -1):
        with pytest.raises(TimeoutError):
            future.result(timeout_s)
    assert not future._bells


def test_callbacks_and_watchers_are_lists_that_can_be_put_into():
    future = Future()
    called = []
    future._done_callbacks.append(called.append)
    assert future._waiters == []
    future._finish(1, None)
    assert called == [future]


def test_the_condition_can_be_entered_again_and_left_once_each():
    condition = Future()._condition
    with condition, condition:
        condition.notify_all()
    with pytest.raises(RuntimeError):
        condition.release()


def test_wait_and_as_completed_see_pending_and_finished_ones(pool, gate):
    executor = pool(2)
    held = executor.submit(pass_gate, gate.folder, "held")
    done = executor.submit(tasks.identity, 1)
    finished, pending = wait([held, done], return_when="FIRST_COMPLETED")
    assert (finished, pending) == ({done}, {held})
    order = as_completed([held, done])
    assert next(order) is done
    gate.open()
    assert next(order) is held


def test_asyncio_awaits_one(pool):
    async def run():
        executor = pool(2)
        loop = asyncio.get_running_loop()
        futures = [asyncio.wrap_future(executor.submit(tasks.identity, number)) for number in range(20)]
        futures.append(loop.run_in_executor(executor, tasks.identity, 20))
        return await asyncio.gather(*futures)

    assert asyncio.run(run()) == list(range(21))


def test_asyncio_cancels_one(pool, gate):
    async def run():
        executor = pool(1)
        blocker = executor.submit(pass_gate, gate.folder)
        inner = executor.submit(tasks.identity, 1)
        outer = asyncio.wrap_future(inner)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        gate.open()
        await asyncio.wrap_future(blocker)
        return inner

    assert asyncio.run(run()).cancelled()


def test_all_who_cancel_at_once_get_the_same_answer(pool, gate):
    executor = pool(1)
    executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    for _ in range(50):
        future = executor.submit(tasks.identity, 1)
        start = threading.Barrier(4)
        answers = []

        def cancel(future=future, start=start, answers=answers):
            start.wait()
            answers.append(future.cancel())

        threads = [threading.Thread(target=cancel) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [True] * 4
    gate.open()


def test_a_callback_may_cancel_from_another_thread_and_wait_for_it(pool, gate):
    executor = pool(1)
    executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    first, second = (executor.submit(tasks.identity, number) for number in range(2))

    def cancel_second(_):
        thread, _ = in_thread(second.cancel)
        thread.join(10)
        assert not thread.is_alive()

    first.add_done_callback(cancel_second)
    assert first.cancel()
    assert second.cancelled()
    gate.open()


def test_many_threads_wait_for_one_future_and_all_get_it(pool, gate):
    future = pool(1).submit(pass_gate, gate.folder, "value")
    waiting = [in_thread(future.result) for _ in range(8)]
    assert eventually(lambda: len(future._bells or ()) == 8, 5)
    gate.open()
    for thread, _ in waiting:
        thread.join()
    assert [got for _, got in waiting] == [["value"]] * 8


def test_it_stays_one_of_the_standard_library(pool):
    future = pool(1).submit(tasks.identity, 3)
    assert isinstance(future, concurrent.futures.Future)
    assert concurrent.futures.wait([future]).done == {future}
    assert (future._state, future._result, future._exception) == ("FINISHED", 3, None)
    with pytest.raises(concurrent.futures.InvalidStateError):
        future.set_result(4)
