"""Rows in which processes of the family are stopped (SIGSTOP) and nobody continues them."""

import os
import signal
from concurrent.futures import CancelledError
from typing import Any

from loky import ShutdownExecutorError, TaskTimeoutError
from tests.faults import failures, tasks
from tests.faults.stage import Stage, Witness, has_stopped, state_of
from tests.faults.table import Raises, Row
from tests.support.tracing import held

TIMEOUT_S = 0.5

_KILLED = Raises(kind=ShutdownExecutorError, text=("kill_workers=True",))


def _stop(stage: Stage, *witnesses: Witness) -> None:
    for witness in witnesses:
        stage.kill(witness, signal.SIGSTOP)
        stage.until(lambda witness=witness: has_stopped(witness.pid))
    stage.notes.setdefault("stopped", []).extend(witnesses)


def _all_died(stage: Stage) -> None:
    assert stage.notes["stopped"]
    for witness in [*stage.notes["stopped"], *stage.workers]:
        assert witness.gone(0), f"process {witness.pid} lives on"


def _kill_pool(stage: Stage) -> Any:
    future = stage.perform(tasks.wait_for_ever)
    _stop(stage, stage.zygote, stage.victim)
    stage.executor.shutdown(wait=True, kill_workers=True)
    return future


def _kill_pool_of_held_zygote(stage: Stage) -> Any:
    """No signal but SIGKILL continues what a tracer holds."""
    future = stage.perform(tasks.wait_for_ever)
    stage.notes["stopped"] = [stage.zygote]
    with held(stage.zygote.pid, sees_end=False):
        assert state_of(stage.zygote.pid) == "t"
        stage.executor.shutdown(wait=True, kill_workers=True)
    # The pool could not wait for it as long as there was the tracer.
    assert os.waitpid(stage.zygote.pid, 0) == (stage.zygote.pid, signal.SIGKILL)
    return future


def _late_in_stopped_family(stage: Stage) -> Any:
    future = stage.perform(tasks.wait_for_ever, timeout=TIMEOUT_S)
    _stop(stage, stage.zygote, stage.victim)
    return future


def _forced_in_stopped_family(stage: Stage) -> Any:
    future = stage.perform(tasks.wait_for_ever)
    _stop(stage, stage.zygote, stage.victim)
    assert future.cancel(force=True, grace=0.3)
    assert future.cancelled()
    return future


def _victim_was_killed(stage: Stage) -> None:
    assert stage.victim in stage.notes["stopped"]
    stage.died(stage.victim, signal.SIGKILL)
    assert not stage.zygote.gone(0), "the zygote was to live on"


ROWS = [
    Row(
        name="the-pool-is-killed-when-its-zygote-and-a-worker-are-stopped",
        failure=failures.KILLED_BY_SHUTDOWN,
        provoke=_kill_pool,
        gets=_KILLED,
        proof=_all_died,
    ),
    Row(
        name="the-pool-is-killed-when-its-zygote-cannot-go-on",
        failure=failures.KILLED_BY_SHUTDOWN,
        provoke=_kill_pool_of_held_zygote,
        gets=_KILLED,
        proof=_all_died,
    ),
    Row(
        name="a-task-is-late-when-its-zygote-and-its-worker-are-stopped",
        failure=failures.TIMEOUT_HOLDS_ON,
        provoke=_late_in_stopped_family,
        gets=Raises(
            kind=TaskTimeoutError,
            text=(f"ran for longer than its timeout of {TIMEOUT_S} s",),
            report={"cause": "timeout", "started": True, "signal": "SIGKILL"},
        ),
        proof=_victim_was_killed,
    ),
    Row(
        name="a-task-is-cancelled-by-force-when-its-zygote-and-its-worker-are-stopped",
        failure=failures.FORCED_HOLDS_ON,
        provoke=_forced_in_stopped_family,
        gets=Raises(kind=CancelledError),
        proof=_victim_was_killed,
    ),
]
