"""Rows about what was asked for a task: deadlines, limits, further attempts, its end by force."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

from loky import BrokenProcessPool, TaskTimeoutError, TerminatedWorkerError
from tests.evidence import groups
from tests.faults import failures, tasks
from tests.faults.listening import listening
from tests.faults.rows_deaths import by_signal, terminated
from tests.faults.stage import WAIT_S, Stage
from tests.faults.table import Gives, Others, Raises, Row

TIMEOUT_S = 0.5
AMPLE_S = 2.0
"""For an attempt that is to be in time, in a fresh worker on a busy machine."""

LIMIT = "150M"
LIMIT_MIB = 150
START_S = 3.0


def _timed_out(where: str, signal_: str | None, **report: object) -> Raises:
    told = {
        "cause": "timeout",
        "started": True,
        "attempt": 1,
        "signal": signal_,
        "exitcode": None if signal_ is None else -signal.Signals[signal_],
        "python_stack": lambda text: where in text,
        "runtime_s": lambda seconds: TIMEOUT_S * 0.95 <= seconds < WAIT_S,
    }
    return Raises(
        kind=TaskTimeoutError,
        text=(f"ran for longer than its timeout of {TIMEOUT_S} s",),
        report={**told, **report},
    )


def _performs(function: Any, *args: Any, **wishes: Any) -> Callable[[Stage], Any]:
    return lambda stage: stage.perform(function, *args, **wishes)


def _counted(function: Any, *args: Any, **wishes: Any) -> Callable[[Stage], Any]:
    """The task gets the folder of the stage, in which it counts how often it has run."""
    return lambda stage: stage.perform(function, str(stage.folder), *args, **wishes)


def _lives_on(stage: Stage) -> None:
    assert not stage.victim.gone(0), "its worker has ended"


def _was_killed(stage: Stage) -> None:
    stage.died(stage.victim, signal.SIGKILL)


def _ran(times: int, if_broken: int | None = None) -> Callable[[Stage], None]:
    """It ran so often, by its own count; in the mode `break` perhaps another number of times."""

    def proof(stage: Stage) -> None:
        want = if_broken if stage.mode == "break" and if_broken is not None else times
        assert tasks.runs(str(stage.folder)) == want

    return proof


def _both(*proofs: Callable[[Stage], None]) -> Callable[[Stage], None]:
    def proof(stage: Stage) -> None:
        for each in proofs:
            each(stage)

    return proof


_LATE = [
    Row(
        name="a-late-task-waits-in-python",
        failure=failures.TIMEOUT_LETS_GO,
        provoke=_performs(tasks.wait_for_ever, timeout=TIMEOUT_S),
        gets=_timed_out("in wait_for_ever", None),
        proof=_lives_on,
    ),
    Row(
        name="a-late-task-is-tried-again-and-late-again",
        failure=failures.TIMEOUT_LETS_GO,
        provoke=_counted(tasks.late_until, 9, timeout=TIMEOUT_S, retries=1, retry_on=TaskTimeoutError),
        gets=_timed_out(
            "in wait_for_ever",
            None,
            attempt=2,
            history=lambda attempts: [attempt.cause for attempt in attempts] == ["timeout"],
            is_poison=False,
        ),
        proof=_both(_lives_on, _ran(2)),
    ),
    Row(
        name="a-late-task-is-tried-again-and-in-time",
        failure=failures.TIMEOUT_LETS_GO,
        provoke=_counted(tasks.late_until, 1, timeout=AMPLE_S, retries=1, retry_on=TaskTimeoutError),
        gets=Gives(value=2),
        proof=_both(_lives_on, _ran(2)),
    ),
    Row(
        name="a-late-task-holds-the-interpreters-lock",
        failure=failures.TIMEOUT_HOLDS_ON,
        provoke=_performs(tasks.hold_the_lock, timeout=TIMEOUT_S),
        gets=_timed_out("in hold_the_lock", "SIGKILL"),
        proof=_was_killed,
    ),
    Row(
        name="a-late-task-ignores-the-interrupt",
        failure=failures.TIMEOUT_HOLDS_ON,
        provoke=_performs(tasks.ignore_interrupts, timeout=TIMEOUT_S),
        gets=_timed_out("in ignore_interrupts", "SIGKILL"),
        proof=_was_killed,
    ),
    Row(
        name="a-late-task-that-holds-the-lock-is-tried-again-elsewhere",
        failure=failures.TIMEOUT_HOLDS_ON,
        provoke=_counted(tasks.hold_the_lock_until, 1, timeout=AMPLE_S, retries=1, retry_on=TaskTimeoutError),
        gets=Gives(value=2),
        proof=_both(_was_killed, _ran(2)),
    ),
]


def _occupied(stage: Stage) -> Any:
    """The other worker is busy as well."""
    blocked = stage.submit(tasks.hold, str(stage.folder), stage.gate("block"), "blocked")
    stage.victim = stage.watch(stage.news("held"))
    stage.notes["blocked"] = blocked
    return blocked


def _wait_too_long(stage: Stage) -> Any:
    _occupied(stage)
    return stage.submit(tasks.tell, str(stage.folder), "ran", queue_timeout=0.3)


def _cancel_waiting(**how: Any) -> Callable[[Stage], Any]:
    def provoke(stage: Stage) -> Any:
        _occupied(stage)
        future = stage.submit(tasks.tell, str(stage.folder), "ran")
        assert future.cancel(**how)
        return future

    return provoke


def _never_ran(stage: Stage) -> None:
    """Everything else comes to its turn, and that task is not heard of."""
    stage.open("block")
    stage.open("crowd")
    assert stage.notes["blocked"].result(WAIT_S) == "blocked"
    for future in stage.waiting:
        future.result(WAIT_S)
    assert not stage.heard("ran"), "it ran"


_WAITING = [
    Row(
        name="a-task-waits-for-longer-than-it-may",
        failure=failures.QUEUE_TIMEOUT,
        provoke=_wait_too_long,
        gets=Raises(
            kind=TaskTimeoutError,
            text=("had not begun within its queue_timeout of 0.3 s",),
            report={"cause": "timeout", "started": False, "attempt": 0, "task": "tell"},
        ),
        proof=_never_ran,
    ),
    Row(
        name="a-waiting-task-is-cancelled",
        failure=failures.CANCELLED,
        provoke=_cancel_waiting(),
        gets=Raises(kind=CancelledError),
        proof=_never_ran,
    ),
    Row(
        name="a-waiting-task-is-cancelled-by-force",
        failure=failures.CANCELLED,
        provoke=_cancel_waiting(force=True),
        gets=Raises(kind=CancelledError),
        proof=_never_ran,
    ),
]


def _forced(function: Any) -> Callable[[Stage], Any]:
    def provoke(stage: Stage) -> Any:
        future = stage.perform(function)
        stage.until(lambda: f"in {function.__name__}\n" in (future.stack() or ""))
        assert not future.cancel()
        assert future.cancel(force=True, grace=0.3)
        assert future.cancelled()
        return future

    return provoke


_FORCED = [
    Row(
        name="a-running-task-is-cancelled-by-force-and-lets-go",
        failure=failures.FORCED_LETS_GO,
        provoke=_forced(tasks.wait_for_ever),
        gets=Raises(kind=CancelledError),
        proof=_lives_on,
    ),
    Row(
        name="a-task-that-holds-the-interpreters-lock-is-cancelled-by-force",
        failure=failures.FORCED_HOLDS_ON,
        provoke=_forced(tasks.hold_the_lock),
        gets=Raises(kind=CancelledError),
        proof=_was_killed,
    ),
]


def _late_start(start_s: float, starts: int) -> Callable[[Stage], dict[str, Any]]:
    return lambda stage: {
        "start_timeout": start_s,
        "initializer": tasks.start_late,
        "initargs": (str(stage.folder), starts),
    }


def _late_worker_was_killed(stage: Stage) -> None:
    stage.died(stage.watch(stage.notes["late"]), signal.SIGKILL)


def _submit_to_late_worker(stage: Stage) -> Any:
    future = stage.submit(tasks.give, "value")
    stage.notes["late"] = stage.news("late")
    stage.watch(stage.notes["late"])
    return future


_NOT_READY = {"cause": "timeout", "started": False, "signal": "SIGKILL"}

_STARTS = [
    Row(
        name="the-first-workers-are-late-and-the-next-are-not",
        failure=failures.START_TIMEOUT,
        provoke=_submit_to_late_worker,
        gets=Gives(value="value"),
        gets_if_broken=Raises(
            kind=TerminatedWorkerError, text=("not ready within start_timeout",), report=_NOT_READY
        ),
        proof=_late_worker_was_killed,
        options=_late_start(START_S, 2),
        cold=True,
    ),
    Row(
        name="every-worker-is-late",
        failure=failures.START_TIMEOUT,
        provoke=_submit_to_late_worker,
        gets=Raises(
            kind=BrokenProcessPool,
            text=("again and again",),
            fields={"__cause__": lambda cause: cause.report.cause == "timeout" and not cause.report.started},
        ),
        gets_if_broken=Raises(
            kind=TerminatedWorkerError, text=("not ready within start_timeout",), report=_NOT_READY
        ),
        proof=_late_worker_was_killed,
        options=_late_start(0.5, 1000),
        cold=True,
        # The budget for workers that end before doing any work is spent.
        others={"recover": Others.BROKEN},
    ),
]


def _over_limit(stage: Stage) -> None:
    stage.died(stage.victim, signal.SIGKILL)


_PASSED = terminated(
    "memory_limit", "{SIGKILL(-9)}", "used more memory than its limit allows",
    signal="SIGKILL", exitcode=-9,
    evidence=lambda facts: any(f"limit was {LIMIT_MIB} MiB" in fact for fact in facts),
)  # fmt: skip


def _in_group(stage: Stage) -> dict[str, Any]:
    """An executor whose workers have a memory cgroup each."""
    group = stage.until_the_end(groups.memory_group(2**40))
    os.environ["LOKY_CGROUP"] = str(group.folder)
    return {"memory_limit": LIMIT}


def _had_a_group(stage: Stage) -> None:
    stage.died(stage.victim, signal.SIGKILL)
    assert "/loky-" in Path(f"/proc/{stage.busy.pid}/cgroup").read_text(), "no worker has a group"


_MEMORY = [
    Row(
        name="a-task-takes-more-memory-than-its-limit",
        failure=failures.MEMORY_LIMIT,
        provoke=_performs(tasks.swell, 4 * LIMIT_MIB, memory_limit=LIMIT),
        gets=_PASSED,
        proof=_over_limit,
    ),
    Row(
        name="a-child-of-a-task-takes-more-memory-than-its-limit",
        failure=failures.MEMORY_LIMIT,
        provoke=_performs(tasks.swell_in_child, 4 * LIMIT_MIB, memory_limit=LIMIT),
        gets=_PASSED,
        proof=_over_limit,
    ),
    Row(
        name="a-task-takes-more-memory-than-the-cgroup-of-its-worker-has",
        failure=failures.MEMORY_LIMIT,
        provoke=_performs(tasks.swell, 4 * LIMIT_MIB),
        gets=terminated("memory_limit", "{SIGKILL(-9)}", signal="SIGKILL", exitcode=-9),
        proof=_had_a_group,
        options=_in_group,
        alone=True,
        lacking=groups.reason_against,
    ),
    Row(
        name="a-task-takes-more-memory-than-its-soft-limit",
        failure=failures.SOFT_MEMORY_LIMIT,
        provoke=_performs(tasks.swell, 20 * LIMIT_MIB, soft_memory_limit=LIMIT),
        gets=Raises(kind=MemoryError, cause=("in swell",)),
        proof=_lives_on,
    ),
]


def _history(*ends: str) -> Callable[[Any], bool]:
    return lambda attempts: tuple(attempt.signal or attempt.cause for attempt in attempts) == ends


_RETRIES = [
    Row(
        name="a-task-ends-its-worker-at-each-of-three-attempts",
        failure=failures.POISON,
        provoke=_counted(tasks.die_until, 9, retries=2),
        gets=by_signal(signal.SIGKILL, attempt=3, history=_history("SIGKILL", "SIGKILL"), is_poison=True),
        gets_if_broken=by_signal(signal.SIGKILL, attempt=1, history=(), is_poison=False),
        proof=_both(_was_killed, _ran(3, if_broken=1)),
    ),
    Row(
        name="a-task-ends-its-worker-twice-and-then-gives-a-value",
        failure=failures.RETRIED,
        provoke=_counted(tasks.die_until, 2, retries=2),
        gets=Gives(value=3),
        gets_if_broken=by_signal(signal.SIGKILL, attempt=1),
        proof=_both(_was_killed, _ran(3, if_broken=1)),
    ),
    Row(
        name="a-task-raises-what-is-tried-again-and-then-gives-a-value",
        failure=failures.RETRIED_ON,
        provoke=_counted(tasks.raise_until, 2, retries=2, retry_on=ConnectionError),
        gets=Gives(value=3),
        proof=_both(_lives_on, _ran(3)),
    ),
    Row(
        name="a-task-raises-what-is-tried-again-at-each-attempt",
        failure=failures.RETRIED_ON,
        provoke=_counted(tasks.raise_until, 9, retries=2, retry_on=(LookupError, OSError)),
        gets=Raises(kind=ConnectionError, text=("run 3",)),
        proof=_both(_lives_on, _ran(3)),
    ),
    Row(
        name="a-task-raises-what-is-not-tried-again",
        failure=failures.RETRIED_ON,
        provoke=_counted(tasks.raise_until, 9, retries=2, retry_on=LookupError),
        gets=Raises(kind=ConnectionError, text=("run 1",)),
        proof=_both(_lives_on, _ran(1)),
    ),
]


def _be_slow(stage: Stage) -> Any:
    listener = stage.until_the_end(listening())
    stage.notes["told"] = listener.told
    gate = stage.gate("slow")
    future = stage.submit(tasks.hold, str(stage.folder), gate, "late", slow_after=0.2)
    stage.victim = stage.watch(stage.news("held"))
    stage.until(lambda: bool(listener.told))
    stage.open(gate)
    return future


def _was_told_once(stage: Stage) -> None:
    _lives_on(stage)
    (text,) = stage.notes["told"]
    assert text.startswith("the task hold has been running for 0.")
    assert "in pass_gate" in text


_SLOW = [
    Row(
        name="a-task-runs-for-longer-than-was-thought",
        failure=failures.SLOW,
        provoke=_be_slow,
        gets=Gives(value="late"),
        proof=_was_told_once,
    ),
]

ROWS = [*_LATE, *_WAITING, *_FORCED, *_STARTS, *_MEMORY, *_RETRIES, *_SLOW]
