"""Rows in which a value cannot make its way: the call, the result, the exception, the initializer."""

import os
import signal
import threading
from pickle import PicklingError
from typing import Any

from loky import BrokenProcessPool, ShutdownExecutorError, TerminatedWorkerError
from tests.faults import failures, tasks, values
from tests.faults.stage import Stage
from tests.faults.table import Others, Raises, Row


def submits(function: Any, *args: Any) -> Any:
    return lambda stage: stage.submit(function, *args)


def performs(function: Any, *args: Any) -> Any:
    return lambda stage: stage.perform(function, *args)


def worker_lives(stage: Stage) -> None:
    """The task began, and nobody died of it."""
    assert not stage.victim.gone(0), "the worker is gone"
    assert stage.victim.pid in stage.executor._processes


def nobody_died(stage: Stage) -> None:
    assert not any(worker.gone(0) for worker in stage.workers)


def fails_here(value: Any, *kinds: type[BaseException]) -> Any:
    """The value is truly what the row says: pickling it by hand fails as well."""

    def proof(stage: Stage) -> None:
        import cloudpickle

        try:
            cloudpickle.dumps(value)
        except kinds:
            nobody_died(stage)
            return
        raise AssertionError("the value can be pickled")

    return proof


def _submits_unreadable(error: BaseException) -> Any:
    return lambda stage: stage.submit(tasks.give, values.raises_on_load(str(stage.folder), error))


def _returns_unreadable(error: BaseException) -> Any:
    return lambda stage: stage.perform(values.raises_on_load, str(stage.folder), error)


def _was_tried_in_a_worker(stage: Stage) -> None:
    assert stage.news("rebuilding") in {worker.pid for worker in stage.workers}
    if stage.mode == "recover":
        nobody_died(stage)


def _was_tried_here(stage: Stage) -> None:
    assert stage.news("rebuilding") == os.getpid()
    if stage.mode == "recover":
        worker_lives(stage)


def unpicklable(cause: str, *notes: str) -> Raises:
    return Raises(kind=PicklingError, text=("Could not pickle the task",), cause=(cause,), notes=notes)


def raised(kind: type[BaseException], *text: str, cause: tuple[str, ...] = (), **fields: object) -> Raises:
    """The worker's traceback comes along as the cause."""
    return Raises(kind=kind, text=text, cause=("Traceback (most recent call last)", *cause), fields=fields)


def unreadable(which: str, *cause: str) -> Raises:
    return Raises(kind=BrokenProcessPool, text=(f"A {which} has failed to un-serialize",), cause=cause)


_LOCK = threading.Lock()
_RAISES_ON_DUMP = values.RaisesOnDump(SystemExit(3))
_DEEP = tasks.nest(100_000)

RAISED = [
    Row(
        name="the-task-raises",
        failure=failures.RAISES,
        provoke=performs(values.raise_made, ValueError, "no good"),
        gets=raised(
            ValueError, "no good", cause=("raise kind(*args", "ValueError: no good"), args=("no good",)
        ),
        proof=worker_lives,
    ),
    Row(
        name="the-task-raises-system-exit",
        failure=failures.RAISES,
        provoke=performs(tasks.leave, 3),
        gets=raised(SystemExit, code=3),
        proof=worker_lives,
    ),
    Row(
        name="the-task-raises-keyboard-interrupt",
        failure=failures.RAISES,
        provoke=performs(values.raise_made, KeyboardInterrupt),
        gets=raised(KeyboardInterrupt),
        proof=worker_lives,
    ),
    Row(
        name="the-task-is-interrupted-by-sigint",
        failure=failures.RAISES,
        provoke=performs(tasks.interrupt_oneself),
        gets=raised(KeyboardInterrupt, cause=("interrupt_oneself",)),
        proof=worker_lives,
    ),
    Row(
        name="the-task-raises-an-exception-that-is-false",
        failure=failures.RAISES,
        provoke=performs(values.raise_made, values.FalseError, "false"),
        gets=raised(values.FalseError, "false"),
        proof=worker_lives,
    ),
    Row(
        name="the-task-raises-a-group-with-notes",
        failure=failures.RAISES,
        provoke=performs(values.raise_group),
        gets=Raises(
            kind=ExceptionGroup,
            cause=("several",),
            notes=("with a note",),
            fields={
                "exceptions": lambda members: [type(m) for m in members] == [ValueError, values.OddError]
            },
        ),
        proof=worker_lives,
    ),
    Row(
        name="the-task-raises-from-another-exception",
        failure=failures.RAISES,
        provoke=performs(values.raise_chain),
        gets=raised(RuntimeError, "the second", cause=("KeyError: 'the first'", "direct cause")),
        proof=worker_lives,
    ),
    Row(
        name="the-task-recurses-without-end",
        failure=failures.RAISES,
        provoke=performs(tasks.recurse),
        gets=raised(RecursionError, "maximum recursion depth"),
        proof=worker_lives,
    ),
]

CALLS = [
    Row(
        name="an-argument-cannot-be-pickled",
        failure=failures.TASK_UNPICKLABLE,
        provoke=submits(tasks.give, {"deep": [1, _LOCK]}),
        gets=unpicklable("cannot pickle '_thread.lock' object", "argument 1 → ['deep'] → [1]"),
        proof=fails_here(_LOCK, TypeError),
    ),
    Row(
        name="an-argument-raises-system-exit-when-pickled",
        failure=failures.TASK_UNPICKLABLE,
        provoke=submits(tasks.give, _RAISES_ON_DUMP),
        gets=unpicklable("SystemExit: 3", "argument 1"),
        proof=fails_here(_RAISES_ON_DUMP, SystemExit),
    ),
    Row(
        name="an-argument-is-nested-too-deep",
        failure=failures.TASK_UNPICKLABLE,
        provoke=submits(tasks.give, _DEEP),
        gets=unpicklable("recursion"),
        proof=fails_here(_DEEP, RecursionError, PicklingError),
    ),
    Row(
        name="the-function-cannot-be-pickled",
        failure=failures.TASK_UNPICKLABLE,
        provoke=submits(lambda lock=_LOCK: lock),
        gets=unpicklable("cannot pickle '_thread.lock' object", "the function → default 1"),
        proof=fails_here(_LOCK, TypeError),
    ),
    *(
        Row(
            name=f"an-argument-raises-{shown}-when-unpickled",
            failure=failures.TASK_UNREADABLE,
            provoke=_submits_unreadable(error),
            gets=unreadable("task", shown_cause, "Traceback (most recent call last)"),
            proof=_was_tried_in_a_worker,
        )
        for shown, error, shown_cause in (
            ("an-error", ValueError("spoilt"), "ValueError: spoilt"),
            ("system-exit", SystemExit(5), "SystemExit: 5"),
        )
    ),
]

ANSWERS = [
    Row(
        name="the-result-cannot-be-pickled",
        failure=failures.RESULT_UNPICKLABLE,
        provoke=performs(values.return_lock),
        gets=Raises(
            kind=TypeError,
            text=("cannot pickle '_thread.lock' object",),
            cause=("Traceback (most recent call last)",),
            notes=("the result → ['deep'] → [1]",),
        ),
        proof=worker_lives,
    ),
    Row(
        name="the-result-raises-system-exit-when-pickled",
        failure=failures.RESULT_UNPICKLABLE,
        provoke=performs(values.RaisesOnDump, SystemExit(4)),
        gets=raised(SystemExit, code=4),
        proof=worker_lives,
    ),
    Row(
        name="the-result-is-nested-too-deep",
        failure=failures.RESULT_UNPICKLABLE,
        provoke=performs(values.nest_in_vain),
        gets=Raises(kind=PicklingError, text=("recursion",), cause=("RecursionError",)),
        proof=worker_lives,
    ),
    Row(
        name="the-exception-holds-what-cannot-be-pickled",
        failure=failures.EXCEPTION_UNPICKLABLE,
        provoke=performs(values.raise_made, values.LockedError),
        gets=Raises(
            kind=PicklingError,
            text=("LockedError: locked", "cannot pickle '_thread.lock'"),
            cause=("LockedError: locked",),
            notes=(".lock",),
        ),
        proof=worker_lives,
    ),
    Row(
        name="the-exception-has-an-odd-constructor",
        failure=failures.EXCEPTION_UNPICKLABLE,
        provoke=performs(values.raise_odd),
        gets=raised(values.OddError, "odd 7", code=7, path="/somewhere"),
        proof=worker_lives,
    ),
    Row(
        name="the-exception-pickles-to-a-wrong-call",
        failure=failures.EXCEPTION_UNPICKLABLE,
        provoke=performs(values.raise_made, values.WrongReductionError),
        gets=raised(values.WrongReductionError, "wrong"),
        proof=worker_lives,
    ),
    Row(
        name="the-exception-raises-when-pickled",
        failure=failures.EXCEPTION_UNPICKLABLE,
        provoke=performs(values.raise_made, values.RaisingReductionError, "stays"),
        gets=raised(values.RaisingReductionError, "stays"),
        proof=worker_lives,
    ),
    *(
        Row(
            name=f"the-result-raises-{shown}-when-unpickled",
            failure=failures.RESULT_UNREADABLE,
            provoke=_returns_unreadable(error),
            gets=unreadable("result", shown_cause, "Traceback (most recent call last)"),
            proof=_was_tried_here,
        )
        for shown, error, shown_cause in (
            ("an-error", ValueError("spoilt"), "ValueError: spoilt"),
            ("system-exit", SystemExit(6), "SystemExit: 6"),
        )
    ),
    Row(
        name="the-exception-cannot-be-rebuilt-in-the-parent",
        failure=failures.RESULT_UNREADABLE,
        provoke=performs(values.raise_made, values.OwnerOnlyError, os.getpid()),
        gets=unreadable("result", "LookupError: not to be rebuilt here"),
        proof=lambda stage: None if stage.mode == "break" else worker_lives(stage),
    ),
]


def _initialized(stage: Stage) -> None:
    assert stage.news("initializing") != os.getpid()


def _fails_with(kind: type[BaseException], *cause: str) -> Raises:
    return Raises(
        kind=BrokenProcessPool,
        text=("the initializer of a worker raised",),
        fields={
            "__cause__": lambda error: (
                type(error) is kind
                and all(
                    part in str(error.__cause__) for part in (*cause, "Traceback (most recent call last)")
                )
            )
        },
    )


def _kill_pool_in_initializer(stage: Stage) -> Any:
    future = stage.submit(tasks.give, 1)
    stage.workers = [stage.watch(stage.news("initializing")) for _ in range(2)]
    stage.executor.shutdown(wait=False, kill_workers=True)
    return future


def _workers_died(stage: Stage) -> None:
    for worker in stage.workers:
        stage.died(worker, signal.SIGKILL)


def _kill_hanging_initializer(stage: Stage) -> Any:
    future = stage.submit(tasks.give, 1)
    stage.victim = stage.watch(stage.news("initializing"))
    stage.kill(stage.victim)
    if stage.mode == "recover":
        # It is tried again, with a worker that hangs as well.
        stage.watch(stage.news("initializing"))
        stage.watch(stage.news("initializing"))
        assert not future.done()
        stage.executor.shutdown(wait=False, kill_workers=True)
    return future


def _unreadable_argument(stage: Stage) -> dict[str, Any]:
    argument = values.raises_on_load(str(stage.folder), ImportError("nowhere"))
    return {"initializer": tasks.give, "initargs": (argument,)}


def _was_another(pid: int) -> None:
    assert pid != os.getpid()


def _nobody_started(stage: Stage) -> None:
    assert stage.executor._life is not None
    assert stage.executor._life._pool.statistics()["spawned"] == 0


INITIALIZERS = [
    Row(
        name="the-initializer-raises",
        failure=failures.INITIALIZER,
        provoke=submits(tasks.give, 1),
        gets=_fails_with(ZeroDivisionError, "in raise_always", "ZeroDivisionError: by nothing"),
        proof=_initialized,
        options=lambda stage: {
            "initializer": values.raise_always,
            "initargs": (ZeroDivisionError("by nothing"), str(stage.folder)),
        },
        cold=True,
    ),
    Row(
        name="the-initializer-calls-sys-exit",
        failure=failures.INITIALIZER,
        provoke=submits(tasks.give, 1),
        gets=_fails_with(SystemExit, "SystemExit: 9"),
        proof=_initialized,
        options=lambda stage: {
            "initializer": values.initialize_and_leave,
            "initargs": (str(stage.folder), 9),
        },
        cold=True,
    ),
    Row(
        name="an-argument-of-the-initializer-cannot-be-unpickled",
        failure=failures.INITIALIZER,
        provoke=submits(tasks.give, 1),
        gets=_fails_with(ImportError, "ImportError: nowhere"),
        proof=lambda stage: _was_another(stage.news("rebuilding")),
        options=_unreadable_argument,
        cold=True,
    ),
    Row(
        name="an-argument-of-the-initializer-cannot-be-pickled",
        failure=failures.INITIALIZER_UNPICKLABLE,
        provoke=submits(tasks.give, 1),
        gets=Raises(
            kind=BrokenProcessPool,
            text=("could not be pickled",),
            fields={"__cause__": lambda error: "cannot pickle '_thread.lock'" in str(error)},
        ),
        proof=_nobody_started,
        options=lambda stage: {"initializer": tasks.give, "initargs": (_LOCK,)},
        cold=True,
    ),
    Row(
        name="the-initializer-cannot-be-pickled",
        failure=failures.INITIALIZER_UNPICKLABLE,
        provoke=submits(tasks.give, 1),
        gets=Raises(
            kind=BrokenProcessPool,
            text=("could not be pickled",),
            fields={"__cause__": lambda error: "cannot pickle '_thread.lock'" in str(error)},
        ),
        proof=_nobody_started,
        options=lambda stage: {"initializer": lambda lock=_LOCK: lock},
        cold=True,
    ),
    Row(
        name="the-initializer-hangs-until-the-pool-is-killed",
        failure=failures.KILLED_BY_SHUTDOWN,
        provoke=_kill_pool_in_initializer,
        gets=Raises(kind=ShutdownExecutorError, text=("kill_workers=True",)),
        proof=_workers_died,
        options=lambda stage: {"initializer": values.initialize_for_ever, "initargs": (str(stage.folder),)},
        cold=True,
    ),
    Row(
        name="the-initializer-hangs-until-its-worker-is-killed",
        failure=failures.DIED_IDLE,
        provoke=_kill_hanging_initializer,
        gets=Raises(kind=ShutdownExecutorError),
        gets_if_broken=Raises(kind=TerminatedWorkerError, report={"signal": "SIGKILL", "started": False}),
        proof=lambda stage: stage.died(stage.victim, signal.SIGKILL),
        options=lambda stage: {"initializer": values.initialize_for_ever, "initargs": (str(stage.folder),)},
        cold=True,
        others={"recover": Others.SHUT},
    ),
]

ROWS = [*RAISED, *CALLS, *ANSWERS, *INITIALIZERS]
