"""The crash report: what is known of a worker's death, as a typed value and as text to read.

Made by the manager thread from the engine's facts, when a worker has died.
It says nothing that is not in those facts.
"""

import dataclasses
import enum
import signal as _signals

# Dataclasses look for this module among the loaded ones, where they may find it half made: this
# module is loaded by the manager thread while others load what they need.
import typing  # noqa: F401

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class CrashCause(enum.StrEnum):
    """Why a worker ended. The value is a plain string."""

    OOM = "oom"
    SIGNAL = "signal"
    EXIT = "exit"
    KILLED = "killed"
    TIMEOUT = "timeout"
    MEMORY_LIMIT = "memory_limit"
    CANCELLED = "cancelled"
    INITIALIZER = "initializer"
    PROTOCOL = "protocol"
    ZYGOTE = "zygote"
    RAISED = "raised"


@dataclasses.dataclass(frozen=True, slots=True)
class CrashReport:
    """What is known of the death of a worker and of the task that this report belongs to.

    Attributes:
        cause: why the worker ended.
        signal: name of the signal that ended it (`"SIGSEGV"`), if one did.
        exitcode: exit status, or the negative number of the signal.
        pid: process id of the worker.
        worker: the worker's place in its pool, from 0.
        task: name of the task's function, or what its submitter called it.
        attempt: which try at the task this was, from 1; 0 if none had been made.
        started: whether the task had begun in that worker.
        runtime_s: how long the task had been running, in seconds.
        peak_rss_bytes: largest resident set of the worker, in bytes.
        python_stack: Python stacks of the worker's threads at its death, from the fault handler.
        stderr_tail: the end of what the worker wrote to its standard error; None unless the executor
            was made with `capture_stderr=True`.
        evidence: what was read about the death, each a clause of its own.
        advice: what to do about it.
        history: the attempts at the task that failed before this one, oldest first. Where one raised
            an exception named by `retry_on`, its cause is "raised".
    """

    cause: CrashCause
    signal: str | None = None
    exitcode: int | None = None
    pid: int | None = None
    worker: int | None = None
    task: str | None = None
    attempt: int = 0
    started: bool = False
    runtime_s: float | None = None
    peak_rss_bytes: int | None = None
    python_stack: str | None = None
    stderr_tail: str | None = None
    evidence: tuple[str, ...] = ()
    advice: str = ""
    history: "tuple[CrashReport, ...]" = ()

    @property
    def is_poison(self) -> bool:
        """Whether the task had several attempts and each of them ended its worker."""
        harmless = (CrashCause.RAISED, CrashCause.TIMEOUT, CrashCause.CANCELLED)
        return bool(self.history) and all(attempt.cause not in harmless for attempt in (self, *self.history))

    def as_dict(self) -> "dict[str, Any]":
        """The fields as plain values that can be written as JSON."""
        fields = dataclasses.asdict(self)
        fields["cause"] = self.cause.value
        fields["evidence"] = list(self.evidence)
        fields["history"] = [attempt.as_dict() for attempt in self.history]
        return fields


_CAUSES = {"launcher": CrashCause.ZYGOTE, "start_timeout": CrashCause.TIMEOUT}
"""Causes that the engine tells apart and a report does not."""


def report_from(facts: "Mapping[str, Any]", task: str | None, owns_task: bool) -> CrashReport:
    """The report on the death of a worker, for one task.

    Args:
        facts: the engine's report.
        task: label of the task.
        owns_task: whether the facts on attempt and run time are about this very task. Where the
            pool broke, they are about another one.
    """
    try:
        cause = CrashCause(str(facts.get("cause")))
    except ValueError:
        cause = _CAUSES.get(str(facts.get("cause")), CrashCause.SIGNAL)
    exitcode = facts.get("exitcode")
    report = CrashReport(
        cause=cause,
        signal=facts.get("signal") or signal_name(exitcode),
        exitcode=exitcode,
        pid=facts.get("pid"),
        worker=facts.get("worker"),
        task=task,
        attempt=(facts.get("attempt") or 0) if owns_task else 0,
        started=bool(facts.get("started")) and owns_task,
        runtime_s=facts.get("runtime_s") if owns_task else None,
        peak_rss_bytes=facts.get("peak_rss_bytes"),
        python_stack=facts.get("python_stack") or None,
        stderr_tail=facts.get("stderr_tail"),
        evidence=tuple(facts.get("evidence") or ()),
        history=tuple(report_from(attempt, task, True) for attempt in facts.get("history", ())),
    )
    if report.is_poison:
        return dataclasses.replace(report, advice=_POISON)
    stack_full = bool(facts.get("stack_full"))
    return dataclasses.replace(report, advice=_advice(report, stack_full))


def report_of_wait(task: str | None) -> CrashReport:
    """The report on a task that had not begun in time; no worker has ever had to do with it."""
    return CrashReport(cause=CrashCause.TIMEOUT, task=task, advice=_WAITED)


def signal_name(exitcode: int | None) -> str | None:
    """Name of the signal in a negative exit code; None if there is none or it has no name."""
    if exitcode is None or exitcode >= 0:
        return None
    try:
        return _signals.Signals(-exitcode).name
    except ValueError:
        return None


def exit_code_text(exitcode: int | None) -> str:
    """An exit code in the form that users of loky search their logs for: `SIGSEGV(-11)`, `EXIT(1)`."""
    if exitcode is None:
        return "UNKNOWN"
    if exitcode == 255:
        return "UNKNOWN(255)"
    if exitcode >= 0:
        return f"EXIT({exitcode})"
    return f"{signal_name(exitcode) or 'UNKNOWN'}({exitcode})"


_ADVICE_BY_CAUSE = {
    CrashCause.OOM: (
        "Run fewer workers, give them smaller tasks, or raise the memory limit of this program; "
        "memory_limit= ends a task before the kernel has to."
    ),
    CrashCause.KILLED: "The task can be submitted again.",
    CrashCause.TIMEOUT: "The stack shows where it was; give the task more time or less to do.",
    CrashCause.MEMORY_LIMIT: "Give the task a higher memory_limit= or less to do.",
    CrashCause.RAISED: "Look at what the task raises.",
    CrashCause.CANCELLED: "It was cancelled on purpose; there is nothing to do.",
    CrashCause.INITIALIZER: "Look at what the initializer does.",
    CrashCause.PROTOCOL: "Look for code in the task that writes to descriptors that it did not open.",
    CrashCause.ZYGOTE: "Look for what killed it; the tasks can be submitted again.",
}

_ADVICE_BY_SIGNAL = {
    "SIGSEGV": "Native code read or wrote memory that is not its own: look at what is on top of the stack.",
    "SIGBUS": "Native code touched a mapping whose file had shrunk, or memory that could not be provided.",
    "SIGABRT": "Native code gave up by abort(): its own message is in the output of the program, above.",
    "SIGFPE": "Native code made an arithmetic error, such as a division of an integer by zero.",
    "SIGILL": "Native code holds an instruction that this processor does not have: look for a wrong build.",
    "SIGSYS": "A sandbox forbids a system call that the task needs: look at its seccomp profile.",
    "SIGXCPU": "A limit on processor time was reached (ulimit -t).",
    "SIGXFSZ": "A limit on the size of files was reached (ulimit -f).",
    "SIGHUP": "The terminal or the session of this program was closed.",
    "SIGKILL": (
        "Look into the kernel's log (dmesg) for an out-of-memory kill; fewer workers or smaller "
        "tasks need less memory."
    ),
    "SIGTERM": "Someone asked this process to end: look at what manages the processes of this machine.",
}

_STACK_FULL = (
    "The code calls itself too deeply: look for a recursion without end, or raise the limit of the "
    "stack (ulimit -s) before the program starts."
)
_POISON = (
    "The task itself is the likely reason: try it alone, in a pool with one worker, before it runs again."
)
_WAITED = (
    "All workers were busy: more workers, fewer tasks at a time or a higher priority= would have it "
    "begin earlier."
)
_LATE = "Look for an import or an initializer that waits for something, or give it more start_timeout=."
_NOT_READY = "Look at what it printed while it was starting: an import or the initializer ended it."
_EXIT = "Look for os._exit() in the task, or for exit() in native code that it calls."
_NATIVE_EXIT = "Look for native code that the task calls and that ends the process by exit()."
_AGAIN = "The task can be submitted again if it may run twice."


def _what_happened(report: CrashReport) -> str:
    name = report.signal or (
        f"signal {-report.exitcode}" if report.exitcode is not None and report.exitcode < 0 else "its end"
    )
    match report.cause:
        case CrashCause.OOM:
            return f"was killed by the kernel for lack of memory ({name})"
        case CrashCause.PROTOCOL:
            return "sent bytes that are no message, and was ended"
        case CrashCause.ZYGOTE:
            return "ended because the process that starts the workers died"
        case CrashCause.KILLED:
            return f"was ended by {name} at the request of this program"
        case CrashCause.TIMEOUT if report.started:
            return "was ended because the task had run for longer than its timeout allows"
        case CrashCause.TIMEOUT:
            return "was ended because it was not ready within start_timeout"
        case CrashCause.MEMORY_LIMIT:
            return "was ended because it used more memory than its limit allows"
        case CrashCause.CANCELLED:
            return "was ended because the task was cancelled by force"
        case CrashCause.INITIALIZER:
            return "ended because its initializer failed"
        case CrashCause.SIGNAL | CrashCause.EXIT | CrashCause.RAISED:
            pass
    if report.exitcode is not None and report.exitcode >= 0:
        return f"left without answering, with exit code {report.exitcode}"
    if report.signal == "SIGKILL":
        return "was killed by SIGKILL, which this pool did not send; possibly out of memory"
    if report.signal == "SIGTERM":
        return "was ended by SIGTERM, which this pool did not send"
    return f"was killed by {name}"


def _advice(report: CrashReport, stack_full: bool) -> str:
    if report.cause is CrashCause.TIMEOUT and not report.started:
        return _LATE
    by_cause = _ADVICE_BY_CAUSE.get(report.cause)
    if by_cause is not None:
        return by_cause
    if stack_full:
        return _STACK_FULL
    if report.exitcode is not None and report.exitcode >= 0:
        if any("while it was starting" in fact for fact in report.evidence):
            return _NOT_READY
        native = any(fact.startswith("exit() of the C library") for fact in report.evidence)
        return _NATIVE_EXIT if native else _EXIT
    return _ADVICE_BY_SIGNAL.get(report.signal or "", _AGAIN)


def _evidence(report: CrashReport) -> str:
    facts = []
    if report.pid is not None:
        facts.append(f"pid {report.pid}")
    if report.worker is not None:
        facts.append(f"worker {report.worker}")
    if report.task is not None:
        facts.append(f"task {report.task}")
    if report.attempt:
        facts.append(f"attempt {report.attempt}")
    if report.started and report.runtime_s is not None:
        facts.append(f"ran for {report.runtime_s:.3g} s")
    if report.peak_rss_bytes:
        facts.append(f"peak memory {report.peak_rss_bytes / 2**20:.1f} MiB")
    return ", ".join(facts)


def _folded(stack: str) -> str:
    """A stack with runs of equal lines, as a recursion leaves them, made short."""
    lines: list[str] = []
    last, count = None, 0
    for line in (*stack.splitlines(), None):
        if line == last:
            count += 1
            continue
        if last is not None:
            lines.append(last)
        if count > 1:
            lines.append(f"  (the same line {count - 1} more times)" if count > 2 else str(last))
        last, count = line, 1
    return "\n".join(lines)


def crash_text(report: CrashReport) -> str:
    """The message of a `TerminatedWorkerError`: what happened, the evidence, what to do."""
    if report.started:
        subject = "The worker process that ran this task"
    else:
        subject = "A worker process of this pool"
    # The first line is all that many logs keep, so the exit code stands in it.
    codes = f"The exit codes of the workers are {{{exit_code_text(report.exitcode)}}}."
    lines = [f"{subject} {_what_happened(report)}. {codes}"]
    if not report.started:
        lines.append("The pool is broken; this task had not been finished when it broke.")
    evidence = _evidence(report)
    if evidence:
        lines.append(f"Evidence: {evidence}.")
    lines.extend(f"- {fact}" for fact in report.evidence)
    if report.python_stack:
        lines.append(f"Python stack of the worker:\n{_folded(report.python_stack.rstrip())}")
    if report.stderr_tail:
        lines.append(f"The end of its standard error:\n{report.stderr_tail.rstrip()}")
    if report.history:
        lines.append(history_text(report))
    lines.append(report.advice)
    return "\n".join(lines)


def history_text(report: CrashReport) -> str:
    """What became of the attempts before this one."""
    if report.is_poison:
        return f"All {report.attempt} attempts at this task have ended their worker; it is not tried again."
    ends = ", ".join(map(_end_of_attempt, report.history))
    return f"Attempts before this one: {ends}."


def _end_of_attempt(report: CrashReport) -> str:
    if report.cause is CrashCause.RAISED:
        return "raised an exception"
    if report.cause is CrashCause.TIMEOUT:
        return "ran out of time"
    return exit_code_text(report.exitcode)
