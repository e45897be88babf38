"""The future of a task, with a pool that is a few lines of the test."""
# ruff: noqa: SLF001  # what the pool does to a future is no part of its public face

import concurrent.futures
import gc
import logging
import pickle
import threading
import weakref

import pytest

from loky import _pickling
from loky._base import Future
from tests.support.fake_native import FakePayload


class Pool:
    """What a future asks of its pool."""

    def __init__(self):
        self.inherited = False
        self.begun = set()
        self.withdrawn = []
        self.unreadable = []

    def cancel(self, task):
        if task in self.begun:
            return False
        self.withdrawn.append(task)
        return True

    def started(self, task):
        return task in self.begun

    def answer_unreadable(self, error):
        self.unreadable.append(error)


@pytest.fixture
def pool():
    return Pool()


@pytest.fixture
def future(pool):
    made = Future()
    made._attach(weakref.ref(pool), 1, "label")
    return made


class Counted:
    loads = 0

    def __reduce__(self):
        return count_load, ()


def count_load():
    Counted.loads += 1
    return Counted()


class Unloadable:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return raise_it, (self.error,)


def raise_it(error):
    raise error


class Falsey(Exception):
    def __bool__(self):
        return False


def answer(value):
    return FakePayload(*_pickling.encode_result(value))


def raised(error):
    return FakePayload(_pickling.encode_exception(error))


def test_it_is_a_future_of_the_standard_library_and_generic(future):
    assert isinstance(future, concurrent.futures.Future)
    assert Future[int].__origin__ is Future
    with pytest.raises(TypeError):
        pickle.dumps(future)


def test_a_value_is_decoded_when_it_is_asked_for_and_once(future):
    Counted.loads = 0
    future._finish_payload(answer(Counted()), raised=False)
    assert (future.done(), Counted.loads) == (True, 0)
    first = future.result()
    assert future.result() is first
    assert future.exception() is None
    assert Counted.loads == 1


def test_the_attributes_of_the_standard_library_decode_too(future):
    future._finish_payload(answer(5), raised=False)
    assert (future._result, future._exception, future._state) == (5, None, "FINISHED")


def test_an_exception_arrives_with_its_remote_traceback(future):
    future._finish_payload(raised(ValueError("why")), raised=True)
    with pytest.raises(ValueError, match="why"):
        future.result()
    assert type(future.exception().__cause__).__name__ == "_RemoteTraceback"
    assert "raised ValueError" in repr(future)


def test_an_exception_that_is_false_is_raised_all_the_same(future):
    future._finish(None, Falsey("x"))
    with pytest.raises(Falsey):
        future.result()
    assert isinstance(future.exception(), Falsey)


def test_two_threads_that_ask_at_once_get_one_object(future):
    Counted.loads = 0
    future._finish_payload(answer([Counted() for _ in range(1000)]), raised=False)
    got = []
    threads = [threading.Thread(target=lambda: got.append(future.result())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counted.loads == 1000
    assert all(result is got[0] for result in got)


def test_a_value_that_asks_for_itself_while_it_is_decoded_is_an_error(future):
    class Asks:
        def __reduce__(self):
            return future_of_test, ()

    globals()["current_ask"] = future.result
    future._finish_payload(FakePayload(pickle.dumps(Asks())), raised=False)
    assert "just being decoded" in str(future.exception())


def future_of_test():
    return globals()["current_ask"]()


@pytest.mark.parametrize("error", [ValueError("lost"), SystemExit("lost")])
def test_an_answer_that_cannot_be_decoded_breaks_this_future_and_tells_the_pool(pool, future, error):
    future._finish_payload(answer(Unloadable(error)), raised=False)
    assert "A result has failed to un-serialize" in str(future.exception())
    assert f"{type(error).__name__}: lost" in str(future.exception().__cause__)
    assert pool.unreadable == [future.exception()]


def test_an_interrupt_of_the_main_thread_leaves_the_answer_readable(future):
    fuse = [KeyboardInterrupt()]
    globals()["fuse"] = fuse
    future._finish_payload(FakePayload(pickle.dumps(Burns())), raised=False)
    with pytest.raises(KeyboardInterrupt):
        future.result()
    assert future.result() == "unburnt"


class Burns:
    def __reduce__(self):
        return burn, ()


def burn():
    fuse = globals()["fuse"]
    if fuse:
        raise fuse.pop()
    return "unburnt"


def test_an_undecoded_answer_goes_with_its_future(future, pool):
    payload = answer(1)
    gone = weakref.ref(payload)
    future = Future()
    future._finish_payload(payload, raised=False)
    del payload
    assert gone() is not None
    del future
    assert gone() is None


def test_a_future_and_its_error_form_no_cycle(pool):
    gc.disable()
    try:
        future = Future()
        future._finish_payload(raised(ValueError("x")), raised=True)
        with pytest.raises(ValueError, match="x") as caught:
            future.result()
        gone = weakref.ref(future)
        del caught, future
        assert gone() is None
    finally:
        gc.enable()


# Cancelling.


def test_what_has_not_begun_is_cancelled_and_notified(pool, future):
    called = []
    future.add_done_callback(called.append)
    assert future.cancel()
    assert future.cancel()
    assert pool.withdrawn == [1]
    assert called == [future]
    assert future._state == "CANCELLED_AND_NOTIFIED"
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()
    assert concurrent.futures.wait([future], timeout=0).done == {future}
    assert list(concurrent.futures.as_completed([future], timeout=0)) == [future]


def test_what_has_begun_runs_and_is_not_cancelled(pool, future):
    pool.begun.add(1)
    assert future.running()
    assert "state=running" in repr(future)
    assert not future.cancel()
    assert not future.cancelled()


def test_what_has_not_begun_does_not_run(future):
    assert not future.running()
    assert "state=pending" in repr(future)


def test_a_waiting_thread_sees_the_cancellation(future):
    threading.Timer(0.02, future.cancel).start()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(timeout=30)


def test_a_future_made_by_hand_is_cancelled_as_in_the_standard_library():
    future = Future()
    assert future.cancel()
    assert future._state == "CANCELLED"
    assert not future.set_running_or_notify_cancel()
    assert future._state == "CANCELLED_AND_NOTIFIED"


def test_a_late_cancellation_of_the_pool_completes_one_of_the_users():
    future = Future()
    called = []
    future.add_done_callback(called.append)
    future.cancel()
    future._finish_cancelled()
    future._finish_cancelled()
    assert called == [future]
    assert future._state == "CANCELLED_AND_NOTIFIED"


# Finished by others.


@pytest.mark.parametrize(
    "outcome",
    [
        lambda future: future._finish_payload(answer(2), raised=False),
        lambda future: future._finish(None, ValueError("late")),
        lambda future: future._finish_cancelled(),
    ],
)
def test_a_future_that_the_user_finished_keeps_the_users_value(future, outcome):
    future.set_result(1)
    outcome(future)
    assert future.result() == 1


def test_finishing_twice_by_hand_is_an_error(future):
    future._finish_payload(answer(1), raised=False)
    with pytest.raises(concurrent.futures.InvalidStateError):
        future.set_result(2)


# Waiting.


def test_the_first_exception_is_seen_even_if_only_decoding_shows_it(pool):
    first, second = Future(), Future()
    waiting = threading.Thread(
        target=lambda: seen.append(concurrent.futures.wait([first, second], 30, "FIRST_EXCEPTION"))
    )
    seen = []
    waiting.start()
    while not first._waiters:
        pass
    first._finish_payload(answer(Unloadable(ValueError("x"))), raised=False)
    waiting.join()
    assert seen[0].done == {first}
    second.cancel()


def test_a_timeout_has_no_arguments_and_the_task_goes_on(future):
    with pytest.raises(TimeoutError) as caught:
        future.result(timeout=0)
    assert caught.value.args == ()
    assert not future.done()


def test_in_a_forked_child_waiting_is_a_clear_error(pool, future):
    pool.inherited = True
    with pytest.raises(RuntimeError, match=r"os\.fork"):
        future.result(timeout=0)


# Callbacks.


@pytest.mark.parametrize("error", [ValueError("in callback"), SystemExit(1), KeyboardInterrupt()])
def test_a_callback_that_raises_anything_is_logged_and_the_next_one_runs(future, caplog, error):
    called = []
    future.add_done_callback(lambda _: raise_it(error))
    future.add_done_callback(lambda f: called.append(f.result()))
    with caplog.at_level(logging.ERROR, logger="concurrent.futures"):
        future._finish_payload(answer(3), raised=False)
    assert called == [3]
    (record,) = caplog.records
    assert record.getMessage().startswith("exception calling callback for")
    assert record.exc_info[1] is error


def test_callbacks_run_in_the_order_they_were_added(future):
    order = []
    for number in range(5):
        future.add_done_callback(lambda _, number=number: order.append(number))
    future._finish(None, None)
    assert order == list(range(5))
