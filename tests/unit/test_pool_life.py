"""The life of a pool on the side of Python, over an engine that delivers what the test says."""
# ruff: noqa: SLF001  # the engine is replaced where the module looks for it

import gc
import threading
import warnings
import weakref

import pytest

import loky
from loky import _native, _pickling, _pool, _state, process_executor
from tests.support.fake_native import FakePayload, FakePool


def value(number, result):
    return ("value", number, FakePayload(*_pickling.encode_result(result)))


REPORT = {"cause": "exit", "exitcode": 3, "pid": 9, "worker": 0, "attempt": 1, "started": True}


@pytest.fixture
def engines(monkeypatch):
    """The engines that were made, the last one last. Each is stopped in the end."""
    made = []

    def make(**options):
        made.append(FakePool(**options))
        return made[-1]

    monkeypatch.setattr(_pool, "Pool", make)
    yield made
    for engine in made:
        engine.stop()
    for thread in threading.enumerate():
        if thread.name == "ExecutorManagerThread":
            thread.join(10)


@pytest.fixture
def executor(engines):
    made = loky.ProcessPoolExecutor(2)
    yield made
    for engine in engines:
        engine.stop()
    made.shutdown()


def test_nothing_starts_before_the_first_task(engines):
    executor = loky.ProcessPoolExecutor(2)
    assert engines == []
    assert executor._executor_manager_thread is None
    assert list(executor.map(len, [])) == []
    assert dict(executor._processes) == {}
    executor.shutdown()
    assert engines == []


def test_an_outcome_reaches_its_future(executor, engines):
    future = executor.submit(len, "abc")
    engines[0].deliver(value(1, 3))
    assert future.result(10) == 3
    assert executor._pending_work_items == {}


def test_an_outcome_that_is_faster_than_submit_reaches_its_future(executor, engines):
    executor.submit(len, "")
    for _ in range(200):
        engines[0].eager.append(lambda number: value(number, number))
        future = executor.submit(len, "")
        assert future.result(10) == max(engines[0].tasks)


@pytest.mark.parametrize(
    ("item", "kind", "text"),
    [
        (("died", 1, REPORT), loky.TerminatedWorkerError, "{EXIT(3)}"),
        (("broken", 1, {"why": "setup"}), loky.BrokenProcessPool, "could not be pickled"),
        (("shutdown", 1), loky.ShutdownExecutorError, "kill_workers=True"),
        (("cancelled", 1), loky.CancelledError, ""),
        (("undeliverable", 1, 24), OSError, "could not be handed over"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_each_outcome_has_its_exception(executor, engines, item, kind, text):
    future = executor.submit(len, "abc")
    engines[0].deliver(item)
    with pytest.raises(kind) as caught:
        future.result(10)
    assert text in str(caught.value)


def test_an_unknown_outcome_ends_every_future_instead_of_hanging(executor, engines):
    futures = [executor.submit(len, "abc") for _ in range(3)]
    engines[0].deliver(("surprise", 1))
    for future in futures:
        assert "manager thread crashed" in str(future.exception(10))
        assert "surprise" in str(future.exception().__cause__)
    assert len({id(future.exception()) for future in futures}) == 3
    with pytest.raises(loky.BrokenProcessPool, match="manager thread crashed"):
        executor.submit(len, "abc")
    assert engines[0].modes[-1] == "kill"


def test_a_broken_pool_refuses_with_a_fresh_copy_of_its_error(executor, engines):
    future = executor.submit(len, "abc")
    breakage = {"why": "worker_died", "report": REPORT}
    engines[0].deliver(("broke", breakage), ("broken", 1, breakage))
    assert isinstance(future.exception(10), loky.TerminatedWorkerError)
    assert executor._flags.shutdown
    assert isinstance(executor._flags.broken, loky.TerminatedWorkerError)
    with pytest.raises(loky.TerminatedWorkerError) as caught:
        executor.submit(len, "abc")
    assert caught.value is not executor._flags.broken
    assert caught.value.report == executor._flags.broken.report


def test_a_task_that_cannot_be_pickled_is_only_its_own_failure(executor, engines):
    bad = executor.submit(len, threading.Lock())
    assert "Could not pickle the task" in str(bad.exception(0))
    assert engines[0].wanted == 1
    good = executor.submit(len, "abc")
    engines[0].deliver(value(1, 3))
    assert good.result(10) == 3


def test_an_initializer_that_cannot_be_pickled_is_the_cause(engines):
    executor = loky.ProcessPoolExecutor(1, initializer=len, initargs=(threading.Lock(),))
    future = executor.submit(len, "abc")
    assert engines[0].setups == [None]
    engines[0].deliver(("broke", {"why": "setup"}), ("broken", 1, {"why": "setup"}))
    cause = future.exception(10).__cause__
    assert isinstance(cause, TypeError)
    assert "_thread.lock" in str(cause)
    engines[0].stop()
    executor.shutdown()


def test_an_initializer_that_raised_is_the_cause(executor, engines):
    future = executor.submit(len, "abc")
    payload = FakePayload(_pickling.encode_exception(KeyError("in the initializer")))
    engines[0].deliver(("broken", 1, {"why": "initializer", "payload": payload}))
    assert repr(future.exception(10).__cause__) == "KeyError('in the initializer')"


def test_a_setup_is_given_when_the_engine_asks(executor, engines):
    executor.submit(len, "abc")
    engine = engines[0]
    engine.wants_setup = True
    engine.deliver(("setup",), ("setup",), value(1, 3))
    engine.stop()
    executor.shutdown()
    assert len(engine.setups) == 2
    setup = _pickling.decode(engine.setups[1])
    assert setup["depth"] == _state.depth + 1
    assert "" not in setup["path"]


def test_env_is_in_the_setup_as_strings(engines):
    executor = loky.ProcessPoolExecutor(1, env={"A_NUMBER": 3})
    executor.submit(len, "abc")
    assert _pickling.decode(engines[0].setups[0])["environment"]["A_NUMBER"] == "3"
    engines[0].stop()
    executor.shutdown()


# Shutdown and collection.


@pytest.mark.parametrize(
    ("arguments", "modes"),
    [({}, ["drain"]), ({"kill_workers": True}, ["kill"]), ({"wait": False}, ["drain"])],
)
def test_shutdown_asks_the_engine(executor, engines, arguments, modes):
    executor.submit(len, "abc")
    engines[0].deliver(value(1, 3))
    engines[0].stop()
    executor.shutdown(**arguments)
    assert engines[0].modes == modes
    assert executor._executor_manager_thread is None
    with pytest.raises(loky.ShutdownExecutorError, match="after shutdown"):
        executor.submit(len, "abc")


def test_shutdown_with_wait_waits_after_one_without(executor, engines):
    future = executor.submit(len, "abc")
    executor.shutdown(wait=False)
    assert not future.done()
    engines[0].deliver(value(1, 3))
    engines[0].stop()
    executor.shutdown(wait=True)
    assert future.done()


def test_cancel_futures_cancels_what_has_neither_begun_nor_a_worker_for_it(executor, engines):
    waiting, begun, *rest = [executor.submit(len, "a" * number) for number in range(4)]
    engines[0].begun.add(2)
    executor.shutdown(wait=False, cancel_futures=True)
    assert not begun.cancelled()
    assert not waiting.cancelled()
    assert all(future.cancelled() for future in rest)


def test_a_callback_may_shut_its_own_pool_down(executor, engines):
    future = executor.submit(len, "abc")
    done = threading.Event()
    future.add_done_callback(lambda _: (executor.shutdown(wait=True), done.set()))
    engines[0].deliver(value(1, 3))
    assert done.wait(10)


def test_what_is_left_at_the_end_of_a_life_is_failed(executor, engines):
    future = executor.submit(len, "abc")
    engines[0].stop()
    assert isinstance(future.exception(10), loky.ShutdownExecutorError)


def test_an_executor_goes_with_its_last_reference_and_its_pool_drains(engines):
    gc.disable()
    try:
        executor = loky.ProcessPoolExecutor(1)
        future = executor.submit(len, "abc")
        results = executor.map(len, ["x"])
        gone, flags = weakref.ref(executor), executor._flags
        del executor
        assert gone() is None
    finally:
        gc.enable()
    assert engines[0].modes == ["drain"]
    assert flags.shutdown
    engines[0].deliver(value(1, 3), value(2, 1))
    assert (future.result(10), list(results)) == (3, [1])


# Workers and warnings.


def test_processes_are_a_view_of_the_engine(executor, engines):
    processes = executor._processes
    executor.submit(len, "abc")
    engine = engines[0]
    engine.alive = [(0, 100), (1, 101)]
    assert set(processes) == {100, 101}
    process = processes[100]
    assert (process.pid, process.exitcode, process.is_alive()) == (100, None, True)
    process.terminate()
    process.kill()
    assert engine.signals == [(100, 15), (100, 9)]
    engine.alive.pop(0)
    engine.deliver(("worker_gone", 100, 0, "died", {"exitcode": -15}))
    process.join(10)
    assert set(processes) == {101}
    engine.stop()
    executor.shutdown()
    assert (process.exitcode, process.is_alive()) == (-15, False)
    assert processes == {}


@pytest.mark.parametrize(
    ("notices", "texts"),
    [
        ([("worker_stopped", "asked")], ["worker timeout"]),
        ([("worker_stopped", "memory"), ("worker_stopped", "memory")], ["memory leak"]),
        ([("spawn_delayed", 11)], []),
    ],
)
def test_notices_become_warnings(executor, engines, notices, texts):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        executor.submit(len, "abc")
        engines[0].deliver(*(("notice", *notice) for notice in notices))
        engines[0].stop()
        executor.shutdown()
    assert len(caught) == len(texts)
    for warning, text in zip(caught, texts, strict=True):
        assert text in str(warning.message)


def test_a_warning_that_is_an_error_does_not_break_the_pool(executor, engines):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        future = executor.submit(len, "abc")
        engines[0].deliver(("notice", "worker_stopped", "asked"), value(1, 3))
        assert future.result(10) == 3
    assert executor._flags.broken is None


def test_a_refusal_of_the_engine_has_its_exception(executor, engines):
    executor.submit(len, "abc")
    engines[0].refusal = _native.PoolClosed("closed")
    with pytest.raises(loky.ShutdownExecutorError):
        executor.submit(len, "abc")
    engines[0].refusal = _native.PoolBroken("broken")
    with pytest.raises(loky.BrokenProcessPool):
        executor.submit(len, "abc")


def test_in_break_mode_an_unreadable_answer_breaks_the_pool(engines):
    executor = loky.ProcessPoolExecutor(1, on_crash="break")
    futures = [executor.submit(len, "abc") for _ in range(2)]
    engines[0].deliver(("value", 1, FakePayload(b"no pickle")))
    assert "A result has failed to un-serialize" in str(futures[0].exception(10))
    engines[0].deliver(("shutdown", 2))
    assert "A result has failed to un-serialize" in str(futures[1].exception(10))
    assert engines[0].modes == ["kill"]
    with pytest.raises(loky.BrokenProcessPool, match="un-serialize"):
        executor.submit(len, "abc")
    engines[0].stop()
    executor.shutdown()


def test_the_hook_that_waits_is_looked_up_at_each_step(executor, engines):
    def fail():
        raise ValueError("from the hook")

    executor.submit(len, "abc")
    thread = executor._executor_manager_thread
    thread.wait_result_broken_or_wakeup = fail
    future = executor.submit(len, "abc")
    engines[0].deliver(value(2, 3))
    engines[0].stop()
    thread.join(10)
    assert "from the hook" in str(executor._flags.broken.__cause__)
    assert "manager thread crashed" in str(future.exception(10))


def test_a_hook_around_the_one_that_waits_sees_all_outcomes(executor, engines):
    first = executor.submit(len, "abc")
    thread = executor._executor_manager_thread
    seen = []
    wait = thread.wait_result_broken_or_wakeup

    def look():
        batch = wait()
        seen.append(batch and list(batch))
        return batch

    thread.wait_result_broken_or_wakeup = look
    engines[0].deliver(value(1, 3))
    assert first.result(10) == 3
    second = executor.submit(len, "ab")
    engines[0].deliver(value(2, 2))
    assert second.result(10) == 2
    assert len([batch for batch in seen if batch]) == 2


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"max_workers": 0}, ValueError, "max_workers must be greater than 0"),
        ({"max_workers": "2"}, TypeError, ""),
        ({"max_workers": 1.5}, TypeError, ""),
        ({"initializer": 1}, TypeError, "initializer must be a callable"),
        ({"on_crash": "ignore"}, ValueError, "'recover', 'break'"),
        ({"launcher": "fork"}, ValueError, "'zygote', 'exec'"),
        ({"context": "thread"}, ValueError, "'thread'"),
        ({"max_tasks_per_child": 0}, ValueError, "max_tasks_per_child must be >= 1"),
        ({"max_tasks_per_child": 1.5}, TypeError, "max_tasks_per_child must be an integer"),
        ({"context": "loky", "mp_context": "loky"}, ValueError, "not both"),
    ],
)
def test_wrong_arguments(arguments, kind, text):
    with pytest.raises(kind) as caught:
        loky.ProcessPoolExecutor(**arguments)
    assert text in str(caught.value)


def test_the_crash_mode_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("LOKY_ON_CRASH", "break")
    assert loky.ProcessPoolExecutor(1)._options.on_crash == "break"
    assert loky.ProcessPoolExecutor(1, on_crash="recover")._options.on_crash == "recover"
    monkeypatch.setenv("LOKY_ON_CRASH", "maybe")
    with pytest.raises(ValueError, match="LOKY_ON_CRASH"):
        loky.ProcessPoolExecutor(1)


def test_the_transport_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("LOKY_TRANSPORT", raising=False)
    assert loky.ProcessPoolExecutor(1)._options.transport == "ring"
    monkeypatch.setenv("LOKY_TRANSPORT", "socket")
    assert loky.ProcessPoolExecutor(1)._options.transport == "socket"
    monkeypatch.setenv("LOKY_TRANSPORT", "pigeon")
    with pytest.raises(ValueError, match="LOKY_TRANSPORT must be one of 'ring', 'socket', not 'pigeon'"):
        loky.ProcessPoolExecutor(1)


def test_pools_nested_too_deep_are_refused(monkeypatch):
    monkeypatch.setattr(process_executor, "_CURRENT_DEPTH", 10)
    with pytest.raises(loky.LokyRecursionError, match="MAX_DEPTH=10"):
        loky.ProcessPoolExecutor(1)
    monkeypatch.setattr(process_executor, "MAX_DEPTH", 0)
    loky.ProcessPoolExecutor(1)


def test_names_of_arguments_are_the_tasks_own(executor, engines):
    executor.submit(dict, self=1, fn=2)
    assert _pickling.decode(engines[0].tasks[1])[2] == {"self": 1, "fn": 2}
    with pytest.raises(TypeError):
        executor.submit()


def test_an_executor_cannot_be_pickled(executor):
    with pytest.raises(TypeError, match="belongs to its process"):
        _pickling.dump(executor)
