"""Seeing what a running task does, without disturbing it."""

import logging

from tests.options import jobs
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import eventually


def test_the_stack_of_a_running_task(pool, gate):
    executor = pool(1)
    future = executor.submit(pass_gate, gate.folder, 3)
    gate.wait_begun()
    for _ in range(5):
        stack = future.stack()
        assert "in pass_gate" in stack
        assert stack.count("in pass_gate") == 1
    gate.open()
    assert future.result() == 3
    assert future.stack() is None


def test_the_stack_of_a_task_that_holds_the_interpreters_lock(pool, gate):
    executor = pool(1)
    future = executor.submit(jobs.hold_the_lock, gate.folder)
    gate.wait_begun()
    assert "in hold_the_lock" in future.stack()
    assert future.cancel(force=True, grace=0)


def test_a_task_that_waits_has_no_stack(pool, gate):
    executor = pool(1)
    executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    assert executor.submit(tasks.identity, 1).stack() is None
    gate.open()


def test_the_stacks_of_all_workers(pool, gate):
    executor = pool(2)
    executor.options(label="the gate").submit(pass_gate, gate.folder)
    (worker,) = gate.wait_begun()
    assert eventually(lambda: len(executor.dump_stacks()) == 2)
    stacks = executor.dump_stacks()
    assert worker in stacks
    assert f"process {worker}, has been running the task the gate for" in stacks[worker]
    assert "in pass_gate" in stacks[worker]
    assert sum("runs no task" in text for text in stacks.values()) == 1
    gate.open()


def test_a_pool_that_has_not_started_has_no_stacks(pool):
    assert pool(1).dump_stacks() == {}


def test_a_stack_that_was_asked_for_is_not_in_the_report_of_a_later_death(pool, gate):
    executor = pool(1)
    future = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    assert future.stack()
    gate.open()
    future.result()
    report = executor.submit(tasks.exit_hard, 3).exception().report
    assert report.python_stack is None


def test_a_slow_task_is_told_of_once_and_goes_on(pool, gate, caplog):
    executor = pool(1)
    with caplog.at_level(logging.WARNING, "loky"):
        future = executor.options(slow_after=0.2, label="long haul").submit(pass_gate, gate.folder, 4)
        gate.wait_begun()
        eventually(lambda: caplog.records)
        gate.open()
        assert future.result() == 4
    (record,) = [record for record in caplog.records if record.name == "loky"]
    assert record.levelno == logging.WARNING
    text = record.getMessage()
    assert text.startswith("the task long haul has been running for 0.")
    assert "in pass_gate" in text


def test_a_task_that_is_fast_enough_is_not_told_of(pool, caplog):
    with caplog.at_level(logging.WARNING, "loky"):
        view = pool(1).options(slow_after=30)
        assert list(view.map(tasks.identity, range(20))) == list(range(20))
    assert [record for record in caplog.records if record.name == "loky"] == []
