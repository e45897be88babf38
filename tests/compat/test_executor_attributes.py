"""What programs and suites read on an executor beside its methods, and set in its workers."""

import concurrent.futures
import inspect
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
import warnings

import pytest

import loky
from loky import process_executor, reusable_executor
from loky.reusable_executor import _ReusablePoolExecutor
from tests.support.gates import pass_gate
from tests.support.waiting import eventually


def test_before_the_start(pool):
    executor = pool(2, timeout=5, env={"A": 1}, initializer=print, initargs=())
    assert (executor._max_workers, executor._timeout, executor._env) == (2, 5, {"A": 1})
    assert (executor._initializer, executor._initargs) == (print, ())
    assert dict(executor._processes) == {}
    assert executor._executor_manager_thread is None
    assert executor._context.get_start_method() == "loky"
    assert executor._call_queue.empty()
    assert executor._result_queue.empty()


def test_while_tasks_run(pool, gate):
    executor = pool(2)
    futures = [executor.submit(pass_gate, gate.folder) for _ in range(4)]
    assert len(executor._processes) == 2
    assert all(process.pid == pid for pid, process in executor._processes.items())
    gate.wait_begun(2)
    assert len(executor._pending_work_items) == 4
    assert len(executor._running_work_items) >= 2
    assert not executor._call_queue.empty()
    thread = executor._executor_manager_thread
    assert isinstance(thread, threading.Thread)
    assert (thread.name, thread.daemon) == ("ExecutorManagerThread", False)
    gate.open()
    concurrent.futures.wait(futures)
    assert eventually(lambda: not executor._pending_work_items)


def test_after_the_end(pool):
    executor = pool(1)
    executor.submit(abs, -1).result()
    processes, flags, thread = executor._processes, executor._flags, executor._executor_manager_thread
    executor.shutdown()
    assert executor._processes is processes
    assert dict(processes) == {}
    assert flags.shutdown
    assert flags.broken is None
    assert executor._executor_manager_thread is None
    assert executor._call_queue is executor._result_queue is None
    thread.join()


def test_a_worker_has_a_sentinel_that_is_ready_when_it_has_ended(pool):
    executor = pool(2)
    executor.submit(abs, -1).result()
    survivor, other = executor._processes.values()
    sentinel = other.sentinel
    assert other.sentinel == sentinel
    assert multiprocessing.connection.wait([sentinel, survivor.sentinel], 0) == []
    other.terminate()
    assert multiprocessing.connection.wait([sentinel, survivor.sentinel], 30) == [sentinel]
    assert other.exitcode == -signal.SIGTERM


def test_a_sentinel_that_is_asked_for_after_the_end_is_ready_at_once(pool):
    executor = pool(1)
    executor.submit(abs, -1).result()
    (process,) = executor._processes.values()
    executor.shutdown()
    assert multiprocessing.connection.wait([process.sentinel], 0) == [process.sentinel]


def test_the_standard_librarys_names(pool):
    executor = pool(1, on_crash="break")
    assert executor._broken is False
    assert executor._mp_context is executor._context
    executor.submit(os._exit, 3).exception()
    assert eventually(lambda: executor._broken)
    assert executor._broken == str(executor._flags.broken)
    assert executor._processes.copy() == dict(executor._processes)


def test_a_broken_pool_that_was_not_shut_down_still_shows_its_parts(pool):
    executor = pool(1, on_crash="break")
    executor.submit(os._exit, 3).exception()
    thread = executor._executor_manager_thread
    thread.join()
    assert executor._flags.shutdown
    assert executor._executor_manager_thread is thread
    assert executor._call_queue.empty()
    assert executor._result_queue.empty()
    executor.shutdown()
    assert executor._executor_manager_thread is executor._call_queue is executor._result_queue is None


def test_an_error_where_outcomes_are_waited_for_is_the_end_of_the_pool(pool):
    def fail():
        raise ValueError("from the hook")

    executor = pool(1)
    assert executor.submit(abs, -1).result() == 1
    thread = executor._executor_manager_thread
    thread.wait_result_broken_or_wakeup = fail
    future = executor.submit(abs, -1)
    with pytest.raises(loky.BrokenProcessPool, match="manager thread crashed") as caught:
        future.result(10)
    assert isinstance(caught.value.__cause__, process_executor._RemoteTraceback)
    assert "from the hook" in str(caught.value.__cause__)
    thread.join()
    with pytest.raises(loky.BrokenProcessPool, match="manager thread crashed"):
        executor.submit(abs, -1)


def test_an_error_where_a_task_cannot_be_sent_is_the_end_of_the_pool(pool):
    executor = pool(2)
    assert executor.submit(abs, -1).result() == 1
    executor._call_queue.running_work_items = []
    future = executor.submit(id, threading.Lock())
    with pytest.raises(loky.BrokenProcessPool, match="feeder thread crashed") as caught:
        future.result(10)
    assert "ValueError" in str(caught.value.__cause__)
    assert isinstance(executor._flags.broken, loky.BrokenProcessPool)
    with pytest.raises(loky.BrokenProcessPool, match="feeder thread crashed"):
        executor.submit(abs, -1)
    executor._executor_manager_thread.join()
    assert dict(executor._processes) == {}


def test_an_error_of_the_manager_thread_is_logged(pool, caplog):
    def fail():
        raise ValueError("from the hook")

    executor = pool(1)
    executor.submit(abs, -1).result()
    thread = executor._executor_manager_thread
    thread.wait_result_broken_or_wakeup = fail
    executor.submit(abs, -1)
    thread.join()
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("concurrent.futures", "CRITICAL", "Exception in executor manager thread:")
    ]


def test_the_list_of_running_tasks_of_the_call_queue(pool, gate):
    executor = pool(1)
    future = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    assert executor._call_queue.running_work_items == executor._running_work_items
    assert len(executor._call_queue.running_work_items) == 1
    gate.open()
    future.result()


def test_flags_outlive_the_executor():
    executor = loky.ProcessPoolExecutor(1, on_crash="break")
    executor.submit(abs, -1).result()
    flags, thread = executor._flags, executor._executor_manager_thread
    processes = list(executor._processes.values())
    future = executor.submit(os._exit, 3)
    del executor
    assert flags.shutdown
    thread.join()
    assert isinstance(flags.broken, loky.BrokenProcessPool)
    assert isinstance(future.exception(), process_executor.TerminatedWorkerError)
    assert not any(process.is_alive() for process in processes)


def test_process_objects_end_with_their_process(pool):
    executor = pool(1)
    executor.submit(abs, -1).result()
    (process,) = executor._processes.values()
    assert process.is_alive()
    assert process.exitcode is None
    process.terminate()
    process.join()
    assert process.exitcode == -signal.SIGTERM
    process.kill()


def test_an_executor_cannot_be_pickled(pool):
    with pytest.raises(TypeError):
        pickle.dumps(pool(1))


def test_free_attributes_may_be_set(pool):
    executor = pool(1)
    executor._temp_folder_manager = 1
    future = executor.submit(abs, -1)
    future.get = future.result
    assert future.get() == 1


def grow(size):
    sys.kept_growth = [*getattr(sys, "kept_growth", []), b"x" * size]
    return os.getpid()


def set_knobs(delay=0.0, limit=None, watched=True):
    from loky import process_executor

    process_executor._MEMORY_LEAK_CHECK_DELAY = delay
    process_executor._USE_PSUTIL = watched
    if limit is not None:
        process_executor._MAX_MEMORY_LEAK_SIZE = limit
    return os.getpid()


def test_a_worker_obeys_the_limit_that_a_task_sets(pool):
    executor = pool(1)
    first = executor.submit(set_knobs, 0.0, 30_000_000).result()
    executor.submit(grow, 60_000_000).result()
    assert eventually(lambda: first not in executor._processes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert executor.submit(os.getpid).result() != first


def test_a_worker_that_is_not_to_watch_its_memory_stays(pool):
    executor = pool(1)
    first = executor.submit(set_knobs, 0.0, 30_000_000, False).result()
    executor.submit(grow, 60_000_000).result()
    assert executor.submit(os.getpid).result() == first


def test_the_limit_comes_from_the_workers_environment(pool):
    executor = pool(1, env={"LOKY_MAX_MEMORY_LEAK_SIZE": "3e7"})

    def limit():
        from loky import process_executor

        return process_executor._MAX_MEMORY_LEAK_SIZE

    assert executor.submit(limit).result() == 30_000_000
    assert process_executor._MAX_MEMORY_LEAK_SIZE == 300_000_000


def test_the_depth_is_one_more_in_a_worker(pool):
    def depth():
        from loky import process_executor

        return process_executor._CURRENT_DEPTH

    assert process_executor._CURRENT_DEPTH == 0
    assert pool(1).submit(depth).result() == 1


@pytest.mark.parametrize("order", ["terminate_workers", "kill_workers"])
def test_ending_all_workers(pool, gate, order):
    executor = pool(2)
    futures = [executor.submit(pass_gate, gate.folder) for _ in range(4)]
    gate.wait_begun(2)
    getattr(executor, order)()
    for future in futures:
        with pytest.raises((loky.BrokenProcessPool, loky.CancelledError, RuntimeError)):
            future.result()
    with pytest.raises(RuntimeError):
        executor.submit(abs, -1)
    getattr(executor, order)()


def test_ending_workers_that_never_started_is_no_error(pool):
    pool(1).terminate_workers()
    pool(1).kill_workers()


class Derived(_ReusablePoolExecutor):
    """What joblib does: a subclass without a constructor, reached through `super()`."""

    @classmethod
    def get(cls, workers, **options):
        executor, reused = super().get_reusable_executor(workers, **options)
        if not reused:
            executor._temp_folder_manager = object()
        return executor, reused


def test_a_subclass_has_its_own_kind_of_executor():
    plain = loky.get_reusable_executor(1)
    first, reused = Derived.get(1, reuse=True, job_reducers={int: abs})
    assert type(first) is Derived
    assert first is not plain
    assert not reused
    again, reused = Derived.get(1, reuse=True, job_reducers={int: abs, str: abs})
    assert again is first
    assert reused
    assert loky.get_reusable_executor(reuse=True) is first
    assert reusable_executor._executor is first


def test_a_subclass_is_not_given_a_pool_of_another_environment():
    first, _ = Derived.get(1, reuse=True, env={"A": "1"})
    second, reused = Derived.get(1, reuse=True, env={"A": "2"})
    assert second is not first
    assert not reused


def test_the_lock_against_resizing_can_be_taken_twice():
    executor = loky.get_reusable_executor(1)
    with executor._submit_resize_lock, executor._submit_resize_lock:
        assert executor.submit(abs, -1).result() == 1
    assert isinstance(executor.executor_id, int)
    assert executor.queue_size == 2 * max(loky.cpu_count(), 1) + 1


def test_an_exception_with_its_traceback_is_reduced_by_hand():
    try:
        raise KeyError("reason")
    except KeyError as error:
        wrapped = process_executor._ExceptionWithTraceback(error)
    assert not isinstance(wrapped, BaseException)
    function, arguments = wrapped.__reduce__()
    rebuilt = function(*arguments)
    assert isinstance(rebuilt, KeyError)
    assert "KeyError: 'reason'" in str(rebuilt.__cause__)
    assert isinstance(pickle.loads(pickle.dumps(wrapped)), KeyError)


def test_a_remote_traceback_survives_pickling():
    remote = process_executor._RemoteTraceback("text")
    assert str(remote) == remote.tb == '\n"""\ntext"""'
    assert str(pickle.loads(pickle.dumps(remote))) == str(remote)


def test_the_values_of_the_module():
    assert process_executor.EXTRA_QUEUED_CALLS == 1
    assert process_executor.MAX_DEPTH == 10
    assert process_executor.BrokenExecutor is loky.BrokenProcessPool
    assert process_executor._MEMORY_LEAK_CHECK_DELAY == 1.0
    assert issubclass(process_executor.ShutdownExecutorError, RuntimeError)
    assert not issubclass(process_executor.ShutdownExecutorError, concurrent.futures.BrokenExecutor)
    assert issubclass(process_executor.LokyRecursionError, RuntimeError)
    assert "cancel_futures" in inspect.signature(loky.ProcessPoolExecutor.shutdown).parameters


def test_a_result_queue_that_is_put_there_is_kept_and_not_used(pool):
    executor = pool(1)
    executor._result_queue = mine = object()
    assert executor._result_queue is mine
    assert executor.submit(abs, -1).result() == 1
