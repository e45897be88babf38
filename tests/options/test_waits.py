"""A task that has not begun in time never runs, and the order of those that wait can be chosen."""

import pytest

from loky import TaskTimeoutError
from tests.options import jobs
from tests.support import tasks
from tests.support.gates import pass_gate


def test_a_task_that_waits_too_long_never_runs(pool, gate, tmp_path):
    executor = pool(1)
    running = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    mark = tmp_path / "mark"
    error = executor.options(queue_timeout=0.2).submit(jobs.record, str(mark)).exception()
    assert isinstance(error, TaskTimeoutError)
    assert str(error).startswith("The task had not begun within its queue_timeout of 0.2 s")
    assert (error.report.cause, error.report.started, error.report.attempt) == ("timeout", False, 0)
    gate.open()
    running.result()
    executor.shutdown()
    assert jobs.runs(mark) == 0


def test_a_task_that_was_handed_on_already_never_runs_either(pool, gate, tmp_path):
    executor = pool(1)
    # Short tasks have others handed on ahead of time.
    list(executor.map(tasks.identity, range(100)))
    running = executor.submit(pass_gate, gate.folder)
    view = executor.options(queue_timeout=0.2)
    marks = [tmp_path / f"{number}" for number in range(10)]
    late = [view.submit(jobs.record, str(mark)) for mark in marks]
    assert all(isinstance(future.exception(), TaskTimeoutError) for future in late)
    gate.open()
    running.result()
    executor.shutdown()
    assert [jobs.runs(mark) for mark in marks] == [0] * 10


def test_a_task_that_begins_in_time_may_run_for_longer(pool):
    view = pool(1).options(queue_timeout=5)
    view.submit(tasks.identity, 0).result()
    assert pool(1).options(queue_timeout=1).submit(jobs.sleep, 1.5).result() == 1.5


def test_the_higher_priority_goes_first_and_equals_in_their_order(pool, gate, tmp_path):
    executor = pool(1)
    path = str(tmp_path / "order")
    first = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    wanted = [("a", 0), ("b", -1), ("c", 5), ("d", 0), ("e", 5), ("f", -1), ("g", 1)]
    futures = [executor.options(priority=p).submit(jobs.append, path, name) for name, p in wanted]
    gate.open()
    for future in (first, *futures):
        future.result()
    with open(path, encoding="utf-8") as file:
        assert file.read().split() == ["c", "e", "g", "a", "d", "b", "f"]


@pytest.mark.parametrize("priority", [-(2**31), 2**31 - 1])
def test_the_extreme_priorities_are_good(pool, priority):
    assert pool(1).options(priority=priority).submit(tasks.identity, 1).result() == 1
