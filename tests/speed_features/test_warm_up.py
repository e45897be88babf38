"""The helper process may be started before the first task; importing the package starts nothing."""

import loky
from tests.support import tasks


def test_warming_up_starts_a_helper_and_no_worker(pool):
    executor = pool(2)
    assert executor._executor_manager_thread is None
    executor.warm_up()
    assert executor._executor_manager_thread is not None
    assert not executor._processes
    assert executor.submit(tasks.add, 1, 2).result() == 3
    assert len(executor._processes) == 2


def test_warming_up_twice_and_after_a_task_changes_nothing(pool):
    executor = pool(1)
    executor.warm_up()
    executor.warm_up()
    worker = executor.submit(tasks.pid).result()
    executor.warm_up()
    assert executor.submit(tasks.pid).result() == worker


def test_the_reusable_executor_is_the_one_that_was_warmed_up():
    executor = loky.warm_up(2)
    assert loky.get_reusable_executor(max_workers=2) is executor
    assert executor.submit(tasks.add, 1, 2).result() == 3
    executor.shutdown()


def test_a_pool_that_was_warmed_up_and_never_used_shuts_down(pool):
    executor = pool(1)
    executor.warm_up()
    executor.shutdown()
