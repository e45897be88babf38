"""Rows in which a resource runs out: descriptors here or in a worker, memory of a worker."""

import errno
from typing import Any

from loky import TaskTimeoutError
from tests.faults import failures, resources, tasks
from tests.faults.stage import Stage, full_descriptor_table
from tests.faults.table import Gives, Raises, Row

LARGE_BYTES = 4 * 1024 * 1024


def _lacks(number: int, *text: str) -> Raises:
    return Raises(kind=OSError, text=text, fields={"errno": number})


_FULL = _lacks(errno.EMFILE, "could not be handed over")


def _submit_with_full_table(*args: Any, **wishes: Any) -> Any:
    """The table is full from before the task is submitted until it is done."""

    def provoke(stage: Stage) -> Any:
        stage.fill_queue()
        with full_descriptor_table() as filled:
            future = stage.submit(*args, **wishes)
            stage.outcome(future)
            stage.notes["filled"] = filled
        return future

    return provoke


def _wait_in_vain_with_full_table(stage: Stage) -> Any:
    """Both workers are busy for longer than the task may wait."""
    blocked = stage.submit(tasks.hold, str(stage.folder), stage.gate("block"), None)
    stage.news("held")
    with full_descriptor_table() as filled:
        future = stage.submit(tasks.give, 1, queue_timeout=0.3)
        stage.outcome(future)
        stage.notes["filled"] = filled
    stage.open("block")
    blocked.result(10)
    return future


def _answer_meets_full_table(stage: Stage) -> Any:
    future = stage.perform(resources.held_large, str(stage.folder), stage.gate("answer"), LARGE_BYTES)
    stage.news("held")
    with full_descriptor_table() as filled:
        stage.open("answer")
        stage.outcome(future)
        stage.notes["filled"] = filled
    return future


def _first_start(stage: Stage) -> Any:
    """Without a single descriptor the executor cannot even begin; nothing of the task is kept."""
    with full_descriptor_table() as filled:
        refused = stage.attempt(stage.submit, tasks.give, 1)
        stage.notes["filled"] = filled
    return refused


def _first_start_with_few(stage: Stage) -> Any:
    """There is room for the pool itself but not for a worker, until the table is freed."""
    with full_descriptor_table(room=3) as filled:
        submitted = stage.in_background(stage.submit, tasks.give, "value")
        stage.until(lambda: stage.statistic("spawns_failed") > 0)
        stage.notes["filled"] = filled
    return submitted


def _table_was_full(stage: Stage) -> None:
    assert stage.notes["filled"] > 0


def _fill_in_worker(*args: Any, **wishes: Any) -> Any:
    """The table of the worker is full when the next task comes to it."""

    def provoke(stage: Stage) -> Any:
        assert stage.perform(resources.fill_table).result(10) == errno.EMFILE
        future = stage.submit(*args, **wishes)
        stage.outcome(future)
        stage.notes["filled"] = stage.submit(resources.empty_table).result(10)
        return future

    return provoke


def _limit_in_worker(*args: Any) -> Any:
    """The worker may grow by a little only, when the next task comes to it."""

    def provoke(stage: Stage) -> Any:
        room = stage.perform(resources.limit_memory, LARGE_BYTES * 4).result(10)
        future = stage.submit(*args)
        stage.outcome(future)
        used, limit = stage.submit(resources.lift_memory_limit).result(10)
        stage.notes["filled"] = room
        assert used <= limit
        return future

    return provoke


DESCRIPTORS = [
    Row(
        name="the-table-of-the-parent-is-full-when-a-small-task-is-submitted",
        failure=failures.NO_DESCRIPTOR,
        provoke=_submit_with_full_table(tasks.give, "small"),
        gets=Gives(value="small"),
        proof=_table_was_full,
        alone=True,
    ),
    Row(
        name="the-table-of-the-parent-is-full-when-a-large-task-is-submitted",
        failure=failures.NO_DESCRIPTOR,
        provoke=_submit_with_full_table(len, bytearray(LARGE_BYTES)),
        gets=_FULL,
        proof=_table_was_full,
        alone=True,
    ),
    Row(
        name="the-table-of-the-parent-is-full-when-a-large-answer-arrives",
        failure=failures.NO_DESCRIPTOR,
        provoke=_answer_meets_full_table,
        gets=_FULL,
        proof=_table_was_full,
        alone=True,
    ),
    Row(
        name="the-table-of-the-parent-is-full-at-the-first-start",
        failure=failures.NO_DESCRIPTOR,
        provoke=_first_start,
        gets=_lacks(errno.EMFILE),
        proof=_table_was_full,
        cold=True,
        alone=True,
    ),
    Row(
        name="the-table-of-the-parent-is-nearly-full-at-the-first-start",
        failure=failures.NO_PROCESS_FOR_A_WHILE,
        provoke=_first_start_with_few,
        gets=Gives(value="value"),
        proof=_table_was_full,
        cold=True,
        alone=True,
    ),
    Row(
        name="the-table-of-the-parent-is-full-at-the-first-soft-limit",
        failure=failures.NO_DESCRIPTOR,
        provoke=_submit_with_full_table(tasks.give, "limited", soft_memory_limit="1G"),
        gets=Gives(value="limited"),
        proof=_table_was_full,
        alone=True,
    ),
    Row(
        name="the-table-of-the-parent-is-full-at-the-first-deadline",
        failure=failures.TIMEOUT_LETS_GO,
        provoke=_submit_with_full_table(tasks.wait_for_ever, timeout=0.5),
        gets=Raises(kind=TaskTimeoutError, text=("ran for longer than its timeout of 0.5 s",)),
        proof=_table_was_full,
        alone=True,
    ),
    Row(
        name="the-table-of-the-parent-is-full-at-the-first-wait-in-vain",
        failure=failures.QUEUE_TIMEOUT,
        provoke=_wait_in_vain_with_full_table,
        gets=Raises(kind=TaskTimeoutError, text=("not begun",)),
        proof=_table_was_full,
        alone=True,
    ),
    Row(
        name="the-table-of-the-worker-is-full-at-the-first-soft-limit",
        failure=failures.NO_DESCRIPTOR,
        provoke=_fill_in_worker(tasks.give, "limited", soft_memory_limit="1G"),
        gets=_lacks(errno.EMFILE, "/proc/self/statm"),
        proof=_table_was_full,
    ),
    Row(
        name="the-table-of-the-worker-is-full-when-a-large-task-arrives",
        failure=failures.NO_DESCRIPTOR,
        provoke=_fill_in_worker(len, bytearray(LARGE_BYTES)),
        gets=_lacks(errno.EMFILE, "did not arrive"),
        proof=_table_was_full,
    ),
    Row(
        name="the-table-of-the-worker-is-full-when-it-gives-a-large-answer",
        failure=failures.NO_DESCRIPTOR,
        provoke=_fill_in_worker(bytearray, LARGE_BYTES),
        gets=_lacks(errno.EMFILE),
        proof=_table_was_full,
    ),
]

MEMORY = [
    Row(
        name="the-task-wants-more-memory-than-there-may-be",
        failure=failures.NO_MEMORY,
        provoke=_limit_in_worker(bytearray, 64 * LARGE_BYTES),
        gets=Raises(kind=MemoryError, cause=("MemoryError",)),
        proof=_table_was_full,
    ),
    Row(
        name="a-large-task-does-not-fit-into-the-worker",
        failure=failures.NO_MEMORY,
        provoke=_limit_in_worker(len, bytearray(8 * LARGE_BYTES)),
        gets=_lacks(errno.ENOMEM, "did not arrive"),
        proof=_table_was_full,
    ),
    Row(
        name="a-large-answer-does-not-fit-beside-its-value",
        failure=failures.NO_MEMORY,
        provoke=_limit_in_worker(bytearray, 3 * LARGE_BYTES),
        gets=Raises(kind=MemoryError),
        proof=_table_was_full,
    ),
]

ROWS = [*DESCRIPTORS, *MEMORY]
