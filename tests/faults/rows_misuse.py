"""Rows in which somebody ends a pool, forks, or uses a pool where it is not his."""

import os
import signal
from typing import Any

from loky import ShutdownExecutorError
from tests.faults import failures, forks, tasks
from tests.faults.rows_values import worker_lives
from tests.faults.stage import Stage, end, state_of
from tests.faults.table import Gives, Raises, Row

_KILLED = Raises(kind=ShutdownExecutorError, text=("kill_workers=True",))


def _submit_after_shutdown(stage: Stage) -> Any:
    stage.fill_queue()
    stage.executor.shutdown(wait=False)
    return stage.attempt(stage.submit, tasks.give, 1)


def _still_running(stage: Stage) -> None:
    assert stage.running is not None
    assert not stage.running.done()
    assert not stage.busy.gone(0)


def _kill_at_work(stage: Stage) -> Any:
    future = stage.perform(tasks.wait_for_ever)
    cancelled = stage.submit(tasks.tell, str(stage.folder), "cancelled")
    assert cancelled.cancel()
    stage.notes["cancelled"] = cancelled
    stage.executor.shutdown(wait=True, kill_workers=True)
    return future


def _cancelled_never_ran(stage: Stage) -> None:
    stage.died(stage.victim, signal.SIGKILL)
    assert stage.notes["cancelled"].cancelled()
    assert not stage.heard("cancelled")


def _kill_with_children(stage: Stage) -> Any:
    os.mkfifo(stage.folder / "alive")
    alive = os.open(stage.folder / "alive", os.O_RDONLY | os.O_NONBLOCK)
    future = stage.perform(forks.have_children_and_wait, str(stage.folder))
    stage.notes["children"] = [stage.watch(stage.news("child")) for _ in range(3)]
    stage.news("complete")
    stage.executor.shutdown(wait=True, kill_workers=True)
    os.close(alive)
    return future


def _children_are_gone(stage: Stage) -> None:
    for child in stage.notes["children"]:
        assert child.gone(2), f"process {child.pid} outlives its worker"


def _in_forked_child(check: Any) -> Any:
    """Do this in a forked child; what it says is right there ends with status 0."""

    def provoke(stage: Stage) -> Any:
        stage.fill_queue()
        stage.notes["status"] = forks.status_of_child(check, stage)
        return stage.submit(tasks.give, "in the parent")

    return provoke


def _child_was_content(stage: Stage) -> None:
    assert stage.notes["status"] == 0
    assert not any(worker.gone(0) for worker in stage.workers), "a worker of the parent was disturbed"


def _shut_down_beside_child(stage: Stage) -> Any:
    """A forked child has copies of all descriptors, and lives on while the pool is shut down."""
    child = os.fork()
    if child == 0:
        tasks.wait_for_ever()
    try:
        stage.fill_queue()
        stage.open("crowd")
        stage.executor.shutdown(wait=False)
        refused = stage.attempt(stage.submit, tasks.give, 1)
        end(stage.executor, kill=False)
        stage.notes["lived"] = os.waitpid(child, os.WNOHANG) == (0, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return refused


def _child_lived(stage: Stage) -> None:
    assert stage.notes["lived"]
    for worker in stage.workers:
        assert worker.gone(10)


def _child_of_task_is_over(stage: Stage) -> None:
    pid = stage.news("forked")
    assert pid != stage.victim.pid
    # The task does not wait for its child, so the remains stay for as long as the worker lives.
    stage.until(lambda: state_of(pid) in "Z-")
    worker_lives(stage)


def _forks(how: str) -> Row:
    return Row(
        name=f"a-task-forks-and-the-child-{how}",
        failure=failures.FORKED_WORKER,
        provoke=lambda stage: stage.perform(forks.WAYS[how], str(stage.folder)),
        gets=Gives(value="the worker's"),
        proof=_child_of_task_is_over,
    )


def _child_lives_until_the_end(stage: Stage) -> None:
    child = stage.watch(stage.news("forked"))
    worker_lives(stage)
    assert not child.gone(0), "the child was to live on"
    assert stage.running is not None
    stage.open("crowd")
    stage.running.result(10)
    end(stage.executor, kill=False)
    assert child.gone(2), "the child of a task outlives the pool"


_NOT_HERE = Raises(kind=ShutdownExecutorError, text=("after shutdown",))

SHUTDOWNS = [
    Row(
        name="a-task-is-submitted-after-shutdown",
        failure=failures.AFTER_SHUTDOWN,
        provoke=_submit_after_shutdown,
        gets=_NOT_HERE,
        proof=_still_running,
    ),
    Row(
        name="the-pool-is-killed-with-running-queued-and-cancelled-tasks",
        failure=failures.KILLED_BY_SHUTDOWN,
        provoke=_kill_at_work,
        gets=_KILLED,
        proof=_cancelled_never_ran,
    ),
    Row(
        name="the-pool-is-killed-when-tasks-have-children",
        failure=failures.KILLED_BY_SHUTDOWN,
        provoke=_kill_with_children,
        gets=_KILLED,
        proof=_children_are_gone,
    ),
]

PARENT_FORKS = [
    Row(
        name=f"a-forked-child-{how}",
        failure=failures.FORKED_PARENT,
        provoke=_in_forked_child(check),
        gets=Gives(value="in the parent"),
        proof=_child_was_content,
        alone=True,
    )
    for how, check in forks.CHECKS.items()
] + [
    Row(
        name="a-forked-child-lives-on-while-the-pool-is-shut-down",
        failure=failures.AFTER_SHUTDOWN,
        provoke=_shut_down_beside_child,
        gets=_NOT_HERE,
        proof=_child_lived,
        alone=True,
    )
]

TASK_FORKS = [
    *(_forks(how) for how in forks.WAYS if how != "lives-on"),
    Row(
        name="a-task-forks-and-the-child-lives-on",
        failure=failures.FORKED_WORKER,
        provoke=lambda stage: stage.perform(forks.WAYS["lives-on"], str(stage.folder)),
        gets=Gives(value="the worker's"),
        proof=_child_lives_until_the_end,
        others=dict.fromkeys(("recover", "break"), failures.AFTER_SHUTDOWN.recover),
    ),
]

ROWS = [*SHUTDOWNS, *PARENT_FORKS, *TASK_FORKS]
