"""`get_reusable_executor`: when the same executor comes back, and when it is replaced."""

import gc
import threading
import weakref

import pytest

from loky import get_reusable_executor, reusable_executor
from loky.process_executor import ShutdownExecutorError
from loky.reusable_executor import _ReusablePoolExecutor
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import LIMIT_S, eventually, has_ended


def test_equal_arguments_give_the_same_executor_and_workers():
    first = get_reusable_executor(2, initializer=tasks.remember, initargs=("a", 1), env={"X_TEST": 1})
    first.submit(tasks.identity, 1).result()
    pids = set(first._processes)
    second = get_reusable_executor(2, initializer=tasks.remember, initargs=("a", 1), env={"X_TEST": 1})
    assert second is first
    second.submit(tasks.identity, 1).result()
    assert set(second._processes) == pids


@pytest.mark.parametrize(
    "change",
    [
        {"timeout": 5},
        {"timeout": None},
        {"initializer": tasks.remember, "initargs": ("a", 1)},
        {"env": {"X_TEST": "1"}},
        {"job_reducers": {int: tasks.identity}},
        {"context": "loky"},
    ],
    ids=str,
)
def test_another_argument_gives_another_executor(change):
    first = get_reusable_executor(1)
    second = get_reusable_executor(1, **change)
    assert second is not first
    assert second.executor_id > first.executor_id
    with pytest.raises(ShutdownExecutorError):
        first.submit(tasks.identity, 1)


def test_two_lambdas_are_different_initializers():
    assert get_reusable_executor(1, initializer=lambda: 1) is not get_reusable_executor(
        1, initializer=lambda: 1
    )


def test_arguments_that_cannot_be_compared_count_as_different():
    """The original loky lets the comparison's error out."""
    import numpy

    arguments = {"initializer": tasks.remember, "initargs": ("a", numpy.arange(3))}
    first = get_reusable_executor(1, **arguments)
    second = get_reusable_executor(1, **{**arguments, "initargs": ("a", numpy.arange(3))})
    assert second is not first


def test_reuse_true_keeps_the_executor_and_its_old_arguments():
    first = get_reusable_executor(1, initializer=tasks.remember, initargs=("a", 1))
    second = get_reusable_executor(reuse=True, initializer=tasks.remember, initargs=("a", 2))
    assert second is first
    assert second.submit(tasks.recall, "a").result() == 1
    assert second._max_workers == 1


def test_reuse_false_never_keeps_it():
    assert get_reusable_executor(1) is not get_reusable_executor(1, reuse=False)


def test_without_a_number_there_are_as_many_workers_as_cpus():
    import loky

    assert get_reusable_executor()._max_workers == loky.cpu_count()


@pytest.mark.parametrize("kill", [False, True])
def test_a_replaced_executor_ends_before_its_successor_is_made(kill):
    first = get_reusable_executor(2)
    first.submit(tasks.identity, 1).result()
    pids = list(first._processes)
    second = get_reusable_executor(2, reuse=False, kill_workers=kill)
    assert all(has_ended(pid, 0) for pid in pids)
    assert second.submit(tasks.identity, 1).result() == 1


def test_a_replacement_waits_for_the_tasks_of_the_old_one(gate):
    first = get_reusable_executor(1)
    future = first.submit(pass_gate, gate.folder, "done")
    gate.wait_begun()
    opener = threading.Timer(0.1, gate.open)
    opener.start()
    get_reusable_executor(1, reuse=False)
    opener.join()
    assert future.done()
    assert future.result() == "done"


def test_a_replacement_with_kill_fails_the_tasks_of_the_old_one(gate):
    first = get_reusable_executor(1)
    future = first.submit(pass_gate, gate.folder)
    gate.wait_begun()
    get_reusable_executor(1, reuse=False, kill_workers=True)
    assert isinstance(future.exception(0), ShutdownExecutorError)


def test_an_executor_that_was_shut_down_is_replaced():
    first = get_reusable_executor(1)
    first.shutdown()
    second = get_reusable_executor(1)
    assert second is not first
    assert second.submit(tasks.identity, 1).result() == 1


def test_a_broken_executor_is_replaced(monkeypatch):
    from loky.process_executor import TerminatedWorkerError

    monkeypatch.setenv("LOKY_ON_CRASH", "break")
    first = get_reusable_executor(1)
    assert isinstance(first.submit(tasks.exit_hard).exception(), TerminatedWorkerError)
    assert eventually(lambda: first._flags.broken)
    second = get_reusable_executor(1)
    assert second is not first
    assert second.submit(tasks.identity, 1).result() == 1


def test_an_executor_that_recovers_from_a_crash_is_reused(monkeypatch):
    """Where a dead worker does not break the pool, there is no reason for a new one."""
    monkeypatch.setenv("LOKY_ON_CRASH", "recover")
    first = get_reusable_executor(1)
    first.submit(tasks.exit_hard).exception()
    assert get_reusable_executor(1) is first
    assert first.submit(tasks.identity, 1).result() == 1


def test_a_pool_larger_than_the_queue_is_made_anew():
    first = get_reusable_executor(1)
    assert first.queue_size == 2 * max(_cpus(), 1) + 1
    second = get_reusable_executor(first.queue_size + 1)
    assert second is not first
    assert second.queue_size == 2 * second._max_workers + 1


def _cpus():
    import loky

    return loky.cpu_count()


@pytest.mark.parametrize("workers", [0, -3])
def test_a_wrong_number_of_workers_touches_nothing(workers):
    first = get_reusable_executor(1)
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        get_reusable_executor(workers)
    assert get_reusable_executor(1) is first


def test_a_wrong_context_or_initializer_is_an_error():
    with pytest.raises(ValueError, match="no such"):
        get_reusable_executor(1, context="no such")
    with pytest.raises(TypeError, match="initializer must be a callable"):
        get_reusable_executor(1, initializer=5)


def test_each_thread_has_an_executor_of_its_own():
    seen = []
    meeting = threading.Barrier(4, timeout=LIMIT_S)

    def use():
        executor = get_reusable_executor(1)
        again = get_reusable_executor(1)
        meeting.wait()
        seen.append((id(executor), executor is again, executor.submit(tasks.identity, 1).result()))
        meeting.wait()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({number for number, _, _ in seen}) == 4
    assert all(same and value == 1 for _, same, value in seen)


def test_a_threads_executor_goes_with_the_thread():
    references = []

    def use():
        executor = get_reusable_executor(1)
        executor.submit(tasks.identity, 1).result()
        references.append((weakref.ref(executor), list(executor._processes)))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    gc.collect()
    ((reference, pids),) = references
    assert reference() is None
    assert all(has_ended(pid) for pid in pids)


def test_an_executor_may_be_used_from_another_thread():
    executor = get_reusable_executor(1)
    values = []
    thread = threading.Thread(target=lambda: values.append(executor.submit(tasks.identity, 5).result()))
    thread.start()
    thread.join()
    assert values == [5]


def test_a_subclass_is_told_whether_its_executor_was_there_before():
    class Own(_ReusablePoolExecutor):
        @classmethod
        def get(cls, workers, **options):
            return super().get_reusable_executor(workers, **options)

    first, reused = Own.get(1)
    assert (type(first), reused) == (Own, False)
    assert Own.get(1) == (first, True)
    assert Own.get(2) == (first, True)
    assert get_reusable_executor(reuse=True) is first


def test_the_constructor_of_a_subclass_gets_everything_by_name():
    class Own(_ReusablePoolExecutor):
        def __init__(self, **options):
            super().__init__(**options)
            self.names = set(options)

    executor, _ = Own.get_reusable_executor(2)
    assert executor.names == {
        "context",
        "env",
        "executor_id",
        "initargs",
        "initializer",
        "job_reducers",
        "max_workers",
        "result_reducers",
        "timeout",
    }


def test_a_plain_executor_is_no_substitute_for_a_subclass():
    """The original loky hands it out, and its user fails for a missing attribute."""

    class Own(_ReusablePoolExecutor):
        pass

    plain = get_reusable_executor(1)
    own, reused = Own.get_reusable_executor(1, reuse=True)
    assert own is not plain
    assert not reused


def test_the_slot_can_be_looked_into():
    executor = get_reusable_executor(1)
    assert reusable_executor._executor is executor
    seen = []
    thread = threading.Thread(target=lambda: seen.append(reusable_executor._executor))
    thread.start()
    thread.join()
    assert seen == [None]


def test_free_attributes_and_the_lock_are_there():
    executor = get_reusable_executor(1)
    executor._temp_folder_manager = "mine"
    with executor._submit_resize_lock, executor._submit_resize_lock:
        assert executor.submit(tasks.identity, 1).result() == 1


def test_a_callback_may_get_a_reusable_executor(gate):
    import concurrent.futures

    executor = get_reusable_executor(1)
    seen = concurrent.futures.Future()

    def inner(_):
        seen.set_result(get_reusable_executor(1).submit(tasks.identity, 3))

    future = executor.submit(pass_gate, gate.folder)
    future.add_done_callback(inner)
    gate.open()
    assert seen.result(LIMIT_S).result(LIMIT_S) == 3
    executor.shutdown()
