"""The exceptions that a pool gives to its user.

They derive from those of the standard library, so that existing `except` clauses hold. All can be
pickled, with their report and their cause's text.
"""

import sys

from ._remote import _RemoteTraceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._broken import BrokenProcessPool as BrokenProcessPool  # noqa: PLC0414  # told on
    from ._broken import TerminatedWorkerError as TerminatedWorkerError  # noqa: PLC0414  # likewise
    from ._report import CrashReport


class TaskTimeoutError(TimeoutError):
    """A task has used up its `timeout`, and was ended, or its `queue_timeout`, and never began.

    The pool is not broken by it, and no other task is touched.

    Attributes:
        report: what is known of the task and its end; None on an instance that was made by hand.
    """

    def __init__(self, *args: object, report: "CrashReport | None" = None) -> None:
        super().__init__(*args)
        self.report = report


class ShutdownExecutorError(RuntimeError):
    """The executor has been shut down: it takes no tasks, or was told to kill this one."""


class LokyRecursionError(RuntimeError):
    """Pools are nested deeper than `LOKY_MAX_DEPTH` allows."""


# The names under which users of loky know these classes, in tracebacks and in pickles.
for _public in (TaskTimeoutError, ShutdownExecutorError, LokyRecursionError):
    _public.__module__ = "loky.process_executor"
del _public


def __getattr__(name: str) -> "Any":
    """Import those that derive from the process pool of the standard library when they are needed.

    That module is the greater part of what importing this package would cost, so it comes in while
    the first workers start.
    """
    if name in ("BrokenProcessPool", "TerminatedWorkerError"):
        from . import _broken

        return getattr(_broken, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


AFTER_SHUTDOWN = "cannot schedule new futures after shutdown"
AT_EXIT = "cannot schedule new futures after interpreter shutdown"
KILLED = (
    "The executor was shut down with kill_workers=True before this task was done: its worker was "
    "killed, or the task had not begun."
)
RESULT_UNREADABLE = "A result has failed to un-serialize."
TASK_UNREADABLE = "A task has failed to un-serialize."
MANAGER_CRASHED = "The pool is broken: its manager thread crashed."
FEEDER_CRASHED = "The pool is broken: its feeder thread crashed."
IN_FORKED_CHILD = (
    "This executor was inherited through os.fork(), and its workers belong to the parent process. "
    "Make a new executor in this process, for instance with get_reusable_executor()."
)


def with_cause(exc: BaseException, text: str) -> BaseException:
    """`exc` with the text of a traceback, of here or elsewhere, as its cause."""
    exc.__cause__ = _RemoteTraceback(text)
    return exc


def terminated(
    facts: "Mapping[str, Any]", task: str | None, owns_task: bool = True
) -> "TerminatedWorkerError":
    """The error of a task whose worker died, or whose pool broke by a worker's death.

    Args:
        facts: the engine's report.
        task: label of the task.
        owns_task: whether the facts on attempt and run time are about this task.
    """
    from . import _report
    from ._broken import TerminatedWorkerError

    report = _report.report_from(facts, task, owns_task)
    error = TerminatedWorkerError(_report.crash_text(report), report=report)
    if task is not None:
        error.add_note(f"task: {task}")
    return error


def timed_out(facts: "Mapping[str, Any]", task: str | None, timeout_s: float | None) -> TaskTimeoutError:
    """The error of a task that ran for longer than it may.

    Args:
        facts: the engine's report.
        task: label of the task.
        timeout_s: how long it may have run.
    """
    from . import _report, _timeouts

    report = _report.report_from(facts, task, True)
    return TaskTimeoutError(_timeouts.timeout_text(report, timeout_s), report=report)


def expired(waited_s: float, task: str | None, timeout_s: float | None) -> TaskTimeoutError:
    """The error of a task that had not begun in time and never will.

    Args:
        waited_s: how long it had waited.
        task: label of the task.
        timeout_s: how long it may have waited.
    """
    from . import _report, _timeouts

    report = _report.report_of_wait(task)
    return TaskTimeoutError(_timeouts.expiry_text(report, waited_s, timeout_s), report=report)


def untold(lack: OSError, end: str) -> OSError:
    """The error of a task of whose end nothing can be told, for lack of a descriptor.

    So it is in a pool that began in such a shortage: what tells of an end cannot even be read.
    """
    lack.add_note(f"loky: this stands for an end of the kind {end!r}, of which no more can be told")
    return lack


def pool_broken(
    facts: "Mapping[str, Any]", task: str | None, breaks_on_death: bool, cause: BaseException | None
) -> "BrokenProcessPool":
    """A new instance of the error of a pool that broke.

    Args:
        facts: why it broke, from the engine.
        task: label of the task that gets this instance.
        cause: the error that the front itself knows to be the reason.
    """
    from ._broken import BrokenProcessPool

    why = facts.get("why")
    report = facts.get("report")
    error: BrokenProcessPool
    if why == "worker_died":
        return terminated(report or {}, task, owns_task=False)
    if why == "launcher" and breaks_on_death:
        return terminated(report or {"cause": "zygote"}, task, owns_task=False)
    if why == "initializer":
        error = BrokenProcessPool(
            "The pool is broken: the initializer of a worker raised an exception, which is the cause "
            "of this one. No task has been run by that worker."
        )
    elif why == "setup" and isinstance(cause, OSError):
        # A helper that workers share with their owner could not be started either.
        error = BrokenProcessPool(_spawn_text(cause.errno))
    elif why == "setup":
        error = BrokenProcessPool(
            "The pool is broken: its initializer, the arguments of that, or its reducers could not "
            "be pickled to send them to the workers."
        )
    elif why == "spawn":
        error = BrokenProcessPool(_spawn_text(facts.get("errno")))
        cause = cause or _os_error(facts.get("errno"))
    elif why == "restart_budget":
        error = BrokenProcessPool(
            "The pool is broken: workers died again and again before they had done any work. "
            "The last death is the cause of this error."
        )
        cause = cause or terminated(report or {}, None, owns_task=False)
    elif why == "launcher":
        error = BrokenProcessPool(_launcher_text(facts.get("launcher_fact")))
    else:
        error = BrokenProcessPool(
            f"The pool is broken by a fault of its own engine: {facts.get('fault') or why}. "
            "Please report this."
        )
    error.__cause__ = cause
    return error


def _launcher_text(fact: str | None) -> str:
    text = "The pool is broken: the process that starts its workers died again and again."
    if fact is None:
        return text
    last = fact.replace("the process that starts the workers", "it", 1)
    if "SIGKILL" in fact:
        advice = (
            "This pool did not send that: look into the kernel's log (dmesg) for an out-of-memory kill, and "
            "for whoever else ends processes here."
        )
    else:
        advice = "Look at what it printed: something that it imports at its start may have failed."
    return f"{text} The last time, {last}. {advice}"


def _spawn_text(errno: "Any") -> str:
    reason = _os_error(errno)
    if isinstance(reason, (FileNotFoundError, PermissionError, NotADirectoryError)):
        advice = f"Look at the program that is to be executed, sys.executable: {sys.executable!r}."
    else:
        advice = "Look at the limits on processes and open files of this user (ulimit -u, ulimit -n)."
    why = f" ({reason})" if reason else ""
    return f"The pool is broken: no worker process could be started{why}. {advice}"


def _os_error(errno: "Any") -> OSError | None:
    if not isinstance(errno, int) or errno <= 0:
        return None
    import os

    return OSError(errno, os.strerror(errno))


def undeliverable(errno: int) -> OSError:
    """The error of a task that could not be sent, or whose answer could not be received."""
    import os

    return OSError(
        errno,
        "The data of the task could not be handed over, for lack of a resource of this system: "
        f"{os.strerror(errno)}",
    )


def fresh_copy(error: BaseException) -> BaseException:
    """Another instance that says the same: an exception object is raised in one place only.

    A shared one would gather the tracebacks of all who raise it.
    """
    copy = type(error)(*error.args)
    copy.__dict__.update(error.__dict__)
    copy.__cause__ = error.__cause__
    copy.__suppress_context__ = error.__suppress_context__
    return copy
