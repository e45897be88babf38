"""A task is tried again if that was asked for, as often as asked for, and never otherwise."""

import signal

import pytest

from loky import TaskTimeoutError, TerminatedWorkerError
from tests.options import jobs
from tests.support.waiting import eventually


def test_a_task_whose_worker_dies_is_tried_again(pool, tmp_path):
    path = tmp_path / "runs"
    assert pool(1).options(retries=3).submit(jobs.die_until, str(path), 2).result() == 3
    assert jobs.runs(path) == 3


def test_it_is_never_tried_more_often(pool, tmp_path):
    path = tmp_path / "runs"
    future = pool(2).options(retries=2, label="poisonous").submit(jobs.die, str(path))
    with pytest.raises(TerminatedWorkerError) as caught:
        future.result()
    report = caught.value.report
    assert jobs.runs(path) == 3
    assert (report.attempt, report.is_poison) == (3, True)
    assert [(attempt.attempt, attempt.signal) for attempt in report.history] == [
        (1, "SIGKILL"),
        (2, "SIGKILL"),
    ]
    assert len({report.pid, *(attempt.pid for attempt in report.history)}) == 3
    assert "All 3 attempts at this task have ended their worker" in str(caught.value)
    assert caught.value.__notes__ == ["task: poisonous"]
    assert [attempt["cause"] for attempt in report.as_dict()["history"]] == ["signal", "signal"]


def test_a_task_that_did_not_ask_is_never_tried_again(pool, tmp_path):
    executor = pool(2)
    marks = [str(tmp_path / f"{number}") for number in range(8)]
    plain = [executor.submit(jobs.die, mark) for mark in marks[:4]]
    asked = [executor.options(retries=1).submit(jobs.die, mark) for mark in marks[4:]]
    for future in plain + asked:
        assert isinstance(future.exception(), TerminatedWorkerError)
    assert [jobs.runs(mark) for mark in marks] == [1] * 4 + [2] * 4


def test_neighbours_of_a_dying_task_run_once(pool, tmp_path):
    executor = pool(2)
    deadly = executor.options(retries=3).submit(jobs.die, str(tmp_path / "deadly"))
    marks = [str(tmp_path / f"{number}") for number in range(40)]
    list(executor.map(jobs.record, marks))
    assert isinstance(deadly.exception(), TerminatedWorkerError)
    assert [jobs.runs(mark) for mark in marks] == [1] * 40


def test_named_exceptions_are_followed_by_another_attempt(pool, tmp_path):
    path = str(tmp_path / "runs")
    view = pool(1).options(retries=3, retry_on=ConnectionError)
    assert view.submit(jobs.raise_until, path, 2, ConnectionResetError).result() == 3


def test_other_exceptions_are_not(pool, tmp_path):
    path = str(tmp_path / "runs")
    view = pool(1).options(retries=3, retry_on=(ConnectionError, KeyError))
    with pytest.raises(ValueError, match="run 1"):
        view.submit(jobs.raise_until, path, 2, ValueError).result()
    assert jobs.runs(path) == 1


def test_an_exception_that_goes_on_is_the_outcome_in_the_end(pool, tmp_path):
    path = str(tmp_path / "runs")
    view = pool(1).options(retries=2, retry_on=ValueError, label="stubborn")
    with pytest.raises(ValueError, match="run 3") as caught:
        view.submit(jobs.raise_until, path, 9, ValueError).result()
    assert caught.value.__notes__ == ["task: stubborn"]
    assert jobs.runs(path) == 3


def test_an_exception_class_that_cannot_be_imported_works_as_well(pool, tmp_path):
    class Local(Exception):
        pass

    path = str(tmp_path / "runs")

    def sometimes() -> int:
        jobs.record(path)
        if jobs.runs(path) < 3:
            raise Local
        return jobs.runs(path)

    assert pool(1).options(retries=5, retry_on=Local).submit(sometimes).result() == 3


def test_attempts_that_raised_stand_in_the_history_of_a_death(pool, tmp_path):
    path = str(tmp_path / "runs")

    def raise_then_die() -> None:
        jobs.record(path)
        if jobs.runs(path) == 1:
            raise KeyError
        jobs.die(path, signal.SIGKILL)

    error = pool(1).options(retries=1, retry_on=KeyError).submit(raise_then_die).exception()
    report = error.report
    assert [attempt.cause for attempt in report.history] == ["raised"]
    assert (report.attempt, report.is_poison) == (2, False)
    assert "Attempts before this one: raised an exception." in str(error)


def test_a_timeout_is_tried_again_only_if_it_is_named(pool, tmp_path):
    executor = pool(1)
    for retry_on, count in ((ValueError, 1), (TaskTimeoutError, 2), (OSError, 2)):
        path = str(tmp_path / retry_on.__name__)

        def run(path: str = path) -> None:
            jobs.record(path)
            jobs.sleep(60)

        view = executor.options(timeout=0.2, retries=1, retry_on=retry_on)
        error = view.submit(run).exception()
        assert isinstance(error, TaskTimeoutError)
        assert jobs.runs(path) == count
        assert len(error.report.history) == count - 1


def test_a_task_that_waits_for_its_next_attempt_can_be_cancelled(pool, tmp_path):
    executor = pool(1)
    path = str(tmp_path / "runs")
    future = executor.options(retries=1000, retry_on=ValueError).submit(
        jobs.raise_until, path, 10**6, ValueError
    )
    assert eventually(lambda: jobs.runs(path) >= 3)
    while not future.cancel() and not future.done():
        pass
    # An attempt that was running then is the last one.
    assert future.cancelled() or isinstance(future.exception(), ValueError)
    executor.shutdown()
    assert 3 <= jobs.runs(path) <= 100


def test_the_arguments_are_those_of_the_submission(pool, tmp_path):
    values = [1]
    path = str(tmp_path / "runs")

    def count(values: list[int]) -> list[int]:
        jobs.die_until(path, 1)
        return values

    future = pool(1).options(retries=1).submit(count, values)
    values.append(2)
    assert future.result() == [1]
