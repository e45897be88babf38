"""What a future promises: its states, its waiting, and the company of other futures."""

import asyncio
import concurrent.futures
import logging
import pickle
import re

import pytest

import loky
from loky import FIRST_COMPLETED, FIRST_EXCEPTION, CancelledError, Future, TimeoutError, as_completed, wait
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import eventually


def test_a_future_is_one_of_the_standard_library(pool):
    future = pool(1).submit(tasks.identity, 1)
    assert isinstance(future, Future)
    assert issubclass(Future, concurrent.futures.Future)
    assert future.result() == 1


def test_the_names_beside_the_pool_are_those_of_the_standard_library():
    for name in ("wait", "as_completed", "Executor", "CancelledError", "TimeoutError", "FIRST_COMPLETED"):
        assert getattr(loky, name) is getattr(concurrent.futures, name)


def test_a_task_is_pending_then_running_then_done(pool, gate):
    executor = pool(1)
    running = executor.submit(pass_gate, gate.folder)
    pending = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    assert (running.running(), running.done(), running.cancelled()) == (True, False, False)
    assert (pending.running(), pending.done()) == (False, False)
    gate.open()
    assert pending.result() is None
    assert (running.running(), running.done()) == (False, True)


def test_a_representation_tells_the_state(pool, gate):
    executor = pool(1)
    running = executor.submit(pass_gate, gate.folder, 1)
    pending, cancelled = (executor.submit(pass_gate, gate.folder) for _ in range(2))
    gate.wait_begun()
    cancelled.cancel()
    assert re.fullmatch(r"<Future at 0x[0-9a-f]+ state=running>", repr(running))
    assert re.fullmatch(r"<Future at 0x[0-9a-f]+ state=pending>", repr(pending))
    assert re.fullmatch(r"<Future at 0x[0-9a-f]+ state=cancelled>", repr(cancelled))
    gate.open()
    running.result()
    assert re.fullmatch(r"<Future at 0x[0-9a-f]+ state=finished returned int>", repr(running))
    failed = executor.submit(tasks.fail, OSError)
    failed.exception()
    assert re.fullmatch(r"<Future at 0x[0-9a-f]+ state=finished raised OSError>", repr(failed))


@pytest.mark.parametrize("ask", ["result", "exception"])
def test_a_wait_that_is_too_short_raises_and_the_task_goes_on(pool, gate, ask):
    future = pool(1).submit(pass_gate, gate.folder, "done")
    gate.wait_begun()
    with pytest.raises(TimeoutError) as caught:
        getattr(future, ask)(timeout=0.01)
    assert caught.value.args == ()
    gate.open()
    assert future.result() == "done"


def test_exception_is_none_for_a_value(pool):
    assert pool(1).submit(tasks.identity, 1).exception() is None


def test_a_result_may_be_asked_for_again_and_is_the_same_object(pool):
    future = pool(1).submit(tasks.identity, [1])
    assert future.result() is future.result()


def test_a_falsey_exception_is_raised(pool):
    class Falsey(Exception):
        def __bool__(self):
            return False

        def __len__(self):
            return 0

    def fail():
        raise Falsey(1)

    future = pool(1).submit(fail)
    assert isinstance(future.exception(), Falsey)
    with pytest.raises(Falsey):
        future.result()


def test_the_error_of_each_task_is_an_object_of_its_own(pool):
    """In the original loky a shared one gathers the tracebacks of all who raise it."""
    executor = pool(1)
    errors = [executor.submit(tasks.fail, ValueError, 1).exception() for _ in range(2)]
    assert errors[0] is not errors[1]


def test_an_error_that_is_raised_often_does_not_hold_the_future(pool):
    import weakref

    future = pool(1).submit(tasks.fail, LookupError)
    for _ in range(3):
        with pytest.raises(LookupError):
            future.result()
    reference = weakref.ref(future)
    del future
    assert eventually(lambda: reference() is None, 5)


def test_wait_tells_done_from_not_done(pool, gate):
    executor = pool(2)
    slow = executor.submit(pass_gate, gate.folder)
    quick = executor.submit(tasks.identity, 1)
    done, not_done = wait([slow, quick, quick], return_when=FIRST_COMPLETED)
    assert (done, not_done) == ({quick}, {slow})
    done, not_done = wait([slow], timeout=0.01)
    assert (done, not_done) == (set(), {slow})
    gate.open()
    assert wait([slow, quick]).not_done == set()


def test_wait_for_the_first_exception_passes_over_values(pool, gate):
    executor = pool(2)
    slow = executor.submit(pass_gate, gate.folder)
    values = [executor.submit(tasks.identity, number) for number in range(5)]
    failed = executor.submit(tasks.fail, ValueError)
    done, not_done = wait([slow, *values, failed], return_when=FIRST_EXCEPTION)
    assert failed in done
    assert slow in not_done
    gate.open()


def test_wait_for_the_first_exception_is_ended_by_a_value_that_cannot_be_rebuilt(pool, gate):
    executor = pool(2, on_crash="recover")
    slow = executor.submit(pass_gate, gate.folder)
    failed = executor.submit(lambda: FailsToLoad())
    done, not_done = wait([slow, failed], return_when=FIRST_EXCEPTION, timeout=20)
    assert (done, not_done) == ({failed}, {slow})
    gate.open()


class FailsToLoad:
    def __reduce__(self):
        return tasks.fail, (ValueError, "no way back")


def test_as_completed_gives_each_once_as_it_comes(pool, gate):
    executor = pool(2)
    slow = executor.submit(pass_gate, gate.folder)
    quick = [executor.submit(tasks.identity, number) for number in range(5)]
    seen = []
    for future in as_completed([slow, *quick, quick[0]]):
        seen.append(future)
        if len(seen) == 5:
            gate.open()
    assert seen[-1] is slow
    assert sorted(map(id, seen)) == sorted(map(id, [slow, *quick]))


def test_as_completed_names_how_many_are_unfinished(pool, gate):
    executor = pool(1)
    futures = [executor.submit(pass_gate, gate.folder) for _ in range(2)]
    with pytest.raises(TimeoutError, match=r"2 \(of 2\) futures unfinished"):
        list(as_completed(futures, timeout=0.01))
    gate.open()


def test_futures_of_several_executors_and_by_hand_are_waited_for_together(pool):
    by_hand: concurrent.futures.Future[int] = concurrent.futures.Future()
    own: Future[int] = Future()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        futures = {pool(1).submit(tasks.identity, 1), pool(1).submit(tasks.identity, 2), by_hand, own}
        futures.add(threads.submit(own.set_result, 4))
        by_hand.set_result(3)
        assert wait(futures).not_done == set()
        assert set(as_completed(futures)) == futures


def test_a_future_made_by_hand_is_set_once():
    future = Future()
    assert future.set_running_or_notify_cancel()
    future.set_result(1)
    with pytest.raises(concurrent.futures.InvalidStateError, match="FINISHED: <Future at"):
        future.set_result(2)
    with pytest.raises(concurrent.futures.InvalidStateError):
        future.set_exception(ValueError())
    assert future.result() == 1


def test_a_pools_future_finished_by_hand_harms_nobody(pool, gate):
    executor = pool(1)
    future = executor.submit(pass_gate, gate.folder, "of the task")
    gate.wait_begun()
    future.set_result("by hand")
    gate.open()
    assert executor.submit(tasks.identity, 1).result() == 1
    assert future.result() == "by hand"
    assert executor._flags.broken is None


def test_set_running_in_the_wrong_state_is_an_error_and_logged(caplog):
    future = Future()
    future.set_result(1)
    with caplog.at_level(logging.CRITICAL, "concurrent.futures"), pytest.raises(RuntimeError):
        future.set_running_or_notify_cancel()
    assert caplog.records


def test_futures_are_generic_hashable_and_not_picklable(pool):
    future = pool(1).submit(tasks.identity, 1)
    assert Future[int] is not None
    assert len({future, future}) == 1
    with pytest.raises(TypeError):
        pickle.dumps(future)


def test_attributes_may_be_set_on_a_future(pool):
    future = pool(1).submit(tasks.identity, 1)
    future.get = future.result
    assert future.get() == 1
    del future.get


def test_asyncio_awaits_a_wrapped_future(pool):
    executor = pool(1)

    async def main():
        return await asyncio.wrap_future(executor.submit(tasks.identity, 5))

    assert asyncio.run(main()) == 5


def test_asyncio_runs_calls_in_the_pool(pool):
    executor = pool(2)

    async def main():
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(executor, tasks.identity, number) for number in range(5)]
        return await asyncio.gather(*calls)

    assert asyncio.run(main()) == list(range(5))


def test_asyncio_gets_the_error_of_a_task(pool):
    executor = pool(1)

    async def main():
        await asyncio.get_running_loop().run_in_executor(executor, tasks.fail, LookupError)

    with pytest.raises(LookupError):
        asyncio.run(main())


def test_a_wait_of_asyncio_that_is_cancelled_cancels_the_task(pool, gate):
    executor = pool(1)
    executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    waiting = executor.submit(pass_gate, gate.folder)

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(waiting), 0.05)

    asyncio.run(main())
    assert eventually(waiting.cancelled)
    with pytest.raises(CancelledError):
        waiting.result()
    gate.open()
