"""A task ends within its time, whatever it does, and nothing else is touched."""

import concurrent.futures
import os
import pickle
import time

import pytest

import loky
from loky import TaskTimeoutError
from tests.options import jobs
from tests.support import tasks
from tests.support.gates import pass_gate

ROUNDS = 3
"""A busy machine only adds to what is measured, so the best of so many rounds is compared."""


def test_a_task_that_holds_the_interpreters_lock_ends_within_its_time(pool):
    """The promise: over within 1.5 s where the deadline is 1 s, and another task begins 100 ms later."""
    executor = pool(1)
    executor.submit(tasks.identity, 0).result()
    runtimes_s, gaps_s, told_s = [], [], []
    for _ in range(ROUNDS):
        future = executor.options(timeout=1).submit(jobs.hold_the_lock)
        future.add_done_callback(lambda _: told_s.append(time.monotonic()))
        following = executor.submit(time.monotonic)
        with pytest.raises(TaskTimeoutError) as caught:
            future.result()
        gaps_s.append(following.result() - told_s[-1])
        report = caught.value.report
        assert (report.cause, report.started, report.signal) == ("timeout", True, "SIGKILL")
        assert "hold_the_lock" in report.python_stack
        # By the engine's own clock, from the start to the end of the worker.
        assert report.runtime_s >= 1
        runtimes_s.append(report.runtime_s)
    assert min(runtimes_s) < 1.5, runtimes_s
    assert min(gaps_s) < 0.1, gaps_s


def test_a_task_that_lets_go_costs_no_worker(pool):
    executor = pool(1)
    worker = executor.submit(tasks.pid).result()
    future = executor.options(timeout=0.2).submit(jobs.sleep, 60)
    error = future.exception()
    assert isinstance(error, TaskTimeoutError)
    assert (error.report.signal, error.report.exitcode) == (None, None)
    assert "jobs.py" in error.report.python_stack
    assert "in sleep" in error.report.python_stack
    assert executor.submit(tasks.pid).result() == worker


def test_the_error_is_a_timeout_and_no_broken_pool(pool):
    error = pool(1).options(timeout=0.1, label="nap").submit(jobs.sleep, 60).exception()
    assert isinstance(error, TimeoutError)
    assert not isinstance(error, concurrent.futures.BrokenExecutor)
    assert error.__notes__ == ["task: nap"]
    assert error.report.task == "nap"
    text = str(error)
    assert text.startswith("The task ran for longer than its timeout of 0.1 s.")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is loky.TaskTimeoutError
    assert str(copy) == text
    assert copy.report == error.report


def test_other_tasks_are_untouched_on_the_same_worker_and_on_others(pool, gate, tmp_path):
    executor = pool(2)
    others = [executor.submit(pass_gate, gate.folder, 7)]
    gate.wait_begun()
    late = executor.options(timeout=0.3).submit(jobs.hold_the_lock)
    marks = [tmp_path / f"{number}" for number in range(20)]
    others += [executor.submit(jobs.record, str(mark)) for mark in marks]
    with pytest.raises(TaskTimeoutError):
        late.result()
    gate.open()
    assert [future.result() for future in others] == [7] + [None] * 20
    assert [jobs.runs(mark) for mark in marks] == [1] * 20


def test_short_tasks_with_a_deadline_run_as_without(pool):
    view = pool(2).options(timeout=30)
    assert list(view.map(tasks.identity, range(300))) == list(range(300))


def test_the_time_counts_from_the_start_and_not_from_the_submission(pool, gate):
    executor = pool(1)
    first = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    second = executor.options(timeout=0.5).submit(tasks.identity, 2)
    with pytest.raises(TimeoutError):
        second.result(1)
    gate.open()
    assert (first.result(), second.result()) == (None, 2)


@pytest.mark.parametrize("on_crash", ["recover", "break"])
def test_a_deadline_breaks_the_pool_in_no_mode(pool, on_crash):
    executor = pool(1, on_crash=on_crash)
    with pytest.raises(TaskTimeoutError):
        executor.options(timeout=0.2).submit(jobs.hold_the_lock).result()
    assert executor.submit(tasks.identity, 1).result() == 1


def test_a_task_that_goes_on_after_the_interrupt_is_killed_after_the_grace(pool, gate):
    executor = pool(1, grace=0.3)
    error = executor.options(timeout=0.2).submit(jobs.ignore_interrupts, gate.folder, 60).exception()
    assert error.report.signal == "SIGKILL"
    assert error.report.runtime_s >= 0.45


def test_sigterm_comes_between_where_the_grace_is_a_pair(pool, gate):
    executor = pool(1, grace=(0.1, 30))
    error = executor.options(timeout=0.2).submit(jobs.exit_on_sigterm, gate.folder).exception()
    assert isinstance(error, TaskTimeoutError)
    assert error.report.exitcode == 33


def test_an_executor_may_have_a_deadline_for_all_its_tasks(pool):
    executor = pool(1, task_timeout=0.2)
    with pytest.raises(TaskTimeoutError):
        executor.submit(jobs.sleep, 60).result()
    assert executor.options(timeout=None).submit(jobs.sleep, 0.5).result() == 0.5


def test_a_worker_whose_start_hangs_is_ended_and_the_pool_breaks_in_the_end(pool):
    executor = pool(1, start_timeout=0.2, initializer=time.sleep, initargs=(60,))
    error = executor.submit(tasks.identity, 1).exception()
    assert isinstance(error, loky.BrokenProcessPool)
    cause = error.__cause__
    assert cause.report.cause == "timeout"
    assert "not ready within start_timeout" in str(cause)


def test_a_start_in_time_is_left_alone(pool):
    executor = pool(1, start_timeout=30)
    assert executor.submit(tasks.identity, 1).result() == 1


def test_the_stack_of_a_task_that_was_ended_is_not_printed_by_itself(pool, capfd):
    executor = pool(1)
    with pytest.raises(TaskTimeoutError):
        executor.options(timeout=0.2).submit(jobs.hold_the_lock).result()
    executor.submit(os.getpid).result()
    assert "hold_the_lock" not in capfd.readouterr().err
