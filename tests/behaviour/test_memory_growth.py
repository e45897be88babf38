"""A worker that keeps growing is replaced between two tasks; no task is lost."""

import warnings

import pytest

from tests.support import tasks

MIB = 1 << 20


def hoard(amount):
    """As a task: keep so much memory, and check at once from now on."""
    from loky import process_executor

    process_executor._MEMORY_LEAK_CHECK_DELAY = 0.0
    kept = tasks.recall("hoard") or []
    kept.append(bytearray(b"x") * amount)
    tasks.remember("hoard", kept)
    return tasks.pid()


@pytest.fixture
def growing(pool):
    """A pool whose workers may grow by ten MiB."""

    def make(workers=1, limit=10 * MIB):
        return pool(workers, env={"LOKY_MAX_MEMORY_LEAK_SIZE": limit})

    return make


def test_a_grown_worker_is_replaced_and_no_task_is_lost(growing):
    executor = growing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pids = [executor.submit(hoard, 4 * MIB).result() for _ in range(12)]
        executor.shutdown()
    assert 2 <= len(set(pids)) <= 6
    assert executor._flags.broken is None


def test_exactly_one_warning_speaks_of_a_leak(growing):
    executor = growing()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        futures = [executor.submit(hoard, 4 * MIB) for _ in range(16)]
        pids = {future.result() for future in futures}
        executor.shutdown()
    assert len(pids) > 2
    assert len([warning for warning in caught if "memory leak" in str(warning.message)]) == 1
    assert all(warning.category is UserWarning for warning in caught)


def test_tasks_are_not_lost_while_a_shutdown_waits(growing):
    executor = growing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        futures = [executor.submit(hoard, 4 * MIB) for _ in range(12)]
        executor.shutdown(wait=True)
    assert len({future.result(0) for future in futures}) > 1


def test_a_higher_limit_is_obeyed_and_silent(growing):
    executor = growing(limit="1e9")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pids = {executor.submit(hoard, 4 * MIB).result() for _ in range(10)}
    assert len(pids) == 1


def test_a_limit_that_is_no_number_is_the_default(growing):
    executor = growing(limit="plenty")
    assert executor.submit(tasks.identity, 1).result() == 1


def test_a_task_may_switch_the_check_off_in_its_worker(growing):
    def switch_off():
        from loky import process_executor

        process_executor._USE_PSUTIL = False
        return tasks.pid()

    executor = growing()
    pid = executor.submit(switch_off).result()
    assert {executor.submit(hoard, 4 * MIB).result() for _ in range(8)} == {pid}
