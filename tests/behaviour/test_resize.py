"""The reusable executor grows and shrinks, after its tasks are done."""

import threading
import time
import warnings
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest

from loky import get_reusable_executor
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import is_running

RESIZE_WITH_WORK = (
    "Trying to resize an executor with running jobs: waiting for jobs completion before resizing."
)


@pytest.fixture
def resized():
    """Ask for a reusable executor of a size, and start it."""

    def resize(workers, **options):
        executor = get_reusable_executor(workers, **options)
        executor.submit(tasks.identity, 1).result()
        return executor

    return resize


def test_the_same_executor_grows_and_keeps_its_workers(resized):
    executor = resized(2)
    old = set(executor._processes)
    assert get_reusable_executor(4) is executor
    assert executor._max_workers == 4
    assert len(executor._processes) == 4
    assert old < set(executor._processes)
    assert all(map(is_running, executor._processes))


def test_the_same_executor_shrinks_to_old_workers(resized):
    executor = resized(4)
    old = set(executor._processes)
    assert get_reusable_executor(2) is executor
    assert len(executor._processes) == 2
    assert set(executor._processes) < old
    assert executor.submit(tasks.pid).result() in old


def test_the_same_size_changes_nothing_and_waits_for_nothing(resized, gate):
    executor = resized(2)
    old = set(executor._processes)
    future = executor.submit(pass_gate, gate.folder)
    assert get_reusable_executor(2) is executor
    assert not future.done()
    assert set(executor._processes) == old
    gate.open()


def test_a_pool_that_has_not_started_only_changes_its_number():
    executor = get_reusable_executor(2)
    assert get_reusable_executor(3) is executor
    assert executor._max_workers == 3
    assert executor._processes == {}
    executor.submit(tasks.identity, 1)
    assert len(executor._processes) == 3


@pytest.mark.parametrize("workers", [1, 4])
def test_a_resize_with_work_waits_for_it_and_warns_once(resized, gate, workers):
    executor = resized(2)
    futures = [executor.submit(pass_gate, gate.folder) for _ in range(6)]
    gate.wait_begun(2)
    opener = threading.Timer(0.1, gate.open)
    opener.start()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert get_reusable_executor(workers) is executor
    opener.join()
    assert [str(warning.message) for warning in caught] == [RESIZE_WITH_WORK]
    assert all(future.done() for future in futures)
    assert len(executor._processes) == workers


def test_a_resize_does_not_wait_for_a_thread_that_goes_on_submitting(resized):
    executor = resized(2)
    enough = threading.Event()

    def go_on():
        unfinished, count = set(), 0
        while not enough.is_set() and count < 400:
            # There is an unfinished task at any moment.
            new = {executor.submit(time.sleep, 0.01) for _ in range(8 - len(unfinished))}
            count += len(new)
            unfinished = wait(unfinished | new, return_when=FIRST_COMPLETED).not_done
        return count

    with ThreadPoolExecutor(1) as threads, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        submitting = threads.submit(go_on)
        try:
            for workers in (4, 1):
                assert get_reusable_executor(workers) is executor
                assert len(executor._processes) == workers
            assert not submitting.done()
        finally:
            enough.set()
        assert submitting.result() > 0


def test_a_resize_without_work_is_silent(resized):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for workers in (3, 1, 4, 2):
            executor = resized(workers)
            assert len(executor._processes) == workers


def test_a_resize_to_none_is_an_error(resized):
    with pytest.raises(ValueError, match="max_workers"):
        resized(1)._resize(None)


def test_new_workers_run_the_initializer(resized):
    executor = resized(1, initializer=tasks.remember, initargs=("key", 5))
    resized(3, initializer=tasks.remember, initargs=("key", 5))
    assert set(executor.map(tasks.recall, ["key"] * 30)) == {5}


def test_a_resize_while_workers_time_out_ends_with_enough_of_them(resized):
    executor = resized(4, timeout=0.001)
    for workers in (2, 4, 1, 3, 4):
        assert get_reusable_executor(workers, timeout=0.001) is executor
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert list(executor.map(tasks.identity, range(8))) == list(range(8))


def test_right_after_growing_each_task_has_a_worker_of_its_own(resized, gate):
    executor = resized(1)
    resized(3)
    futures = [executor.submit(pass_gate, gate.folder) for _ in range(3)]
    assert len(set(gate.wait_begun(3))) == 3
    gate.open()
    for future in futures:
        future.result()


def test_many_resizes_in_a_row_leave_the_last_size(resized):
    for workers in [1, 3, 2, 4, 1, 4, 2] * 3:
        executor = resized(workers)
        assert len(executor._processes) == workers


def test_sixty_two_workers_shrink_to_sixty_one_without_a_word(resized):
    import loky

    if 2 * loky.cpu_count() + 1 < 62:
        executor = resized(62, reuse=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert get_reusable_executor(61) is executor
            assert len(executor._processes) == 61
